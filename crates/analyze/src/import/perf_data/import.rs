//! From records in the order of the file to an archive.

use std::io::{Read, Write};

use archive::{Flush, Limits, Writer};
use profile::{CpuLedger, DropCause, End, EndReason, EventId};
use rustc_hash::FxHashMap;

use super::PerfDataError;
use super::attribute::field;
use super::facts::{clock, facts};
use super::file::{About, Data};
use super::order::{MAX_HELD_BYTES, Order};
use super::records::{Record, Records, Stop, kind};
use super::rows::Rows;
use super::sample::Sample;
use super::sideband::Sideband;

/// Samples that are written together.
const FLUSH_SAMPLES: usize = 65_536;
/// Registers and stack words that are written together, as `capture` does: of copies of the stack, a few
/// hundred samples hold more than all else that is pending.
const FLUSH_SLICE_WORDS: usize = 1 << 17;
/// CPUs that are counted apart; Linux knows no more.
const MAX_CPUS: u32 = 8192;

/// Nothing is kept for a reason of numbers: one epoch holds all.
const LIMITS: Limits = Limits {
    epoch_ns: u64::MAX,
    epoch_bytes: u64::MAX,
    nodes: u32::MAX,
    stacks: u32::MAX,
    other_rows: u32::MAX,
};

/// An import under way.
pub(super) struct Import<W: Write> {
    pub(super) about: About,
    events_by_id: FxHashMap<u64, usize>,
    pub(super) writer: Writer<W>,
    pub(super) rows: Rows,
    ledger: FxHashMap<(usize, u32), CpuLedger>,
    /// Of each event: lost by what buffers say, and by what is counted otherwise.
    lost: Vec<(u64, u64)>,
    /// Of all samples: archives hold no larger sum.
    weight: u64,
    /// First and last time of samples, and until when they are written.
    times_ns: Option<(u64, u64)>,
    flushed_ns: u64,
    bad_records: u64,
}

impl<W: Write> Import<W> {
    /// Imports all there is, and says what is missing.
    pub(super) fn run(
        input: impl Read,
        mut about: About,
        data: Data,
        out: W,
    ) -> Result<(W, Vec<String>), PerfDataError> {
        let mut statements = Vec::new();
        let bytes = match data {
            Data::Section { bytes, .. } => Some(bytes),
            Data::Rest { .. } => None,
        };
        if !about.has_features {
            let lacks = "what perf states at the end of a file is cut off or was never written \
                         (build-ids, names of events, the host)";
            statements.push(lacks.to_owned());
        }
        let mut records = Records::new(input, bytes);
        let mut first = Vec::new();
        let mut first_kind = (0, 0);
        // A pipe begins with what files have in their header.
        let mut ending = loop {
            match records.next() {
                Ok(Some(record)) if record.kind == kind::ATTRIBUTE => {
                    about.add_attribute(record.body);
                }
                Ok(Some(record)) if record.kind == kind::FEATURE => add_feature(&mut about, record),
                Ok(Some(record)) => {
                    first_kind = (record.kind, record.misc);
                    first.extend_from_slice(record.body);
                    break None;
                }
                Ok(None) => break Some(None),
                Err(stop) => break Some(Some(stop)),
            }
        };
        let mut import = Self::new(about, &first, out)?;
        let mut order = Order::new(MAX_HELD_BYTES);
        if ending.is_none() {
            let (kind, misc) = first_kind;
            import.take(Record { kind, misc, body: &first }, &mut order)?;
            ending = Some(import.read(&mut records, &mut order)?);
        }
        order.end();
        import.drain(&mut order)?;
        match ending.flatten() {
            Some(Stop::Failed(error)) => return Err(PerfDataError::Read(error)),
            Some(Stop::Cut(cut)) => statements.push(cut.to_string()),
            None => {}
        }
        if order.late() > 0 {
            let count = order.late();
            statements.push(format!("{count} records came too late to be put in order"));
        }
        import.finish(statements)
    }

