//! Visits every sample once and adds it to its cell: its process and stack and, where asked for, its
//! group (thread, CPU, labels) and its time.
//!
//! What is kept grows with the different cells, not with the samples. Blocks are folded on all threads;
//! sums of whole numbers do not depend on the order, and the result is sorted, so the outcome is
//! the same for any number of threads.

use archive::Sample;
use profile::{EventId, LabelSetId, ProcessId, StackId, ThreadId};
use rayon::iter::ParallelIterator;
use rustc_hash::FxHashMap;

use crate::account::Account;
use crate::import::Recording;
use crate::keep::{Keep, Kept, LeftOut};

/// Weight of all samples of one stack in one process image, of one group and time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cell {
    /// `NONE` when the sample's thread was lost with its block.
    pub process: ProcessId,
    /// `NONE` when the stack was lost with its block.
    pub stack: StackId,
    /// What tells samples apart beside their stack; all alike where nobody asked.
    pub group: SampleGroup,
    /// Number of the time step in the [`Grid`]; 0 without one.
    pub step: u32,
    /// Sum of the samples' weights.
    pub weight: u64,
    /// How many samples.
    pub samples: u64,
}

/// Which thread, CPU and labels a sample has; what was not asked for is `NONE` or 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SampleGroup {
    /// Thread.
    pub thread: ThreadId,
    /// CPU.
    pub cpu: u32,
    /// Labels.
    pub label_set: LabelSetId,
}

/// By which of its properties samples are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Apart {
    /// By thread.
    pub thread: bool,
    /// By CPU.
    pub cpu: bool,
    /// By labels.
    pub labels: bool,
    /// By time.
    pub grid: Grid,
}

impl Apart {
    fn group(&self, sample: &Sample) -> SampleGroup {
        SampleGroup {
            thread: if self.thread { sample.thread } else { ThreadId::NONE },
            cpu: if self.cpu { sample.cpu } else { 0 },
            label_set: if self.labels { sample.label_set } else { LabelSetId::NONE },
        }
    }
}

/// Equal steps of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Grid {
    /// Where the first step begins, by `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// How long a step is; 0: all time is one step.
    pub step_ns: u64,
    /// How many steps there are; what lies before or behind counts to the first or the last.
    pub steps: u32,
}

impl Grid {
    /// At most this many equal steps over a span.
    #[must_use]
    pub fn over(span: &std::ops::Range<u64>, steps: u32) -> Self {
        let length = span.end.saturating_sub(span.start);
        let step_ns = length.div_ceil(u64::from(steps.max(1))).max(1);
        Self { start_ns: span.start, step_ns, steps: length.div_ceil(step_ns).max(1) as u32 }
    }

    /// Number of the step a time lies in.
    #[must_use]
    pub fn step(&self, time_ns: u64) -> u32 {
        let after = time_ns.saturating_sub(self.start_ns);
        let step = after.checked_div(self.step_ns).unwrap_or(0);
        step.min(u64::from(self.steps.saturating_sub(1))) as u32
    }
}

/// The samples of one event of one recording.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Cells {
    /// In order of process, stack, group and step.
    pub rows: Vec<Cell>,
    /// What the filter left out, by why.
    pub left_out: [Sum; LeftOut::COUNT],
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

impl Cell {
    /// Its weight and samples.
    #[must_use]
    pub fn sum(&self) -> Sum {
        Sum { weight: self.weight, samples: self.samples }
    }

    /// What cells are sorted by, and united by where it is equal.
    fn place(&self) -> (ProcessId, StackId, SampleGroup, u32) {
        (self.process, self.stack, self.group, self.step)
    }
}

impl Cells {
    /// Weight and samples of all rows.
    #[must_use]
    pub fn total(&self) -> Sum {
        self.rows.iter().fold(Sum::default(), |sum, row| sum.merge(row.sum()))
    }

    /// Weight and samples of everything that was recorded of the event.
    #[must_use]
    pub fn recorded(&self) -> Sum {
        self.left_out.iter().fold(self.total(), |sum, left_out| sum.merge(*left_out))
    }

