//! Pairs two call trees and says what changed, and whether it is real.
//!
//! This is the first place where weights become `f64`: both sides are brought to one scale, so that
//! recordings of other rates and durations compare. Frames pair by aligned name (`align`) and module along
//! each path (`pairs`), never by address; paths that one side lacks stay, with 0 there.
//!
//! Where both sides say when their samples were taken, `units` finds independent observations, `estimate`
//! how far each number may be from the truth, `verdict` which functions changed, `descend` on which paths,
//! and `labels` what kind of change it is. Where they do not (and where two runs of a command are compared:
//! one run says nothing of the next), only counting error is known: a weight of `n` samples of period `P`
//! has the standard deviation `P·√n = √(P·weight)`, for shares `√(p·(1−p)·P/whole)`. Differences of at most
//! [`SIGMAS`] of these are [`Grade::Noise`], larger ones are not called real. Where the sides do not compare
//! at all, nothing is said.

mod align;
mod descend;
mod estimate;
mod labels;
mod pairs;
mod units;
mod verdict;

use profile::{CallTree, DiffNode, DiffTree, FrameId, Grade, JudgedBy, Timeline};

pub use labels::Label;
use pairs::{Paired, PairedNode};
pub use units::{Capture, UnitKind};
pub use verdict::{Effect, Verdict};
use verdict::{Part, Tallies, Tester};

/// Standard deviations of counting error within which nothing is said.
pub const SIGMAS: f64 = 2.0;

/// What the numbers of a diff mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Scale {
    /// CPU-seconds per observed second of wall time.
    Cores,
    /// CPU-seconds of a whole run, of several their mean.
    Total,
    /// Percent of each side's CPU time.
    Share,
    /// CPU time for each unit of work: what --work and --diff-work count.
    #[value(skip)]
    Work,
}

impl Scale {
    /// Unit of the numbers, for people.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Total => "CPU-seconds a run",
            Self::Share => "% of CPU",
            Self::Work => "CPU-ms per unit of work",
        }
    }
}

/// One side of a diff.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Weights by call path, in nanoseconds.
    pub tree: &'a CallTree,
    /// All of them together.
    pub whole: u64,
    /// When they were measured.
    pub timeline: &'a Timeline,
    /// What the timeline's captures are.
    pub captures: &'a [Capture],
    /// Wall time that was observed; the denominator of [`Scale::Cores`].
    pub observed_ns: u64,
    /// Weight of one sample, the largest where recordings of several rates were merged.
    pub period_ns: u64,
    /// CPUs that all machines together had: no weight exceeds them.
    pub cpus: f64,
    /// Units of work that were done, where that is the scale.
    pub work: f64,
    /// What the numbers mean.
    pub scale: Scale,
}

impl Side<'_> {
    /// Turns a weight, divided by what was exposed, into the scale.
    fn factor(&self, exposed: f64, share: bool) -> f64 {
        if share {
            return 100.0;
        }
        self.value(1) * exposed
    }

    /// How many recordings there are, the segments of one counted once.
    fn runs(&self) -> f64 {
        let mut ids: Vec<&[u8; 16]> = self.captures.iter().map(|c| &c.recording).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len().max(1) as f64
    }

    /// A weight in the scale.
    fn value(&self, weight: u64) -> f64 {
        // Multiplied first, then divided: parts of a whole come out exact.
        let (times, divisor) = match self.scale {
            Scale::Cores => (1.0, self.observed_ns as f64),
            Scale::Total => (1.0, 1e9 * self.runs()),
            Scale::Share => (100.0, self.whole as f64),
            Scale::Work => (1e-6, self.work),
        };
        if divisor > 0.0 { weight as f64 * times / divisor } else { 0.0 }
    }

    /// Variance that counting alone gives a value.
    fn variance(&self, value: f64) -> f64 {
        let poisson = value * self.value(self.period_ns);
        match self.scale {
            Scale::Share => poisson * (1.0 - value / 100.0).max(0.0),
            _ => poisson,
        }
    }
}

