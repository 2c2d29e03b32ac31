//! Really records: needs root, a kernel with BPF, and `cc`. Without them these tests fail, they do not
//! pass. Run by `cargo xtask test`, or alone:
//! `cargo test -p capture --features live --test live -- --test-threads=1`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use archive::Archive;
use profile::{DropCause, End, EndReason, EventId, Ledger, StackEnd};
use rayon::iter::ParallelIterator as _;

const CPU_CLOCK: EventId = EventId(1);

fn capture() -> Command {
    let built = std::env::var_os("FLAMEARC_CAPTURE");
    Command::new(built.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_capture")), PathBuf::from))
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Compiles one of the programs beside this file.
fn program(dir: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live").join(format!("{name}.c"));
    let binary = dir.join(name);
    let compiled = Command::new("cc").args(flags).arg("-o").arg(&binary).arg(source).status();
    assert!(compiled.expect("cc is installed").success());
    binary
}

const WITH_FRAME_POINTERS: &[&str] = &["-O1", "-fno-omit-frame-pointer"];

/// A background process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

struct Recorded {
    archive: Archive,
    ledger: Ledger,
    /// Times of samples, in no order.
    times_ns: Vec<u64>,
    covered_to_ns: u64,
    unknown_maps: usize,
    sideband_lost: u64,
}

fn read(path: &Path) -> Recorded {
    let archive = Archive::open(fs::File::open(path).unwrap()).unwrap();
    let (mut ledger, mut times_ns, mut covered_to_ns) = (Ledger::default(), Vec::new(), 0);
    let (mut unknown_maps, mut sideband_lost) = (0, 0);
    for block in archive.data_blocks().collect::<Vec<_>>() {
        let block = block.expect("an undamaged block");
        block.ledger().iter().for_each(|row| ledger.update(row));
        covered_to_ns = covered_to_ns.max(block.covered().end);
        sideband_lost = sideband_lost.max(block.sideband_lost());
        block.for_each_sample(|sample| {
            times_ns.push(sample.time_ns);
            let end = archive.tables().stacks.get(sample.stack).end;
            unknown_maps += usize::from(end == StackEnd::MapsUnknown);
        });
    }
    Recorded { archive, ledger, times_ns, covered_to_ns, unknown_maps, sideband_lost }
}

impl Recorded {
    fn assert_balanced(&self) {
        assert!(self.ledger.balances(), "fired = written + dropped on each CPU: {:?}", self.ledger);
        let sum = self.ledger.sum(CPU_CLOCK);
        assert_eq!(sum.written, self.times_ns.len() as u64, "every row is there");
    }

    fn dropped(&self, cause: DropCause) -> u64 {
        self.ledger.sum(CPU_CLOCK).dropped[cause as usize]
    }

    fn end(&self) -> &End {
        self.archive.end().expect("a finished recording")
    }
}

/// The number after `cpu_s` in what a program printed.
fn cpu_s(output: &Output) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .nth(1)
        .unwrap_or_else(|| panic!("no CPU time in {text}"))
        .parse()
        .unwrap()
}

/// Samples × period against the CPU time that the command itself measured.
fn assert_two_percent(command: &[&str], binary: &Path) -> Recorded {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut recorder = capture();
    recorder.args(["-F", "997", "-o"]).arg(&path).arg("--").arg(binary).args(command);
    let output = succeed(&mut recorder);
    let recorded = read(&path);
    recorded.assert_balanced();
    let period_s = recorded.archive.facts().events[0].period as f64 / 1e9;
    let sampled_s = recorded.ledger.sum(CPU_CLOCK).fired as f64 * period_s;
    let ratio = sampled_s / cpu_s(&output);
    println!("{command:?}: samples / (Hz × CPU time) = {ratio:.4}");
    assert!((ratio - 1.0).abs() <= 0.02, "{ratio} of {:.3} s", cpu_s(&output));
    recorded
}

#[test]
fn samples_equal_the_rate_times_the_cpu_time() {
    let dir = dir();
    assert_two_percent(&["5"], &program(dir.path(), "spin", WITH_FRAME_POINTERS));
}

#[test]
fn a_thousand_children_of_three_milliseconds_are_all_counted() {
    let dir = dir();
    let burst = program(dir.path(), "burst", WITH_FRAME_POINTERS);
    let recorded = assert_two_percent(&["1000", "3"], &burst);
    let processes = recorded.archive.tables().processes.iter();
    let children: std::collections::BTreeSet<u32> =
        processes.filter(|p| p.image > 0).map(|p| p.pid.0).collect();
    assert!(children.len() > 900, "{} children", children.len());
    // What remains is the kernel's own work in exec, when the old mappings are gone.
    let unknown = recorded.unknown_maps as f64 / recorded.times_ns.len() as f64;
    assert!(unknown < 0.05, "{unknown}");
}

/// Frames in `depth` itself, by how many samples had so many, most frequent first; and how the most
/// frequent one's chain ended.
fn depths(levels: &str) -> (Vec<(usize, usize)>, StackEnd) {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let depth = program(dir.path(), "depth", WITH_FRAME_POINTERS);
    succeed(capture().args(["-F", "997", "-o"]).arg(&path).arg("--").arg(depth).arg(levels));
    let recorded = read(&path);
    let tables = recorded.archive.tables();
    let mut counts = std::collections::BTreeMap::<usize, (usize, Option<StackEnd>)>::new();
    for block in recorded.archive.data_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each_sample(|sample| {
            let stack = tables.stacks.get(sample.stack);
            let of_program =
                |module| tables.module(module).is_some_and(|m| m.path.file_name() == "depth");
            let frames = tables.nodes.walk(stack.user);
            let count = frames.filter(|(_, node)| of_program(node.module)).count();
            let slot = counts.entry(count).or_default();
            *slot = (slot.0 + 1, Some(stack.end));
        });
    }
    let mut counts: Vec<(usize, usize, StackEnd)> =
        counts.into_iter().map(|(depth, (samples, end))| (samples, depth, end.unwrap())).collect();
    counts.sort_by_key(|(samples, ..)| std::cmp::Reverse(*samples));
    (counts.iter().map(|(samples, depth, _)| (*depth, *samples)).collect(), counts[0].2)
}

