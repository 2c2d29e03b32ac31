//! Facts, ends, clocks and counters, and their messages, both directions side by side.

use profile::{
    Backend, Clock, Cost, CpuLedger, DropCause, End, EndReason, Event, EventId, EventKind, Pid,
    RecordingFacts, Scope, Unit,
};

use crate::rows::clip;
use crate::schema;

pub(crate) fn write_facts(facts: &RecordingFacts) -> schema::Start {
    schema::Start {
        recording_id: facts.recording_id.to_vec(),
        segment: facts.segment,
        host: clip(&facts.host),
        boot_id: clip(&facts.boot_id),
        kernel_release: clip(&facts.kernel_release),
        arch: clip(&facts.arch),
        cpus_online: facts.cpus_online,
        page_bytes: facts.page_bytes,
        tool_version: clip(&facts.tool_version),
        backend: match facts.backend {
            Backend::Bpf => schema::Backend::Bpf,
            Backend::Perf => schema::Backend::Perf,
        }
        .into(),
        backend_reason: clip(&facts.backend_reason),
        scope: match facts.scope {
            Scope::PerCpuAll => schema::Scope::PerCpuAll,
            Scope::PerCpuFiltered => schema::Scope::PerCpuFiltered,
            Scope::PerTask => schema::Scope::PerTask,
            Scope::PerCgroup => schema::Scope::PerCgroup,
        }
        .into(),
        target_pids: facts.target_pids.iter().map(|pid| pid.0).collect(),
        target_cgroup: clip(&facts.target_cgroup),
        launched: facts.launched,
        events: facts.events.iter().map(write_event).collect(),
        clock: Some(write_clock(facts.clock)),
        max_stack: facts.max_stack,
        unwind_regs: facts.unwind_regs.clone(),
    }
}

/// `None`: a value that a newer writer added, or no recording id.
pub(crate) fn read_facts(start: schema::Start) -> Option<RecordingFacts> {
    Some(RecordingFacts {
        recording_id: start.recording_id.as_slice().try_into().ok()?,
        segment: start.segment,
        backend: match start.backend() {
            schema::Backend::Bpf => Backend::Bpf,
            schema::Backend::Perf => Backend::Perf,
            schema::Backend::Unspecified => return None,
        },
        scope: match start.scope() {
            schema::Scope::PerCpuAll => Scope::PerCpuAll,
            schema::Scope::PerCpuFiltered => Scope::PerCpuFiltered,
            schema::Scope::PerTask => Scope::PerTask,
            schema::Scope::PerCgroup => Scope::PerCgroup,
            schema::Scope::Unspecified => return None,
        },
        host: start.host.into(),
        boot_id: start.boot_id.into(),
        kernel_release: start.kernel_release.into(),
        arch: start.arch.into(),
        cpus_online: start.cpus_online,
        page_bytes: start.page_bytes,
        tool_version: start.tool_version.into(),
        backend_reason: start.backend_reason.into(),
        target_pids: start.target_pids.into_iter().map(Pid).collect(),
        target_cgroup: start.target_cgroup.into(),
        launched: start.launched,
        events: start.events.into_iter().map(read_event).collect::<Option<_>>()?,
        clock: read_clock(start.clock.unwrap_or_default()),
        max_stack: start.max_stack,
        unwind_regs: start.unwind_regs,
    })
}

fn write_event(event: &Event) -> schema::Event {
    use schema::event::{Kind, Unit as WireUnit};
    schema::Event {
        name: clip(&event.name),
        unit: match event.unit {
            Unit::Ns => WireUnit::Ns,
            Unit::Count => WireUnit::Count,
            Unit::Bytes => WireUnit::Bytes,
        }
        .into(),
        kind: match event.kind {
            EventKind::OnCpu => Kind::OnCpu,
            EventKind::Blocked => Kind::Blocked,
            EventKind::Runnable => Kind::Runnable,
            EventKind::Counter => Kind::Counter,
            EventKind::Syscall => Kind::Syscall,
        }
        .into(),
        period: event.period,
        asked_for: clip(&event.asked_for),
        fallback_reason: clip(&event.fallback_reason),
    }
}

