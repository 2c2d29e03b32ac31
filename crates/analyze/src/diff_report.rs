//! A comparison as text: what `analyze run.arc --diff base.arc` prints. The finding stands first.

use profile::{FrameKind, Grade};
use render::safe_text::clean;
use render::terminal::{DiffRow, TableOptions, diff_functions};

use crate::analysis::Analysis;
use crate::diff::{Change, Diff, FunctionChange, SIGMAS};
use crate::fetched;
use crate::passing;
use crate::provenance;
use crate::report;
use crate::story::{NOT_TESTED, Story};
use crate::wording::{counted, number, percent, seconds};

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
    for text in not_alike(before, after) {
        out.push_str(&format!("Note: {}\n", clean(&text)));
    }
    out
}

/// The tables alone.
pub fn functions(out: &mut String, diff: &Diff, table: &TableOptions) {
    let unit = diff.scale.unit();
    let mut any = false;
    let passing = passing::functions_of_diff(&diff.tree);
    for (grade, verb) in [(Grade::Grew, "grew"), (Grade::Shrank, "shrank")] {
        for (what, pick) in [
            ("in themselves", (|f| f.own) as fn(&FunctionChange) -> Change),
            ("with all they call (without those that only pass on to one other)", |f| f.total),
        ] {
            let rows = changed(diff, grade, &passing, pick);
            if !rows.is_empty() {
                any = true;
                out.push_str(&format!("\nFunctions that {verb} {what}\n"));
                out.push_str(&diff_functions(&rows, unit, table));
            }
        }
    }
    out.push('\n');
    if any {
        out.push_str(&format!("Grew / shrank: {NOT_TESTED}. "));
    } else {
        out.push_str("No function changed by more than counting error explains. ");
    }
    out.push_str(&format!(
        "Not listed: changes up to {SIGMAS:.0}·√(P·before + P·after), P the weight of one sample.\n"
    ));
}

/// Functions of one grade, the largest change first.
fn changed<'d>(
    diff: &'d Diff,
    grade: Grade,
    passing: &[bool],
    pick: fn(&FunctionChange) -> Change,
) -> Vec<DiffRow<'d>> {
    let frames = &diff.tree.frames;
    let mut rows: Vec<DiffRow<'_>> = diff
        .functions
        .iter()
        .filter(|f| pick(f).grade == grade)
        .filter(|f| !passing[frames.function(f.frame) as usize])
        .filter(|f| frames.get(f.frame).kind != FrameKind::Process)
        .map(|f| DiffRow {
            name: &frames.get(f.frame).name,
            module: &frames.get(f.frame).module,
            before: pick(f).before,
            after: pick(f).after,
            grade,
        })
        .collect();
    rows.sort_by(|a, b| {
        let delta = |row: &DiffRow<'_>| (row.after - row.before).abs();
        delta(b).total_cmp(&delta(a)).then_with(|| (a.name, a.module).cmp(&(b.name, b.module)))
    });
    rows
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

/// Why the two sides may not be comparable.
fn not_alike(before: &Analysis, after: &Analysis) -> Vec<String> {
    let mut notes = Vec::new();
    let event = |analysis: &Analysis| {
        let mut names: Vec<String> = analysis
            .recordings
            .iter()
            .filter_map(|r| Some(r.event()?.name.lossy().into_owned()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    let (old, new) = (event(before), event(after));
    if old != new {
        notes.push(format!("the sides were recorded with different events: {old} and {new}."));
    }
    let share = |analysis: &Analysis| {
        analysis.naming.named_weight() as f64 / (analysis.total.weight.max(1)) as f64
    };
    if (share(before) - share(after)).abs() > 0.05 {
        notes.push(format!(
            "{} of the base's {} has names, and {} of the new side's: functions without a \
             name seem gone or new.",
            percent(before.naming.named_weight(), before.total.weight),
            before.measure.quantity.noun(),
            percent(after.naming.named_weight(), after.total.weight)
        ));
    }
    notes
}
