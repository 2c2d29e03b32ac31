//! Opens files that a profiled process could have put there, without being led astray or held up.
//!
//! Such a process chooses paths and may swap files: what is opened is first held without opening it
//! (`O_PATH`), and must be a regular file (a FIFO would block us for ever). It must be on this host,
//! too: a server or a FUSE daemon that does not answer would stop the whole recording.
#![allow(unsafe_code)] // openat2(2) and fstatfs(2) have no wrappers

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;

/// `struct open_how` of openat2(2), Linux 5.6.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `f_type` of file systems whose files another host or process hands out
/// (`include/uapi/linux/magic.h`): 9P, Ceph, CIFS, FUSE, NFS, SMB2.
const REMOTE_MAGIC: [u32; 6] =
    [0x0102_1997, 0x00c3_6400, 0xff53_4d42, 0x6573_5546, 0x6969, 0xfe53_4d42];

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// What links on the way to a file do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Links {
    /// They lead on, but never out of the root.
    Follow,
    /// There must be none: `ELOOP`.
    Refuse,
}

/// Holds what is at a path of ours.
pub(crate) fn hold(path: &str) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    Ok(file.into())
}

/// Holds what is at a path of a process whose root this is.
pub(crate) fn hold_in_root(root: &OwnedFd, path: &[u8], links: Links) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT
            | RESOLVE_NO_MAGICLINKS
            | if links == Links::Refuse { RESOLVE_NO_SYMLINKS } else { 0 },
    };
    // SAFETY: a NUL-terminated path and a struct of the size stated, both alive across the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether reading what is held may wait for another host or process. (Asking may wait for them as
/// well, but most answer this from what they know.)
pub(crate) fn is_remote(held: &OwnedFd) -> io::Result<bool> {
    // SAFETY: all-zero bytes are a valid statfs.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, and `about` is valid for writing.
    if unsafe { libc::fstatfs(held.as_raw_fd(), &raw mut about) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(REMOTE_MAGIC.contains(&(about.f_type as u32)))
}

/// Opens for reading what is held, if it is a regular file (else `InvalidInput`) of this host (else
/// `Unsupported`).
pub(crate) fn open_regular(held: &OwnedFd) -> io::Result<File> {
    if is_remote(held)? {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let link = format!("/proc/self/fd/{}", held.as_raw_fd());
    if !std::fs::metadata(&link)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_this_host_are_opened() {
        assert!(open_regular(&hold("/proc/version").unwrap()).is_ok());
        let folder = open_regular(&hold("/proc/self").unwrap()).map(|_| ());
        assert_eq!(folder.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!is_remote(&hold("/proc/version").unwrap()).unwrap());
    }

    #[test]
    fn links_stay_in_the_root_or_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "inside").unwrap();
        for (link, to) in [("absolute", "/file"), ("out", "../../../../../../file")] {
            std::os::unix::fs::symlink(to, dir.path().join(link)).unwrap();
            let root = hold(dir.path().to_str().unwrap()).unwrap();
            let held = hold_in_root(&root, link.as_bytes(), Links::Follow).unwrap();
            let text = io::read_to_string(open_regular(&held).unwrap()).unwrap();
            assert_eq!(text, "inside", "{link}");
            let refused = hold_in_root(&root, link.as_bytes(), Links::Refuse).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ELOOP), "{link}");
        }
    }
}
