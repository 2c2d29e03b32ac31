//! What the blocks of a recording say of themselves: what time they cover, and what was lost.

use std::ops::Range;

use archive::DataBlock;
use profile::{Clock, Cost, Ledger};

/// The accounts of all blocks that could be read.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Account {
    /// The newest counters of each CPU.
    pub ledger: Ledger,
    /// Time that was observed, by `CLOCK_MONOTONIC`: apart from lost blocks, without holes.
    pub covered: Spans,
    /// The newest clock reading.
    pub clock: Clock,
    /// What recording cost, where that was measured.
    pub cost: Option<Cost>,
    /// Records about processes and mappings that the kernel could not deliver.
    pub sideband_lost: u64,
    /// Data blocks read.
    pub blocks: u64,
}

impl Account {
    /// What one block says.
    #[must_use]
    pub fn of(block: &DataBlock<'_>) -> Self {
        let mut account = Self {
            clock: block.clock(),
            cost: block.cost(),
            sideband_lost: block.sideband_lost(),
            blocks: 1,
            ..Self::default()
        };
        account.covered.add(block.covered());
        for row in block.ledger() {
            account.ledger.update(row);
        }
        account
    }

    /// Adds another's. The order does not matter: what is cumulative only grows.
    pub fn merge(&mut self, other: &Self) {
        for row in other.ledger.rows() {
            self.ledger.update(row);
        }
        self.covered.merge(&other.covered);
        if other.clock.monotonic_ns > self.clock.monotonic_ns {
            self.clock = other.clock;
        }
        self.cost = match (self.cost, other.cost) {
            (Some(a), Some(b)) => Some(newer(a, b)),
            (a, b) => a.or(b),
        };
        self.sideband_lost = self.sideband_lost.max(other.sideband_lost);
        self.blocks += other.blocks;
    }
}

fn newer(a: Cost, b: Cost) -> Cost {
    let age = |cost: &Cost| {
        (cost.user_ns.saturating_add(cost.system_ns), cost.bpf_runs, cost.peak_rss_bytes)
    };
    if age(&a) < age(&b) { b } else { a }
}

/// A set of times.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Spans {
    spans: Vec<(u64, u64)>,
}

impl Spans {
    /// Adds a span.
    pub fn add(&mut self, span: Range<u64>) {
        if span.start >= span.end {
            return;
        }
        let first = self.spans.partition_point(|s| s.1 < span.start);
        let last = self.spans.partition_point(|s| s.0 <= span.end);
        let touched = &self.spans[first..last];
        let from = touched.first().map_or(span.start, |s| s.0.min(span.start));
        let to = touched.last().map_or(span.end, |s| s.1.max(span.end));
        self.spans.splice(first..last, [(from, to)]);
    }

    /// Adds all spans of another set.
    pub fn merge(&mut self, other: &Self) {
        for (from, to) in &other.spans {
            self.add(*from..*to);
        }
    }

    /// The spans, in order, none touching another.
    #[must_use]
    pub fn list(&self) -> Vec<Range<u64>> {
        self.spans.iter().map(|(from, to)| *from..*to).collect()
    }

    /// How much of a span is in it.
    #[must_use]
    pub fn within_ns(&self, span: &Range<u64>) -> u64 {
        let first = self.spans.partition_point(|s| s.1 <= span.start);
        let touched = self.spans[first..].iter().take_while(|s| s.0 < span.end);
        touched.map(|(from, to)| (*to).min(span.end) - (*from).max(span.start)).sum()
    }

    /// What of it lies in other spans.
    #[must_use]
    pub fn only(&self, others: &[Range<u64>]) -> Self {
        let mut rest = Self::default();
        for (from, to) in &self.spans {
            for other in others {
                rest.add((*from).max(other.start)..(*to).min(other.end));
            }
        }
        rest
    }

    /// What of a span is not in it.
    #[must_use]
    pub fn gaps(&self, span: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = span.start;
        for (from, to) in &self.spans {
            if *from > at {
                gaps.push(at..(*from).min(span.end));
            }
            at = at.max(*to);
        }
        gaps.push(at..span.end);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// How long all of it is, times in more than one span once.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.spans.iter().map(|(from, to)| to - from).sum()
    }

    /// The first and the last time.
    #[must_use]
    pub fn bounds(&self) -> Option<Range<u64>> {
        Some(self.spans.first()?.0..self.spans.last()?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_unite_where_they_touch_and_stay_apart_where_they_do_not() {
        let mut spans = Spans::default();
        for span in [50..60, 10..20, 20..30, 55..58, 5..5] {
            spans.add(span);
        }
        assert_eq!(spans.spans, [(10, 30), (50, 60)]);
        assert_eq!(spans.total_ns(), 30);
        assert_eq!(spans.bounds(), Some(10..60));
        spans.add(0..100);
        assert_eq!(spans.spans, [(0, 100)]);
        assert_eq!(Spans::default().bounds(), None);
    }

    #[test]
    fn spans_are_cut_by_others() {
        let mut spans = Spans::default();
        spans.add(10..20);
        spans.add(30..40);
        assert_eq!(
            [0..100, 15..35, 20..30, 12..13].map(|span| spans.within_ns(&span)),
            [20, 10, 0, 1]
        );
        assert_eq!(spans.only(&[0..12, 15..32]).spans, [(10, 12), (15, 20), (30, 32)]);
        assert_eq!(spans.gaps(&(0..50)), [0..10, 20..30, 40..50]);
        assert_eq!(spans.gaps(&(15..45)), [20..30, 40..45]);
        assert_eq!(Spans::default().gaps(&(1..2)), vec![1..2]);
    }

    #[test]
    fn accounts_add_up_in_any_order() {
        let account = |from, to, user_ns| {
            let mut account = Account { blocks: 1, ..Account::default() };
            account.covered.add(from..to);
            account.clock.monotonic_ns = to;
            account.cost = Some(Cost { user_ns, ..Cost::default() });
            account
        };
        let (a, b) = (account(0, 10, 5), account(10, 20, 9));
        let mut ab = a.clone();
        ab.merge(&b);
        let mut ba = b;
        ba.merge(&a);
        assert_eq!(ab, ba);
        assert_eq!((ab.clock.monotonic_ns, ab.blocks), (20, 2));
        assert_eq!(ab.cost.unwrap().user_ns, 9);
        assert_eq!(ab.covered.total_ns(), 20);
    }
}
