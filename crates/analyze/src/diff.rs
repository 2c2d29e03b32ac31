//! Pairs two call trees and says what changed.
//!
//! This is the first place where weights become `f64`: both sides are brought to one scale, so that
//! recordings of other rates and durations compare. Frames pair by (name, module, kind, inlined)
//! along each path, never by address; paths that one side lacks stay, with 0 there.
//!
//! What may be said of a difference, until verdicts test it against noise: a weight of `n` samples of
//! period `P` has, by counting alone, the standard deviation `P·√n = √(P·weight)`. A difference of at
//! most [`SIGMAS`] standard deviations of both sides together is [`Grade::Noise`]. For shares the
//! deviation is the binomial `√(p·(1−p)·P/whole)`: the whole is 100 % by definition and never differs.

use profile::{CallTree, DiffNode, DiffTree, FrameId, FrameTable, FunctionTotals, Grade};
use rustc_hash::FxHashMap;

/// Standard deviations of counting error within which nothing is said.
pub const SIGMAS: f64 = 2.0;

/// What the numbers of a diff mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Scale {
    /// CPU-seconds per observed second of wall time.
    Cores,
    /// CPU-seconds of the whole run.
    Total,
    /// Percent of each side's CPU time.
    Share,
}

impl Scale {
    /// Unit of the numbers, for people.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Total => "CPU-seconds",
            Self::Share => "% of CPU",
        }
    }
}

/// One side of a diff.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Weights by call path, in nanoseconds.
    pub tree: &'a CallTree,
    /// Wall time that was observed; the denominator of [`Scale::Cores`].
    pub observed_ns: u64,
    /// Weight of one sample, the largest where recordings of several rates were merged.
    pub period_ns: u64,
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
}

impl Change {
    /// How much more it is than it was.
    #[must_use]
    pub fn delta(self) -> f64 {
        self.after - self.before
    }
}

/// One function (name, module) on both sides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FunctionChange {
    /// A frame of the function, in [`DiffTree::frames`].
    pub frame: FrameId,
    /// Weight in the function itself.
    pub own: Change,
    /// Weight of stacks it is on, each counted once however often it recurs.
    pub total: Change,
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
}

/// Brings weights of one side to the scale of the diff.
#[derive(Clone, Copy)]
struct Measure {
    /// What a weight is multiplied with, then divided by: in this order, parts of a whole come out
    /// exact.
    times: f64,
    divisor: f64,
    /// Weight of a sample.
    period: u64,
    /// Value of everything where values are parts of a fixed whole.
    bound: Option<f64>,
}

impl Measure {
    fn new(side: &Side<'_>, scale: Scale) -> Self {
        let (times, divisor) = match scale {
            Scale::Cores => (1.0, side.observed_ns as f64),
            Scale::Total => (1.0, 1e9),
            Scale::Share => (100.0, side.tree.total() as f64),
        };
        let bound = (scale == Scale::Share).then_some(100.0);
        Self { times, divisor, period: side.period_ns, bound }
    }

    fn value(self, weight: u64) -> f64 {
        if self.divisor > 0.0 { weight as f64 * self.times / self.divisor } else { 0.0 }
    }

    /// Variance that counting alone gives a scaled value.
    fn variance(self, value: f64) -> f64 {
        let poisson = value * self.value(self.period);
        self.bound.map_or(poisson, |whole| poisson * (1.0 - value / whole).max(0.0))
    }
}

/// Both sides' measures together.
#[derive(Clone, Copy)]
struct Measures {
    before: Measure,
    after: Measure,
}

impl Measures {
    fn change(self, before: u64, after: u64) -> Change {
        let (b, a) = (self.before.value(before), self.after.value(after));
        let allowed = SIGMAS * (self.before.variance(b) + self.after.variance(a)).sqrt();
        // Rounding of values that are equal on paper (a share of exactly 100 %) is no change.
        let rounding = 1e-9 * a.abs().max(b.abs());
        let grade = if (a - b).abs() <= allowed.max(rounding) {
            Grade::Noise
        } else if a > b {
            Grade::Grew
        } else {
            Grade::Shrank
        };
        Change { before: b, after: a, grade }
    }
}

/// Compares `after` with `before`.
#[must_use]
pub fn compare(before: &Side<'_>, after: &Side<'_>, scale: Scale) -> Diff {
    let measures =
        Measures { before: Measure::new(before, scale), after: Measure::new(after, scale) };
    let mut pairs = Pairs::default();
    pairs.walk(after.tree, |weights| &mut weights.after);
    pairs.walk(before.tree, |weights| &mut weights.before);
    let functions = pair_functions(&mut pairs.frames, before.tree, after.tree, measures);
    let tree = pairs.into_tree(measures, scale.unit());
    Diff { tree, functions, whole: measures.change(before.tree.total(), after.tree.total()), scale }
}

