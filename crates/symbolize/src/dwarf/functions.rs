//! The functions of one unit and what was inlined into them, from one pass over its entries.

use gimli::{AttributeValue, Dwarf, EntriesRaw};

use super::unit::{Extent, Unit, range_budget};
use super::{Damaged, Slice};
use crate::ranges::{Range, RangeMap};

/// An entry that names a function: its offset in `.debug_info`, of the supplement or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Origin {
    pub offset: usize,
    pub in_supplement: bool,
}

/// An inlined call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inlined {
    pub origin: Origin,
    /// The function whose code it is in.
    function: u32,
    /// The inlined call it is nested in. Always a smaller number: entries precede their children.
    pub parent: Option<u32>,
    /// How many inlined calls it is nested in.
    depth: u8,
    /// Where the call stands: index in the unit's file table.
    pub file: u64,
    pub line: u32,
}

/// Inlined calls nested deeper belong to their caller: the deepest seen in real programs have some
/// 60, and a hostile file nests a million in ten megabytes.
const MAX_DEPTH: u8 = 254;

/// A unit's functions.
#[derive(Debug)]
pub(super) struct Functions {
    origins: Vec<Origin>,
    map: RangeMap,
    inlined: Vec<Inlined>,
    inlined_map: RangeMap,
}

impl Functions {
    /// Reads a whole unit. What stands before a damaged entry is kept when anything does.
    pub fn read<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<'a>) -> Result<Self, Damaged> {
        let mut pass = Pass {
            dwarf,
            unit,
            unit_offset: unit.gimli.header.debug_info_offset().ok_or(Damaged)?.0,
            budget: range_budget(dwarf),
            origins: Vec::new(),
            ranges: Vec::new(),
            inlined: Vec::new(),
            inlined_ranges: Vec::new(),
        };
        let outcome = pass.run();
        if outcome.is_err() && pass.ranges.is_empty() {
            return Err(Damaged);
        }
        pass.origins.shrink_to_fit();
        pass.inlined.shrink_to_fit();
        Ok(Self {
            origins: pass.origins,
            map: RangeMap::flatten(pass.ranges),
            inlined: pass.inlined,
            inlined_map: RangeMap::flatten(pass.inlined_ranges),
        })
    }

    /// The number of the function that holds an address.
    pub fn find(&self, address: u64) -> Option<u32> {
        self.map.find(address)
    }

    /// The innermost inlined call at an address of a function. Where the linker folded equal
    /// functions, the calls of another one may lie there; they are not this function's.
    pub fn find_inlined(&self, address: u64, function: u32) -> Option<u32> {
        self.inlined_map.find(address).filter(|n| self.inlined(*n).function == function)
    }

    pub fn inlined(&self, number: u32) -> Inlined {
        self.inlined[number as usize]
    }

    pub fn origin(&self, function: u32) -> Origin {
        self.origins[function as usize]
    }

    pub fn heap_bytes(&self) -> usize {
        self.origins.capacity() * size_of::<Origin>()
            + self.inlined.capacity() * size_of::<Inlined>()
            + self.map.heap_bytes()
            + self.inlined_map.heap_bytes()
    }
}

struct Pass<'p, 'a> {
    dwarf: &'p Dwarf<Slice<'a>>,
    unit: &'p Unit<'a>,
    unit_offset: usize,
    budget: usize,
    origins: Vec<Origin>,
    ranges: Vec<Range>,
    inlined: Vec<Inlined>,
    inlined_ranges: Vec<Range>,
}

/// An entry whose children are being read. A list instead of recursion: a hostile file nests a
/// million of them in a megabyte.
struct Open {
    depth: isize,
    function: Option<u32>,
    inlined: Option<u32>,
}

/// The attributes of a function or an inlined call that matter here.
#[derive(Default)]
struct Entry {
    extent: Extent,
    origin: Option<Origin>,
    has_linkage_name: bool,
    call_file: u64,
    call_line: u32,
}

