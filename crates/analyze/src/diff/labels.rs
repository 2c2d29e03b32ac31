//! What kind of change it is: code that is new or gone, work that only moved, a burst that passed.

use profile::FrameId;
use rustc_hash::FxHashMap;

use super::FunctionChange;
use super::pairs::Paired;
use super::verdict::{Effect, Verdict};

/// What kind of change it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Label {
    /// The base has nothing of it.
    New,
    /// The new side has nothing of it.
    Gone,
    /// What called it, or its module, costs what it cost: inlining, renaming, work done elsewhere.
    Moved,
    /// There was much of it for a short time.
    Transient,
}

impl Label {
    /// One word, for tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Moved => "moved",
            Self::Transient => "transient",
        }
    }
}

/// Less than this of a change stays in what surrounds it: then it only moved.
const STAYS: f64 = 0.3;

/// Labels the functions that changed.
pub fn label(functions: &mut [FunctionChange], pairs: &Paired) {
    let callers = callers(pairs);
    let delta: FxHashMap<u32, f64> =
        functions.iter().map(|f| (pairs.frames.function(f.frame), f.total.delta())).collect();
    let modules = modules(functions, pairs);
    let partners = partners(functions, pairs, &callers);
    for change in functions {
        let Some(effect) = changed(&change.total.effect).or(changed(&change.own.effect)) else {
            continue;
        };
        let whole = if changed(&change.total.effect).is_some() { change.total } else { change.own };
        let mut labels = Vec::new();
        if change.total.before == 0.0 {
            labels.push(Label::New);
        }
        if change.total.after == 0.0 {
            labels.push(Label::Gone);
        }
        let small = |surrounding: f64| surrounding.abs() < STAYS * whole.delta().abs();
        let function = pairs.frames.function(change.frame);
        let by_caller = callers.get(&function).and_then(|caller| delta.get(caller));
        // A module's own code against a function's own: what it calls in others is not the module's.
        let module = &pairs.frames.get(change.frame).module;
        let own = change.own.delta().abs() > 0.5 * whole.delta().abs() && !module.is_empty();
        let by_module = own.then(|| modules.get(&**module)).flatten();
        let stays = by_caller.is_some_and(|delta| small(*delta))
            || by_module.is_some_and(|delta| small(*delta));
        // In a program that is busy all the time, and in shares, whatever grows takes from the rest: it has
        // only moved where one of both is new or gone.
        let one_sided = !labels.is_empty();
        let caller = callers.get(&function);
        let moved_to = |other: &Partner| {
            let same_caller = caller.is_some() && caller == other.caller.as_ref();
            let size = -other.delta / whole.delta();
            (same_caller || **module == *other.module)
                && (0.5..2.0).contains(&size)
                && (one_sided || other.one_sided)
        };
        if stays && partners.iter().any(moved_to) {
            labels.push(Label::Moved);
        }
        if effect.burst {
            labels.push(Label::Transient);
        }
        change.labels = labels;
    }
}

/// Something that changed, for what moved there or from there.
struct Partner {
    caller: Option<u32>,
    module: String,
    delta: f64,
    one_sided: bool,
}

fn partners(
    functions: &[FunctionChange],
    pairs: &Paired,
    callers: &FxHashMap<u32, u32>,
) -> Vec<Partner> {
    /// Partners looked at, the largest: a bound on the work.
    const MOST: usize = 200;
    let is_changed =
        |f: &&FunctionChange| changed(&f.total.effect).or(changed(&f.own.effect)).is_some();
    let partner = |f: &FunctionChange| Partner {
        caller: callers.get(&pairs.frames.function(f.frame)).copied(),
        module: pairs.frames.get(f.frame).module.to_string(),
        delta: f.total.delta(),
        one_sided: f.total.before == 0.0 || f.total.after == 0.0,
    };
    let mut partners: Vec<Partner> = functions.iter().filter(is_changed).map(partner).collect();
    partners.sort_by(|a, b| b.delta.abs().total_cmp(&a.delta.abs()));
    partners.truncate(MOST);
    partners
}

fn changed(effect: &Option<Effect>) -> Option<Effect> {
    let is_change = |e: &Effect| matches!(e.verdict, Verdict::Regression | Verdict::Improvement);
    effect.filter(is_change)
}

/// For each function the one that calls it most, on both sides together.
fn callers(pairs: &Paired) -> FxHashMap<u32, u32> {
    let function = |frame: FrameId| pairs.frames.function(frame);
    let mut weights: FxHashMap<(u32, u32), u64> = FxHashMap::default();
    for node in pairs.nodes.iter().skip(1).filter(|node| node.parent != 0) {
        let caller = function(pairs.nodes[node.parent as usize].frame);
        if caller != function(node.frame) {
            let sum = weights.entry((function(node.frame), caller)).or_default();
            *sum = sum.saturating_add(node.total[0]).saturating_add(node.total[1]);
        }
    }
    let mut most: FxHashMap<u32, (u64, u32)> = FxHashMap::default();
    for ((function, caller), weight) in weights {
        let best = most.entry(function).or_default();
        *best = (*best).max((weight, caller));
    }
    most.into_iter().map(|(function, (_, caller))| (function, caller)).collect()
}

/// How much more each module's own code took.
fn modules(functions: &[FunctionChange], pairs: &Paired) -> FxHashMap<String, f64> {
    let mut modules: FxHashMap<String, f64> = FxHashMap::default();
    for change in functions {
        let module = &pairs.frames.get(change.frame).module;
        *modules.entry(module.to_string()).or_default() += change.own.delta();
    }
    modules
}
