//! What stands around every result: what was recorded, when, where, how, and what limits trust.

use profile::{Backend, Clock, CpuLedger, DropCause, EndReason, Scope, Text, Warning};

use std::path::Path;

use crate::analysis::{Analysis, Recorded};
use crate::given::Given;
use crate::locate::Trust;
use crate::wording::{count, counted, hertz, number, percent, seconds, utc, utc_span};

/// One fact with its label; the text is not escaped.
pub type Line = (&'static str, String);

/// Unix time at which the first of the inputs begins, where one says so.
#[must_use]
pub fn started_realtime_ns(analysis: &Analysis) -> Option<u64> {
    let recorded = analysis.recordings.iter().filter_map(|recording| {
        let covered = recording.observed.bounds()?;
        let clock = recording.facts.clock;
        (clock != Clock::default()).then(|| clock.to_realtime_ns(covered.start))
    });
    recorded.chain(analysis.given.iter().filter_map(|input| input.started_realtime_ns)).min()
}

/// One input: what is known of it, and what it lost.
pub struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// Where, when, of what and how.
    pub facts: Vec<Line>,
    /// Losses, coverage and exclusions, as far as they are known.
    pub losses: Vec<Line>,
}

/// All inputs, recordings first.
#[must_use]
pub fn sources(analysis: &Analysis) -> Vec<Source<'_>> {
    let recordings = analysis.recordings.iter().map(|recording| Source {
        path: &recording.path,
        facts: recorded(recording),
        losses: losses(recording),
    });
    let given = analysis.given.iter().map(|input| Source {
        path: &input.path,
        facts: given(input),
        losses: Vec::new(),
    });
    recordings.chain(given).collect()
}

/// What an input says of itself that came with names.
fn given(input: &Given) -> Vec<Line> {
    /// Comments that are said here; `--info` says all.
    const SAID: usize = 2;
    let mut lines = vec![(
        "Input",
        format!("{}: {}; host and losses are not stated", input.kind.describe(), input.measure),
    )];
    let duration = input.duration_ns.map(|ns| format!("{} s", seconds(ns)));
    match (input.started_realtime_ns, duration) {
        (Some(from), Some(duration)) => {
            let to = from.saturating_add(input.duration_ns.unwrap_or(0));
            lines.push(("When", format!("{}, {duration}", utc_span(from, to))));
        }
        (Some(from), None) => lines.push(("When", format!("from {} UTC", utc(from)))),
        (None, Some(duration)) => {
            lines.push(("When", format!("{duration}, at a time that is not stated")));
        }
        (None, None) => {}
    }
    lines.extend(input.notes.iter().take(SAID).map(|note| ("Note", note.clone())));
    lines
}

/// Where, when, of what and how one input was recorded.
fn recorded(recording: &Recorded) -> Vec<Line> {
    let facts = &recording.facts;
    let cpus = counted(u64::from(facts.cpus_online), "CPU");
    let machine = format!(
        "{} (Linux {}, {}, {cpus})",
        facts.host.lossy(),
        facts.kernel_release.lossy(),
        facts.arch.lossy()
    );
    vec![
        ("Recorded", format!("{} on {machine}", target(recording))),
        ("When", format!("{}, {}", window(recording), ending(recording))),
        ("How", how(recording)),
    ]
}

/// "process 12 and its children".
fn target(recording: &Recorded) -> String {
    let facts = &recording.facts;
    let pids: Vec<String> = facts.target_pids.iter().map(|pid| pid.0.to_string()).collect();
    let processes = match pids.len() {
        0 => None,
        1 => Some(format!("process {}", pids[0])),
        _ => Some(format!("processes {}", pids.join(", "))),
    };
    match (facts.scope, processes) {
        (Scope::PerCpuAll, _) => "everything".into(),
        (Scope::PerCgroup, _) => format!("control group {}", facts.target_cgroup.lossy()),
        (_, Some(process)) if facts.launched => format!("a command (pid {})", &process[8..]),
        (Scope::PerTask, Some(processes)) => processes,
        (_, Some(processes)) => format!("{processes} with children"),
        (_, None) => "some processes".into(),
    }
}

