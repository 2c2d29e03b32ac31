//! Which file and line an address belongs to, from one unit's line program.

use std::sync::{Arc, OnceLock};

use gimli::{AttributeValue, Dwarf, Section as _};

use super::budget::Budget;
use super::form::Value;
use super::line_header::Header;
use super::line_program::{self, END, Row};
use super::unit::Root;
use super::{Damaged, Slice};
use crate::span::Span;

/// Longer paths are cut: beyond what any file system opens.
const MAX_PATH_BYTES: usize = 8 << 10;

/// What a header that cannot be read costs of the budget: nobody knows its length.
const UNREADABLE_BYTES: usize = 1 << 20;

/// A row as an answer.
pub(super) struct FoundRow {
    pub file: u64,
    pub line: u32,
}

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
    pub fn read<'a>(
        dwarf: &Dwarf<Slice<'a>>,
        root: &Root<'a>,
        budget: &Budget,
    ) -> Result<Self, Damaged> {
        let offset = root.line_program.ok_or(Damaged)?.0;
        let section = dwarf.debug_line.reader().slice();
        let header = Header::read(section, offset, root.gimli.address_size());
        budget.spend(header.as_ref().map_or(UNREADABLE_BYTES, |header| header.unit_bytes))?;
        let header = header?;
        let part = |value| PathPart::of(dwarf, &root.gimli, value);
        let comp_dir = root
            .comp_dir
            .map_or(PathPart::None, |value| PathPart::of_root(dwarf, &root.gimli, value));
        let directories = header.directories.iter().map(|name| part(*name)).collect();
        let files = header.files.iter().map(|(directory, name)| File {
            directory: *directory,
            name: part(*name),
            path: OnceLock::new(),
        });
        let files = files.collect();
        let rows = line_program::rows(&header);
        Ok(Self { rows, version: header.version, comp_dir, directories, files })
    }

    /// The row that holds an address.
    pub fn find(&self, address: u64, span: &mut Span) -> Option<FoundRow> {
        let after = self.rows.partition_point(|row| row.address <= address);
        let end = self.rows.get(after).map_or(u64::MAX, |row| row.address);
        let Some(row) = after.checked_sub(1).map(|at| self.rows[at]) else {
            span.narrow(0, end);
            return None;
        };
        span.narrow(row.address, end);
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

impl PathPart {
    /// Of a line program's table.
    fn of<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &gimli::Unit<Slice<'a>>, value: Value) -> Self {
        let Ok(number) = usize::try_from(value.number) else { return Self::None };
        match value.form {
            gimli::DW_FORM_string => Self::Line(number),
            gimli::DW_FORM_strp => Self::Str(number),
            gimli::DW_FORM_line_strp => Self::LineStr(number),
            gimli::DW_FORM_strp_sup | gimli::DW_FORM_GNU_strp_alt => Self::SupplementStr(number),
            gimli::DW_FORM_strx
            | gimli::DW_FORM_strx1
            | gimli::DW_FORM_strx2
            | gimli::DW_FORM_strx3
            | gimli::DW_FORM_strx4 => Self::indexed(dwarf, unit, number),
            _ => Self::None,
        }
    }

    /// Of a unit's root entry.
    fn of_root<'a>(
        dwarf: &Dwarf<Slice<'a>>,
        unit: &gimli::Unit<Slice<'a>>,
        value: AttributeValue<Slice<'a>>,
    ) -> Self {
        match value {
            AttributeValue::String(text) => {
                Self::Info(text.offset_from(*dwarf.debug_info.reader()))
            }
            AttributeValue::DebugStrRef(offset) => Self::Str(offset.0),
            AttributeValue::DebugLineStrRef(offset) => Self::LineStr(offset.0),
            AttributeValue::DebugStrRefSup(offset) => Self::SupplementStr(offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => Self::indexed(dwarf, unit, index.0),
            _ => Self::None,
        }
    }

    fn indexed<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &gimli::Unit<Slice<'a>>, index: usize) -> Self {
        let offset = dwarf.string_offset(unit, gimli::DebugStrOffsetsIndex(index));
        offset.map_or(Self::None, |offset| Self::Str(offset.0))
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
