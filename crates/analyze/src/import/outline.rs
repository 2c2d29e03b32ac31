//! Call trees that tools print as outlines: a line for each function, deeper below its caller.
//!
//! Reports of macOS `sample`, of Intel VTune, of Visual Studio's profiler and of GHC differ in how a line is
//! spelled, which is all that the modules below know. Lines whose caller could not be read are left out and
//! said: below any other function they would be wrong.

mod csv;
mod ghc;
mod sample;
#[cfg(test)]
mod tests;
mod visual_studio;
mod vtune;

use std::borrow::Cow;
use std::io::BufRead;
use std::path::Path;

use profile::{Frame, FrameKind, LabelSet};

use super::named::{DEEPEST, Facts, Named, NamedKind, NamedStacks, TooMuch};
use super::spelling::{NO_STACK, Spellings, frame_in, frame_of};
use super::text::{Lines, Refused, TextError};
use crate::measure::Measure;

/// Who prints outlines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// `sample` of macOS, which counts.
    Sample,
    /// Intel VTune's top-down report.
    Vtune,
    /// The call tree of Visual Studio's profiler.
    VisualStudio,
    /// Cost centres of programs that GHC compiled.
    Ghc,
}

/// What a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Line<'a> {
    /// The program that ran.
    Process(&'a str),
    /// The thread that everything below it ran in.
    Thread { name: &'a str, weight: u64 },
    /// A function.
    Function(Row<'a>),
    /// A function that cannot be read: nothing from this depth on is known.
    Unreadable { depth: usize, why: &'static str },
    /// Anything else.
    Other,
    /// What follows is no outline any more.
    End,
}

/// A function where it was called.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row<'a> {
    /// 0: called by nobody. Below a thread it is 1.
    depth: usize,
    name: Cow<'a, str>,
    module: Cow<'a, str>,
    kind: FrameKind,
    weight: u64,
}

/// Reads the lines of one tool.
trait Report {
    /// The next line.
    fn line<'a>(&mut self, line: &'a str) -> Line<'a>;

    /// What was measured; asked for after the last line.
    fn measured(&self) -> Measured;

    /// Whether a function's weight has those of the functions in it that it called.
    fn counts_callees(&self) -> bool {
        false
    }

    /// Why the outline may lack its end.
    fn cut(&self) -> Option<&'static str> {
        None
    }
}

/// What weights are.
struct Measured {
    measure: Measure,
    /// Weight of one sample; `None`: these were not counted.
    sample_weight: Option<u64>,
    /// Facts for people.
    notes: Vec<String>,
}

/// Which tool printed a text that begins so.
#[must_use]
pub fn recognise(head: &str) -> Option<Tool> {
    head.lines().find_map(|line| {
        if sample::is_start(line) {
            Some(Tool::Sample)
        } else if vtune::is_header(line) {
            Some(Tool::Vtune)
        } else if visual_studio::is_header(line) {
            Some(Tool::VisualStudio)
        } else if ghc::is_header(line) {
            Some(Tool::Ghc)
        } else {
            None
        }
    })
}

/// Reads what a tool printed.
///
/// # Errors
/// When the text cannot be read, has no function in it, or is larger than memory allows.
pub fn import(path: &Path, tool: Tool, input: impl BufRead) -> Result<Named, TextError> {
    let (kind, mut report): (_, Box<dyn Report>) = match tool {
        Tool::Sample => (NamedKind::Sample, Box::new(sample::Sample::default())),
        Tool::Vtune => (NamedKind::Vtune, Box::new(vtune::Vtune::default())),
        Tool::VisualStudio => {
            (NamedKind::VisualStudio, Box::new(visual_studio::VisualStudio::default()))
        }
        Tool::Ghc => (NamedKind::GhcProf, Box::new(ghc::Ghc::default())),
    };
    let mut tree = Tree::new(report.counts_callees());
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next_line()? {
        let too_much = |source| TextError::TooMuch { line: number, source };
        match report.line(line) {
            Line::Process(name) => tree.process(name).map_err(too_much)?,
            Line::Thread { name, weight } => tree.thread(name, weight).map_err(too_much)?,
            Line::Function(row) => tree.function(number, &row).map_err(too_much)?,
            Line::Unreadable { depth, why } => {
                tree.refused.line(number, why);
                tree.ascend(depth).map_err(too_much)?;
            }
            Line::Other => {}
            Line::End => break,
        }
    }
    tree.finish(path, kind, report.as_ref())
}

