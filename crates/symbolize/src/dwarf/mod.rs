//! DWARF 4 and 5: functions, inlined calls and lines at an address.
//!
//! ```text
//! unit_index     address -> unit      one small step per unit, no abbreviation table parsed
//! functions      address -> function, inlined calls      one pass over a unit that was hit
//! lines          address -> file, line                   one run of its line program
//! names          entry -> name, start line    follows references, also into a supplement
//! scopes         entry -> namespaces and classes around it
//!
//! unit           header, root entry, what values mean
//! abbreviations  per kind of entry, what to skip and what to read
//! form, cursor   how long values are; numbers from bytes
//! ```
//!
//! gimli reads what is rare (units' headers, range lists); entries and line programs, where the time
//! goes, are read here.
//!
//! Everything kept is plain numbers, so sections may be inflated and owned here and one value may
//! be asked from several threads. Still to come: split units (`.dwo`, `.dwp`), of which only the
//! skeleton is read.

mod abbreviations;
mod budget;
mod cursor;
mod form;
mod functions;
mod line_header;
mod line_program;
mod lines;
mod names;
mod scopes;
mod unit;
mod unit_index;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, Section as _};
use rustc_hash::FxHashMap;

use crate::elf::Elf;
use crate::sections::{self, InflateBudget};
use crate::span::Span;
use abbreviations::AbbreviationCache;
use budget::Budget;
use functions::Functions;
use lines::Lines;
pub(crate) use names::DwarfName;
use names::{Names, Place};
use unit::Unit;
use unit_index::UnitIndex;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Sections<'d> = DwarfSections<Cow<'d, [u8]>>;

/// Decoded units are forgotten beyond this many bytes; asking in order of addresses decodes each
/// unit once all the same.
const MAX_UNIT_BYTES: usize = 192 << 20;

/// The debug information of a module.
pub(crate) struct DebugInfo<'d> {
    main: Sections<'d>,
    supplement: Option<Sections<'d>>,
    index: UnitIndex,
    units: Mutex<UnitCache>,
    names: Names,
    abbreviations: AbbreviationCache,
    line_budget: Budget,
}

/// One function of an answer, innermost first; the last one is the physical function.
#[derive(Debug)]
pub(crate) struct Hit {
    /// `None` only of a physical function: file and line are known, but not its name.
    pub name: Option<DwarfName>,
    pub file: Option<Arc<str>>,
    pub line: Option<u32>,
}

/// The entry could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Damaged;

impl From<gimli::Error> for Damaged {
    fn from(_: gimli::Error) -> Self {
        Self
    }
}

#[derive(Default)]
struct UnitCache {
    units: FxHashMap<u32, Arc<DecodedUnit>>,
    heap_bytes: usize,
}

/// What a pass over one unit leaves.
struct DecodedUnit {
    functions: Result<Functions, Damaged>,
    lines: Result<Lines, Damaged>,
}

impl<'d> DebugInfo<'d> {
    /// Reads where units are. `None` when the file has no debug information.
    pub fn open(elf: &Elf<'d>, supplement: Option<&Elf<'d>>) -> Option<Self> {
        let section = elf.section(b".debug_info").or(elf.section(b".zdebug_info"))?;
        if section.bytes.is_empty() {
            return None;
        }
        let main = load(elf);
        let supplement = supplement.map(load);
        let index = UnitIndex::read(&main.borrow(slice));
        let (line_bytes, abbreviation_bytes) = {
            let dwarf = main.borrow(slice);
            let bytes = |dwarf: &Dwarf<Slice<'_>>| dwarf.debug_abbrev.reader().len();
            let shared = supplement.as_ref().map_or(0, |s| bytes(&s.borrow(slice)));
            (dwarf.debug_line.reader().len(), bytes(&dwarf) + shared)
        };
        Some(Self {
            main,
            supplement,
            index,
            units: Mutex::default(),
            names: Names::default(),
            abbreviations: AbbreviationCache::new(abbreviation_bytes),
            line_budget: Budget::for_section(line_bytes),
        })
    }

    /// The number of the unit that holds an address; `span` shrinks to where that is so.
    pub fn unit_at(&self, address: u64, span: &mut Span) -> Option<u32> {
        self.index.find(address, span)
    }

    /// Functions and lines at an address; empty where the debug information has nothing.
    pub fn lookup(&self, address: u64, span: &mut Span) -> Result<Vec<Hit>, Damaged> {
        if self.index.offsets().is_empty() {
            return Err(Damaged); // not one unit in a section made for them
        }
        let Some(number) = self.unit_at(address, span) else { return Ok(Vec::new()) };
        let dwarf = self.dwarf();
        let decoded = self.cached_unit(&dwarf, number);
        let unit = Unit::open(&dwarf, self.index.offset(number), false, &self.abbreviations)?;
        self.answer(&dwarf, &unit, &decoded, address, span)
    }

    /// Decodes a unit for many questions in a row; nothing of it is kept afterwards.
    pub fn with_unit<T>(&self, number: u32, ask: impl FnOnce(&OpenUnit<'_, '_>) -> T) -> T {
        let dwarf = self.dwarf();
        let unit = Unit::open(&dwarf, self.index.offset(number), false, &self.abbreviations);
        let decoded = unit.as_ref().map(|unit| DecodedUnit::read(&dwarf, unit, &self.line_budget));
        let decoded = decoded.map_err(|damaged| *damaged);
        ask(&OpenUnit { info: self, dwarf: &dwarf, unit: &unit, decoded: &decoded })
    }

