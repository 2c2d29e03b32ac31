//! Where the return address of a Go function stands, by the tables that Go's runtime keeps of its code.
//!
//! Go's code keeps frame pointers: beyond a function that has set its own the chain says it all, and no word of
//! the stack is needed. The others are at their first or last instruction, or have no frame: then the return
//! address is needed, which stands where the stack pointer is. So of nearly every sample in Go code nothing is
//! stored but the chain. The function table (pclntab) of Go 1.18 and later says how far the stack pointer is below
//! the return address; of older programs, and of those without a section table, all is kept that a frame may need.
//! Source: Go's `src/internal/abi/symtab.go`, `src/runtime/symtab.go`.

use std::fs::File;

use profile::{Segment, Svma};
use rustc_hash::FxHashMap;

use crate::elf_facts::{self, ElfFacts};
use crate::go_runtime::GoRuntime;
use crate::open_mapped::read_fully;

/// Programs whose tables are open at a time, and functions of each that are remembered: bound memory.
const MAX_PROGRAMS: usize = 64;
const MAX_FUNCTIONS: usize = 16 << 10;
/// A section table, and the names of sections, that are larger are no Go program's.
const MAX_SECTIONS_BYTES: u64 = 64 << 10;
const SECTION_BYTES: usize = 64;
/// Of a function's table of stack depths: enough for some hundred changes.
const DEPTHS_BYTES: usize = 1 << 10;
/// Position-independent programs have it in a section of the second name (before Go 1.26 or so).
const TABLE_SECTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];
const CODE_SECTION: &[u8] = b".text";
/// Code is counted in bytes, addresses have eight: x86-64.
const HEADER: [[u8; 8]; 2] =
    [[0xf0, 0xff, 0xff, 0xff, 0, 0, 1, 8], [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]];

/// Device and inode of a program's file.
type FileId = ((u32, u32), u64);

/// The tables of all Go programs that were sampled.
#[derive(Default, Debug)]
pub(crate) struct GoFrames {
    /// `None`: the program's table is not understood.
    programs: FxHashMap<FileId, Option<Program<File>>>,
}

impl GoFrames {
    /// How many bytes above the stack pointer the return address stands when the program is at this offset of its
    /// file; `None` where it is not known. `open` opens the file when it is needed.
    pub(crate) fn return_address_at(
        &mut self,
        facts: &ElfFacts,
        file_offset: u64,
        open: impl FnOnce() -> Option<File>,
    ) -> Option<u32> {
        let runtime = facts.go_runtime.as_ref()?;
        let id = (facts.dev, facts.inode);
        if self.programs.len() >= MAX_PROGRAMS && !self.programs.contains_key(&id) {
            self.programs.clear();
        }
        let program = self.programs.entry(id).or_insert_with(|| {
            let file = open()?;
            Program::open(file, &facts.segments, runtime)
        });
        program.as_mut()?.return_address_at(file_offset)
    }
}

/// What a program is read from.
trait Bytes {
    /// As many of so many bytes as there are.
    fn read(&self, offset: u64, length: usize) -> Vec<u8>;

    fn u32(&self, offset: u64) -> Option<u32> {
        self.read(offset, 4).first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&self, offset: u64) -> Option<u64> {
        self.read(offset, 8).first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

impl Bytes for File {
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        read_fully(self, offset, length)
    }
}

/// The function table of one program. All places are file offsets.
#[derive(Debug)]
struct Program<B> {
    bytes: B,
    /// Rows of (entry, record), and the end of the last function.
    functions_at: u64,
    count: u32,
    depths_at: u64,
    /// What entries count from.
    code_at: u64,
    /// By entry.
    known: FxHashMap<u32, Option<Function>>,
}

/// How far the stack pointer is below the return address, up to these distances from the entry.
#[derive(Debug)]
struct Function(Vec<(u32, u32)>);

impl<B: Bytes> Program<B> {
    fn open(bytes: B, segments: &[Segment], runtime: &GoRuntime) -> Option<Self> {
        let sections = sections(&bytes)?;
        let section = |wanted: &[u8]| sections.iter().find(|(name, _)| name == wanted);
        let (_, table_at) = TABLE_SECTIONS.into_iter().find_map(section)?;
        let header = bytes.read(*table_at, 8 * 9);
        let (words, _) = header.as_chunks::<8>();
        let [magic, words @ ..] = words else { return None };
        if !HEADER.contains(magic) {
            return None;
        }
        let word = |index: usize| words.get(index).map(|word| u64::from_le_bytes(*word));
        let [count, stated, depths, functions] = [word(0)?, word(2)?, word(6)?, word(7)?];
        let mut program = Self {
            bytes,
            functions_at: table_at.checked_add(functions)?,
            count: u32::try_from(count).ok()?,
            depths_at: table_at.checked_add(depths)?,
            code_at: 0,
            known: FxHashMap::default(),
        };
        // The header no longer states it since Go 1.26, and relocations do in position-independent programs; then
        // Go's code is all there is, or C code comes first and it is not known.
        let stated = elf_facts::offset_of(segments, Svma(stated));
        let first = section(CODE_SECTION).map(|(_, at)| *at);
        // Since Go 1.21 or so, what is known of the first of two functions is a place behind its entry.
        let fits = |code_at: &u64| {
            let behind_entry = |function: u64| {
                let within = u32::try_from(function.checked_sub(*code_at)?).ok()?;
                Some(within - program.row(within)?.entry)
            };
            behind_entry(runtime.switch_at).is_some_and(|bytes| bytes <= 8)
                && behind_entry(runtime.save_at) == Some(0)
        };
        program.code_at = [stated, first].into_iter().flatten().find(fits)?;
        Some(program)
    }

