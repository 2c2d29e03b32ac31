//! Does the profile add up? Against programs that know their own CPU time.

use archive::Archive;
use profile::EventId;

use super::recording::{capture, figure, folded, succeed, weight_with, workload};

fn fired_and_period(path: &std::path::Path) -> (profile::Ledger, u64) {
    let archive = Archive::open(std::fs::File::open(path).unwrap()).unwrap();
    let mut ledger = profile::Ledger::default();
    use rayon::iter::ParallelIterator as _;
    for block in archive.data_blocks().collect::<Vec<_>>() {
        for row in block.expect("an undamaged block").ledger() {
            ledger.update(row);
        }
    }
    (ledger, archive.facts().events[0].period)
}

#[test]
fn a_known_split_comes_out_within_two_points() {
    let dir = tempfile::tempdir().unwrap();
    let mut errors: Vec<f64> = (0..3)
        .map(|run| {
            let path = dir.path().join(format!("split-{run}.arc"));
            let ran =
                succeed(capture().arg("-o").arg(&path).arg("--").arg(workload("split")).arg("30"));
            let stacks = folded(&path, &[]);
            let shares = ["seventy", "twenty", "ten"].map(|name| {
                let truth = figure(&ran.stdout, name) / figure(&ran.stdout, "cpu_s");
                let all: u64 = stacks.values().sum();
                let seen = weight_with(&stacks, &format!("split::{name}")) as f64 / all as f64;
                (seen - truth).abs() * 100.0
            });
            println!("run {run}: off by {shares:.2?} points");
            shares.into_iter().fold(0.0, f64::max)
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(errors[1] <= 2.0, "median of the largest errors, in points: {errors:?}");
}

/// Samples × period against the CPU time that the command itself measured.
fn ratio(hz: &str, command: &str, arguments: &[&str]) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.arc");
    let ran = succeed(
        capture()
            .args(["-F", hz, "-o"])
            .arg(&path)
            .arg("--")
            .arg(workload(command))
            .args(arguments),
    );
    let (ledger, period) = fired_and_period(&path);
    let sum = ledger.sum(EventId(1));
    assert!(ledger.balances(), "fired = written + dropped on each CPU: {ledger:?}");
    let ratio = (sum.fired * period) as f64 / 1e9 / figure(&ran.stdout, "cpu_s");
    println!("{command} {arguments:?} at {hz} Hz: samples / (Hz × CPU time) = {ratio:.4}");
    ratio
}

#[test]
fn samples_equal_the_rate_times_the_cpu_time() {
    let ratio = ratio("99", "split", &["20"]);
    assert!((ratio - 1.0).abs() <= 0.02, "{ratio}");
}

#[test]
fn samples_equal_the_rate_times_the_cpu_time_of_a_thousand_short_children() {
    // At 997 Hz, because at 99 Hz the dice alone are worth 4 % (400 samples).
    let ratio = ratio("997", "burst", &["1000", "3"]);
    assert!((ratio - 1.0).abs() <= 0.02, "{ratio}");
}
