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
}

/// Read at a time: blocks of a quiet recording take 1 to 2 KiB, and a system call for each header and
/// each block was a fifth of the time to read an archive.
const WINDOW_BYTES: usize = 64 << 10;

/// A part of a source that moves along with its reader.
#[derive(Default)]
pub(crate) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// `length` bytes from `at` on, or as many as there are.
    pub fn read<'a>(
        &'a mut self,
        source: &'a Source,
        at: u64,
        length: usize,
    ) -> io::Result<&'a [u8]> {
        let left = source.len().saturating_sub(at);
        let length = left.min(length as u64) as usize;
        let file = match source {
            Source::Bytes(bytes) => return Ok(&bytes[at as usize..][..length]),
            Source::File { file, .. } => file,
        };
        let inside = |window: &Self| {
            let start = usize::try_from(at.checked_sub(window.at)?).ok()?;
            (start.checked_add(length)? <= window.bytes.len()).then_some(start)
        };
        let start = match inside(self) {
            Some(start) => start,
            None => {
                self.bytes.resize(left.min(length.max(WINDOW_BYTES) as u64) as usize, 0);
                // Whatever fails, the window holds nothing until it was filled.
                self.at = u64::MAX;
                file.read_exact_at(&mut self.bytes, at)?;
                self.at = at;
                0
            }
        };
        Ok(&self.bytes[start..][..length])
    }
}
