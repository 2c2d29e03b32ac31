//! What samples of a profile refer to: strings, mappings, locations, functions.

use std::borrow::Cow;

use profile::{FrameKind, Text};
use rustc_hash::FxHashMap;

use super::{PprofError, label_text};
use crate::protobuf::{Bytes, Value};

pub const SAMPLE: u64 = 2;

/// Rows of one table at most.
const MOST_ROWS: usize = 1 << 20;

/// Bytes of a string that are read: two bytes of a file can refer to a string of megabytes.
const LONGEST_TEXT_BYTES: usize = 4096;

/// One function, inlined or not, at a location.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub function: u64,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Location {
    /// Row of the mapping, from 1; 0: none.
    pub mapping: u32,
    mapping_number: u64,
    /// Where it stands in the file.
    pub at: usize,
    lines: (u32, u32),
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Function {
    pub name: u64,
    pub system_name: u64,
    pub file: u64,
    /// Where it stands in the file.
    pub at: usize,
}

/// What the code of a mapping is of.
pub struct Module {
    pub name: String,
    pub kind: FrameKind,
}

#[derive(Default)]
pub struct Tables<'a> {
    /// Sample types: name and unit.
    pub types: Vec<(u64, u64)>,
    pub period_type: (u64, u64),
    pub period: u64,
    pub time_ns: u64,
    pub duration_ns: u64,
    pub default_type: u64,
    pub comments: Vec<u64>,
    pub locations: Vec<Location>,
    strings: Vec<&'a [u8]>,
    lines: Vec<Line>,
    functions: Vec<Function>,
    /// File names of mappings.
    mappings: Vec<u64>,
    location_rows: FxHashMap<u64, u32>,
    function_rows: FxHashMap<u64, u32>,
    mapping_rows: FxHashMap<u64, u32>,
}

/// Adds a row, unless there are too many or one of its number.
fn push<T>(
    rows: &mut Vec<T>,
    row_of: &mut FxHashMap<u64, u32>,
    what: &'static str,
    (number, at): (u64, usize),
    row: T,
) -> Result<(), PprofError> {
    if rows.len() >= MOST_ROWS {
        return Err(PprofError::Rows { at, most: MOST_ROWS });
    }
    if number == 0 {
        return Err(PprofError::Dangling { at, what, to: "number", number });
    }
    if row_of.insert(number, rows.len() as u32).is_some() {
        return Err(PprofError::Twice { at, what, number });
    }
    rows.push(row);
    Ok(())
}

impl<'a> Tables<'a> {
    pub fn read(profile: &'a [u8]) -> Result<Self, PprofError> {
        let mut tables = Self::default();
        for field in Bytes::message(profile).fields() {
            let (field, value) = field?;
            tables.field(field, value)?;
        }
        // Locations may stand before the mappings that they refer to.
        for location in &mut tables.locations {
            let number = location.mapping_number;
            if number != 0 {
                let row = tables.mapping_rows.get(&number).ok_or(PprofError::Dangling {
                    at: location.at,
                    what: "location",
                    to: "mapping",
                    number,
                })?;
                location.mapping = row + 1;
            }
        }
        Ok(tables)
    }

    fn field(&mut self, field: u64, value: Value<'a>) -> Result<(), PprofError> {
        match field {
            1 if self.types.len() < 64 => self.types.push(value_type(value.bytes())?),
            1 => return Err(PprofError::Rows { at: value.bytes().at, most: 64 }),
            3 => self.mapping(value.bytes())?,
            4 => self.read_location(value.bytes())?,
            5 => self.read_function(value.bytes())?,
            6 => {
                let string = value.bytes();
                if self.strings.len() >= MOST_ROWS {
                    return Err(PprofError::Rows { at: string.at, most: MOST_ROWS });
                }
                self.strings.push(string.bytes);
            }
            9 => self.time_ns = value.number(),
            10 => self.duration_ns = value.number(),
            11 => self.period_type = value_type(value.bytes())?,
            12 => self.period = value.number(),
            13 => {
                let room = 1024usize.saturating_sub(self.comments.len());
                for comment in value.numbers().take(room) {
                    self.comments.push(comment?);
                }
            }
            14 => self.default_type = value.number(),
            _ => {}
        }
        Ok(())
    }

    fn mapping(&mut self, mapping: Bytes<'a>) -> Result<(), PprofError> {
        let (mut number, mut file) = (0, 0);
        for field in mapping.fields() {
            match field? {
                (1, value) => number = value.number(),
                (5, value) => file = value.number(),
                _ => {}
            }
        }
        let at = (number, mapping.at);
        push(&mut self.mappings, &mut self.mapping_rows, "mapping", at, file)
    }

