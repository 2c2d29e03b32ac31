//! Archives whose content is known, and what a reader makes of one.

use std::collections::BTreeMap;

use archive::{Archive, DataBlock, Flush, Limits, LostBlock, Sample, Writer};
use profile::*;
use rayon::iter::ParallelIterator;

pub const PERIOD_NS: u64 = 10_000_000;
pub const START_NS: u64 = 5_000_000_000;

/// Numbers that only look random: the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub fn event(name: &str, unit: Unit, kind: EventKind, period: u64) -> Event {
    let (asked_for, fallback_reason) = (Text::default(), Text::default());
    Event { name: name.into(), unit, kind, period, asked_for, fallback_reason }
}

pub fn facts() -> RecordingFacts {
    RecordingFacts {
        recording_id: *b"sixteen bytes id",
        segment: 0,
        host: "web1".into(),
        boot_id: "b0-07".into(),
        kernel_release: "6.1.0".into(),
        arch: "x86_64".into(),
        cpus_online: 2,
        page_bytes: 4096,
        tool_version: "0.1.0".into(),
        backend: Backend::Bpf,
        backend_reason: "".into(),
        scope: Scope::PerCpuFiltered,
        target_pids: vec![Pid(77)],
        target_cgroup: "".into(),
        launched: false,
        events: vec![
            event("cpu-clock", Unit::Ns, EventKind::OnCpu, PERIOD_NS),
            event("page-faults", Unit::Count, EventKind::Counter, 100),
        ],
        clock: Clock {
            monotonic_ns: START_NS,
            realtime_ns: 1_700_000_000_000_000_000,
            boottime_ns: 9,
        },
        max_stack: 127,
        unwind_regs: vec![],
    }
}

pub fn end_at(at_ns: u64) -> End {
    End { reason: EndReason::Signal, at_ns, command_status: 2, detail: "SIGINT".into() }
}

pub fn flush<'a>(from_ns: u64, to_ns: u64, ledger: &'a [CpuLedger]) -> Flush<'a> {
    let clock = Clock { monotonic_ns: to_ns, realtime_ns: to_ns + 7, boottime_ns: to_ns + 9 };
    let cost = Some(Cost { user_ns: to_ns / 1000, ..Cost::default() });
    Flush { covered_from_ns: from_ns, covered_to_ns: to_ns, clock, ledger, cost, sideband_lost: 3 }
}

/// A recording of several epochs, with samples of two events in blocks of a second.
#[derive(Clone, Copy)]
pub struct Recipe {
    pub epochs: u64,
    pub blocks_per_epoch: u64,
    pub rows_per_block: u64,
}

/// Large enough to hold everything, small enough to be cut at every byte.
pub const SMALL: Recipe = Recipe { epochs: 2, blocks_per_epoch: 3, rows_per_block: 24 };
/// 225 data blocks and more in 3 epochs.
pub const LONG: Recipe = Recipe { epochs: 3, blocks_per_epoch: 75, rows_per_block: 60 };

impl Recipe {
    pub fn write(self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut now_ns = START_NS;
        let mut fired: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for epoch in 0..self.epochs {
            if epoch > 0 {
                let clock = Clock { monotonic_ns: now_ns, ..facts().clock };
                writer.begin_epoch(&RecordingFacts { clock, ..facts() }).unwrap();
            }
            let (threads, stacks) = define(&mut writer, epoch);
            for block in 0..self.blocks_per_epoch {
                for row in 0..self.rows_per_block {
                    let sample = sample(&mut numbers, now_ns + row * 30_000_000, &threads, &stacks);
                    *fired.entry((sample.event.0, sample.cpu)).or_default() += 1;
                    writer.sample(&sample);
                }
                writer.exit(Exit { process: ProcessId(1 + block as u32 % 2), at_ns: now_ns });
                let ledger: Vec<CpuLedger> =
                    fired.iter().map(|(key, n)| ledger(*key, *n)).collect();
                let next_ns = now_ns + 1_000_000_000;
                let last = epoch + 1 == self.epochs && block + 1 == self.blocks_per_epoch;
                if last {
                    return writer
                        .finish(&flush(now_ns, next_ns, &ledger), &end_at(next_ns))
                        .unwrap();
                }
                writer.flush(&flush(now_ns, next_ns, &ledger)).unwrap();
                now_ns = next_ns;
            }
        }
        unreachable!("the last block returns")
    }
}

