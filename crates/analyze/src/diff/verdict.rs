//! Which functions changed, and how sure that is: a test for each, and for all of them together
//! (Benjamini and Hochberg, 1995: of what is called changed, at most one in twenty is not).

use profile::{FrameId, Grade, Timeline};
use rustc_hash::{FxHashMap, FxHashSet};

use super::estimate::{Difference, Quantiles, SideUnits, paired, unpaired};
use super::pairs::Paired;
use super::units::{LEAST_BLOCKS, UnitKind, Units, independent_blocks};
use super::{Scale, Side};

/// Of what is called changed, this part may not be.
pub const FALSE_DISCOVERIES: f64 = 0.05;
/// Functions with fewer samples on both sides together are not tested: nothing could be said of them,
/// and every test makes the others weaker.
const LEAST_SAMPLES: u64 = 10;
/// Functions tested at most, the heaviest: a bound on memory.
const MOST_FUNCTIONS: usize = 20_000;
/// Functions from which it is told whether neighbouring blocks resemble each other.
const SHOWN_BY: usize = 40;
/// Seen in less than this part of the blocks it would be in if it were spread over all: a burst.
const BURST: f64 = 0.4;
/// Units from which on a side can be held against itself.
const LEAST_TO_SPLIT: usize = 8;

/// What may be said of a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// It is more, and that is no noise.
    Regression,
    /// It is less, and that is no noise.
    Improvement,
    /// If it changed, then by less than matters.
    Unchanged,
    /// It may have changed or not: the recordings do not say.
    Inconclusive,
}

/// A difference, and what may be said of it. In the scale of the comparison.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Effect {
    /// Lower end of the 95 % interval of the difference.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The part of false ones among all that are as sure as this (q value).
    pub q: f64,
    /// The smallest difference that would have been found four times out of five.
    pub smallest: f64,
    /// In how many units of each side there is any of it.
    pub seen_in: [usize; 2],
    /// Whether it is in far fewer blocks than it would be if it were spread over all: a burst.
    pub burst: bool,
    /// What may be said.
    pub verdict: Verdict,
}

/// What one function is tested by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// Weight of its own code.
    Own,
    /// Weight of the stacks it is on.
    Total,
}

/// Weights of all that is tested, by cell of each side's timeline.
pub struct Tallies {
    /// What each row is: the function's number and which weight.
    pub rows: Vec<(u32, Part)>,
    /// For each row and side, by cell.
    weights: Vec<[Vec<f64>; 2]>,
    /// Everything, by cell.
    whole: [Vec<f64>; 2],
}

