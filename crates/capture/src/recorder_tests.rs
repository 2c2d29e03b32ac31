//! From records to an archive and back.

use std::collections::{BTreeMap, BTreeSet};

use archive::{Archive, Limits};
use profile::{
    Backend, EndReason, Event, EventKind, Module, ModuleKind, Scope, Tables, Text, Unit,
};
use rayon::iter::ParallelIterator as _;

use super::*;
use crate::decode::{decode, tests::record};
use crate::maps::MapsEntry;
use crate::perf_map_file::{NoMap, PerfMapPlace};
use crate::process::Following;
use crate::procfs::Stat;
use crate::sideband::{Change, Identity, NewMapping, SideBand};
use crate::world::{HostFacts, World};

/// Processes 4,000,000,001 and …002 (which no system has): a program with a library.
pub(crate) struct Fake;

pub(crate) const PID: u32 = 4_000_000_001;
pub(crate) const OTHER: u32 = 4_000_000_002;

impl World for Fake {
    fn stat(&mut self, _pid: u32) -> Option<Stat> {
        Some(Stat { start_ns: 5, parent: 1, alive: true })
    }

    fn facts(&mut self, pid: u32) -> HostFacts {
        let exe = Text::from("/bin/server (deleted)");
        HostFacts { argv0: Text::from(format!("server{pid}")), exe, ..HostFacts::default() }
    }

    fn maps(&mut self, tid: u32, sink: &mut dyn FnMut(MapsEntry<'_>)) -> bool {
        let mut map = |start, file_offset, inode, path: &str| {
            let path = path.as_bytes();
            let (end, executable, dev) = (start + 0x1000, true, (8, 1));
            sink(MapsEntry { start, end, executable, file_offset, dev, inode, path });
        };
        // The second process has the library elsewhere.
        let library = if tid == PID { 0x7000 } else { 0x9000 };
        map(0x4000, 0x1000, 11, "/bin/server");
        map(library, 0x2000, 12, "/lib/libc.so");
        map(0x2_0000, 0, 0, "");
        tid == PID || tid == OTHER
    }

    fn replaced_since(&mut self, _pid: u32, _time_ns: u64) -> bool {
        false
    }

    fn next_mapping(&mut self, _pid: u32) -> Option<(u64, NewMapping)> {
        None
    }

    fn perf_map_place(&mut self, _pid: u32) -> Result<PerfMapPlace, NoMap> {
        Err(NoMap::Gone)
    }

    fn now_ns(&mut self) -> u64 {
        0
    }
}

struct NoNames;

impl NameAddress for NoNames {
    fn can_name(&self) -> bool {
        true
    }

    fn name(&self, address: u64) -> Option<Vec<u8>> {
        Some(format!("f{:x}+0x{:x}/0x1000", address & !0xfff, address & 0xfff).into_bytes())
    }
}

fn facts() -> RecordingFacts {
    RecordingFacts {
        recording_id: [1; 16],
        segment: 0,
        host: Text::from("h"),
        boot_id: Text::default(),
        kernel_release: Text::default(),
        arch: Text::default(),
        cpus_online: 2,
        page_bytes: 4096,
        tool_version: Text::default(),
        backend: Backend::Bpf,
        backend_reason: Text::default(),
        scope: Scope::PerCpuAll,
        target_pids: Vec::new(),
        target_cgroup: Text::default(),
        launched: false,
        events: vec![Event {
            name: Text::from("cpu-clock"),
            unit: Unit::Ns,
            kind: EventKind::OnCpu,
            period: 10,
            asked_for: Text::default(),
            fallback_reason: Text::default(),
        }],
        clock: Clock::default(),
        max_stack: 4,
        unwind_regs: Vec::new(),
    }
}

const KERNEL_TEXT: u64 = 0xffff_ffff_8100_0000;

pub(super) fn recorder(limits: Limits) -> Recorder<Vec<u8>> {
    let image = 0xffff_ffff_8000_0000..0xffff_ffff_c000_0000;
    let kernel = Kernel::new(KERNEL_TEXT, image, Vec::new());
    Recorder::new(Vec::new(), facts(), kernel, limits, false).unwrap()
}

fn take(recorder: &mut Recorder<Vec<u8>>, processes: &mut Processes, record: &[u8]) {
    let sample = decode(record).unwrap();
    let leaf = sample.user.get(0);
    processes.of_sample(sample.pid, sample.tid, sample.time_ns, leaf, &mut Fake);
    recorder.sample(&sample, processes, &mut Fake);
}

fn state(at_ns: u64) -> FlushState<'static> {
    FlushState {
        covered_to_ns: at_ns,
        clock: Clock { monotonic_ns: at_ns, ..Clock::default() },
        ledger: &[],
        cost: Cost::default(),
        sideband_lost: 0,
    }
}

