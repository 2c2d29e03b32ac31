//! Makes a table.

use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use profile::Svma;
use rustc_hash::FxHashMap;

use super::codes::Coded;
use super::layout::{CHECKED_FROM, Counts};
use super::reader::{NONE, REASON, Table};
use super::{MAX_FRAMES, layout};
use crate::{Found, FramePointer, SourceFrame};

/// Gathers answers, in any order, and writes them as a table.
///
/// What cannot be stored exactly is left out: a table may lack an answer, it never alters one.
#[derive(Default, Debug)]
pub struct TableBuilder {
    names: Vec<Row>,
    frame_pointers: Vec<Row>,
    calls: Interner<[u32; 4]>,
    functions: Interner<[u32; 4]>,
    strings: Interner<Arc<str>>,
    text_bytes: usize,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The answer is true here, whatever becomes of the rest of its range.
    asked: u64,
    begin: u64,
    end: u64,
    answer: u32,
}

/// Values by number, in order of appearance.
#[derive(Debug)]
struct Interner<T> {
    values: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: FxHashMap::default() }
    }
}

impl<T: Hash + Eq + Clone> Interner<T> {
    fn intern(&mut self, value: T) -> Option<u32> {
        if let Some(number) = self.numbers.get(&value) {
            return Some(*number);
        }
        // Numbers with the upper bit mean something else.
        let number = u32::try_from(self.values.len()).ok().filter(|n| *n < REASON)?;
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        Some(number)
    }
}

impl TableBuilder {
    /// With everything that a table holds.
    #[must_use]
    pub fn with(table: &Table<'_>) -> Self {
        let mut builder = Self::default();
        let mut calls: Vec<Option<u32>> = Vec::with_capacity(table.call_count());
        for number in 0..table.call_count() as u32 {
            let copied = table.call(number).and_then(|(frame, outer)| {
                let outer = outer.map_or(Some(NONE), |outer| calls[outer as usize]);
                builder.call(&frame, outer?)
            });
            calls.push(copied);
        }
        for (extent, answer) in table.name_rows() {
            let copied = match answer & REASON {
                0 => calls.get(answer as usize).copied().flatten(),
                _ => Some(answer),
            };
            if let Some(answer) = copied {
                builder.names.push(Row::new(Svma(extent.start), &extent, answer));
            }
        }
        for (answer, extent) in table.all_frame_pointers() {
            builder.add_frame_pointer(Svma(extent.start), answer, extent);
        }
        builder
    }

    /// Adds what a look-up of names answered.
    pub fn add_names(&mut self, asked: Svma, found: &Found) {
        let answer = match &found.names {
            Ok(frames) => self.chain(frames),
            Err(reason) => reason.code().map(|code| REASON | code),
        };
        if let Some(answer) = answer {
            self.names.push(Row::new(asked, &found.extent, answer));
        }
    }

    /// Adds what a look-up of the frame pointer answered.
    pub fn add_frame_pointer(&mut self, asked: Svma, answer: FramePointer, extent: Range<u64>) {
        if let Some(code) = answer.code() {
            self.frame_pointers.push(Row::new(asked, &extent, code));
        }
    }

    /// The number of the innermost call.
    fn chain(&mut self, frames: &[SourceFrame]) -> Option<u32> {
        if frames.is_empty() || frames.len() > MAX_FRAMES {
            return None;
        }
        frames.iter().rev().try_fold(NONE, |outer, frame| self.call(frame, outer))
    }

    fn call(&mut self, frame: &SourceFrame, outer: u32) -> Option<u32> {
        let function = [
            self.string(&frame.name)?,
            self.string(&frame.raw_name)?,
            one_more(frame.start_line)?,
            frame.source.code()? << 1 | u32::from(frame.inlined),
        ];
        let function = self.functions.intern(function)?;
        let file = frame.file.as_ref().map_or(Some(NONE), |file| self.string(file))?;
        self.calls.intern([function, file, one_more(frame.line)?, outer])
    }

    fn string(&mut self, text: &Arc<str>) -> Option<u32> {
        let before = self.strings.values.len();
        let text_bytes = self.text_bytes.checked_add(text.len())?;
        u32::try_from(text_bytes).ok()?;
        let number = self.strings.intern(Arc::clone(text))?;
        if self.strings.values.len() > before {
            self.text_bytes = text_bytes;
        }
        Some(number)
    }

    /// The table's bytes; `None` when there are too many rows for one table.
    #[must_use]
    pub fn finish(self, key: &[u8]) -> Option<Vec<u8>> {
        let names = flatten(self.names);
        let frame_pointers = flatten(self.frame_pointers);
        let count = |rows: usize| u32::try_from(rows).ok();
        let counts = Counts {
            key_bytes: count(key.len())?,
            names: count(names.len())?,
            frame_pointers: count(frame_pointers.len())?,
            calls: count(self.calls.values.len())?,
            functions: count(self.functions.values.len())?,
            strings: count(self.strings.values.len())?,
            text_bytes: count(self.text_bytes)?,
        };
        let mut out = Vec::with_capacity(counts.sections()?.text.end);
        out.resize(layout::HEADER_BYTES, 0);
        out.extend_from_slice(key);
        for rows in [&names, &frame_pointers] {
            out.extend(rows.iter().flat_map(|row| row.begin.to_le_bytes()));
            out.extend(rows.iter().flat_map(|row| row.to_bytes()));
        }
        for rows in [&self.calls.values, &self.functions.values] {
            out.extend(rows.iter().flatten().flat_map(|word| word.to_le_bytes()));
        }
        let mut end = 0u32;
        for text in &self.strings.values {
            end += text.len() as u32; // the sum fits, see `string`
            out.extend_from_slice(&end.to_le_bytes());
        }
        for text in &self.strings.values {
            out.extend_from_slice(text.as_bytes());
        }
        out[..layout::HEADER_BYTES].copy_from_slice(&counts.header(0));
        let checksum = crc32fast::hash(&out[CHECKED_FROM..]);
        out[..layout::HEADER_BYTES].copy_from_slice(&counts.header(checksum));
        Some(out)
    }
}

