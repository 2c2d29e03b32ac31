//! Recordings made by hand, by the real writer: each test says in words which stacks ran how often.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use archive::{Flush, Limits, Sample, Writer};
use object::{Object, ObjectSymbol};
use profile::*;

/// Where the small programs are that recordings "ran".
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub const PERIOD_NS: u64 = 10_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const START: Clock = Clock {
    monotonic_ns: 1_000 * SECOND_NS,
    realtime_ns: 1_795_228_888 * SECOND_NS,
    boottime_ns: 1_000 * SECOND_NS,
};

/// Code of the program in `fixtures`, by symbol.
struct Program {
    bytes: Vec<u8>,
    symbols: HashMap<String, (u64, u64)>,
}

impl Program {
    fn read() -> Self {
        let bytes = std::fs::read(fixtures().join("server")).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbols = file
            .symbols()
            .filter(|s| s.is_definition())
            .map(|s| (s.name().unwrap().to_owned(), (s.address(), s.size())))
            .collect();
        Self { bytes, symbols }
    }

    /// File offsets equal addresses less the base in this file: one segment from offset 0.
    const BASE: u64 = 0x40_0000;

    fn offset(&self, function: &str) -> u64 {
        self.symbols[function].0 - Self::BASE
    }

    /// What a call of `callee` in `caller` returns to: after a relative call that leads there.
    fn return_from(&self, caller: &str, callee: &str) -> u64 {
        let (address, size) = self.symbols[caller];
        let target = self.symbols[callee].0;
        let (start, size) = ((address - Self::BASE) as usize, size as usize);
        let after = (start..start + size - 4)
            .filter(|at| self.bytes[*at] == 0xe8)
            .find(|at| {
                let relative = i32::from_le_bytes(self.bytes[at + 1..at + 5].try_into().unwrap());
                (Self::BASE + *at as u64 + 5).wrapping_add_signed(relative.into()) == target
            })
            .unwrap_or_else(|| panic!("{caller} does not call {callee}"));
        after as u64 + 5
    }
}

/// A recording in the making.
pub struct Made {
    writer: Writer<Vec<u8>>,
    program: Program,
    pub server: ModuleId,
    kernel: ModuleId,
    kernel_symbols: Vec<String>,
    processes: HashMap<String, (ProcessId, ThreadId)>,
    nodes: HashMap<(NodeId, ModuleId, u64), NodeId>,
    stacks: HashMap<(NodeId, NodeId, u8), StackId>,
    samples: u64,
    flushed: u64,
    pub seconds: u64,
    /// Over how many seconds samples are spread, from the last flush on.
    pub spread: u64,
    dropped: u64,
}

pub fn facts() -> RecordingFacts {
    RecordingFacts {
        recording_id: [7; 16],
        segment: 0,
        host: "prod-7".into(),
        boot_id: "4f1c".into(),
        kernel_release: "6.1.0-18-amd64".into(),
        arch: "x86_64".into(),
        cpus_online: 4,
        page_bytes: 4096,
        tool_version: "capture 0.1.0".into(),
        backend: Backend::Bpf,
        backend_reason: Text::default(),
        scope: Scope::PerCpuFiltered,
        target_pids: vec![Pid(10)],
        target_cgroup: Text::default(),
        launched: false,
        events: vec![Event {
            name: "cpu-clock".into(),
            unit: Unit::Ns,
            kind: EventKind::OnCpu,
            period: PERIOD_NS,
            asked_for: Text::default(),
            fallback_reason: Text::default(),
        }],
        clock: START,
        max_stack: 127,
        unwind_regs: Vec::new(),
    }
}

/// The module of the program in `fixtures`, at the path it "ran" from.
pub fn server_module(path: &str) -> Module {
    let bytes = std::fs::read(fixtures().join("server")).unwrap();
    let identity = symbolize::identify(&bytes).unwrap();
    let mut module = Module::new(ModuleKind::File, path);
    module.build_id = identity.build_id;
    module.build_id_from = BuildIdFrom::KernelRecord;
    module.segments = identity.segments;
    module.file_bytes = bytes.len() as u64;
    module
}