fn finish(recorder: Recorder<Vec<u8>>, at_ns: u64) -> Archive {
    let (reason, detail) = (EndReason::Duration, Text::default());
    let end = End { reason, at_ns, command_status: 0, detail };
    let bytes = recorder.finish(state(at_ns), &NoNames, &end).unwrap();
    Archive::from_bytes(bytes).unwrap()
}

pub(super) fn record_all(records: &[Vec<u8>]) -> Archive {
    let mut recorder = recorder(Limits::default());
    let mut processes = Processes::new(Following::All);
    for record in records {
        take(&mut recorder, &mut processes, record);
    }
    finish(recorder, 1000)
}

pub(super) fn module_name(module: Option<&Module>) -> String {
    module.map_or_else(|| "?".to_owned(), |m| m.path.lossy().into_owned())
}

/// Each sample as "comm: root … leaf | kernel root … leaf (end)".
pub(super) fn stacks(archive: &Archive) -> Vec<String> {
    let tables: &Tables = archive.tables();
    let path = |leaf| {
        let mut frames: Vec<String> = tables
            .nodes
            .walk(leaf)
            .map(|(_, n)| format!("{}+{:x}", module_name(tables.module(n.module)), n.address))
            .collect();
        frames.reverse();
        frames.join(" ")
    };
    let mut samples = Vec::new();
    for block in archive.data_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each_sample(|sample| {
            let stack = tables.stacks.get(sample.stack);
            let comm = &tables.thread(sample.thread).unwrap().comm;
            let kernel = path(stack.kernel);
            let text =
                format!("{}: {} | {kernel} ({:?})", comm.lossy(), path(stack.user), stack.end);
            samples.push((sample.time_ns, text));
        });
    }
    samples.sort();
    samples.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn frames_become_offsets_in_files_and_mean_the_same_in_every_process() {
    let archive = record_all(&[
        record((PID, PID, 1), "a", &[], &[0x7010, 0x4020]),
        record((OTHER, OTHER, 2), "b", &[], &[0x9010, 0x4020]),
    ]);
    assert_eq!(
        stacks(&archive),
        [
            "a: /bin/server+1020 /lib/libc.so+2010 |  (Complete)",
            "b: /bin/server+1020 /lib/libc.so+2010 |  (Complete)",
        ]
    );
    assert_eq!(archive.tables().nodes.len(), 2, "one path for both");
    assert_eq!(archive.tables().processes.len(), 2);
}

#[test]
fn a_word_that_is_no_code_ends_the_chain_and_is_not_stored() {
    let secret = u64::from_ne_bytes(*b"hunter2!");
    let archive = record_all(&[
        record((PID, PID, 1), "a", &[], &[0x7010, secret, 0x4020]),
        record((PID, PID, 2), "a", &[], &[0x7010, 0x4020, 0]),
        record((PID, PID, 3), "a", &[], &[0x7010]),
        record((PID, PID, 4), "a", &[], &[0x7010, 0x4020, 0x4030, 0x4040]),
        record((PID, PID, 5), "a", &[], &[0x5_0000, 0x4020]),
        record((PID, PID, 6), "a", &[], &[]),
    ]);
    assert_eq!(
        stacks(&archive),
        [
            "a: /lib/libc.so+2010 |  (NotCode)",
            "a: /bin/server+1020 /lib/libc.so+2010 |  (Complete)",
            "a: /lib/libc.so+2010 |  (Fault)",
            "a: /bin/server+1040 /bin/server+1030 /bin/server+1020 /lib/libc.so+2010 |  (DepthLimit)",
            "a: ?+50000 |  (MapsUnknown)",
            "a:  |  (NoUser)",
        ]
    );
    let tables = archive.tables();
    assert!(tables.nodes.iter().all(|(_, node)| node.address != secret));
}

#[test]
fn a_return_address_behind_its_mapping_belongs_to_it() {
    // The last instruction of /bin/server is a call that never returns.
    let archive = record_all(&[record((PID, PID, 1), "a", &[], &[0x7010, 0x5000])]);
    assert_eq!(stacks(&archive), ["a: /bin/server+2000 /lib/libc.so+2010 |  (Complete)"]);
}

#[test]
fn anonymous_code_keeps_its_address_and_its_process() {
    let archive = record_all(&[
        record((PID, PID, 1), "a", &[], &[0x2_0010]),
        record((OTHER, OTHER, 2), "b", &[], &[0x2_0010]),
    ]);
    assert_eq!(stacks(&archive), ["a: //anon+20010 |  (Fault)", "b: //anon+20010 |  (Fault)"]);
    let owners: Vec<u32> = archive
        .tables()
        .modules
        .iter()
        .filter(|m| m.kind == ModuleKind::Anon)
        .map(|m| m.process.0)
        .collect();
    assert_eq!(owners.len(), 2);
    assert_ne!(owners[0], owners[1]);
}

