//! Which file and line an address belongs to, from one unit's line program.

use std::sync::{Arc, OnceLock};

use gimli::{AttributeValue, Dwarf, Section as _};

use super::unit::Unit;
use super::{Damaged, Slice};

/// Longer paths are cut: beyond what any file system opens.
const MAX_PATH_BYTES: usize = 8 << 10;

/// From this address to the next row's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    address: u64,
    /// In the unit's file table; `u32::MAX` ends a sequence.
    file_index: u32,
    /// 0: code that belongs to no line.
    pub line: u32,
}

/// A row as an answer.
pub(super) struct FoundRow {
    pub file: u64,
    pub line: u32,
}

const END: u32 = u32::MAX;

/// A unit's lines.
#[derive(Debug)]
pub(super) struct Lines {
    rows: Vec<Row>,
    version: u16,
    comp_dir: PathPart,
    directories: Vec<PathPart>,
    files: Vec<File>,
}

/// A text by its place, so that nothing is copied until a look-up needs it.
#[derive(Clone, Copy, Debug)]
enum PathPart {
    None,
    Info(usize),
    Line(usize),
    Str(usize),
    LineStr(usize),
    SupplementStr(usize),
}

#[derive(Debug)]
struct File {
    directory: u64,
    name: PathPart,
    path: OnceLock<Arc<str>>,
}

impl Lines {
    /// Runs a unit's line program. Where it is damaged, what came before holds.
    pub fn read<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<'a>) -> Result<Self, Damaged> {
        let offset = unit.line_program.ok_or(Damaged)?;
        let program = dwarf.debug_line.program(offset, unit.gimli.address_size(), None, None)?;
        let header = program.header();
        let part = |value| {
            PathPart::of(dwarf, &unit.gimli, value, |text| {
                PathPart::Line(text.offset_from(*dwarf.debug_line.reader()))
            })
        };
        let comp_dir = unit.comp_dir.map_or(PathPart::None, |value| {
            PathPart::of(dwarf, &unit.gimli, value, |text| {
                PathPart::Info(text.offset_from(*dwarf.debug_info.reader()))
            })
        });
        let version = header.version();
        let directories = header.include_directories().iter().map(|d| part(*d)).collect();
        let files = header.file_names().iter().map(|file| File {
            directory: file.directory_index(),
            name: part(file.path_name()),
            path: OnceLock::new(),
        });
        let files = files.collect();
        Ok(Self { rows: read_rows(program), version, comp_dir, directories, files })
    }

    /// The row that holds an address.
    pub fn find(&self, address: u64) -> Option<FoundRow> {
        let at = self.rows.partition_point(|row| row.address <= address).checked_sub(1)?;
        let row = self.rows[at];
        (row.file_index != END).then(|| FoundRow { file: row.file_index.into(), line: row.line })
    }

    /// The path of a file of the unit's table: numbered from 0 in DWARF 5, from 1 before.
    pub fn file(&self, dwarf: &Dwarf<Slice<'_>>, index: u64) -> Option<Arc<str>> {
        let index = if self.version >= 5 { index } else { index.checked_sub(1)? };
        let file = self.files.get(usize::try_from(index).ok()?)?;
        Some(Arc::clone(file.path.get_or_init(|| self.render(dwarf, file).into())))
    }

    fn render(&self, dwarf: &Dwarf<Slice<'_>>, file: &File) -> String {
        // Directory 0 is the compilation's own; before DWARF 5 the table does not list it.
        let directory = if self.version >= 5 {
            usize::try_from(file.directory).ok().and_then(|at| self.directories.get(at))
        } else {
            let at = file.directory.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| self.directories.get(at))
        };
        let parts = [Some(&self.comp_dir), directory, Some(&file.name)];
        let mut path: Vec<u8> = Vec::new();
        for part in parts.into_iter().flatten() {
            let text = part.text(dwarf);
            if text.starts_with(b"/") {
                path.clear();
            } else if !path.is_empty() && !path.ends_with(b"/") && !text.is_empty() {
                path.push(b'/');
            }
            path.extend(text);
        }
        path.truncate(MAX_PATH_BYTES);
        String::from_utf8_lossy(&path).into_owned()
    }

    pub fn heap_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + self.files.capacity() * size_of::<File>()
            + self.directories.capacity() * size_of::<PathPart>()
    }
}

/// All sequences in order of their addresses, each with its end. Of sequences that overlap (dead
/// code at address 0, folded functions) the first holds.
fn read_rows(program: gimli::IncompleteLineProgram<Slice<'_>>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut sequences: Vec<(u64, u64, std::ops::Range<usize>)> = Vec::new();
    let mut start = 0;
    let mut program = program.rows();
    while let Ok(Some((_, row))) = program.next_row() {
        let address = row.address();
        if row.end_sequence() {
            rows.push(Row { address, file_index: END, line: 0 });
            let begin = rows[start].address;
            if begin < address {
                sequences.push((begin, address, start..rows.len()));
            } else {
                rows.truncate(start);
            }
            start = rows.len();
            continue;
        }
        let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
        let file_index = u32::try_from(row.file_index()).map_or(END - 1, |i| i.min(END - 1));
        // Of several rows for one address the last one counts.
        let in_sequence = rows.len() > start;
        match rows.last_mut() {
            Some(last) if in_sequence && last.address == address => {
                *last = Row { address, file_index, line };
            }
            _ => rows.push(Row { address, file_index, line }),
        }
    }
    rows.truncate(start);
    let in_order = sequences.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    if in_order {
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

impl PathPart {
    /// `inline` places a text that stands in the attribute itself.
    fn of<'a>(
        dwarf: &Dwarf<Slice<'a>>,
        unit: &gimli::Unit<Slice<'a>>,
        value: AttributeValue<Slice<'a>>,
        inline: impl Fn(Slice<'a>) -> Self,
    ) -> Self {
        match value {
            AttributeValue::String(text) => inline(text),
            AttributeValue::DebugStrRef(offset) => Self::Str(offset.0),
            AttributeValue::DebugLineStrRef(offset) => Self::LineStr(offset.0),
            AttributeValue::DebugStrRefSup(offset) => Self::SupplementStr(offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => {
                dwarf.string_offset(unit, index).map_or(Self::None, |offset| Self::Str(offset.0))
            }
            _ => Self::None,
        }
    }

    fn text<'a>(self, dwarf: &Dwarf<Slice<'a>>) -> &'a [u8] {
        let (section, offset) = match self {
            Self::None => return &[],
            Self::Info(offset) => (dwarf.debug_info.reader(), offset),
            Self::Line(offset) => (dwarf.debug_line.reader(), offset),
            Self::Str(offset) => (dwarf.debug_str.reader(), offset),
            Self::LineStr(offset) => (dwarf.debug_line_str.reader(), offset),
            Self::SupplementStr(offset) => match dwarf.sup() {
                Some(supplement) => (supplement.debug_str.reader(), offset),
                None => return &[],
            },
        };
        let tail = section.slice().get(offset..).unwrap_or_default();
        let tail = &tail[..tail.len().min(MAX_PATH_BYTES)];
        &tail[..tail.iter().position(|b| *b == 0).unwrap_or(tail.len())]
    }
}
