//! The pclntab: header, function table, function records.

use super::pc_value;
use crate::symbol_table::MAX_NAME_BYTES;

/// Layout by the magic number. It is no Go version: Go 1.20 to 1.27 share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
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
    layout: Layout,
    /// Smallest instruction: 1 on x86, 4 on ARM.
    quantum: u64,
    /// Rows of the function table, and its end (`sentinel`).
    functions: Rows<'d>,
    /// As stated; 0 since Go 1.26. `None` in layouts with absolute addresses.
    pub text_start: Option<u64>,
    /// Offset in the pclntab of the names, as the runtime's slices also state it.
    pub names_at: u64,
    /// Offset in the pclntab of the function table.
    pub functions_at: u64,
    names: &'d [u8],
    pc_values: &'d [u8],
    /// What function offsets count from.
    records: &'d [u8],
}

/// The function table: (entry, record's offset) pairs and the end of the last function.
#[derive(Debug)]
enum Rows<'d> {
    /// Offsets from the text base.
    Offsets(&'d [[u8; 8]], u64),
    /// Addresses.
    Addresses(&'d [[u8; 16]], u64),
}

/// One function's record.
pub(super) struct Function<'p, 'd> {
    table: &'p Pclntab<'d>,
    entry: u64,
    record: &'d [u8],
}

impl<'d> Pclntab<'d> {
    /// Parses and checks: all parts in place, functions in ascending order, each record inside.
    pub fn parse(bytes: &'d [u8]) -> Option<Self> {
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
        let (names, units, pc_values, records) = (part(0)?, part(1)?, part(3)?, part(4)?);
        // The linker writes the parts in this order, so each ends where the next begins.
        let names = &names[..names.len().checked_sub(units.len())?];
        let pc_values = &pc_values[..pc_values.len().checked_sub(records.len())?];
        let functions = if layout == Layout::Go116 {
            let rows = records.get(..count.checked_mul(16)?)?;
            Rows::Addresses(rows.as_chunks().0, word_at(records, count * 16)?)
        } else {
            let rows = records.get(..count.checked_mul(8)?)?;
            Rows::Offsets(rows.as_chunks().0, u64::from(half_at(records, count * 8)?))
        };
        let table = Self {
            layout,
            quantum: u64::from(bytes[6]),
            functions,
            text_start: if skip == 1 { Some(word(2)?) } else { None },
            names_at: word(2 + skip)?,
            functions_at: word(6 + skip)?,
            names,
            pc_values,
            records,
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
        match self.functions {
            Rows::Offsets(rows, _) => rows.len(),
            Rows::Addresses(rows, _) => rows.len(),
        }
    }

    fn row(&self, index: usize) -> (u64, u64) {
        match self.functions {
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
        let (entry, record) = self.row(low.checked_sub(1)?);
        let record = self.records.get(usize::try_from(record).ok()?..)?;
        Some(Function { table: self, entry, record })
    }
}

impl<'d> Function<'_, 'd> {
    /// A 4-byte field, by its place behind the entry (which has 8 bytes in the oldest layout).
    fn field(&self, index: usize) -> Option<u32> {
        let entry_bytes = if self.table.layout == Layout::Go116 { 8 } else { 4 };
        half_at(self.record, entry_bytes + 4 * index)
    }

    /// Whether the record repeats the table's entry. Obfuscators encrypt it (garble, since 2022).
    pub fn is_consistent(&self) -> bool {
        let entry = match self.table.layout {
            Layout::Go116 => word_at(self.record, 0),
            Layout::Go118 | Layout::Go120 => half_at(self.record, 0).map(u64::from),
        };
        entry == Some(self.entry)
    }

    /// Whether it is a place holder for code that Go did not compile: it belongs to no compilation
    /// unit and has no line table.
    pub fn is_foreign(&self) -> bool {
        self.field(5) == Some(0) && self.field(7) == Some(u32::MAX)
    }

    /// The linker's name.
    pub fn name(&self) -> Option<&'d [u8]> {
        let name = self.table.names.get(self.field(0)? as usize..)?;
        let name = &name[..name.len().min(MAX_NAME_BYTES)];
        Some(&name[..name.iter().position(|b| *b == 0)?])
    }

    /// How far the stack pointer is below the caller's at an offset.
    pub fn stack_bytes(&self, offset: u64) -> Option<i32> {
        let table = self.table.pc_values.get(self.field(3)? as usize..)?;
        pc_value::value_at(table, self.table.quantum, offset.checked_sub(self.entry)?)
    }

    /// Whether the function's code reaches to an offset. The function table does not say where a
    /// function ends, only where the next one begins; between them stands padding. A function
    /// without a table of stack depths is taken to reach the next.
    pub fn reaches(&self, offset: u64) -> bool {
        self.field(3) == Some(0) || self.stack_bytes(offset).is_some()
    }

    /// Whether the runtime unwinds no further (`abi.FuncFlagTopFrame`, recorded since Go 1.17).
    pub fn is_outermost(&self) -> bool {
        // funcID, flag, padding, count of funcdata; behind the start line where there is one.
        let word = if self.table.layout == Layout::Go120 { 9 } else { 8 };
        self.field(word).is_some_and(|word| word >> 8 & 1 != 0)
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
