//! Where a process keeps its perf-PID.map, and opening that safely.
//!
//! The file lies in a folder that everybody can write to. It is taken only if it is a regular file of
//! this host under one name, of bearable size, and belongs to the process's user or to root; no link
//! leads to it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use crate::procfs;
use crate::untrusted_file::{Links, hold, hold_in_root, is_remote, open_regular};

/// The longest map that is searched: at 1 ns a byte half a second.
const MAX_BYTES: u64 = 512 << 20;

/// Why there is no map to look into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum NoMap {
    /// The process ended, or runs another program, before its folder could be looked at.
    Gone,
    /// There is no such file.
    Missing,
    /// There is a link in its place, or on the way to it.
    Link,
    /// It is a folder, a FIFO or a device.
    NotRegular,
    /// It belongs to somebody else.
    NotTheOwners,
    /// It has other names as well.
    SeveralNames,
    /// It is too long.
    TooLong,
    /// Another host or process would have to hand it out.
    Remote,
    /// The system would not open or read it.
    Unreadable,
    /// Its lines overlap too often.
    Overlaps,
    /// Too many processes run code of this kind.
    TooManyProcesses,
}

impl From<io::Error> for NoMap {
    fn from(error: io::Error) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (Some(libc::ELOOP), _) => Self::Link,
            (_, io::ErrorKind::NotFound) => Self::Missing,
            (_, io::ErrorKind::InvalidInput) => Self::NotRegular,
            (_, io::ErrorKind::Unsupported) => Self::Remote,
            (_, io::ErrorKind::InvalidData) => Self::Overlaps,
            _ => Self::Unreadable,
        }
    }
}

impl NoMap {
    /// For people: follows the file's name.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Gone => "was gone too early",
            Self::Missing => "does not exist",
            Self::Link => "is a link",
            Self::NotRegular => "is not a regular file",
            Self::NotTheOwners => "belongs to another user",
            Self::SeveralNames => "has hard links",
            Self::TooLong => "is longer than 512 MiB",
            Self::Remote => "is on a remote file system",
            Self::Unreadable => "cannot be read",
            Self::Overlaps => "has lines that overlap too often",
            Self::TooManyProcesses => "was not opened: too many such processes",
        }
    }
}

/// The folder of a process in which its map appears, held: it stays reachable when the process ends.
#[derive(Debug)]
pub(crate) struct PerfMapPlace {
    folder: OwnedFd,
    name: String,
    owner: u32,
}

impl PerfMapPlace {
    /// Of a living process: `/tmp` in its own root, and its pid as it knows it.
    pub(crate) fn of_process(pid: u32) -> Result<Self, NoMap> {
        let status = procfs::status(pid).ok_or(NoMap::Gone)?;
        let root = hold(&format!("/proc/{pid}/root")).map_err(|_| NoMap::Gone)?;
        Self::in_root(&root, status.innermost_pid, status.effective_uid)
    }

    /// Below a root, for a process of this pid and user.
    pub(crate) fn in_root(root: &OwnedFd, pid: u32, owner: u32) -> Result<Self, NoMap> {
        // Each before the way leads through it.
        let local = |held: &OwnedFd| if is_remote(held)? { Err(NoMap::Remote) } else { Ok(()) };
        local(root)?;
        let folder = hold_in_root(root, b"tmp", Links::Refuse)?;
        local(&folder)?;
        Ok(Self { folder, name: format!("perf-{pid}.map"), owner })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Opens the map as it is now.
    pub(crate) fn open(&self) -> Result<PerfMapFile, NoMap> {
        let held = hold_in_root(&self.folder, self.name.as_bytes(), Links::Refuse);
        let file = held.and_then(|held| open_regular(&held))?;
        let metadata = file.metadata()?;
        if metadata.uid() != self.owner && metadata.uid() != 0 {
            return Err(NoMap::NotTheOwners);
        }
        // By a hard link anybody could pass off a file of root's as a map.
        if metadata.nlink() > 1 {
            return Err(NoMap::SeveralNames);
        }
        let bytes = metadata.len();
        if bytes > MAX_BYTES {
            return Err(NoMap::TooLong);
        }
        Ok(PerfMapFile { file, bytes, identity: (metadata.dev(), metadata.ino()) })
    }
}

/// A map, open.
#[derive(Debug)]
pub(crate) struct PerfMapFile {
    pub(crate) file: File,
    /// Size when it was opened; it may grow.
    pub(crate) bytes: u64,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn own_uid() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    fn place(root: &Path, owner: u32) -> Result<PerfMapPlace, NoMap> {
        PerfMapPlace::in_root(&hold(root.to_str().unwrap()).unwrap(), 7, owner)
    }

    #[test]
    fn a_map_of_the_processs_user_is_opened() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        let place = place(root.path(), own_uid()).unwrap();
        assert_eq!(place.open().unwrap_err(), NoMap::Missing);
        fs::write(root.path().join("tmp/perf-7.map"), "0 1 f\n").unwrap();
        assert_eq!(place.open().unwrap().bytes, 6);
        assert_eq!(place.name(), "perf-7.map");
    }

    #[test]
    fn anything_else_in_its_place_is_refused_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let tmp = root.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        let (map, other) = (tmp.join("perf-7.map"), tmp.join("other"));
        fs::write(&other, "0 1 f\n").unwrap();
        let refused = |owner| place(root.path(), owner).unwrap().open().unwrap_err();

        symlink("other", &map).unwrap();
        assert_eq!(refused(own_uid()), NoMap::Link);
        fs::remove_file(&map).unwrap();
        fs::hard_link(&other, &map).unwrap();
        assert_eq!(refused(own_uid()), NoMap::SeveralNames);
        fs::remove_file(&map).unwrap();
        assert!(Command::new("mkfifo").arg(&map).status().unwrap().success());
        assert_eq!(refused(own_uid()), NoMap::NotRegular);
        fs::remove_file(&map).unwrap();
        fs::create_dir(&map).unwrap();
        assert_eq!(refused(own_uid()), NoMap::NotRegular);
        fs::remove_dir(&map).unwrap();
        File::create(&map).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(refused(own_uid()), NoMap::TooLong);
    }

    #[test]
    fn a_folder_that_is_a_link_is_not_entered() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        symlink("elsewhere", root.path().join("tmp")).unwrap();
        assert_eq!(place(root.path(), own_uid()).unwrap_err(), NoMap::Link);
        assert_eq!(PerfMapPlace::of_process(4_000_000_001).unwrap_err(), NoMap::Gone);
    }
}
