//! When the weight of each call path was measured.

/// Weights by call path and time. Only cells that hold weight have rows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Timeline {
    /// Steps of time, capture by capture, in order of time.
    pub cells: Vec<TimeCell>,
    /// In order of node, cell and group. Together they weigh what the call tree weighs.
    pub rows: Vec<TimeRow>,
    /// Whose samples they are; empty where nobody asked.
    pub groups: Vec<TimeGroup>,
}

/// A step of time of one capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeCell {
    /// Number of the capture.
    pub capture: u32,
    /// Where it begins, by the capture's `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// How much of it was observed.
    pub observed_ns: u64,
}

/// Weight of stacks that end at one node, in one step of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimeRow {
    /// Node of a [`crate::CallTree`].
    pub node: u32,
    /// Number of the cell.
    pub cell: u32,
    /// Number of the group; 0 where nobody asked.
    pub group: u32,
    /// Weight of the stacks that end there.
    pub weight: u64,
}

/// What samples of one group have in common; what is not told apart is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct TimeGroup {
    /// The machine.
    pub host: String,
    /// The control group's path.
    pub cgroup: String,
    /// The process's name and id.
    pub process: String,
    /// The thread's name and id.
    pub thread: String,
    /// The CPU.
    pub cpu: Option<u32>,
}

impl Timeline {
    /// Sorts the rows and unites those of one node, cell and group.
    pub fn unite(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by(|next, kept| {
            let place = |row: &TimeRow| (row.node, row.cell, row.group);
            let same = place(next) == place(kept);
            if same {
                kept.weight += next.weight;
            }
            same
        });
    }
}
