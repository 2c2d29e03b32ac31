//! One module ready for look-ups.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use profile::{NameSource, NoName, Svma};

use crate::dwarf::{DebugInfo, DwarfName, Hit};
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

    /// Where symbols, debug and unwind information are looked for, in this order. (MiniDebugInfo,
    /// an ELF file inside the image, will stand between the two.)
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
        let mut span = Span::ALL;
        let names = self.find(address, &mut span);
        Found { names, extent: span.begin..span.end }
    }

    fn find(&self, address: Svma, span: &mut Span) -> Result<Vec<SourceFrame>, NoName> {
        let go = self.go().frames(address.0, span);
        if let Some(Ok(frames)) = go {
            return Ok(frames);
        }
        span.narrow_to(address.0);
        let debug_info = self.debug_info.get_or_init(|| self.open_debug_info());
        let hits = debug_info.as_ref().map_or(Ok(Vec::new()), |info| info.lookup(address.0));
        let damaged = hits.is_err();
        let mut hits = hits.unwrap_or_default();
        let physical = hits.pop();
        let mut frames: Vec<SourceFrame> = hits.into_iter().filter_map(inlined).collect();
        let (stated, file, line) = match physical {
            Some(hit) => (hit.name, hit.file, hit.line),
            None => (None, None, None),
        };
        let chosen = choose(self.table.find(address.0), stated).or_else(|| self.stub(address));
        let Some((raw_name, name, source)) = chosen else {
            return Err(if damaged {
                NoName::BadDebugInfo
            } else if go.is_some() {
                NoName::Obfuscated
            } else if self.table.is_empty() && debug_info.is_none() && !self.has_go() {
                NoName::NoSymbols
            } else {
                NoName::OutOfRange
            });
        };
        frames.push(SourceFrame {
            name,
            raw_name,
            file,
            line,
            start_line: None,
            inlined: false,
            source,
        });
        Ok(frames)
    }

    fn stub(&self, address: Svma) -> Option<Chosen> {
        let stubs = self
            .plt
            .get_or_init(|| self.image.as_ref().map_or_else(PltStubs::default, PltStubs::read));
        let (raw, shown) = stubs.find(address.0)?;
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
    let DwarfName { raw, shown, .. } = hit.name?;
    Some(SourceFrame {
        name: shown,
        raw_name: raw,
        file: hit.file,
        line: hit.line,
        start_line: None,
        inlined: true,
        source: NameSource::Dwarf,
    })
}
