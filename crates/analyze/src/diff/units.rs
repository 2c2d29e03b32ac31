//! What counts as one independent observation: blocks of time, whole captures, or machines.
//!
//! Samples in a burst are not independent, so a test that counts them finds changes where there are none.
//! Blocks of time are made longer until neighbours no longer resemble each other; what resemblance is left
//! widens the intervals (see [`crate::diff::estimate`]).

use std::collections::{BTreeMap, BTreeSet};

use profile::Timeline;

/// Blocks there must be at least.
pub const LEAST_BLOCKS: usize = 12;
/// Captures (or machines) on each side from which on they are the units.
const LEAST_CAPTURES: usize = 3;
/// Blocks whose neighbours resemble each other more than this are made longer.
const ALIKE: f64 = 0.2;

/// What is known of a capture.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Capture {
    /// Equal for the segments of one recording.
    pub recording: [u8; 16],
    /// The machine.
    pub host: String,
}

/// What the units of both sides are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum UnitKind {
    /// Blocks of time.
    Blocks,
    /// Whole captures.
    Captures,
    /// Machines; each is compared with itself.
    Hosts,
}

/// The units of one side.
#[derive(Clone, PartialEq, Debug)]
pub struct Units {
    /// For each cell of the timeline: its unit.
    pub of_cell: Vec<u32>,
    /// How many there are.
    pub count: usize,
    /// For each unit, whether the one before it is its neighbour in time.
    pub follows: Vec<bool>,
}