impl Made {
    pub fn new() -> Self {
        Self::with(&facts(), &server_module("/srv/server"))
    }

    pub fn with(facts: &RecordingFacts, module: &Module) -> Self {
        let mut writer = Writer::new(Vec::new(), facts, Limits::default()).unwrap();
        let server = writer.module(module);
        let mut kernel = Module::new(ModuleKind::Kernel, "[kernel]");
        kernel.runtime_base = 0xffff_ffff_8100_0000;
        let kernel = writer.module(&kernel);
        Self {
            writer,
            program: Program::read(),
            server,
            kernel,
            kernel_symbols: Vec::new(),
            processes: HashMap::new(),
            nodes: HashMap::new(),
            stacks: HashMap::new(),
            samples: 0,
            flushed: 0,
            seconds: 10,
            spread: 10,
            dropped: 0,
        }
    }

    fn node(&mut self, parent: NodeId, module: ModuleId, address: u64) -> NodeId {
        let writer = &mut self.writer;
        *self
            .nodes
            .entry((parent, module, address))
            .or_insert_with(|| writer.node(Node { parent, module, address }))
    }

    /// A process by name; its pid counts from 10.
    fn process(&mut self, name: &str) -> ThreadId {
        self.process_of(name, self.server).1
    }

    /// A process that runs another program.
    pub fn process_of(&mut self, name: &str, exe: ModuleId) -> (ProcessId, ThreadId) {
        if let Some(known) = self.processes.get(name) {
            return *known;
        }
        let pid = 10 + self.processes.len() as u32;
        let process = self.writer.process(&Process {
            pid: Pid(pid),
            start_ns: 5,
            image: 0,
            image_ns: 5,
            parent: ProcessId::NONE,
            ns_pid: 0,
            cgroup: CgroupId::NONE,
            exe,
            argv0: name.into(),
        });
        let thread = Thread { tid: Tid(pid), process, comm: name.into(), start_ns: 5 };
        let thread = self.writer.thread(&thread);
        self.processes.insert(name.into(), (process, thread));
        (process, thread)
    }

    /// Code that a process running `exe` made at run time.
    pub fn run_time_code(&mut self, process: &str, exe: &str) -> Module {
        let exe = self.writer.module(&Module::new(ModuleKind::File, exe));
        let mut module = Module::new(ModuleKind::Anon, "");
        module.process = self.process_of(process, exe).0;
        module
    }

    /// Another module with a path of one leaf in it.
    pub fn elsewhere(&mut self, module: &Module, address: u64) -> StackId {
        let module = self.writer.module(module);
        let user = self.node(NodeId::NONE, module, address);
        self.writer.stack(Stack {
            user,
            kernel: NodeId::NONE,
            goroutine: NodeId::NONE,
            end: StackEnd::Complete,
        })
    }

    /// A stack with one address of another kernel than the usual one below `main`.
    pub fn in_kernel(&mut self, kernel: ModuleId, address: u64) -> StackId {
        let main = self.program.offset("main");
        let user = self.node(NodeId::NONE, self.server, main);
        let kernel = self.node(NodeId::NONE, kernel, address);
        self.writer.stack(Stack { user, kernel, goroutine: NodeId::NONE, end: StackEnd::Complete })
    }

    /// Another kernel, and the functions (start, bytes, name) that the host named in it.
    pub fn kernel(&mut self, kernel: &Module, names: &[(u64, u64, &str)]) -> ModuleId {
        let module = self.writer.module(kernel);
        for (start, bytes, name) in names {
            self.writer.symbol(&HostSymbol {
                module,
                start: *start,
                bytes: *bytes,
                name: (*name).into(),
                from: SymbolFrom::Kallsyms,
                seen_ns: 1,
            });
        }
        module
    }