#[test]
fn a_stack_of_known_depth_is_recorded_whole_and_a_deeper_one_says_where_it_was_cut() {
    let (counts, end) = depths("40");
    let all: usize = counts.iter().map(|(_, samples)| samples).sum();
    // descend() 41 times and main(); what called main() is libc, built without frame pointers.
    assert_eq!((counts[0].0, end), (42, StackEnd::NotCode), "{counts:?}");
    assert!(counts[0].1 * 100 >= all * 97, "{counts:?}");

    let (counts, end) = depths("200");
    assert_eq!((counts[0].0, end), (127, StackEnd::DepthLimit), "{counts:?}");
}

#[test]
fn without_inheritance_children_are_left_out() {
    let dir = dir();
    let burst = program(dir.path(), "burst", WITH_FRAME_POINTERS);
    let path = dir.path().join("run.arc");
    let mut recorder = capture();
    recorder.args(["--no-inherit", "-F", "997", "-o"]).arg(&path).arg("--").arg(burst);
    succeed(recorder.args(["100", "10"]));
    let recorded = read(&path);
    recorded.assert_balanced();
    let sum = recorded.ledger.sum(CPU_CLOCK);
    assert!(sum.fired < 200, "{} samples of a parent that only waits", sum.fired);
    assert!(sum.other > 500, "{} ticks of others", sum.other);
}

#[test]
fn every_sample_is_accounted_for_with_a_ring_of_one_page() {
    let dir = dir();
    let spin = program(dir.path(), "spin", WITH_FRAME_POINTERS);
    let path = dir.path().join("run.arc");
    let mut recorder = capture();
    recorder.args(["--ring-bytes", "4096", "-F", "4999", "-o"]).arg(&path).arg("--").arg(spin);
    succeed(recorder.arg("2"));
    let recorded = read(&path);
    recorded.assert_balanced();
    // It may even lose none: the reader is woken when a quarter is full.
    assert!(!recorded.times_ns.is_empty());
}

#[test]
fn every_sample_is_accounted_for_when_the_reader_was_stopped() {
    let dir = dir();
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    let path = dir.path().join("run.arc");
    let mut recorder = Running::start(
        capture().args(["--ring-bytes", "4096", "-F", "1999", "-p", &spin.pid(), "-o"]).arg(&path),
    );
    pause(700);
    recorder.signal("STOP");
    pause(1500);
    recorder.signal("CONT");
    pause(700);
    recorder.signal("INT");
    assert!(recorder.wait().success());
    let recorded = read(&path);
    recorded.assert_balanced();
    assert!(recorded.dropped(DropCause::RingFull) > 500, "{:?}", recorded.ledger);
}

