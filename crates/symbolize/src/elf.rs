//! ELF headers as plain rows: what the rest of the crate needs of segments, sections and notes.
//!
//! A damaged section table is no error, it is a file without sections: programs run without one
//! (packers and `sstrip` erase it), and what the segments say is still true.

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{LittleEndian, ReadRef as _};
use profile::{FileOffset, Segment, Svma};

use crate::Error;

mod dynamic;
pub(crate) mod relocatable;

/// The instruction set a file was made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// Another, by its ELF number: names work, unwind information and PLT stubs do not.
    Other(u16),
}

/// One section header with its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'d> {
    pub name: &'d [u8],
    pub kind: elf::SectionType,
    pub flags: u64,
    pub address: u64,
    /// In memory; more than `bytes` has for a section whose content is in another file.
    pub size_bytes: u64,
    pub link: usize,
    /// Of relocations: the section they are for.
    pub info: usize,
    pub alignment: u64,
    /// Empty for `SHT_NOBITS` and where the file is cut off.
    pub bytes: &'d [u8],
}

impl Section<'_> {
    pub fn is_executable(&self) -> bool {
        self.flags & elf::SHF_EXECINSTR.0 != 0
    }

    /// Whether its address means anything.
    pub fn is_placed(&self, elf: &Elf<'_>) -> bool {
        self.address != 0 || elf.is_relocatable
    }

    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size_bytes)
    }
}

/// A parsed file.
#[derive(Clone, Debug)]
pub(crate) struct Elf<'d> {
    pub bytes: &'d [u8],
    pub machine: Machine,
    pub is_64: bool,
    /// Not linked: addresses are those of [`relocatable`].
    pub is_relocatable: bool,
    pub segments: Vec<Segment>,
    /// Where a program begins; 0 in libraries.
    pub entry: u64,
    /// The section table; empty when there is none, or it is damaged.
    pub sections: Vec<Section<'d>>,
    /// The header states a section table that is not there: the file was cut off.
    pub is_cut: bool,
    /// What stands in for it.
    from_segments: Vec<Section<'d>>,
    note_ranges: Vec<(u64, u64)>,
    /// Offset and size of the dynamic linker's table.
    dynamic: Option<(u64, u64)>,
}

impl<'d> Elf<'d> {
    pub fn parse(bytes: &'d [u8]) -> Result<Self, Error> {
        match bytes.get(..6) {
            Some([0x7f, b'E', b'L', b'F', class, data]) => match (class, data) {
                (2, 1) => Self::read::<FileHeader64<LittleEndian>>(bytes),
                (1, 1) => Self::read::<FileHeader32<LittleEndian>>(bytes),
                _ => Err(Error::UnsupportedElf),
            },
            _ => Err(Error::NotElf),
        }
    }

    fn read<F: FileHeader<Endian = LittleEndian>>(bytes: &'d [u8]) -> Result<Self, Error> {
        let header = F::parse(bytes).map_err(|_| Error::NotElf)?;
        let machine = match header.e_machine(LittleEndian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            other => Machine::Other(other.0),
        };
        let mut segments = Vec::new();
        let mut note_ranges = Vec::new();
        let (mut dynamic, mut unwind_at) = (None, 0);
        for row in header.program_headers(LittleEndian, bytes).unwrap_or_default() {
            let segment = Segment {
                file_offset: FileOffset(row.p_offset(LittleEndian).into()),
                svma: Svma(row.p_vaddr(LittleEndian).into()),
                file_bytes: row.p_filesz(LittleEndian).into(),
                memory_bytes: row.p_memsz(LittleEndian).into(),
                flags: row.p_flags(LittleEndian).0,
            };
            match row.p_type(LittleEndian) {
                elf::PT_LOAD => segments.push(segment),
                elf::PT_NOTE => note_ranges.push((segment.file_offset.0, segment.file_bytes)),
                elf::PT_DYNAMIC => dynamic = Some((segment.file_offset.0, segment.file_bytes)),
                elf::PT_GNU_EH_FRAME => unwind_at = segment.svma.0,
                _ => {}
            }
        }
        let mut sections = read_sections(header, bytes);
        let stated: u64 = header.e_shoff(LittleEndian).into();
        let is_cut = stated > 0 && header.sections(LittleEndian, bytes).is_err();
        let is_relocatable = header.e_type(LittleEndian) == elf::ET_REL;
        if is_relocatable {
            relocatable::place(&mut sections);
        }
        let mut file = Self {
            bytes,
            machine,
            is_64: header.is_type_64(),
            is_relocatable,
            segments,
            entry: header.e_entry(LittleEndian).into(),
            sections,
            is_cut,
            from_segments: Vec::new(),
            note_ranges,
            dynamic,
        };
        if file.sections.is_empty() && file.is_64 {
            file.from_segments = dynamic::sections(&file, unwind_at);
        }
        Ok(file)
    }

