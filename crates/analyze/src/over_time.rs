//! The timeline of a report: who ran when and where, in cells of time as short as there is room for.

use std::collections::BTreeMap;
use std::ops::Range;

use profile::{ProcessId, Thread, TimeCell, TimeGroup, Timeline};
use rustc_hash::FxHashMap;

use crate::collapse::{Cell, Grid, SampleGroup};
use crate::group::Groups;
use crate::import::Recording;
use crate::stacks::LOST;

/// Rows at most; cells are widened until they fit.
const MOST_ROWS: usize = 300_000;
/// Length of a cell where nothing forbids it: fifty make a second.
const CELL_NS: u64 = 20_000_000;
/// Cells of one recording at most.
const MOST_CELLS: u64 = 100_000;
/// Samples of all inputs at most that may each be a row while they are summed; of more, threads and CPUs are not
/// told apart, and every stack may have a row in each cell.
const MOST_SUMS: u64 = 2_000_000;
/// Cells that are kept as long as something else can be given up for them.
const LEAST_CELLS: usize = 120;

/// How finely samples are told apart while they are summed: as finely as memory allows for all inputs together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fineness {
    most_cells: u64,
    /// Whether threads and CPUs are told apart.
    pub groups: bool,
}

impl Fineness {
    /// What fits for these recordings.
    #[must_use]
    pub fn of<'r>(recordings: impl Iterator<Item = &'r Recording>) -> Self {
        let (mut all, mut stacks) = (0u64, 0u64);
        for recording in recordings {
            let lines = recording.end_ledger().iter();
            let samples = lines.fold(0u64, |sum, line| sum.saturating_add(line.written));
            // A recording that was cut off does not say how many there are.
            all = all.saturating_add(if samples == 0 { MOST_SUMS + 1 } else { samples });
            stacks += recording.tables().stacks.len() as u64;
        }
        Self::fitting(all, stacks)
    }

    fn fitting(samples: u64, stacks: u64) -> Self {
        match samples > MOST_SUMS {
            true => {
                Self { most_cells: (MOST_SUMS / stacks.max(1)).clamp(1, MOST_CELLS), groups: false }
            }
            false => Self { most_cells: MOST_CELLS, groups: true },
        }
    }

    /// Cells of time for one recording.
    #[must_use]
    pub fn grid(self, span: &Range<u64>) -> Grid {
        let length_ns = span.end.saturating_sub(span.start);
        let mut step_ns = CELL_NS;
        while length_ns.div_ceil(step_ns) > self.most_cells {
            step_ns = step_ns.saturating_mul(2);
        }
        let steps = length_ns.div_ceil(step_ns).max(1) as u32;
        Grid { start_ns: span.start, step_ns, steps }
    }
}

/// Numbers the groups that samples belong to.
#[derive(Default)]
pub struct TimeGroups {
    numbers: FxHashMap<(usize, ProcessId, SampleGroup), u32>,
}

impl TimeGroups {
    /// Number of a cell's group, new or known.
    pub fn number(
        &mut self,
        timeline: &mut Timeline,
        recording: usize,
        groups: &Groups<'_>,
        cell: &Cell,
    ) -> u32 {
        *self.numbers.entry((recording, cell.process, cell.group)).or_insert_with(|| {
            timeline.groups.push(group(groups, cell));
            (timeline.groups.len() - 1) as u32
        })
    }
}

fn group(groups: &Groups<'_>, cell: &Cell) -> TimeGroup {
    let process = groups.tables.process(cell.process);
    let lost = || LOST.to_owned();
    let name = groups.processes.get(cell.process);
    let is_apart = cell.group.thread.is_some();
    let thread = groups.tables.thread(cell.group.thread);
    let name_of = |thread: &Thread| format!("{} ({})", thread.comm.lossy(), thread.tid.0);
    TimeGroup {
        host: groups.host.lossy().into_owned(),
        cgroup: process
            .and_then(|process| groups.tables.cgroup(process.cgroup))
            .map_or_else(String::new, |cgroup| cgroup.path.lossy().into_owned()),
        process: process
            .zip(name)
            .map_or_else(lost, |(process, name)| format!("{name} ({})", process.pid.0)),
        thread: if is_apart { thread.map_or_else(lost, name_of) } else { String::new() },
        cpu: is_apart.then_some(cell.group.cpu),
    }
}

/// The timeline with no more rows than a report has room for: cells are joined two by two, then CPUs and threads
/// are no longer told apart. `None` where not even that is enough.
#[must_use]
pub fn fitted(mut timeline: Timeline) -> Option<Timeline> {
    unite_groups(&mut timeline);
    while timeline.rows.len() > MOST_ROWS {
        let cells = most_cells(&timeline.cells);
        if cells > LEAST_CELLS {
            join_cells(&mut timeline);
        } else if timeline.groups.iter().any(|group| group.cpu.is_some()) {
            timeline.groups.iter_mut().for_each(|group| group.cpu = None);
            unite_groups(&mut timeline);
        } else if timeline.groups.iter().any(|group| !group.thread.is_empty()) {
            timeline.groups.iter_mut().for_each(|group| group.thread.clear());
            unite_groups(&mut timeline);
        } else if cells > 1 {
            join_cells(&mut timeline);
        } else {
            return None;
        }
    }
    Some(timeline)
}