impl<'a> Pass<'_, 'a> {
    fn run(&mut self) -> Result<(), Damaged> {
        let mut entries = self.unit.gimli.entries_raw(None)?;
        let mut open: Vec<Open> = Vec::new();
        while !entries.is_empty() {
            let offset = self.unit_offset + entries.next_offset().0;
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            while open.pop_if(|outer| outer.depth >= depth).is_some() {}
            let (outer_function, outer_inlined) =
                open.last().map_or((None, None), |outer| (outer.function, outer.inlined));
            let own = Origin { offset, in_supplement: false };
            match abbreviation.tag() {
                gimli::DW_TAG_subprogram => {
                    let entry = self.read_entry(&mut entries, abbreviation)?;
                    let function = self.add_function(&entry, entry.name_origin(own))?;
                    open.push(Open { depth, function, inlined: None });
                }
                gimli::DW_TAG_inlined_subroutine => {
                    let entry = self.read_entry(&mut entries, abbreviation)?;
                    let Some(function) = outer_function else { continue };
                    let outer_depth = outer_inlined.map(|outer| self.inlined[outer as usize].depth);
                    if outer_depth == Some(MAX_DEPTH) {
                        continue;
                    }
                    let inlined = Inlined {
                        depth: outer_depth.map_or(0, |depth| depth + 1),
                        origin: entry.name_origin(own),
                        function,
                        parent: outer_inlined,
                        file: entry.call_file,
                        line: entry.call_line,
                    };
                    let inlined = self.add_inlined(&entry, inlined)?;
                    open.push(Open { depth, function: Some(function), inlined: Some(inlined) });
                }
                _ => entries.skip_attributes(abbreviation.attributes())?,
            }
        }
        Ok(())
    }

    /// The row is there before its ranges: a damaged list may state some and then end the pass.
    fn add_function(&mut self, entry: &Entry, origin: Origin) -> Result<Option<u32>, Damaged> {
        let owner = self.origins.len() as u32;
        self.origins.push(origin);
        let before = self.ranges.len();
        let Self { unit, dwarf, budget, ranges, .. } = self;
        let each = |begin, end| ranges.push(Range { begin, end, owner });
        unit.for_each_range(dwarf, &entry.extent, budget, each)?;
        if self.ranges.len() == before {
            self.origins.pop(); // a declaration, or only ever inlined
            return Ok(None);
        }
        Ok(Some(owner))
    }

    fn add_inlined(&mut self, entry: &Entry, inlined: Inlined) -> Result<u32, Damaged> {
        let owner = self.inlined.len() as u32;
        self.inlined.push(inlined);
        let Self { unit, dwarf, budget, inlined_ranges, .. } = self;
        let each = |begin, end| inlined_ranges.push(Range { begin, end, owner });
        unit.for_each_range(dwarf, &entry.extent, budget, each)?;
        Ok(owner)
    }

    fn read_entry(
        &self,
        entries: &mut EntriesRaw<'_, Slice<'a>>,
        abbreviation: &gimli::Abbreviation,
    ) -> Result<Entry, Damaged> {
        let unit = &self.unit.gimli;
        let mut entry = Entry::default();
        let mut high_pc = None;
        for spec in abbreviation.attributes() {
            let attribute = entries.read_attribute(*spec)?;
            let value = attribute.value();
            match attribute.name() {
                gimli::DW_AT_low_pc => {
                    entry.extent.low_pc = self.dwarf.attr_address(unit, value)?;
                }
                gimli::DW_AT_high_pc => high_pc = Some(value),
                gimli::DW_AT_ranges => {
                    entry.extent.ranges = self.dwarf.attr_ranges_offset(unit, value)?;
                }
                gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                    entry.has_linkage_name = true;
                }
                gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                    entry.origin = origin(self.unit_offset, value);
                }
                gimli::DW_AT_call_file => {
                    entry.call_file = match value {
                        AttributeValue::FileIndex(index) => index,
                        _ => 0,
                    };
                }
                gimli::DW_AT_call_line => {
                    entry.call_line = value.udata_value().map_or(0, |line| line as u32);
                }
                _ => {}
            }
        }
        let low_pc = entry.extent.low_pc;
        entry.extent.high_pc = match high_pc {
            Some(AttributeValue::Udata(bytes)) => low_pc.and_then(|low| low.checked_add(bytes)),
            Some(value) => self.dwarf.attr_address(unit, value)?,
            None => None,
        };
        Ok(entry)
    }
}

impl Entry {
    /// Entries that share an origin share a name, and so one place in the cache of names.
    fn name_origin(&self, own: Origin) -> Origin {
        self.origin.filter(|_| !self.has_linkage_name).unwrap_or(own)
    }
}

/// What a reference attribute points to.
pub(super) fn origin(unit_offset: usize, value: AttributeValue<Slice<'_>>) -> Option<Origin> {
    let (offset, in_supplement) = match value {
        AttributeValue::UnitRef(offset) => (unit_offset.checked_add(offset.0)?, false),
        AttributeValue::DebugInfoRef(offset) => (offset.0, false),
        AttributeValue::DebugInfoRefSup(offset) => (offset.0, true),
        _ => return None,
    };
    Some(Origin { offset, in_supplement })
}