/// By what a comparison judges.
#[derive(Clone, PartialEq, Debug)]
pub enum Judge {
    /// By what noise the recordings show; differences smaller than this percentage of the base's total
    /// do not matter.
    Noise {
        /// Percent of the base's total.
        min_effect_percent: f64,
    },
    /// By counting error, and why not by more.
    Counting(String),
    /// Not at all, and why not.
    Nothing(Vec<String>),
}

/// One number on both sides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Change {
    /// Base.
    pub before: f64,
    /// New.
    pub after: f64,
    /// What may be said of the difference.
    pub grade: Grade,
    /// How sure that is; `None` where it was not tested.
    pub effect: Option<Effect>,
}

impl Change {
    /// How much more it is than it was.
    #[must_use]
    pub fn delta(self) -> f64 {
        self.after - self.before
    }

    fn judged(mut self, effect: Effect) -> Self {
        self.grade = match effect.verdict {
            Verdict::Regression => Grade::Grew,
            Verdict::Improvement => Grade::Shrank,
            Verdict::Unchanged | Verdict::Inconclusive => Grade::Noise,
        };
        self.effect = Some(effect);
        self
    }
}

/// One function (aligned name, module) on both sides.
#[derive(Clone, PartialEq, Debug)]
pub struct FunctionChange {
    /// A frame of the function, in [`DiffTree::frames`].
    pub frame: FrameId,
    /// Weight in the function itself.
    pub own: Change,
    /// Weight of stacks it is on, each counted once however often it recurs.
    pub total: Change,
    /// What kind of change it is, if it is one.
    pub labels: Vec<Label>,
}

/// What was tested, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Tested {
    /// What the units are.
    pub kind: UnitKind,
    /// How many there are on each side.
    pub units: [usize; 2],
    /// Different tests.
    pub tests: usize,
    /// Differences smaller than this do not matter, in the scale.
    pub min_effect: f64,
    /// Of the base against itself: how many were called changed, of how many. `None`: too few units.
    pub noise_floor: Option<(usize, usize)>,
    /// The smallest change that would have been found in half of the functions.
    pub smallest: Option<f64>,
}

/// Two profiles side by side.
#[derive(Clone, Debug)]
pub struct Diff {
    /// By call path.
    pub tree: DiffTree,
    /// By function, in no order that means anything.
    pub functions: Vec<FunctionChange>,
    /// Everything.
    pub whole: Change,
    /// What the numbers mean.
    pub scale: Scale,
    /// By what it was judged.
    pub judge: Judge,
    /// What was tested against noise; `None` where nothing was.
    pub tested: Option<Tested>,
}

/// Compares `after` with `before`, which are of one scale.
#[must_use]
pub fn compare(before: &Side<'_>, after: &Side<'_>, judge: Judge) -> Diff {
    let sides = [before, after];
    let pairs = Paired::new((before.tree, before.timeline), (after.tree, after.timeline));
    let change = |weights: [u64; 2]| counted(sides, weights, &judge);
    let mut functions = functions(&pairs, change);
    let mut whole = change([before.whole, after.whole]);
    let mut grades: Vec<Grade> = pairs.nodes.iter().map(|node| change(node.total).grade).collect();
    let mut tested = None;
    if let Judge::Noise { min_effect_percent } = &judge {
        let tallies = Tallies::new(&pairs, sides);
        let kind = units::kind(before.captures, after.captures);
        let mut tester = Tester::new(&tallies, sides, kind, before.scale == Scale::Share);
        tester.min_effect = min_effect_percent / 100.0 * whole.before;
        let (of_whole, effects) = tester.test(&tallies);
        whole = whole.judged(of_whole);
        judge_functions(&mut functions, &pairs, &tallies, &effects);
        let units = [0, 1].map(|side: usize| tester.sides[side].units.count);
        labels::label(&mut functions, &pairs);
        let mut changed = vec![false; pairs.frames.function_count()];
        for function in &functions {
            let is_changed = [function.own, function.total].iter().any(|c| c.grade != Grade::Noise);
            changed[pairs.frames.function(function.frame) as usize] = is_changed;
        }
        grades = descend::descend(&pairs, &tester, &changed);
        grades[0] = whole.grade;
        tested = Some(Tested {
            kind,
            units,
            tests: tester.tests,
            min_effect: tester.min_effect,
            noise_floor: tester.noise_floor(&tallies),
            smallest: median(effects.iter().map(|effect| effect.smallest)),
        });
    }
    let judged_by = match &judge {
        Judge::Noise { .. } => JudgedBy::Noise,
        Judge::Counting(_) => JudgedBy::Counting,
        Judge::Nothing(_) => JudgedBy::Nothing,
    };
    let tree = tree(pairs, sides, &grades, judged_by);
    Diff { tree, functions, whole, scale: before.scale, judge, tested }
}

