//! Function symbols of `.symtab` and `.dynsym` together.
//!
//! - A symbol with a size covers exactly that, up to its section's end.
//! - A symbol of `.symtab` without a size (hand-written assembly) reaches to the next symbol or its
//!   section's end, but never cuts into a sized one. One of `.dynsym` covers nothing: that table is
//!   sparse, and reaching on is how `OPENSSL_free` came to own all Go code of a program
//!   (blazesym issue 1610).
//! - Of several names for one range the one people know wins: global or weak over local, a default
//!   version over a superseded one, fewer leading underscores (`write` over `__write` and
//!   `__GI___write`), global over weak, the shorter, the first in byte order.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, Sym as _};
use object::{LittleEndian, Pod};
use profile::NameSource;
use rustc_hash::FxHashMap;

use crate::demangle::raw_and_shown;
use crate::elf::{Elf, Section};
use crate::ranges::{Range, RangeMap};
use crate::span::Span;

/// Longer names are cut: the longest seen in real programs have some 10 KiB.
pub(crate) const MAX_NAME_BYTES: usize = 64 << 10;

/// How much of two names is compared: a hostile table may give all its symbols one range and names
/// that differ only at their end.
const COMPARED_BYTES: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Symbol {
    start: u64,
    end: u64,
    sized: bool,
    /// Offset in the table's strings.
    name: u32,
    /// Index in `SymbolTable::strings`.
    table: u8,
    binding: elf::SymbolBind,
    hidden_version: bool,
}

/// Raw and shown.
type Names = (Arc<str>, Arc<str>);

/// The function symbols of a module.
#[derive(Default, Debug)]
pub(crate) struct SymbolTable<'d> {
    symbols: Vec<Symbol>,
    strings: Vec<(NameSource, &'d [u8])>,
    map: RangeMap,
    /// Names of the symbols found so far, raw and shown: demangling costs more than finding.
    found: Mutex<FxHashMap<u32, Names>>,
}

/// A found symbol.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub raw: Arc<str>,
    pub shown: Arc<str>,
    pub source: NameSource,
    /// Whether the table says how far the function reaches.
    pub sized: bool,
}

