//! Opens a file as bytes.
#![allow(unsafe_code)] // mapping a file: the one unsafe thing this crate does

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

/// A file in memory, and where it came from.
#[derive(Debug)]
pub struct MappedFile {
    /// Its path, as opened.
    pub path: PathBuf,
    /// When it was last written, where the file system says.
    pub modified: Option<SystemTime>,
    map: Mmap,
}

impl MappedFile {
    /// Maps a plain file.
    ///
    /// # Errors
    /// When it cannot be opened, or is not a plain file: paths come from recordings, and opening a
    /// FIFO would wait for ever.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
        }
        let file = File::open(path)?;
        let modified = file.metadata()?.modified().ok();
        // SAFETY: a private, read-only mapping. Nothing here can keep others from changing the file
        // while it is mapped: bytes that change are parsed as any hostile bytes, and a file that
        // shrinks ends the program (SIGBUS). Programs and debug files are replaced by rename, not
        // cut, so that risk is taken for them; the recording itself is read with pread.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { path: path.into(), modified, map })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_is_its_bytes_and_anything_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"bytes").unwrap();
        assert_eq!(&*MappedFile::open(&path).unwrap(), b"bytes");
        assert!(MappedFile::open(dir.path()).is_err());
        assert!(MappedFile::open(&dir.path().join("none")).is_err());
    }
}
