//! Follows processes through fork, exec, mmap and exit, so that every address can be placed in what
//! was mapped where at that time.

mod ending;

use std::rc::Rc;

use profile::{ModuleKind, Text};
use rustc_hash::FxHashMap;

use crate::mapped_file::{MappedFile, MappedFiles, unescape};
use crate::maps::{AddressMap, MapsEntry, Region};
use crate::sideband::{Change, Identity, NewMapping, SideBand};
use crate::world::{HostFacts, World};

pub(crate) use ending::Ended;

/// Maps of sampled processes are read again this often: the kernel reports neither munmap nor mremap.
const REFRESH_NS: u64 = 5_000_000_000;
/// … and not before this, when a leaf lies outside every known mapping.
const RETRY_NS: u64 = 100_000_000;
/// A read may take this share of the time until the next one (1/1000): 65,000 mappings take 15 ms.
const READ_COST_FACTOR: u64 = 1000;
/// Processes kept without ever having been sampled: bounds a fork storm under `-a`.
const MAX_PROCESSES: usize = 32_768;

/// Which processes are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Following {
    /// Everything.
    All,
    /// The targets and their later children.
    TargetsAndChildren,
    /// The targets only.
    Targets,
}

/// One process image.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start_ns: u64,
    /// 0 before the first exec seen.
    pub(crate) image: u32,
    pub(crate) image_ns: u64,
    pub(crate) parent: u32,
    /// Different for every image of every process.
    pub(crate) uid: u64,
    /// Different for every state of every image's mappings: what was resolved under one context
    /// holds as long as the context stays.
    pub(crate) context: u64,
    /// The program, when its mapping was seen.
    pub(crate) exe: Option<Rc<MappedFile>>,
    pub(crate) facts: Option<HostFacts>,
    pub(crate) sampled: bool,
    maps: Option<Rc<AddressMap>>,
    /// Side-band mappings up to then are contained in `maps`.
    read_ns: u64,
    next_read_ns: u64,
    /// Born while we watched and still running its parent's program.
    forked: bool,
    sampled_since_read: bool,
    /// Records were lost: it may have mapped, called exec or ended without our knowing.
    doubtful: bool,
    /// Records were lost since it was last seen to live.
    perhaps_gone: bool,
    /// Its first thread ended, or the last of those that outlived it.
    ended_ns: Option<u64>,
    /// Other threads ran on after the end of the first one.
    alive_ns: u64,
}

impl Process {
    /// What is mapped; `None`: not known.
    pub(crate) fn maps(&self) -> Option<&AddressMap> {
        self.maps.as_deref()
    }

    /// File name of the program; empty when unknown.
    pub(crate) fn program(&self) -> Text {
        let path = match (&self.exe, &self.facts) {
            (Some(exe), _) => &*exe.path,
            (None, Some(facts)) => &*facts.exe.0,
            (None, None) => &[],
        };
        Text::from(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
    }
}

/// All processes followed.
#[derive(Debug)]
pub(crate) struct Processes {
    following: Following,
    table: FxHashMap<u32, Process>,
    files: MappedFiles,
    numbers: u64,
}

impl Processes {
    pub(crate) fn new(following: Following) -> Self {
        Self { following, table: FxHashMap::default(), files: MappedFiles::default(), numbers: 0 }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn new_process(&mut self, pid: u32, parent: u32, start_ns: u64) -> Process {
        let uid = self.number();
        Process {
            pid,
            start_ns,
            image: 0,
            image_ns: start_ns,
            parent,
            uid,
            context: uid,
            exe: None,
            facts: None,
            sampled: false,
            maps: None,
            read_ns: 0,
            next_read_ns: 0,
            forked: false,
            sampled_since_read: false,
            doubtful: false,
            perhaps_gone: false,
            ended_ns: None,
            alive_ns: 0,
        }
    }

    /// A process that is followed.
    pub(crate) fn get(&self, pid: u32) -> Option<&Process> {
        self.table.get(&pid)
    }

    pub(crate) fn get_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.table.get_mut(&pid)
    }

