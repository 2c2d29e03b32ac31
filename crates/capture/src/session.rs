//! One recording in progress: drains the rings, applies what came in order of time, keeps the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use profile::{Cost, CpuLedger, DropCause, End, Text};

use crate::bpf::LoadedBpf;
use crate::decode::decode;
use crate::embedding::Embedded;
use crate::error::Error;
use crate::events::Events;
use crate::go_programs::GoPrograms;
use crate::host;
use crate::idle_time::IdleTime;
use crate::jit_summary::JitSummary;
use crate::kernel_names::NameAddress as _;
use crate::output::Output;
use crate::pending::{Apply, Later, Pending};
use crate::process::{Following, Process, Processes};
use crate::record::Roots;
use crate::recorder::{EVENT, FlushState, Recorder};
use crate::ring::Ring;
use crate::roots::{Chain, LearntRoots};
use crate::sideband::{Change, SideBand};
use crate::world::RunningSystem;

/// What happened this long ago has been written to its ring: the kernel takes the time of a side-band
/// record before it writes it.
const WATERMARK_NS: u64 = 5_000_000;
/// A sample is written at the latest this long after it was taken, and a tick.
const FLUSH_AFTER_NS: u64 = 700_000_000;
/// Without samples the archive still says what was covered.
const FLUSH_EMPTY_AFTER_NS: u64 = 5_000_000_000;
/// Bounds the memory of samples that wait for a flush.
const FLUSH_SAMPLES: usize = 16_384;
/// … and of their slices: 16 bytes a word.
const FLUSH_SLICE_WORDS: usize = 1 << 17;
/// The kernel maps a program right after exec has closed what is to be closed.
const LOOKS: u32 = 20;
const LOOK_AGAIN_AFTER: Duration = Duration::from_micros(200);
const TIDY_EVERY_NS: u64 = 1_000_000_000;
/// /proc/stat takes a millisecond where CPUs and interrupt lines are many.
const IDLE_TIME_EVERY_NS: u64 = 5_000_000_000;

/// What the end says, and the live line.
#[derive(Clone, Default, Debug)]
pub(crate) struct Progress {
    pub(crate) ledger: Vec<CpuLedger>,
    pub(crate) sideband_lost: u64,
    pub(crate) follow_failed: u64,
    pub(crate) bytes: u64,
    pub(crate) cost: Cost,
    /// Known at the end.
    pub(crate) run_time_code: JitSummary,
    /// What is embedded, if that was asked for.
    pub(crate) embedded: Option<Embedded>,
}

impl Progress {
    /// Sum over all CPUs.
    pub(crate) fn sum(&self) -> CpuLedger {
        let mut ledger = profile::Ledger::default();
        self.ledger.iter().for_each(|row| ledger.update(row));
        ledger.sum(EVENT)
    }
}

/// Everything that is open while recording.
pub(crate) struct Session {
    pub(crate) bpf: LoadedBpf,
    pub(crate) ring: Ring,
    pub(crate) events: Events,
    pub(crate) processes: Processes,
    pub(crate) recorder: Recorder<Output>,
    /// Children are added to the filter here, because BPF cannot.
    pub(crate) follow_by_records: bool,
    pub(crate) pending: Pending,
    pub(crate) roots: LearntRoots,
    pub(crate) go_programs: GoPrograms,
    pub(crate) counts: Counts,
    pub(crate) next_tidy_ns: u64,
    pub(crate) next_idle_time_ns: u64,
    pub(crate) idle: IdleTime,
}

/// What we count ourselves.
#[derive(Default, Debug)]
pub(crate) struct Counts {
    /// Samples that the archive holds, by CPU.
    written: BTreeMap<u32, u64>,
    /// Samples given to the writer since its last flush: lost if the next one fails.
    unflushed: BTreeMap<u32, u64>,
    /// Records that did not decode, by CPU.
    bad_records: BTreeMap<u32, u64>,
    /// Side-band records lost, by what the rings say.
    sideband_lost: u64,
    /// … and by what the kernel counts, as far as it was heeded.
    lost_heeded: u64,
    /// Children that did not fit into the filter.
    follow_failed: u64,
}

