//! Which unit an address belongs to.

use gimli::{Dwarf, Section as _, UnitType};

use super::Slice;
use super::unit::{Root, range_budget};
use crate::ranges::{Range, RangeMap};
use crate::span::Span;

/// Abbreviations passed over for root entries, beyond some times what the file has: units may share
/// one table, and a hostile file lets a million share one whose end is far.
const MAX_SHARED_BYTES: usize = 64 << 20;

/// Units that are read: what stands behind so many is not found.
const MAX_UNITS: usize = 1 << 19;

/// The units of `.debug_info` and the addresses they state.
#[derive(Default, Debug)]
pub(super) struct UnitIndex {
    /// In `.debug_info`, ascending; also of units without addresses, for references into them.
    offsets: Vec<usize>,
    map: RangeMap,
}

impl UnitIndex {
    /// Reads every unit's header and root entry. A damaged root costs that unit, a damaged header
    /// also those behind it.
    pub fn read(dwarf: &Dwarf<Slice<'_>>) -> Self {
        let mut offsets = Vec::new();
        let mut ranges = Vec::new();
        let mut budget = range_budget(dwarf);
        let mut abbreviation_bytes = dwarf.debug_abbrev.reader().len() * 4 + MAX_SHARED_BYTES;
        let mut units = dwarf.units();
        while let Ok(Some(header)) = units.next() {
            let Some(offset) = header.debug_info_offset() else { continue };
            let owner = offsets.len() as u32;
            if offsets.len() >= MAX_UNITS {
                break;
            }
            offsets.push(offset.0);
            // Partial units hold what others refer to; type units hold no code.
            if !matches!(header.type_(), UnitType::Compilation | UnitType::Skeleton(_)) {
                continue;
            }
            let Ok(root) = Root::read(dwarf, header, &mut abbreviation_bytes) else { continue };
            let each = |begin, end| ranges.push(Range { begin, end, owner });
            let added = root.for_each_range(dwarf, &root.extent, &mut budget, each);
            if added.is_err() && budget == 0 {
                break;
            }
        }
        Self { offsets, map: RangeMap::flatten(ranges) }
    }

    /// The number of the unit that holds an address.
    pub fn find(&self, address: u64, span: &mut Span) -> Option<u32> {
        self.map.find(address, span)
    }

    /// Where a unit begins in `.debug_info`.
    pub fn offset(&self, number: u32) -> usize {
        self.offsets[number as usize]
    }

    /// Where all units begin, ascending.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }
}

/// Where the units of a supplement begin.
pub(super) fn unit_offsets(dwarf: &Dwarf<Slice<'_>>) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next()
        && offsets.len() < MAX_UNITS
    {
        offsets.extend(header.debug_info_offset().map(|offset| offset.0));
    }
    offsets
}