    /// See [`GoFrames::return_address_at`].
    fn return_address_at(&mut self, file_offset: u64) -> Option<u32> {
        let within = u32::try_from(file_offset.checked_sub(self.code_at)?).ok()?;
        let row = self.row(within)?;
        if self.known.len() >= MAX_FUNCTIONS {
            self.known.clear();
        }
        if !self.known.contains_key(&row.entry) {
            let function = self.function(&row);
            self.known.insert(row.entry, function);
        }
        self.known.get(&row.entry)?.as_ref()?.depth(within - row.entry)
    }

    /// The row of the function that holds a place in the code.
    fn row(&self, within: u32) -> Option<Row> {
        let read = |index: u32| {
            let row = self.bytes.u64(self.functions_at.checked_add(u64::from(index) * 8)?)?;
            Some((row as u32, (row >> 32) as u32))
        };
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if read(middle)?.0 <= within { low = middle + 1 } else { high = middle }
        }
        let (entry, record) = read(low.checked_sub(1)?)?;
        let end = self.bytes.u32(self.functions_at.checked_add(u64::from(low) * 8)?)?;
        (within < end).then_some(Row { entry, end, record })
    }

    fn function(&self, row: &Row) -> Option<Function> {
        /// Entry, name, arguments, place of a deferred return; then the depths.
        const DEPTHS: usize = 4;
        let record = self.bytes.read(self.functions_at.checked_add(row.record.into())?, 40);
        let (fields, _) = record.as_chunks::<4>();
        let field = |index: usize| fields.get(index).map(|field| u32::from_le_bytes(*field));
        let depths = field(DEPTHS).filter(|at| *at != 0 && field(0) == Some(row.entry))?;
        let table = self.bytes.read(self.depths_at.checked_add(depths.into())?, DEPTHS_BYTES);
        Some(Function::parse(&table, row.end - row.entry))
    }
}

/// A row of the function table.
struct Row {
    entry: u32,
    end: u32,
    record: u32,
}

impl Function {
    /// Reads pairs of a change (zig-zag coded, from -1 on) and the length of code that it holds for.
    fn parse(mut table: &[u8], size_bytes: u32) -> Self {
        let (mut runs, mut depth, mut end) = (Vec::new(), -1_i32, 0_u32);
        while end < size_bytes {
            let Some((change, length)) = varint(&mut table).zip(varint(&mut table)) else { break };
            let magnitude = (change >> 1).cast_signed();
            depth = depth.wrapping_add(if change & 1 == 0 { magnitude } else { !magnitude });
            let Some(next) = end.checked_add(length).filter(|next| *next > end) else { break };
            let Ok(known) = u32::try_from(depth) else { break };
            end = next;
            runs.push((end, known));
        }
        Self(runs)
    }

    fn depth(&self, within: u32) -> Option<u32> {
        let index = self.0.partition_point(|(end, _)| *end <= within);
        self.0.get(index).map(|(_, depth)| *depth).filter(|depth| depth.is_multiple_of(8))
    }
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..32).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Names and places of a 64-bit program's sections.
fn sections(bytes: &impl Bytes) -> Option<Vec<(Vec<u8>, u64)>> {
    let header = bytes.read(0, 64);
    let half = |at: usize| header.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let (count, names) = (usize::from(half(60)?), usize::from(half(62)?));
    let table = bytes.read(bytes.u64(40)?, count * SECTION_BYTES);
    let (rows, _) = table.as_chunks::<SECTION_BYTES>();
    let word = |row: &[u8; SECTION_BYTES], at: usize| {
        row[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let names = rows.get(names)?;
    let names = bytes.read(word(names, 24), word(names, 32).min(MAX_SECTIONS_BYTES) as usize);
    let name = |row: &[u8; SECTION_BYTES]| {
        let name = names.get(word(row, 0) as u32 as usize..)?;
        Some(name.split(|byte| *byte == 0).next()?.to_vec())
    };
    Some(rows.iter().filter_map(|row| Some((name(row)?, word(row, 24)))).collect())
}

#[cfg(test)]
#[path = "go_frames_tests.rs"]
mod tests;
