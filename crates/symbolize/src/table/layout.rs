//! Where the sections of a table stand.

use std::ops::Range;

use super::DECODER_VERSION;

pub(super) const MAGIC: [u8; 8] = *b"FLAMESYM";
/// Magic and ten numbers of 32 bits.
pub(super) const HEADER_BYTES: usize = 48;
/// The checksum covers everything from here.
pub(super) const CHECKED_FROM: usize = 16;

/// Rows of each section.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub key_bytes: u32,
    pub names: u32,
    pub frame_pointers: u32,
    pub calls: u32,
    pub functions: u32,
    pub strings: u32,
    pub text_bytes: u32,
}

/// Byte ranges in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sections {
    pub key: Range<usize>,
    pub name_starts: Range<usize>,
    pub name_rows: Range<usize>,
    pub frame_pointer_starts: Range<usize>,
    pub frame_pointer_rows: Range<usize>,
    pub calls: Range<usize>,
    pub functions: Range<usize>,
    pub string_ends: Range<usize>,
    pub text: Range<usize>,
}

impl Counts {
    /// The header of a table whose bytes from [`CHECKED_FROM`] on have this checksum.
    pub fn header(&self, checksum: u32) -> [u8; HEADER_BYTES] {
        let Self { key_bytes, names, frame_pointers, calls, functions, strings, text_bytes } =
            *self;
        let words = [
            DECODER_VERSION,
            checksum,
            key_bytes,
            names,
            frame_pointers,
            calls,
            functions,
            strings,
            text_bytes,
            0,
        ];
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        for (to, word) in header[8..].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        header
    }

    /// Version, checksum and counts of a header.
    pub fn read(header: &[u8; HEADER_BYTES]) -> Option<(u32, u32, Self)> {
        if header[..8] != MAGIC {
            return None;
        }
        let mut words = [0; 10];
        for (word, bytes) in words.iter_mut().zip(header[8..].as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let [
            version,
            checksum,
            key_bytes,
            names,
            frame_pointers,
            calls,
            functions,
            strings,
            text_bytes,
            _,
        ] = words;
        let counts =
            Self { key_bytes, names, frame_pointers, calls, functions, strings, text_bytes };
        Some((version, checksum, counts))
    }

    /// Where everything stands; `None` when no memory could hold it.
    pub fn sections(&self) -> Option<Sections> {
        let mut at = HEADER_BYTES;
        let mut section = |rows: u32, row_bytes: usize| {
            let start = at;
            at = at.checked_add(usize::try_from(rows).ok()?.checked_mul(row_bytes)?)?;
            Some(start..at)
        };
        Some(Sections {
            key: section(self.key_bytes, 1)?,
            name_starts: section(self.names, 8)?,
            name_rows: section(self.names, 8)?,
            frame_pointer_starts: section(self.frame_pointers, 8)?,
            frame_pointer_rows: section(self.frame_pointers, 8)?,
            calls: section(self.calls, 16)?,
            functions: section(self.functions, 16)?,
            string_ends: section(self.strings, 4)?,
            text: section(self.text_bytes, 1)?,
        })
    }
}
