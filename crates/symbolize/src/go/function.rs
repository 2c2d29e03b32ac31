//! One function's record in the pclntab.

use std::ops::Range;

use super::pc_value;
use super::pclntab::{Layout, Pclntab, half_at};

/// Fields of 4 bytes by their place behind the entry.
mod field {
    pub const NAME: usize = 0;
    pub const STACK: usize = 3;
    pub const FILE: usize = 4;
    pub const LINE: usize = 5;
    pub const PCDATA_COUNT: usize = 6;
    pub const UNIT: usize = 7;
    /// Since Go 1.20.
    pub const START_LINE: usize = 8;
}

/// Number of the table that says which inlined call an address belongs to.
const INLINE_INDEX: usize = 2;
/// Number of the data that describes the inlined calls.
const INLINE_TREE: usize = 3;

/// One function's record.
pub(super) struct Function<'p, 'd> {
    table: &'p Pclntab<'d>,
    /// From its entry to the next one's: offsets from the text base, or addresses in the oldest
    /// layout.
    pub extent: Range<u64>,
    record: &'d [u8],
    /// Offset of the record in the pclntab.
    record_at: u64,
}

impl<'p, 'd> Function<'p, 'd> {
    pub fn new(
        table: &'p Pclntab<'d>,
        extent: Range<u64>,
        record: &'d [u8],
        record_at: u64,
    ) -> Self {
        Self { table, extent, record, record_at }
    }

    fn entry_bytes(&self) -> usize {
        if self.table.layout == Layout::Go116 { 8 } else { 4 }
    }

    fn field(&self, index: usize) -> Option<u32> {
        half_at(self.record, self.entry_bytes() + 4 * index)
    }

    fn pcdata_count(&self) -> usize {
        self.field(field::PCDATA_COUNT).unwrap_or(0) as usize
    }

    /// `funcID`, flags, padding, count of FUNCDATA: a byte each.
    fn kind(&self) -> Option<[u8; 4]> {
        Some(self.field(self.kind_at())?.to_le_bytes())
    }

    fn kind_at(&self) -> usize {
        field::START_LINE + usize::from(self.table.layout >= Layout::Go120)
    }

    /// Whether the record repeats the table's entry. Obfuscators encrypt it (garble, since 2022).
    pub fn is_consistent(&self) -> bool {
        let entry = match self.table.layout {
            Layout::Go116 => self.table.relocated_word(self.record_at),
            Layout::Go118 | Layout::Go120 => half_at(self.record, 0).map(u64::from),
        };
        entry == Some(self.extent.start)
    }

    /// Smallest instruction: what tables of values count in.
    pub fn quantum(&self) -> u64 {
        self.table.quantum
    }

    /// Whether it is a place holder for code that Go did not compile: it belongs to no compilation
    /// unit and has no line table.
    pub fn is_foreign(&self) -> bool {
        self.field(field::LINE) == Some(0) && self.unit() == Some(u32::MAX)
    }

    /// Where the linker's name stands.
    pub fn name_at(&self) -> Option<u32> {
        self.field(field::NAME)
    }

    /// First row of the function's compilation unit in the table of files.
    pub fn unit(&self) -> Option<u32> {
        self.field(field::UNIT)
    }

    /// The line on which the function begins.
    pub fn start_line(&self) -> Option<u32> {
        if self.table.layout < Layout::Go120 {
            return None;
        }
        self.field(field::START_LINE)
    }

    /// What the runtime calls `funcID`.
    pub fn id(&self) -> Option<u8> {
        self.kind().map(|[id, ..]| id)
    }

    /// Whether the runtime unwinds no further (`abi.FuncFlagTopFrame`, recorded since Go 1.17).
    pub fn is_outermost(&self) -> bool {
        self.kind().is_some_and(|[_, flags, ..]| flags & 1 != 0)
    }

    /// How far the stack pointer is below the caller's, `within` bytes behind the entry.
    pub fn stack_bytes(&self, within: u64) -> Option<i32> {
        pc_value::value_at(self.stack_depths()?, self.table.quantum, within)
    }

    /// How many bytes its code has at most.
    pub fn size_bytes(&self) -> u64 {
        self.extent.end - self.extent.start
    }

    /// Which inlined call an address belongs to, by its number in the function's tree; negative where
    /// there is none.
    pub fn inline_index(&self) -> Option<&'d [u8]> {
        if self.pcdata_count() <= INLINE_INDEX {
            return None;
        }
        self.pc_values(self.kind_at() + 1 + INLINE_INDEX)
    }

    /// The source lines.
    pub fn lines(&self) -> Option<&'d [u8]> {
        self.pc_values(field::LINE)
    }

    /// The numbers of the source files in the compilation unit.
    pub fn files(&self) -> Option<&'d [u8]> {
        self.pc_values(field::FILE)
    }

    /// How far the stack pointer is below the caller's.
    pub fn stack_depths(&self) -> Option<&'d [u8]> {
        self.pc_values(field::STACK)
    }

    /// The table of values that a field tells the place of (0: there is none).
    fn pc_values(&self, index: usize) -> Option<&'d [u8]> {
        let at = self.field(index).filter(|at| *at != 0)?;
        self.table.pc_values.get(at as usize..)
    }

    /// Where the inlined calls are described: an offset from the base of such data, or an address in
    /// the oldest layout.
    pub fn inline_tree(&self) -> Option<u64> {
        let [.., count] = self.kind()?;
        if usize::from(count) <= INLINE_TREE {
            return None;
        }
        let first = self.first_funcdata()?;
        if self.table.layout == Layout::Go116 {
            let at = first.next_multiple_of(8) + 8 * INLINE_TREE;
            return self.table.relocated_word(self.record_at + at as u64).filter(|a| *a != 0);
        }
        let offset = half_at(self.record, first + 4 * INLINE_TREE)?;
        (offset != u32::MAX).then_some(offset.into())
    }

    /// Where the FUNCDATA begin in the record. In the oldest layout they are pointers, aligned to 8
    /// bytes as the records are.
    fn first_funcdata(&self) -> Option<usize> {
        self.pcdata_count()
            .checked_mul(4)?
            .checked_add(self.entry_bytes() + 4 * (self.kind_at() + 1))
            .filter(|at| *at <= self.record.len())
    }

    /// Offset in the pclntab behind the record.
    pub fn record_end(&self) -> Option<u64> {
        let [.., funcdata_count] = self.kind()?;
        let funcdata_bytes = 4 * usize::from(funcdata_count);
        Some(self.record_at + self.first_funcdata()? as u64 + funcdata_bytes as u64)
    }
}