    /// Takes note of something that happened. Call in order of time.
    pub(crate) fn apply(&mut self, record: SideBand, world: &mut impl World) {
        let SideBand { time_ns, pid, tid, change } = record;
        match change {
            Change::Map(mapping) => self.map(pid, time_ns, &mapping),
            Change::Exec => self.exec(pid, time_ns, world),
            Change::Fork { parent } => self.fork(pid, parent, time_ns),
            Change::ThreadExit => {
                let process = self.table.get_mut(&pid);
                // Other threads may outlive the first one, and samples of it are on their way.
                if let Some(process) = process.filter(|p| tid == pid || p.ended_ns.is_some()) {
                    process.ended_ns = Some(time_ns);
                }
            }
            Change::Lost { .. } => {
                for process in self.table.values_mut() {
                    process.doubtful = true;
                    process.perhaps_gone = true;
                    process.next_read_ns = process.next_read_ns.min(time_ns);
                }
            }
        }
    }

    fn map(&mut self, pid: u32, time_ns: u64, new: &NewMapping) {
        let number = self.number();
        let Some(process) = self.table.get_mut(&pid) else { return };
        // Unknown maps are read as a whole when they are needed.
        let Some(maps) = &mut process.maps else { return };
        if time_ns <= process.read_ns {
            return;
        }
        let file = self.files.intern(&new.path, new.identity);
        if process.exe.is_none() && process.image > 0 && file.kind == ModuleKind::File {
            process.exe = Some(Rc::clone(&file)); // exec maps the program before its interpreter
        }
        Rc::make_mut(maps).insert(Region {
            start: new.start,
            end: new.start.saturating_add(new.bytes),
            file_offset: new.file_offset,
            file,
        });
        process.context = number;
    }

    fn exec(&mut self, pid: u32, time_ns: u64, world: &mut impl World) {
        if !self.table.contains_key(&pid) {
            if self.following != Following::All {
                return;
            }
            let stat = world.stat(pid);
            let (start_ns, parent) = stat.map_or((time_ns, 0), |s| (s.start_ns, s.parent));
            let process = self.new_process(pid, parent, start_ns);
            self.table.insert(pid, process);
        }
        let uid = self.number();
        let Some(process) = self.table.get_mut(&pid) else { return };
        process.image += 1;
        process.image_ns = time_ns;
        process.uid = uid;
        process.context = uid;
        process.exe = None;
        process.facts = None;
        process.sampled = false;
        process.forked = false;
        // All mappings of the new image are reported after this.
        process.maps = Some(Rc::default());
        process.read_ns = 0;
        process.next_read_ns = time_ns + RETRY_NS;
        // A thread other than the first that calls exec ends the first one before.
        process.ended_ns = None;
    }

    fn fork(&mut self, pid: u32, parent: u32, time_ns: u64) {
        let follow = match self.following {
            Following::All => true,
            Following::TargetsAndChildren => self.table.contains_key(&parent),
            Following::Targets => false,
        };
        if !follow {
            return;
        }
        if self.table.len() >= MAX_PROCESSES {
            self.table.retain(|_, process| process.sampled);
        }
        let mut child = self.new_process(pid, parent, time_ns);
        child.forked = true;
        if let Some(parent) = self.table.get(&parent) {
            child.maps = parent.maps.clone();
            child.exe = parent.exe.clone();
        }
        self.table.insert(pid, child);
    }

    /// Follows a process from now on.
    pub(crate) fn add_target(&mut self, pid: u32, world: &mut impl World) {
        let now_ns = world.now_ns();
        self.know(pid, now_ns, world);
        self.read(pid, pid, now_ns, world);
    }

    fn know(&mut self, pid: u32, time_ns: u64, world: &mut impl World) {
        if !self.table.contains_key(&pid) {
            let stat = world.stat(pid);
            let (start_ns, parent) = stat.map_or((time_ns, 0), |s| (s.start_ns, s.parent));
            let process = self.new_process(pid, parent, start_ns);
            self.table.insert(pid, process);
        }
    }

