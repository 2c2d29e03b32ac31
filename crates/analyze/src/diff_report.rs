//! A comparison as text: what `analyze run.arc --diff base.arc` prints. The finding stands first.

use std::collections::BTreeMap;

use profile::{FrameKind, Grade};
use render::safe_text::clean;
use render::terminal::{DiffRow, TableOptions, diff_functions};

use crate::analysis::{Analysis, Recorded};
use crate::diff::{Change, Diff, FunctionChange, Judge, Label, SIGMAS, Tested, UnitKind, Verdict};
use crate::fetched;
use crate::passing;
use crate::provenance;
use crate::report;
use crate::story::Story;
use crate::wording::{counted, number, seconds};

/// Says what changed.
#[must_use]
pub fn diff_report(
    before: &Analysis,
    after: &Analysis,
    diff: &Diff,
    story: &Story,
    table: &TableOptions,
) -> String {
    let mut out = String::new();
    let warnings = provenance::warnings_of_both(after, Some(before));
    report::warnings(&mut out, &warnings, true);
    for line in std::iter::once(&story.total).chain(&story.culprit) {
        out.push_str(&format!("{}\n", clean(line)));
    }
    for line in &story.details {
        out.push_str(&format!("  {}\n", clean(line)));
    }
    functions(&mut out, diff, table);
    out.push('\n');
    sides(&mut out, before, after, diff);
    report::facts(&mut out, &fetched::lines(&[&after.fetched, &before.fetched]));
    report::warnings(&mut out, &warnings, false);
    let both_ns = on_both_sides_ns(before, after);
    if both_ns > 0 && diff.whole.delta() != 0.0 {
        out.push_str(&format!(
            "Note: {} s are on both sides, which hides a part of the change; FILE@rest is what the other \
             side leaves.\n",
            seconds(both_ns)
        ));
    }
    out
}

/// How much time of the same recordings both sides show.
fn on_both_sides_ns(before: &Analysis, after: &Analysis) -> u64 {
    let identity = |r: &Recorded| (r.facts.recording_id, r.facts.segment);
    let both = |new: &Recorded| {
        let old = before.recordings.iter().find(|old| identity(old) == identity(new))?;
        Some(new.observed.only(&old.observed.list()).total_ns())
    };
    after.recordings.iter().filter_map(both).sum()
}

/// The tables alone, and what they stand on.
pub fn functions(out: &mut String, diff: &Diff, table: &TableOptions) {
    let unit = diff.scale.unit();
    let passing = passing::functions_of_diff(&diff.tree);
    let mut any = false;
    for (grade, verb) in [(Grade::Grew, "grew"), (Grade::Shrank, "shrank")] {
        for (what, pick) in [
            ("in themselves", (|f| f.own) as fn(&FunctionChange) -> Change),
            ("with all they call (without those that only pass on to one other)", |f| f.total),
        ] {
            let rows = changed(diff, |f| pick(f).grade == grade, &passing, pick);
            if !rows.is_empty() {
                any = true;
                out.push_str(&format!("\nFunctions that {verb} {what}\n"));
                out.push_str(&diff_functions(&rows, unit, table));
            }
        }
    }
    if let Judge::Nothing(_) = diff.judge {
        let rows = changed(diff, |f| f.own.delta() != 0.0, &passing, |f| f.own);
        out.push_str("\nFunctions that differ most in themselves (no verdict)\n");
        out.push_str(&diff_functions(&rows, unit, table));
    }
    out.push_str(&format!("\n{}\n", judged(diff, any)));
}

/// By what was judged, and how much that is worth.
#[must_use]
pub fn judged(diff: &Diff, any: bool) -> String {
    match (&diff.judge, &diff.tested) {
        (Judge::Noise { .. }, Some(tested)) => tested_text(diff, tested),
        (Judge::Counting(why), _) => {
            let found = if any {
                "Grew / shrank: not tested against noise"
            } else {
                "No function changed by more than counting error explains"
            };
            format!(
                "{found} ({why}). Not listed: changes up to {SIGMAS:.0}·√(P·before + P·after), P the \
                 weight of one sample."
            )
        }
        (Judge::Nothing(why), _) => format!("NO VERDICT: {}", why.join(" ")),
        (Judge::Noise { .. }, None) => "Nothing was there to test.".to_owned(),
    }
}

