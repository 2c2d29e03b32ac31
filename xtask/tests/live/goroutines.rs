//! Go's runtime calls C code on another stack than the goroutine's: whose callers are on the sampled stack then?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::recording::{Running, capture, folded, succeed};

/// What `main.work` does, in Go and in C.
const IN_GO: [&str; 6] = [
    "runtime.goexit",
    "main.work",
    "main.handle",
    "main.serve",
    "main._Cfunc_digest",
    "runtime.cgocall",
];

fn build(dir: &Path, flags: &[&str]) -> PathBuf {
    let program = dir.join("digest");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cgo");
    let mut build = Command::new("go");
    build.args(["build", "-trimpath"]).args(flags).arg("-o").arg(&program).arg("digest.go");
    succeed(build.current_dir(source));
    program
}

/// User stacks of five seconds.
fn record(program: &Path, unwind: &str) -> BTreeMap<Vec<String>, u64> {
    let archive = program.with_extension(format!("{unwind}.arc"));
    let running = Running::start(Command::new(program).arg("8"));
    let mut recorder = capture();
    recorder.args(["-p", &running.pid(), "-F", "499", "-d", "5", "--unwind", unwind, "-o"]);
    succeed(recorder.arg(&archive));
    folded(&archive, &["--no-kernel"])
}

/// Of the weight of the stacks in C code, which is so much at least, the part whose frames below the process are as
/// they should be.
fn part(
    stacks: &BTreeMap<Vec<String>, u64>,
    least_ns: u64,
    is_right: impl Fn(&[&str]) -> bool,
) -> f64 {
    let (mut all, mut right) = (0, 0);
    for (stack, weight) in stacks {
        let frames: Vec<&str> = stack[1..].iter().map(String::as_str).collect();
        if let [.., "mix" | "digest"] = frames[..] {
            all += weight;
            right += if is_right(&frames) { *weight } else { 0 };
        }
    }
    assert!(all > least_ns, "{stacks:#?}");
    println!("{right} of {all} ns in C code");
    right as f64 / all as f64
}

#[test]
fn c_code_has_the_go_functions_that_called_it() {
    let dir = tempfile::tempdir().unwrap();
    let program = build(dir.path(), &[]);
    let stacks = record(&program, "auto");
    let whole = |frames: &[&str]| {
        let in_c = frames.strip_prefix(&IN_GO);
        matches!(
            in_c,
            Some(["runtime.asmcgocall", entry, "digest"] | ["runtime.asmcgocall", entry, "digest", "mix"])
                if entry.ends_with("_Cfunc_digest")
        )
    };
    assert!(part(&stacks, 2_000_000_000, whole) >= 0.99, "{stacks:#?}");

    // Without slices the frames in C are lost, but not those in Go.
    let stacks = record(&program, "fp");
    let in_go = |frames: &[&str]| frames.starts_with(&IN_GO);
    assert!(part(&stacks, 2_000_000_000, in_go) >= 0.99, "{stacks:#?}");
}

#[test]
fn a_position_independent_go_program_without_debug_information_is_no_exception() {
    let dir = tempfile::tempdir().unwrap();
    let program = build(dir.path(), &["-buildmode=pie", "-ldflags=-w"]);
    let stacks = record(&program, "auto");
    let in_go = |frames: &[&str]| {
        frames.starts_with(&IN_GO) && !frames.iter().any(|frame| frame.starts_with('['))
    };
    assert!(part(&stacks, 2_000_000_000, in_go) >= 0.99, "{stacks:#?}");
}

#[test]
fn a_command_has_the_go_functions_from_its_first_tick_on() {
    let dir = tempfile::tempdir().unwrap();
    let program = build(dir.path(), &[]);
    let archive = dir.path().join("launched.arc");
    let mut recorder = capture();
    recorder.args(["-F", "3999", "-o"]).arg(&archive).arg("--").arg(&program).arg("0.2");
    succeed(&mut recorder);
    let stacks = folded(&archive, &["--no-kernel"]);
    let in_go = |frames: &[&str]| frames.starts_with(&IN_GO);
    assert!(part(&stacks, 30_000_000, in_go) >= 0.99, "{stacks:#?}");
}
