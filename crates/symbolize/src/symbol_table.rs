//! Function symbols of `.symtab` (or MiniDebugInfo) and `.dynsym` together.
//!
//! - A symbol with a size covers exactly that, up to its section's end.
//! - A symbol of `.symtab` without a size (hand-written assembly) reaches to the next symbol or its
//!   section's end, or to the filling before that, but never cuts into a sized one. One of `.dynsym` covers nothing: that table is
//!   sparse, and reaching on is how `OPENSSL_free` came to own all Go code of a program
//!   (blazesym issue 1610).
//! - Of several names for one range the one people know wins: global or weak over local, a default
//!   version over a superseded one, fewer leading underscores (`write` over `__write` and
//!   `__GI___write`), global over weak, the shorter, the first in byte order.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, Sym as _};
use object::{LittleEndian, Pod};
use profile::NameSource;
use rustc_hash::FxHashMap;

use crate::demangle::raw_and_shown;
use crate::elf::{Elf, Machine, Section};
use crate::filling;
use crate::mini_debug_info;
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

/// Who says the names of a table, and their bytes.
type Strings<'d> = (NameSource, Cow<'d, [u8]>);

/// Raw and shown.
type Names = (Arc<str>, Arc<str>);

/// The function symbols of a module.
#[derive(Default, Debug)]
pub(crate) struct SymbolTable<'d> {
    symbols: Vec<Symbol>,
    strings: Vec<Strings<'d>>,
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
    /// Reads the tables of the module's own file and of its debug file, and where neither has a
    /// `.symtab` that of the MiniDebugInfo.
    pub fn read(files: &[&Elf<'d>]) -> Self {
        let mut this = Self::default();
        for elf in files {
            this.read_sections(elf, elf::SHT_SYMTAB, |strings| {
                (NameSource::Symtab, Cow::Borrowed(strings))
            });
        }
        if this.symbols.is_empty() {
            let packed = files.iter().find_map(|elf| mini_debug_info::unpack(elf));
            if let Some(elf) = packed.as_deref().and_then(|bytes| Elf::parse(bytes).ok()) {
                this.read_sections(&elf, elf::SHT_SYMTAB, |strings| {
                    (NameSource::MiniDebug, Cow::Owned(strings.to_vec()))
                });
            }
        }
        for elf in files {
            this.read_sections(elf, elf::SHT_DYNSYM, |strings| {
                (NameSource::Dynsym, Cow::Borrowed(strings))
            });
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
        let source = self.strings[usize::from(symbol.table)].0;
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

    fn read_sections<'e>(
        &mut self,
        elf: &Elf<'e>,
        kind: elf::SectionType,
        strings_of: impl Fn(&'e [u8]) -> Strings<'d>,
    ) {
        for section in elf.tables().iter().filter(|s| s.kind == kind).take(2) {
            let strings = elf.tables().get(section.link).map_or(&[][..], |s| s.bytes);
            let table = self.strings.len() as u8;
            self.strings.push(strings_of(strings));
            let versions = match kind {
                elf::SHT_DYNSYM => elf.section_bytes(b".gnu.version"),
                _ => &[],
            };
            if elf.is_64 {
                self.read_rows::<FileHeader64<LittleEndian>>(elf, section.bytes, versions, table);
            } else {
                self.read_rows::<FileHeader32<LittleEndian>>(elf, section.bytes, versions, table);
            }
        }
    }

    fn read_rows<F: FileHeader<Endian = LittleEndian>>(
        &mut self,
        elf: &Elf<'_>,
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
            let start: u64 = row.st_value(LittleEndian).into();
            let base = section.filter(|_| elf.is_relocatable).map_or(0, |s| s.address);
            let start = start.saturating_add(base);
            let limit = elf.end_of_code(section, start);
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

    /// Lets symbols without a size reach to the next symbol of their section, or to the filling
    /// before it; removes those that reach over nothing, and those of `.dynsym`.
    fn give_extent_to_sizeless(&mut self, files: &[&Elf<'_>], covered: &RangeMap) {
        let mut starts: Vec<u64> = self.symbols.iter().map(|s| s.start).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut sections: Vec<CodeSection<'_>> =
            files.iter().flat_map(|f| code_sections(f)).collect();
        // The one with content first: a separate debug file has the headers alone.
        sections.sort_by_key(|s| (s.address, s.bytes.is_empty()));
        sections.dedup_by_key(|s| s.address);
        let mut ends: FxHashMap<u64, u64> = FxHashMap::default();
        let strings = &self.strings;
        self.symbols.retain_mut(|symbol| {
            if symbol.start < symbol.end {
                return true;
            }
            let sparse = strings[usize::from(symbol.table)].0 == NameSource::Dynsym;
            if sparse || covered.find(symbol.start, &mut { Span::ALL }).is_some() {
                return false;
            }
            let at = sections.partition_point(|s| s.address <= symbol.start);
            let Some(section) = at.checked_sub(1).map(|at| &sections[at]) else { return false };
            // Symbols of one start share their end: the code is looked at once.
            symbol.end = *ends.entry(symbol.start).or_insert_with(|| {
                let next = starts.partition_point(|start| *start <= symbol.start);
                let next = starts.get(next).copied().unwrap_or(u64::MAX).min(section.end);
                section.without_filling(symbol.start, next)
            });
            symbol.start < symbol.end
        });
    }
}

/// A section of code, with its content if the file has it.
struct CodeSection<'d> {
    address: u64,
    end: u64,
    bytes: &'d [u8],
    machine: Machine,
}

fn code_sections<'e>(elf: &'e Elf<'_>) -> impl Iterator<Item = CodeSection<'e>> {
    let machine = elf.machine;
    let code = elf.sections.iter().filter(|s| s.is_executable() && s.is_placed(elf));
    code.map(move |s| CodeSection { address: s.address, end: s.end(), bytes: s.bytes, machine })
}

impl CodeSection<'_> {
    fn without_filling(&self, start: u64, end: u64) -> u64 {
        let place = |address: u64| usize::try_from(address - self.address).ok();
        let code = place(start).zip(place(end)).and_then(|(start, end)| self.bytes.get(start..end));
        code.map_or(end, |code| start + filling::code_bytes(code, self.machine) as u64)
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

fn raw_name<'s>(strings: &'s [Strings<'_>], symbol: &Symbol) -> &'s [u8] {
    let (_, strings) = &strings[usize::from(symbol.table)];
    let tail = strings.get(symbol.name as usize..).unwrap_or_default();
    let tail = &tail[..tail.len().min(MAX_NAME_BYTES)];
    &tail[..tail.iter().position(|b| *b == 0).unwrap_or(tail.len())]
}

/// Without the version (`@@GLIBC_2.34`) that linkers append in `.symtab`.
fn name_of<'s>(strings: &'s [Strings<'_>], symbol: &Symbol) -> &'s [u8] {
    let name = raw_name(strings, symbol);
    match name.iter().position(|b| *b == b'@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// `Less` where `a` is the better name.
fn preference(strings: &[Strings<'_>], a: &Symbol, b: &Symbol) -> Ordering {
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
