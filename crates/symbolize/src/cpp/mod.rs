//! Names mangled by the Itanium C++ ABI, shown in the style of c++filt.
//!
//! One pass reads the name into a tree whose size is bounded by the name's length: the grammar is
//! decided by looking ahead and never by trying twice. Substitutions make that tree a graph, so a
//! short name can stand for a very long text: printing stops at a length and at a number of steps.
//! Source of the grammar: <https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling>.

mod ast;
mod cursor;
mod operators;
mod parse_encoding;
mod parse_expression;
mod parse_name;
mod parse_template;
mod parse_type;
mod print;
mod print_expression;
mod print_type;

use cursor::Parser;
use print::Printer;

/// Depth of the grammar's recursion, in reading and in printing: the 2 MiB of stack of a thread
/// hold it (hostile names in the tests reach it).
const MAX_DEPTH: u32 = 192;

/// The name for people, or `None` for what is not mangled or goes beyond `max_bytes` or
/// `max_steps` (nodes printed).
pub(crate) fn demangle(raw: &str, max_bytes: usize, max_steps: u32) -> Option<String> {
    for (prefix, what) in [("_GLOBAL__I_", "constructors"), ("_GLOBAL__D_", "destructors")] {
        if let Some(key) = raw.strip_prefix(prefix) {
            let key = demangle(key, max_bytes, max_steps).unwrap_or_else(|| key.to_owned());
            return Some(format!("global {what} keyed to {key}"));
        }
    }
    let mut parser = Parser::new(raw.strip_prefix("_Z")?);
    let name = parser.symbol()?;
    Printer::new(&parser.tree, max_bytes, max_steps).text_of(name)
}