/// "2026-11-21 02:21:28 to 02:21:58 UTC, 30.0 s".
#[must_use]
pub fn window(recording: &Recorded) -> String {
    let account = &recording.account;
    let Some(covered) = account.covered.bounds() else { return "no time is covered".into() };
    if recording.facts.clock == Clock::default() {
        let length = seconds(account.covered.total_ns());
        return format!("at a time that was not recorded, {length} s");
    }
    let from = recording.facts.clock.to_realtime_ns(covered.start);
    // The last block's own clock: over a night the two clocks drift apart.
    let last = if account.clock.realtime_ns > 0 { account.clock } else { recording.facts.clock };
    let to = last.to_realtime_ns(covered.end);
    let length = seconds(account.covered.total_ns());
    format!("{}, {length} s{}", utc_span(from, to), cut(recording))
}

/// Which part of the time is shown, where it is not all.
fn cut(recording: &Recorded) -> String {
    const NAMED: usize = 3;
    if recording.observed == recording.account.covered {
        return String::new();
    }
    let clock = recording.facts.clock;
    let spans = recording.observed.list();
    let unix = |at| clock.to_realtime_ns(at);
    let named = spans.iter().take(NAMED).map(|span| utc_span(unix(span.start), unix(span.end)));
    let mut named: Vec<String> = named.collect();
    if spans.len() > NAMED {
        named.push(format!("{} more", spans.len() - NAMED));
    }
    let length = seconds(recording.observed.total_ns());
    format!(", of which {length} s are shown: {}", named.join(", "))
}

fn ending(recording: &Recorded) -> String {
    let Some(end) = &recording.end else { return "no end was written".into() };
    let why = match end.reason {
        EndReason::Duration => "for as long as asked",
        EndReason::Signal => "until interrupted",
        EndReason::TargetGone => "until it ended",
        EndReason::Rotated => "going on in the next file",
        EndReason::OutputFailed => "until the output could not be written",
        EndReason::EmbeddedLater => "sections added later",
    };
    if end.detail.is_empty() { why.into() } else { format!("{why} ({})", end.detail.lossy()) }
}

fn how(recording: &Recorded) -> String {
    let facts = &recording.facts;
    let backend = match facts.backend {
        Backend::Bpf => "eBPF".to_owned(),
        Backend::Perf => format!("perf events ({})", facts.backend_reason.lossy()),
    };
    let mut text = match recording.event() {
        Some(event) => format!("{} at {}, {backend}", event.name.lossy(), hertz(event.period)),
        None => backend,
    };
    if let Some(event) = recording.event().filter(|e| !e.fallback_reason.is_empty()) {
        let (asked, why) = (event.asked_for.lossy(), event.fallback_reason.lossy());
        text.push_str(&format!(" (instead of {asked}: {why})"));
    }
    text.push_str(&format!(", {}", facts.tool_version.lossy()));
    text
}

