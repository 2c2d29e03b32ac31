//! How fast `analyze` reads what there is most of: samples, and different stacks.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{Load, ROUNDS, median};
use crate::build::{Programs, target_dir};
use crate::run;
use crate::rusage::{Usage, measure};

/// The version that the tests hold us against, too.
const INFERNO: &str = "0.12.8";
const LEAST_SAMPLES: usize = 80_000;
const STACKS: u64 = 100_000;

/// Measures all three.
pub(super) fn run(programs: &Programs, dir: &Path) -> Result<()> {
    perf_data(programs, dir)?;
    hundred_million(programs, dir)?;
    two_profiles(programs, dir)
}

fn wall_s(rounds: &[Usage]) -> f64 {
    median(rounds.iter().map(|usage| usage.wall.as_secs_f64()).collect())
}

/// From a file of perf's to a picture, by the way everybody goes and by ours.
fn perf_data(programs: &Programs, dir: &Path) -> Result<()> {
    let (data, picture) = (dir.join("perf.data"), dir.join("perf.svg"));
    let load = Load::start(programs, &[("mixed", &["3600"]), ("deep", &["25", "3600"])])?;
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", "1999", "-o"]).arg(&data);
    run::check(run::quiet_all(record.args(["--", "sleep", "40"])))?;
    drop(load);
    let inferno = inferno()?;
    let pipe = format!(
        "perf script -i '{}' 2>/dev/null | '{}' | '{}' >'{}'",
        data.display(),
        inferno.join("inferno-collapse-perf").display(),
        inferno.join("inferno-flamegraph").display(),
        picture.display()
    );
    let times = run::output(Command::new("perf").args(["script", "-F", "time", "-i"]).arg(&data))?;
    let samples = times.stdout.iter().filter(|byte| **byte == b'\n').count();
    if samples < LEAST_SAMPLES {
        bail!("perf recorded {samples} samples only: end other load");
    }
    let cache = dir.join("cache");
    let analyze = || {
        let mut analyze = Command::new(&programs.analyze);
        analyze.env("XDG_CACHE_HOME", &cache).arg(&data).arg("-o").arg(&picture);
        analyze
    };
    let (mut theirs, mut cold, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure(Command::new("sh").args(["-c", &pipe]))?);
        let _ = fs::remove_dir_all(&cache); // there is none at first
        fs::create_dir(&cache)?;
        cold.push(measure(&mut analyze())?);
        warm.push(measure(&mut analyze())?);
    }
    let (theirs, cold, warm) = (wall_s(&theirs), wall_s(&cold), wall_s(&warm));
    println!(
        "perf.data of the whole machine, {samples} samples: perf script, inferno-collapse-perf and \
         inferno-flamegraph {theirs:.2} s; analyze {cold:.3} s, {:.0} times faster (budget 10), with its cache \
         {warm:.3} s, {:.0} times (budget 20)",
        theirs / cold,
        theirs / warm
    );
    Ok(())
}

/// Where inferno's programs are, built for this alone.
fn inferno() -> Result<PathBuf> {
    let root = target_dir()?.join("peers");
    if !root.join("bin/inferno-flamegraph").exists() {
        let mut install = run::cargo(&["install", "--quiet", "--locked", "inferno"]);
        run::check(install.args(["--version", INFERNO, "--root"]).arg(&root))?;
    }
    Ok(root.join("bin"))
}

/// An archive of the real writer's, of six days of two CPUs at 99 Hz.
fn hundred_million(programs: &Programs, dir: &Path) -> Result<()> {
    let archive = dir.join("long.arc");
    let mut keep = run::cargo(&["bench", "--quiet", "-p", "benches", "--bench", "archive", "--"]);
    run::check(run::quiet_all(keep.args(["keep", "100000000"]).arg(&archive)))?;
    let mut analyze = Command::new(&programs.analyze);
    analyze.arg(&archive).arg("--top");
    let rounds: Result<Vec<Usage>> = (0..ROUNDS).map(|_| measure(&mut analyze)).collect();
    let rounds = rounds?;
    println!(
        "100,000,000 samples, {:.0} MB: {:.2} s to a call tree (budget 5), {:.0} MiB at most (budget 512)",
        fs::metadata(&archive)?.len() as f64 / 1e6,
        wall_s(&rounds),
        median(rounds.iter().map(|usage| usage.peak_rss_kib as f64 / 1024.0).collect()),
    );
    Ok(())
}

/// Folded stacks that branch off one another; weights differ by `seed`.
fn folded(seed: u64) -> Result<String> {
    let mut state = 7u64;
    let mut below = move |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut paths = vec!["server;main;run".to_owned()];
    let mut text = String::new();
    for stack in 0..STACKS {
        let from = &paths[below(paths.len() as u64) as usize];
        let kept =
            from.match_indices(';').nth(2 + below(20) as usize).map_or(from.len(), |(at, _)| at);
        let mut path = from[..kept].to_owned();
        for _ in 0..=below(7) {
            let function = below(4000);
            write!(path, ";space{}::Type{}::method_{function}", function % 60, function % 400)?;
        }
        writeln!(text, "{path} {}", 1 + (stack * 2_654_435_761 + seed * 40_503) % 97)?;
        if paths.len() < 20_000 && path.len() < 2000 {
            paths.push(path);
        }
    }
    Ok(text)
}

fn two_profiles(programs: &Programs, dir: &Path) -> Result<()> {
    let [before, after] = [1, 2].map(|seed| dir.join(format!("{seed}.folded")));
    fs::write(&before, folded(1)?)?;
    fs::write(&after, folded(2)?)?;
    let run_once = |arguments: &[&Path]| {
        measure(Command::new(&programs.analyze).args(arguments).arg("-o").arg(dir.join("d.svg")))
    };
    let (mut read, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        read.push(run_once(&[&after])?);
        compared.push(run_once(&[&after, Path::new("--diff"), &before])?);
    }
    let cpu_s = |rounds: &[Usage]| median(rounds.iter().map(|u| u.cpu.as_secs_f64()).collect());
    println!(
        "two folded profiles of {STACKS} stacks compared: {:.2} s in all, {:.2} s of CPU, of which reading both takes \
         {:.2} s (budget of comparing: 0.3 s)",
        wall_s(&compared),
        cpu_s(&compared),
        2.0 * cpu_s(&read)
    );
    Ok(())
}
