//! One module ready for look-ups.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use profile::{NameSource, NoName, Svma};
use rayon::prelude::*;

use crate::dwarf::{Damaged, DebugInfo, DwarfName, Hit};
use crate::elf::Elf;
use crate::go::GoCode;
use crate::plt::PltStubs;
use crate::span::Span;
use crate::symbol_table::{Named, SymbolTable};
use crate::unwind::{UnwindSections, UnwindTables};
use crate::{Error, Found, FramePointer, SourceFrame};

/// The files that describe one module. Whoever gives them has checked that they belong together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Files<'d> {
    /// The module's own file.
    pub image: Option<&'d [u8]>,
    /// Its separate debug file.
    pub debug: Option<&'d [u8]>,
    /// What several debug files share ([`crate::AltLink`]).
    pub supplement: Option<&'d [u8]>,
}

/// Addresses that no unit holds are answered in pieces of so many.
const ADDRESSES_WITHOUT_UNIT: usize = 4096;

/// One module ready for look-ups. Costs a pass over the symbol tables; debug information is read
/// unit by unit when an address asks for it.
///
/// Several threads may ask one value. Ask in ascending order of addresses where there are many:
/// decoded units are forgotten when they take too much memory (192 MiB), and in order each is
/// decoded once all the same.
#[derive(Debug)]
pub struct Symbols<'d> {
    image: Option<Elf<'d>>,
    debug: Option<Elf<'d>>,
    supplement: Option<Elf<'d>>,
    table: SymbolTable<'d>,
    debug_info: OnceLock<Option<DebugInfo<'d>>>,
    go: OnceLock<GoCode<'d>>,
    plt: OnceLock<PltStubs<'d>>,
    unwind: OnceLock<UnwindTables<'d>>,
}

impl<'d> Symbols<'d> {
    /// Opens a module.
    ///
    /// # Errors
    /// When no file was given, or one is no ELF file that can be read.
    pub fn new(files: Files<'d>) -> Result<Self, Error> {
        let image = files.image.map(Elf::parse).transpose()?;
        let debug = files.debug.map(Elf::parse).transpose()?;
        let supplement = files.supplement.map(Elf::parse).transpose()?;
        let files: Vec<&Elf<'d>> = image.iter().chain(&debug).collect();
        if files.is_empty() {
            return Err(Error::NoFile);
        }
        let table = SymbolTable::read(&files);
        Ok(Self {
            image,
            debug,
            supplement,
            table,
            debug_info: OnceLock::new(),
            go: OnceLock::new(),
            plt: OnceLock::new(),
            unwind: OnceLock::new(),
        })
    }