/// A line as it is stored: 0 is none.
fn one_more(line: Option<u32>) -> Option<u32> {
    line.map_or(Some(0), |line| line.checked_add(1))
}

/// How far to each side of the address asked a row reaches: lengths are stored in 32 bits.
const MAX_REACH: u64 = 1 << 30;

impl Row {
    fn new(Svma(asked): Svma, extent: &Range<u64>, answer: u32) -> Self {
        let begin = extent.start.min(asked).max(asked.saturating_sub(MAX_REACH));
        let end = extent.end.max(asked.saturating_add(1)).min(asked.saturating_add(MAX_REACH));
        Self { asked, begin, end, answer }
    }

    fn to_bytes(self) -> [u8; 8] {
        let length = (self.end - self.begin) as u32; // `flatten` keeps it that short
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..].copy_from_slice(&self.answer.to_le_bytes());
        bytes
    }
}

/// Disjoint rows in ascending order; neighbours with the same answer become one.
///
/// Every row keeps its answer at the address that was asked. Two rows that overlap should agree;
/// if they do not, the one asked further up begins where it was asked.
fn flatten(mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| row.begin <= row.asked && row.asked < row.end);
    rows.sort_by_key(|row| row.asked);
    let mut flat: Vec<Row> = Vec::with_capacity(rows.len());
    for mut row in rows {
        if let Some(last) = flat.last_mut() {
            if row.answer == last.answer && row.begin <= last.end {
                let longest = last.begin.saturating_add(u32::MAX.into());
                if row.asked < longest {
                    last.asked = row.asked;
                    last.end = last.end.max(row.end.min(longest));
                    continue;
                }
            }
            if row.asked == last.asked {
                continue;
            }
            last.end = last.end.min(row.asked);
            row.begin = row.begin.max(last.end);
        }
        flat.push(row);
    }
    flat
}

#[cfg(test)]
mod tests {
    use profile::NoName;

    use super::*;

    fn flat(rows: &[(u64, Range<u64>, u32)]) -> Vec<(Range<u64>, u32)> {
        let rows =
            rows.iter().map(|(asked, extent, answer)| Row::new(Svma(*asked), extent, *answer));
        flatten(rows.collect()).into_iter().map(|row| (row.begin..row.end, row.answer)).collect()
    }

    #[test]
    fn rows_become_disjoint_and_neighbours_that_agree_become_one() {
        let rows = [(30, 30..40, 1), (12, 10..20, 1), (15, 10..20, 1), (20, 20..30, 1)];
        assert_eq!(flat(&rows), [(10..40, 1)]);
        assert_eq!(
            flat(&[(5, 5..6, 1), (6, 6..7, 2), (8, 8..9, 2)]),
            [(5..6, 1), (6..7, 2), (8..9, 2)]
        );
    }

    #[test]
    fn a_row_is_true_where_it_was_asked_even_if_extents_contradict_each_other() {
        assert_eq!(flat(&[(12, 10..30, 1), (20, 15..25, 2)]), [(10..20, 1), (20..25, 2)]);
        assert_eq!(flat(&[(12, 10..15, 1), (20, 11..25, 2)]), [(10..15, 1), (15..25, 2)]);
        assert_eq!(flat(&[(12, 10..15, 1), (12, 12..13, 2)]), [(10..15, 1)]);
        assert_eq!(flat(&[(12, 0..0, 1)]), [(0..13, 1)], "an extent holds its address");
    }

    #[test]
    fn a_row_is_no_longer_than_its_length_can_say() {
        let far = 6 * MAX_REACH;
        let rows = [(far, 0..u64::MAX, 1), (far + MAX_REACH, 0..u64::MAX, 1)];
        assert_eq!(flat(&rows), [(far - MAX_REACH..far + 2 * MAX_REACH, 1)]);
        let many: Vec<_> = (0..9).map(|i| (i * MAX_REACH, 0..u64::MAX, 1)).collect();
        let rows = flat(&many);
        assert!(rows.iter().all(|(range, _)| range.end - range.start <= u32::MAX.into()));
        assert!(rows.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
    }

    #[test]
    fn what_cannot_be_stored_exactly_is_left_out() {
        let mut builder = TableBuilder::default();
        let found = |names| Found { names, extent: 4..5 };
        builder.add_names(Svma(4), &found(Ok(Vec::new())));
        assert!(builder.names.is_empty());
        builder.add_names(Svma(4), &found(Err(NoName::OutOfRange)));
        assert_eq!(builder.names.len(), 1);
        assert_eq!(one_more(Some(u32::MAX)), None);
    }
}
