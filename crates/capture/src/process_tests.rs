//! Histories of processes, and what is known of them at the end.

use std::collections::BTreeMap;

use super::ending::LINGER_NS;
use super::*;
use crate::maps::MapsEntry;
use crate::perf_map_file::{NoMap, PerfMapPlace};
use crate::procfs::Stat;

/// A system of which only this is known.
#[derive(Default)]
struct Fake {
    /// Path of the one executable mapping (at 0x1000) of each living process.
    maps: BTreeMap<u32, &'static str>,
    births: BTreeMap<u32, u64>,
    /// Processes that called exec or left their pid to another after everything that was drained,
    /// and when.
    replaced: BTreeMap<u32, u64>,
    /// What will be applied next.
    next: Option<SideBand>,
    now_ns: u64,
    reads: usize,
}

impl World for Fake {
    fn stat(&mut self, pid: u32) -> Option<Stat> {
        Some(Stat { start_ns: *self.births.get(&pid)?, parent: 1, alive: true })
    }

    fn facts(&mut self, pid: u32) -> HostFacts {
        let argv0 = self.maps.get(&pid).map(|path| Text::from(*path)).unwrap_or_default();
        HostFacts { argv0, ..HostFacts::default() }
    }

    fn maps(&mut self, tid: u32, sink: &mut dyn FnMut(MapsEntry<'_>)) -> bool {
        self.reads += 1;
        let Some(path) = self.maps.get(&tid) else { return false };
        let entry = |start, executable| MapsEntry {
            start,
            end: start + 0x1000,
            executable,
            file_offset: 0,
            dev: (8, 1),
            inode: 5,
            path: path.as_bytes(),
        };
        sink(entry(0x1000, true));
        sink(entry(0x8000, false));
        true
    }

    fn replaced_since(&mut self, pid: u32, time_ns: u64) -> bool {
        self.replaced.get(&pid).is_some_and(|at_ns| *at_ns > time_ns)
    }

    fn next_mapping(&mut self, pid: u32) -> Option<(u64, NewMapping)> {
        let next = self.next.as_ref().filter(|next| next.pid == pid)?;
        let Change::Map(mapping) = &next.change else { return None };
        Some((next.time_ns, mapping.clone()))
    }

    fn perf_map_place(&mut self, _pid: u32) -> Result<PerfMapPlace, NoMap> {
        Err(NoMap::Gone)
    }

    fn now_ns(&mut self) -> u64 {
        self.now_ns
    }
}

fn at(time_ns: u64, pid: u32, change: Change) -> SideBand {
    SideBand { time_ns, pid, tid: pid, change }
}

fn mapping(time_ns: u64, pid: u32, start: u64, path: &str) -> SideBand {
    let identity = Identity { dev: (8, 1), inode: 9, generation: 0 };
    let path = path.as_bytes().into();
    let new = NewMapping { start, bytes: 0x1000, file_offset: 0, identity, path };
    at(time_ns, pid, Change::Map(new))
}

/// What a sample at an address finds: the path mapped there.
fn seen(
    processes: &mut Processes,
    world: &mut Fake,
    pid: u32,
    time_ns: u64,
    address: u64,
) -> Option<String> {
    let process = processes.of_sample(pid, pid, time_ns, Some(address), world);
    let region = process.maps()?.find(address)?;
    Some(String::from_utf8_lossy(&region.file.path).into_owned())
}

fn path(path: &str) -> Option<String> {
    Some(path.to_owned())
}

#[test]
fn a_process_alive_before_us_is_read_when_it_is_first_sampled() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/old")]), ..Fake::default() };
    world.births.insert(7, 123);
    let mut processes = Processes::new(Following::All);
    processes.apply(mapping(5, 7, 0x9000, "/not-needed"), &mut world);
    assert_eq!(world.reads, 0, "nobody has asked");
    assert_eq!(seen(&mut processes, &mut world, 7, 10, 0x1800), path("/old"));
    assert_eq!(seen(&mut processes, &mut world, 7, 11, 0x1900), path("/old"));
    assert_eq!(world.reads, 1);
    assert_eq!(processes.get(7).unwrap().start_ns, 123);
}

