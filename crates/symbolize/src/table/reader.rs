//! Answers from a table.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use profile::{NameSource, NoName, Svma};

use super::codes::Coded;
use super::layout::{CHECKED_FROM, Counts, HEADER_BYTES};
use super::{DECODER_VERSION, MAX_FRAMES};
use crate::{Found, FramePointer, SourceFrame};

/// Bit of a name answer that is a reason and no call.
pub(super) const REASON: u32 = 1 << 31;
/// No file; no outer call.
pub(super) const NONE: u32 = u32::MAX;

/// Why bytes are not taken for a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Cut off, altered, or never a table.
    #[error("not a symbol table, or damaged")]
    Damaged,
    /// Made by another version of this program.
    #[error("made by version {0} of the decoder")]
    OtherVersion(u32),
}

/// A table ready for look-ups. Opening reads it once, for its checksum; rows are checked when an
/// address asks for them.
#[derive(Debug)]
pub struct Table<'d> {
    key: &'d [u8],
    names: Ranges<'d>,
    frame_pointers: Ranges<'d>,
    calls: &'d [[u8; 16]],
    functions: &'d [[u8; 16]],
    string_ends: &'d [[u8; 4]],
    text: &'d [u8],
    /// Strings that were asked for: answers share them.
    strings: Vec<OnceLock<Option<Arc<str>>>>,
}

impl<'d> Table<'d> {
    /// Opens the bytes that [`super::TableBuilder::finish`] made.
    ///
    /// # Errors
    /// When they are not such bytes, or of another version.
    pub fn open(bytes: &'d [u8]) -> Result<Self, OpenError> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(OpenError::Damaged)?;
        let (version, checksum, counts) = Counts::read(header).ok_or(OpenError::Damaged)?;
        if version != DECODER_VERSION {
            return Err(OpenError::OtherVersion(version));
        }
        let at = counts.sections().filter(|s| s.text.end == bytes.len());
        let at = at.ok_or(OpenError::Damaged)?;
        if crc32fast::hash(&bytes[CHECKED_FROM..]) != checksum {
            return Err(OpenError::Damaged);
        }
        let string_ends = bytes[at.string_ends].as_chunks().0;
        // Strings that overlapped could be larger together than the file.
        if !string_ends.is_sorted_by_key(|end| u32::from_le_bytes(*end)) {
            return Err(OpenError::Damaged);
        }
        Ok(Self {
            key: &bytes[at.key],
            names: Ranges {
                starts: bytes[at.name_starts].as_chunks().0,
                rows: bytes[at.name_rows].as_chunks().0,
            },
            frame_pointers: Ranges {
                starts: bytes[at.frame_pointer_starts].as_chunks().0,
                rows: bytes[at.frame_pointer_rows].as_chunks().0,
            },
            calls: bytes[at.calls].as_chunks().0,
            functions: bytes[at.functions].as_chunks().0,
            string_ends,
            text: &bytes[at.text],
            strings: std::iter::repeat_with(OnceLock::new).take(string_ends.len()).collect(),
        })
    }

    /// What [`super::TableBuilder::finish`] was given.
    #[must_use]
    pub fn key(&self) -> &'d [u8] {
        self.key
    }

    /// The functions at an address, or why there are none; `None` when the table does not know.
    #[must_use]
    pub fn lookup(&self, address: Svma) -> Option<Found> {
        let (extent, answer) = self.names.find(address.0)?;
        Some(Found { names: self.names_of(answer)?, extent })
    }

    /// Whether the frame pointer is the function's own; `None` when the table does not know.
    #[must_use]
    pub fn frame_pointer(&self, address: Svma) -> Option<FramePointer> {
        self.frame_pointers.find(address.0).and_then(|(_, code)| FramePointer::of(code))
    }

    /// Every range of names with its answer.
    pub(super) fn name_rows(&self) -> impl Iterator<Item = (Range<u64>, u32)> + '_ {
        self.names.iter()
    }

    pub(super) fn call_count(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn all_frame_pointers(&self) -> impl Iterator<Item = (FramePointer, Range<u64>)> {
        self.frame_pointers
            .iter()
            .filter_map(|(extent, code)| Some((FramePointer::of(code)?, extent)))
    }

    fn names_of(&self, answer: u32) -> Option<Result<Vec<SourceFrame>, NoName>> {
        if answer & REASON != 0 {
            return NoName::of(answer & !REASON).map(Err);
        }
        let mut frames = Vec::new();
        let mut next = Some(answer);
        while let Some(call) = next {
            if frames.len() == MAX_FRAMES {
                return None;
            }
            let (frame, outer) = self.call(call)?;
            frames.push(frame);
            next = outer;
        }
        Some(Ok(frames))
    }

    /// A call, and the number of the one it is in. That one stands before it: a circle is no table
    /// of ours.
    pub(super) fn call(&self, number: u32) -> Option<(SourceFrame, Option<u32>)> {
        let [function, file, line, outer] = words(self.calls.get(number as usize)?);
        let outer = (outer != NONE).then_some(outer);
        if outer.is_some_and(|outer| outer >= number) {
            return None;
        }
        Some((self.frame(function, file, line)?, outer))
    }

    fn frame(&self, function: u32, file: u32, line: u32) -> Option<SourceFrame> {
        let [name, raw_name, start_line, source] = words(self.functions.get(function as usize)?);
        Some(SourceFrame {
            name: self.string(name)?,
            raw_name: self.string(raw_name)?,
            file: if file == NONE { None } else { Some(self.string(file)?) },
            line: line.checked_sub(1),
            start_line: start_line.checked_sub(1),
            inlined: source & 1 != 0,
            source: NameSource::of(source >> 1)?,
        })
    }

    fn string(&self, number: u32) -> Option<Arc<str>> {
        let number = number as usize;
        let read = || {
            let end = |row: usize| Some(u32::from_le_bytes(*self.string_ends.get(row)?) as usize);
            let start = number.checked_sub(1).map_or(Some(0), end)?;
            std::str::from_utf8(self.text.get(start..end(number)?)?).ok().map(Arc::from)
        };
        self.strings.get(number)?.get_or_init(read).clone()
    }
}

fn words(row: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(row.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Ranges of addresses with one answer each, sorted by a builder, in any order in a hostile file.
#[derive(Debug)]
struct Ranges<'d> {
    starts: &'d [[u8; 8]],
    rows: &'d [[u8; 8]],
}

impl Ranges<'_> {
    fn find(&self, address: u64) -> Option<(Range<u64>, u32)> {
        let after = self.starts.partition_point(|start| u64::from_le_bytes(*start) <= address);
        self.row(after.checked_sub(1)?).filter(|(range, _)| range.contains(&address))
    }

    fn row(&self, row: usize) -> Option<(Range<u64>, u32)> {
        let start = u64::from_le_bytes(*self.starts.get(row)?);
        let [a, b, c, d, e, f, g, h] = *self.rows.get(row)?;
        let length = u32::from_le_bytes([a, b, c, d]);
        Some((start..start.saturating_add(length.into()), u32::from_le_bytes([e, f, g, h])))
    }

    fn iter(&self) -> impl Iterator<Item = (Range<u64>, u32)> + '_ {
        (0..self.starts.len()).filter_map(|row| self.row(row))
    }
}