/// Cells of the recording that has most of them.
fn most_cells(cells: &[TimeCell]) -> usize {
    let of_capture = |a: &TimeCell, b: &TimeCell| a.capture == b.capture;
    cells.chunk_by(of_capture).map(<[TimeCell]>::len).max().unwrap_or(0)
}

fn join_cells(timeline: &mut Timeline) {
    let mut joined: Vec<TimeCell> = Vec::new();
    let mut numbers = Vec::with_capacity(timeline.cells.len());
    for capture in timeline.cells.chunk_by(|a, b| a.capture == b.capture) {
        for pair in capture.chunks(2) {
            let observed_ns = pair.iter().map(|cell| cell.observed_ns).sum();
            numbers.extend(pair.iter().map(|_| joined.len() as u32));
            joined.push(TimeCell { observed_ns, ..pair[0] });
        }
    }
    timeline.cells = joined;
    timeline.rows.iter_mut().for_each(|row| row.cell = numbers[row.cell as usize]);
    timeline.unite();
}

/// Makes one of groups that are alike.
fn unite_groups(timeline: &mut Timeline) {
    let mut known: BTreeMap<TimeGroup, u32> = BTreeMap::new();
    let mut groups: Vec<TimeGroup> = Vec::new();
    let mut numbers = Vec::with_capacity(timeline.groups.len());
    for group in std::mem::take(&mut timeline.groups) {
        let number = *known.entry(group.clone()).or_insert_with(|| {
            groups.push(group);
            (groups.len() - 1) as u32
        });
        numbers.push(number);
    }
    timeline.groups = groups;
    let number = |group: u32| numbers.get(group as usize).copied().unwrap_or(0);
    timeline.rows.iter_mut().for_each(|row| row.group = number(row.group));
    timeline.unite();
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::TimeRow;

    fn group(thread: &str, cpu: u32) -> TimeGroup {
        TimeGroup { thread: thread.into(), cpu: Some(cpu), ..TimeGroup::default() }
    }

    fn timeline(cells: u32, nodes: u32, groups: Vec<TimeGroup>) -> Timeline {
        let cell = |number| TimeCell {
            capture: 0,
            start_ns: u64::from(number) * CELL_NS,
            observed_ns: CELL_NS,
        };
        let mut timeline =
            Timeline { cells: (0..cells).map(cell).collect(), rows: Vec::new(), groups };
        for node in 0..nodes {
            for cell in 0..cells {
                for group in 0..timeline.groups.len() as u32 {
                    timeline.rows.push(TimeRow { node, cell, group, weight: 1 });
                }
            }
        }
        timeline
    }

    fn weight(timeline: &Timeline) -> u64 {
        timeline.rows.iter().map(|row| row.weight).sum()
    }

    #[test]
    fn cells_are_joined_until_the_rows_fit() {
        let large = timeline(1000, 1000, vec![group("a", 0)]);
        let fitted = fitted(large.clone()).unwrap();
        assert_eq!((fitted.cells.len(), fitted.rows.len()), (250, 250_000));
        assert_eq!(weight(&fitted), weight(&large));
        assert_eq!(fitted.cells[1].start_ns, 4 * CELL_NS);
        assert_eq!(fitted.cells[1].observed_ns, 4 * CELL_NS);
    }

    #[test]
    fn what_is_summed_never_grows_with_the_samples() {
        let few = Fineness::fitting(MOST_SUMS, 1_000_000);
        assert_eq!((few.groups, few.grid(&(0..CELL_NS * 500)).steps), (true, 500));
        // Six days of 5,000 stacks, which had a row for nearly each of 100 million samples.
        let many = Fineness::fitting(100_000_000, 5_000);
        let steps = many.grid(&(0..505_000_000_000_000)).steps;
        assert!(!many.groups && u64::from(steps) * 5_000 <= MOST_SUMS, "{steps}");
        assert_eq!(Fineness::fitting(u64::MAX, u64::MAX).grid(&(0..u64::MAX)).steps, 1);
    }

    #[test]
    fn then_cpus_and_threads_are_given_up_and_then_time() {
        let groups: Vec<TimeGroup> = (0..4).map(|cpu| group("a", cpu)).collect();
        let without_cpus = fitted(timeline(120, 2400, groups)).unwrap();
        assert_eq!((without_cpus.cells.len(), without_cpus.groups.len()), (120, 1));
        assert_eq!(without_cpus.groups[0].cpu, None);
        let last = fitted(timeline(100, 200_000, vec![group("a", 0), group("b", 0)])).unwrap();
        assert_eq!((last.cells.len(), last.rows.len()), (1, 200_000));
        assert_eq!(last.groups, [TimeGroup::default()]);
        assert!(fitted(timeline(1, 300_001, vec![group("a", 0)])).is_none());
    }
}
