//! Which code stands where in an address space.

use std::collections::BTreeMap;

/// More executable mappings than any sane process has.
const MAX_REGIONS: usize = 16_384;

/// An executable mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Region {
    pub(super) end: u64,
    /// What to take from an address for the code's own meaning of it.
    pub(super) base: u64,
    /// Whose code.
    pub(super) code: Code,
}

/// Where code comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Code {
    /// Number of a module.
    Module(u32),
    /// Memory without a file: of the process that has it.
    Anonymous,
}

/// The executable mappings of an address space, without overlaps.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct AddressMap {
    /// By start.
    regions: BTreeMap<u64, Region>,
}

impl AddressMap {
    pub(super) fn len(&self) -> usize {
        self.regions.len()
    }

    /// The mapping that holds an address.
    pub(super) fn find(&self, address: u64) -> Option<Region> {
        let (_, region) = self.regions.range(..=address).next_back()?;
        (address < region.end).then_some(*region)
    }

    /// Maps something; what it overlaps is gone there. False: there are too many mappings already.
    pub(super) fn insert(&mut self, start: u64, region: Region) -> bool {
        if start >= region.end {
            return true;
        }
        self.remove(start, region.end);
        let fits = self.regions.len() < MAX_REGIONS;
        if fits {
            self.regions.insert(start, region);
        }
        fits
    }

    /// Unmaps a range.
    pub(super) fn remove(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let overlapping = self.regions.range(..end).rev().take_while(|(_, r)| r.end > start);
        let overlapping: Vec<(u64, Region)> = overlapping.map(|(s, r)| (*s, *r)).collect();
        for (from, region) in overlapping {
            self.regions.remove(&from);
            if from < start {
                self.regions.insert(from, Region { end: start, ..region });
            }
            if region.end > end {
                self.regions.insert(end, region);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(end: u64, number: u32) -> Region {
        Region { end, base: 0, code: Code::Module(number) }
    }

    #[test]
    fn a_new_mapping_takes_the_place_of_what_it_overlaps() {
        let mut map = AddressMap::default();
        for (start, end, number) in [(10, 20, 1), (30, 40, 2), (15, 35, 3), (18, 19, 4), (0, 0, 5)]
        {
            assert!(map.insert(start, region(end, number)));
        }
        let number = |at| map.find(at).map(|region| region.code);
        let wanted =
            [(9, 0), (10, 1), (14, 1), (15, 3), (18, 4), (19, 3), (34, 3), (35, 2), (40, 0)];
        for (at, code) in wanted {
            assert_eq!(number(at), (code > 0).then_some(Code::Module(code)), "at {at}");
        }
        map.remove(0, 36);
        assert_eq!((map.len(), map.find(36).map(|r| r.code)), (1, Some(Code::Module(2))));
    }

    #[test]
    fn mappings_without_end_are_not_taken() {
        let mut map = AddressMap::default();
        for n in 0..MAX_REGIONS as u64 {
            assert!(map.insert(n * 2, region(n * 2 + 1, 1)));
        }
        assert!(!map.insert(1, region(2, 1)));
        assert!(map.insert(0, region(1, 2)), "one takes another's place");
    }
}
