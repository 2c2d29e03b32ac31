//! Writes an archive front to back: never seeks, so any [`Write`] will do.

use std::io::{Read, Write};

use profile::{
    Cgroup, CgroupId, Clock, Cost, CpuLedger, End, EventId, Exit, HostSymbol, LabelSet, LabelSetId,
    Mapping, Module, ModuleId, Node, NodeId, Process, ProcessId, RecordingFacts, Slice, Stack,
    StackId, Thread, ThreadId, Unit,
};

use crate::book::Book;
use crate::frames::{Frames, Summary};
use crate::header::Kind;
use crate::pending::Pending;

use crate::slices::PendingSlices;
use crate::{Error, Limits, embed, facts as wire, schema};

/// Rows of one Data at most: 45 bytes each in the worst case, so that a frame stays below 1 MiB.
const DATA_ROWS: usize = 16_384;
/// Exits and ledger rows of one Data or End at most, for the same reason.
const DATA_EXITS: usize = 4096;
const LEDGER_ROWS: usize = 4096;
/// Encoded frames are handed to the output when they reach this size.
const WRITE_AT_BYTES: usize = 256 << 10;

/// One sample. Its ids are those of the epoch when written, merged ones when read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sample {
    /// Which event; from 1, in the order of the facts' events.
    pub event: EventId,
    /// On which CPU.
    pub cpu: u32,
    /// When (`CLOCK_MONOTONIC`).
    pub time_ns: u64,
    /// Who.
    pub thread: ThreadId,
    /// Where.
    pub stack: StackId,
    /// How much, in the event's unit. `None`: the event's period. Always `Some` when read.
    pub weight: Option<u64>,
    /// Labels, if any.
    pub label_set: LabelSetId,
}

/// What the recorder knows at a flush.
#[derive(Clone, Copy, Debug)]
pub struct Flush<'a> {
    /// Every ring was drained for the span from here …
    pub covered_from_ns: u64,
    /// … to here.
    pub covered_to_ns: u64,
    /// The three clocks now.
    pub clock: Clock,
    /// Cumulative counters. `written` and `written_weight` are ignored: the writer counts itself.
    pub ledger: &'a [CpuLedger],
    /// What recording cost so far.
    pub cost: Option<Cost>,
    /// Side-band records lost so far.
    pub sideband_lost: u64,
}

#[derive(Clone, Copy)]
struct Row {
    event: EventId,
    cpu: u32,
    time_ns: u64,
    thread: ThreadId,
    stack: StackId,
    weight: u64,
    label_set: LabelSetId,
}

/// Writes one archive. Definitions and samples are kept until [`Writer::flush`].
pub struct Writer<W: Write> {
    out: W,
    frames: Frames,
    limits: Limits,
    start: schema::Start,
    /// (period, step) by event.
    periods: Vec<(u64, u64)>,
    epoch: u32,
    epoch_began_ns: u64,
    epoch_began_bytes: u64,
    pending: Pending,
    samples: Vec<Row>,
    exits: Vec<Exit>,
    embeds: Vec<schema::Embed>,
    slices: PendingSlices,
    book: Book,
    written_bytes: u64,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Writes the file header and the first epoch's facts at once, so that a recording that is killed
    /// at any time can be opened.
    ///
    /// # Errors
    /// When the output cannot be written, or the facts do not fit into a frame.
    pub fn new(out: W, facts: &RecordingFacts, limits: Limits) -> Result<Self, Error> {
        let mut writer = Self {
            out,
            frames: Frames::new(facts)?,
            limits,
            start: schema::Start::default(),
            periods: Vec::new(),
            epoch: 0,
            epoch_began_ns: 0,
            epoch_began_bytes: 0,
            pending: Pending::default(),
            samples: Vec::new(),
            exits: Vec::new(),
            embeds: Vec::new(),
            slices: PendingSlices::default(),
            book: Book::default(),
            written_bytes: 0,
            failed: false,
        };
        writer.begin_epoch(facts)?;
        Ok(writer)
    }

