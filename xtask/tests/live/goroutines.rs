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

/// What C code does that calls Go code back, up to that.
const CALLED_BACK: [&str; 4] =
    ["crosscall2", "runtime.cgocallback", "runtime.cgocallbackg", "runtime.cgocallbackg1"];

fn build(dir: &Path, flags: &[&str]) -> PathBuf {
    build_source(dir, "digest", flags)
}

fn build_source(dir: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let program = dir.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cgo");
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath"])
        .args(flags)
        .arg("-o")
        .arg(&program)
        .arg(format!("{name}.go"));
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

/// Whether the frames in Go and C are those of `testdata/cgo/callback.go`, without any that says that one is missing.
fn is_called_back(frames: &[&str]) -> bool {
    let Some(rest) =
        frames.strip_prefix(&["runtime.goexit", "main.work", "main.handle", "main.serve"])
    else {
        return false;
    };
    let named = |frame: &&&str| !frame.starts_with("_cgo_") && !frame.starts_with("_cgoexp_");
    let mut rest: Vec<&str> = rest.iter().filter(named).copied().collect();
    rest.dedup(); // Go 1.17 to 1.26 have a wrapper of runtime.cgocallbackg
    let into_c =
        ["main._Cfunc_visit", "runtime.cgocall", "runtime.asmcgocall", "visit", "each", "spin"];
    rest == [&into_c[..], &CALLED_BACK, &["main.spin", "main.mix"]].concat()
}

#[test]
fn go_code_that_c_code_called_has_the_callers_of_both() {
    let dir = tempfile::tempdir().unwrap();
    for (name, flags) in [("", &[][..]), ("pie", &["-buildmode=pie", "-ldflags=-w"])] {
        let dir = dir.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let stacks = record(&build_source(&dir, "callback", flags), "auto");
        let (mut all, mut right) = (0, 0);
        for (stack, weight) in &stacks {
            let frames: Vec<&str> =
                stack[1..].iter().map(|frame| frame.trim_end_matches("_[i]")).collect();
            if let [.., "main.mix"] = frames[..] {
                all += weight;
                right += if is_called_back(&frames) { *weight } else { 0 };
            }
        }
        println!("{right} of {all} ns in Go code that C code called");
        assert!(all > 500_000_000 && right as f64 >= 0.99 * all as f64, "{stacks:#?}");
    }
}
