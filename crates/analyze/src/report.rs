//! The summary as text: what `analyze run.arc` prints.
//!
//! One line each for what was recorded, what it cost and what was lost; then tables. Everything that
//! came from a host passes [`clean`] on its way into the text.

use std::collections::BTreeMap;

use profile::{StackEnd, Warning};
use render::safe_text::clean;
use render::terminal::{SortBy, TableOptions, top_functions};
use symbolize::unwind::{NoRule, Stop};

use crate::analysis::{Analysis, Recorded};
use crate::bill;
use crate::caption;
use crate::collapse::Sum;
use crate::fetched;
use crate::findings::findings;
use crate::keep::LeftOut;
use crate::measure::Quantity;
use crate::passing;
use crate::provenance::{self, Line};
use crate::stacks::Wholeness;
use crate::wording::{count, counted, number, percent, seconds};

/// Processes and modules listed.
const LISTED: usize = 10;

/// Width of the labels in front of facts.
const LABEL: usize = 11;

/// Writes facts, one a line, the first of equal labels labelled.
pub fn facts(out: &mut String, lines: &[Line]) {
    for (label, text) in lines {
        out.push_str(&format!("{label:LABEL$} {}\n", clean(text)));
    }
}

/// Warnings of one kind, one a line.
pub fn warnings(out: &mut String, warnings: &[Warning], incomplete: bool) {
    for warning in warnings.iter().filter(|w| w.incomplete == incomplete) {
        let mark = if incomplete { "" } else { "Note: " };
        out.push_str(&format!("{mark}{}\n", clean(&warning.text)));
    }
}

/// The summary of one or more merged recordings. `inputs` is how they are named on a command line.
#[must_use]
pub fn summary(analysis: &Analysis, inputs: &[String], table: &TableOptions) -> String {
    let mut out = String::new();
    let all_warnings = provenance::warnings(analysis);
    warnings(&mut out, &all_warnings, true);
    let sources = provenance::sources(analysis);
    for (index, source) in sources.iter().enumerate() {
        if sources.len() > 1 {
            let path = source.path.display().to_string();
            out.push_str(&format!("Input {}: {}\n", index + 1, clean(&path)));
        }
        facts(&mut out, &source.facts);
        facts(&mut out, &source.losses);
        if sources.len() > 1 {
            out.push('\n');
        }
    }
    facts(&mut out, &figures(analysis));
    facts(&mut out, &fetched::lines(&[&analysis.fetched]));
    if analysis.total.weight == 0 && analysis.given.is_empty() {
        out.push_str(
            "\nNo samples: what was recorded did not run, or too briefly to be sampled. Time spent\n\
             waiting (for locks, timers, disk, network) is not CPU time.\n",
        );
    }
    warnings(&mut out, &all_warnings, false);
    let found = findings(&analysis.tree, analysis.measure.quantity.noun());
    if !found.is_empty() {
        out.push_str("\nFindings\n");
    }
    for finding in found {
        out.push_str(&format!("- {}\n", clean(&finding)));
    }
    processes(&mut out, analysis);
    functions(&mut out, analysis, &TableOptions { rows: LISTED, ..*table });
    bill::write(&mut out, analysis, inputs);
    out
}

/// The lines about everything together.
#[must_use]
pub fn figures(analysis: &Analysis) -> Vec<Line> {
    let mut lines = vec![total(analysis)];
    lines.extend(filtered(analysis));
    if analysis.other_events_samples > 0 {
        lines.push((
            "Not shown",
            format!("{} of other events", counted(analysis.other_events_samples, "sample")),
        ));
    }
    if !analysis.recordings.is_empty() {
        lines.push(("Stacks", stacks(analysis)));
    }
    lines.extend(lacking(analysis));
    if !analysis.recordings.is_empty() || analysis.naming.named_weight() < analysis.total.weight {
        lines.push(("Names", analysis.naming.describe(analysis.measure.quantity.noun())));
    }
    lines.extend(unverified(analysis));
    lines
}

/// "12.3 CPU-seconds".
#[must_use]
pub fn with_unit(analysis: &Analysis, weight: u64) -> String {
    format!("{} {}", number(analysis.figure(weight)), analysis.measure.quantity.unit())
}

