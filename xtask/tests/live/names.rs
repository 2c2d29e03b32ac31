//! Are the names right? On another machine, and against `perf script`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::recording::{
    Running, analyze, capture, folded, parse_folded, succeed, weight_with, workload,
};

#[test]
fn a_machine_without_the_binaries_says_which_to_bring_and_then_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.arc");
    // A copy that only this test has, below a folder that can be hidden.
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    let program = host.join("split");
    fs::copy(workload("split"), &program).unwrap();
    succeed(capture().args(["-F", "499", "-o"]).arg(&path).arg("--").arg(&program).arg("3"));
    let here = folded(&path, &["--no-kernel"]);

    let elsewhere = |arguments: &str| {
        let script = format!(
            "mount -t tmpfs none {} && exec {} {} --no-kernel {arguments}",
            host.display(),
            analyze().get_program().to_string_lossy(),
            path.display(),
        );
        succeed(Command::new("unshare").args(["-m", "sh", "-c", &script]))
    };
    let missing = String::from_utf8(elsewhere("--top").stdout).unwrap();
    let summary = String::from_utf8(elsewhere("-o - --format txt").stdout).unwrap();
    assert!(!missing.contains("split::seventy"), "{missing}");
    assert!(summary.contains("scp ") && summary.contains("split"), "{summary}");

    let bring = dir.path().join("debug");
    fs::create_dir(&bring).unwrap();
    fs::copy(&program, bring.join("whatever-it-is-called-here")).unwrap();
    let brought = elsewhere(&format!("--debug-dir {} -o - --format folded", bring.display()));
    let brought = parse_folded(brought.stdout);
    assert_eq!(brought, here);
    assert!(weight_with(&here, "split::seventy") > 0);
}

/// glibc gives its memmove a second name at the same address; perf shows one, we the other.
fn one_of_two(name: &str) -> &str {
    match name {
        "__memmove_avx512_unaligned_erms" => "__memcpy_avx512_unaligned_erms",
        "__memmove_avx_unaligned_erms" => "__memcpy_avx_unaligned_erms",
        "__memmove_evex_unaligned_erms" => "__memcpy_evex_unaligned_erms",
        other => other,
    }
}

/// Self weight by leaf function, in percent, of what `perf script` prints.
fn perf_leaves(data: &std::path::Path) -> BTreeMap<String, f64> {
    let script = succeed(Command::new("perf").args(["script", "-F", "ip,sym", "-i"]).arg(data));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for sample in String::from_utf8_lossy(&script.stdout).split("\n\n") {
        let Some(leaf) = sample.trim_start().lines().next() else { continue };
        let name = leaf.trim().split_once(' ').map_or("[unknown]", |(_, name)| name.trim());
        *counts.entry(one_of_two(name).to_owned()).or_default() += 1;
    }
    shares(counts.into_iter().map(|(name, count)| (name, u64::from(count))).collect())
}

fn shares(weights: BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    let all: u64 = weights.values().sum();
    weights.into_iter().map(|(name, w)| (name, w as f64 * 100.0 / all as f64)).collect()
}

#[test]
fn an_unmodified_python_gets_the_names_that_perf_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    let (arc, data) = (dir.path().join("run.arc"), dir.path().join("perf.data"));
    let script = "
import json, time
end = time.time() + 60
data = {str(i): list(range(20)) for i in range(200)}
while time.time() < end: json.loads(json.dumps(data))
";
    let python = Running::start(Command::new("python3").args(["-c", script]));
    let mut perf = Running::start(
        Command::new("perf")
            .args(["record", "-q", "-e", "cpu-clock", "-F", "499", "-g", "-p", &python.pid(), "-o"])
            .arg(&data)
            .args(["--", "sleep", "10"]),
    );
    succeed(capture().args(["-p", &python.pid(), "-F", "499", "-d", "10", "-o"]).arg(&arc));
    perf.0.wait().unwrap();

    let theirs = perf_leaves(&data);
    let mut ours: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, weight) in folded(&arc, &["--no-inlines"]) {
        let leaf = stack.last().unwrap().trim_end_matches("_[k]");
        *ours.entry(one_of_two(leaf).to_owned()).or_default() += weight;
    }
    let ours = shares(ours);
    for (name, share) in theirs.iter().filter(|(_, share)| **share >= 1.0) {
        let mine = ours.get(name).copied().unwrap_or(0.0);
        println!("{name}: perf {share:.1} %, capture {mine:.1} %");
        // Two samplers of one run: 5,000 samples each, so a point or two is dice.
        assert!((mine - share).abs() <= 2.5, "{name}: perf {share:.1} %, capture {mine:.1} %");
    }
}
