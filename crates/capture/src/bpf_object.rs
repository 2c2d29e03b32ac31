//! The compiled BPF programs: what the object file holds, and its instructions made ready to load.

use object::read::elf::{ElfFile64, ElfSection64};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolSection,
};

/// Brings the object to an 8-byte boundary: ELF structures are read in place.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("bpf/sample.bpf.o"));

type Elf = ElfFile64<'static, Endianness, &'static [u8]>;

/// One map to create, as `struct map_definition` in the source states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MapDefinition {
    pub(crate) kind: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

/// What an instruction that loads a 64-bit constant refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reference {
    /// A map, by its number in [`BpfObject::maps`].
    Map(usize),
    /// A byte of the read-only data.
    ReadOnlyData(u32),
}

/// One program: instructions of 8 bytes, and where they refer to maps and data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) instructions: Vec<u8>,
    pub(crate) references: Vec<(usize, Reference)>,
}

/// The object file, taken apart.
#[derive(Debug)]
pub(crate) struct BpfObject {
    elf: Elf,
    maps: Vec<(&'static str, MapDefinition)>,
}

/// Only a broken build can cause it: the object is part of this program.
#[derive(Debug, thiserror::Error)]
#[error("the embedded BPF object is damaged: {0}")]
pub struct ObjectError(String);

impl From<object::Error> for ObjectError {
    fn from(error: object::Error) -> Self {
        Self(error.to_string())
    }
}

fn missing(what: &str) -> ObjectError {
    ObjectError(format!("no {what}"))
}

impl BpfObject {
    /// Reads the embedded object's tables.
    pub(crate) fn embedded() -> Result<Self, ObjectError> {
        let elf = Elf::parse(&OBJECT.0)?;
        let section = elf.section_by_name("maps").ok_or_else(|| missing("maps"))?;
        let data = section.data()?;
        let mut maps = Vec::new();
        for symbol in elf.symbols() {
            if symbol.section() != SymbolSection::Section(section.index()) || symbol.size() == 0 {
                continue;
            }
            let at = symbol.address() as usize;
            let words = data.get(at..at + 20).ok_or_else(|| missing("map definition"))?;
            let word = |i: usize| u32_at(words, i * 4);
            let definition = MapDefinition {
                kind: word(0),
                key_bytes: word(1),
                value_bytes: word(2),
                max_entries: word(3),
                flags: word(4),
            };
            maps.push((symbol.name()?, definition));
        }
        Ok(Self { elf, maps })
    }

    /// The maps, by name.
    pub(crate) fn maps(&self) -> &[(&'static str, MapDefinition)] {
        &self.maps
    }

    /// Bytes of a section.
    pub(crate) fn section(&self, name: &str) -> Result<&'static [u8], ObjectError> {
        let section = self.elf.section_by_name(name).ok_or_else(|| missing(name))?;
        Ok(section.data()?)
    }

    /// Offset in `.rodata` of a variable.
    pub(crate) fn read_only_offset(&self, name: &str) -> Result<usize, ObjectError> {
        let symbol = self.elf.symbol_by_name(name).ok_or_else(|| missing(name))?;
        Ok(symbol.address() as usize)
    }

    /// A program by its function's name.
    pub(crate) fn program(&self, name: &'static str) -> Result<Program, ObjectError> {
        let symbol = self.elf.symbol_by_name(name).ok_or_else(|| missing(name))?;
        let index = symbol.section_index().ok_or_else(|| missing(name))?;
        let section = self.elf.section_by_index(index)?;
        Ok(Program {
            name,
            instructions: section.data()?.to_vec(),
            references: self.references(&section)?,
        })
    }

    fn references(
        &self,
        section: &ElfSection64<'static, '_, Endianness, &'static [u8]>,
    ) -> Result<Vec<(usize, Reference)>, ObjectError> {
        let code = section.data()?;
        let mut references = Vec::new();
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                return Err(missing("symbol of a relocation"));
            };
            let symbol = self.elf.symbol_by_index(index)?;
            let name = symbol.name()?;
            let map = self.maps.iter().position(|(map, _)| *map == name);
            let at = at as usize;
            let reference = match map {
                Some(number) => Reference::Map(number),
                None if self.is_in(&symbol, ".rodata")? => {
                    // The addend stands in the instruction.
                    let addend = code.get(at + 4..at + 8).map(|b| u32_at(b, 0)).unwrap_or(0);
                    Reference::ReadOnlyData(symbol.address() as u32 + addend)
                }
                None => return Err(ObjectError(format!("cannot relocate {name}"))),
            };
            references.push((at, reference));
        }
        Ok(references)
    }

    fn is_in(
        &self,
        symbol: &object::read::elf::ElfSymbol64<'static, '_, Endianness, &'static [u8]>,
        section: &str,
    ) -> Result<bool, ObjectError> {
        let section = self.elf.section_by_name(section).ok_or_else(|| missing(section))?;
        Ok(symbol.section() == SymbolSection::Section(section.index()))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::layout;

    #[test]
    fn the_compiled_layout_is_the_one_that_is_decoded() {
        let section = BpfObject::embedded().unwrap().section("layout").unwrap();
        let compiled: Vec<usize> = section.chunks(4).map(|word| u32_at(word, 0) as usize).collect();
        assert_eq!(compiled, layout());
    }

    #[test]
    fn every_program_refers_only_to_maps_and_read_only_data() {
        let object = BpfObject::embedded().unwrap();
        for name in ["sample", "follow_fork", "forget_process", "name_address"] {
            let program = object.program(name).unwrap();
            assert!(!program.instructions.is_empty());
            assert!(program.instructions.len().is_multiple_of(8));
            assert!(!program.references.is_empty(), "{name} uses maps");
        }
        let names: Vec<&str> = object.maps().iter().map(|(name, _)| *name).collect();
        for map in ["ring", "targets", "roots", "counters", "scratches", "names"] {
            assert!(names.contains(&map), "{map} in {names:?}");
        }
    }
}