/// How much there is of what, as far as it is known.
fn total(analysis: &Analysis) -> Line {
    let Sum { weight, samples } = analysis.total;
    let is_cpu_time = analysis.measure.quantity == Quantity::CpuTime;
    let mut text = with_unit(analysis, weight);
    if analysis.observed_ns > 0 {
        text.push_str(&format!(" in {} s", seconds(analysis.observed_ns)));
        if is_cpu_time {
            text.push_str(&format!(" = {} cores", number(analysis.cores(weight))));
        }
    }
    if analysis.counts_samples() && analysis.measure.quantity != Quantity::Samples {
        text.push_str(&format!("; {}", counted(samples, "sample")));
    }
    (if is_cpu_time { "CPU time" } else { "Total" }, text)
}

/// How what was recorded adds up: what is shown, and what filters left out.
fn filtered(analysis: &Analysis) -> Option<Line> {
    let parts: Vec<(LeftOut, Sum)> = LeftOut::ALL
        .into_iter()
        .zip(analysis.filtered)
        .filter(|(_, sum)| *sum != Sum::default())
        .collect();
    let left_out = parts.iter().fold(Sum::default(), |sum, (_, part)| sum.merge(*part));
    let whole = left_out.merge(analysis.total);
    let parts: Vec<String> = parts
        .iter()
        .map(|(why, sum)| format!("{} {}", number(analysis.figure(sum.weight)), why.describe()))
        .collect();
    (!parts.is_empty()).then(|| {
        let samples = match analysis.counts_samples() {
            true => format!(" ({})", counted(left_out.samples, "sample")),
            false => String::new(),
        };
        let text = format!(
            "of {} recorded, {} are shown; left out: {}{samples}",
            with_unit(analysis, whole.weight),
            number(analysis.figure(analysis.total.weight)),
            parts.join(", "),
        );
        ("Filtered", text)
    })
}

fn stacks(analysis: &Analysis) -> String {
    // Of inputs that came with names nothing is known of what their stacks lack.
    let whole = analysis.wholeness.values().sum();
    let weight = |kind| analysis.wholeness.get(&kind).copied().unwrap_or(0);
    let repaired = weight(Wholeness::Repaired);
    let complete = weight(Wholeness::Complete) + repaired;
    let mut parts = vec![match repaired {
        0 => format!("{} complete", percent(complete, whole)),
        _ => format!(
            "{} complete ({} repaired with unwind tables)",
            percent(complete, whole),
            percent(repaired, whole)
        ),
    }];
    let mut others: Vec<(u64, &str)> = analysis
        .wholeness
        .iter()
        .filter_map(|(kind, weight)| Some((*weight, describe(*kind)?)))
        .filter(|(weight, _)| *weight > 0)
        .collect();
    others.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    parts.extend(others.iter().map(|(weight, what)| format!("{} {what}", percent(*weight, whole))));
    parts.join("; ")
}

fn describe(kind: Wholeness) -> Option<&'static str> {
    match kind {
        Wholeness::Complete | Wholeness::Repaired => None,
        Wholeness::Unchecked => Some("not checked (no unwind tables, or no file)"),
        Wholeness::CallerSkipped => Some("with a caller that may be missing"),
        Wholeness::Cut(end) => Some(match end {
            StackEnd::NotCode => "cut: code without frame pointers",
            StackEnd::DepthLimit => "cut: deeper than the kernel's limit",
            StackEnd::Fault => "cut: stack page not present",
            StackEnd::MapsUnknown => "cut: mappings unknown",
            StackEnd::LostBlock => "lost in a damaged block",
            StackEnd::Complete | StackEnd::NoUser => return None,
        }),
        Wholeness::Stopped(stop) => Some(match stop {
            Stop::NoRule(NoRule::NoFile) => "cut: the file with the unwind tables is not here",
            Stop::NoRule(NoRule::NoTables | NoRule::NotCovered) => {
                "cut: code without unwind tables"
            }
            Stop::NoRule(NoRule::Damaged) | Stop::Absurd => "cut: unwind tables make no sense",
            Stop::OtherStack => "cut: the callers are on another stack",
            Stop::NotKept => "cut: a register was not recorded",
            Stop::Beyond => "cut: deeper than the recorded part of the stack",
            Stop::Interrupted => "cut: the stack that a signal interrupted was not recorded",
            Stop::NotCode => "cut: no code to return to",
            Stop::TooDeep => "cut: too deep",
        }),
    }
}