#[test]
fn kernel_frames_are_relative_to_the_image_and_named_once() {
    let inner = KERNEL_TEXT + 0x2010;
    let archive = record_all(&[
        record((PID, PID, 1), "a", &[inner, KERNEL_TEXT + 0x5000], &[0x4010]),
        record((PID, PID, 2), "a", &[inner + 4, KERNEL_TEXT + 0x5000], &[0x4010]),
    ]);
    assert_eq!(
        stacks(&archive),
        [
            "a: /bin/server+1010 | [kernel]+5000 [kernel]+2010 (Fault)",
            "a: /bin/server+1010 | [kernel]+5000 [kernel]+2014 (Fault)",
        ]
    );
    let names: BTreeMap<u64, String> =
        archive.tables().symbols.iter().map(|s| (s.start, s.name.lossy().into_owned())).collect();
    // The outer one is a return address: its call lies in the function before.
    let expected = [(0x2000, "fffffffff81002000"), (0x4000, "fffffffff81004000")];
    assert_eq!(names, expected.map(|(start, name)| (start, name.to_owned())).into());
    assert_eq!(archive.tables().symbols.len(), 2);
}

#[test]
fn a_changed_name_is_a_new_thread_row_of_the_same_process() {
    let archive = record_all(&[
        record((PID, PID, 1), "before", &[], &[0x4010]),
        record((PID, PID, 2), "after", &[], &[0x4010]),
        record((PID, PID + 5, 3), "after", &[], &[0x4010]),
        record((PID, PID, 4), "before", &[], &[0x4010]),
    ]);
    let tables = archive.tables();
    assert_eq!((tables.threads.len(), tables.processes.len()), (3, 1));
    assert_eq!(module_name(tables.module(tables.processes[0].exe)), "/bin/server");
    assert_eq!(tables.processes[0].argv0, Text::from(format!("server{PID}")));
    assert_eq!(tables.mappings.len(), 1, "a mapping is noted when it is first hit");
}

#[test]
fn an_epoch_that_is_full_is_followed_by_one_that_stands_by_itself() {
    let mut recorder = recorder(Limits { nodes: 2, ..Limits::default() });
    let mut processes = Processes::new(Following::All);
    for time in 1..=5 {
        let leaf = 0x7010 + time % 2;
        let record = record((PID, PID, time), "a", &[KERNEL_TEXT + 0x10], &[leaf, 0x4020]);
        take(&mut recorder, &mut processes, &record);
        recorder.flush(state(time), &NoNames).unwrap();
    }
    assert!(recorder.epoch.rows.is_empty(), "a new epoch begins with empty tables");
    let archive = finish(recorder, 10);
    let expected =
        |leaf: u64| format!("a: /bin/server+1020 /lib/libc.so+{leaf:x} | [kernel]+10 (Complete)");
    let leaves = [0x2011, 0x2010, 0x2011, 0x2010, 0x2011];
    assert_eq!(stacks(&archive), leaves.map(expected));
    assert_eq!(archive.tables().processes.len(), 1, "the same rows, told again");
    let names: BTreeSet<&Text> = archive.tables().symbols.iter().map(|s| &s.name).collect();
    assert_eq!(names, BTreeSet::from([&Text::from("fffffffff81000000")]));
}

#[test]
fn a_process_keeps_its_program_when_its_maps_are_read_again() {
    let mut recorder = recorder(Limits { nodes: 1, ..Limits::default() });
    let mut processes = Processes::new(Following::All);
    let side_band = |change| SideBand { time_ns: 1, pid: PID, tid: PID, change };
    processes.apply(side_band(Change::Exec), &mut Fake);
    // As the kernel reports it; /proc/PID/maps leaves the generation out.
    let identity = Identity { dev: (8, 1), inode: 11, generation: 77 };
    let path = b"/bin/server".as_slice().into();
    let program = NewMapping { start: 0x4000, bytes: 0x1000, file_offset: 0x1000, identity, path };
    processes.apply(side_band(Change::Map(program)), &mut Fake);
    take(&mut recorder, &mut processes, &record((PID, PID, 2), "a", &[], &[0x4010]));
    recorder.flush(state(2), &NoNames).unwrap();
    assert!(recorder.epoch.rows.is_empty(), "an epoch has ended");
    // Outside every mapping that was reported.
    let time_ns = 1_000_000_000;
    take(&mut recorder, &mut processes, &record((PID, PID, time_ns), "a", &[], &[0x7010]));
    let archive = finish(recorder, time_ns + 1);
    assert_eq!(stacks(&archive)[1], "a: /lib/libc.so+2010 |  (Fault)");
    let tables = archive.tables();
    let programs: Vec<String> =
        tables.processes.iter().map(|p| module_name(tables.module(p.exe))).collect();
    assert!(programs.iter().all(|name| name == "/bin/server"), "{programs:?}");
}