#[test]
fn lost_records_of_processes_are_counted_in_the_archive() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut recorder = Running::start(capture().args(["-a", "-o"]).arg(&path));
    pause(700);
    recorder.signal("STOP");
    let storm = "i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i + 1)); done";
    succeed(Command::new("sh").args(["-c", storm]));
    recorder.signal("CONT");
    recorder.signal("INT");
    assert!(recorder.wait().success());
    let recorded = read(&path);
    recorded.assert_balanced();
    assert!(recorded.sideband_lost > 500, "{}", recorded.sideband_lost);
}

#[test]
fn a_program_that_calls_exec_at_once_is_not_named_after_the_next_one() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let spin = program(dir.path(), "spin", &["-O1"]);
    // Over before /proc is asked for the first time.
    let script = format!("for i in {{1..3000}}; do :; done; exec {} 1", spin.display());
    succeed(capture().args(["-F", "9999", "-o"]).arg(&path).args(["--", "bash", "-c", &script]));
    let recorded = read(&path);
    let tables = recorded.archive.tables();
    let names_of = |program: &str| -> Vec<String> {
        let runs = |p: &&profile::Process| {
            tables.module(p.exe).is_some_and(|m| m.path.lossy().ends_with(program))
        };
        tables.processes.iter().filter(runs).map(|p| p.argv0.lossy().into_owned()).collect()
    };
    assert!(names_of("/bash").iter().all(|name| name.is_empty() || name == "bash"));
    assert!(!names_of("/bash").is_empty());
    assert_eq!(names_of("/spin"), [spin.display().to_string()]);
}

#[test]
fn signals_end_a_recording_with_the_last_samples_written() {
    let dir = dir();
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    for signal in ["INT", "TERM", "HUP"] {
        let path = dir.path().join(signal);
        // As a script's background job: with SIGINT ignored.
        let mut script = Command::new("sh");
        script.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(capture().get_program());
        let mut recorder =
            Running::start(script.args(["-F", "499", "-p", &spin.pid(), "-o"]).arg(&path));
        pause(900);
        recorder.signal(signal);
        assert!(recorder.wait().success(), "{signal}");
        let recorded = read(&path);
        recorded.assert_balanced();
        assert_eq!(recorded.end().reason, EndReason::Signal);
        let newest = recorded.times_ns.iter().max().unwrap();
        // A busy machine may not have run the target in the very last milliseconds.
        assert!(recorded.covered_to_ns - newest < 250_000_000, "{signal}");
    }
}

#[test]
fn nohup_is_respected_and_a_second_signal_harms_nothing() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut script = Command::new("sh");
    script.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(capture().get_program());
    let mut recorder = Running::start(script.args(["-a", "-o"]).arg(&path));
    pause(500);
    recorder.signal("HUP");
    pause(500);
    assert!(recorder.0.try_wait().unwrap().is_none(), "still recording");
    let both =
        Command::new("sh").args(["-c", "kill -INT $0; kill -INT $0", &recorder.pid()]).status();
    both.unwrap(); // the second may come too late
    assert!(recorder.wait().success());
    read(&path).assert_balanced();
}

#[test]
fn a_killed_recorder_leaves_what_it_had_flushed() {
    let dir = dir();
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    let path = dir.path().join("run.arc");
    let mut recorder =
        Running::start(capture().args(["-F", "499", "-p", &spin.pid(), "-o"]).arg(&path));
    pause(2500);
    recorder.0.kill().unwrap();
    assert_eq!(recorder.wait().signal(), Some(9));
    let recorded = read(&path);
    assert!(recorded.archive.end().is_none());
    assert!(recorded.times_ns.len() > 50, "{} samples", recorded.times_ns.len());
}

#[test]
fn a_stream_holds_the_same_as_a_file() {
    let dir = dir();
    let spin = program(dir.path(), "spin", &["-O1"]);
    let path = dir.path().join("run.arc");
    // What the command prints must not stand inside the archive: it goes to standard error.
    let script = format!("seq 1 30000; exec {} 1", spin.display());
    let output = succeed(capture().args(["-o", "-", "--", "sh", "-c", &script]));
    fs::write(&path, &output.stdout).unwrap();
    let recorded = read(&path);
    recorded.assert_balanced();
    assert_eq!(recorded.end().reason, EndReason::TargetGone);
    assert!(recorded.times_ns.len() > 80);
    assert!(said(&output).contains("\n29999\n"), "{}", said(&output));
}

