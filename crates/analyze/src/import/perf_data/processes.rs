//! Who runs, under which name, and with which code mapped: follows fork, exec, comm, mmap and exit.

use std::rc::Rc;

use profile::{ModuleId, ProcessId, Text, ThreadId};
use rustc_hash::FxHashMap;

use super::address_map::{AddressMap, Code, Region};

/// Mappings held at a time, of all processes; a child shares its parent's until it maps something.
const MAX_HELD: usize = 4 << 20;
/// Mappings copied for children that map something. A build of many thousand short processes copies a
/// few millions.
const MAX_COPIED: u64 = 1 << 27;

/// One process image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) pid: u32,
    pub(super) start_ns: u64,
    /// How many times it called exec.
    pub(super) number: u32,
    pub(super) image_ns: u64,
    pub(super) parent: u32,
    map: Rc<AddressMap>,
    /// Changes with the map, and is of this image only.
    pub(super) context: u64,
    /// Number of the module that it executes: the first that it mapped.
    pub(super) exe: Option<u32>,
    /// Its row, once it was sampled, and that of its memory without a file.
    pub(super) row: Option<ProcessId>,
    pub(super) anonymous: Option<ModuleId>,
    threads: u32,
}

impl Image {
    pub(super) fn find(&self, address: u64) -> Option<Region> {
        self.map.find(address)
    }
}

/// One thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) pid: u32,
    pub(super) comm: Text,
    /// Its row, once it was sampled, and of which process row.
    pub(super) row: Option<(ProcessId, ThreadId)>,
}

/// All processes.
#[derive(Default, Debug)]
pub(super) struct Processes {
    images: FxHashMap<u32, Image>,
    threads: FxHashMap<u32, Thread>,
    contexts: u64,
    held: usize,
    copied: u64,
    /// Mappings that were beyond what is held.
    pub(super) dropped: u64,
}

impl Processes {
    pub(super) fn image(&mut self, pid: u32) -> &mut Image {
        let contexts = &mut self.contexts;
        self.images.entry(pid).or_insert_with(|| {
            *contexts += 1;
            Image {
                pid,
                start_ns: 0,
                number: 0,
                image_ns: 0,
                parent: 0,
                map: Rc::default(),
                context: *contexts,
                exe: None,
                row: None,
                anonymous: None,
                threads: 0,
            }
        })
    }

    /// The row of a process, if it was sampled.
    pub(super) fn row(&self, pid: u32) -> Option<ProcessId> {
        self.images.get(&pid)?.row
    }

    /// A thread, which may be seen for the first time.
    pub(super) fn thread(&mut self, pid: u32, tid: u32) -> &mut Thread {
        if self.threads.get(&tid).is_none_or(|known| known.pid != pid) {
            let leader = self.threads.get(&pid).map(|leader| leader.comm.clone());
            // Nobody states the name of the thread that runs when no other does.
            let comm = if tid == 0 { "swapper".into() } else { leader.unwrap_or_default() };
            self.image(pid).threads += 1;
            self.threads.insert(tid, Thread { pid, comm, row: None });
        }
        // Just inserted, if it was not there.
        self.threads.entry(tid).or_insert_with(|| Thread { pid, comm: Text::default(), row: None })
    }

    pub(super) fn comm(&mut self, pid: u32, tid: u32, comm: Text, exec_ns: Option<u64>) {
        if let Some(at_ns) = exec_ns {
            self.exec(pid, at_ns);
        }
        let thread = self.thread(pid, tid);
        if thread.comm != comm {
            (thread.comm, thread.row) = (comm, None);
        }
    }

    fn exec(&mut self, pid: u32, at_ns: u64) {
        let image = self.image(pid);
        let (start_ns, number, parent) = (image.start_ns, image.number, image.parent);
        let threads = image.threads;
        self.drop_image(pid);
        let image = self.image(pid);
        (image.start_ns, image.number, image.parent) = (start_ns, number.saturating_add(1), parent);
        (image.image_ns, image.threads) = (at_ns, threads);
    }

    /// `inherits`: unless perf states the mappings of a process that was there before.
    pub(super) fn fork(&mut self, pid: u32, parent: u32, tid: u32, at_ns: u64, inherits: bool) {
        let comm = self.threads.get(&parent).map(|thread| thread.comm.clone());
        self.threads.remove(&tid);
        if pid != parent {
            let (map, exe) = match self.images.get(&parent) {
                Some(parent) if inherits => (Rc::clone(&parent.map), parent.exe),
                _ => (Rc::default(), None),
            };
            self.drop_image(pid);
            let image = self.image(pid);
            (image.map, image.exe, image.parent) = (map, exe, parent);
            (image.start_ns, image.image_ns) = (at_ns, at_ns);
        }
        let thread = self.thread(pid, tid);
        if let Some(comm) = comm.filter(|_| thread.comm.is_empty()) {
            thread.comm = comm;
        }
    }