impl Tallies {
    /// Sums by function, and when that was.
    pub fn new(pairs: &Paired, sides: [&Side<'_>; 2]) -> Self {
        let topmost = pairs.topmost();
        let count = pairs.frames.function_count();
        let function = |frame: FrameId| pairs.frames.function(frame) as usize;
        let (mut own, mut total) = (vec![[0u64; 2]; count], vec![[0u64; 2]; count]);
        for (node, topmost) in pairs.nodes.iter().zip(&topmost).skip(1) {
            for side in 0..2 {
                own[function(node.frame)][side] += node.own[side];
                if *topmost {
                    total[function(node.frame)][side] += node.total[side];
                }
            }
        }
        let samples = |sums: &[u64; 2]| -> u64 {
            (0..2).map(|side| sums[side] / sides[side].period_ns.max(1)).sum()
        };
        let mut rows: Vec<(u32, Part)> = Vec::new();
        for index in 0..count {
            let number = index as u32;
            if samples(&total[index]) >= LEAST_SAMPLES {
                rows.push((number, Part::Total));
            }
            if samples(&own[index]) >= LEAST_SAMPLES && own[index] != total[index] {
                rows.push((number, Part::Own));
            }
        }
        rows.sort_by_key(|(number, _)| {
            let sums = total[*number as usize];
            (std::cmp::Reverse(sums[0].saturating_add(sums[1])), *number)
        });
        rows.truncate(MOST_FUNCTIONS);
        let mut tallies = Self {
            weights: Vec::new(),
            whole: [0, 1].map(|side: usize| vec![0.0; sides[side].timeline.cells.len()]),
            rows,
        };
        tallies.fill(pairs, &topmost, sides);
        tallies
    }

    fn fill(&mut self, pairs: &Paired, topmost: &[bool], sides: [&Side<'_>; 2]) {
        const NONE: u32 = u32::MAX;
        let mut place = vec![[NONE; 2]; pairs.frames.function_count()];
        for (row, (number, part)) in (0..).zip(&self.rows) {
            place[*number as usize][*part as usize] = row;
        }
        let empty = || [0, 1].map(|side: usize| vec![0.0; sides[side].timeline.cells.len()]);
        self.weights = self.rows.iter().map(|_| empty()).collect();
        for side in 0..2 {
            for row in &pairs.rows[side] {
                let cell = row.cell as usize;
                let weight = row.weight as f64;
                self.whole[side][cell] += weight;
                let mut at = row.node;
                let mut is_leaf = true;
                while at != 0 {
                    let node = &pairs.nodes[at as usize];
                    let [own, total] = place[pairs.frames.function(node.frame) as usize];
                    if total != NONE && topmost[at as usize] {
                        self.weights[total as usize][side][cell] += weight;
                    }
                    if is_leaf && own != NONE {
                        self.weights[own as usize][side][cell] += weight;
                    }
                    is_leaf = false;
                    at = node.parent;
                }
            }
        }
    }
}

/// Both sides cut into units, and the results.
pub struct Tester {
    /// Base and new side.
    pub sides: [SideUnits; 2],
    /// What the units are.
    pub kind: UnitKind,
    /// Differences smaller than this do not matter.
    pub min_effect: f64,
    /// How many different tests there were.
    pub tests: usize,
    /// What is as sure as this is called changed.
    pub cut: f64,
    quantiles: Quantiles,
}

impl Tester {
    /// Finds the units.
    pub fn new(tallies: &Tallies, sides: [&Side<'_>; 2], kind: UnitKind, share: bool) -> Self {
        let units = |side: usize| {
            let timeline: &Timeline = sides[side].timeline;
            let exposure: Vec<f64> = match share {
                true => tallies.whole[side].clone(),
                false => timeline.cells.iter().map(|cell| cell.observed_ns as f64).collect(),
            };
            let units = match kind {
                UnitKind::Blocks => {
                    let heaviest = tallies.weights.iter().take(SHOWN_BY);
                    let mut rows: Vec<Vec<f64>> = heaviest.map(|row| row[side].clone()).collect();
                    rows.push(tallies.whole[side].clone());
                    independent_blocks(timeline, &rows, &exposure)
                }
                _ => Units::of_captures(timeline, sides[side].captures, kind),
            };
            let exposure = match (kind, sides[side].scale) {
                // What a run costs is what is compared, however long it takes.
                (UnitKind::Captures | UnitKind::Hosts, Scale::Total) => {
                    Units::runs(sides[side].captures, kind)
                }
                _ => units.sum(&exposure),
            };
            let exposed: f64 = exposure.iter().sum();
            SideUnits {
                exposure,
                long: (kind == UnitKind::Blocks).then(|| units.long_blocks()).flatten(),
                units,
                // Captures that overlap were exposed for longer than was observed.
                factor: sides[side].factor(exposed, share),
                period: sides[side].period_ns as f64,
                capacity: match sides[side].scale {
                    Scale::Share => 1.0,
                    Scale::Total => f64::INFINITY,
                    Scale::Cores | Scale::Work => sides[side].cpus.max(1.0),
                },
            }
        };
        Self {
            sides: [units(0), units(1)],
            kind,
            min_effect: 0.0,
            tests: 1,
            cut: -1.0,
            quantiles: Quantiles::default(),
        }
    }

    fn compare(&self, before: &[f64], after: &[f64]) -> Difference {
        let [b, a] = &self.sides;
        match self.kind {
            UnitKind::Hosts => paired(b, before, a, after),
            _ => unpaired(b, before, a, after),
        }
    }

    /// Compares weights by unit, of which `q` was found by testing them with all others.
    fn effect(&self, before: &[f64], after: &[f64], q: f64) -> Effect {
        let difference = self.compare(before, after);
        let (low, high) = difference.interval(&self.quantiles);
        let sure = q <= FALSE_DISCOVERIES;
        let verdict = if before == after || low >= -self.min_effect && high <= self.min_effect {
            Verdict::Unchanged
        } else if sure && difference.delta > 0.0 {
            Verdict::Regression
        } else if sure && difference.delta < 0.0 {
            Verdict::Improvement
        } else {
            Verdict::Inconclusive
        };
        let seen = |weights: &[f64]| weights.iter().filter(|weight| **weight > 0.0).count();
        let smallest = difference.smallest_seen(self.tests, &self.quantiles);
        let seen_in = [seen(before), seen(after)];
        let larger = usize::from(difference.delta > 0.0);
        let weight: f64 = [before, after][larger].iter().sum();
        let burst = self.is_burst(larger, weight, seen_in[larger]);
        Effect { low, high, q, smallest, seen_in, burst, verdict }
    }

    /// Whether samples are in far fewer blocks than as many would be in, thrown at random.
    fn is_burst(&self, side: usize, weight: f64, seen_in: usize) -> bool {
        let blocks = self.sides[side].units.count as f64;
        let samples = weight / self.sides[side].period.max(1.0);
        let expected = blocks * (1.0 - (-samples / blocks).exp());
        self.kind == UnitKind::Blocks
            && blocks >= LEAST_BLOCKS as f64
            && (seen_in as f64) < BURST * expected
    }

    /// Whether a path below one that changed changed, too: as sure as what was found among functions.
    #[must_use]
    pub fn path(&self, before: &[f64], after: &[f64]) -> Grade {
        let difference = self.compare(before, after);
        let (low, high) = difference.interval(&self.quantiles);
        match difference.delta {
            _ if difference.p > self.cut => Grade::Noise,
            _ if low >= -self.min_effect && high <= self.min_effect => Grade::Noise,
            delta if delta > 0.0 => Grade::Grew,
            _ => Grade::Shrank,
        }
    }

    /// Tests everything together, and each row: all are one family of tests.
    pub fn test(&mut self, tallies: &Tallies) -> (Effect, Vec<Effect>) {
        let by_unit =
            |row: &[Vec<f64>; 2]| [0, 1].map(|side: usize| self.sides[side].units.sum(&row[side]));
        let rows = std::iter::once(&tallies.whole).chain(&tallies.weights);
        let sums: Vec<[Vec<f64>; 2]> = rows.map(by_unit).collect();
        // A chain of functions that only call the next is one finding, not twenty.
        let mut known: FxHashMap<Vec<u64>, usize> = FxHashMap::default();
        let mut of_row = Vec::with_capacity(sums.len());
        let mut p = Vec::new();
        for [before, after] in &sums {
            let key = before.iter().chain(after).map(|value| value.to_bits()).collect();
            of_row.push(*known.entry(key).or_insert_with(|| {
                p.push(self.compare(before, after).p);
                p.len() - 1
            }));
        }
        self.tests = p.len();
        let q = discoveries(&p);
        let found = p.iter().zip(&q).filter(|(_, q)| **q <= FALSE_DISCOVERIES);
        self.cut = found.map(|(p, _)| *p).fold(-1.0, f64::max);
        let effect = |([before, after], test): (&[Vec<f64>; 2], &usize)| {
            self.effect(before, after, q[*test])
        };
        let mut effects = sums.iter().zip(&of_row).map(effect);
        let whole = effects.next().expect("the whole stands first");
        (whole, effects.collect())
    }

    /// How many functions are called changed when the base is held against itself, and how many were tested:
    /// what noise does. Of two ways to cut it the worse: every other unit (or long block) against the rest,
    /// and the first half against the second, which shows what drifts. `None`: too few units.
    #[must_use]
    pub fn noise_floor(&self, tallies: &Tallies) -> Option<(usize, usize)> {
        let base = &self.sides[0];
        let count = base.long.as_ref().unwrap_or(&base.units).count;
        if count < LEAST_TO_SPLIT {
            return None;
        }
        let alternating = self.against_itself(tallies, |unit| unit % 2 == 1);
        let halves = self.against_itself(tallies, |unit| unit >= count / 2);
        Some(alternating.max(halves))
    }

    /// Holds some units of the base against the others.
    fn against_itself(&self, tallies: &Tallies, is_new: impl Fn(usize) -> bool) -> (usize, usize) {
        let base = &self.sides[0];
        // Long blocks of their own: of short ones every other may beat with the sampler.
        let merge = |values: Vec<f64>| match &base.long {
            Some(long) => long.sum(&values),
            None => values,
        };
        let part = |values: &[f64], new: bool| -> Vec<f64> {
            let units = values.iter().enumerate().filter(|(unit, _)| is_new(*unit) == new);
            units.map(|(_, value)| *value).collect()
        };
        let side = |new: bool| {
            let exposure = part(&merge(base.exposure.clone()), new);
            let count = exposure.len();
            let units = Units { of_cell: Vec::new(), count, follows: vec![false; count] };
            SideUnits { exposure, units, long: None, ..base.clone() }
        };
        let (old, new) = (side(false), side(true));
        let mut known: FxHashSet<Vec<u64>> = FxHashSet::default();
        let mut p = Vec::new();
        for row in &tallies.weights {
            let sums = merge(base.units.sum(&row[0]));
            let key = || sums.iter().map(|sum| sum.to_bits()).collect();
            if sums.iter().any(|sum| *sum > 0.0) && known.insert(key()) {
                p.push(unpaired(&old, &part(&sums, false), &new, &part(&sums, true)).p);
            }
        }
        let flagged = discoveries(&p).iter().filter(|q| **q <= FALSE_DISCOVERIES).count();
        (flagged, p.len())
    }
}

/// Benjamini and Hochberg's q value of each p value.
fn discoveries(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut q = vec![1.0; p.len()];
    let mut least = 1.0f64;
    for (rank, index) in order.iter().enumerate().rev() {
        least = least.min(p[*index] * p.len() as f64 / (rank + 1) as f64);
        q[*index] = least;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Benjamini and Hochberg's paper (1995): at 5 % four of fifteen are found.
    #[test]
    fn false_discoveries_are_kept_to_their_part() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let q = discoveries(&p);
        assert_eq!(q.iter().filter(|q| **q <= 0.05).count(), 4);
        assert!((q[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-12);
        assert!(q.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(discoveries(&[]).is_empty());
    }
}
