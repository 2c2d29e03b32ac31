//! What an archive holds, for people who want to know exactly: `analyze --info`.

use profile::{Clock, DropCause, EventId, Module};
use render::safe_text::clean;

use crate::account::Account;
use crate::import::{Named, Recording};
use crate::provenance::Line;
use crate::report;
use crate::wording::{count, hertz, seconds, utc};

/// Describes one recording.
#[must_use]
pub fn info(recording: &Recording, account: &Account) -> String {
    let mut out = format!("{}\n", clean(&recording.path().display().to_string()));
    for text in recording.damage().statements {
        out.push_str(&format!("INCOMPLETE: {}\n", clean(&text)));
    }
    report::facts(&mut out, &facts(recording));
    report::facts(&mut out, &contents(recording, account));
    events(&mut out, recording);
    modules(&mut out, recording);
    ledger(&mut out, account);
    out
}

/// Describes an input that came with names.
#[must_use]
pub fn of_named(named: &Named) -> String {
    let mut out = format!("{}\n", clean(&named.path.display().to_string()));
    for text in &named.statements {
        out.push_str(&format!("INCOMPLETE: {}\n", clean(text)));
    }
    let mut lines = vec![("Input", named.kind.describe().to_owned())];
    let sums = named.measures.iter().enumerate().map(|(index, measure)| {
        let sum = named.stacks().fold(0u64, |sum, stack| sum.saturating_add(stack.weights[index]));
        let shown = if index == named.preferred { ", shown" } else { "" };
        ("Measures", format!("{measure}: {}{shown}", count(sum)))
    });
    lines.extend(sums);
    if let Some(started) = named.started_realtime_ns {
        lines.push(("Started", format!("{} UTC", utc(started))));
    }
    if let Some(duration) = named.duration_ns {
        lines.push(("Duration", format!("{} s", seconds(duration))));
    }
    let stacks = count(named.stacks().len() as u64);
    lines.push((
        "Tables",
        format!("{} frames, {stacks} stacks", count(named.frames().len() as u64)),
    ));
    lines.extend(named.notes.iter().map(|note| ("Note", note.clone())));
    report::facts(&mut out, &lines);
    out
}

fn facts(recording: &Recording) -> Vec<Line> {
    let facts = recording.facts();
    let hex: String = facts.recording_id.iter().map(|b| format!("{b:02x}")).collect();
    let pids: Vec<String> = facts.target_pids.iter().map(|pid| pid.0.to_string()).collect();
    let mut lines = vec![
        ("Recording", format!("{hex}, segment {}", facts.segment)),
        ("Host", format!("{}, boot {}", facts.host.lossy(), facts.boot_id.lossy())),
        ("Kernel", format!("{} {}", facts.kernel_release.lossy(), facts.arch.lossy())),
        ("CPUs", format!("{} online, pages of {} bytes", facts.cpus_online, facts.page_bytes)),
        ("Program", format!("{}, {:?}", facts.tool_version.lossy(), facts.backend)),
        ("Scope", format!("{:?}, launched: {}", facts.scope, facts.launched)),
        ("Started", unix_time(&facts.clock, facts.clock.monotonic_ns)),
        ("Depth", format!("at most {} frames a stack", facts.max_stack)),
    ];
    if !pids.is_empty() {
        lines.push(("Targets", pids.join(", ")));
    }
    lines.push((
        "End",
        match recording.end() {
            Some(end) => format!(
                "{:?} at {}, command status {} {}",
                end.reason,
                unix_time(&facts.clock, end.at_ns),
                end.command_status,
                end.detail.lossy()
            ),
            None => "none".into(),
        },
    ));
    lines
}

/// Of a recording that states no Unix time there is none to say.
fn unix_time(clock: &Clock, at_ns: u64) -> String {
    match clock.realtime_ns {
        0 => "a time that was not recorded".into(),
        _ => format!("{} UTC", utc(clock.to_realtime_ns(at_ns))),
    }
}