    /// Names stay: the kernel still runs for a thread that has ended.
    pub(super) fn exit(&mut self, pid: u32, tid: u32) {
        if self.threads.get(&tid).is_none_or(|thread| thread.pid != pid) {
            return;
        }
        let Some(image) = self.images.get_mut(&pid) else { return };
        image.threads = image.threads.saturating_sub(1);
        if image.threads == 0 {
            let map = std::mem::take(&mut image.map);
            self.give_back(&map);
        }
    }

    pub(super) fn map(&mut self, pid: u32, start: u64, end: u64, region: Option<Region>) {
        self.contexts += 1;
        let (context, held, copied) = (self.contexts, self.held, self.copied);
        let image = self.image(pid);
        image.context = context;
        // One more, and one that is cut in two.
        let mut cost = 2;
        let length = image.map.len();
        if Rc::strong_count(&image.map) > 1 {
            cost += length;
            if copied + length as u64 > MAX_COPIED {
                self.dropped += 1;
                return;
            }
        }
        if held + cost > MAX_HELD {
            self.dropped += 1;
            return;
        }
        let is_copy = cost > 2;
        let map = Rc::make_mut(&mut image.map);
        let fits = match region {
            Some(region) => map.insert(start, region),
            None => {
                map.remove(start, end);
                true
            }
        };
        let after = map.len();
        if let (None, Some(Region { code: Code::Module(number), .. })) = (image.exe, region) {
            image.exe = Some(number);
        }
        self.dropped += u64::from(!fits);
        match is_copy {
            true => {
                self.copied += length as u64;
                self.held += after;
            }
            false => self.held = (self.held + after).saturating_sub(length),
        }
    }

    fn drop_image(&mut self, pid: u32) {
        if let Some(image) = self.images.remove(&pid) {
            self.give_back(&image.map);
        }
    }

    fn give_back(&mut self, map: &Rc<AddressMap>) {
        if Rc::strong_count(map) == 1 {
            self.held = self.held.saturating_sub(map.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(end: u64, number: u32) -> Option<Region> {
        Some(Region { end, base: 0, code: Code::Module(number) })
    }

    fn code(processes: &mut Processes, pid: u32, at: u64) -> Option<Code> {
        processes.image(pid).find(at).map(|region| region.code)
    }

    #[test]
    fn a_child_has_its_parents_code_until_it_executes_something_else() {
        let mut processes = Processes::default();
        processes.comm(1, 1, "shell".into(), None);
        processes.map(1, 10, 20, region(20, 1));
        processes.fork(2, 1, 2, 100, true);
        assert_eq!(code(&mut processes, 2, 15), Some(Code::Module(1)));
        processes.map(2, 30, 40, region(40, 2));
        assert_eq!(code(&mut processes, 1, 35), None, "the parent's is its own");
        assert_eq!(&*processes.thread(2, 2).comm.lossy(), "shell");
        assert_eq!(processes.image(2).exe, Some(1));
        let context = processes.image(2).context;
        processes.comm(2, 2, "ls".into(), Some(200));
        processes.map(2, 10, 20, region(20, 3));
        assert_eq!(code(&mut processes, 2, 15), Some(Code::Module(3)));
        assert_eq!(code(&mut processes, 2, 35), None);
        let image = processes.image(2);
        assert_eq!((image.number, image.image_ns, image.start_ns), (1, 200, 100));
        assert_eq!(image.exe, Some(3));
        assert_ne!(image.context, context);
    }

    #[test]
    fn perf_states_the_mappings_of_processes_that_were_there() {
        let mut processes = Processes::default();
        processes.map(1, 10, 20, region(20, 1));
        processes.fork(2, 1, 2, 0, false);
        assert_eq!(code(&mut processes, 2, 15), None);
    }

    #[test]
    fn a_process_ends_with_its_last_thread_and_keeps_its_name() {
        let mut processes = Processes::default();
        processes.comm(1, 1, "main".into(), None);
        processes.fork(1, 1, 5, 10, true);
        processes.comm(1, 5, "worker".into(), None);
        processes.map(1, 10, 20, region(20, 1));
        processes.exit(1, 1);
        assert_eq!(code(&mut processes, 1, 15), Some(Code::Module(1)));
        processes.exit(1, 5);
        assert_eq!((code(&mut processes, 1, 15), processes.held), (None, 0));
        assert_eq!(&*processes.thread(1, 5).comm.lossy(), "worker");
    }

    #[test]
    fn copies_for_children_are_bounded() {
        let mut processes = Processes::default();
        for n in 0..10_000 {
            processes.map(1, n * 10, n * 10 + 10, region(n * 10 + 10, 1));
        }
        for child in 2..2000 {
            processes.fork(child, 1, child, 0, true);
            processes.map(child, 5, 7, region(7, 2));
        }
        assert!(processes.held <= MAX_HELD && processes.dropped > 1000, "{}", processes.dropped);
    }
}
