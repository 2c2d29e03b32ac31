//! Programs of languages that keep their names in tables of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::recording::{Running, capture, folded, succeed};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// Total weight by function in percent: each function once a stack, inlined or not.
fn totals(stacks: &BTreeMap<Vec<String>, u64>) -> BTreeMap<&str, f64> {
    let all: u64 = stacks.values().sum();
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (stack, weight) in stacks {
        let functions: BTreeSet<&str> = stack.iter().map(|f| f.trim_end_matches("_[i]")).collect();
        for function in functions {
            *totals.entry(function).or_default() += weight;
        }
    }
    totals.into_iter().map(|(name, weight)| (name, weight as f64 * 100.0 / all as f64)).collect()
}

/// Cumulative shares in percent as `go tool pprof -top` prints them.
fn totals_of_pprof(program: &Path, profile: &Path) -> BTreeMap<String, f64> {
    let mut top = Command::new("go");
    top.args(["tool", "pprof", "-top", "-cum", "-nodefraction=0"]).arg(program).arg(profile);
    let printed = String::from_utf8(succeed(&mut top).stdout).expect("pprof prints UTF-8");
    let rows = printed.lines().skip_while(|line| !line.trim_start().starts_with("flat")).skip(1);
    rows.map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let share = columns[4].trim_end_matches('%').parse().expect("a share");
        let name = columns[5..].join(" ");
        // "(inline)" or "(partial-inline)" follows.
        let name = name.split_once(" (").map_or(&*name, |(name, _)| name);
        (name.to_owned(), share)
    })
    .collect()
}

#[test]
fn a_stripped_go_service_has_the_profile_that_its_own_runtime_gives() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("service");
    let mut build = Command::new("go");
    build.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&program).arg("service.go");
    succeed(build.current_dir(testdata("go")));

    let (profile, archive) = (dir.path().join("cpu.pb.gz"), dir.path().join("run.arc"));
    let mut serve = Command::new(&program);
    serve.args(["serve", "13"]).arg(&profile).stdout(Stdio::piped());
    let mut server = Running(serve.spawn().unwrap());
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let _load = Running::start(Command::new(&program).args(["load", address.trim()]));
    succeed(capture().args(["-p", &server.pid(), "-d", "11", "-o"]).arg(&archive));
    assert!(server.0.wait().unwrap().success());

    let theirs = totals_of_pprof(&program, &profile);
    let stacks = folded(&archive, &["--no-kernel"]);
    let ours = totals(&stacks);
    let mut compared = 0;
    // On a busy machine the runtime's signals for its profile and for preemption are delivered together: it
    // then sees itself about to preempt.
    let is_compared = |name: &str, share: f64| share >= 5.0 && name != "runtime.asyncPreempt";
    for (name, share) in theirs.iter().filter(|(name, share)| is_compared(name, **share)) {
        let mine = ours.get(name.as_str()).copied().unwrap_or(0.0);
        println!("{name}: the runtime {share:.1} %, capture {mine:.1} %");
        // Two samplers, 1,000 samples each: three standard deviations of a difference are 6 points.
        assert!((mine - share).abs() <= 6.0, "{name}: the runtime {share:.1} %, ours {mine:.1} %");
        compared += 1;
    }
    assert!(compared >= 5, "{theirs:#?}");
    // A chain that many samples have: of a function with ten samples, none may be in what it inlines.
    let writes =
        ["internal/poll.(*FD).Write", "internal/poll.ignoringEINTRIO_[i]", "syscall.Write_[i]"];
    let inlined = stacks.keys().any(|stack| stack.windows(3).any(|frames| frames == writes));
    assert!(inlined, "{ours:#?}");
}

#[test]
fn javascript_has_its_names_and_their_shares() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("run.arc");
    let script = testdata("node").join("hot.js").canonicalize().unwrap();
    let mut node = Command::new("node");
    node.arg("--perf-basic-prof").arg(script).arg("12").current_dir(dir.path());
    let node = Running::start(&mut node);
    let map = PathBuf::from(format!("/tmp/perf-{}.map", node.pid()));
    succeed(capture().args(["-p", &node.pid(), "-d", "10", "-o"]).arg(&archive));
    drop(node);
    std::fs::remove_file(map).unwrap();
    let stacks = folded(&archive, &[]);
    // V8 keeps a function under a name for each tier that compiled it.
    let weight = |function: &str| -> u64 {
        let is_it = |frame: &String| frame.starts_with("JS:") && frame.contains(function);
        stacks.iter().filter(|(s, _)| s.iter().any(is_it)).map(|(_, weight)| weight).sum()
    };
    let known =
        [("countPrimes", 9), ("hashText", 3), ("sumSquares", 3), ("collatz", 3), ("countBits", 3)];
    let named: u64 = known.iter().map(|(function, _)| weight(function)).sum();
    let all: u64 = stacks.values().sum();
    assert!(named * 10 >= all * 8, "{named} of {all} ns have names");
    for (function, milliseconds) in known {
        let mine = weight(function) as f64 * 100.0 / named as f64;
        let expected = f64::from(milliseconds) * 100.0 / 21.0;
        println!("{function}: {mine:.1} %, by construction {expected:.1} %");
        assert!((mine - expected).abs() <= 6.0, "{function}: {mine:.1} %, not {expected:.1} %");
    }
}