fn read_event(event: schema::Event) -> Option<Event> {
    use schema::event::{Kind, Unit as WireUnit};
    Some(Event {
        unit: match event.unit() {
            WireUnit::Ns => Unit::Ns,
            WireUnit::Count => Unit::Count,
            WireUnit::Bytes => Unit::Bytes,
            WireUnit::Unspecified => return None,
        },
        kind: match event.kind() {
            Kind::OnCpu => EventKind::OnCpu,
            Kind::Blocked => EventKind::Blocked,
            Kind::Runnable => EventKind::Runnable,
            Kind::Counter => EventKind::Counter,
            Kind::Syscall => EventKind::Syscall,
            Kind::Unspecified => return None,
        },
        name: event.name.into(),
        period: event.period,
        asked_for: event.asked_for.into(),
        fallback_reason: event.fallback_reason.into(),
    })
}

pub(crate) fn write_clock(clock: Clock) -> schema::Clock {
    schema::Clock {
        monotonic_ns: clock.monotonic_ns,
        realtime_ns: clock.realtime_ns,
        boottime_ns: clock.boottime_ns,
    }
}

pub(crate) fn read_clock(clock: schema::Clock) -> Clock {
    Clock {
        monotonic_ns: clock.monotonic_ns,
        realtime_ns: clock.realtime_ns,
        boottime_ns: clock.boottime_ns,
    }
}

/// Without its ledger and totals.
pub(crate) fn write_end(end: &End) -> schema::End {
    use schema::end::Reason;
    schema::End {
        reason: match end.reason {
            EndReason::Duration => Reason::Duration,
            EndReason::Signal => Reason::Signal,
            EndReason::TargetGone => Reason::TargetGone,
            EndReason::Rotated => Reason::Rotated,
            EndReason::OutputFailed => Reason::OutputFailed,
            EndReason::EmbeddedLater => Reason::EmbeddedLater,
        }
        .into(),
        at_ns: end.at_ns,
        command_status: end.command_status,
        detail: clip(&end.detail),
        ledger: Vec::new(),
        totals: Vec::new(),
    }
}

/// `None`: a reason that a newer writer added.
pub(crate) fn read_end(end: &schema::End) -> Option<End> {
    use schema::end::Reason;
    Some(End {
        reason: match end.reason() {
            Reason::Duration => EndReason::Duration,
            Reason::Signal => EndReason::Signal,
            Reason::TargetGone => EndReason::TargetGone,
            Reason::Rotated => EndReason::Rotated,
            Reason::OutputFailed => EndReason::OutputFailed,
            Reason::EmbeddedLater => EndReason::EmbeddedLater,
            Reason::Unspecified => return None,
        },
        at_ns: end.at_ns,
        command_status: end.command_status,
        detail: end.detail.as_slice().into(),
    })
}

pub(crate) fn write_ledger(row: &CpuLedger) -> schema::CpuLedger {
    schema::CpuLedger {
        event: row.event.0,
        cpu: row.cpu,
        fired: row.fired,
        written: row.written,
        written_weight: row.written_weight,
        dropped: row.dropped.to_vec(),
        idle: row.idle,
        own: row.own,
        other: row.other,
        observed_ns: row.observed_ns,
        idle_ns: row.idle_ns,
    }
}

/// Causes of drops that a newer writer added are left out, so that such a ledger does not balance.
pub(crate) fn read_ledger(row: &schema::CpuLedger) -> CpuLedger {
    let mut dropped = [0; DropCause::COUNT];
    for (mine, theirs) in dropped.iter_mut().zip(&row.dropped) {
        *mine = *theirs;
    }
    CpuLedger {
        event: EventId(row.event),
        cpu: row.cpu,
        fired: row.fired,
        written: row.written,
        written_weight: row.written_weight,
        dropped,
        idle: row.idle,
        own: row.own,
        other: row.other,
        observed_ns: row.observed_ns,
        idle_ns: row.idle_ns,
    }
}

pub(crate) fn write_cost(cost: Cost) -> schema::Cost {
    schema::Cost {
        user_ns: cost.user_ns,
        system_ns: cost.system_ns,
        bpf_ns: cost.bpf_ns,
        bpf_runs: cost.bpf_runs,
        peak_rss_bytes: cost.peak_rss_bytes,
    }
}

pub(crate) fn read_cost(cost: schema::Cost) -> Cost {
    Cost {
        user_ns: cost.user_ns,
        system_ns: cost.system_ns,
        bpf_ns: cost.bpf_ns,
        bpf_runs: cost.bpf_runs,
        peak_rss_bytes: cost.peak_rss_bytes,
    }
}
