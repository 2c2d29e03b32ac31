//! Every sample accounted for: what fired, what was written, what was dropped and why.

use std::collections::BTreeMap;

use crate::EventId;

/// Counters of one event on one CPU since the start of the recording.
///
/// Three independent counters must agree: `fired` is counted in BPF on entry, `written` by the
/// archive writer, and each drop at its own site. At the last flush
/// `fired == written + Σ dropped`, as whole numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CpuLedger {
    /// Which event.
    pub event: EventId,
    /// Which CPU.
    pub cpu: u32,
    /// Entries of the BPF program that belonged to the target.
    pub fired: u64,
    /// Rows in the file.
    pub written: u64,
    /// Sum of the weights of those rows, in the event's unit: a lost block's weight is the
    /// difference to what was read.
    pub written_weight: u64,
    /// Samples lost, by cause.
    pub dropped: [u64; DropCause::COUNT],
    /// Ticks that found the idle task: an exclusion, not a loss.
    pub idle: u64,
    /// Ticks that found `capture` itself: an exclusion, not a loss.
    pub own: u64,
    /// Ticks that found a process that was not asked for.
    pub other: u64,
    /// Time of an independent counting event on this CPU.
    pub observed_ns: u64,
    /// Of that, idle by the kernel's own account (/proc/stat). Not every kernel delivers ticks to an idle
    /// CPU, so coverage looks at busy time only.
    pub idle_ns: u64,
}

impl CpuLedger {
    /// All samples lost.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, one| sum.saturating_add(*one))
    }

    /// Share of the busy time that timer ticks really covered (throttling, steal), 0 to about 1; `None`
    /// where it was not measured, or where so little was busy that single ticks would decide.
    #[must_use]
    pub fn coverage(&self, period_ns: u64) -> Option<f64> {
        let busy_ns = self.observed_ns.saturating_sub(self.idle_ns) as f64;
        let ticks = self.ticks().saturating_sub(self.idle) as f64;
        (busy_ns >= COVERAGE_TICKS * period_ns as f64).then(|| ticks * period_ns as f64 / busy_ns)
    }

    /// Every entry of the BPF program.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        [self.idle, self.own, self.other].iter().fold(self.fired, |sum, n| sum.saturating_add(*n))
    }
}

/// Why a sample was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropCause {
    /// The ring buffer had no room.
    RingFull = 0,
    /// The ring buffer's lock was taken (only in NMI), or the per-CPU scratch was in use.
    RingBusy = 1,
    /// A record did not decode.
    BadRecord = 2,
    /// The archive could not be written.
    WriteFailed = 3,
    /// A rate limit of our own.
    RateLimited = 4,
}

impl DropCause {
    /// How many causes there are.
    pub const COUNT: usize = 5;
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] =
        [Self::RingFull, Self::RingBusy, Self::BadRecord, Self::WriteFailed, Self::RateLimited];

    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::RingFull => "ring buffer full",
            Self::RingBusy => "ring buffer busy",
            Self::BadRecord => "bad record",
            Self::WriteFailed => "write failed",
            Self::RateLimited => "rate limited",
        }
    }
}

/// The newest counters of every (event, CPU).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ledger {
    cpus: BTreeMap<(EventId, u32), CpuLedger>,
}

impl Ledger {
    /// Takes cumulative counters; older ones of the same (event, CPU) are replaced. Counters only
    /// grow, so the order of blocks does not matter.
    pub fn update(&mut self, row: &CpuLedger) {
        let slot = self.cpus.entry((row.event, row.cpu)).or_default();
        if slot.ticks() <= row.ticks() && slot.written <= row.written {
            *slot = *row;
        }
    }

    /// The rows, by event and CPU.
    pub fn rows(&self) -> impl Iterator<Item = &CpuLedger> + '_ {
        self.cpus.values()
    }

    /// Sum over the CPUs of one event.
    #[must_use]
    pub fn sum(&self, event: EventId) -> CpuLedger {
        let mut sum = CpuLedger { event, ..CpuLedger::default() };
        for row in self.rows().filter(|r| r.event == event) {
            // Saturating: a forged archive may state anything.
            for (total, one) in [
                (&mut sum.fired, row.fired),
                (&mut sum.written, row.written),
                (&mut sum.written_weight, row.written_weight),
                (&mut sum.idle, row.idle),
                (&mut sum.own, row.own),
                (&mut sum.other, row.other),
                (&mut sum.observed_ns, row.observed_ns),
                (&mut sum.idle_ns, row.idle_ns),
            ]
            .into_iter()
            .chain(sum.dropped.iter_mut().zip(row.dropped))
            {
                *total = total.saturating_add(one);
            }
        }
        sum
    }

    /// Whether every CPU's counters add up. True only of a finished recording.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.rows().all(|r| r.fired == r.written.saturating_add(r.dropped_total()))
    }

    /// [`CpuLedger::coverage`] of all CPUs together.
    #[must_use]
    pub fn coverage(&self, event: EventId, period_ns: u64) -> Option<f64> {
        self.sum(event).coverage(period_ns)
    }
}

/// Busy time in ticks from which coverage is a figure and not dice (one standard deviation: 5 %; idle
/// time is stated in steps of 10 ms a CPU).
const COVERAGE_TICKS: f64 = 400.0;

/// What recording cost so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    /// User CPU time of the recorder.
    pub user_ns: u64,
    /// System CPU time of the recorder.
    pub system_ns: u64,
    /// Time in BPF programs, where the kernel measures it; else 0.
    pub bpf_ns: u64,
    /// Runs of BPF programs, where the kernel counts them; else 0.
    pub bpf_runs: u64,
    /// Peak resident memory of the recorder.
    pub peak_rss_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counters_count_in_whatever_order_blocks_arrive() {
        let row = |fired, written| CpuLedger {
            event: EventId(1),
            cpu: 0,
            fired,
            written,
            observed_ns: fired * 12,
            idle_ns: fired * 2,
            ..CpuLedger::default()
        };
        let mut ledger = Ledger::default();
        ledger.update(&row(2000, 2000));
        ledger.update(&row(1000, 999));
        assert_eq!(ledger.sum(EventId(1)).fired, 2000);
        assert!(ledger.balances());
        assert_eq!(ledger.coverage(EventId(1), 10), Some(1.0));
        assert_eq!(ledger.coverage(EventId(2), 10), None);
        assert_eq!(ledger.coverage(EventId(1), 1000), None, "20 ticks are dice");
    }
}