/// Which units both sides allow.
#[must_use]
pub fn kind(before: &[Capture], after: &[Capture]) -> UnitKind {
    let hosts = |side: &[Capture]| {
        let mut hosts: Vec<String> = side.iter().map(|capture| capture.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    };
    let recordings = |side: &[Capture]| {
        let mut ids: Vec<[u8; 16]> = side.iter().map(|capture| capture.recording).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    };
    // A part of a recording against another part of it: not two captures.
    let shared = |capture: &Capture| before.iter().any(|old| old.recording == capture.recording);
    if after.iter().any(shared) {
        return UnitKind::Blocks;
    }
    let (old, new) = (hosts(before), hosts(after));
    if old == new && old.len() >= LEAST_CAPTURES {
        UnitKind::Hosts
    } else if recordings(before).min(recordings(after)) >= LEAST_CAPTURES {
        UnitKind::Captures
    } else {
        UnitKind::Blocks
    }
}

/// What captures of one unit share.
fn key(capture: &Capture, kind: UnitKind) -> (String, [u8; 16]) {
    match kind {
        UnitKind::Hosts => (capture.host.clone(), [0; 16]),
        _ => (String::new(), capture.recording),
    }
}

/// Units by what their captures share, numbered in that order.
fn numbers(captures: &[Capture], kind: UnitKind) -> BTreeMap<(String, [u8; 16]), u32> {
    let keys: BTreeSet<_> = captures.iter().map(|capture| key(capture, kind)).collect();
    keys.into_iter().zip(0..).collect()
}

impl Units {
    /// One unit for each capture, or for each machine in order of their names.
    #[must_use]
    pub fn of_captures(timeline: &Timeline, captures: &[Capture], kind: UnitKind) -> Self {
        let numbers = numbers(captures, kind);
        let unit = |capture: u32| {
            let capture = captures.get(capture as usize);
            capture.and_then(|capture| numbers.get(&key(capture, kind))).copied().unwrap_or(0)
        };
        Self {
            of_cell: timeline.cells.iter().map(|cell| unit(cell.capture)).collect(),
            count: numbers.len(),
            follows: vec![false; numbers.len()],
        }
    }

    /// How many recordings each of these units is of; segments of one count once.
    #[must_use]
    pub fn runs(captures: &[Capture], kind: UnitKind) -> Vec<f64> {
        let numbers = numbers(captures, kind);
        let mut runs = vec![0.0; numbers.len()];
        let recordings: BTreeSet<&Capture> = captures.iter().collect();
        for capture in recordings {
            runs[numbers[&key(capture, kind)] as usize] += 1.0;
        }
        runs
    }

    /// Blocks of `length` neighbouring cells that were observed; what is left at the end of a capture
    /// joins the last block.
    #[must_use]
    pub fn blocks(timeline: &Timeline, length: usize) -> Self {
        let mut units =
            Self { of_cell: vec![0; timeline.cells.len()], count: 0, follows: Vec::new() };
        let mut at = 0;
        while at < timeline.cells.len() {
            let capture = timeline.cells[at].capture;
            let cells = timeline.cells[at..].iter().take_while(|c| c.capture == capture).count();
            let is_observed = |cell: &usize| timeline.cells[*cell].observed_ns > 0;
            let blocks = ((at..at + cells).filter(is_observed).count() / length).max(1);
            let (mut seen, mut is_hole) = (0usize, true);
            for cell in at..at + cells {
                // What was not observed belongs to what came before.
                let block = (seen.saturating_sub(usize::from(!is_observed(&cell))) / length)
                    .min(blocks - 1);
                seen += usize::from(is_observed(&cell));
                units.of_cell[cell] = (units.count + block) as u32;
                if units.follows.len() == units.count + block {
                    units.follows.push(!is_hole);
                }
                is_hole = !is_observed(&cell);
            }
            units.count += blocks;
            at += cells;
        }
        units
    }

    /// As few neighbouring units together as leave a dozen long blocks; `None` where there are no more
    /// units than that.
    #[must_use]
    pub fn long_blocks(&self) -> Option<Self> {
        let length = self.count / LEAST_BLOCKS;
        if length < 2 {
            return None;
        }
        let mut long =
            Self { of_cell: Vec::with_capacity(self.count), count: 0, follows: Vec::new() };
        let mut in_block = 0;
        for (unit, follows) in self.follows.iter().enumerate() {
            let rest =
                self.follows[unit..].iter().skip(1).take_while(|follows| **follows).count() + 1;
            // What is left of a capture joins its last block, if that is not all there is of it.
            let starts = !follows || (in_block >= length && rest >= length);
            if starts {
                long.follows.push(*follows);
                long.count += 1;
                in_block = 0;
            }
            in_block += 1;
            long.of_cell.push(long.count as u32 - 1);
        }
        Some(long)
    }

    /// Sums a row of cells by unit.
    #[must_use]
    pub fn sum(&self, cells: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count];
        for (unit, value) in self.of_cell.iter().zip(cells) {
            sums[*unit as usize] += value;
        }
        sums
    }

    /// How much neighbouring units resemble each other, over all rows of residuals together: −1 to 1.
    #[must_use]
    pub fn resemblance(&self, residuals: &[Vec<f64>]) -> f64 {
        let (mut with_next, mut alone) = (0.0, 0.0);
        for row in residuals {
            let scale: f64 = row.iter().map(|e| e * e).sum();
            if scale <= 0.0 {
                continue;
            }
            let follows = self.follows.iter().skip(1);
            let products = row.windows(2).zip(follows).filter(|(_, follows)| **follows);
            with_next += products.map(|(pair, _)| pair[0] * pair[1]).sum::<f64>() / scale;
            alone += 1.0;
        }
        if alone > 0.0 { with_next / alone } else { 0.0 }
    }
}