#[test]
fn exec_begins_a_new_image_with_the_maps_that_are_reported() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/old")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    assert_eq!(seen(&mut processes, &mut world, 7, 10, 0x1800), path("/old"));
    let before = processes.get(7).unwrap().uid;

    processes.apply(at(20, 7, Change::Exec), &mut world);
    processes.apply(mapping(21, 7, 0x4000, "/new"), &mut world);
    processes.apply(mapping(22, 7, 0x6000, "/ld.so"), &mut world);
    let process = processes.get(7).unwrap();
    assert_eq!((process.image, process.image_ns), (1, 20));
    assert_ne!(process.uid, before);
    assert_eq!(&*process.exe.as_ref().unwrap().path, b"/new");
    assert_eq!(seen(&mut processes, &mut world, 7, 30, 0x4010), path("/new"));
    assert_eq!(seen(&mut processes, &mut world, 7, 30, 0x1800), None, "the old image has gone");
    assert_eq!(world.reads, 1, "nothing was read: all of it is reported");
}

#[test]
fn a_program_sampled_before_it_is_mapped_is_known_all_the_same() {
    let mut world = Fake { next: Some(mapping(23, 7, 0x4000, "/new")), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    processes.apply(at(20, 7, Change::Exec), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 7, 22, 0x1800), None, "still in exec itself");
    processes.learn_facts(7, 22, &mut world);
    let exe = |processes: &Processes| processes.get(7).unwrap().exe.clone().unwrap();
    assert_eq!(&*exe(&processes).path, b"/new");

    processes.apply(world.next.take().unwrap(), &mut world);
    processes.apply(mapping(24, 7, 0x6000, "/ld.so"), &mut world);
    assert_eq!(&*exe(&processes).path, b"/new");
    assert_eq!(seen(&mut processes, &mut world, 7, 30, 0x4010), path("/new"));
}

#[test]
fn a_child_runs_with_its_parents_maps_until_it_calls_exec() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/shell")]), ..Fake::default() };
    let mut processes = Processes::new(Following::TargetsAndChildren);
    processes.add_target(7, &mut world);
    processes.apply(at(20, 8, Change::Fork { parent: 7 }), &mut world);
    // Mapped by the child alone.
    processes.apply(mapping(21, 8, 0x9000, "/plugin"), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 8, 25, 0x1800), path("/shell"));
    assert_eq!(seen(&mut processes, &mut world, 8, 25, 0x9100), path("/plugin"));
    assert_eq!(seen(&mut processes, &mut world, 7, 25, 0x9100), None);
    let child = processes.get(8).unwrap();
    assert_eq!((child.start_ns, child.image, child.parent), (20, 0, 7));
}

#[test]
fn what_proc_says_of_the_next_program_is_not_believed() {
    // 8 was born of 7, was sampled, and has called exec by the time we look.
    let mut world =
        Fake { maps: BTreeMap::from([(7, "/shell"), (8, "/compiler")]), ..Fake::default() };
    world.replaced.insert(8, 30);
    let mut processes = Processes::new(Following::All);
    processes.apply(at(20, 8, Change::Fork { parent: 7 }), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 8, 25, 0x1800), path("/shell"));

    // Likewise 9, but it lived before us: nobody knows what it had mapped.
    world.maps.insert(9, "/compiler");
    world.replaced.insert(9, 30);
    assert_eq!(seen(&mut processes, &mut world, 9, 25, 0x1800), None);
}

#[test]
fn a_name_is_never_the_next_programs() {
    let mut world =
        Fake { maps: BTreeMap::from([(7, "sh"), (8, "cc"), (9, "ls")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    let argv0 = |processes: &mut Processes, world: &mut Fake, pid| {
        processes.learn_facts(pid, 25, world);
        processes.get(pid).unwrap().facts.as_ref().unwrap().argv0.clone()
    };
    seen(&mut processes, &mut world, 7, 10, 0x1800);
    seen(&mut processes, &mut world, 9, 10, 0x1800);
    assert_eq!(argv0(&mut processes, &mut world, 7), Text::from("sh"));
    processes.apply(at(20, 8, Change::Fork { parent: 7 }), &mut world);
    // Both have called exec by the time we look: the one was born of sh, nobody knows what the other was.
    world.replaced = BTreeMap::from([(8, 30), (9, 30)]);
    assert_eq!(argv0(&mut processes, &mut world, 8), Text::from("sh"));
    assert_eq!(argv0(&mut processes, &mut world, 9), Text::default());
    processes.apply(at(30, 8, Change::Exec), &mut world);
    processes.learn_facts(8, 31, &mut world);
    assert_eq!(processes.get(8).unwrap().facts.as_ref().unwrap().argv0, Text::from("cc"));
}

#[test]
fn a_child_that_has_gone_already_is_known_by_its_parent() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/shell")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    processes.apply(at(20, 8, Change::Fork { parent: 7 }), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 8, 25, 0x1800), path("/shell"));
    // One whose parent has gone too is not.
    processes.apply(at(20, 18, Change::Fork { parent: 17 }), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 18, 25, 0x1800), None);
}

#[test]
fn mappings_reported_before_the_maps_were_read_are_in_them() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/now")]), now_ns: 100, ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    processes.add_target(7, &mut world);
    processes.apply(mapping(90, 7, 0x1000, "/unmapped-since"), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 7, 110, 0x1800), path("/now"));
    processes.apply(mapping(120, 7, 0x1000, "/later"), &mut world);
    assert_eq!(seen(&mut processes, &mut world, 7, 130, 0x1800), path("/later"));
}

