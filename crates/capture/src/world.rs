//! What we ask the running system about processes; a test answers by itself.

use profile::Text;

use crate::events::Events;
use crate::host;
use crate::maps::{MapsEntry, parse_line};
use crate::pending::Later;
use crate::perf_map_file::{NoMap, PerfMapPlace};
use crate::procfs::{self, Stat};
use crate::sideband::NewMapping;

/// What can be asked.
pub(crate) trait World {
    /// Birth and parent of a process, and whether it lives.
    fn stat(&mut self, pid: u32) -> Option<Stat>;
    /// What /proc tells of a process; everything empty: it has gone.
    fn facts(&mut self, pid: u32) -> HostFacts;
    /// Calls `sink` with every mapping of a process or thread; `false`: it has gone.
    fn maps(&mut self, tid: u32, sink: &mut dyn FnMut(MapsEntry<'_>)) -> bool;
    /// Whether the process called exec, or ended and left its pid to a new one, after `time_ns` and
    /// before now, so that what /proc says now is about another program.
    fn replaced_since(&mut self, pid: u32, time_ns: u64) -> bool;
    /// What the process maps first after what has been applied, and when, if that is known by now.
    fn next_mapping(&mut self, pid: u32) -> Option<(u64, NewMapping)>;
    /// Where the process keeps its perf-PID.map.
    fn perf_map_place(&mut self, pid: u32) -> Result<PerfMapPlace, NoMap>;
    /// `CLOCK_MONOTONIC`.
    fn now_ns(&mut self) -> u64;
}

/// What only /proc tells, read when a process image is first sampled.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct HostFacts {
    pub(crate) argv0: Text,
    pub(crate) ns_pid: u32,
    pub(crate) mount_ns: Text,
    /// Path of the program.
    pub(crate) exe: Text,
}

/// The system as it is now.
pub(crate) struct RunningSystem<'a> {
    pub(crate) later: &'a mut Later,
    pub(crate) events: &'a mut Events,
}

impl World for RunningSystem<'_> {
    fn stat(&mut self, pid: u32) -> Option<Stat> {
        procfs::stat(pid)
    }

    fn facts(&mut self, pid: u32) -> HostFacts {
        HostFacts {
            argv0: procfs::argv0(pid),
            ns_pid: procfs::status(pid).map_or(0, |status| status.innermost_pid),
            mount_ns: procfs::mount_namespace(pid),
            exe: procfs::exe(pid),
        }
    }

    fn maps(&mut self, tid: u32, sink: &mut dyn FnMut(MapsEntry<'_>)) -> bool {
        procfs::for_each_maps_line(tid, |line| {
            if let Some(entry) = parse_line(line) {
                sink(entry);
            }
        })
    }

    fn replaced_since(&mut self, pid: u32, time_ns: u64) -> bool {
        self.later.drain(self.events);
        self.later.replaced_after(pid, time_ns)
    }

    fn next_mapping(&mut self, pid: u32) -> Option<(u64, NewMapping)> {
        self.later.drain(self.events);
        self.later.next_mapping(pid)
    }

    fn perf_map_place(&mut self, pid: u32) -> Result<PerfMapPlace, NoMap> {
        PerfMapPlace::of_process(pid)
    }

    fn now_ns(&mut self) -> u64 {
        host::monotonic_ns()
    }
}