    pub(super) fn new(about: About, first_record: &[u8], out: W) -> Result<Self, PerfDataError> {
        let Some(first) = about.attributes.first() else {
            return Err(PerfDataError::Header("it describes no event"));
        };
        let events = about.attributes.len();
        if events > 1 && !about.attributes.iter().all(|other| first.states_id_like(other)) {
            return Err(PerfDataError::Indistinct { events });
        }
        let numbers = about.attributes.iter().enumerate();
        let events_by_id = numbers.flat_map(|(n, event)| event.ids.iter().map(move |id| (*id, n)));
        let writer = Writer::new(out, &facts(&about, first_record), LIMITS);
        Ok(Self {
            events_by_id: events_by_id.collect(),
            writer: writer.map_err(PerfDataError::Keep)?,
            rows: Rows::new(&about),
            ledger: FxHashMap::default(),
            lost: vec![(0, 0); events],
            weight: 0,
            times_ns: None,
            flushed_ns: 0,
            bad_records: 0,
            about,
        })
    }

    /// Takes all records; says why it stopped before the end.
    fn read<R: Read>(
        &mut self,
        records: &mut Records<R>,
        order: &mut Order,
    ) -> Result<Option<Stop>, PerfDataError> {
        loop {
            match records.next() {
                Ok(Some(record)) => self.take(record, order)?,
                Ok(None) => return Ok(None),
                Err(stop) => return Ok(Some(stop)),
            }
        }
    }

    fn take(&mut self, record: Record<'_>, order: &mut Order) -> Result<(), PerfDataError> {
        match record.kind {
            kind::FINISHED_ROUND => {
                order.end_round();
                self.drain(order)
            }
            kind::BUILD_ID => {
                self.about.add_build_id(record.misc, record.body);
                Ok(())
            }
            kind::FIRST_OF_PERF.. => Ok(()),
            _ => {
                let is_sample = record.kind == kind::SAMPLE;
                let event = self.event_of(record).unwrap_or(0);
                let attribute = &self.about.attributes[event];
                match attribute.fixed_field(field::TIME, is_sample, record.body) {
                    None | Some(0) => self.visit(0, record),
                    Some(time_ns) => {
                        order.hold(time_ns, record);
                        self.drain(order)
                    }
                }
            }
        }
    }

    fn drain(&mut self, order: &mut Order) -> Result<(), PerfDataError> {
        let mut result = Ok(());
        while result.is_ok() && order.next(|time_ns, record| result = self.visit(time_ns, record)) {
        }
        result
    }

    /// Number of the event that a record is of; `None`: of none that is described.
    fn event_of(&self, record: Record<'_>) -> Option<usize> {
        let first = &self.about.attributes[0];
        if self.about.attributes.len() == 1 {
            return Some(0);
        }
        let id = first.event_id(record.kind == kind::SAMPLE, record.body)?;
        self.events_by_id.get(&id).copied()
    }

    pub(super) fn visit(&mut self, time_ns: u64, record: Record<'_>) -> Result<(), PerfDataError> {
        if record.kind == kind::SAMPLE {
            return self.sample(time_ns, record);
        }
        match Sideband::read(record) {
            None => self.bad_records += 1,
            Some(Sideband::Lost { id, records }) => {
                let event = self.events_by_id.get(&id).copied().unwrap_or(0);
                self.lost[event].0 = self.lost[event].0.saturating_add(records);
            }
            Some(Sideband::LostSamples { samples }) => {
                let event = self.event_of(record).unwrap_or(0);
                self.lost[event].1 = self.lost[event].1.saturating_add(samples);
            }
            Some(other) => self.rows.follow(&mut self.writer, &self.about, other, time_ns),
        }
        Ok(())
    }