/// A function whose callees are being read.
struct Open {
    node: u32,
    /// Weight of its own: what it has is less with every function that it called.
    own: u64,
}

struct Tree {
    stacks: NamedStacks,
    names: Spellings,
    counts_callees: bool,
    /// The call path that leads to the process.
    process: u32,
    labels: u32,
    /// By depth: the function that was read last, and those that called it.
    path: Vec<Open>,
    functions: u64,
    refused: Refused,
}

impl Tree {
    fn new(counts_callees: bool) -> Self {
        Self {
            stacks: NamedStacks::new(1),
            names: Spellings::default(),
            counts_callees,
            process: 0,
            labels: 0,
            path: Vec::new(),
            functions: 0,
            refused: Refused::default(),
        }
    }

    fn process(&mut self, name: &str) -> Result<(), TooMuch> {
        self.ascend(0)?;
        let frame = self.stacks.frame(Frame::new(name, "", FrameKind::Process))?;
        self.process = self.stacks.child(0, frame)?;
        Ok(())
    }

    fn thread(&mut self, name: &str, weight: u64) -> Result<(), TooMuch> {
        self.ascend(0)?;
        let labels = LabelSet { keys: vec!["thread".into()], values: vec![name.into()] };
        self.labels = self.stacks.labels(labels)?;
        self.path.push(Open { node: self.process, own: weight });
        Ok(())
    }

    fn function(&mut self, number: u64, row: &Row<'_>) -> Result<(), TooMuch> {
        // What is too deep has no place in the path.
        let deepest = DEEPEST as usize;
        if row.depth > self.path.len() && self.path.len() <= deepest {
            self.refused.line(number, "lies below no line that could be read");
            return Ok(());
        }
        self.functions += 1;
        if row.depth > deepest {
            return self.too_deep(row.weight);
        }
        self.ascend(row.depth)?;
        let key = [&*row.name, &*row.module];
        let frame = || frame_in(&row.name, &row.module, row.kind);
        let frame = self.names.id(&mut self.stacks, &key, frame)?;
        let mut caller = self.process;
        if let Some(open) = self.path.last_mut() {
            caller = open.node;
            if self.counts_callees {
                open.own = open.own.saturating_sub(row.weight);
            }
        }
        let node = self.stacks.child(caller, frame)?;
        self.path.push(Open { node, own: row.weight });
        Ok(())
    }

    /// What is deeper than any stack belongs to the function at the end, which has it already where weights
    /// have their callees'.
    fn too_deep(&mut self, weight: u64) -> Result<(), TooMuch> {
        self.path.truncate(DEEPEST as usize + 1);
        match self.path.last_mut() {
            Some(open) if !self.counts_callees => {
                open.own = open.own.checked_add(weight).ok_or(TooMuch::Weight)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the functions from a depth on.
    fn ascend(&mut self, depth: usize) -> Result<(), TooMuch> {
        while self.path.len() > depth {
            let Some(Open { mut node, own }) = self.path.pop() else { break };
            if own > 0 {
                if node == 0 {
                    let none = self.stacks.frame(frame_of(NO_STACK))?;
                    node = self.stacks.child(0, none)?;
                }
                self.stacks.add(node, self.labels, 0, [own])?;
            }
        }
        Ok(())
    }

    fn finish(
        mut self,
        path: &Path,
        kind: NamedKind,
        report: &dyn Report,
    ) -> Result<Named, TextError> {
        if self.functions == 0 {
            return Err(TextError::NoStack);
        }
        let whole = |source| TextError::TooMuch { line: 0, source };
        self.ascend(0).map_err(whole)?;
        let Measured { measure, sample_weight, notes } = report.measured();
        let facts = Facts { kind, measures: vec![measure], preferred: 0 };
        let mut named = self.stacks.finish(path, facts).map_err(whole)?;
        named.period = vec![sample_weight];
        named.notes = notes;
        named.statements = self.refused.statements();
        named.statements.extend(report.cut().map(str::to_owned));
        Ok(named)
    }
}
