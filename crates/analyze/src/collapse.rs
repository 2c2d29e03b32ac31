//! Visits every sample once and adds it to its (process, stack).
//!
//! What is kept grows with the unique pairs, not with the samples. Blocks are folded on all threads;
//! sums of whole numbers do not depend on the order, and the result is sorted, so the outcome is
//! the same for any number of threads.

use archive::Sample;
use profile::{EventId, ProcessId, StackId, Tables, ThreadId};
use rayon::iter::ParallelIterator;
use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::import::Recording;

/// Weight of all samples of one stack in one process image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// `NONE` when the sample's thread was lost with its block.
    pub process: ProcessId,
    /// `NONE` when the stack was lost with its block.
    pub stack: StackId,
    /// Sum of the samples' weights.
    pub weight: u64,
    /// How many samples.
    pub samples: u64,
}

/// The samples of one event of one recording.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Cells {
    /// By process and stack.
    pub rows: Vec<Cell>,
    /// Weight and number of samples that the filter left out.
    pub filtered: Sum,
    /// How many samples were of other events.
    pub other_events_samples: u64,
    /// What the blocks say of themselves.
    pub account: Account,
}

/// A weight and how many samples make it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sum {
    /// Sum of weights.
    pub weight: u64,
    /// How many samples.
    pub samples: u64,
}

impl Sum {
    /// Adds one sample.
    pub fn add(&mut self, weight: u64) {
        self.weight += weight;
        self.samples += 1;
    }

    /// Both together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { weight: self.weight + other.weight, samples: self.samples + other.samples }
    }
}

impl Cells {
    /// Weight and samples of all rows.
    #[must_use]
    pub fn total(&self) -> Sum {
        self.rows.iter().fold(Sum::default(), |sum, row| {
            sum.merge(Sum { weight: row.weight, samples: row.samples })
        })
    }
}

/// Which threads' samples count.
#[derive(Clone, Debug)]
pub struct Keep {
    /// By thread id: its process, or `None` for "left out".
    threads: Vec<Option<ProcessId>>,
    /// Whether samples of threads that were lost count.
    lost: bool,
}

impl Keep {
    /// Every sample counts.
    #[must_use]
    pub fn everything(tables: &Tables) -> Self {
        let mut keep = Self::only(tables, |_, _| true);
        keep.lost = true;
        keep
    }

    /// Only threads for which `wanted` is true; what they belonged to must be known for that.
    #[must_use]
    pub fn only(
        tables: &Tables,
        wanted: impl Fn(&profile::Thread, Option<&profile::Process>) -> bool,
    ) -> Self {
        let row = |thread: &profile::Thread| {
            wanted(thread, tables.process(thread.process)).then_some(thread.process)
        };
        let threads = std::iter::once(None).chain(tables.threads.iter().map(row)).collect();
        Self { threads, lost: false }
    }

    /// Whether nothing at all would count.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.lost && self.threads.iter().all(Option::is_none)
    }

    fn process(&self, thread: ThreadId) -> Option<ProcessId> {
        match self.threads.get(thread.index()) {
            Some(known) if thread.is_some() => *known,
            _ => self.lost.then_some(ProcessId::NONE),
        }
    }
}

#[derive(Default)]
struct Accumulator {
    cells: FxHashMap<(ProcessId, StackId), Sum>,
    filtered: Sum,
    other_events_samples: u64,
    account: Account,
}

impl Accumulator {
    fn add(&mut self, sample: &Sample, event: EventId, keep: &Keep) {
        if sample.event != event {
            self.other_events_samples += 1;
            return;
        }
        let weight = sample.weight.unwrap_or_default();
        match keep.process(sample.thread) {
            Some(process) => self.cells.entry((process, sample.stack)).or_default().add(weight),
            None => self.filtered.add(weight),
        }
    }

    fn merge(mut self, mut other: Self) -> Self {
        if self.cells.len() < other.cells.len() {
            std::mem::swap(&mut self, &mut other);
        }
        for (key, sum) in other.cells {
            let cell = self.cells.entry(key).or_default();
            *cell = cell.merge(sum);
        }
        self.filtered = self.filtered.merge(other.filtered);
        self.other_events_samples += other.other_events_samples;
        self.account.merge(&other.account);
        self
    }

    fn finish(self) -> Cells {
        let mut rows: Vec<Cell> = self
            .cells
            .into_iter()
            .map(|((process, stack), sum)| Cell {
                process,
                stack,
                weight: sum.weight,
                samples: sum.samples,
            })
            .collect();
        rows.sort_unstable_by_key(|cell| (cell.process, cell.stack));
        Cells {
            rows,
            filtered: self.filtered,
            other_events_samples: self.other_events_samples,
            account: self.account,
        }
    }
}

/// Sums the samples of `event`. Blocks that are lost are the recording's to report
/// ([`Recording::damage`]).
#[must_use]
pub fn collapse(recording: &Recording, event: EventId, keep: &Keep) -> Cells {
    let mut sum = recording
        .data_blocks()
        .fold(Accumulator::default, |mut acc, block| {
            acc.account.merge(&Account::of(&block));
            block.for_each_sample(|sample| acc.add(&sample, event, keep));
            acc
        })
        .reduce(Accumulator::default, Accumulator::merge);
    // Of the last counters, some may have stood in blocks that are lost.
    for row in recording.end_ledger() {
        sum.account.ledger.update(row);
    }
    sum.finish()
}
