//! Names that exist only on the host: the kernel's and those of just-in-time compilers.

use crate::{ModuleId, Text};

/// A name recorded on the host for an address that was hit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HostSymbol {
    /// Whose address.
    pub module: ModuleId,
    /// Start, in the module's address meaning (see [`crate::ModuleKind`]).
    pub start: u64,
    /// Length; from kallsyms (which has no sizes) up to the next symbol.
    pub bytes: u64,
    /// As the host spelled it.
    pub name: Text,
    /// Who said it.
    pub from: SymbolFrom,
    /// When it was read: a JIT's range may be reused later.
    pub seen_ns: u64,
}

/// Who said a host symbol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SymbolFrom {
    /// `/proc/kallsyms`.
    Kallsyms,
    /// The kernel's BPF program symbols.
    BpfKsym,
    /// A `perf-PID.map`.
    PerfMap,
    /// A jitdump file.
    Jitdump,
}
