//! Processes, threads, control groups and what they had mapped.

use crate::{Avma, CgroupId, FileOffset, ModuleId, Pid, ProcessId, Text, Tid};

/// A version 2 control group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cgroup {
    /// kernfs inode number, as BPF reports it.
    pub id: u64,
    /// Path below the cgroup root; empty when unknown.
    pub path: Text,
}

/// One process image. exec makes a new row with the same pid and start and the next image.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// In the initial PID namespace.
    pub pid: Pid,
    /// Birth; (pid, start) survives the reuse of pids.
    pub start_ns: u64,
    /// 0 before the first exec seen, then 1, 2, …
    pub image: u32,
    /// When this image began (exec, or fork).
    pub image_ns: u64,
    /// Parent's row; a fork without exec inherits its mappings as of `image_ns`.
    pub parent: ProcessId,
    /// pid in the innermost namespace; 0 unknown.
    pub ns_pid: u32,
    /// Control group.
    pub cgroup: CgroupId,
    /// The executable.
    pub exe: ModuleId,
    /// First word of the command line; nothing further of it is ever recorded.
    pub argv0: Text,
}

/// One (tid, comm, process): a changed comm is a new row, so a sample needs one id for all.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Thread {
    /// In the initial PID namespace.
    pub tid: Tid,
    /// Its process image.
    pub process: ProcessId,
    /// Name (at most 15 bytes on Linux).
    pub comm: Text,
    /// Birth; 0 unknown.
    pub start_ns: u64,
}

/// An executable mapping of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Whose.
    pub process: ProcessId,
    /// First address.
    pub start: Avma,
    /// Length.
    pub bytes: u64,
    /// Offset in the module's file of `start`.
    pub file_offset: FileOffset,
    /// What was mapped; `NONE`: unmapped again.
    pub module: ModuleId,
    /// From when on.
    pub since_ns: u64,
}

/// A process that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit {
    /// Which.
    pub process: ProcessId,
    /// When.
    pub at_ns: u64,
}

/// Key/value labels of samples (Go's pprof labels, a trace id).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelSet {
    /// Keys.
    pub keys: Vec<Text>,
    /// Values, one for each key.
    pub values: Vec<Text>,
}
