//! Where an archive's bytes come from. Read with `pread`, never mapped: a file that somebody cuts
//! while it is mapped kills the reader with SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A file, or bytes that were read from a pipe.
pub(crate) enum Source {
    File { file: File, bytes: u64 },
    Bytes(Vec<u8>),
}

impl Source {
    pub fn file(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self::File { file, bytes })
    }

    /// Size when it was opened. A recording may still be growing.
    pub fn len(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// `length` bytes from `at` on, or as many as there are. `buffer` is used where bytes must be
    /// copied.
    pub fn read<'a>(
        &'a self,
        at: u64,
        length: usize,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        let length = self.len().saturating_sub(at).min(length as u64) as usize;
        match self {
            Self::Bytes(bytes) => Ok(&bytes[at as usize..][..length]),
            Self::File { file, .. } => {
                buffer.resize(length, 0);
                file.read_exact_at(buffer, at)?;
                Ok(buffer)
            }
        }
    }
}