    /// A module whose file the recording holds itself.
    pub fn embed(&mut self, module: &Module, image: &[u8]) {
        let id = self.writer.module(module);
        self.writer.embed(id, "", image);
    }

    /// A stack: functions of the program root first ("main serve wait_events"; a leaf may be
    /// "serve+16"), then after "|" kernel functions.
    pub fn stack(&mut self, path: &str, end: StackEnd) -> StackId {
        let (user_path, kernel_path) = path.split_once('|').unwrap_or((path, ""));
        let functions: Vec<&str> = user_path.split_whitespace().collect();
        let mut user = NodeId::NONE;
        for (i, function) in functions.iter().enumerate() {
            let address = match functions.get(i + 1) {
                Some(callee) => {
                    let callee = callee.split('+').next().unwrap();
                    self.program.return_from(function, callee)
                }
                None => {
                    let (name, offset) = function.split_once('+').unwrap_or((function, "0"));
                    self.program.offset(name) + offset.parse::<u64>().unwrap()
                }
            };
            user = self.node(user, self.server, address);
        }
        let mut kernel = NodeId::NONE;
        for name in kernel_path.split_whitespace() {
            let known = self.kernel_symbols.iter().position(|k| k == name);
            let index = known.unwrap_or_else(|| {
                self.kernel_symbols.push(name.into());
                self.writer.symbol(&HostSymbol {
                    module: self.kernel,
                    start: 0x1000 * self.kernel_symbols.len() as u64,
                    bytes: 0x1000,
                    name: name.into(),
                    from: SymbolFrom::Kallsyms,
                    seen_ns: 1,
                });
                self.kernel_symbols.len() - 1
            });
            kernel = self.node(kernel, self.kernel, 0x1000 * (index as u64 + 1) + 0x10);
        }
        let writer = &mut self.writer;
        *self
            .stacks
            .entry((user, kernel, end as u8))
            .or_insert_with(|| writer.stack(Stack { user, kernel, goroutine: NodeId::NONE, end }))
    }

    /// Where code of the program is: "serve>wait_events" behind that call, "serve" its beginning.
    pub fn code(&self, at: &str) -> u64 {
        match at.split_once('>') {
            Some((caller, callee)) => self.program.return_from(caller, callee),
            None => self.program.offset(at),
        }
    }

    /// A stack as the host recorded it, root first, with what it kept of registers and words.
    pub fn sliced(&mut self, path: &str, end: StackEnd, slice: &Slice) -> StackId {
        let mut user = NodeId::NONE;
        for code in path.split_whitespace() {
            user = self.node(user, self.server, self.code(code));
        }
        self.writer
            .sliced_stack(Stack { user, kernel: NodeId::NONE, goroutine: NodeId::NONE, end }, slice)
    }

    /// Samples of a process in a stack.
    pub fn ran(&mut self, process: &str, path: &str, samples: u64) -> &mut Self {
        let stack = self.stack(path, StackEnd::Complete);
        self.ran_in(process, stack, samples)
    }

    /// Samples of a process in a stack made before.
    pub fn ran_in(&mut self, process: &str, stack: StackId, samples: u64) -> &mut Self {
        let thread = self.process(process);
        for _ in 0..samples {
            self.writer.sample(&Sample {
                event: EventId(1),
                cpu: (self.samples % 4) as u32,
                time_ns: START.monotonic_ns + self.flushed * SECOND_NS + self.place_ns(),
                thread,
                stack,
                weight: None,
                label_set: LabelSetId::NONE,
            });
            self.samples += 1;
        }
        self
    }

    /// When in the block a sample is taken: evenly over `spread` seconds, whatever is sampled (steps of
    /// the golden ratio), never twice at the same nanosecond.
    fn place_ns(&self) -> u64 {
        let whole = self.spread * SECOND_NS;
        self.samples.wrapping_mul(618_033_989).wrapping_mul(self.spread) % whole
    }

