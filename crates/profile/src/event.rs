//! What a sample stands for.

use crate::Text;

/// One kind of sample in a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// "cpu-clock", "off-cpu", "page-faults", "u:/lib/x.so:malloc".
    pub name: Text,
    /// Unit of every weight of this event.
    pub unit: Unit,
    /// What the weight measures.
    pub kind: EventKind,
    /// Weight of a sample that carries none, in `unit`.
    pub period: u64,
    /// The event the user asked for, when this one is its fall-back.
    pub asked_for: Text,
    /// Why the fall-back was taken.
    pub fallback_reason: Text,
}

/// Unit of a weight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Plain occurrences.
    Count,
    /// Bytes.
    Bytes,
}

/// What a weight measures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// Time running on a CPU.
    OnCpu,
    /// Time blocked.
    Blocked,
    /// Time ready to run but not running.
    Runnable,
    /// A counted event.
    Counter,
    /// A system call.
    Syscall,
}
