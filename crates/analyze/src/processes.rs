//! What processes are called: the first frame of every stack.

use profile::{Frame, FrameId, FrameKind, FrameTable, ProcessId, Tables};

use crate::stacks::LOST;

/// Names of a recording's processes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessNames {
    names: Vec<String>,
}

impl ProcessNames {
    /// The comm of each process's leading thread as recorded last; where that thread was never
    /// sampled, the name of the executable or of the command, and where neither is known, any
    /// thread's.
    #[must_use]
    pub fn new(tables: &Tables) -> Self {
        let mut leader = vec![None; tables.processes.len()];
        let mut any = vec![None; tables.processes.len()];
        for thread in &tables.threads {
            let Some(process) = tables.process(thread.process) else { continue };
            if thread.comm.is_empty() {
                continue;
            }
            let index = thread.process.index() - 1;
            any[index].get_or_insert(&thread.comm);
            if thread.tid.0 == process.pid.0 {
                leader[index] = Some(&thread.comm);
            }
        }
        let names = tables
            .processes
            .iter()
            .enumerate()
            .map(|(index, process)| {
                let exe = tables.module(process.exe).map(|m| m.path.file_name().into_owned());
                leader[index]
                    .map(|comm| comm.lossy().into_owned())
                    .or_else(|| exe.filter(|name| !name.is_empty()))
                    .or_else(|| {
                        Some(process.argv0.file_name().into_owned()).filter(|n| !n.is_empty())
                    })
                    .or_else(|| any[index].map(|comm| comm.lossy().into_owned()))
                    .unwrap_or_else(|| format!("process {}", process.pid.0))
            })
            .collect();
        Self { names }
    }

    /// The name of a process.
    #[must_use]
    pub fn get(&self, id: ProcessId) -> Option<&str> {
        self.names.get(id.index().checked_sub(1)?).map(String::as_str)
    }

    /// All names.
    pub fn all(&self) -> impl Iterator<Item = &str> + '_ {
        self.names.iter().map(String::as_str)
    }

    /// The frame of a process; a marker where its definition was lost.
    pub fn frame(&self, id: ProcessId, frames: &mut FrameTable) -> FrameId {
        frames.intern(match self.get(id) {
            Some(name) => Frame::new(name, "", FrameKind::Process),
            None => Frame::new(LOST, "", FrameKind::Marker),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{CgroupId, Module, ModuleId, ModuleKind, Pid, Process, Text, Thread, Tid};

    fn process(pid: u32, exe: u32) -> Process {
        Process {
            pid: Pid(pid),
            start_ns: 0,
            image: 0,
            image_ns: 0,
            parent: ProcessId::NONE,
            ns_pid: 0,
            cgroup: CgroupId::NONE,
            exe: ModuleId(exe),
            argv0: Text::default(),
        }
    }

    fn thread(tid: u32, process: u32, comm: &str) -> Thread {
        Thread { tid: Tid(tid), process: ProcessId(process), comm: comm.into(), start_ns: 0 }
    }

    #[test]
    fn a_process_is_called_by_its_leader_or_else_by_its_program() {
        let tables = Tables {
            processes: vec![process(10, 1), process(20, 1), process(30, 0), process(40, 0)],
            threads: vec![
                thread(11, 1, "worker"),
                thread(10, 1, "python3"),
                thread(10, 1, "renamed"),
                thread(21, 2, "worker"),
                thread(31, 3, "kworker/0:1"),
            ],
            modules: vec![Module::new(ModuleKind::File, "/usr/bin/server")],
            ..Tables::default()
        };
        let names = ProcessNames::new(&tables);
        let get = |id| names.get(ProcessId(id));
        assert_eq!(get(1), Some("renamed"));
        assert_eq!(get(2), Some("server"));
        assert_eq!(get(3), Some("kworker/0:1"));
        assert_eq!(get(4), Some("process 40"));
        assert_eq!(get(0), None);
        let mut frames = FrameTable::default();
        let lost = names.frame(ProcessId(0), &mut frames);
        assert_eq!(frames.get(lost).kind, FrameKind::Marker);
    }
}
