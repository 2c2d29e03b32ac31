//! The functions of one unit and what was inlined into them, from one pass over its entries.

use gimli::Dwarf;

use super::abbreviations::{Attribute, Kind, Plan};
use super::cursor::Cursor;
use super::unit::{Extent, Origin, Unit, range_budget};
use super::{Damaged, Slice};
use crate::ranges::{Range, RangeMap};
use crate::span::Span;

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

/// Functions, inlined calls and their ranges of one unit: what comes after so many is left out. (An
/// inflated section may hold one in every byte or two.)
const MAX_ENTRIES: usize = 2 << 20;

/// Functions within functions, and inlined calls: what is nested deeper ends the unit.
const MAX_OPEN: usize = 4096;

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
            skips_abstract: unit.root.is_c(),
            budget: range_budget(dwarf),
            open: Vec::new(),
            depth: 0,
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
    pub fn find(&self, address: u64, span: &mut Span) -> Option<u32> {
        self.map.find(address, span)
    }

    /// The innermost inlined call at an address of a function. Where the linker folded equal
    /// functions, the calls of another one may lie there; they are not this function's.
    pub fn find_inlined(&self, address: u64, function: u32, span: &mut Span) -> Option<u32> {
        self.inlined_map.find(address, span).filter(|n| self.inlined(*n).function == function)
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
    /// Whether nothing within a function without code can have code.
    skips_abstract: bool,
    budget: usize,
    open: Vec<Open>,
    depth: usize,
    origins: Vec<Origin>,
    ranges: Vec<Range>,
    inlined: Vec<Inlined>,
    inlined_ranges: Vec<Range>,
}

/// An entry whose children are being read. A list instead of recursion: a hostile file nests a
/// million of them in a megabyte.
struct Open {
    depth: usize,
    function: Option<u32>,
    inlined: Option<u32>,
}

/// The attributes of a function or an inlined call that matter here.
#[derive(Default)]
struct Entry {
    extent: Extent,
    origin: Option<Origin>,
    has_linkage_name: bool,
    is_declaration: bool,
    sibling: Option<u64>,
    call_file: u64,
    call_line: u32,
}

impl<'a> Pass<'_, 'a> {
    fn run(&mut self) -> Result<(), Damaged> {
        let unit = self.unit;
        let abbreviations = &*unit.abbreviations;
        let mut cursor = unit.entries();
        while !cursor.is_at_end() {
            let at = cursor.position();
            let code = cursor.uleb()?;
            if code == 0 {
                // Zeros behind the last entry fill the unit up.
                self.depth = self.depth.saturating_sub(1);
                self.open.pop_if(|closed| closed.depth >= self.depth);
                continue;
            }
            let plan = abbreviations.plan(code)?;
            match plan.kind {
                Kind::Function | Kind::Inlined => {
                    let own =
                        Origin { offset: unit.offset + at, in_supplement: unit.in_supplement };
                    self.read_code(&mut cursor, plan, own)?;
                }
                Kind::Other | Kind::Class => match abbreviations.skip(&mut cursor, plan)? {
                    Some(sibling) if plan.has_children => cursor.jump(sibling.number)?,
                    _ => self.depth += usize::from(plan.has_children),
                },
                Kind::Block | Kind::Namespace => {
                    abbreviations.skip(&mut cursor, plan)?;
                    self.depth += usize::from(plan.has_children);
                }
            }
        }
        Ok(())
    }

    fn read_code(
        &mut self,
        cursor: &mut Cursor<'a>,
        plan: Plan,
        own: Origin,
    ) -> Result<(), Damaged> {
        let entry = self.read_entry(cursor, plan)?;
        let count = self.origins.len() + self.inlined.len() + self.ranges.len();
        if count + self.inlined_ranges.len() > MAX_ENTRIES || self.open.len() > MAX_OPEN {
            return Err(Damaged);
        }
        let depth = self.depth;
        let (outer_function, outer_inlined) =
            self.open.last().map_or((None, None), |outer| (outer.function, outer.inlined));
        let origin = entry.name_origin(own);
        if plan.kind == Kind::Function {
            let function = self.add_function(&entry, origin)?;
            if let Some(sibling) = entry.sibling.filter(|_| plan.has_children)
                && function.is_none()
                && (self.skips_abstract || entry.is_declaration)
            {
                return cursor.jump(sibling);
            }
            if plan.has_children {
                self.open.push(Open { depth, function, inlined: None });
            }
        } else if let Some(function) = outer_function {
            let outer_depth = outer_inlined.map(|outer| self.inlined[outer as usize].depth);
            if outer_depth != Some(MAX_DEPTH) {
                let inlined = self.add_inlined(
                    &entry,
                    Inlined {
                        depth: outer_depth.map_or(0, |depth| depth + 1),
                        origin,
                        function,
                        parent: outer_inlined,
                        file: entry.call_file,
                        line: entry.call_line,
                    },
                )?;
                if plan.has_children {
                    self.open.push(Open {
                        depth,
                        function: Some(function),
                        inlined: Some(inlined),
                    });
                }
            }
        }
        self.depth += usize::from(plan.has_children);
        Ok(())
    }

    /// The row is there before its ranges: a damaged list may state some and then end the pass.
    fn add_function(&mut self, entry: &Entry, origin: Origin) -> Result<Option<u32>, Damaged> {
        let owner = self.origins.len() as u32;
        self.origins.push(origin);
        let before = self.ranges.len();
        let Self { unit, dwarf, budget, ranges, .. } = self;
        let each = |begin, end| ranges.push(Range { begin, end, owner });
        unit.root.for_each_range(dwarf, &entry.extent, budget, each)?;
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
        unit.root.for_each_range(dwarf, &entry.extent, budget, each)?;
        Ok(owner)
    }

    fn read_entry(&self, cursor: &mut Cursor<'a>, plan: Plan) -> Result<Entry, Damaged> {
        let Self { unit, dwarf, .. } = *self;
        let mut entry = Entry::default();
        let mut high_pc = None;
        let each = |attribute, value: super::form::Value| match attribute {
            Attribute::Sibling => entry.sibling = Some(value.number),
            Attribute::LowPc => entry.extent.low_pc = unit.address(dwarf, value),
            Attribute::HighPc => high_pc = Some(value),
            Attribute::Ranges => entry.extent.ranges = unit.ranges(dwarf, value),
            Attribute::LinkageName => entry.has_linkage_name = true,
            Attribute::AbstractOrigin => entry.origin = unit.reference(value),
            Attribute::Declaration => entry.is_declaration = value.number != 0,
            Attribute::CallFile => entry.call_file = value.number,
            Attribute::CallLine => entry.call_line = u32::try_from(value.number).unwrap_or(0),
            Attribute::Name | Attribute::Specification | Attribute::DeclLine => {}
        };
        unit.abbreviations.read_attributes(cursor, plan, each)?;
        let low_pc = entry.extent.low_pc;
        entry.extent.high_pc = high_pc.and_then(|value| unit.high_pc(dwarf, low_pc, value));
        Ok(entry)
    }
}

impl Entry {
    /// Entries that share an origin share a name, and so one place in the cache of names.
    fn name_origin(&self, own: Origin) -> Origin {
        self.origin.filter(|_| !self.has_linkage_name).unwrap_or(own)
    }
}
