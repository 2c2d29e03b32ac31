//! Which of the processes run Go programs, so that the BPF program looks for their goroutines.

use profile::ModuleKind;
use rustc_hash::FxHashMap;

use crate::open_mapped;
use crate::process::Process;
use crate::record::GoProgram;

/// Processes known at a time: bounds memory.
const MAX_PROCESSES: usize = 8192;

/// The processes that were looked at.
#[derive(Default, Debug)]
pub(crate) struct GoPrograms {
    /// By pid: the image looked at, and whether it is a Go program.
    looked_at: FxHashMap<u32, (u64, bool)>,
}

impl GoPrograms {
    /// Looks at a process if its program has not been looked at, and is known. Returns what has changed: the
    /// program under its number, or that it is none of Go's any more.
    pub(crate) fn note(&mut self, process: &Process) -> Option<Option<GoProgram>> {
        let before = self.looked_at.get(&process.pid).copied();
        if before.is_some_and(|(uid, _)| uid == process.uid)
            || (before.is_none() && self.looked_at.len() >= MAX_PROCESSES)
        {
            return None;
        }
        let program = look(process)?;
        self.looked_at.insert(process.pid, (process.uid, program.is_some()));
        (program.is_some() || before.is_some_and(|(_, was_go)| was_go)).then_some(program)
    }

    /// Forgets a process that ended, and its earlier images: the last one need not have had a sample. Returns whether it was a Go program.
    pub(crate) fn forget(&mut self, pid: u32, uid: u64) -> bool {
        match self.looked_at.get(&pid) {
            Some((known, _)) if *known <= uid => {
                self.looked_at.remove(&pid).is_some_and(|(_, is_go)| is_go)
            }
            _ => false,
        }
    }
}

/// What the program of a process says; `None`: it is not mapped yet. A program lies below its libraries.
fn look(process: &Process) -> Option<Option<GoProgram>> {
    let regions = process.maps()?.regions();
    let program = regions.iter().find(|region| region.file.kind == ModuleKind::File)?;
    let known = program.file.facts.borrow().as_ref().map(|facts| facts.go_runtime);
    let look = || open_mapped::open(process.pid, program)?.1.go_runtime;
    let runtime = known.unwrap_or_else(look);
    Some(runtime.map(|runtime| GoProgram {
        switch_address:
            program.start.wrapping_sub(program.file_offset).wrapping_add(runtime.switch_at),
        offsets: runtime.offsets,
    }))
}

#[cfg(test)]
#[path = "go_programs_tests.rs"]
mod tests;