    fn dwarf(&self) -> Dwarf<Slice<'_>> {
        self.main.borrow_with_sup(self.supplement.as_ref(), slice)
    }

    fn answer<'a>(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<'a>,
        decoded: &DecodedUnit,
        address: u64,
        span: &mut Span,
    ) -> Result<Vec<Hit>, Damaged> {
        let (mut file, mut line) = match &decoded.lines {
            Ok(lines) => lines.find(address, span).map_or((None, None), |row| {
                (lines.file(dwarf, row.file), (row.line != 0).then_some(row.line))
            }),
            Err(Damaged) => (None, None),
        };
        let functions = decoded.functions.as_ref().map_err(|damaged| *damaged)?;
        let place = Place { dwarf, index: &self.index, abbreviations: &self.abbreviations, unit };
        let mut hits = Vec::new();
        if let Some(function) = functions.find(address, span) {
            let mut inlined = functions.find_inlined(address, function, span);
            while let Some(call) = inlined.take().map(|number| functions.inlined(number)) {
                // An inlined call without a name belongs to its caller.
                if let Some(name) = self.names.resolve(&place, call.origin) {
                    hits.push(Hit { name: Some(name), file, line });
                }
                let lines = decoded.lines.as_ref().ok();
                file = lines.and_then(|lines| lines.file(dwarf, call.file));
                line = (call.line != 0).then_some(call.line);
                inlined = call.parent;
            }
            let name = self.names.resolve(&place, functions.origin(function));
            hits.push(Hit { name, file, line });
        } else if line.is_some() {
            hits.push(Hit { name: None, file, line });
        }
        Ok(hits)
    }

    fn cached_unit(&self, dwarf: &Dwarf<Slice<'_>>, number: u32) -> Arc<DecodedUnit> {
        let lock = || self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unit) = lock().units.get(&number) {
            return Arc::clone(unit);
        }
        let offset = self.index.offset(number);
        let decoded = Arc::new(match Unit::open(dwarf, offset, false, &self.abbreviations) {
            Ok(unit) => DecodedUnit::read(dwarf, &unit, &self.line_budget),
            Err(Damaged) => DecodedUnit { functions: Err(Damaged), lines: Err(Damaged) },
        });
        let bytes = decoded.heap_bytes();
        let mut cache = lock();
        if cache.heap_bytes + bytes > MAX_UNIT_BYTES {
            *cache = UnitCache::default();
        }
        cache.heap_bytes += bytes;
        cache.units.insert(number, Arc::clone(&decoded));
        decoded
    }
}

/// A unit that can be asked.
pub(crate) struct OpenUnit<'u, 'a> {
    info: &'u DebugInfo<'a>,
    dwarf: &'u Dwarf<Slice<'a>>,
    unit: &'u Result<Unit<'a>, Damaged>,
    decoded: &'u Result<DecodedUnit, Damaged>,
}

impl OpenUnit<'_, '_> {
    /// As [`DebugInfo::lookup`], of an address in this unit.
    pub fn lookup(&self, address: u64, span: &mut Span) -> Result<Vec<Hit>, Damaged> {
        self.info.unit_at(address, span);
        match (self.unit, self.decoded) {
            (Ok(unit), Ok(decoded)) => self.info.answer(self.dwarf, unit, decoded, address, span),
            _ => Err(Damaged),
        }
    }
}

impl DecodedUnit {
    fn read<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<'a>, line_budget: &Budget) -> Self {
        let lines = Lines::read(dwarf, &unit.root, line_budget);
        Self { functions: Functions::read(dwarf, unit), lines }
    }

    fn heap_bytes(&self) -> usize {
        self.functions.as_ref().map_or(0, Functions::heap_bytes)
            + self.lines.as_ref().map_or(0, Lines::heap_bytes)
    }
}

#[allow(clippy::ptr_arg)] // it is what gimli borrows from
fn slice<'a>(bytes: &'a Cow<'_, [u8]>) -> Slice<'a> {
    EndianSlice::new(bytes, LittleEndian)
}

/// The sections that look-ups read. One that cannot be inflated counts as empty: what does not
/// need it still works.
fn load<'d>(elf: &Elf<'d>) -> Sections<'d> {
    use gimli::SectionId as Id;
    let mut budget = InflateBudget::for_file(elf.bytes);
    let loaded: Result<_, std::convert::Infallible> = DwarfSections::load(|id| {
        Ok(match id {
            Id::DebugAbbrev
            | Id::DebugAddr
            | Id::DebugAranges
            | Id::DebugInfo
            | Id::DebugLine
            | Id::DebugLineStr
            | Id::DebugRanges
            | Id::DebugRngLists
            | Id::DebugStr
            | Id::DebugStrOffsets => {
                sections::content(elf, id.name(), &mut budget).unwrap_or_default()
            }
            _ => Cow::Borrowed(&[][..]),
        })
    });
    match loaded {
        Ok(sections) => sections,
    }
}

impl std::fmt::Debug for DebugInfo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugInfo").field("index", &self.index).finish_non_exhaustive()
    }
}