impl Counts {
    fn flushed(&mut self) {
        for (cpu, samples) in std::mem::take(&mut self.unflushed) {
            *self.written.entry(cpu).or_default() += samples;
        }
    }
}

impl Session {
    /// Drains and applies what is due, and flushes when it is time. Returns whether the set of CPUs
    /// changed.
    pub(crate) fn tick(&mut self) -> Result<bool, archive::Error> {
        let now_ns = host::monotonic_ns();
        self.drain_and_apply(now_ns.saturating_sub(WATERMARK_NS));
        let mut cpus_changed = false;
        if now_ns >= self.next_tidy_ns {
            self.next_tidy_ns = now_ns + TIDY_EVERY_NS;
            self.tidy(now_ns);
            cpus_changed = self.events.follow_hotplug(self.bpf.sampling_program());
        }
        self.recorder.name_run_time_code(&self.processes, now_ns);
        let covered_to_ns = now_ns.saturating_sub(WATERMARK_NS);
        let oldest_ns = self.recorder.first_pending_ns();
        if oldest_ns.is_some_and(|oldest| now_ns >= oldest + FLUSH_AFTER_NS)
            || self.recorder.pending_samples() >= FLUSH_SAMPLES
            || self.recorder.pending_slice_words() >= FLUSH_SLICE_WORDS
            || now_ns >= self.recorder.covered_to_ns() + FLUSH_EMPTY_AFTER_NS
        {
            self.flush(covered_to_ns)?;
        }
        Ok(cpus_changed)
    }