/// Whole weights of one path on both sides.
#[derive(Clone, Copy, Default)]
struct Weights {
    parent: u32,
    frame: Option<FrameId>,
    before: OneSide,
    after: OneSide,
}

#[derive(Clone, Copy, Default)]
struct OneSide {
    own: u64,
    total: u64,
}

/// Call paths of both trees, united.
struct Pairs {
    frames: FrameTable,
    nodes: Vec<Weights>,
    children: FxHashMap<(u32, FrameId), u32>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            frames: FrameTable::default(),
            nodes: vec![Weights::default()],
            children: FxHashMap::default(),
        }
    }
}

impl Pairs {
    /// Adds one tree's weights to the side that `side` picks.
    fn walk(&mut self, tree: &CallTree, side: impl Fn(&mut Weights) -> &mut OneSide) {
        let frames: Vec<FrameId> =
            tree.frames.iter().map(|(_, frame)| self.frames.intern(frame.clone())).collect();
        let totals = tree.totals();
        let mut united = vec![CallTree::ROOT; tree.nodes().len()];
        for (index, node) in tree.nodes().iter().enumerate() {
            if index > 0 {
                let parent = united[node.parent as usize];
                united[index] = self.child(parent, frames[node.frame.0 as usize]);
            }
            let slot = side(&mut self.nodes[united[index] as usize]);
            slot.own += node.self_weight;
            slot.total += totals[index];
        }
    }

    fn child(&mut self, parent: u32, frame: FrameId) -> u32 {
        let nodes = &mut self.nodes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            nodes.push(Weights { parent, frame: Some(frame), ..Weights::default() });
            (nodes.len() - 1) as u32
        })
    }

    fn into_tree(self, measures: Measures, unit: &'static str) -> DiffTree {
        let nodes = self
            .nodes
            .iter()
            .map(|w| {
                let total = measures.change(w.before.total, w.after.total);
                DiffNode {
                    parent: w.parent,
                    frame: w.frame.unwrap_or(FrameId(0)),
                    before_self: measures.before.value(w.before.own),
                    before_total: total.before,
                    after_self: measures.after.value(w.after.own),
                    after_total: total.after,
                    grade: total.grade,
                }
            })
            .collect();
        DiffTree { frames: self.frames, nodes, unit }
    }
}

