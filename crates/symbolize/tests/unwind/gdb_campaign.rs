//! Stacks of installed programs as gdb finds them, at the very moments at which it stops them.
//!
//! ```text
//! cargo test --release -p symbolize --features campaign --test unwind gdb_campaign -- --nocapture
//! ```
//! Needs root, gdb, and what each of `testdata/load/*.sh` names in its first lines; an x86-64 Linux. Takes some
//! minutes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use profile::ModuleId;
use symbolize::unwind::WalkEnd;

use crate::traced::Traced;

/// What is kept busy, of `testdata/load`, and the name of the process to look at: the newest.
const LOADS: [(&str, &str); 6] = [
    ("python", "python3"),
    ("compiler", "cc1plus"),
    ("postgresql", "postgres"),
    ("nginx", "nginx"),
    ("cpp", "letters"),
    ("handlers", "handlers"),
];
const LOOKS: usize = 40;
/// Compilers come and go while gdb reads their symbols.
const TIME_LIMIT: Duration = Duration::from_secs(90);
const FEWEST: usize = 5;
const SECONDS: &str = "120";
/// Where gdb's chain ends when it is complete.
const ROOTS: [&str; 4] = ["_start", "clone3", "clone", "__clone"];

#[test]
fn chains_are_those_that_gdb_finds_at_the_same_moment() {
    let dir = scratch();
    let (mut all, mut wrong) = (0, String::new());
    for (load, process) in LOADS {
        let running = Load::start(load);
        let (mut compared, mut same) = (0, 0);
        let start = Instant::now();
        while compared < LOOKS && start.elapsed() < TIME_LIMIT {
            std::thread::sleep(Duration::from_millis(70));
            let Some(look) = look(process, &dir) else { continue };
            for (sample, (truth, root)) in look.traced.samples.iter().zip(&look.chains) {
                let code = |at: &u64| look.traced.code(*at);
                let Some(truth) = truth.iter().map(code).collect::<Option<Vec<_>>>() else {
                    continue; // the vDSO's or run-time code, of which there is no file
                };
                if !ROOTS.contains(&root.as_str()) {
                    continue;
                }
                compared += 1;
                let (frames, end) = look.traced.unwind(sample, usize::MAX);
                let found: Vec<(ModuleId, u64)> =
                    frames.iter().map(|frame| (frame.module, frame.address)).collect();
                if found == truth && end == WalkEnd::Root {
                    same += 1;
                } else {
                    let shown = look.traced.describe(&frames);
                    wrong.push_str(&format!(
                        "{load}: {shown} {end:?}\n    {found:x?}\n    {truth:x?}\n"
                    ));
                }
            }
        }
        drop(running);
        println!("{load:12} {same} of {compared} complete chains of gdb's are ours");
        assert!(compared >= FEWEST, "{load}: gdb found {compared} complete chains only");
        all += compared;
    }
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(wrong.is_empty(), "of {all}\n{wrong}");
}

fn scratch() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gdb_campaign");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A script of `testdata/load` that runs.
struct Load(Child);

impl Load {
    fn start(name: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/load");
        let mut command = Command::new(script.join(name).with_extension("sh"));
        command.arg(SECONDS).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // When what it waits for has ended, a script cleans up; others have become what they ran.
        let pid = self.0.id().to_string();
        let ended = Command::new("pkill").args(["-P", &pid]).status();
        if !ended.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// What gdb saw of one process: of each thread a sample, its chain, and the name at the end of that.
struct Look {
    traced: Traced,
    chains: Vec<(Vec<u64>, String)>,
}

/// Lets gdb look; `None` when there is no such process, or it ended meanwhile.
fn look(process: &str, dir: &Path) -> Option<Look> {
    let found = Command::new("pgrep").args(["-n", "-x", process]).output().unwrap();
    let pid = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    if pid.is_empty() {
        return None;
    }
    let out = dir.join("look");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unwind/look.py");
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-p", &pid, "-ex"]);
    gdb.arg(format!("python OUT = '{}'", out.display())).arg("-x").arg(script);
    let output = gdb.output().expect("gdb (Debian package gdb) runs");
    let maps = std::fs::read_to_string(out.with_extension("maps")).ok()?;
    let lines = std::fs::read_to_string(out.with_extension("chains")).unwrap();
    let samples = std::fs::read(out.with_extension("samples")).unwrap();
    for ending in ["maps", "chains", "samples"] {
        std::fs::remove_file(out.with_extension(ending)).unwrap();
    }
    let chains = lines.lines().map(|line| {
        let (addresses, root) = line.rsplit_once(' ').unwrap();
        let addresses = addresses.split(' ').map(|at| u64::from_str_radix(at, 16).unwrap());
        (addresses.collect(), root.to_owned())
    });
    let chains: Vec<_> = chains.collect();
    let traced = Traced::read(&samples, &maps);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(traced.samples.len(), chains.len(), "{said}");
    Some(Look { traced, chains })
}
