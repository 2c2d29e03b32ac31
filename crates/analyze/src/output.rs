//! Writes results: to stdout, or to files that appear whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Replaces `path` with `content` in one step: a temporary file beside it, then a rename.
///
/// # Errors
/// [`Error::NotReplaced`] when `path` is a link, a directory or a device (a rename would put a plain
/// file in the place of `/dev/null`); [`Error::Write`] when the directory cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Some(what) = not_a_plain_file(path) {
        return Err(Error::NotReplaced { path: path.into(), what });
    }
    let failed = |source| Error::Write { path: path.into(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    // Said here, where the path of the temporary file is not part of the message.
    fs::metadata(&directory).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".analyze-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any program creates a file: the umask takes away from this.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

fn not_a_plain_file(path: &Path) -> Option<&'static str> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_file() {
        None
    } else {
        Some("not a plain file")
    }
}

/// Writes to stdout. A reader that has gone (`analyze … | head`) is no error.
///
/// # Errors
/// [`Error::Write`] for anything else, such as a full disk behind a redirection.
pub fn print(content: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(content).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Write { path: "standard output".into(), source: e })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.svg");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_followed_nor_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link.svg"));
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = replace(&link, b"new").unwrap_err();
        assert!(matches!(error, Error::NotReplaced { what: "a symbolic link", .. }));
        assert_eq!(fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn a_device_or_a_directory_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(replace(dir.path(), b""), Err(Error::NotReplaced { .. })));
        assert!(matches!(replace(Path::new("/dev/null"), b""), Err(Error::NotReplaced { .. })));
    }
}