fn contents(recording: &Recording, account: &Account) -> Vec<Line> {
    let tables = recording.tables();
    let rows = [
        (tables.processes.len(), "processes"),
        (tables.threads.len(), "threads"),
        (tables.cgroups.len(), "control groups"),
        (tables.modules.len(), "modules"),
        (tables.mappings.len(), "mappings"),
        (tables.nodes.len(), "nodes"),
        (tables.stacks.len(), "stacks"),
        (tables.symbols.len(), "host symbols"),
        (tables.label_sets.len(), "label sets"),
    ];
    let rows: Vec<String> =
        rows.iter().map(|(n, what)| format!("{} {what}", count(*n as u64))).collect();
    let mut lines = vec![
        ("Tables", rows.join(", ")),
        (
            "Data",
            format!(
                "{} blocks cover {} s",
                count(account.blocks),
                seconds(account.covered.total_ns())
            ),
        ),
    ];
    if account.sideband_lost > 0 {
        lines.push(("Side-band", format!("{} records lost", count(account.sideband_lost))));
    }
    // Exact and with the fields' own names: scripts read these lines.
    for (index, event) in recording.facts().events.iter().enumerate() {
        let sum = account.ledger.sum(EventId(index as u32 + 1));
        lines.push((
            "Samples",
            format!(
                "{}: fired {}, samples written {}, weight {}, dropped {}",
                event.name.lossy(),
                count(sum.fired),
                count(sum.written),
                count(sum.written_weight),
                count(sum.dropped_total())
            ),
        ));
    }
    if let Some(cost) = account.cost {
        lines.push((
            "Cost",
            format!(
                "user_ns {}, system_ns {}, bpf_ns {}, bpf_runs {}, peak_rss_bytes {}",
                count(cost.user_ns),
                count(cost.system_ns),
                count(cost.bpf_ns),
                count(cost.bpf_runs),
                count(cost.peak_rss_bytes)
            ),
        ));
    }
    lines
}

fn events(out: &mut String, recording: &Recording) {
    out.push_str("\nEvents\n");
    for (index, event) in recording.facts().events.iter().enumerate() {
        out.push_str(&format!(
            "{:>3}  {}: {:?} in {:?}, period {} ({})\n",
            index + 1,
            clean(&event.name.lossy()),
            event.kind,
            event.unit,
            count(event.period),
            hertz(event.period)
        ));
    }
}

fn modules(out: &mut String, recording: &Recording) {
    out.push_str("\nModules\n     build-id                                  kind          path\n");
    for (index, module) in recording.tables().modules.iter().enumerate() {
        out.push_str(&format!(
            "{:>4} {:<41} {:<13} {}{}\n",
            index + 1,
            build_id(module),
            format!("{:?}", module.kind),
            clean(&module.path.lossy()),
            if module.deleted { " (deleted)" } else { "" }
        ));
    }
}

fn build_id(module: &Module) -> String {
    match (module.build_id.is_empty(), module.go_build_id.is_empty()) {
        (false, _) => module.build_id.to_string(),
        (true, false) => "Go".into(),
        (true, true) => "none".into(),
    }
}

fn ledger(out: &mut String, account: &Account) {
    let causes: Vec<&str> = DropCause::ALL.iter().map(|cause| cause.describe()).collect();
    out.push_str(&format!(
        "\nCounters (dropped: {})\nevent  cpu      fired    written  dropped  idle  own  other  observed s  idle s\n",
        causes.join(", ")
    ));
    for row in account.ledger.rows() {
        let dropped: Vec<String> = row.dropped.iter().map(u64::to_string).collect();
        out.push_str(&format!(
            "{:>5} {:>4} {:>10} {:>10}  {}  {}  {}  {}  {}  {}\n",
            row.event.0,
            row.cpu,
            row.fired,
            row.written,
            dropped.join("+"),
            row.idle,
            row.own,
            row.other,
            seconds(row.observed_ns),
            seconds(row.idle_ns)
        ));
    }
    let balance = if account.ledger.balances() { "equals" } else { "does not equal" };
    out.push_str(&format!("fired {balance} written + dropped on every CPU\n"));
}