    fn read_location(&mut self, location: Bytes<'a>) -> Result<(), PprofError> {
        let (mut number, mut mapping) = (0, 0);
        let first = self.lines.len() as u32;
        for field in location.fields() {
            match field? {
                (1, value) => number = value.number(),
                (2, value) => mapping = value.number(),
                (4, value) => {
                    if self.lines.len() >= 2 * MOST_ROWS {
                        return Err(PprofError::Rows { at: location.at, most: 2 * MOST_ROWS });
                    }
                    self.lines.push(line(value.bytes())?);
                }
                _ => {}
            }
        }
        let row = Location {
            mapping: 0,
            mapping_number: mapping,
            at: location.at,
            lines: (first, self.lines.len() as u32),
        };
        let at = (number, location.at);
        push(&mut self.locations, &mut self.location_rows, "location", at, row)
    }

    fn read_function(&mut self, function: Bytes<'a>) -> Result<(), PprofError> {
        let mut number = 0;
        let mut row = Function { at: function.at, ..Function::default() };
        for field in function.fields() {
            match field? {
                (1, value) => number = value.number(),
                (2, value) => row.name = value.number(),
                (3, value) => row.system_name = value.number(),
                (4, value) => row.file = value.number(),
                _ => {}
            }
        }
        let at = (number, function.at);
        push(&mut self.functions, &mut self.function_rows, "function", at, row)
    }

    /// A string, of which the end is left out beyond [`LONGEST_TEXT_BYTES`]; number 0 is none.
    pub fn string(
        &self,
        number: u64,
        what: &'static str,
        at: usize,
    ) -> Result<Cow<'a, str>, PprofError> {
        if number == 0 {
            return Ok(Cow::Borrowed(""));
        }
        let row = usize::try_from(number).ok().and_then(|row| self.strings.get(row));
        let row = row.ok_or(PprofError::Dangling { at, what, to: "string", number })?;
        Ok(String::from_utf8_lossy(&row[..row.len().min(LONGEST_TEXT_BYTES)]))
    }

    /// The row of a location.
    pub fn location(&self, number: u64, at: usize) -> Result<u32, PprofError> {
        let dangling = PprofError::Dangling { at, what: "sample", to: "location", number };
        self.location_rows.get(&number).copied().ok_or(dangling)
    }

    pub fn lines_of(&self, location: &Location) -> &[Line] {
        &self.lines[location.lines.0 as usize..location.lines.1 as usize]
    }

    /// A function.
    pub fn function(&self, number: u64, at: usize) -> Result<Function, PprofError> {
        let dangling = PprofError::Dangling { at, what: "location", to: "function", number };
        let row = self.function_rows.get(&number).ok_or(dangling)?;
        Ok(self.functions[*row as usize])
    }

    /// What the code of a mapping (row from 1; 0 none) is of. The first mapping is the program's own.
    pub fn module(&self, mapping: u32) -> Result<Module, PprofError> {
        let Some(row) = (mapping as usize).checked_sub(1) else {
            return Ok(Module { name: String::new(), kind: FrameKind::User });
        };
        let path = self.string(self.mappings[row], "mapping", 0)?;
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let is_kernel = name.starts_with("[kernel") || name.starts_with("vmlinux");
        let kind = match &*name {
            _ if is_kernel || name.ends_with(".ko") || name.ends_with(".ko]") => FrameKind::Kernel,
            _ if row == 0 => FrameKind::User,
            "" => FrameKind::User,
            _ => FrameKind::Library,
        };
        Ok(Module { name, kind })
    }

    /// Key and value of a label.
    pub fn label(&self, label: Bytes<'a>) -> Result<(Text, Text), PprofError> {
        let (mut key, mut text, mut number, mut unit) = (0, 0, 0, 0);
        for field in label.fields() {
            match field? {
                (1, value) => key = value.number(),
                (2, value) => text = value.number(),
                (3, value) => number = value.number(),
                (4, value) => unit = value.number(),
                _ => {}
            }
        }
        let string = |number| self.string(number, "label", label.at);
        let value = label_text(&string(text)?, number, &string(unit)?);
        Ok((string(key)?.as_ref().into(), value))
    }
}

fn value_type(message: Bytes<'_>) -> Result<(u64, u64), PprofError> {
    let (mut name, mut unit) = (0, 0);
    for field in message.fields() {
        match field? {
            (1, value) => name = value.number(),
            (2, value) => unit = value.number(),
            _ => {}
        }
    }
    Ok((name, unit))
}

fn line(message: Bytes<'_>) -> Result<Line, PprofError> {
    let mut function = 0;
    for field in message.fields() {
        if let (1, value) = field? {
            function = value.number();
        }
    }
    Ok(Line { function })
}
