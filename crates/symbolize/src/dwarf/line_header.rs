//! The header of a unit's line program: its directories and files, and how to run it (DWARF 5,
//! section 6.2.4; older versions the same with other tables).
//!
//! Not left to gimli: it believes the number of files that a header states, and an entry may take
//! no bytes.

use gimli::{DwForm, DwLnct, Encoding, Format};

use super::Damaged;
use super::cursor::Cursor;
use super::form::{self, Value};

/// More directories or files are refused: they would take more memory than the file has.
const MAX_ENTRIES: u64 = 1 << 18;

/// A line program and what it counts on.
pub(super) struct Header<'a> {
    /// Of header and program.
    pub unit_bytes: usize,
    pub version: u16,
    /// Names of directories.
    pub directories: Vec<Value>,
    /// Numbers of directories, and names.
    pub files: Vec<(u64, Value)>,
    pub minimum_instruction_bytes: u8,
    pub line_base: i8,
    pub line_range: u8,
    /// Operands of opcodes, from opcode 1 on; the first special opcode follows them.
    pub operands: Vec<u8>,
    pub program: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header at an offset of `.debug_line`. Texts in place are positions in `section`.
    pub fn read(section: &'a [u8], offset: usize, address_size: u8) -> Result<Self, Damaged> {
        let mut cursor = Cursor::new(section, offset);
        let (length, format) = match cursor.unsigned(4)? {
            0xffff_ffff => (cursor.unsigned(8)?, Format::Dwarf64),
            length => (length, Format::Dwarf32),
        };
        let end = usize::try_from(length).ok().and_then(|l| l.checked_add(cursor.position()));
        let unit = section.get(..end.ok_or(Damaged)?).ok_or(Damaged)?;
        let mut cursor = Cursor::new(unit, cursor.position());
        let version = cursor.unsigned(2)? as u16;
        if !(2..=5).contains(&version) {
            return Err(Damaged);
        }
        if version >= 5 {
            cursor.skip(2)?; // sizes of addresses and segment selectors
        }
        let header_bytes = cursor.unsigned(format.word_size())?;
        let program_at = (cursor.position() as u64).checked_add(header_bytes).ok_or(Damaged)?;
        let program = usize::try_from(program_at).ok().and_then(|at| unit.get(at..));
        let minimum_instruction_bytes = cursor.u8()?;
        // Several operations per instruction: only Itanium has had them.
        if version >= 4 && cursor.u8()? > 1 {
            return Err(Damaged);
        }
        cursor.skip(1)?; // whether rows begin statements by default
        let line_base = cursor.u8()?.cast_signed();
        let line_range = cursor.u8()?;
        let opcode_base = cursor.u8()?;
        let operands =
            (1..opcode_base).map(|_| cursor.u8()).collect::<Result<Vec<u8>, Damaged>>()?;
        if line_range == 0 || opcode_base == 0 {
            return Err(Damaged);
        }
        let mut header = Self {
            unit_bytes: unit.len() - offset,
            version,
            directories: Vec::new(),
            files: Vec::new(),
            minimum_instruction_bytes,
            line_base,
            line_range,
            operands,
            program: program.ok_or(Damaged)?,
        };
        if version >= 5 {
            let encoding = Encoding { address_size, format, version };
            let directories = read_table(&mut cursor, encoding)?;
            header.directories = directories.into_iter().map(|(_, name)| name).collect();
            header.files = read_table(&mut cursor, encoding)?;
        } else {
            header.read_old_tables(&mut cursor)?;
        }
        Ok(header)
    }

    /// Texts one after the other, each table ended by an empty one.
    fn read_old_tables(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Damaged> {
        while let Some(name) = read_text(cursor)? {
            if self.directories.len() as u64 >= MAX_ENTRIES {
                return Err(Damaged);
            }
            self.directories.push(name);
        }
        while let Some(name) = read_text(cursor)? {
            let directory = cursor.uleb()?;
            cursor.uleb()?; // time of change
            cursor.uleb()?; // length
            if self.files.len() as u64 >= MAX_ENTRIES {
                return Err(Damaged);
            }
            self.files.push((directory, name));
        }
        Ok(())
    }

    pub fn opcode_base(&self) -> u8 {
        // Read as a byte less one.
        self.operands.len() as u8 + 1
    }
}

fn read_text(cursor: &mut Cursor<'_>) -> Result<Option<Value>, Damaged> {
    let number = cursor.position() as u64;
    cursor.skip_text()?;
    let is_empty = cursor.position() as u64 == number + 1;
    Ok((!is_empty).then_some(Value { form: gimli::DW_FORM_string, number }))
}

/// A table that says itself what its entries hold: directory (of files) and name.
fn read_table(cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<Vec<(u64, Value)>, Damaged> {
    let columns = (0..cursor.u8()?)
        .map(|_| {
            let content = u16::try_from(cursor.uleb()?).map_or(DwLnct(u16::MAX), DwLnct);
            let form = DwForm(u16::try_from(cursor.uleb()?).map_err(|_| Damaged)?);
            Ok((content, form))
        })
        .collect::<Result<Vec<_>, Damaged>>()?;
    let count = cursor.uleb()?;
    if count > MAX_ENTRIES {
        return Err(Damaged);
    }
    let mut rows = Vec::new();
    for _ in 0..count {
        let start = cursor.position();
        let (mut directory, mut name) = (0, None);
        for (content, form) in &columns {
            let value = form::read(cursor, *form, 0, encoding)?;
            match *content {
                gimli::DW_LNCT_path => name = Some(value),
                gimli::DW_LNCT_directory_index => directory = value.number,
                _ => {}
            }
        }
        if cursor.position() == start {
            return Err(Damaged);
        }
        rows.push((directory, name.ok_or(Damaged)?));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 5 header whose file table has the given columns and states the given count.
    fn header(columns: &[u8], count: &[u8], entries: &[u8]) -> Vec<u8> {
        let mut tables = vec![1, 1, 0, 0xfb, 14, 1, 0, 0];
        tables.push(columns.len() as u8 / 2);
        tables.extend([columns, count, entries].concat());
        let mut unit = [5u16.to_le_bytes().to_vec(), vec![8, 0]].concat();
        unit.extend((tables.len() as u32).to_le_bytes());
        unit.extend(tables);
        [(unit.len() as u32).to_le_bytes().to_vec(), unit].concat()
    }

    #[test]
    fn a_table_of_files_says_what_its_entries_hold() {
        let bytes = header(&[1, 8, 2, 0x0b], &[2], b"a.c\0\x01b.c\0\x00");
        let read = Header::read(&bytes, 0, 8).unwrap();
        let directories: Vec<u64> = read.files.iter().map(|(directory, _)| *directory).collect();
        assert_eq!(directories, [1, 0]);
        let name_at = read.files[1].1.number as usize;
        assert_eq!(&bytes[name_at..name_at + 3], b"b.c");
        assert!(read.program.is_empty() && read.opcode_base() == 1);
    }

    #[test]
    fn files_without_a_byte_are_refused_however_many_are_stated() {
        // The name as a flag that is present: no bytes.
        for count in [&[1][..], &[0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert!(Header::read(&header(&[1, 0x19], count, &[]), 0, 8).is_err());
        }
    }
}
