//! A recorder killed at any time leaves an archive that opens, with all but the last second in it.

use std::path::Path;
use std::time::Duration;

use archive::Archive;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::recording::{Running, analyze, capture, workload};

/// The flush interval of `capture`, and what a busy machine may add to it.
const NEWEST_AT_MOST_OLD: Duration = Duration::from_millis(1300);

fn monotonic_ns() -> u64 {
    // /proc/uptime is boot time with 10 ms steps; the machines that run tests do not suspend.
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    (seconds * 1e9) as u64
}

fn newest_sample_ns(path: &Path) -> Option<u64> {
    let archive = Archive::open(std::fs::File::open(path).unwrap()).unwrap();
    archive
        .data_blocks()
        .map(|block| {
            let mut newest = None;
            block.expect("a whole block").for_each_sample(|s| newest = newest.max(Some(s.time_ns)));
            newest
        })
        .max()
        .flatten()
}

#[test]
fn two_hundred_kills_cost_at_most_the_last_flush_interval() {
    let spinner = Running::start(std::process::Command::new(workload("split")).arg("600"));
    let dir = tempfile::tempdir().unwrap();
    // Four at a time; delays spread evenly over 0.3 to 2.3 s, in an order that mixes them.
    let ages: Vec<Option<u64>> = (0..200u64)
        .collect::<Vec<_>>()
        .chunks(4)
        .flat_map(|batch| {
            batch
                .into_par_iter()
                .map(|run| {
                    let path = dir.path().join(format!("{run}.arc"));
                    let mut recorder = Running::start(
                        capture()
                            .args(["-p", &spinner.pid(), "-F", "199", "-o"])
                            .arg(&path)
                            .stderr(std::process::Stdio::null()),
                    );
                    std::thread::sleep(Duration::from_millis(300 + run * 97 % 200 * 10));
                    recorder.0.kill().unwrap();
                    let killed_ns = monotonic_ns();
                    recorder.0.wait().unwrap();
                    let analyzed = analyze().arg(&path).arg("--info").output().unwrap();
                    let said = String::from_utf8_lossy(&analyzed.stdout).into_owned();
                    assert!(analyzed.status.success(), "run {run}: {said}");
                    assert!(said.contains("INCOMPLETE"), "run {run} does not say so: {said}");
                    newest_sample_ns(&path).map(|newest| killed_ns.saturating_sub(newest))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let with_samples: Vec<u64> = ages.iter().flatten().copied().collect();
    let oldest = with_samples.iter().max().copied().unwrap_or(0);
    println!(
        "{} of 200 archives hold samples; the newest is at most {} ms old",
        with_samples.len(),
        oldest / 1_000_000
    );
    assert!(oldest <= NEWEST_AT_MOST_OLD.as_nanos() as u64, "newest sample {oldest} ns old");
    // One killed within its first flush interval may hold none yet.
    let late_enough = (0..200u64).filter(|run| 300 + run * 97 % 200 * 10 > 1600).count();
    assert!(with_samples.len() >= late_enough, "{} of {late_enough}", with_samples.len());
}
