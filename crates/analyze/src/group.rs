//! What stands at the root of every stack: the process, or what `--by` asks for in its place.

use std::str::FromStr;

use profile::{Frame, FrameId, FrameKind, FrameTable, Tables, Text};

use crate::collapse::{Apart, Cell, Grid};
use crate::processes::ProcessNames;
use crate::stacks::LOST;

/// A property of samples that a frame is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// The process's name.
    Process,
    /// The thread's name, numbers in it folded.
    Thread,
    /// The CPU.
    Cpu,
    /// The machine.
    Host,
    /// The control group.
    Cgroup,
    /// The program or library whose code ran.
    Module,
    /// The value of a label.
    Label(String),
}

impl Grouping {
    /// What outputs call it that label samples.
    #[must_use]
    pub fn label_key(&self) -> &str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Cpu => "cpu",
            Self::Host => "host",
            Self::Cgroup => "cgroup",
            Self::Module => "module",
            Self::Label(key) => key,
        }
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        Ok(match given {
            "process" => Self::Process,
            "thread" => Self::Thread,
            "cpu" => Self::Cpu,
            "host" => Self::Host,
            "cgroup" => Self::Cgroup,
            "module" => Self::Module,
            _ => match given.split_once('=') {
                Some(("label", key)) if !key.is_empty() => Self::Label(key.into()),
                _ => {
                    return Err(
                        "give process, thread, cpu, host, cgroup, module or label=KEY".into()
                    );
                }
            },
        })
    }
}

/// By what samples must be told apart for that.
#[must_use]
pub fn apart(by: &[Grouping], grid: Grid) -> Apart {
    Apart {
        thread: by.contains(&Grouping::Thread),
        cpu: by.contains(&Grouping::Cpu),
        labels: by.iter().any(|grouping| matches!(grouping, Grouping::Label(_))),
        grid,
    }
}

/// Makes the first frames of one recording's stacks.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    /// What is asked for, the outermost first.
    pub by: &'a [Grouping],
    /// The recording's tables.
    pub tables: &'a Tables,
    /// The machine's name.
    pub host: &'a Text,
    /// What its processes are called.
    pub processes: &'a ProcessNames,
}

impl Groups<'_> {
    /// The frames of a cell's groups. A module is known only of a whole stack: see
    /// [`Groups::insert_module`].
    pub fn frames(&self, cell: &Cell, frames: &mut FrameTable) -> Vec<FrameId> {
        let mut chain: Vec<FrameId> = Vec::with_capacity(8);
        for grouping in self.by {
            let name = match grouping {
                Grouping::Process => {
                    chain.push(self.processes.frame(cell.process, frames));
                    continue;
                }
                Grouping::Module => continue,
                Grouping::Thread => self.thread(cell),
                Grouping::Cpu => Some(format!("CPU {}", cell.group.cpu)),
                Grouping::Host => Some(self.host.lossy().into_owned()),
                Grouping::Cgroup => self.cgroup(cell),
                Grouping::Label(key) => Some(self.label(cell, key)),
            };
            chain.push(match name {
                Some(name) => frames.intern(Frame::new(&name, "", FrameKind::Process)),
                None => frames.intern(Frame::new(LOST, "", FrameKind::Marker)),
            });
        }
        chain
    }

    /// Puts the module of the code that ran where it is asked for.
    pub fn insert_module(&self, chain: &mut Vec<FrameId>, frames: &mut FrameTable) {
        for (place, _) in self.by.iter().enumerate().filter(|(_, by)| **by == Grouping::Module) {
            let module = chain.last().map(|leaf| frames.get(*leaf).module.clone());
            let name = module.filter(|module| !module.is_empty());
            let name = name.as_deref().unwrap_or("[no module]");
            let frame = frames.intern(Frame::new(name, "", FrameKind::Process));
            chain.insert(place.min(chain.len()), frame);
        }
    }

    fn thread(&self, cell: &Cell) -> Option<String> {
        let thread = self.tables.thread(cell.group.thread)?;
        Some(fold_numbers(&thread.comm.lossy(), self.processes.get(thread.process)))
    }

    fn cgroup(&self, cell: &Cell) -> Option<String> {
        let process = self.tables.process(cell.process)?;
        let path = self.tables.cgroup(process.cgroup).map(|cgroup| cgroup.path.lossy());
        let known = path.filter(|path| !path.is_empty());
        Some(known.map_or_else(|| "[control group not recorded]".into(), |path| path.into_owned()))
    }

    fn label(&self, cell: &Cell, key: &str) -> String {
        let value = self.tables.label_set(cell.group.label_set).and_then(|set| {
            let at = set.keys.iter().position(|k| k.lossy() == key)?;
            Some(set.values.get(at)?.lossy().into_owned())
        });
        value.map_or_else(|| format!("[no {key}]"), |value| format!("{key}={value}"))
    }
}

/// "tokio-worker-12" → "tokio-worker-N": threads of one kind are one group. A number at the end counts
/// only where the name is not the program's own (python3).
#[must_use]
pub fn fold_numbers(comm: &str, process: Option<&str>) -> String {
    if process == Some(comm) {
        return comm.to_owned();
    }
    let chars: Vec<char> = comm.chars().collect();
    let mut folded = String::with_capacity(comm.len());
    let mut at = 0;
    while at < chars.len() {
        let end = at + chars[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if end == at {
            folded.push(chars[at]);
            at += 1;
            continue;
        }
        let apart = at == 0 || !chars[at - 1].is_alphanumeric();
        if apart || end == chars.len() {
            folded.push('N');
        } else {
            folded.extend(&chars[at..end]);
        }
        at = end;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_tell_threads_of_one_kind_apart_are_folded() {
        for (comm, folded) in [
            ("tokio-worker-12", "tokio-worker-N"),
            ("kworker/0:1", "kworker/N:N"),
            ("worker7", "workerN"),
            ("python3", "python3"),
            ("x86-helper", "x86-helper"),
            ("12", "N"),
            ("grün-1", "grün-N"),
        ] {
            assert_eq!(fold_numbers(comm, Some("python3")), folded);
        }
    }

    #[test]
    fn groupings_are_read_by_name() {
        assert_eq!("cpu".parse(), Ok(Grouping::Cpu));
        assert_eq!("label=trace".parse(), Ok(Grouping::Label("trace".into())));
        for wrong in ["label", "label=", "pid", ""] {
            assert!(wrong.parse::<Grouping>().is_err(), "{wrong}");
        }
    }
}