/// Losses, coverage and exclusions of one input.
fn losses(recording: &Recorded) -> Vec<Line> {
    let sum = recording.account.ledger.sum(recording.event);
    let mut lines = Vec::new();
    if sum.ticks() == 0 {
        return lines;
    }
    let mut causes: Vec<String> = DropCause::ALL
        .iter()
        .zip(sum.dropped)
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| format!("{} {}", count(n), cause.describe()))
        .collect();
    let unreadable = recording.damage.lost(recording.event).rows;
    if unreadable > 0 {
        causes.push(format!("{} in damaged blocks", count(unreadable)));
    }
    let lost = sum.dropped_total().saturating_add(unreadable);
    let mut more = String::new();
    if recording.account.sideband_lost > 0 {
        more = format!(
            "; and {} of mappings and processes, for want of which names may be missing",
            counted(recording.account.sideband_lost, "record")
        );
    }
    lines.push((
        "Lost",
        match causes.is_empty() {
            true => format!("nothing of {}{more}", counted(sum.fired, "sample")),
            false => format!(
                "{} of {} ({}){more}",
                percent(lost, sum.fired),
                counted(sum.fired, "sample"),
                causes.join(", ")
            ),
        },
    ));
    let period = recording.event().map_or(0, |e| e.period);
    if let Some(coverage) = recording.account.ledger.coverage(recording.event, period) {
        lines.push(("Coverage", format!("{:.1} % of timer ticks came", 100.0 * coverage)));
    }
    lines.extend(left_out(&sum, period));
    if let Some(cost) = recording.account.cost {
        // Counters know the whole recording, also where blocks of it cannot be read.
        let counted_ns = recording.account.ledger.rows().map(|row| row.observed_ns).max();
        let covered = recording.account.covered.total_ns().max(counted_ns.unwrap_or(0)).max(1);
        let own = cost.user_ns.saturating_add(cost.system_ns);
        let share = 100.0 * own as f64 / covered as f64;
        let bpf = if cost.bpf_ns > 0 {
            format!(", BPF {} s", seconds(cost.bpf_ns))
        } else {
            String::new()
        };
        lines.push((
            "Cost",
            format!(
                "recording took {} s of CPU ({} % of one CPU){bpf}",
                seconds(own),
                number(share)
            ),
        ));
    }
    lines
}

/// Time of the CPUs that is not the target's: excluded, not lost.
fn left_out(sum: &CpuLedger, period: u64) -> Option<Line> {
    let ticks = |n: u64| n.saturating_mul(period);
    // Not every kernel delivers ticks to an idle CPU; then its own account says how long that was.
    let idle = if sum.idle_ns > 0 { sum.idle_ns } else { ticks(sum.idle) };
    let whole = if sum.observed_ns > 0 { sum.observed_ns } else { ticks(sum.ticks()) };
    let parts: Vec<String> =
        [(idle, "idle"), (ticks(sum.own), "capture itself"), (ticks(sum.other), "other processes")]
            .iter()
            .filter(|(time, _)| *time > 0)
            .map(|(time, what)| format!("{what} {}", percent(*time, whole)))
            .collect();
    (!parts.is_empty()).then(|| ("Left out", format!("{} of the CPUs' time", parts.join(", "))))
}

/// What is missing of one input, in one sentence; `None` when nothing is.
fn missing(recording: &Recorded) -> Option<String> {
    /// Statements that are said here; `--info` says all.
    const SAID: usize = 3;
    let damage = &recording.damage;
    if damage.complete {
        return None;
    }
    let mut parts = Vec::new();
    let lost = damage.lost(recording.event);
    if lost.rows > 0 {
        let samples = counted(lost.rows, "sample");
        parts.push(format!("{samples} ({} CPU-seconds) cannot be read", seconds(lost.weight)));
    }
    let mut statements: Vec<&String> = damage.statements.iter().collect();
    if damage.unknown_after_ns.is_some() {
        // That it was cut off stands last there, and matters most here.
        statements.rotate_right(1);
    }
    parts.extend(statements.into_iter().take(SAID).cloned());
    if damage.statements.len() > SAID {
        let more = damage.statements.len() - SAID;
        parts.push(format!("{more} more statements (see --info)"));
    }
    Some(format!("{}.", parts.join("; ")))
}

