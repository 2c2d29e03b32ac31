//! Every sample is there, counted as lost, or left out for a reason.

use std::path::Path;
use std::process::{Command, Output};

use profile::DropCause;

use crate::recording::*;

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

#[test]
fn perf_recording_at_the_same_time_is_not_harmed() {
    let dir = dir();
    let (arc, data) = (dir.path().join("run.arc"), dir.path().join("perf.data"));
    let perf = || Command::new("perf");
    let mut recorder = Running::start(capture().args(["-a", "-o"]).arg(&arc));
    pause(700);
    // Programs that are mapped while both listen.
    let mut record = perf();
    record.args(["record", "-q", "-e", "cpu-clock", "-o"]).arg(&data);
    succeed(record.args(["--", "sh", "-c", "for i in 1 2 3 4 5; do /bin/ls /; done"]));
    recorder.signal("INT");
    assert!(recorder.wait().success());
    let mut script = perf();
    script.args(["script", "--show-mmap-events", "-i"]).arg(&data);
    let printed = String::from_utf8(succeed(&mut script).stdout).unwrap();
    let mappings: Vec<&str> =
        printed.lines().filter(|l| l.contains("MMAP2") && l.contains("/libc.so")).collect();
    assert!(mappings.len() >= 5, "{printed}");
    // "08:01 1234 0", not "<0102…>": inodes, as it had asked for.
    assert!(mappings.iter().all(|line| !line.contains('<')), "{mappings:?}");
}
