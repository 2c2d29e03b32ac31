//! One data block: its samples are decoded from the inflated bytes while they are visited.

use std::ops::Range;

use profile::{Clock, Cost, CpuLedger, EventId, Exit, LabelSetId, ProcessId, StackId, ThreadId};
use prost::Message;

use crate::definitions::{EpochIds, block};
use crate::fields::{Fields, Malformed, Value, Varints};
use crate::header::FrameHeader;
use crate::inflate::LostReason;
use crate::{Sample, facts as wire, schema};

impl From<Malformed> for LostReason {
    fn from(_: Malformed) -> Self {
        Self::Content("its content is not what the schema says")
    }
}

/// Samples of one event and what was known at one flush. Ids are merged ones, as in
/// [`crate::Archive::tables`].
#[derive(Debug)]
pub struct DataBlock<'a> {
    content: Vec<u8>,
    columns: Columns,
    header: FrameHeader,
    ids: &'a EpochIds,
    clock: Clock,
    ledger: Vec<CpuLedger>,
    cost: Option<Cost>,
    sideband_lost: u64,
    exits: Vec<Exit>,
    /// (event, rows, weight) written through this block.
    pub(crate) totals: Vec<(EventId, u64, u64)>,
}

/// Where the columns of the samples stand.
#[derive(Default, Debug)]
struct Columns {
    event: EventId,
    period: u64,
    step_ns: u64,
    /// (CPU, rows).
    runs: Vec<(u32, u32)>,
    rows: usize,
    time: Range<usize>,
    thread: Range<usize>,
    stack: Range<usize>,
    weight: Range<usize>,
    label_set: Range<usize>,
}

impl<'a> DataBlock<'a> {
    /// Checks everything there is to check, so that visiting the samples cannot fail.
    pub(crate) fn decode(
        content: Vec<u8>,
        header: FrameHeader,
        ids: &'a EpochIds,
    ) -> Result<Self, LostReason> {
        let (mut samples, mut rest) = (None, Vec::new());
        for field in Fields::new(&content, block(&content)?) {
            match field? {
                (1, Value::Varint(seq)) if seq != u64::from(header.seq) => {
                    return Err(LostReason::Content("it stands behind another block's header"));
                }
                (5, Value::Bytes(data)) => (samples, rest) = split(&content, data)?,
                _ => {}
            }
        }
        let columns = samples.map(|at| Columns::find(&content, at)).transpose()?;
        let columns = columns.unwrap_or_default();
        let weight = columns.weight(&content).ok_or(LostReason::Content("its weights overflow"))?;
        if columns.rows as u64 != u64::from(header.rows) || weight != header.weight {
            return Err(LostReason::Content("its rows are not those its header counts"));
        }
        let data = schema::Data::decode(&rest[..]).map_err(|_| Malformed)?;
        if data.covered_from_ns > data.covered_to_ns
            || (data.covered_from_ns, data.covered_to_ns) != (header.first_ns, header.last_ns)
        {
            return Err(LostReason::Content("its span is not the one its header states"));
        }
        let exit = |exit: &schema::Exit| {
            let process = ProcessId(ids.processes.get(exit.process));
            process.is_some().then_some(Exit { process, at_ns: exit.at_ns })
        };
        Ok(Self {
            columns,
            header,
            ids,
            clock: wire::read_clock(data.clock.unwrap_or_default()),
            ledger: data.ledger.iter().map(wire::read_ledger).collect(),
            cost: data.cost.map(wire::read_cost),
            sideband_lost: data.sideband_lost,
            exits: data.exits.iter().filter_map(exit).collect(),
            totals: read_totals(&data.totals),
            content,
        })
    }

    /// Number of the block in the file.
    #[must_use]
    pub fn seq(&self) -> u32 {
        self.header.seq
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.header.epoch
    }

    /// The span for which every ring was drained. Blocks of one flush state the same span: unite
    /// spans, do not add them.
    #[must_use]
    pub fn covered(&self) -> Range<u64> {
        self.header.first_ns..self.header.last_ns
    }

    /// The three clocks at the flush.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Cumulative counters of the CPUs that changed.
    #[must_use]
    pub fn ledger(&self) -> &[CpuLedger] {
        &self.ledger
    }

    /// What recording cost so far.
    #[must_use]
    pub fn cost(&self) -> Option<Cost> {
        self.cost
    }

    /// Side-band records lost so far.
    #[must_use]
    pub fn sideband_lost(&self) -> u64 {
        self.sideband_lost
    }

    /// Processes that ended.
    #[must_use]
    pub fn exits(&self) -> &[Exit] {
        &self.exits
    }

