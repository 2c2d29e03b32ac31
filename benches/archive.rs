//! Writes archives with the real writer and reads them again: time and bytes a sample, and memory.
//!
//! `cargo bench -p benches --bench archive [-- MILLIONS | -- keep SAMPLES FILE.arc]`, the latter to leave
//! an archive of so many samples for other measurements. Times are CPU time of the one thread that
//! works, so that other load on the machine disturbs little.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use archive::{Archive, Flush, Limits, Sample, Writer};
use benches::{Numbers, thread_ns};
use profile::*;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};

const HZ: u64 = 99;
const CPUS: u64 = 2;
const PERIOD_NS: u64 = 1_000_000_000 / HZ;
const STACKS: usize = 5000;
const DEPTH: usize = 30;
const THREADS: u64 = 40;

/// A host whose 5,000 stacks of 30 frames branch off one another, some far more often seen than others.
struct Host {
    /// (parent, module, address)
    nodes: Vec<(Option<usize>, u64, u64)>,
    leaves: Vec<usize>,
}

impl Host {
    fn new(numbers: &mut Numbers) -> Self {
        let mut host = Self { nodes: Vec::new(), leaves: Vec::new() };
        let mut paths: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..STACKS {
            // Most stacks share all but their last frames with one seen before.
            let other = numbers.below(paths.len() as u64) as usize;
            let shared = paths[other].len().min(DEPTH - 1 - numbers.below(12) as usize);
            let mut path = paths[other][..shared].to_vec();
            while path.len() < DEPTH {
                let module = numbers.below(12);
                let address = 0x1000 + (numbers.below(1 << 20) & !3);
                host.nodes.push((path.last().copied(), module, address));
                path.push(host.nodes.len() - 1);
            }
            host.leaves.push(path[DEPTH - 1]);
            paths.push(path);
        }
        host
    }

    fn pick(numbers: &mut Numbers) -> usize {
        // The square of an even distribution: a tenth of the stacks gets a third of the samples.
        let n = numbers.below(1 << 20) as f64 / f64::from(1 << 20);
        (n * n * STACKS as f64) as usize
    }
}

fn facts(at_ns: u64) -> RecordingFacts {
    let none = Text::default;
    RecordingFacts {
        recording_id: [7; 16],
        segment: 0,
        host: "bench".into(),
        boot_id: none(),
        kernel_release: none(),
        arch: "x86_64".into(),
        cpus_online: CPUS as u32,
        page_bytes: 4096,
        tool_version: none(),
        backend: Backend::Bpf,
        backend_reason: none(),
        scope: Scope::PerCpuAll,
        target_pids: Vec::new(),
        target_cgroup: none(),
        launched: false,
        events: vec![Event {
            name: "cpu-clock".into(),
            unit: Unit::Ns,
            kind: EventKind::OnCpu,
            period: PERIOD_NS,
            asked_for: none(),
            fallback_reason: none(),
        }],
        clock: Clock { monotonic_ns: at_ns, realtime_ns: at_ns, boottime_ns: at_ns },
        max_stack: 127,
        unwind_regs: Vec::new(),
    }
}

/// What a recorder keeps of one epoch: which rows it has sent.
struct Sent {
    nodes: Vec<NodeId>,
    stacks: Vec<StackId>,
    threads: Vec<ThreadId>,
    modules: Vec<ModuleId>,
}

impl Sent {
    fn new<W: Write>(host: &Host, writer: &mut Writer<W>) -> Self {
        let path = |n| format!("/usr/lib/x86_64-linux-gnu/libmodule{n}.so.1.2.3");
        let process = writer.process(&Process {
            pid: Pid(1),
            start_ns: 1,
            image: 1,
            image_ns: 1,
            parent: ProcessId::NONE,
            ns_pid: 1,
            cgroup: CgroupId::NONE,
            exe: ModuleId::NONE,
            argv0: "server".into(),
        });
        let thread = |n| Thread { tid: Tid(n), process, comm: "worker".into(), start_ns: 1 };
        Self {
            nodes: vec![NodeId::NONE; host.nodes.len()],
            stacks: vec![StackId::NONE; STACKS],
            modules: (0..12)
                .map(|n| writer.module(&Module::new(ModuleKind::File, path(n))))
                .collect(),
            threads: (0..THREADS as u32).map(|n| writer.thread(&thread(n))).collect(),
        }
    }

    fn stack<W: Write>(&mut self, host: &Host, writer: &mut Writer<W>, stack: usize) -> StackId {
        if self.stacks[stack] == StackId::NONE {
            let user = self.node(host, writer, host.leaves[stack]);
            let row = Stack {
                user,
                kernel: NodeId::NONE,
                goroutine: NodeId::NONE,
                end: StackEnd::Complete,
            };
            self.stacks[stack] = writer.stack(row);
        }
        self.stacks[stack]
    }

    fn node<W: Write>(&mut self, host: &Host, writer: &mut Writer<W>, node: usize) -> NodeId {
        if self.nodes[node] == NodeId::NONE {
            let (parent, module, address) = host.nodes[node];
            let parent = parent.map_or(NodeId::NONE, |parent| self.node(host, writer, parent));
            let module = self.modules[module as usize];
            self.nodes[node] = writer.node(Node { parent, module, address });
        }
        self.nodes[node]
    }
}

fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Writes `samples` of them; the CPU time spent in the writer.
fn write<W: Write>(out: W, samples: u64) -> (u64, u64) {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let host = Host::new(&mut numbers);
    let mut now_ns = 1_000_000_000_000;
    let mut writer = Writer::new(out, &facts(now_ns), Limits::default()).expect("writer");
    let mut sent = Sent::new(&host, &mut writer);
    let mut rows: Vec<(u64, u64, usize, usize)> = Vec::new();
    let (mut written, mut spent_ns) = (0, 0);
    let mut fired = [0; CPUS as usize];
    loop {
        rows.clear();
        for n in 0..HZ * CPUS {
            // The timer's own jitter: a few microseconds, sometimes tens.
            let jitter =
                numbers.below(4000) + if numbers.below(8) == 0 { numbers.below(40_000) } else { 0 };
            let thread = numbers.below(THREADS) as usize;
            rows.push((
                n % CPUS,
                now_ns + n / CPUS * PERIOD_NS + jitter,
                thread,
                Host::pick(&mut numbers),
            ));
            fired[(n % CPUS) as usize] += 1;
        }
        let before_ns = thread_ns();
        for (cpu, time_ns, thread, stack) in &rows {
            let stack = sent.stack(&host, &mut writer, *stack);
            let thread = sent.threads[*thread];
            let (event, cpu) = (EventId(1), *cpu as u32);
            writer.sample(&Sample {
                event,
                cpu,
                time_ns: *time_ns,
                thread,
                stack,
                ..Sample::default()
            });
        }
        written += rows.len() as u64;
        let next_ns = now_ns + 1_000_000_000;
        let ledger: [CpuLedger; CPUS as usize] = std::array::from_fn(|cpu| CpuLedger {
            event: EventId(1),
            cpu: cpu as u32,
            fired: fired[cpu],
            idle: fired[cpu] / 3,
            observed_ns: next_ns - 1_000_000_000_000 + cpu as u64 * 77,
            ..CpuLedger::default()
        });
        let flush = Flush {
            covered_from_ns: now_ns,
            covered_to_ns: next_ns,
            clock: facts(next_ns).clock,
            ledger: &ledger,
            cost: Some(Cost { user_ns: next_ns / 1000, ..Cost::default() }),
            sideband_lost: 0,
        };
        if written >= samples {
            let bytes = writer.bytes_written();
            let end = End {
                reason: EndReason::Duration,
                at_ns: next_ns,
                command_status: 0,
                detail: "".into(),
            };
            writer.finish(&flush, &end).expect("finish");
            return (spent_ns, bytes);
        }
        writer.flush(&flush).expect("flush");
        if writer.wants_new_epoch(next_ns) {
            writer.begin_epoch(&facts(next_ns)).expect("epoch");
            sent = Sent::new(&host, &mut writer);
        }
        spent_ns += thread_ns() - before_ns;
        now_ns = next_ns;
    }
}

/// Sums every sample's weight by stack, which is what becomes a call tree.
fn read(path: &Path) -> (u64, usize) {
    let archive = Archive::open(File::open(path).expect("file")).expect("archive");
    let stacks = archive.tables().stacks.len() + 1;
    let by_stack = archive
        .data_blocks()
        .fold(
            || vec![0u64; stacks],
            |mut by_stack, block| {
                let block = block.expect("a whole block");
                block.for_each_sample(|s| by_stack[s.stack.index()] += s.weight.unwrap_or(0));
                by_stack
            },
        )
        .reduce(|| vec![0; stacks], |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect());
    (by_stack.iter().sum::<u64>() / PERIOD_NS, archive.data_blocks().len())
}

fn on_one_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("pool").install(work)
}

/// Memory is measured in a process of its own.
fn child(arguments: &[&str]) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(arguments).output().expect("child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["read", path] => {
            on_one_thread(|| read(Path::new(path)));
            print!("{} KiB", peak_kib());
        }
        ["write", samples] => {
            let before = peak_kib();
            write(io::sink(), samples.parse().expect("a number"));
            print!("{} KiB, of which {before} before the first sample", peak_kib());
        }
        ["keep", samples, path] => {
            let file = File::create(path).expect("file");
            write(file, samples.parse().expect("a number"));
        }
        _ => report(arguments.first().map_or(5, |n| n.parse().expect("millions of samples"))),
    }
}

fn report(millions: u64) {
    let directory = tempfile::tempdir().expect("directory");
    println!("{CPUS} CPUs at {HZ} Hz, {STACKS} stacks of {DEPTH} frames, {THREADS} threads\n");
    for samples in [millions * 100_000, millions * 1_000_000] {
        let path = directory.path().join(format!("{samples}.arc"));
        let (spent_ns, bytes) = write(File::create(&path).expect("file"), samples);
        println!("{samples} samples");
        println!("  written in   {:6.0} ns a sample", spent_ns as f64 / samples as f64);
        println!("  size         {:6.2} bytes a sample", bytes as f64 / samples as f64);
        let (read_ns, rows, blocks) = on_one_thread(|| {
            let before_ns = thread_ns();
            let (rows, blocks) = read(&path);
            (thread_ns() - before_ns, rows, blocks)
        });
        let rate = rows as f64 * 1e3 / read_ns as f64;
        println!("  read at      {rate:6.1} million samples/s on one core, {blocks} blocks");
        println!("  reader peak  {}", child(&["read", path.to_str().expect("path")]));
    }
    println!("writer peak  {}", child(&["write", "500000"]));
}