    /// One sample of any weight.
    pub fn weighs(&mut self, process: &str, path: &str, weight: u64) -> &mut Self {
        let (stack, thread) = (self.stack(path, StackEnd::Complete), self.process(process));
        let time_ns = START.monotonic_ns;
        let event = EventId(1);
        let sample =
            Sample { event, time_ns, thread, stack, weight: Some(weight), ..Sample::default() };
        self.writer.sample(&sample);
        self
    }

    /// Samples that fired and were lost.
    pub fn dropped(&mut self, samples: u64) -> &mut Self {
        self.dropped += samples;
        self
    }

    /// Ends a data block that covers `seconds`.
    pub fn flush(&mut self, seconds: u64) -> &mut Self {
        let (from, to) = (self.flushed, self.flushed + seconds);
        self.flushed = to;
        let ledger = self.ledger();
        self.writer.flush(&flush(from, to, &ledger)).unwrap();
        self
    }

    fn ledger(&self) -> Vec<CpuLedger> {
        (0..4)
            .map(|cpu| {
                let written = self.samples / 4 + u64::from(u64::from(cpu) < self.samples % 4);
                let mut row = CpuLedger {
                    event: EventId(1),
                    cpu,
                    fired: written,
                    idle: 50,
                    ..CpuLedger::default()
                };
                if cpu == 0 {
                    row.fired += self.dropped;
                    row.dropped[0] = self.dropped;
                }
                row.observed_ns = row.ticks().saturating_mul(PERIOD_NS);
                row.idle_ns = row.idle * PERIOD_NS;
                row
            })
            .collect()
    }

    /// The file, ended after all its seconds.
    pub fn finish(self) -> Vec<u8> {
        let ledger = self.ledger();
        let last = flush(self.flushed, self.flushed.max(self.seconds), &ledger);
        let end = End {
            reason: EndReason::Signal,
            at_ns: last.covered_to_ns,
            command_status: 0,
            detail: Text::default(),
        };
        self.writer.finish(&last, &end).unwrap()
    }
}

fn flush(from: u64, to: u64, ledger: &[CpuLedger]) -> Flush<'_> {
    let at = |seconds: u64| START.monotonic_ns + seconds * SECOND_NS;
    Flush {
        covered_from_ns: at(from),
        covered_to_ns: at(to),
        clock: Clock {
            monotonic_ns: at(to),
            realtime_ns: START.realtime_ns + to * SECOND_NS,
            boottime_ns: at(to),
        },
        ledger,
        cost: Some(Cost { user_ns: 3_000_000, system_ns: 7_000_000, ..Cost::default() }),
        sideband_lost: 0,
    }
}

/// A directory with recordings, and the program run in it.
pub struct Desk {
    pub dir: tempfile::TempDir,
}

/// What a run printed and how it ended.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn with(files: &[(&str, Vec<u8>)]) -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        for (name, bytes) in files {
            std::fs::write(desk.dir.path().join(name), bytes).unwrap();
        }
        desk
    }

    /// `analyze` with the program's files found.
    pub fn analyze(&self, arguments: &str) -> Ran {
        let prefix = format!("--map-prefix=/srv={}", fixtures().display());
        self.run(arguments, &[&prefix], &[])
    }

    /// `analyze` where the program's files are not.
    pub fn analyze_elsewhere(&self, arguments: &str) -> Ran {
        self.run(arguments, &[], &[])
    }

    /// The same with variables set.
    pub fn analyze_elsewhere_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Ran {
        self.run(arguments, &[], variables)
    }

    fn run(&self, arguments: &str, more: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_analyze"))
            .args(arguments.split_whitespace())
            .args(more)
            .arg("--no-cache")
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .env("HOME", self.dir.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Ran {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Compares with a golden file; `BLESS=1` writes it.
pub fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{name} differs; BLESS=1 accepts what is new\n--- expected\n{expected}\n--- actual\n{actual}"
    );
}