    fn sample(&mut self, time_ns: u64, record: Record<'_>) -> Result<(), PerfDataError> {
        let event = self.event_of(record);
        let attribute = &self.about.attributes[event.unwrap_or(0)];
        let sample = event.and_then(|_| Sample::read(attribute, record.body));
        let event = event.unwrap_or(0);
        let weight = sample.and_then(|sample| {
            let weight = attribute.weight(sample.period);
            Some((weight, self.weight.checked_add(weight)?))
        });
        let (Some(sample), Some((weight, sum))) = (sample, weight) else {
            let line = self.line(event, 0);
            line.fired += 1;
            line.dropped[DropCause::BadRecord as usize] += 1;
            return Ok(());
        };
        let cpu = sample.cpu.min(MAX_CPUS - 1);
        let (first_ns, last_ns) = self.times_ns.unwrap_or((time_ns, time_ns));
        self.times_ns = Some((first_ns.min(time_ns), last_ns.max(time_ns)));
        // The time of an idle CPU is nobody's.
        if sample.pid == 0 && attribute.is_cpu_time() {
            self.line(event, cpu).idle += 1;
            return Ok(());
        }
        self.weight = sum;
        let (thread, stack) = self.rows.sampled(&mut self.writer, attribute, &sample, record.misc);
        self.writer.sample(&archive::Sample {
            event: EventId(event as u32 + 1),
            cpu,
            time_ns,
            thread,
            stack,
            weight: Some(weight),
            ..archive::Sample::default()
        });
        self.line(event, cpu).fired += 1;
        if self.writer.pending_samples() >= FLUSH_SAMPLES
            || self.rows.stacks.pending_slice_words() >= FLUSH_SLICE_WORDS
        {
            let ledger = self.ledger_rows();
            let flush = self.next_flush(&ledger);
            self.writer.flush(&flush).map_err(PerfDataError::Keep)?;
            self.rows.stacks.flushed();
        }
        Ok(())
    }

    fn line(&mut self, event: usize, cpu: u32) -> &mut CpuLedger {
        let id = EventId(event as u32 + 1);
        let new = || CpuLedger { event: id, cpu, ..CpuLedger::default() };
        self.ledger.entry((event, cpu)).or_insert_with(new)
    }

    fn ledger_rows(&self) -> Vec<CpuLedger> {
        let mut rows: Vec<CpuLedger> = self.ledger.values().copied().collect();
        rows.sort_unstable_by_key(|row| (row.event, row.cpu));
        rows
    }

    /// From the last one to the newest sample.
    fn next_flush<'l>(&mut self, ledger: &'l [CpuLedger]) -> Flush<'l> {
        let (first_ns, last_ns) = self.times_ns.unwrap_or_default();
        let covered_from_ns = self.flushed_ns.max(first_ns);
        self.flushed_ns = last_ns;
        Flush {
            covered_from_ns,
            covered_to_ns: last_ns.max(covered_from_ns),
            clock: clock(&self.about),
            ledger,
            cost: None,
            sideband_lost: 0,
        }
    }

    fn finish(mut self, mut statements: Vec<String>) -> Result<(W, Vec<String>), PerfDataError> {
        for event in 0..self.lost.len() {
            // A buffer's loss is counted again when perf asks for the sum at the end.
            let (by_buffers, counted) = self.lost[event];
            let lost = by_buffers.max(counted);
            if lost > 0 {
                // Of which CPU is not always said.
                let line = self.line(event, 0);
                line.fired = line.fired.saturating_add(lost);
                line.dropped[DropCause::RingFull as usize] = lost;
            }
        }
        if self.bad_records > 0 {
            let count = self.bad_records;
            statements.push(format!("{count} records are shorter than their kind says"));
        }
        let dropped = self.rows.dropped_mappings();
        if dropped > 0 {
            statements.push(format!("{dropped} mappings are more than can be followed"));
        }
        let ledger = self.ledger_rows();
        let flush = self.next_flush(&ledger);
        let launched = self.about.attributes.iter().any(|event| event.is_launched());
        let end = End {
            reason: if launched { EndReason::TargetGone } else { EndReason::Signal },
            at_ns: flush.covered_to_ns,
            command_status: 0,
            detail: "".into(),
        };
        let out = self.writer.finish(&flush, &end).map_err(PerfDataError::Keep)?;
        Ok((out, statements))
    }
}

fn add_feature(about: &mut About, record: Record<'_>) {
    if let Some((number, section)) = record.body.split_first_chunk::<8>()
        && let Ok(number) = u32::try_from(u64::from_le_bytes(*number))
    {
        about.add_feature(number, section);
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
