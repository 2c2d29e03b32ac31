//! All definitions of a recording in one place.

use crate::{
    Cgroup, CgroupId, HostSymbol, LabelSet, LabelSetId, Mapping, Module, ModuleId, Nodes, Process,
    ProcessId, Stacks, Thread, ThreadId,
};

/// The tables of one recording (epochs merged). Ids index the vectors at `id - 1`; use the
/// accessors.
#[derive(Clone, Default, Debug)]
pub struct Tables {
    /// Control groups.
    pub cgroups: Vec<Cgroup>,
    /// Process images.
    pub processes: Vec<Process>,
    /// Threads.
    pub threads: Vec<Thread>,
    /// Modules.
    pub modules: Vec<Module>,
    /// Call paths.
    pub nodes: Nodes,
    /// Stacks.
    pub stacks: Stacks,
    /// Executable mappings, in order of time.
    pub mappings: Vec<Mapping>,
    /// Kernel and JIT names for the addresses hit.
    pub symbols: Vec<HostSymbol>,
    /// Labels.
    pub label_sets: Vec<LabelSet>,
}

fn row<T>(rows: &[T], id: u32) -> Option<&T> {
    rows.get((id as usize).checked_sub(1)?)
}

impl Tables {
    /// A control group.
    #[must_use]
    pub fn cgroup(&self, id: CgroupId) -> Option<&Cgroup> {
        row(&self.cgroups, id.0)
    }

    /// A process image.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&Process> {
        row(&self.processes, id.0)
    }

    /// A thread.
    #[must_use]
    pub fn thread(&self, id: ThreadId) -> Option<&Thread> {
        row(&self.threads, id.0)
    }

    /// A module.
    #[must_use]
    pub fn module(&self, id: ModuleId) -> Option<&Module> {
        row(&self.modules, id.0)
    }

    /// A set of labels.
    #[must_use]
    pub fn label_set(&self, id: LabelSetId) -> Option<&LabelSet> {
        row(&self.label_sets, id.0)
    }
}