fn ledger((event, cpu): (u32, u32), fired: u64) -> CpuLedger {
    let event = EventId(event);
    CpuLedger { event, cpu, fired: fired + 1, dropped: [1, 0, 0, 0, 0], ..CpuLedger::default() }
}

/// Rows that the epochs share, and one module that only this epoch has.
fn define(writer: &mut Writer<Vec<u8>>, epoch: u64) -> (Vec<ThreadId>, Vec<StackId>) {
    let cgroup = writer.cgroup(&Cgroup { id: 42, path: "/system.slice".into() });
    let mut server = Module::new(ModuleKind::File, "/usr/bin/server");
    server.build_id = BuildId::new(&[9; 20]);
    server.build_id_from = BuildIdFrom::KernelRecord;
    server.segments.push(Segment {
        file_offset: FileOffset(0x1000),
        svma: Svma(0x40_1000),
        file_bytes: 0x9000,
        memory_bytes: 0x9000,
        flags: 5,
    });
    let server = writer.module(&server);
    let own = writer.module(&Module::new(ModuleKind::File, format!("/usr/lib/epoch{epoch}.so")));
    let kernel = writer.module(&Module::new(ModuleKind::Kernel, "[kernel]"));
    let process = |image, exe| Process {
        pid: Pid(77),
        start_ns: 1,
        image,
        image_ns: 2,
        parent: ProcessId::NONE,
        ns_pid: 1,
        cgroup,
        exe,
        argv0: "server".into(),
    };
    let processes = [process(0, server), process(1, own)].map(|row| writer.process(&row));
    let mut jit = Module::new(ModuleKind::Anon, "[anon]");
    jit.process = processes[0];
    let jit = writer.module(&jit);
    let thread = |n: u32| Thread {
        tid: Tid(77 + n),
        process: processes[n as usize % 2],
        comm: format!("worker-{n}").into(),
        start_ns: 0,
    };
    let threads = (0..4).map(|n| writer.thread(&thread(n))).collect();
    let mut parent = NodeId::NONE;
    let mut stacks = Vec::new();
    for depth in 0..12u64 {
        let module = [server, own, jit][depth as usize % 3];
        parent = writer.node(Node { parent, module, address: 0x1000 + depth * 0x111 });
        let entry = Node { parent: NodeId::NONE, module: kernel, address: 0x200 + depth };
        let kernel = if depth % 4 == 0 { writer.node(entry) } else { NodeId::NONE };
        let end = [StackEnd::Complete, StackEnd::NotCode, StackEnd::DepthLimit][depth as usize % 3];
        stacks.push(writer.stack(Stack { user: parent, kernel, goroutine: NodeId::NONE, end }));
    }
    writer.mapping(&Mapping {
        process: processes[0],
        start: Avma(0x5555_0000_0000),
        bytes: 0x9000,
        file_offset: FileOffset(0x1000),
        module: server,
        since_ns: 3,
    });
    writer.symbol(&HostSymbol {
        module: kernel,
        start: 0x200,
        bytes: 0x40,
        name: "do_syscall_64".into(),
        from: SymbolFrom::Kallsyms,
        seen_ns: 4,
    });
    writer.label_set(&LabelSet { keys: vec!["route".into()], values: vec!["/login".into()] });
    (threads, stacks)
}