/// What limits trust, worst first. The inputs' names stand in front where there are several.
#[must_use]
pub fn warnings(analysis: &Analysis) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let several = analysis.recordings.len() + analysis.given.len() > 1;
    let named = |recording: &Recorded, text: String| match several {
        true => format!("{}: {text}", recording.path.display()),
        false => text,
    };
    for recording in &analysis.recordings {
        if let Some(text) = missing(recording) {
            let text = format!("INCOMPLETE: {}", named(recording, text));
            warnings.push(Warning { incomplete: true, text });
        }
    }
    for input in analysis.given.iter().filter(|input| !input.statements.is_empty()) {
        let name = if several { format!("{}: ", input.path.display()) } else { String::new() };
        let text = format!("INCOMPLETE: {name}{}.", input.statements.join("; "));
        warnings.push(Warning { incomplete: true, text });
    }
    for text in &analysis.left_out {
        warnings.push(Warning { incomplete: true, text: format!("INCOMPLETE: left out: {text}") });
    }
    let warn = |text: String| Warning { incomplete: false, text };
    for recording in &analysis.recordings {
        let sum = recording.account.ledger.sum(recording.event);
        if sum.dropped_total() > 0 {
            let share = percent(sum.dropped_total(), sum.fired);
            warnings.push(warn(named(recording, format!("{share} of the samples were lost."))));
        }
        let period = recording.event().map_or(0, |e| e.period);
        let coverage = recording.account.ledger.coverage(recording.event, period);
        if let Some(coverage) = coverage.filter(|c| *c < 0.95) {
            warnings.push(warn(named(
                recording,
                format!(
                    "Only {:.1} % of timer ticks came (throttled, or the machine was not running).",
                    100.0 * coverage
                ),
            )));
        }
        if recording.account.sideband_lost > 0 {
            let lost = counted(recording.account.sideband_lost, "record");
            warnings.push(warn(named(
                recording,
                format!("The kernel lost {lost} about processes and mappings."),
            )));
        }
    }
    for refused in analysis.modules.iter().filter_map(|module| module.refused.as_ref()) {
        let path = refused.path.display();
        warnings
            .push(warn(format!("{path} does not name the kernel's functions: {}.", refused.why)));
    }
    warnings.extend(analysis.refused_debug_files.iter().cloned().map(warn));
    if analysis.counts_samples() && (1..100).contains(&analysis.total.samples) {
        let samples = counted(analysis.total.samples, "sample");
        warnings.push(warn(format!("Only {samples}: shares are rough.")));
    }
    warnings
}

/// The warnings of both sides of a comparison, or of the only side.
#[must_use]
pub fn warnings_of_both(after: &Analysis, before: Option<&Analysis>) -> Vec<Warning> {
    let mut all = warnings(after);
    all.extend(before.map(|before| of_base(warnings(before))).into_iter().flatten());
    all.sort_by_key(|warning| !warning.incomplete);
    all
}

/// The same warnings, of the base of a comparison. "INCOMPLETE: " stays in front, where people and
/// scripts look for it.
fn of_base(mut warnings: Vec<Warning>) -> Vec<Warning> {
    for warning in &mut warnings {
        warning.text = match warning.text.strip_prefix("INCOMPLETE: ") {
            Some(rest) => format!("INCOMPLETE: base: {rest}"),
            None => format!("Base: {}", warning.text),
        };
    }
    warnings
}

/// What pictures say of missing names, which the summary tells in a line of its own.
#[must_use]
pub fn nameless(analysis: &Analysis) -> Option<Warning> {
    let missing = analysis.total.weight - analysis.naming.named_weight();
    let share = percent(missing, analysis.total.weight);
    (missing > analysis.total.weight / 20).then(|| Warning {
        incomplete: false,
        text: format!(
            "{share} of the {} is in code without a name.",
            analysis.measure.quantity.noun()
        ),
    })
}

/// Modules whose files could not be verified.
#[must_use]
pub fn unverified(analysis: &Analysis) -> Vec<Text> {
    let mut paths: Vec<Text> = analysis
        .modules
        .iter()
        .filter(|m| m.trust == Some(Trust::Unverified))
        .map(|m| m.module.path.clone())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}
