//! Whether two sides can be compared at all. What differs between recordings for another reason than what
//! ran is no change of the program.

use rustc_hash::FxHashMap;

use crate::analysis::{Analysis, Recorded};
use crate::wording::percent;

/// Of one side this much more of the samples may be lost.
const LOST_POINTS: f64 = 5.0;
/// A module with less of either side's CPU time than this changes nothing.
const SMALL: f64 = 0.05;
/// Of a module, the part without names may differ by this much.
const NAMELESS: f64 = 0.5;

/// Why no verdict can be given, a sentence each; none: the sides compare.
#[must_use]
pub fn obstacles(before: &Analysis, after: &Analysis) -> Vec<String> {
    let mut obstacles = Vec::new();
    // What came with names says nothing of how it was recorded.
    if before.recordings.is_empty() || after.recordings.is_empty() {
        return obstacles;
    }
    let (old, new) = (events(before), events(after));
    if old != new {
        obstacles.push(format!("the sides were recorded with different events: {old} and {new}."));
    }
    let (old, new) = (lost_percent(before), lost_percent(after));
    if (old - new).abs() > LOST_POINTS {
        obstacles.push(format!(
            "{old:.1} % of the base's samples were lost, and {new:.1} % of the new side's."
        ));
    }
    let (old, new) = (unwinding(before), unwinding(after));
    if old != new {
        obstacles.push(format!(
            "stacks were recorded differently: the base's {old}, the new side's {new}."
        ));
    }
    obstacles.extend(names(before, after));
    obstacles
}

fn events(analysis: &Analysis) -> String {
    list(analysis, |r| r.event().map(|event| event.name.lossy().into_owned()).unwrap_or_default())
}

fn unwinding(analysis: &Analysis) -> String {
    let mode = |r: &Recorded| match r.facts.unwind_regs.is_empty() {
        true => "with frame pointers alone",
        false => "with parts of the stack",
    };
    list(analysis, |r| mode(r).to_owned())
}

/// What the recordings of a side say, each once.
fn list(analysis: &Analysis, of: impl Fn(&Recorded) -> String) -> String {
    let mut words: Vec<String> = analysis.recordings.iter().map(of).collect();
    words.sort_unstable();
    words.dedup();
    words.join(" and ")
}

fn lost_percent(analysis: &Analysis) -> f64 {
    let (mut lost, mut fired) = (0.0, 0.0);
    for recording in &analysis.recordings {
        let sum = recording.account.ledger.sum(recording.event);
        lost += sum.dropped_total() as f64;
        fired += sum.fired as f64;
    }
    if fired > 0.0 { 100.0 * lost / fired } else { 0.0 }
}

/// Modules that have names on one side only: their functions would seem new or gone.
fn names(before: &Analysis, after: &Analysis) -> Vec<String> {
    let shares = |analysis: &Analysis| -> FxHashMap<String, (u64, u64)> {
        let mut sums: FxHashMap<String, (u64, u64)> = FxHashMap::default();
        for module in &analysis.modules {
            let (all, nameless) =
                sums.entry(module.module.path.file_name().into_owned()).or_default();
            *all += module.weight.self_weight;
            *nameless += module.nameless.self_weight;
        }
        sums
    };
    let (old, new) = (shares(before), shares(after));
    let large = |all: u64, analysis: &Analysis| all as f64 > SMALL * analysis.total.weight as f64;
    let mut found: Vec<String> = old
        .iter()
        .filter_map(|(name, (old_all, old_nameless))| {
            let (new_all, new_nameless) = new.get(name)?;
            let part = |nameless: u64, all: u64| nameless as f64 / all.max(1) as f64;
            let differs =
                (part(*old_nameless, *old_all) - part(*new_nameless, *new_all)).abs() > NAMELESS;
            (differs && large(*old_all, before) && large(*new_all, after)).then(|| {
                format!(
                    "of {name}'s time {} has no names in the base and {} on the new side: its \
                     functions would seem new or gone.",
                    percent(*old_nameless, *old_all),
                    percent(*new_nameless, *new_all)
                )
            })
        })
        .collect();
    found.sort_unstable();
    found
}