    /// Number of the current epoch, from 1. Ids given out in another one are stale.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether a limit of the current epoch is reached.
    pub fn wants_new_epoch(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.epoch_began_ns) >= self.limits.epoch_ns
            || self.written_bytes - self.epoch_began_bytes >= self.limits.epoch_bytes
            || self.pending.is_full(&self.limits)
    }

    /// Begins the next epoch, right after a flush: ids start at 1 again, and rows are to be defined
    /// again when they are next needed. The facts may differ in what changes (rate, clock); host and
    /// recording must be the same.
    ///
    /// # Errors
    /// [`Error::Unflushed`] with samples pending; otherwise as [`Writer::flush`].
    pub fn begin_epoch(&mut self, facts: &RecordingFacts) -> Result<(), Error> {
        let rows = self.samples.len() + self.exits.len();
        if rows > 0 {
            return Err(Error::Unflushed { rows });
        }
        self.encode_definitions()?;
        self.epoch += 1;
        self.pending.begin_epoch();
        let step = |unit, period| if unit == Unit::Ns { period } else { 0 };
        self.periods = facts.events.iter().map(|e| (e.period, step(e.unit, e.period))).collect();
        self.start = wire::write_facts(facts);
        self.epoch_began_ns = facts.clock.monotonic_ns;
        self.epoch_began_bytes = self.written_bytes;
        let at_ns = facts.clock.monotonic_ns;
        let summary = Summary { first_ns: at_ns, last_ns: at_ns, ..Summary::default() };
        let block = schema::Block { start: Some(self.start.clone()), ..self.block() };
        self.frames.push(Kind::Defs, summary, block)?;
        self.write_out()
    }

    /// Defines a control group.
    pub fn cgroup(&mut self, row: &Cgroup) -> CgroupId {
        self.pending.cgroup(row)
    }

    /// Defines a process image.
    pub fn process(&mut self, row: &Process) -> ProcessId {
        self.pending.process(row)
    }

    /// Defines a thread.
    pub fn thread(&mut self, row: &Thread) -> ThreadId {
        self.pending.thread(row)
    }

    /// Defines a module. The one a process executes must not name a process itself.
    pub fn module(&mut self, row: &Module) -> ModuleId {
        self.pending.module(row)
    }

    /// Defines a call path; its parent must be defined in this epoch.
    pub fn node(&mut self, row: Node) -> NodeId {
        self.pending.node(row)
    }

    /// Defines a stack.
    pub fn stack(&mut self, row: Stack) -> StackId {
        self.pending.stack(row, false)
    }

    /// Defines a stack with what is needed to unwind its user path again. Its modules must be defined in
    /// this epoch. A row of its own, whatever stacks with the same paths there are.
    pub fn sliced_stack(&mut self, row: Stack, slice: &Slice) -> StackId {
        let id = self.pending.stack(row, true);
        self.slices.push(id, slice);
        id
    }

    /// Notes a mapping.
    pub fn mapping(&mut self, row: &Mapping) {
        self.pending.mapping(row);
    }

    /// Notes a name that exists only on the host.
    pub fn symbol(&mut self, row: &HostSymbol) {
        self.pending.symbol(row);
    }

    /// Defines a set of labels.
    pub fn label_set(&mut self, row: &LabelSet) -> LabelSetId {
        self.pending.label_set(row)
    }

    /// Embeds a whole file (the vDSO's image; an empty section name), or one section of it, of a module
    /// defined in this epoch. Once in an epoch is enough.
    pub fn embed(&mut self, module: ModuleId, section: &str, content: &[u8]) {
        self.embeds.extend(embed::pieces(module, section, content));
    }

    /// Embeds what is too large to be held: read a piece at a time, each handed to the output at once.
    /// Returns `false` when the content ended early; then nothing of it will come out.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn embed_from(
        &mut self,
        module: ModuleId,
        section: &str,
        total_bytes: u64,
        mut content: impl Read,
    ) -> Result<bool, Error> {
        // The module's row first: without it the pieces belong to nothing.
        self.encode_definitions()?;
        let mut at = 0;
        while at < total_bytes {
            let mut piece = vec![0; (total_bytes - at).min(embed::PIECE_BYTES as u64) as usize];
            if content.read_exact(&mut piece).is_err() {
                return Ok(false);
            }
            let piece_bytes = piece.len() as u64;
            let embed = embed::piece(module, section, total_bytes, at, piece);
            let block = schema::Block { embed: Some(embed), ..self.block() };
            self.frames.push(Kind::Embed, Summary::default(), block)?;
            self.write_out()?;
            at += piece_bytes;
        }
        Ok(true)
    }

    /// Notes the end of a process.
    pub fn exit(&mut self, exit: Exit) {
        self.exits.push(exit);
    }

    /// Takes a sample, in any order of time. Flush at most a second after the first one, and when some
    /// ten thousands are pending: they take 40 bytes each until then.
    pub fn sample(&mut self, sample: &Sample) {
        let period = || self.period(sample.event).0;
        self.samples.push(Row {
            event: sample.event,
            cpu: sample.cpu,
            time_ns: sample.time_ns,
            thread: sample.thread,
            stack: sample.stack,
            weight: sample.weight.unwrap_or_else(period),
            label_set: sample.label_set,
        });
    }

    /// Time of the oldest sample that is not flushed.
    pub fn first_pending_ns(&self) -> Option<u64> {
        self.samples.iter().map(|row| row.time_ns).min()
    }

    /// Samples that are not flushed.
    pub fn pending_samples(&self) -> usize {
        self.samples.len()
    }

    /// Writes what is pending: definitions first, then the samples, then hands all to the system.
    ///
    /// # Errors
    /// When the output cannot be written. The writer is then closed: what is pending is dropped, and
    /// every further call says [`Error::Poisoned`].
    pub fn flush(&mut self, flush: &Flush<'_>) -> Result<(), Error> {
        self.write_pending(flush, false)
    }

    /// Writes what is pending and the end, and returns the output.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn finish(mut self, flush: &Flush<'_>, end: &End) -> Result<W, Error> {
        self.write_pending(flush, true)?;
        let mut ledger = self.book.due(flush.covered_to_ns, true);
        ledger.truncate(LEDGER_ROWS);
        let totals = self.book.totals();
        let block = schema::Block {
            start: Some(self.start.clone()),
            end: Some(schema::End { ledger, totals, ..wire::write_end(end) }),
            ..self.block()
        };
        let summary = Summary { first_ns: end.at_ns, last_ns: end.at_ns, ..Summary::default() };
        self.frames.push(Kind::End, summary, block)?;
        self.write_out()?;
        Ok(self.out)
    }

    /// Bytes handed to the output so far.
    pub fn bytes_written(&self) -> u64 {
        self.written_bytes
    }

    fn block(&self) -> schema::Block {
        schema::Block { epoch: self.epoch, ..schema::Block::default() }
    }

    fn period(&self, event: EventId) -> (u64, u64) {
        let index = event.index().wrapping_sub(1);
        self.periods.get(index).copied().unwrap_or_default()
    }

    fn write_pending(&mut self, flush: &Flush<'_>, all_ledgers: bool) -> Result<(), Error> {
        let result = self
            .encode_definitions()
            .and_then(|()| self.encode_data(flush, all_ledgers))
            .and_then(|()| self.write_out());
        self.samples.clear();
        self.exits.clear();
        result
    }

    fn encode_definitions(&mut self) -> Result<(), Error> {
        for defs in self.pending.take() {
            let block = schema::Block { defs: Some(defs), ..self.block() };
            self.frames.push(Kind::Defs, Summary::default(), block)?;
            self.write_out_when_large()?;
        }
        for slices in self.slices.take() {
            let block = schema::Block { slices: Some(slices), ..self.block() };
            self.frames.push(Kind::Slices, Summary::default(), block)?;
            self.write_out_when_large()?;
        }
        for embed in std::mem::take(&mut self.embeds) {
            let block = schema::Block { embed: Some(embed), ..self.block() };
            self.frames.push(Kind::Embed, Summary::default(), block)?;
            self.write_out_when_large()?;
        }
        Ok(())
    }

    /// At least one Data, also without samples: it says what span was covered.
    fn encode_data(&mut self, flush: &Flush<'_>, all_ledgers: bool) -> Result<(), Error> {
        self.samples.sort_unstable_by_key(|r| (r.event, r.cpu, r.time_ns, r.thread, r.stack));
        self.book.update(flush.ledger);
        let mut rows = 0..0;
        let mut exits = 0;
        let mut ledger: Option<std::vec::IntoIter<schema::CpuLedger>> = None;
        loop {
            rows = self.next_rows(rows.end);
            let (samples, summary) = self.encode_samples(rows.clone(), flush);
            let mut data = schema::Data {
                covered_from_ns: flush.covered_from_ns,
                covered_to_ns: flush.covered_to_ns,
                clock: Some(wire::write_clock(flush.clock)),
                samples,
                cost: flush.cost.map(wire::write_cost),
                sideband_lost: flush.sideband_lost,
                totals: self.book.totals(),
                ..schema::Data::default()
            };
            let more_exits = self.exits[exits..].iter().take(DATA_EXITS);
            data.exits = more_exits
                .map(|exit| schema::Exit { process: exit.process.0, at_ns: exit.at_ns })
                .collect();
            exits += data.exits.len();
            let samples_done = rows.end == self.samples.len();
            let mut ledger_done = false;
            if samples_done {
                let due = ledger.get_or_insert_with(|| {
                    self.book.due(flush.covered_to_ns, all_ledgers).into_iter()
                });
                data.ledger = due.by_ref().take(LEDGER_ROWS).collect();
                ledger_done = due.len() == 0;
            }
            let block = schema::Block { data: Some(data), ..self.block() };
            self.frames.push(Kind::Data, summary, block)?;
            self.write_out_when_large()?;
            if ledger_done && exits == self.exits.len() {
                return Ok(());
            }
        }
    }

    /// The next rows that go into one Data: of one event, and not too many.
    fn next_rows(&self, from: usize) -> std::ops::Range<usize> {
        let rest = &self.samples[from..];
        let Some(first) = rest.first() else { return from..from };
        let same = rest.iter().take(DATA_ROWS).take_while(|row| row.event == first.event).count();
        from..from + same
    }

    fn encode_samples(
        &mut self,
        rows: std::ops::Range<usize>,
        flush: &Flush<'_>,
    ) -> (Option<schema::Samples>, Summary) {
        let rows = &self.samples[rows];
        let mut summary = Summary {
            first_ns: flush.covered_from_ns,
            last_ns: flush.covered_to_ns,
            rows: rows.len() as u32,
            ..Summary::default()
        };
        let Some(event) = rows.first().map(|row| row.event) else { return (None, summary) };
        let (period, step_ns) = self.period(event);
        let mut columns =
            schema::Samples { event: event.0, period, step_ns, ..schema::Samples::default() };
        for run in rows.chunk_by(|a, b| a.cpu == b.cpu) {
            let weight = run.iter().fold(0u64, |sum, row| sum.wrapping_add(row.weight));
            self.book.count(event, run[0].cpu, run.len() as u64, weight);
            summary.weight = summary.weight.wrapping_add(weight);
            columns.run_cpu.push(run[0].cpu);
            columns.run_rows.push(run.len() as u32);
            let mut expected_ns = flush.covered_from_ns;
            columns.time.extend(run.iter().map(|row| {
                let delta = row.time_ns.wrapping_sub(expected_ns).cast_signed();
                expected_ns = row.time_ns.wrapping_add(step_ns);
                delta
            }));
        }
        summary.event = u16::try_from(event.0).unwrap_or(u16::MAX);
        columns.thread = rows.iter().map(|row| row.thread.0).collect();
        columns.stack = rows.iter().map(|row| row.stack.0).collect();
        if rows.iter().any(|row| row.weight != period) {
            columns.weight = rows.iter().map(|row| row.weight).collect();
        }
        if rows.iter().any(|row| row.label_set.is_some()) {
            columns.label_set = rows.iter().map(|row| row.label_set.0).collect();
        }
        (Some(columns), summary)
    }

    fn write_out_when_large(&mut self) -> Result<(), Error> {
        if self.frames.bytes.len() >= WRITE_AT_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), Error> {
        let written_bytes = self.written_bytes;
        let bytes = std::mem::take(&mut self.frames.bytes);
        if self.failed {
            return Err(Error::Poisoned { written_bytes });
        }
        let result = self.out.write_all(&bytes).and_then(|()| self.out.flush());
        if let Err(source) = result {
            self.failed = true;
            return Err(Error::Write { written_bytes, source });
        }
        self.written_bytes += bytes.len() as u64;
        self.frames.bytes = bytes;
        self.frames.bytes.clear();
        Ok(())
    }
}