    /// The process of a sample, known from now on at the latest. Its maps are read if they are not
    /// known, or if they are not right any more: `leaf` lies outside.
    pub(crate) fn of_sample(
        &mut self,
        pid: u32,
        tid: u32,
        time_ns: u64,
        leaf: Option<u64>,
        world: &mut impl World,
    ) -> &Process {
        self.know(pid, time_ns, world);
        let mut due = false;
        if let Some(process) = self.table.get_mut(&pid) {
            process.sampled = true;
            process.sampled_since_read = true;
            let outside = |leaf| process.maps().is_none_or(|maps| maps.find(leaf).is_none());
            let wrong = process.doubtful || leaf.is_some_and(outside);
            due = leaf.is_some() && wrong && time_ns >= process.next_read_ns;
        }
        if due {
            self.read(pid, tid, time_ns, world);
        }
        self.table.get(&pid).expect("known a few lines above")
    }

    /// Reads the maps of a process as of now, for the sake of what it did at `time_ns`.
    fn read(&mut self, pid: u32, tid: u32, time_ns: u64, world: &mut impl World) {
        self.settle_doubt(pid, world);
        let began_ns = world.now_ns();
        let mut read = self.read_maps(tid, world);
        let read_ns = world.now_ns();
        if read.is_some() && world.replaced_since(pid, time_ns) {
            read = None; // of the next program already
        }
        if read.is_none() {
            read = self.read_parents_maps(pid, world);
        }
        let number = self.number();
        let Some(process) = self.table.get_mut(&pid) else { return };
        let cost_ns = read_ns.saturating_sub(began_ns) * READ_COST_FACTOR;
        process.next_read_ns = read_ns + cost_ns.max(RETRY_NS);
        process.sampled_since_read = false;
        if let Some(read) = read {
            // Before the read: what was mapped during it may have been passed over, and comes again.
            process.read_ns = began_ns;
            if process.maps.as_deref() != Some(&read) {
                process.maps = Some(Rc::new(read));
                process.context = number;
            }
        }
    }

    fn read_maps(&mut self, tid: u32, world: &mut impl World) -> Option<AddressMap> {
        let mut maps = AddressMap::default();
        let files = &mut self.files;
        let read = world.maps(tid, &mut |entry| {
            if entry.executable {
                let MapsEntry { start, end, file_offset, dev, inode, path, .. } = entry;
                let identity = Identity { dev, inode, generation: 0 };
                let file = files.intern(&unescape(path), identity);
                maps.insert(Region { start, end, file_offset, file });
            }
        });
        read.then_some(maps)
    }

    /// A child that has gone, or has called exec since, ran with its parent's maps until then.
    fn read_parents_maps(&mut self, pid: u32, world: &mut impl World) -> Option<AddressMap> {
        let child = self.table.get(&pid)?;
        if !child.forked || child.maps.is_some() {
            return None;
        }
        let (parent, born_ns) = (child.parent, child.start_ns);
        if let Some(maps) = self.table.get(&parent).and_then(|p| p.maps.as_deref()) {
            return Some(maps.clone());
        }
        let maps = self.read_maps(parent, world)?;
        (!world.replaced_since(parent, born_ns)).then_some(maps)
    }

    /// Asks for what only /proc tells, once for each image. A sample is looked at a while after it was
    /// taken: in `sh -c 'a; exec b'` /proc speaks of b by then, and the pid may be another process's.
    pub(crate) fn learn_facts(&mut self, pid: u32, time_ns: u64, world: &mut impl World) {
        let Some(process) = self.table.get(&pid).filter(|p| p.facts.is_none()) else { return };
        // Sampled in exec itself, before the program is mapped: it is what comes next.
        if process.image > 0
            && process.exe.is_none()
            && let Some((mapped_ns, program)) = world.next_mapping(pid)
        {
            self.map(pid, mapped_ns, &program);
        }
        let mut facts = world.facts(pid);
        if facts == HostFacts::default() || world.replaced_since(pid, time_ns) {
            facts = self.facts_from_parent(pid);
        }
        if let Some(process) = self.table.get_mut(&pid) {
            process.facts = Some(facts);
        }
    }

    /// A child runs its parent's program under its parent's name until it calls exec.
    fn facts_from_parent(&self, pid: u32) -> HostFacts {
        let parent_at_birth = || {
            let child = self.table.get(&pid).filter(|child| child.forked)?;
            let parent = self.table.get(&child.parent);
            parent.filter(|parent| parent.image_ns <= child.start_ns)?.facts.clone()
        };
        let facts = parent_at_birth().unwrap_or_default();
        HostFacts { ns_pid: 0, ..facts }
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
