//! One function's record in the pclntab.

use std::ops::Range;

use super::pc_value::{self, Budget, Run};
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
        let run = self.run(self.field(field::STACK)?, within, &mut Budget::new())?;
        Some(run.value)
    }

    /// The number of the source file in the compilation unit.
    pub fn file(&self, within: u64, budget: &mut Budget) -> Option<Run> {
        self.run(self.field(field::FILE)?, within, budget)
    }

    /// The source line.
    pub fn line(&self, within: u64, budget: &mut Budget) -> Option<Run> {
        self.run(self.field(field::LINE)?, within, budget)
    }

    /// The code around `within` that belongs to the function for sure. The function table does not
    /// say where a function ends, only where the next one begins; between them stands padding. The
    /// tables of lines and stack depths end with the function; one without either is taken to reach
    /// the next.
    pub fn reach(&self, within: u64, budget: &mut Budget) -> Option<Range<u64>> {
        for table in [field::LINE, field::STACK] {
            match self.field(table)? {
                0 => {}
                table => return self.run(table, within, budget).map(|run| run.extent),
            }
        }
        Some(0..self.extent.end - self.extent.start)
    }

    /// The innermost inlined call that an address belongs to, by its number in the function's tree;
    /// negative where there is none. `None` when the function has no inlined calls.
    pub fn inline_index(&self, within: u64, budget: &mut Budget) -> Option<Run> {
        if self.field(field::PCDATA_COUNT)? as usize <= INLINE_INDEX {
            return None;
        }
        let table = self.field(self.kind_at() + 1 + INLINE_INDEX)?;
        self.run(table, within, budget)
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
        let pcdata_count = self.field(field::PCDATA_COUNT)? as usize;
        pcdata_count
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

    /// The run of a table that begins at an offset in the tables of values (0: no table).
    fn run(&self, table: u32, within: u64, budget: &mut Budget) -> Option<Run> {
        if table == 0 {
            return None;
        }
        let table_bytes = self.table.pc_values.get(table as usize..)?;
        pc_value::run_at(table_bytes, self.table.quantum, within, budget)
    }
}