    /// Sorts the rows and unites those that are of one place.
    pub fn unite(&mut self) {
        self.rows.sort_unstable_by_key(Cell::place);
        self.rows.dedup_by(|next, kept| {
            let same = next.place() == kept.place();
            if same {
                let both = kept.sum().merge(next.sum());
                (kept.weight, kept.samples) = (both.weight, both.samples);
            }
            same
        });
    }
}

/// A cell's place in three words: hashing six ids one by one takes twice as long.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u64; 3]);

impl Key {
    fn new(process: ProcessId, stack: StackId, group: SampleGroup, step: u32) -> Self {
        let both = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        Self([
            both(process.0, stack.0),
            both(group.thread.0, group.cpu),
            both(group.label_set.0, step),
        ])
    }

    fn cell(self, sum: Sum) -> Cell {
        let [(process, stack), (thread, cpu), (label_set, step)] =
            self.0.map(|word| ((word >> 32) as u32, word as u32));
        Cell {
            process: ProcessId(process),
            stack: StackId(stack),
            group: SampleGroup { thread: ThreadId(thread), cpu, label_set: LabelSetId(label_set) },
            step,
            weight: sum.weight,
            samples: sum.samples,
        }
    }
}

#[derive(Default)]
struct Accumulator {
    cells: FxHashMap<Key, Sum>,
    left_out: [Sum; LeftOut::COUNT],
    other_events_samples: u64,
    account: Account,
}

impl Accumulator {
    fn add(&mut self, sample: &Sample, event: EventId, keep: &Keep, apart: &Apart) {
        if sample.event != event {
            self.other_events_samples += 1;
            return;
        }
        let weight = sample.weight.unwrap_or_default();
        match keep.of(sample) {
            Kept::Of(process) => {
                let step = apart.grid.step(sample.time_ns);
                let key = Key::new(process, sample.stack, apart.group(sample), step);
                self.cells.entry(key).or_default().add(weight);
            }
            Kept::Not(why) => self.left_out[why as usize].add(weight),
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
        for (sum, more) in self.left_out.iter_mut().zip(other.left_out) {
            *sum = sum.merge(more);
        }
        self.other_events_samples += other.other_events_samples;
        self.account.merge(&other.account);
        self
    }

    fn finish(self) -> Cells {
        let mut rows: Vec<Cell> = self.cells.into_iter().map(|(key, sum)| key.cell(sum)).collect();
        rows.sort_unstable_by_key(Cell::place);
        Cells {
            rows,
            left_out: self.left_out,
            other_events_samples: self.other_events_samples,
            account: self.account,
        }
    }
}

/// Sums the samples of `event`. Blocks that are lost are the recording's to report
/// ([`Recording::damage`]).
#[must_use]
pub fn collapse(recording: &Recording, event: EventId, keep: &Keep, apart: &Apart) -> Cells {
    let mut sum = recording
        .data_blocks()
        .fold(Accumulator::default, |mut acc, block| {
            acc.account.merge(&Account::of(&block));
            block.for_each_sample(|sample| acc.add(&sample, event, keep, apart));
            acc
        })
        .reduce(Accumulator::default, Accumulator::merge);
    // Of the last counters, some may have stood in blocks that are lost.
    for row in recording.end_ledger() {
        sum.account.ledger.update(row);
    }
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_was_put_into_it() {
        let group =
            SampleGroup { thread: ThreadId(3), cpu: u32::MAX, label_set: LabelSetId(1 << 31) };
        let (process, stack) = (ProcessId(u32::MAX), StackId(7));
        let cell = Key::new(process, stack, group, 9).cell(Sum { weight: 5, samples: 2 });
        assert_eq!(cell, Cell { process, stack, group, step: 9, weight: 5, samples: 2 });
    }

    #[test]
    fn a_grid_covers_its_span_and_takes_in_what_lies_outside() {
        let grid = Grid::over(&(100..199), 10);
        assert_eq!((grid.step_ns, grid.steps), (10, 10));
        let steps = [0, 100, 109, 110, 198, 500].map(|time_ns| grid.step(time_ns));
        assert_eq!(steps, [0, 0, 0, 1, 9, 9]);
        assert_eq!(Grid::over(&(5..5), 10).step(9), 0);
        assert_eq!(Grid::default().step(12_345), 0);
    }
}