    /// Looks at the program of a command that just called exec: by the first tick it may have ended. What is known of
    /// the process otherwise comes from side-band records, in order of time.
    pub(crate) fn look_at_launched(&mut self, pid: u32) {
        for _ in 0..LOOKS {
            let mut processes = Processes::new(Following::Targets);
            let mut world =
                RunningSystem { later: &mut self.pending.later, events: &mut self.events };
            processes.add_target(pid, &mut world);
            let process = processes.get(pid);
            if process.and_then(Process::maps).is_some_and(|maps| !maps.regions().is_empty()) {
                let program = process.and_then(|process| GoPrograms::default().note(process));
                program.into_iter().for_each(|program| self.bpf.set_go_program(pid, program));
                return;
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    fn drain_and_apply(&mut self, watermark_ns: u64) {
        self.heed_losses(watermark_ns);
        let pending = &mut self.pending;
        pending.take_samples(|bytes, note| self.ring.drain(bytes, note));
        pending.later.drain(&mut self.events);
        let mut to = ToArchive {
            events: &mut self.events,
            processes: &mut self.processes,
            recorder: &mut self.recorder,
            counts: &mut self.counts,
            roots: &mut self.roots,
            go_programs: &mut self.go_programs,
            bpf: &self.bpf,
            follow: self.follow_by_records,
        };
        pending.apply(watermark_ns, &mut to);
    }

    /// A ring tells of a loss only before its next record, perhaps never; the kernel's counters are read
    /// about once a second anyway.
    fn heed_losses(&mut self, now_ns: u64) {
        let lost = self.events.lost().unwrap_or(0);
        let records = lost.saturating_sub(self.counts.lost_heeded);
        if records > 0 {
            self.counts.lost_heeded = lost;
            let change = Change::Lost { records };
            let loss = SideBand { time_ns: now_ns, pid: 0, tid: 0, change };
            let mut world =
                RunningSystem { later: &mut self.pending.later, events: &mut self.events };
            self.processes.apply(loss, &mut world);
        }
    }

    fn tidy(&mut self, now_ns: u64) {
        let mut world = RunningSystem { later: &mut self.pending.later, events: &mut self.events };
        let ended = self.processes.tidy(now_ns, now_ns.saturating_sub(WATERMARK_NS), &mut world);
        if self.follow_by_records {
            ended.iter().for_each(|one| self.bpf.remove_target(one.pid));
        }
        for one in &ended {
            if self.roots.forget(one.pid, one.uid) {
                self.bpf.set_roots(one.pid, Roots::default());
            }
            if self.go_programs.forget(one.pid, one.uid) {
                self.bpf.set_go_program(one.pid, None);
            }
        }
        self.recorder.ended(&ended);
        if now_ns >= self.next_idle_time_ns {
            self.next_idle_time_ns = now_ns + IDLE_TIME_EVERY_NS;
            self.idle.refresh();
        }
    }

    fn flush(&mut self, covered_to_ns: u64) -> Result<(), archive::Error> {
        let progress = self.progress();
        let state = flush_state(&progress, covered_to_ns);
        self.recorder.flush(state, &self.bpf)?;
        self.counts.flushed();
        Ok(())
    }

    /// Counters as of now.
    pub(crate) fn progress(&mut self) -> Progress {
        let counters = self.bpf.counters().unwrap_or_default();
        let stats = self.bpf.run_stats();
        let observed: BTreeMap<u32, u64> = self.events.observed_ns().collect();
        let ledger = counters.iter().zip(0u32..).filter_map(|(counted, cpu)| {
            let observed_ns = *observed.get(&cpu)?; // others were never online
            let mut dropped = [0; DropCause::COUNT];
            dropped[DropCause::RingFull as usize] = counted.ring_full;
            dropped[DropCause::RingBusy as usize] = counted.ring_busy;
            dropped[DropCause::BadRecord as usize] =
                self.counts.bad_records.get(&cpu).copied().unwrap_or(0);
            Some(CpuLedger {
                event: EVENT,
                cpu,
                fired: counted.fired,
                written: self.counts.written.get(&cpu).copied().unwrap_or(0),
                written_weight: 0,
                dropped,
                idle: counted.idle,
                own: counted.own,
                other: counted.other,
                observed_ns,
                idle_ns: self.idle.of(cpu),
            })
        });
        Progress {
            ledger: ledger.collect(),
            sideband_lost: self.events.lost().unwrap_or(self.counts.sideband_lost)
                + self.events.undecoded(),
            follow_failed: self.counts.follow_failed
                + counters.iter().map(|c| c.follow_failed).sum::<u64>(),
            bytes: self.recorder.bytes_written(),
            cost: Cost { bpf_ns: stats.ns, bpf_runs: stats.runs, ..host::own_cost() },
            run_time_code: JitSummary::default(),
            embedded: None,
        }
    }

    /// Stops sampling, writes everything that was taken and the end.
    pub(crate) fn finish(mut self, end: End) -> (Progress, Result<(), archive::Error>) {
        self.events.stop_sampling();
        let at_ns = host::monotonic_ns();
        self.drain_and_apply(u64::MAX);
        self.next_idle_time_ns = at_ns;
        self.tidy(at_ns);
        let run_time_code = self.recorder.name_last_run_time_code(&self.processes, at_ns);
        let embedded = self.recorder.embed(true);
        let done = embedded.as_ref().ok().copied().flatten();
        let mut progress = Progress { run_time_code, embedded: done, ..self.progress() };
        let state = flush_state(&progress, at_ns);
        let detail = end_detail(end.detail, progress.follow_failed);
        let end = End { at_ns, detail, ..end };
        let result = embedded.and_then(|_| self.recorder.finish(state, &self.bpf, &end));
        let result = result.map(|output| progress.bytes = output.written_bytes());
        if result.is_ok() {
            self.counts.flushed();
        }
        for row in &mut progress.ledger {
            let count = |counts: &BTreeMap<u32, u64>| counts.get(&row.cpu).copied().unwrap_or(0);
            row.written = count(&self.counts.written);
            row.dropped[DropCause::WriteFailed as usize] = count(&self.counts.unflushed);
        }
        progress.cost = Cost {
            bpf_ns: progress.cost.bpf_ns,
            bpf_runs: progress.cost.bpf_runs,
            ..host::own_cost()
        };
        (progress, result)
    }
}

/// What the end says in words. Children that were not followed are in no ledger: no tick of theirs is
/// told from one of a stranger.
fn end_detail(detail: Text, follow_failed: u64) -> Text {
    if follow_failed == 0 {
        return detail;
    }
    let unfollowed = format!("{follow_failed} children could not be followed");
    let said = detail.lossy();
    Text::from(if said.is_empty() { unfollowed } else { format!("{said}; {unfollowed}") })
}

fn flush_state(progress: &Progress, covered_to_ns: u64) -> FlushState<'_> {
    FlushState {
        covered_to_ns,
        clock: host::clock(),
        ledger: &progress.ledger,
        cost: progress.cost,
        sideband_lost: progress.sideband_lost,
    }
}

/// Applies what was drained: follows processes, and records samples.
struct ToArchive<'a> {
    events: &'a mut Events,
    processes: &'a mut Processes,
    recorder: &'a mut Recorder<Output>,
    counts: &'a mut Counts,
    roots: &'a mut LearntRoots,
    go_programs: &'a mut GoPrograms,
    bpf: &'a LoadedBpf,
    /// Children are added to the filter here, because BPF does not do it itself.
    follow: bool,
}

impl Apply for ToArchive<'_> {
    fn side_band(&mut self, record: SideBand, later: &mut Later) {
        if let Change::Lost { records } = record.change {
            self.counts.sideband_lost += records;
        }
        let (pid, is_fork) = (record.pid, matches!(record.change, Change::Fork { .. }));
        self.processes.apply(record, &mut RunningSystem { later, events: self.events });
        if self.follow && is_fork && self.processes.get(pid).is_some() {
            // A full table loses children, as it does in BPF.
            self.counts.follow_failed += u64::from(self.bpf.add_target(pid).is_err());
        }
    }