/// In which modules stacks lack something, the worst first.
fn lacking(analysis: &Analysis) -> Option<Line> {
    const NAMED: usize = 3;
    let unwound = |kind: &Wholeness| matches!(kind, Wholeness::Repaired | Wholeness::Stopped(_));
    // Without unwinding every library would be a cause.
    if !analysis.wholeness.keys().any(unwound) {
        return None;
    }
    let mut rows: Vec<_> = analysis.lacking.iter().collect();
    rows.sort_by_key(|(_, weight)| std::cmp::Reverse(**weight));
    let shown = rows.iter().take(NAMED).filter_map(|((kind, module), weight)| {
        let share = percent(**weight, analysis.total.weight);
        Some(format!("{share} in {module} ({})", describe(*kind)?.trim_start_matches("cut: ")))
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| ("Not whole", shown.join("; ")))
}

/// Modules taken without a proof that they are the ones that ran.
fn unverified(analysis: &Analysis) -> Option<Line> {
    const NAMED: usize = 3;
    let paths = provenance::unverified(analysis);
    let (first, rest) = paths.split_at(paths.len().min(NAMED));
    let mut named: Vec<_> = first.iter().map(|path| path.lossy().into_owned()).collect();
    if !rest.is_empty() {
        named.push(format!("{} more", count(rest.len() as u64)));
    }
    (!paths.is_empty()).then(|| {
        let modules = counted(paths.len() as u64, "module");
        let why = "no build-id was recorded; path, size and segments agree as far as they were";
        ("Unverified", format!("{modules} ({why}): {}", named.join(", ")))
    })
}

/// Processes of one name are one row, as they are one frame in the picture: a build starts its compiler
/// a thousand times.
fn processes(out: &mut String, analysis: &Analysis) {
    let mut by_name: BTreeMap<String, (u64, Vec<u32>)> = BTreeMap::new();
    for row in &analysis.processes {
        let name = process(&row.name, analysis, &analysis.recordings[row.recording]);
        let (weight, pids) = by_name.entry(name).or_default();
        *weight += row.weight;
        pids.push(row.pid);
    }
    let mut rows: Vec<(String, (u64, Vec<u32>))> = by_name.into_iter().collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(_, (weight, _))| std::cmp::Reverse(*weight));
    out.push_str("\nProcesses by CPU time\n   cores    CPU-s    share  process\n");
    let mut line = |weight: u64, what: &str| {
        out.push_str(&format!(
            "{:>8} {:>8} {:>8}  {what}\n",
            number(analysis.cores(weight)),
            seconds(weight),
            percent(weight, analysis.total.weight),
        ));
    };
    for (name, (weight, pids)) in rows.iter().take(LISTED) {
        match pids[..] {
            [0] => line(*weight, name),
            [pid] => line(*weight, &format!("{name} [{pid}]")),
            _ => line(*weight, &format!("{name} ({} processes)", count(pids.len() as u64))),
        }
    }
    if let Some(rest @ [_, ..]) = rows.get(LISTED..) {
        let weight = rest.iter().map(|(_, (weight, _))| weight).sum();
        line(weight, &format!("{} more", count(rest.len() as u64)));
    }
}

fn process(name: &str, analysis: &Analysis, recording: &Recorded) -> String {
    let mut text = clean(name).into_owned();
    let one_host = analysis.recordings.iter().all(|r| r.facts.host == recording.facts.host);
    if !one_host {
        text.push_str(&format!(" on {}", clean(&recording.facts.host.lossy())));
    }
    text
}

/// The functions that cost most, by self and by total.
pub fn functions(out: &mut String, analysis: &Analysis, table: &TableOptions) {
    if analysis.total.weight == 0 {
        return;
    }
    let caption = caption::of_profile(analysis, None);
    let noun = analysis.measure.quantity.noun();
    let tree = &analysis.tree;
    for (title, sort_by, left_out) in [
        (format!("Functions by their own {noun}"), SortBy::SelfWeight, passing::without_self(tree)),
        (
            format!(
                "Functions by {noun} with all they call (without those that only pass on to one other)"
            ),
            SortBy::Total,
            passing::functions(tree),
        ),
    ] {
        out.push_str(&format!("\n{title}\n"));
        let listed = passing::without(tree, &left_out);
        out.push_str(&top_functions(&listed, &caption, sort_by, table));
    }
}
