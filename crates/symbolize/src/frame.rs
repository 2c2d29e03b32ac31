//! What a look-up answers.

use std::sync::Arc;

use profile::NameSource;

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
    /// Whether the function was inlined into the next frame.
    pub inlined: bool,
    /// Who said the name.
    pub source: NameSource,
}
