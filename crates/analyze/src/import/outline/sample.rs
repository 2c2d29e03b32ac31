//! The report of macOS `sample`:
//!
//! ```text
//! Analysis of sampling server (pid 71) every 1 millisecond
//! Process:         server [71]
//! …
//! Call graph:
//!     2843 Thread_9101   DispatchQueue_1: com.apple.main-thread  (serial)
//!     + 2843 start  (in dyld) + 462  [0x18b5a1f28]
//!     +   2800 main  (in server) + 64  [0x100003f40]
//!     +   ! 2800 serve(int)  (in libserve.dylib) + 12  [0x100104f0c]
//!     +   43 exit  (in libsystem_c.dylib) + 8  [0x18b5b0c00]
//!
//! Total number in stack (recursive counted multiple, when >=5):
//! ```
//!
//! Two columns for each caller. Counts are of samples of the thread, running or waiting, and have those of the
//! functions that were called: what is left is a function's own. Threads that wait are as much a part of it as
//! those that run.

use profile::FrameKind;

use super::{Line, Measured, Report, Row};
use crate::import::spelling::kind_of_module;
use crate::measure::{Measure, Quantity};

/// Whether the outline follows.
pub fn is_start(line: &str) -> bool {
    line.trim_end() == "Call graph:"
}

#[derive(Default)]
pub struct Sample {
    in_graph: bool,
    ended: bool,
}

impl Report for Sample {
    fn line<'a>(&mut self, line: &'a str) -> Line<'a> {
        if !self.in_graph {
            self.in_graph = is_start(line);
            return process(line).map_or(Line::Other, Line::Process);
        }
        if line.trim().is_empty() {
            return Line::Other;
        }
        let Some(drawn) = line.strip_prefix("    ") else {
            self.ended = line.starts_with("Total number in stack");
            return if self.ended {
                Line::End
            } else {
                Line::Unreadable { depth: 0, why: "is no part of a call graph" }
            };
        };
        let row = drawn.trim_start_matches([' ', '+', '!', ':', '|']);
        let columns = drawn.len() - row.len();
        let depth = columns / 2;
        if !columns.is_multiple_of(2) {
            return Line::Unreadable { depth, why: "is not indented as others are" };
        }
        let Some((weight, spelled)) = row.split_once(' ') else {
            return Line::Unreadable { depth, why: "has no function" };
        };
        let Ok(weight) = weight.parse() else {
            return Line::Unreadable { depth, why: "has no number of samples" };
        };
        if depth == 0 {
            return Line::Thread { name: spelled.trim(), weight };
        }
        let (name, module) = function(spelled);
        let kind = match kind_of_module(module) {
            // Frameworks have no extension, and neither have programs.
            FrameKind::User if module == "dyld" => FrameKind::Library,
            kind => kind,
        };
        Line::Function(Row { depth, name: name.into(), module: module.into(), kind, weight })
    }

    fn measured(&self) -> Measured {
        let measure = Measure { name: String::new(), quantity: Quantity::Samples };
        let notes = vec!["samples are of all threads, also of those that waited".to_owned()];
        Measured { measure, sample_weight: Some(1), notes }
    }

    fn counts_callees(&self) -> bool {
        true
    }

    fn cut(&self) -> Option<&'static str> {
        (!self.ended).then_some("the call graph ends without an end")
    }
}

/// "Process:   server [71]".
fn process(line: &str) -> Option<&str> {
    let name = line.strip_prefix("Process:")?.trim();
    let name = name.rsplit_once(" [").map_or(name, |(name, _)| name).trim();
    (!name.is_empty()).then_some(name)
}

/// Name and module of "serve(int)  (in libserve.dylib) + 12  [0x100104f0c]".
fn function(spelled: &str) -> (&str, &str) {
    if let Some((name, behind)) = spelled.rsplit_once("  (in ") {
        let module = behind.split_once(')').map_or(behind, |(module, _)| module);
        return (name.trim(), module);
    }
    let name = spelled.split("  ").find(|part| !part.is_empty()).unwrap_or_default();
    (name.trim(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_blanks_and_brackets() {
        assert_eq!(function("f(int, char*)  (in a.out) + 12  [0x1]"), ("f(int, char*)", "a.out"));
        assert_eq!(
            function("-[View draw:]  (in App Kit) + 1  [0x1]  v.m:5"),
            ("-[View draw:]", "App Kit")
        );
        assert_eq!(function("???  [0x10]"), ("???", ""));
        assert_eq!(function("???  (in <unknown binary>)  [0x10]"), ("???", "<unknown binary>"));
        assert_eq!(process("Process:         my server [71]"), Some("my server"));
        assert_eq!(process("Path: /bin/x"), None);
    }
}