    /// The dynamic linker's table: rows of tag and value.
    fn dynamic_rows(&self) -> &'d [[u8; 16]] {
        let bytes = self
            .dynamic
            .filter(|_| self.is_64)
            .and_then(|(offset, size)| self.bytes.read_bytes_at(offset, size).ok());
        bytes.unwrap_or_default().as_chunks::<16>().0
    }

    /// The value of a tag in the dynamic linker's table.
    fn dynamic_value(&self, tag: i64) -> Option<u64> {
        let row = self.dynamic_rows().iter().find(|row| row[..8] == tag.to_le_bytes())?;
        row[8..].try_into().ok().map(u64::from_le_bytes)
    }

    /// The section table, or what stands in for it.
    pub fn tables(&self) -> &[Section<'d>] {
        if self.sections.is_empty() { &self.from_segments } else { &self.sections }
    }

    /// Where the code that a symbol is in ends: its section, or without one its segment.
    pub fn end_of_code(&self, section: Option<&Section<'_>>, address: u64) -> u64 {
        let segment = self
            .segments
            .iter()
            .find(|s| address.checked_sub(s.svma.0).is_some_and(|within| within < s.memory_bytes));
        match (section, segment) {
            (Some(section), _) => section.end(),
            (None, Some(segment)) => segment.svma.0.saturating_add(segment.memory_bytes),
            (None, None) => u64::MAX,
        }
    }

    pub fn section(&self, name: &[u8]) -> Option<&Section<'d>> {
        self.tables().iter().find(|s| s.name == name)
    }

    /// The bytes of a section of that name; empty when there is none.
    pub fn section_bytes(&self, name: &[u8]) -> &'d [u8] {
        self.section(name).map_or(&[], |s| s.bytes)
    }

    /// The bytes of the file that stand at an address, up to the end of their segment's file part.
    pub fn bytes_at(&self, address: u64) -> Option<&'d [u8]> {
        let segment = self
            .segments
            .iter()
            .find(|s| address.checked_sub(s.svma.0).is_some_and(|within| within < s.file_bytes))?;
        let within = address - segment.svma.0;
        let start = usize::try_from(segment.file_offset.0.checked_add(within)?).ok()?;
        let length = usize::try_from(segment.file_bytes - within).ok()?;
        let tail = self.bytes.get(start..)?;
        Some(&tail[..length.min(tail.len())])
    }

    /// The tables that the loader reads. (Linkers may keep their own, as in a kernel with debug
    /// information, where they are half of the file.)
    pub fn loaded_relocations(&self) -> impl Iterator<Item = &Section<'d>> + '_ {
        let is_loaded = |s: &&Section<'d>| s.flags & elf::SHF_ALLOC.0 != 0;
        self.tables().iter().filter(|s| s.kind == elf::SHT_RELA).filter(is_loaded)
    }

    /// Address and value of every relocation that only adds the load address (`R_*_RELATIVE`), as
    /// the dynamic linker finds them. RELR is left out: it keeps its values in place.
    pub fn relative_relocations(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let kind = match self.machine {
            Machine::X86_64 => 8,
            Machine::Aarch64 => 1027,
            Machine::Other(_) => u64::MAX,
        };
        let word = |row: &[u8], at: usize| Some(u64::from_le_bytes(*row.get(at..)?.first_chunk()?));
        self.relocation_table().unwrap_or_default().as_chunks::<24>().0.iter().filter_map(
            move |row| (word(row, 8)? == kind).then_some((word(row, 0)?, word(row, 16)?)),
        )
    }

    fn relocation_table(&self) -> Option<&'d [u8]> {
        let table = self.bytes_at(self.dynamic_value(elf::DT_RELA.0)?)?;
        let size = usize::try_from(self.dynamic_value(elf::DT_RELASZ.0)?).ok()?;
        Some(&table[..size.min(table.len())])
    }

    /// The descriptor of the first note of that owner and type, from the sections (which survive in
    /// separate debug files) or the segments (which survive in files without sections).
    pub fn note(&self, owner: &[u8], kind: u32) -> Option<&'d [u8]> {
        let in_sections = self.sections.iter().filter(|s| s.kind == elf::SHT_NOTE).map(|s| s.bytes);
        let in_segments = self
            .note_ranges
            .iter()
            .filter_map(|(offset, size)| self.bytes.read_bytes_at(*offset, *size).ok());
        in_sections.chain(in_segments).find_map(|notes| find_note(notes, owner, kind))
    }
}