#[test]
fn a_reader_that_goes_away_ends_the_recording_with_a_message() {
    let mut recorder = capture();
    recorder.args(["-a", "-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut recorder = recorder.spawn().unwrap();
    let mut first = [0; 64];
    recorder.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = recorder.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("the reader of the stream has gone"), "{}", said(&output));
}

#[test]
fn the_targets_end_is_a_normal_end() {
    let dir = dir();
    let mut spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("1.5"));
    let path = dir.path().join("run.arc");
    let mut recorder = Running::start(capture().args(["-p", &spin.pid(), "-o"]).arg(&path));
    spin.wait();
    assert!(recorder.wait().success());
    let recorded = read(&path);
    recorded.assert_balanced();
    assert_eq!(recorded.end().reason, EndReason::TargetGone);
}

#[test]
fn a_commands_status_is_passed_on() {
    let dir = dir();
    let status = |script: &[&str]| {
        let path = dir.path().join("run.arc");
        let mut recorder = capture();
        let output =
            recorder.args(["--force", "-o"]).arg(&path).arg("--").args(script).output().unwrap();
        output.status.code()
    };
    assert_eq!(status(&["true"]), Some(0));
    assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(status(&["/no/such/program"]), Some(127));
    assert_eq!(status(&["/tmp"]), Some(126));
    let recorded = read(&{
        status(&["sh", "-c", "exit 3"]);
        dir.path().join("run.arc")
    });
    assert_eq!(recorded.end().command_status, 3 << 8);

    let exists = dir.path().join("exists");
    fs::write(&exists, "precious").unwrap();
    let output = capture().arg("-o").arg(&exists).args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(fs::read(&exists).unwrap(), b"precious");
    let mut mistyped = capture();
    mistyped.args(["--force", "-o"]).arg(&exists).args(["--", "/no/such/program"]);
    assert_eq!(mistyped.status().unwrap().code(), Some(127));
    assert_eq!(fs::read(&exists).unwrap(), b"precious", "nothing was recorded instead");
    let mut misused = capture();
    assert_eq!(
        misused.args(["-F", "0", "-o", "x", "--", "true"]).status().unwrap().code(),
        Some(125)
    );
}

#[test]
fn a_terminal_that_goes_away_costs_neither_the_recording_nor_the_status() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let mut recorder = capture();
    recorder.args(["-d", "0.5", "-o"]).arg(&path).args(["--", "sh", "-c", "sleep 1; exit 7"]);
    assert_eq!(recorder.stderr(gone).status().unwrap().code(), Some(7));
    assert_eq!(read(&path).end().reason, EndReason::Duration);
}

#[test]
fn a_command_gets_the_signals_and_default_dispositions() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let script = "trap 'exit 9' TERM; echo ready; while :; do :; done";
    let mut recorder = capture();
    recorder.arg("-o").arg(&path).args(["--", "bash", "-c", script]);
    let mut recorder = recorder.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut ready = [0; 6];
    recorder.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let recorder = Running(recorder);
    recorder.signal("TERM");
    let mut recorder = recorder;
    assert_eq!(recorder.wait().code(), Some(9));
    read(&path).assert_balanced();

    // Rust ignores SIGPIPE for itself; a command must not inherit that.
    let ignored = succeed(capture().arg("--force").arg("-o").arg(&path).args([
        "--",
        "grep",
        "Sig[IB]",
        "/proc/self/status",
    ]));
    let ignored = String::from_utf8(ignored.stdout).unwrap();
    for line in ignored.lines() {
        let signals = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        for (name, number) in [("HUP", 1), ("INT", 2), ("PIPE", 13), ("TERM", 15), ("XFSZ", 25)] {
            assert_eq!(signals >> (number - 1) & 1, 0, "SIG{name}: {ignored}");
        }
    }
}

#[test]
fn what_cannot_be_recorded_is_said_in_one_message() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let refused = |arguments: &[&str], words: &str| {
        let output = capture().arg("-o").arg(&path).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        assert!(!path.exists(), "nothing is left behind");
    };
    refused(&["-p", "4194304"], "there is no process 4194304");
    refused(&["-a", "-F", "0"], "0");
    let nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--"]).arg(program);
        command
    };
    // The program is copied to where nobody may execute it.
    let copy = dir.path().join("capture");
    fs::copy(capture().get_program(), &copy).unwrap();
    for file in [dir.path(), &copy] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = nobody(&copy).args(["-a", "-o", "/tmp/no.arc"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("CAP_BPF and CAP_PERFMON"), "{}", said(&output));
    assert!(!Path::new("/tmp/no.arc").exists());
}

