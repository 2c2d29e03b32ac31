//! What a look-up answers.

use std::ops::Range;
use std::sync::Arc;

use profile::{NameSource, NoName};

/// One function at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFrame {
    /// For display: demangled, not escaped.
    pub name: Arc<str>,
    /// The linker's name; equal to `name` where nothing was mangled.
    pub raw_name: Arc<str>,
    /// Source file of the line.
    pub file: Option<Arc<str>>,
    /// Line: of the address in the innermost frame, of the inlined call in the others.
    pub line: Option<u32>,
    /// Line on which the function itself begins, where known (Go's profile-guided optimization
    /// counts lines from there).
    pub start_line: Option<u32>,
    /// Whether the function was inlined into the next frame.
    pub inlined: bool,
    /// Who said the name.
    pub source: NameSource,
}

/// An answer, and how far it reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The functions at the address, innermost first, or why it has no name.
    pub names: Result<Vec<SourceFrame>, NoName>,
    /// Addresses ([`profile::Svma`]) around it that have the same answer; holds at least the
    /// address itself (unless that is the last of all, where no half-open range can end), and need
    /// not be as large as it could be.
    pub extent: Range<u64>,
}