#[test]
fn a_leaf_outside_every_mapping_has_them_read_again_but_not_always() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    for time in 0..50 {
        assert_eq!(seen(&mut processes, &mut world, 7, time, 0x5000), None);
    }
    assert_eq!(world.reads, 1);
    world.now_ns = RETRY_NS;
    assert_eq!(seen(&mut processes, &mut world, 7, RETRY_NS, 0x5000), None);
    assert_eq!(world.reads, 2);
}

#[test]
fn maps_of_sampled_processes_are_refreshed() {
    let maps = BTreeMap::from([(7, "/a"), (8, "/idle")]);
    let mut world = Fake { maps, now_ns: 1, ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    processes.add_target(7, &mut world);
    processes.add_target(8, &mut world);
    let context = processes.get(7).unwrap().context;
    seen(&mut processes, &mut world, 7, 5, 0x1800);
    world.now_ns = 2 * REFRESH_NS;
    processes.tidy(world.now_ns, world.now_ns, &mut world);
    assert_eq!(world.reads, 3, "only what was sampled");
    assert_eq!(processes.get(7).unwrap().context, context, "nothing has changed");

    seen(&mut processes, &mut world, 7, 2 * REFRESH_NS + 1, 0x1800);
    world.maps.insert(7, "/b");
    world.now_ns = 4 * REFRESH_NS;
    processes.tidy(world.now_ns, world.now_ns, &mut world);
    assert_ne!(processes.get(7).unwrap().context, context);
    assert_eq!(seen(&mut processes, &mut world, 7, 4 * REFRESH_NS, 0x1800), path("/b"));
}

#[test]
fn a_refresh_does_not_take_the_next_programs_maps() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), now_ns: 1, ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    seen(&mut processes, &mut world, 7, 5, 0x1800);
    seen(&mut processes, &mut world, 7, 6, 0x1800);
    // It has called exec, which is not applied yet.
    let now_ns = 2 * REFRESH_NS;
    world.maps.insert(7, "/next");
    world.replaced.insert(7, now_ns - 10);
    world.now_ns = now_ns;
    processes.tidy(now_ns, now_ns - 20, &mut world);
    assert_eq!(world.reads, 2);
    assert_eq!(seen(&mut processes, &mut world, 7, now_ns - 15, 0x1800), path("/a"));
}

#[test]
fn after_a_loss_a_reused_pid_is_noticed() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
    world.births.insert(7, 5);
    let mut processes = Processes::new(Following::All);
    seen(&mut processes, &mut world, 7, 10, 0x1800);
    let before = processes.get(7).unwrap().uid;

    processes.apply(at(20, 0, Change::Lost { records: 3 }), &mut world);
    world.births.insert(7, 9_000_000_000);
    world.maps.insert(7, "/b");
    assert_eq!(seen(&mut processes, &mut world, 7, 9_000_000_001, 0x1800), path("/b"));
    let process = processes.get(7).unwrap();
    assert_ne!(process.uid, before);
    assert_eq!(process.start_ns, 9_000_000_000);
}

#[test]
fn a_process_is_forgotten_a_while_after_its_first_thread_ended() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    processes.add_target(7, &mut world);
    let uid = processes.get(7).unwrap().uid;
    let thread_exit = |time_ns, tid| SideBand { time_ns, pid: 7, tid, change: Change::ThreadExit };
    processes.apply(thread_exit(10, 70), &mut world);
    assert_eq!(
        processes.tidy(10 * LINGER_NS, 10 * LINGER_NS, &mut world),
        [],
        "only another thread"
    );
    processes.apply(thread_exit(20, 7), &mut world);
    processes.apply(thread_exit(30, 71), &mut world);
    assert_eq!(processes.tidy(30, 30, &mut world), []);
    let ended = processes.tidy(30 + LINGER_NS, 30 + LINGER_NS, &mut world);
    assert_eq!(ended, [Ended { pid: 7, uid, at_ns: 30 }]);
    assert!(processes.get(7).is_none());
}