/// Functions of both trees, matched by (name, module).
fn pair_functions(
    frames: &mut FrameTable,
    before: &CallTree,
    after: &CallTree,
    measures: Measures,
) -> Vec<FunctionChange> {
    let mut rows: FxHashMap<u32, (FrameId, [FunctionTotals; 2])> = FxHashMap::default();
    for (side, tree) in [(1, after), (0, before)] {
        for totals in tree.functions() {
            let frame = frames.intern(tree.frames.get(totals.frame).clone());
            let none = FunctionTotals { frame, self_weight: 0, total_weight: 0 };
            rows.entry(frames.function(frame)).or_insert((frame, [none; 2])).1[side] = totals;
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_unstable_by_key(|(function, _)| *function);
    rows.into_iter()
        .map(|(_, (frame, [b, a]))| FunctionChange {
            frame,
            own: measures.change(b.self_weight, a.self_weight),
            total: measures.change(b.total_weight, a.total_weight),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Frame, FrameKind};

    const MS: u64 = 1_000_000;

    fn tree(stacks: &[(&str, u64)]) -> CallTree {
        let mut tree = CallTree::new();
        for (stack, samples) in stacks {
            let ids: Vec<FrameId> = stack
                .split(';')
                .map(|name| tree.frames.intern(Frame::new(name, "m", FrameKind::User)))
                .collect();
            tree.add(&ids, samples * MS);
        }
        tree
    }

    fn side(tree: &CallTree, seconds: u64) -> Side<'_> {
        Side { tree, observed_ns: seconds * 1_000_000_000, period_ns: MS }
    }

    fn function(diff: &Diff, name: &str) -> FunctionChange {
        let found = diff.functions.iter().find(|f| &*diff.tree.frames.get(f.frame).name == name);
        *found.unwrap()
    }

    fn node(diff: &Diff, path: &str) -> DiffNode {
        let wanted: Vec<&str> = path.split(';').collect();
        let at = (1..diff.tree.nodes.len() as u32).find(|i| {
            let names: Vec<&str> =
                diff.tree.path(*i).iter().map(|f| &*diff.tree.frames.get(*f).name).collect();
            names == wanted
        });
        diff.tree.nodes[at.unwrap() as usize]
    }

    #[test]
    fn other_durations_and_rates_compare_in_cores() {
        // 0.5 cores for 4 s at 1 kHz, and 0.5 cores for 16 s at 100 Hz.
        let before = tree(&[("main;f", 2_000)]);
        let mut after = CallTree::new();
        let main = after.frames.intern(Frame::new("main", "m", FrameKind::User));
        let f = after.frames.intern(Frame::new("f", "m", FrameKind::User));
        after.add(&[main, f], 800 * 10 * MS);
        let after = Side { period_ns: 10 * MS, ..side(&after, 16) };
        let diff = compare(&side(&before, 4), &after, Scale::Cores);
        assert_eq!(
            function(&diff, "f").own,
            Change { before: 0.5, after: 0.5, grade: Grade::Noise }
        );
        assert_eq!(diff.whole, Change { before: 0.5, after: 0.5, grade: Grade::Noise });
        assert_eq!(diff.tree.unit, "cores");
    }

    #[test]
    fn a_job_that_takes_twice_as_long_shows_in_total_but_not_in_cores() {
        let (before, after) = (tree(&[("f", 1_000)]), tree(&[("f", 2_000)]));
        let cores = compare(&side(&before, 1), &side(&after, 2), Scale::Cores);
        assert_eq!(cores.whole.delta(), 0.0);
        let total = compare(&side(&before, 1), &side(&after, 2), Scale::Total);
        assert_eq!(total.whole, Change { before: 1.0, after: 2.0, grade: Grade::Grew });
    }

    #[test]
    fn shares_are_parts_of_each_sides_own_whole() {
        let (before, after) = (tree(&[("f", 100), ("g", 300)]), tree(&[("f", 1_000)]));
        let diff = compare(&side(&before, 1), &side(&after, 1), Scale::Share);
        assert_eq!(
            function(&diff, "f").own,
            Change { before: 25.0, after: 100.0, grade: Grade::Grew }
        );
        assert_eq!(diff.whole.grade, Grade::Noise);
    }

    #[test]
    fn frames_of_one_side_stay_with_zero_on_the_other() {
        let (before, after) = (tree(&[("main;old", 100)]), tree(&[("main;new", 900)]));
        let diff = compare(&side(&before, 1), &side(&after, 1), Scale::Total);
        let (old, new) = (node(&diff, "main;old"), node(&diff, "main;new"));
        assert_eq!((old.before_total, old.after_total, old.grade), (0.1, 0.0, Grade::Shrank));
        assert_eq!((new.before_total, new.after_total, new.grade), (0.0, 0.9, Grade::Grew));
        assert_eq!(function(&diff, "old").total.after, 0.0);
        let main = node(&diff, "main");
        assert_eq!((main.before_self, main.before_total, main.after_total), (0.0, 0.1, 0.9));
    }

    #[test]
    fn a_recursive_function_counts_once_per_stack() {
        let (before, after) = (tree(&[("f;f;f", 100)]), tree(&[("f;f", 100), ("f;g;f", 300)]));
        let diff = compare(&side(&before, 1), &side(&after, 1), Scale::Total);
        let f = function(&diff, "f");
        assert_eq!((f.total.before, f.total.after), (0.1, 0.4));
        assert_eq!((f.own.before, f.own.after), (0.1, 0.4));
    }

    #[test]
    fn counting_error_alone_says_nothing() {
        // 100 against 128 samples: 28 <= 2·√228 = 30.2; 131: 31 > 2·√231 = 30.4.
        let grade = |before, after| {
            let (b, a) = (tree(&[("f", before)]), tree(&[("f", after)]));
            compare(&side(&b, 1), &side(&a, 1), Scale::Cores).whole.grade
        };
        assert_eq!(grade(100, 128), Grade::Noise);
        assert_eq!(grade(100, 131), Grade::Grew);
        assert_eq!(grade(131, 100), Grade::Shrank);
        assert_eq!(grade(0, 4), Grade::Noise);
        assert_eq!(grade(0, 5), Grade::Grew);
    }

    #[test]
    fn totals_of_the_tree_are_the_sums_of_their_parts() {
        let (before, after) =
            (tree(&[("a;b", 7), ("a", 5), ("c", 3)]), tree(&[("a;d;b", 11), ("c", 2)]));
        let diff = compare(&side(&before, 1), &side(&after, 1), Scale::Total);
        let sums: (f64, f64) = diff
            .tree
            .nodes
            .iter()
            .fold((0.0, 0.0), |sum, n| (sum.0 + n.before_self, sum.1 + n.after_self));
        assert!((sums.0 - 0.015).abs() < 1e-12 && (sums.1 - 0.013).abs() < 1e-12);
        assert_eq!(diff.tree.nodes[0].before_total, 0.015);
        assert_eq!(diff.tree.nodes[0].after_total, 0.013);
    }

    #[test]
    fn an_empty_side_is_no_division_by_zero() {
        let (before, after) = (tree(&[]), tree(&[("f", 10)]));
        for scale in [Scale::Cores, Scale::Total, Scale::Share] {
            let diff = compare(&side(&before, 0), &side(&after, 1), scale);
            assert_eq!(diff.whole.before, 0.0);
            assert!(diff.tree.nodes.iter().all(|n| n.before_total == 0.0));
        }
    }
}
