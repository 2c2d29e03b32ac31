//! Where the archive goes: a file of our own, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::host;

/// An output that can be written front to back.
#[derive(Debug)]
pub(crate) struct Output {
    /// A file of our own, or standard output: not [`io::Stdout`], which would buffer lines.
    file: File,
    written_bytes: u64,
}

/// Checks what can be checked before anything is set up, so that a mistyped `-o` is said at once.
pub(crate) fn check(path: &Path, force: bool) -> Result<(), Error> {
    if path.as_os_str() == "-" {
        return if io::stdout().is_terminal() { Err(Error::OutputIsTerminal) } else { Ok(()) };
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() || metadata.is_symlink() => {
            if force {
                Ok(())
            } else {
                Err(Error::OutputExists(path.to_owned()))
            }
        }
        Ok(_) => Err(Error::OutputNotRegular(path.to_owned())),
        Err(_) => Ok(()), // creating it will say what is wrong, if anything is
    }
}

impl Output {
    /// Creates the file, readable by its owner only, or takes standard output for "-".
    ///
    /// With `force` the new file waits beside an old one until recording has begun: a mistyped command
    /// must not cost the archive of yesterday.
    pub(crate) fn create(path: &Path, force: bool) -> Result<(Self, Option<Placement>), Error> {
        check(path, force)?;
        if path.as_os_str() == "-" {
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            let file = stdout.map_err(Error::system("taking standard output"))?.into();
            return Ok((Self { file, written_bytes: 0 }, None));
        }
        let failed = |source: io::Error| Error::OutputNotWritable { path: path.to_owned(), source };
        let (file, beside) = if force {
            let number = u64::from_ne_bytes(host::random().map_err(failed)?);
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{number:016x}"));
            let beside = path.with_file_name(name);
            (create_new(&beside).map_err(failed)?, Some(beside))
        } else {
            let created = create_new(path).map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Error::OutputExists(path.to_owned()),
                _ => failed(e),
            });
            (created?, None)
        };
        give_to_invoking_user(&file);
        let placement = Placement { path: path.to_owned(), beside, kept: false };
        Ok((Self { file, written_bytes: 0 }, Some(placement)))
    }

    /// Bytes written so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// For messages.
    pub(crate) fn name(path: &Path) -> String {
        if path.as_os_str() == "-" {
            "standard output".to_owned()
        } else {
            path.display().to_string()
        }
    }
}

/// A new file that is removed again unless recording begins.
#[derive(Debug)]
pub(crate) struct Placement {
    path: PathBuf,
    /// Where the file is until it takes the old one's name.
    beside: Option<PathBuf>,
    kept: bool,
}

impl Placement {
    /// Recording has begun. The file takes its name in one step; a link is replaced, never followed.
    pub(crate) fn keep(mut self) -> Result<(), Error> {
        if let Some(beside) = &self.beside {
            fs::rename(beside, &self.path)
                .map_err(|source| Error::OutputNotWritable { path: self.path.clone(), source })?;
        }
        self.kept = true;
        Ok(())
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing was recorded into it; if it is gone already, so much the better.
            let _ = fs::remove_file(self.beside.as_ref().unwrap_or(&self.path));
        }
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true) // O_EXCL: also refuses a link, wherever it leads
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Under sudo the archive belongs to who called sudo. Failing leaves it with root: no harm.
fn give_to_invoking_user(file: &File) {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) {
        let _ = fchown(file, Some(uid), Some(gid));
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What the system said, and what to do about it.
pub(crate) fn explain(error: &archive::Error) -> (String, &'static str) {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            let advice = match io.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "the disk is full: free some space, or choose another -o"
                }
                io::ErrorKind::BrokenPipe => "the reader of the stream has gone",
                io::ErrorKind::FileTooLarge => "raise `ulimit -f`, or record for a shorter time",
                _ => "check the device and its mount",
            };
            return (io.to_string(), advice);
        }
        source = inner.source();
    }
    (error.to_string(), "choose another -o")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn write(path: &Path, force: bool) -> Result<(), Error> {
        let (mut output, placement) = Output::create(path, force)?;
        output.write_all(b"new").unwrap();
        placement.unwrap().keep()
    }

    #[test]
    fn a_new_file_is_the_owners_alone_and_nothing_is_overwritten_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.arc");
        write(&path, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(write(&path, false), Err(Error::OutputExists(_))));
        fs::write(&path, "old and longer").unwrap();
        write(&path, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_recording_that_never_began_leaves_things_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.arc");
        drop(Output::create(&path, false).unwrap());
        assert!(!path.exists());
        fs::write(&path, "yesterday's").unwrap();
        drop(Output::create(&path, true).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"yesterday's");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn links_are_refused_or_replaced_but_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("run.arc"));
        for target in [victim.as_path(), Path::new("nowhere")] {
            fs::write(&victim, "precious").unwrap();
            symlink(target, &path).unwrap();
            assert!(matches!(write(&path, false), Err(Error::OutputExists(_))));
            write(&path, true).unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_is_no_file_is_refused_even_with_force() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(matches!(write(dir, true), Err(Error::OutputNotRegular(_))));
        assert!(matches!(write(Path::new("/dev/null"), true), Err(Error::OutputNotRegular(_))));
        let missing = dir.join("no/such/run.arc");
        assert!(matches!(write(&missing, false), Err(Error::OutputNotWritable { .. })));
    }
}