fn read_sections<'d, F: FileHeader<Endian = LittleEndian>>(
    header: &F,
    bytes: &'d [u8],
) -> Vec<Section<'d>> {
    let Ok(table) = header.sections(LittleEndian, bytes) else { return Vec::new() };
    let rows = table.iter().map(|row| Section {
        name: table.section_name(LittleEndian, row).unwrap_or_default(),
        kind: row.sh_type(LittleEndian),
        flags: row.sh_flags(LittleEndian).0,
        address: row.sh_addr(LittleEndian).into(),
        size_bytes: row.sh_size(LittleEndian).into(),
        link: row.link(LittleEndian).0,
        info: row.sh_info(LittleEndian) as usize,
        alignment: row.sh_addralign(LittleEndian).into(),
        bytes: row.data(LittleEndian, bytes).unwrap_or_default(),
    });
    rows.collect()
}

/// Walks `Elf_Nhdr` records: name size, descriptor size, type, then both padded to four bytes.
fn find_note<'d>(mut notes: &'d [u8], owner: &[u8], kind: u32) -> Option<&'d [u8]> {
    loop {
        let word = |at: usize| notes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let name_bytes = word(0)? as usize;
        let desc_bytes = word(4)? as usize;
        let this_kind = word(8)?;
        let desc_at = 12 + name_bytes.checked_next_multiple_of(4)?;
        let name = notes.get(12..12 + name_bytes)?;
        let desc = notes.get(desc_at..desc_at.checked_add(desc_bytes)?)?;
        // Go counts the padding into its name ("Go\0\0", four bytes).
        let named = name.strip_prefix(owner).is_some_and(|rest| rest.iter().all(|b| *b == 0));
        if this_kind == kind && named {
            return Some(desc);
        }
        let next = desc_at.checked_add(desc_bytes.checked_next_multiple_of(4)?)?;
        notes = notes.get(next..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_behind_others_and_cut_ones_end_the_search() {
        let mut notes = Vec::new();
        for (name, kind, desc) in
            [(&b"CORE\0"[..], 1u32, &b"abc"[..]), (b"GNU\0", 3, b"id"), (b"Go\0\0", 4, b"go")]
        {
            notes.extend((name.len() as u32).to_le_bytes());
            notes.extend((desc.len() as u32).to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(name);
            notes.resize(notes.len().next_multiple_of(4), 0);
            notes.extend(desc);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(find_note(&notes, b"GNU", 3), Some(&b"id"[..]));
        assert_eq!(find_note(&notes, b"CORE", 1), Some(&b"abc"[..]));
        assert_eq!(find_note(&notes, b"Go", 4), Some(&b"go"[..]));
        assert_eq!(find_note(&notes, b"GNU", 4), None);
        assert_eq!(find_note(&notes[..notes.len() - 4], b"Go", 4), None);
        assert_eq!(find_note(&[0xff; 40], b"GNU", 3), None);
    }

    #[test]
    fn what_is_not_little_endian_elf_is_refused() {
        assert_eq!(Elf::parse(b"#!/bin/sh\n").unwrap_err(), Error::NotElf);
        assert_eq!(Elf::parse(b"\x7fELF\x02\x02").unwrap_err(), Error::UnsupportedElf);
        assert_eq!(Elf::parse(b"\x7fELF\x02\x01").unwrap_err(), Error::NotElf);
    }
}