impl<'d> SymbolTable<'d> {
    /// Reads the tables of the module's own file and of its debug file.
    pub fn read(files: &[&Elf<'d>]) -> Self {
        let mut this = Self::default();
        for (kind, source) in
            [(elf::SHT_SYMTAB, NameSource::Symtab), (elf::SHT_DYNSYM, NameSource::Dynsym)]
        {
            for elf in files {
                for section in elf.sections.iter().filter(|s| s.kind == kind).take(2) {
                    this.read_section(elf, section, source);
                }
            }
        }
        let covered = RangeMap::flatten(this.ranges(|s| s.start < s.end));
        this.give_extent_to_sizeless(files, &covered);
        let strings = &this.strings;
        // Stable: rows of equal rank stay in the order of the tables.
        this.symbols.sort_by(|a, b| {
            (a.start, a.end).cmp(&(b.start, b.end)).then_with(|| preference(strings, b, a))
        });
        this.map = RangeMap::flatten(this.ranges(|_| true));
        this
    }

    /// Whether no function has a name.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The function that holds an address; `span` shrinks to where that is so.
    pub fn find(&self, address: u64, span: &mut Span) -> Option<Named> {
        let number = self.map.find(address, span)?;
        let symbol = &self.symbols[number as usize];
        let (source, _) = self.strings[usize::from(symbol.table)];
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (raw, shown) = found
            .entry(number)
            .or_insert_with(|| {
                raw_and_shown(&String::from_utf8_lossy(name_of(&self.strings, symbol)))
            })
            .clone();
        Some(Named { raw, shown, source, sized: symbol.sized })
    }

    fn ranges(&self, keep: impl Fn(&Symbol) -> bool) -> Vec<Range> {
        let rows = self.symbols.iter().zip(0u32..).filter(|(s, _)| keep(s));
        rows.map(|(s, owner)| Range { begin: s.start, end: s.end, owner }).collect()
    }

    fn read_section(&mut self, elf: &Elf<'d>, section: &Section<'d>, source: NameSource) {
        let strings = elf.sections.get(section.link).map_or(&[][..], |s| s.bytes);
        let table = self.strings.len() as u8;
        self.strings.push((source, strings));
        let versions = match source {
            NameSource::Dynsym => elf.section_bytes(b".gnu.version"),
            _ => &[],
        };
        if elf.is_64 {
            self.read_rows::<FileHeader64<LittleEndian>>(elf, section.bytes, versions, table);
        } else {
            self.read_rows::<FileHeader32<LittleEndian>>(elf, section.bytes, versions, table);
        }
    }

    fn read_rows<F: FileHeader<Endian = LittleEndian>>(
        &mut self,
        elf: &Elf<'d>,
        bytes: &[u8],
        versions: &[u8],
        table: u8,
    ) where
        F::Sym: Pod,
    {
        let count = bytes.len() / size_of::<F::Sym>();
        let Ok((rows, _)) = object::pod::slice_from_bytes::<F::Sym>(bytes, count) else { return };
        for (index, row) in rows.iter().enumerate() {
            let section_index = usize::from(row.st_shndx(LittleEndian).0);
            let section = elf.sections.get(section_index).filter(|_| section_index != 0);
            let code = section.is_some_and(Section::is_executable);
            let named = match row.st_type() {
                elf::STT_FUNC | elf::STT_GNU_IFUNC => !row.is_undefined(LittleEndian),
                // Labels of hand-written assembly; `$x` and `$d` mark code and data on ARM.
                elf::STT_NOTYPE => code,
                _ => false,
            };
            let name = row.st_name(LittleEndian);
            if !named || name == 0 {
                continue;
            }
            let start = row.st_value(LittleEndian).into();
            let limit = section.map_or(u64::MAX, Section::end);
            let size: u64 = row.st_size(LittleEndian).into();
            let symbol = Symbol {
                start,
                end: start.saturating_add(size).min(limit),
                sized: size != 0,
                name,
                table,
                binding: row.st_bind(),
                hidden_version: versions.get(2 * index + 1).is_some_and(|high| high & 0x80 != 0),
            };
            let text = raw_name(&self.strings, &symbol);
            let label = row.st_type() == elf::STT_NOTYPE;
            // Link-time optimization marks where each file began, assemblers where loops do.
            let marker = label && size == 0 && symbol.binding == elf::STB_LOCAL;
            if text.is_empty() || marker || label && text.starts_with(b"$") {
                continue;
            }
            let hidden_version = symbol.hidden_version
                || text
                    .iter()
                    .position(|b| *b == b'@')
                    .is_some_and(|at| text.get(at + 1) != Some(&b'@'));
            self.symbols.push(Symbol { hidden_version, ..symbol });
        }
    }

    /// Lets symbols of `.symtab` without a size reach to the next symbol of their section; removes
    /// the others.
    fn give_extent_to_sizeless(&mut self, files: &[&Elf<'_>], covered: &RangeMap) {
        let mut starts: Vec<u64> = self.symbols.iter().map(|s| s.start).collect();
        starts.sort_unstable();
        let mut sections: Vec<(u64, u64)> = files
            .iter()
            .flat_map(|elf| &elf.sections)
            .filter(|s| s.is_executable() && s.address != 0)
            .map(|s| (s.address, s.end()))
            .collect();
        sections.sort_unstable();
        let strings = &self.strings;
        self.symbols.retain_mut(|symbol| {
            if symbol.start < symbol.end {
                return true;
            }
            let sparse = strings[usize::from(symbol.table)].0 != NameSource::Symtab;
            if sparse || covered.find(symbol.start, &mut { Span::ALL }).is_some() {
                return false;
            }
            let at = sections.partition_point(|(start, _)| *start <= symbol.start);
            let Some((_, section_end)) = at.checked_sub(1).map(|i| sections[i]) else {
                return false;
            };
            let next = starts.partition_point(|start| *start <= symbol.start);
            symbol.end = starts.get(next).copied().unwrap_or(u64::MAX).min(section_end);
            symbol.start < symbol.end
        });
    }
}

/// The value of the first symbol of that name in `.symtab`, whatever it marks.
pub(crate) fn address_of(elf: &Elf<'_>, name: &[u8]) -> Option<u64> {
    let section = elf.sections.iter().find(|s| s.kind == elf::SHT_SYMTAB)?;
    let strings = elf.sections.get(section.link)?.bytes;
    let rows = section.bytes.as_chunks::<24>().0.iter().filter(|_| elf.is_64);
    rows.filter_map(|row| {
        let (name_at, rest) = row.split_first_chunk::<4>()?;
        let tail = strings.get(u32::from_le_bytes(*name_at) as usize..)?;
        let is_it = tail.strip_prefix(name)?.first() == Some(&0);
        is_it.then(|| rest[4..12].try_into().ok().map(u64::from_le_bytes))?
    })
    .next()
}

fn raw_name<'d>(strings: &[(NameSource, &'d [u8])], symbol: &Symbol) -> &'d [u8] {
    let (_, strings) = strings[usize::from(symbol.table)];
    let tail = strings.get(symbol.name as usize..).unwrap_or_default();
    let tail = &tail[..tail.len().min(MAX_NAME_BYTES)];
    &tail[..tail.iter().position(|b| *b == 0).unwrap_or(tail.len())]
}

/// Without the version (`@@GLIBC_2.34`) that linkers append in `.symtab`.
fn name_of<'d>(strings: &[(NameSource, &'d [u8])], symbol: &Symbol) -> &'d [u8] {
    let name = raw_name(strings, symbol);
    match name.iter().position(|b| *b == b'@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// `Less` where `a` is the better name.
fn preference(strings: &[(NameSource, &[u8])], a: &Symbol, b: &Symbol) -> Ordering {
    let key = |symbol: &Symbol| {
        let name = name_of(strings, symbol);
        let name = &name[..name.len().min(COMPARED_BYTES)];
        let underscores = name.iter().take_while(|b| **b == b'_').count();
        (
            symbol.binding == elf::STB_LOCAL,
            symbol.hidden_version,
            underscores,
            symbol.binding == elf::STB_WEAK,
            name.len(),
            name,
            symbol.table,
        )
    };
    key(a).cmp(&key(b))
}
