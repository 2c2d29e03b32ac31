//! Ranges that nest or overlap, flattened so that one binary search answers.

use crate::span::Span;

/// A half-open address range that belongs to `owner`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    pub begin: u64,
    pub end: u64,
    pub owner: u32,
}

/// Which range an address belongs to.
///
/// ```text
/// given      [------------ a -------------)      [--- b ---)
///                 [--- c ---)   [- d -)
/// flattened  a....c.........a...d.....a...-......b.........-
/// ```
#[derive(Default, Debug)]
pub(crate) struct RangeMap {
    starts: Vec<u64>,
    /// `NOBODY` between ranges.
    owners: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl RangeMap {
    /// Flattens. Where ranges overlap, the one that begins later wins, then the shorter, then the
    /// one that stands later in `ranges`; so the answer does not depend on how anything was sorted.
    pub fn flatten(mut ranges: Vec<Range>) -> Self {
        ranges.retain(|r| r.begin < r.end);
        ranges.sort_by_key(|r| (r.begin, u64::MAX - r.end));
        let mut map = Self::default();
        let mut open: Vec<Range> = Vec::new();
        for range in ranges {
            map.close_until(&mut open, range.begin);
            map.start(range.begin, range.owner);
            open.push(range);
        }
        map.close_until(&mut open, u64::MAX);
        map.starts.shrink_to_fit();
        map.owners.shrink_to_fit();
        map
    }

    fn close_until(&mut self, open: &mut Vec<Range>, at: u64) {
        while let Some(closed) = open.pop_if(|range| range.end <= at) {
            // What began earlier may have ended meanwhile.
            while open.pop_if(|outer| outer.end <= closed.end).is_some() {}
            self.start(closed.end, open.last().map_or(NOBODY, |outer| outer.owner));
        }
    }

    fn start(&mut self, at: u64, owner: u32) {
        if self.starts.last() == Some(&at) {
            self.starts.pop();
            self.owners.pop();
        }
        if self.owners.last() != Some(&owner) {
            self.starts.push(at);
            self.owners.push(owner);
        }
    }

    /// The owner of an address; `span` shrinks to where that is so.
    pub fn find(&self, address: u64, span: &mut Span) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= address);
        let begin = after.checked_sub(1).map_or(0, |at| self.starts[at]);
        span.narrow(begin, self.starts.get(after).copied().unwrap_or(u64::MAX));
        Some(self.owners[after.checked_sub(1)?]).filter(|owner| *owner != NOBODY)
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub fn heap_bytes(&self) -> usize {
        self.starts.capacity() * 8 + self.owners.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(begin: u64, end: u64, owner: u32) -> Range {
        Range { begin, end, owner }
    }

    #[test]
    fn inner_ranges_win_and_gaps_belong_to_nobody() {
        let map = RangeMap::flatten(vec![
            range(30, 40, 1),
            range(0, 20, 0),
            range(5, 10, 2),
            range(5, 8, 3),
            range(20, 20, 4),
        ]);
        let found: Vec<Option<u32>> =
            [0, 5, 8, 10, 19, 20, 30, 39, 40].map(|a| map.find(a, &mut { Span::ALL })).into();
        let expected = [Some(0), Some(3), Some(2), Some(0), Some(0), None, Some(1), Some(1), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_equal_ranges_the_later_wins() {
        let map = RangeMap::flatten(vec![range(1, 9, 7), range(1, 9, 5)]);
        assert_eq!(map.find(4, &mut { Span::ALL }), Some(5));
    }

    proptest! {
        #[test]
        fn flattening_agrees_with_asking_every_range(
            rows in prop::collection::vec((0u64..60, 0u64..60), 0..40)
        ) {
            let ranges: Vec<Range> =
                rows.iter().enumerate().map(|(i, (b, e))| range(*b, *e, i as u32)).collect();
            let map = RangeMap::flatten(ranges.clone());
            for address in 0..61 {
                let slow = ranges
                    .iter()
                    .filter(|r| r.begin <= address && address < r.end)
                    .max_by_key(|r| (r.begin, u64::MAX - r.end, r.owner));
                let mut span = Span::ALL;
                prop_assert_eq!(map.find(address, &mut span), slow.map(|r| r.owner));
                prop_assert!(span.begin <= address && address < span.end);
                for other in span.begin..span.end.min(61) {
                    prop_assert_eq!(map.find(other, &mut { Span::ALL }), slow.map(|r| r.owner));
                }
            }
        }
    }
}