    /// Number of samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.rows
    }

    /// Event of all samples of the block; `NONE` without samples.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.columns.event
    }

    /// Sum of the samples' weights.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.header.weight
    }

    /// Visits the samples by CPU and time. Every weight is `Some`; a stack, thread or label set whose
    /// definition was lost is `NONE`.
    pub fn for_each_sample(&self, mut visit: impl FnMut(Sample)) {
        let columns = &self.columns;
        let column = |at: &Range<usize>| Varints(&self.content[at.clone()]);
        let (mut time, mut thread) = (column(&columns.time), column(&columns.thread));
        let (mut stack, mut label_set) = (column(&columns.stack), column(&columns.label_set));
        let mut weight = (!columns.weight.is_empty()).then(|| column(&columns.weight));
        for (cpu, rows) in &columns.runs {
            let mut expected_ns = self.header.first_ns;
            for _ in 0..*rows {
                let time_ns = expected_ns.wrapping_add_signed(time.next_signed());
                expected_ns = time_ns.wrapping_add(columns.step_ns);
                visit(Sample {
                    event: columns.event,
                    cpu: *cpu,
                    time_ns,
                    thread: ThreadId(self.ids.threads.get(thread.next() as u32)),
                    stack: StackId(self.ids.stacks.get(stack.next() as u32)),
                    weight: Some(weight.as_mut().map_or(columns.period, Varints::next)),
                    label_set: LabelSetId(self.ids.label_sets.get(label_set.next() as u32)),
                });
            }
        }
    }
}

/// The samples of a Data, and the Data without them.
fn split(content: &[u8], data: Range<usize>) -> Result<(Option<Range<usize>>, Vec<u8>), Malformed> {
    let mut samples = None;
    let mut before = data.clone();
    let mut after = data.end..data.end;
    let mut fields = Fields::new(content, data);
    loop {
        let start = fields.position();
        let Some(field) = fields.next() else { break };
        if let (4, Value::Bytes(at)) = field? {
            if samples.is_some() {
                return Err(Malformed);
            }
            (before.end, after.start) = (start, at.end);
            samples = Some(at);
        }
    }
    Ok((samples, [&content[before], &content[after]].concat()))
}

pub(crate) fn read_totals(totals: &[schema::EventTotal]) -> Vec<(EventId, u64, u64)> {
    totals.iter().map(|t| (EventId(t.event), t.rows, t.weight)).collect()
}

impl Columns {
    fn find(content: &[u8], samples: Range<usize>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let (mut run_cpu, mut run_rows) = (0..0, 0..0);
        for field in Fields::new(content, samples) {
            match field? {
                (1, Value::Varint(event)) => found.event = EventId(event as u32),
                (2, Value::Bytes(at)) => run_cpu = at,
                (3, Value::Bytes(at)) => run_rows = at,
                (4, Value::Bytes(at)) => found.time = at,
                (5, Value::Bytes(at)) => found.thread = at,
                (6, Value::Bytes(at)) => found.stack = at,
                (7, Value::Bytes(at)) => found.weight = at,
                (11, Value::Bytes(at)) => found.label_set = at,
                (12, Value::Varint(period)) => found.period = period,
                (13, Value::Varint(step_ns)) => found.step_ns = step_ns,
                _ => {}
            }
        }
        let count = |at: &Range<usize>| Varints(&content[at.clone()]).count();
        found.rows = count(&found.stack)?;
        for column in [&found.time, &found.thread, &found.weight, &found.label_set] {
            if !column.is_empty() && count(column)? != found.rows {
                return Err(Malformed);
            }
        }
        let runs = count(&run_cpu)?;
        if count(&run_rows)? != runs {
            return Err(Malformed);
        }
        let (mut cpu, mut rows) = (Varints(&content[run_cpu]), Varints(&content[run_rows]));
        let mut left = found.rows as u64;
        for _ in 0..runs {
            let rows = rows.next();
            left = left.checked_sub(rows).ok_or(Malformed)?;
            found.runs.push((cpu.next() as u32, rows as u32));
        }
        if left == 0 { Ok(found) } else { Err(Malformed) }
    }

    /// Sum of the weights; `None` when it does not fit.
    fn weight(&self, content: &[u8]) -> Option<u64> {
        if self.weight.is_empty() {
            return self.period.checked_mul(self.rows as u64);
        }
        let mut column = Varints(&content[self.weight.clone()]);
        (0..self.rows).try_fold(0u64, |sum, _| sum.checked_add(column.next()))
    }
}