fn sample(numbers: &mut Numbers, time_ns: u64, threads: &[ThreadId], stacks: &[StackId]) -> Sample {
    let mut pick = |limit: usize| numbers.below(limit as u64) as usize;
    let fault = pick(4) == 0;
    Sample {
        event: EventId(if fault { 2 } else { 1 }),
        cpu: pick(2) as u32,
        time_ns: time_ns + pick(1000) as u64,
        thread: threads[pick(threads.len())],
        stack: stacks[pick(stacks.len())],
        weight: (fault && pick(2) == 0).then_some(7),
        label_set: LabelSetId(u32::from(pick(8) == 0)),
    }
}

/// A sample with everything its ids stand for, so that two archives can be compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Resolved {
    pub event: u32,
    pub cpu: u32,
    pub time_ns: u64,
    pub weight: u64,
    pub thread: String,
    /// Leaf first: user frames, then kernel frames; then how it ended.
    pub stack: String,
    pub labels: String,
}

pub fn resolve(tables: &Tables, sample: &Sample) -> Resolved {
    let thread = tables.thread(sample.thread).map_or_else(String::new, |thread| {
        let exe = tables.process(thread.process).and_then(|process| tables.module(process.exe));
        let exe = exe.map_or_else(String::new, |module| module.path.lossy().into());
        format!("{} {} {exe}", thread.tid.0, thread.comm.lossy())
    });
    let stack = tables.stacks.get(sample.stack);
    let path = |leaf: NodeId| -> Vec<String> {
        let frame = |(_, node): (NodeId, Node)| {
            let path = tables.module(node.module).map_or("?".into(), |module| module.path.lossy());
            format!("{path}+{:#x}", node.address)
        };
        tables.nodes.walk(leaf).map(frame).collect()
    };
    Resolved {
        event: sample.event.0,
        cpu: sample.cpu,
        time_ns: sample.time_ns,
        weight: sample.weight.expect("a sample that was read has a weight"),
        thread,
        stack: format!(
            "{:?} / {:?} / {:?}{}",
            path(stack.user),
            path(stack.kernel),
            stack.end,
            path(stack.goroutine).iter().map(|step| format!(" / {step}")).collect::<String>()
        ),
        labels: tables.label_set(sample.label_set).map_or_else(String::new, |l| format!("{l:?}")),
    }
}

/// Rows and weight by event.
pub type Sums = BTreeMap<u32, (u64, u64)>;

/// What visiting all samples of an archive finds.
pub fn visited(archive: &Archive) -> Sums {
    let blocks: Vec<Sums> =
        archive.data_blocks().filter_map(Result::ok).map(|b| sums(&b)).collect();
    let mut total = Sums::new();
    for (event, (rows, weight)) in blocks.into_iter().flatten() {
        let sum = total.entry(event).or_default();
        *sum = (sum.0 + rows, sum.1 + weight);
    }
    total
}

fn sums(block: &DataBlock<'_>) -> Sums {
    let mut sums = Sums::new();
    block.for_each_sample(|sample| {
        let sum = sums.entry(sample.event.0).or_default();
        *sum = (sum.0 + 1, sum.1 + sample.weight.unwrap());
    });
    assert_eq!(sums.values().map(|sum| sum.0).sum::<u64>(), block.rows() as u64);
    sums
}

/// What was visited plus what the report says was lost.
pub fn accounted(archive: &Archive) -> Sums {
    let mut sums = visited(archive);
    for lost in &archive.damage().lost {
        let sum = sums.entry(lost.event.0).or_default();
        *sum = (sum.0 + lost.rows, sum.1 + lost.weight);
    }
    sums
}

/// All samples, in the order of the file.
pub fn samples(archive: &Archive) -> Result<Vec<Resolved>, LostBlock> {
    let blocks: Vec<Vec<Resolved>> = archive
        .data_blocks()
        .map(|block| {
            let mut rows = Vec::new();
            block?.for_each_sample(|sample| rows.push(resolve(archive.tables(), &sample)));
            Ok(rows)
        })
        .collect::<Result<_, _>>()?;
    Ok(blocks.into_iter().flatten().collect())
}