/// Blocks long enough that neighbours no longer resemble each other, as far as enough of them are left.
/// `rows` are the weights by cell of what is to be compared, the heaviest first; `exposure` is what they
/// are a share of.
#[must_use]
pub fn independent_blocks(timeline: &Timeline, rows: &[Vec<f64>], exposure: &[f64]) -> Units {
    let mut length = 1;
    let mut chosen = Units::blocks(timeline, length);
    loop {
        let longer = Units::blocks(timeline, length + length.div_ceil(2));
        let observed = chosen.sum(exposure);
        let residuals: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| super::estimate::residuals(&chosen.sum(row), &observed))
            .collect();
        if chosen.resemblance(&residuals) < ALIKE || longer.count < LEAST_BLOCKS {
            return chosen;
        }
        length += length.div_ceil(2);
        chosen = longer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::TimeCell;

    fn timeline(captures: &[usize]) -> Timeline {
        let cells = captures.iter().zip(0..).flat_map(|(cells, capture)| {
            (0..*cells).map(move |i| TimeCell { capture, start_ns: i as u64, observed_ns: 1 })
        });
        Timeline { cells: cells.collect(), ..Timeline::default() }
    }

    fn capture(recording: u8, host: &str) -> Capture {
        Capture { recording: [recording; 16], host: host.into() }
    }

    #[test]
    fn blocks_never_span_captures() {
        let units = Units::blocks(&timeline(&[5, 3, 1]), 2);
        assert_eq!(units.of_cell, [0, 0, 1, 1, 1, 2, 2, 2, 3]);
        assert_eq!(units.follows, [false, true, false, false]);
        assert_eq!(units.sum(&[1.0; 9]), [2.0, 3.0, 3.0, 1.0]);
    }

    #[test]
    fn what_lies_beyond_a_hole_is_no_neighbour() {
        let mut timeline = timeline(&[6]);
        timeline.cells[2].observed_ns = 0;
        let units = Units::blocks(&timeline, 1);
        assert_eq!(units.of_cell, [0, 1, 1, 2, 3, 4]);
        assert_eq!(units.follows, [false, true, false, true, true]);
    }

    #[test]
    fn long_blocks_are_a_dozen_and_never_span_captures() {
        let units = Units::blocks(&timeline(&[130]), 1);
        let long = units.long_blocks().unwrap();
        assert_eq!((long.count, long.of_cell[129]), (13, 12));
        assert_eq!(long.sum(&[1.0; 130]), [10.0; 13]);
        let two = Units::blocks(&timeline(&[25, 5]), 1).long_blocks().unwrap();
        assert_eq!(two.sum(&[1.0; 30])[11..], [3.0, 2.0, 3.0]);
        assert_eq!(Units::blocks(&timeline(&[23]), 1).long_blocks(), None);
    }

    #[test]
    fn several_captures_are_the_units_and_machines_that_repeat_are_pairs() {
        let side = |captures: &[(u8, &str)]| -> Vec<Capture> {
            captures.iter().map(|(recording, host)| capture(*recording, host)).collect()
        };
        let three = side(&[(1, "a"), (2, "a"), (3, "a")]);
        assert_eq!(kind(&three, &side(&[(4, "a"), (5, "a"), (6, "b")])), UnitKind::Captures);
        assert_eq!(kind(&three, &side(&[(4, "a"), (4, "a"), (5, "b")])), UnitKind::Blocks);
        let hosts = side(&[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(kind(&hosts, &side(&[(4, "c"), (5, "a"), (6, "b")])), UnitKind::Hosts);
        let units = Units::of_captures(&timeline(&[1, 2, 1]), &hosts, UnitKind::Hosts);
        assert_eq!((units.of_cell, units.count), (vec![0, 1, 1, 2], 3));
    }

    #[test]
    fn blocks_grow_until_neighbours_differ() {
        let timeline = timeline(&[240]);
        // Four cells up, four cells down: blocks of one resemble each other, of two no longer.
        let waves: Vec<f64> = (0..240).map(|i| f64::from(u8::from(i / 4 % 2 == 0))).collect();
        let blocks = independent_blocks(&timeline, &[waves], &[1.0; 240]);
        assert_eq!(blocks.count, 120);
        // splitmix64: neighbours have nothing to do with each other.
        let mixed = |i: u64| {
            let z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40
        };
        let noise: Vec<f64> = (1..=240).map(|i| (mixed(i) % 101) as f64).collect();
        assert_eq!(independent_blocks(&timeline, &[noise], &[1.0; 240]).count, 240);
    }
}