    /// Where symbols, debug and unwind information are looked for, in this order.
    fn files(&self) -> Vec<&Elf<'d>> {
        self.image.iter().chain(&self.debug).collect()
    }

    /// Whether the frame pointer is the function's own at an address: where it is not, a walk
    /// along frame pointers has skipped the direct caller.
    pub fn frame_pointer(&self, address: Svma) -> FramePointer {
        self.frame_pointer_range(address).0
    }

    /// As [`Symbols::frame_pointer`], and the addresses around it that have the same answer.
    pub fn frame_pointer_range(&self, address: Svma) -> (FramePointer, Range<u64>) {
        let mut span = Span::ALL;
        let answer = self.find_frame_pointer(address.0, &mut span);
        if !(span.begin..span.end).contains(&address.0) {
            span = Span::ALL; // a hostile file's tables need not be sorted
            span.narrow_to(address.0);
        }
        (answer, span.begin..span.end)
    }

    fn find_frame_pointer(&self, address: u64, span: &mut Span) -> FramePointer {
        if let GoCode::Table(table) = self.go() {
            span.narrow_to(address);
            if let Some(answer) = table.frame_pointer(address) {
                return answer;
            }
        }
        let tables =
            self.unwind.get_or_init(|| UnwindTables::new(UnwindSections::of(&self.files())));
        tables.frame_pointer(address, span)
    }

    /// The functions at an address, the innermost inlined one first, the physical function last;
    /// never empty. Of a return address, ask for the byte before
    /// ([`profile::CodeAddress::lookup`]).
    ///
    /// Inlined calls and lines come from DWARF. The physical function's name is that of its symbol
    /// where a table has one with a size: a module has the same names with and without its debug
    /// file, libc's functions their public names (DWARF calls them `__GI_…`), and pieces that
    /// compilers split off theirs (`.cold`, `.part.0`). In Go code everything comes from the
    /// pclntab, which every build has: names as the linker wrote them (raw; type arguments are
    /// abbreviated for display), inlined calls, lines, start lines. C code linked into a Go program
    /// is never given a Go name.
    ///
    /// # Errors
    /// Why there is no name: [`NoName::NoSymbols`], [`NoName::OutOfRange`],
    /// [`NoName::BadDebugInfo`] or [`NoName::Obfuscated`].
    pub fn lookup(&self, address: Svma) -> Result<Vec<SourceFrame>, NoName> {
        self.lookup_range(address).names
    }

    /// As [`Symbols::lookup`], and how far around the address the answer is the same.
    pub fn lookup_range(&self, address: Svma) -> Found {
        self.found(address, |span| match self.debug_info() {
            Some(info) => info.lookup(address.0, span),
            None => Ok(Vec::new()),
        })
    }

    /// Answers for many addresses, in their order; each as [`Symbols::lookup_range`] gives it.
    ///
    /// Works in parallel on rayon's threads, unit by unit: each unit that is hit is decoded once and
    /// forgotten when its addresses are answered.
    pub fn lookup_all(&self, addresses: &[Svma]) -> Vec<Found> {
        // Go's tables answer without units.
        let info = self.debug_info().filter(|_| !matches!(self.go(), GoCode::Table(_)));
        let unit_of = |address| info?.unit_at(address, &mut { Span::ALL });
        let mut order: Vec<Asked> =
            addresses.iter().enumerate().map(|(at, a)| (unit_of(a.0), a.0, at)).collect();
        order.par_sort_unstable();
        let mut groups: Vec<&[Asked]> = Vec::new();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let largest = if group[0].0.is_some() { usize::MAX } else { ADDRESSES_WITHOUT_UNIT };
            groups.extend(group.chunks(largest));
        }
        let answers: Vec<Vec<(usize, Found)>> = groups
            .par_iter()
            .with_max_len(1)
            .map(|group| match (info, group[0].0) {
                (Some(info), Some(number)) => info.with_unit(number, |unit| {
                    in_order(group, |at| self.found(at, |span| unit.lookup(at.0, span)))
                }),
                _ => in_order(group, |at| self.lookup_range(at)),
            })
            .collect();
        let mut found: Vec<Option<Found>> = vec![None; addresses.len()];
        for (at, answer) in answers.into_iter().flatten() {
            found[at] = Some(answer);
        }
        found.into_iter().flatten().collect()
    }

    fn found(
        &self,
        address: Svma,
        ask: impl FnOnce(&mut Span) -> Result<Vec<Hit>, Damaged>,
    ) -> Found {
        let mut span = Span::ALL;
        let names = self.name(address, ask, &mut span);
        Found { names, extent: span.begin..span.end.max(address.0.saturating_add(1)) }
    }

    /// What the tables together say; `ask` asks debug information.
    fn name(
        &self,
        address: Svma,
        ask: impl FnOnce(&mut Span) -> Result<Vec<Hit>, Damaged>,
        span: &mut Span,
    ) -> Result<Vec<SourceFrame>, NoName> {
        let go = self.go().frames(address.0, span);
        if let Some(Ok(frames)) = go {
            return Ok(frames);
        }
        if self.has_go() {
            span.narrow_to(address.0); // how far code is not Go's, its tables do not say
        }
        let hits = ask(span);
        let is_cut = self.image.iter().chain(&self.debug).any(|file| file.is_cut);
        let damaged = hits.is_err() || is_cut;
        let mut hits = hits.unwrap_or_default();
        let physical = hits.pop();
        let mut frames: Vec<SourceFrame> = hits.into_iter().filter_map(inlined).collect();
        let (stated, file, line) = match physical {
            Some(hit) => (hit.name, hit.file, hit.line),
            None => (None, None, None),
        };
        let start_line = stated.as_ref().and_then(|stated| stated.start_line);
        let chosen =
            choose(self.table.find(address.0, span), stated).or_else(|| self.stub(address, span));
        let Some((raw_name, name, source)) = chosen else {
            return Err(if damaged {
                NoName::BadDebugInfo
            } else if go.is_some() {
                NoName::Obfuscated
            } else if self.table.is_empty() && self.debug_info().is_none() && !self.has_go() {
                NoName::NoSymbols
            } else {
                NoName::OutOfRange
            });
        };
        frames.push(SourceFrame { name, raw_name, file, line, start_line, inlined: false, source });
        Ok(frames)
    }

    fn debug_info(&self) -> Option<&DebugInfo<'d>> {
        self.debug_info.get_or_init(|| self.open_debug_info()).as_ref()
    }

    fn stub(&self, address: Svma, span: &mut Span) -> Option<Chosen> {
        let stubs = self
            .plt
            .get_or_init(|| self.image.as_ref().map_or_else(PltStubs::default, PltStubs::read));
        let (raw, shown) = stubs.find(address.0, span)?;
        Some((raw, shown, NameSource::Dynsym))
    }

    fn go(&self) -> &GoCode<'d> {
        self.go.get_or_init(|| self.image.as_ref().map_or(GoCode::None, GoCode::open))
    }

    fn has_go(&self) -> bool {
        !matches!(self.go(), GoCode::None)
    }

    /// From the module's own file if it has any, else from its debug file.
    fn open_debug_info(&self) -> Option<DebugInfo<'d>> {
        self.files().into_iter().find_map(|elf| DebugInfo::open(elf, self.supplement.as_ref()))
    }
}

/// An address to answer: its unit, the address, its place among those asked for.
type Asked = (Option<u32>, u64, usize);

/// Answers for ascending addresses. Neighbours often share one.
fn in_order(group: &[Asked], ask: impl Fn(Svma) -> Found) -> Vec<(usize, Found)> {
    let mut answers: Vec<(usize, Found)> = Vec::with_capacity(group.len());
    for (_, address, at) in group {
        let found = match answers.last() {
            Some((_, before)) if before.extent.contains(address) => before.clone(),
            _ => ask(Svma(*address)),
        };
        answers.push((*at, found));
    }
    answers
}

type Chosen = (Arc<str>, Arc<str>, NameSource);

/// Raw name, shown name and source of a physical function.
fn choose(symbol: Option<Named>, stated: Option<DwarfName>) -> Option<Chosen> {
    match (symbol, stated) {
        (Some(symbol), Some(stated)) if !symbol.sized || symbol.raw == stated.raw => {
            Some((stated.raw, stated.shown, NameSource::Dwarf))
        }
        (Some(symbol), _) => Some((symbol.raw, symbol.shown, symbol.source)),
        (None, Some(stated)) => Some((stated.raw, stated.shown, NameSource::Dwarf)),
        (None, None) => None,
    }
}

fn inlined(hit: Hit) -> Option<SourceFrame> {
    let DwarfName { raw, shown, start_line } = hit.name?;
    Some(SourceFrame {
        name: shown,
        raw_name: raw,
        file: hit.file,
        line: hit.line,
        start_line,
        inlined: true,
        source: NameSource::Dwarf,
    })
}
