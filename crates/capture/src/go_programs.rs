//! Which of the processes run Go programs, so that the BPF program looks for their goroutines.

use profile::ModuleKind;
use rustc_hash::FxHashMap;

use crate::go_runtime::GoRuntime;
use crate::maps::Region;
use crate::open_mapped;
use crate::process::Process;
use crate::record::GoProgram;
use crate::sideband::Identity;

/// Processes known at a time: bounds memory.
const MAX_PROCESSES: usize = 8192;

/// Files remembered at a time; likewise.
const MAX_FILES: usize = 4096;

/// The processes that were looked at.
#[derive(Default, Debug)]
pub(crate) struct GoPrograms {
    /// By pid: the image looked at, and whether it is a Go program.
    looked_at: FxHashMap<u32, (u64, bool)>,
    /// What was found in files: many processes run few programs.
    files: FxHashMap<Identity, Option<GoRuntime>>,
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
        let program = self.look(process)?;
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

    /// What the program of a process says; `None`: it is not mapped yet. A program lies below its libraries.
    fn look(&mut self, process: &Process) -> Option<Option<GoProgram>> {
        let regions = process.maps()?.regions();
        let program = regions.iter().find(|region| region.file.kind == ModuleKind::File)?;
        let known = program.file.facts.borrow().as_ref().map(|facts| facts.go_runtime);
        let runtime = known.unwrap_or_else(|| self.look_into(process.pid, program));
        Some(runtime.map(|runtime| GoProgram {
            switch_address:
                program.start.wrapping_sub(program.file_offset).wrapping_add(runtime.switch_at),
            offsets: runtime.offsets,
        }))
    }

    fn look_into(&mut self, pid: u32, program: &Region) -> Option<GoRuntime> {
        let identity = program.file.identity;
        if let Some(known) = self.files.get(&identity) {
            return *known;
        }
        let (_, facts) = open_mapped::open(pid, program)?;
        if identity.inode != 0 {
            if self.files.len() >= MAX_FILES {
                self.files.clear();
            }
            self.files.insert(identity, facts.go_runtime);
        }
        facts.go_runtime
    }
}

#[cfg(test)]
#[path = "go_programs_tests.rs"]
mod tests;