    fn sample(&mut self, record: &[u8], later: &mut Later) {
        match decode(record) {
            Ok(sample) => {
                let mut world = RunningSystem { later, events: self.events };
                let leaf = sample.user.get(0);
                let (pid, tid, time_ns) = (sample.pid, sample.tid, sample.time_ns);
                let uid = self.processes.of_sample(pid, tid, time_ns, leaf, &mut world).uid;
                let callers = self.recorder.sample(&sample, self.processes, &mut world);
                if let (Some(callers), false) = (callers, sample.registers.0.is_empty()) {
                    let maps = self.processes.get(pid).and_then(Process::maps);
                    let frameless = |places: &[u64]| {
                        maps.map_or(0..0, |maps| maps.without_frame_pointers(places))
                    };
                    let changed = self.roots.note(pid, uid, Chain::of(&callers), frameless);
                    if let Some(roots) = changed {
                        self.bpf.set_roots(pid, roots);
                    }
                }
                let program = self.processes.get(pid).and_then(|p| self.go_programs.note(p));
                if let Some(program) = program {
                    self.bpf.set_go_program(pid, program);
                }
                *self.counts.unflushed.entry(sample.cpu).or_default() += 1;
            }
            Err(_) => {
                let cpu = crate::decode::cpu_of(record);
                *self.counts.bad_records.entry(cpu).or_default() += 1;
            }
        }
    }
}

/// Loads the program that names kernel addresses; says why names will come later where it cannot.
pub(crate) fn prepare_names(bpf: &mut LoadedBpf) -> Result<(), Error> {
    bpf.load_namer()?;
    // A kernel may accept the program and not its test run (before 5.10).
    if bpf.name(0).is_none() {
        bpf.unload_namer();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_says_how_many_children_are_missing() {
        let said = |detail: &str, missing| end_detail(Text::from(detail), missing);
        assert_eq!(said("signal 2", 0), Text::from("signal 2"));
        assert_eq!(said("", 3), Text::from("3 children could not be followed"));
        assert_eq!(said("signal 2", 3), Text::from("signal 2; 3 children could not be followed"));
    }
}