/// A change, judged by counting error where that is the judge.
fn counted(sides: [&Side<'_>; 2], weights: [u64; 2], judge: &Judge) -> Change {
    let [before, after] = [0, 1].map(|side: usize| sides[side].value(weights[side]));
    let allowed = SIGMAS * (sides[0].variance(before) + sides[1].variance(after)).sqrt();
    // Rounding of values that are equal on paper (a share of exactly 100 %) is no change.
    let rounding = 1e-9 * after.abs().max(before.abs());
    let grade =
        match judge {
            Judge::Counting(_) if (after - before).abs() > allowed.max(rounding) => {
                if after > before { Grade::Grew } else { Grade::Shrank }
            }
            _ => Grade::Noise,
        };
    Change { before, after, grade, effect: None }
}

/// Every function of either side.
fn functions(pairs: &Paired, change: impl Fn([u64; 2]) -> Change) -> Vec<FunctionChange> {
    let topmost = pairs.topmost();
    let mut sums: Vec<Option<PairedNode>> = vec![None; pairs.frames.function_count()];
    for (node, topmost) in pairs.nodes.iter().zip(topmost).skip(1) {
        let place = &mut sums[pairs.frames.function(node.frame) as usize];
        let sum = place.get_or_insert(PairedNode { own: [0; 2], total: [0; 2], ..*node });
        for side in 0..2 {
            sum.own[side] += node.own[side];
            sum.total[side] += if topmost { node.total[side] } else { 0 };
        }
    }
    let function = |sum: PairedNode| FunctionChange {
        frame: sum.frame,
        own: change(sum.own),
        total: change(sum.total),
        labels: Vec::new(),
    };
    sums.into_iter().flatten().map(function).collect()
}

fn judge_functions(
    functions: &mut [FunctionChange],
    pairs: &Paired,
    tallies: &Tallies,
    effects: &[Effect],
) {
    let mut place = vec![usize::MAX; pairs.frames.function_count()];
    for (index, change) in functions.iter().enumerate() {
        place[pairs.frames.function(change.frame) as usize] = index;
    }
    for ((number, part), effect) in tallies.rows.iter().zip(effects) {
        let Some(change) = functions.get_mut(place[*number as usize]) else { continue };
        match part {
            Part::Own => change.own = change.own.judged(*effect),
            Part::Total => change.total = change.total.judged(*effect),
        }
    }
    // Where all of a function's time is its own, one test stands for both.
    for change in functions {
        let same =
            (change.own.before, change.own.after) == (change.total.before, change.total.after);
        if let (true, None, Some(effect)) = (same, change.own.effect, change.total.effect) {
            change.own = change.own.judged(effect);
        }
    }
}

fn tree(pairs: Paired, sides: [&Side<'_>; 2], grades: &[Grade], judged_by: JudgedBy) -> DiffTree {
    let node = |(node, grade): (&PairedNode, &Grade)| DiffNode {
        parent: node.parent,
        frame: node.frame,
        before_self: sides[0].value(node.own[0]),
        before_total: sides[0].value(node.total[0]),
        after_self: sides[1].value(node.own[1]),
        after_total: sides[1].value(node.total[1]),
        grade: *grade,
    };
    let nodes = pairs.nodes.iter().zip(grades).map(node).collect();
    DiffTree { frames: pairs.frames, nodes, unit: sides[0].scale.unit(), judged_by }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
