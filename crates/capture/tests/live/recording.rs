//! Starts the program under test and reads what it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use archive::Archive;
use profile::{DropCause, End, EventId, Ledger, StackEnd};
use rayon::iter::ParallelIterator as _;

pub(crate) const CPU_CLOCK: EventId = EventId(1);

pub(crate) fn capture() -> Command {
    let built = std::env::var_os("FLAMEARC_CAPTURE");
    Command::new(built.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_capture")), PathBuf::from))
}

pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Compiles one of the programs in `programs/`.
pub(crate) fn program(dir: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/programs").join(format!("{name}.c"));
    let binary = dir.join(name);
    let compiled = Command::new("cc").args(flags).arg("-o").arg(&binary).arg(source).status();
    assert!(compiled.expect("cc is installed").success());
    binary
}

pub(crate) const WITH_FRAME_POINTERS: &[&str] = &["-O1", "-fno-omit-frame-pointer"];

/// A background process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

pub(crate) struct Recorded {
    pub(crate) archive: Archive,
    pub(crate) ledger: Ledger,
    /// Times of samples, in no order.
    pub(crate) times_ns: Vec<u64>,
    pub(crate) covered_to_ns: u64,
    pub(crate) unknown_maps: usize,
    pub(crate) sideband_lost: u64,
}

pub(crate) fn read(path: &Path) -> Recorded {
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
    pub(crate) fn assert_balanced(&self) {
        assert!(self.ledger.balances(), "fired = written + dropped on each CPU: {:?}", self.ledger);
        let sum = self.ledger.sum(CPU_CLOCK);
        assert_eq!(sum.written, self.times_ns.len() as u64, "every row is there");
    }

    pub(crate) fn dropped(&self, cause: DropCause) -> u64 {
        self.ledger.sum(CPU_CLOCK).dropped[cause as usize]
    }

    pub(crate) fn end(&self) -> &End {
        self.archive.end().expect("a finished recording")
    }
}