/// "471 functions tested: 1 regression, …".
fn tested_text(diff: &Diff, tested: &Tested) -> String {
    let unit = diff.scale.unit();
    let mut verdicts: BTreeMap<Verdict, u64> = BTreeMap::new();
    let mut moved = 0u64;
    let mut functions = 0u64;
    for function in &diff.functions {
        let effects = [function.total.effect, function.own.effect];
        // Sorted from the worst: a function is called by the first that holds of it.
        let Some(verdict) = effects.iter().flatten().map(|effect| effect.verdict).min() else {
            continue;
        };
        functions += 1;
        if function.labels.contains(&Label::Moved) {
            moved += 1;
        } else {
            *verdicts.entry(verdict).or_default() += 1;
        }
    }
    let count = |verdict| verdicts.get(&verdict).copied().unwrap_or(0);
    let mut parts = vec![format!(
        "{} tested: {}, {}, {} unchanged, {} that may have changed or not",
        counted(functions, "function"),
        counted(count(Verdict::Regression), "regression"),
        counted(count(Verdict::Improvement), "improvement"),
        count(Verdict::Unchanged),
        count(Verdict::Inconclusive)
    )];
    if moved > 0 {
        parts.push(format!("{moved} only moved"));
    }
    let units = match tested.kind {
        UnitKind::Blocks => "blocks of time",
        UnitKind::Captures => "captures",
        UnitKind::Hosts => "machines, each with itself",
    };
    parts.push(format!("{} against {} {units}", tested.units[1], tested.units[0]));
    if let Some((flagged, of)) = tested.noise_floor {
        parts.push(format!("noise floor: {flagged} of {of} in the base against itself"));
    }
    if let Some(smallest) = tested.smallest {
        parts.push(format!("smallest change seen in half of them: {} {unit}", number(smallest)));
    }
    parts.push(format!(
        "changes up to {} {unit} do not matter (--min-effect)",
        number(tested.min_effect)
    ));
    format!("{}.", parts.join(" · "))
}

/// Some of the functions, the largest change first.
fn changed<'d>(
    diff: &'d Diff,
    wanted: impl Fn(&FunctionChange) -> bool,
    passing: &[bool],
    pick: fn(&FunctionChange) -> Change,
) -> Vec<DiffRow<'d>> {
    let frames = &diff.tree.frames;
    let mut rows: Vec<DiffRow<'_>> = diff
        .functions
        .iter()
        .filter(|f| wanted(f))
        .filter(|f| !passing[frames.function(f.frame) as usize])
        .filter(|f| frames.get(f.frame).kind != FrameKind::Process)
        .map(|f| {
            let change = pick(f);
            DiffRow {
                name: &frames.get(f.frame).name,
                module: &frames.get(f.frame).module,
                before: change.before,
                after: change.after,
                grade: change.grade,
                interval: change.effect.map(|effect| (effect.low, effect.high)),
                label: label(f),
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        let delta = |row: &DiffRow<'_>| (row.after - row.before).abs();
        delta(b).total_cmp(&delta(a)).then_with(|| (a.name, a.module).cmp(&(b.name, b.module)))
    });
    rows
}

/// What kind of change it is, in words.
fn label(function: &FunctionChange) -> String {
    if function.labels.is_empty() {
        let one_sided = match (function.total.before > 0.0, function.total.after > 0.0) {
            (false, true) => Label::New.word(),
            (true, false) => Label::Gone.word(),
            _ => "",
        };
        return one_sided.to_owned();
    }
    let words: Vec<&str> = function.labels.iter().map(|label| label.word()).collect();
    words.join(", ")
}

fn sides(out: &mut String, before: &Analysis, after: &Analysis, diff: &Diff) {
    for (label, analysis, value) in
        [("New", after, diff.whole.after), ("Base", before, diff.whole.before)]
    {
        for source in provenance::sources(analysis) {
            let path = source.path.display().to_string();
            let facts: Vec<String> = source.facts.into_iter().map(|(_, text)| text).collect();
            out.push_str(&format!("{label:5} {}: {}\n", clean(&path), clean(&facts.join("; "))));
        }
        out.push_str(&format!("{:5} {}", "", report::with_unit(analysis, analysis.total.weight)));
        if analysis.observed_ns > 0 {
            out.push_str(&format!(" in {} s", seconds(analysis.observed_ns)));
        }
        if analysis.counts_samples() {
            out.push_str(&format!(", {}", counted(analysis.total.samples, "sample")));
        }
        out.push_str(&format!(": {} {}\n", number(value), diff.scale.unit()));
    }
}