#[test]
fn a_full_disk_ends_the_recording_and_leaves_it_readable() {
    let dir = dir();
    let mount = dir.path().join("small");
    fs::create_dir(&mount).unwrap();
    succeed(Command::new("mount").args(["-t", "tmpfs", "-o", "size=48k", "none"]).arg(&mount));
    let path = mount.join("run.arc");
    let spin = Running::start(Command::new(program(dir.path(), "spin", &["-O1"])).arg("60"));
    let mut recorder = capture();
    recorder.args(["-F", "9999", "-d", "60", "-p", &spin.pid(), "-o"]).arg(&path);
    let output = recorder.output().unwrap();
    let archive = Archive::open(fs::File::open(&path).unwrap()).unwrap();
    let whole = archive.data_blocks().filter(Result::is_ok).count();
    let finished = archive.end().is_some();
    drop(archive);
    succeed(Command::new("umount").arg(&mount));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the disk is full"), "{}", said(&output));
    assert!(said(&output).contains("write failed"), "the loss is counted: {}", said(&output));
    assert!(said(&output).contains("INCOMPLETE"), "{}", said(&output));
    assert!(!finished);
    assert!(whole > 0, "what was written before is readable");
}

#[test]
fn the_archive_is_the_owners_alone() {
    let dir = dir();
    let path = dir.path().join("run.arc");
    let mut recorder = capture();
    recorder.env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    succeed(recorder.args(["-a", "-d", "0.1", "-o"]).arg(&path));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534));
}

#[test]
fn a_recorder_leaves_itself_out_and_can_be_recorded() {
    let dir = dir();
    let (inner, outer) = (dir.path().join("inner"), dir.path().join("outer"));
    let recorder =
        Running::start(capture().args(["-a", "-F", "9999", "-d", "4", "-o"]).arg(&inner));
    pause(300);
    succeed(capture().args(["-p", &recorder.pid(), "-F", "9999", "-o"]).arg(&outer));
    let (inner, outer) = (read(&inner), read(&outer));
    assert!(inner.ledger.sum(CPU_CLOCK).own > 0);
    let comms = |r: &Recorded| {
        let tables = r.archive.tables();
        tables.threads.iter().map(|t| t.comm.lossy().into_owned()).collect::<Vec<_>>()
    };
    assert!(comms(&outer).iter().all(|comm| comm == "capture"), "{:?}", comms(&outer));
    assert!(!outer.times_ns.is_empty());
}

/// All frames of an archive, decompressed, as `zstd -dc` gives them.
fn decompressed(path: &Path) -> Vec<u8> {
    succeed(Command::new("zstd").arg("-dc").arg(path)).stdout
}

#[test]
fn a_secret_in_the_targets_memory_is_not_in_the_archive() {
    let secret: String = {
        let mut bytes = [0u8; 32];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    };
    let dir = dir();
    let c = program(dir.path(), "secret", &["-O2", "-fomit-frame-pointer"]);
    let script = "
import sys, time, hashlib, json
secret = sys.stdin.readline().strip()
def use(depth, secret):
    copy = ''.join(list(secret))
    if depth: return use(depth - 1, copy)
    return hashlib.sha256(json.dumps([copy] * 20).encode()).hexdigest()
end = time.process_time() + 3
while time.process_time() < end: use(20, secret)
";
    for command in [vec![c.to_str().unwrap(), "3"], vec!["python3", "-c", script]] {
        let path = dir.path().join("run.arc");
        let mut recorder = capture();
        recorder.args(["--force", "-F", "1999", "-o"]).arg(&path).arg("--").args(&command);
        let mut recorder = recorder.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        recorder.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
        assert!(recorder.wait().unwrap().success());
        let recorded = read(&path);
        assert!(recorded.times_ns.len() > 3000);
        let content = decompressed(&path);
        for piece in secret.as_bytes().windows(8) {
            let reversed: Vec<u8> = piece.iter().rev().copied().collect();
            for piece in [piece, &reversed] {
                let found = content.windows(8).any(|w| w == piece);
                assert!(!found, "{} is in the archive", String::from_utf8_lossy(piece));
            }
            // A word in a column is a varint, and relative to its parent: look at what it means.
            let word = u64::from_le_bytes(piece.try_into().unwrap());
            let tables = recorded.archive.tables();
            assert!(
                tables
                    .nodes
                    .iter()
                    .all(|(_, n)| n.address != word && n.address != word.swap_bytes())
            );
        }
    }
}