#[test]
fn a_process_whose_first_thread_ended_lives_on_as_the_same_process() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
    world.births.insert(7, 5);
    let mut processes = Processes::new(Following::All);
    seen(&mut processes, &mut world, 7, 6, 0x1800);
    let uid = processes.get(7).unwrap().uid;
    let thread_exit = |time_ns, tid| SideBand { time_ns, pid: 7, tid, change: Change::ThreadExit };
    processes.apply(thread_exit(10, 7), &mut world);
    for now_ns in [2 * LINGER_NS, 3 * LINGER_NS, 9 * LINGER_NS] {
        assert_eq!(processes.tidy(now_ns, now_ns, &mut world), []);
        seen(&mut processes, &mut world, 7, now_ns, 0x1800);
    }
    world.births.clear();
    let at_ns = 10 * LINGER_NS;
    processes.apply(thread_exit(at_ns, 71), &mut world);
    assert_eq!(processes.tidy(at_ns + 1, at_ns + 1, &mut world), []);
    let ended = processes.tidy(11 * LINGER_NS, 11 * LINGER_NS, &mut world);
    assert_eq!(ended, [Ended { pid: 7, uid, at_ns }]);
}

#[test]
fn after_a_loss_processes_that_ended_unseen_are_forgotten() {
    let maps = BTreeMap::from([(7, "/a"), (8, "/b"), (9, "/c")]);
    let mut world = Fake { maps, ..Fake::default() };
    world.births = BTreeMap::from([(7, 5), (8, 5), (9, 5)]);
    let mut processes = Processes::new(Following::All);
    for pid in [7, 8, 9] {
        seen(&mut processes, &mut world, pid, 10, 0x1800);
    }
    let uid = |pid| processes.get(pid).unwrap().uid;
    let (gone, reused) = (uid(8), uid(9));
    // 8 has ended, 9 is the number of a new process; nobody has told us.
    world.births = BTreeMap::from([(7, 5), (9, 9_000_000_000)]);
    assert_eq!(processes.tidy(10 * LINGER_NS, 10 * LINGER_NS, &mut world), []);
    processes.apply(at(11 * LINGER_NS, 0, Change::Lost { records: 3 }), &mut world);
    let at_ns = 12 * LINGER_NS;
    assert_eq!(processes.tidy(at_ns, at_ns, &mut world), []);
    let ended = processes.tidy(13 * LINGER_NS, 13 * LINGER_NS, &mut world);
    let end = |pid, uid| Ended { pid, uid, at_ns };
    assert_eq!(ended, [end(8, gone), end(9, reused)]);
    assert!(processes.get(7).is_some());
}

#[test]
fn only_what_was_asked_for_is_followed() {
    for (following, child, stranger) in [
        (Following::All, true, true),
        (Following::TargetsAndChildren, true, false),
        (Following::Targets, false, false),
    ] {
        let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
        let mut processes = Processes::new(following);
        processes.add_target(7, &mut world);
        processes.apply(at(10, 8, Change::Fork { parent: 7 }), &mut world);
        processes.apply(at(10, 21, Change::Fork { parent: 20 }), &mut world);
        processes.apply(at(11, 22, Change::Exec), &mut world);
        assert_eq!(processes.get(8).is_some(), child, "{following:?}");
        assert_eq!(processes.get(21).is_some(), stranger, "{following:?}");
        assert_eq!(processes.get(22).is_some(), stranger, "{following:?}");
    }
}

#[test]
fn a_storm_of_forks_is_bounded() {
    let mut world = Fake { maps: BTreeMap::from([(7, "/a")]), ..Fake::default() };
    let mut processes = Processes::new(Following::All);
    seen(&mut processes, &mut world, 7, 1, 0x1800);
    for pid in 100..100 + 2 * MAX_PROCESSES as u32 {
        processes.apply(at(10, pid, Change::Fork { parent: 7 }), &mut world);
    }
    assert!(processes.table.len() <= MAX_PROCESSES);
    assert!(processes.get(7).is_some(), "what was sampled stays");
}
