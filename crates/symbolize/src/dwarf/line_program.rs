//! Runs a unit's line program: rows of (address, file, line), DWARF 5 section 6.2.

use super::Damaged;
use super::cursor::Cursor;
use super::line_header::Header;

/// From this address to the next row's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub address: u64,
    /// In the unit's file table; [`END`] ends a sequence.
    pub file_index: u32,
    /// 0: code that belongs to no line.
    pub line: u32,
}

/// Rows of one unit; what comes after so many has no lines. (An inflated section may hold a row in
/// every byte.)
const MAX_ROWS: usize = 4 << 20;

/// The file index of a sequence's end.
pub(super) const END: u32 = u32::MAX;

/// All sequences in order of their addresses, each with its end. Of sequences that overlap (dead
/// code at address 0, folded functions) the first holds. Where the program is damaged, what came
/// before holds.
pub(super) fn rows(header: &Header<'_>) -> Vec<Row> {
    let mut machine = Machine::new(header);
    let _ = machine.run();
    machine.rows.truncate(machine.start);
    in_order(machine.rows, machine.sequences)
}

/// Where a whole sequence lies, and its rows.
type Sequence = (u64, u64, std::ops::Range<usize>);

struct Machine<'h, 'a> {
    header: &'h Header<'a>,
    cursor: Cursor<'a>,
    address: u64,
    file_index: u32,
    line: u32,
    /// Code that the linker left out.
    is_dead: bool,
    rows: Vec<Row>,
    /// Where the sequence that is being read begins in `rows`.
    start: usize,
    sequences: Vec<Sequence>,
}

impl<'h, 'a> Machine<'h, 'a> {
    fn new(header: &'h Header<'a>) -> Self {
        let program = header.program;
        Self {
            header,
            cursor: Cursor::new(program, 0),
            address: 0,
            file_index: 1,
            line: 1,
            is_dead: false,
            // Most opcodes are special ones, each a row; many rows repeat the line before.
            rows: Vec::with_capacity((program.len() / 3).min(MAX_ROWS / 16)),
            start: 0,
            sequences: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Damaged> {
        let header = self.header;
        let (base, range) = (i32::from(header.line_base), header.line_range);
        let opcode_base = header.opcode_base();
        let step = u64::from(header.minimum_instruction_bytes);
        while !self.cursor.is_at_end() && self.rows.len() < MAX_ROWS {
            let opcode = self.cursor.u8()?;
            if opcode >= opcode_base {
                let special = opcode - opcode_base;
                self.advance(step * u64::from(special / range));
                self.line = self.line.wrapping_add_signed(base + i32::from(special % range));
                self.row();
                continue;
            }
            match gimli::DwLns(opcode) {
                gimli::DwLns(0) => self.extended()?,
                gimli::DW_LNS_copy => self.row(),
                gimli::DW_LNS_advance_pc => {
                    let count = self.cursor.uleb()?;
                    self.advance(count.wrapping_mul(step));
                }
                gimli::DW_LNS_advance_line => {
                    let lines = self.cursor.sleb()?;
                    self.line = self.line.wrapping_add(lines as u32);
                }
                gimli::DW_LNS_set_file => {
                    let index = self.cursor.uleb()?;
                    self.file_index = u32::try_from(index).unwrap_or(END - 1).min(END - 1);
                }
                gimli::DW_LNS_const_add_pc => {
                    self.advance(step * u64::from((255 - opcode_base) / range));
                }
                gimli::DW_LNS_fixed_advance_pc => {
                    let bytes = self.cursor.unsigned(2)?;
                    self.advance(bytes);
                }
                _ => self.skip_operands(opcode)?,
            }
        }
        Ok(())
    }

    /// Opcodes that change nothing we read, and those of the future.
    fn skip_operands(&mut self, opcode: u8) -> Result<(), Damaged> {
        let operands = &self.header.operands;
        let operands = operands.get(usize::from(opcode).wrapping_sub(1)).ok_or(Damaged)?;
        for _ in 0..*operands {
            self.cursor.uleb()?;
        }
        Ok(())
    }

    fn extended(&mut self) -> Result<(), Damaged> {
        let bytes = self.cursor.uleb()?;
        let start = self.cursor.position() as u64;
        let end = start.checked_add(bytes).ok_or(Damaged)?;
        if bytes == 0 {
            return Ok(());
        }
        match gimli::DwLne(self.cursor.u8()?) {
            gimli::DW_LNE_end_sequence => self.end_sequence(),
            gimli::DW_LNE_set_address => {
                let width = u8::try_from(bytes - 1).map_err(|_| Damaged)?;
                self.address = self.cursor.unsigned(width)?;
                // What linkers write for code they left out.
                let highest = u64::MAX >> (64 - 8 * u32::from(width));
                self.is_dead = self.address >= highest - 1;
            }
            _ => {}
        }
        self.cursor.jump(end)
    }

    fn advance(&mut self, bytes: u64) {
        self.address = self.address.wrapping_add(bytes);
    }

    fn row(&mut self) {
        let row = Row { address: self.address, file_index: self.file_index, line: self.line };
        let in_sequence = self.rows.len() > self.start;
        match self.rows.last_mut().filter(|_| in_sequence) {
            // Of several rows for one address the last one counts.
            Some(last) if last.address == row.address => *last = row,
            Some(last) if last.address > row.address => {} // nobody counts backwards
            Some(last) if (last.file_index, last.line) == (row.file_index, row.line) => {}
            _ => self.rows.push(row),
        }
    }

    fn end_sequence(&mut self) {
        let rows = &self.rows[self.start..];
        let begin = rows.first().map(|row| row.address);
        let last = rows.last().map(|row| row.address);
        match (begin, last) {
            (Some(begin), Some(last))
                if last <= self.address && begin < self.address && !self.is_dead =>
            {
                self.rows.push(Row { address: self.address, file_index: END, line: 0 });
                self.sequences.push((begin, self.address, self.start..self.rows.len()));
            }
            _ => self.rows.truncate(self.start),
        }
        self.start = self.rows.len();
        (self.address, self.file_index, self.line, self.is_dead) = (0, 1, 1, false);
    }
}

fn in_order(mut rows: Vec<Row>, mut sequences: Vec<Sequence>) -> Vec<Row> {
    if sequences.windows(2).all(|pair| pair[0].1 <= pair[1].0) {
        rows.shrink_to_fit();
        return rows;
    }
    sequences.sort_by_key(|(begin, end, _)| (*begin, *end));
    let mut sorted = Vec::with_capacity(rows.len());
    let mut reached = 0;
    for (begin, end, range) in sequences {
        if begin >= reached {
            sorted.extend_from_slice(&rows[range]);
            reached = end;
        }
    }
    sorted
}
