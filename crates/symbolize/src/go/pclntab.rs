//! The pclntab: header and function table.

use std::borrow::Cow;
use std::sync::Arc;

use super::function::Function;
use super::memory::Memory;
use super::strings::Strings;

/// Layout by the magic number. It is no Go version: Go 1.20 to 1.27 share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Layout {
    /// 0xfffffffa: absolute addresses.
    Go116,
    /// 0xfffffff0: offsets from the text base.
    Go118,
    /// 0xfffffff1: records have a start line.
    Go120,
}

/// A parsed header with its function table.
#[derive(Debug)]
pub(super) struct Pclntab<'d> {
    pub layout: Layout,
    /// Where it is in memory.
    pub address: u64,
    /// Smallest instruction: 1 on x86, 4 on ARM.
    pub quantum: u64,
    functions: Rows<'d>,
    /// Offset in the pclntab of the names, as the runtime's slices also state it.
    pub names_at: u64,
    /// Offset in the pclntab of the function table.
    pub functions_at: u64,
    pub strings: Strings<'d>,
    pub pc_values: &'d [u8],
    /// The function table and the records behind it: what their offsets count from.
    records: &'d [u8],
    memory: Arc<Memory<'d>>,
}

/// The function table: (entry, record's offset) pairs and the end of the last function.
#[derive(Debug)]
enum Rows<'d> {
    /// Offsets from the text base.
    Offsets(&'d [[u8; 8]], u64),
    /// Addresses, which position-independent programs relocate.
    Addresses(Cow<'d, [[u8; 16]]>, u64),
}

impl<'d> Pclntab<'d> {
    /// Parses and checks: all parts in place, functions in ascending order, each record inside.
    pub fn parse(bytes: &'d [u8], address: u64, memory: &Arc<Memory<'d>>) -> Option<Self> {
        let layout = match bytes.get(..8)? {
            [0xfa, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8] => Layout::Go116,
            [0xf0, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8] => Layout::Go118,
            [0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8] => Layout::Go120,
            _ => return None,
        };
        let word = |index: usize| word_at(bytes, 8 + 8 * index);
        // Since Go 1.18 the text base stands between the counts and the offsets.
        let skip = usize::from(layout != Layout::Go116);
        let count = usize::try_from(word(0)?).ok()?;
        let part = |index: usize| {
            let offset = word(2 + skip + index)?;
            bytes.get(usize::try_from(offset).ok()?..)
        };
        let (names, units, files) = (part(0)?, part(1)?, part(2)?);
        let (pc_values, records) = (part(3)?, part(4)?);
        // The linker writes the parts in this order, so each ends where the next begins.
        let up_to = |this: &'d [u8], next: &[u8]| this.get(..this.len().checked_sub(next.len())?);
        let strings =
            Strings::new(up_to(names, units)?, up_to(units, files)?, up_to(files, pc_values)?);
        let functions_at = word(6 + skip)?;
        let functions = if layout == Layout::Go116 {
            let rows = records.get(..count.checked_mul(16)?)?.as_chunks().0;
            let start = address.checked_add(functions_at)?;
            let end = memory.word(start.checked_add(count as u64 * 16)?)?;
            Rows::Addresses(relocated(rows, start, memory)?, end)
        } else {
            let rows = records.get(..count.checked_mul(8)?)?;
            Rows::Offsets(rows.as_chunks().0, u64::from(half_at(records, count * 8)?))
        };
        let table = Self {
            layout,
            address,
            quantum: u64::from(bytes[6]),
            functions,
            names_at: word(2 + skip)?,
            functions_at,
            strings,
            pc_values: up_to(pc_values, records)?,
            records,
            memory: Arc::clone(memory),
        };
        (count > 0 && table.is_ascending()).then_some(table)
    }

    fn is_ascending(&self) -> bool {
        let mut last = 0;
        (0..self.len()).all(|index| {
            let (entry, record) = self.row(index);
            let fits = entry >= last && record < self.records.len() as u64;
            last = entry;
            fits
        }) && last <= self.end()
    }

    pub fn len(&self) -> usize {
        match &self.functions {
            Rows::Offsets(rows, _) => rows.len(),
            Rows::Addresses(rows, _) => rows.len(),
        }
    }

    fn row(&self, index: usize) -> (u64, u64) {
        match &self.functions {
            Rows::Offsets(rows, _) => {
                let [a, b, c, d, e, f, g, h] = rows[index];
                (u32::from_le_bytes([a, b, c, d]).into(), u32::from_le_bytes([e, f, g, h]).into())
            }
            Rows::Addresses(rows, _) => {
                let row = u128::from_le_bytes(rows[index]);
                (row as u64, (row >> 64) as u64)
            }
        }
    }

    /// Start of the first function: offset from the text base, or address in the oldest layout.
    pub fn first(&self) -> u64 {
        self.row(0).0
    }

    /// End of the last function, likewise.
    pub fn end(&self) -> u64 {
        match self.functions {
            Rows::Offsets(_, end) | Rows::Addresses(_, end) => end,
        }
    }

    /// Whether entries are addresses and not offsets from the text base.
    pub fn is_absolute(&self) -> bool {
        self.layout == Layout::Go116
    }

    /// The function that holds an offset (or address, in the oldest layout).
    pub fn function_at(&self, offset: u64) -> Option<Function<'_, 'd>> {
        if offset >= self.end() {
            return None;
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.row(middle).0 <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.function(low.checked_sub(1)?)
    }

    /// Every function, in the order of their code.
    pub fn functions(&self) -> impl DoubleEndedIterator<Item = Function<'_, 'd>> {
        (0..self.len()).filter_map(|index| self.function(index))
    }

    /// The text base as the header states it; 0 since Go 1.26. `None` in layouts with addresses.
    pub fn stated_text(&self) -> Option<u64> {
        if self.is_absolute() { None } else { self.relocated_word(24) }
    }

    /// The word at an offset, relocated.
    pub fn relocated_word(&self, at: u64) -> Option<u64> {
        self.memory.word(self.address.checked_add(at)?)
    }

    fn function(&self, index: usize) -> Option<Function<'_, 'd>> {
        let (entry, record) = self.row(index);
        let next = if index + 1 < self.len() { self.row(index + 1).0 } else { self.end() };
        let bytes = self.records.get(usize::try_from(record).ok()?..)?;
        Some(Function::new(self, entry..next, bytes, self.functions_at.checked_add(record)?))
    }
}

/// The rows with what the loader would write into them.
fn relocated<'d>(
    rows: &'d [[u8; 16]],
    start: u64,
    memory: &Memory<'_>,
) -> Option<Cow<'d, [[u8; 16]]>> {
    let mut rows = Cow::Borrowed(rows);
    let end = start.checked_add(rows.len() as u64 * 16)?;
    for (address, value) in memory.relocations(start, end) {
        let at = usize::try_from(address - start).ok()?;
        let row = rows.to_mut().get_mut(at / 16)?;
        row.get_mut(at % 16..at % 16 + 8)?.copy_from_slice(&value.to_le_bytes());
    }
    Some(rows)
}

pub(super) fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn half_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
