//! The budgets of recording, measured side by side with perf in one run: interleaved, medians quoted.
//! Needs root and `perf`. (Reading and writing archives is measured by `cargo bench -p benches`.)

mod html;
mod merge;
mod million;
mod reading;
mod unwind;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, bail};

use crate::rusage::{Usage, measure};
use crate::{build, run};

const ROUNDS: usize = 3;
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// A part of the measurements that can be had alone.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The ways to find callers, side by side
    Unwind,
    /// A million samples that have to be unwound
    Million,
    /// A report of a million nodes in a browser, with inferno's picture beside it; needs no root
    Html,
    /// perf.data beside `perf script` and inferno, 100 million samples, two profiles of 100,000 stacks
    Reading,
    /// 300 recordings merged; recording them takes a quarter of an hour
    Merge,
}

/// Measures and prints one line a budget, and the ways to find callers side by side.
pub fn run(steady_s: u32, only: Option<Part>) -> Result<()> {
    if only == Some(Part::Html) {
        return html::run();
    }
    if !run::is_root() {
        bail!("measuring perf and capture side by side needs root");
    }
    let programs = build::programs()?;
    let dir = tempfile::tempdir()?;
    let cpus = std::thread::available_parallelism()?.get();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("machine: {cpus} CPUs, Linux {}\n", kernel.trim());
    match only {
        Some(Part::Unwind) => return unwind::run(&programs, dir.path()),
        Some(Part::Million) => return million::run(&programs, dir.path()),
        Some(Part::Reading) => return reading::run(&programs, dir.path()),
        Some(Part::Merge) => return merge::run(&programs, dir.path()),
        Some(Part::Html) | None => {}
    }
    {
        println!("load: two processes that compute, with stacks of 33 frames and more");
        let _load =
            Load::start(&programs, &[("deep", &["25", "3600"]), ("deep", &["25", "3600"])])?;
        start_and_end(&programs, dir.path())?;
        per_sample(&programs, dir.path())?;
        bpf_time(&programs, dir.path())?;
        against_perf(&programs, dir.path())?;
        steady(&programs, dir.path(), steady_s, cpus)?;
    }
    println!("\nload: `mixed` (some 500 processes started and ended a second) and `split`");
    let load = Load::start(&programs, &[("mixed", &["3600"]), ("split", &["3600"])])?;
    per_sample(&programs, dir.path())?;
    bpf_time(&programs, dir.path())?;
    against_perf(&programs, dir.path())?;
    steady(&programs, dir.path(), steady_s, cpus)?;
    drop(load);
    unwind::run(&programs, dir.path())?;
    println!();
    million::run(&programs, dir.path())?;
    println!();
    html::run()
}

/// Keeps both CPUs busy while we measure.
struct Load(Vec<Child>);

impl Load {
    fn start(programs: &build::Programs, commands: &[(&str, &[&str])]) -> Result<Self> {
        let start = |(name, arguments): &(&str, &[&str])| {
            Command::new(programs.workloads.join(name))
                .args(*arguments)
                .stdout(Stdio::null())
                .spawn()
        };
        Ok(Self(commands.iter().map(start).collect::<Result<_, _>>()?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Already gone is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn capture(programs: &build::Programs, hz: u32, seconds: u32, archive: &Path) -> Command {
    let mut command = Command::new(&programs.capture);
    command
        .args(["-a", "--force", "-F", &hz.to_string(), "-d", &seconds.to_string(), "-o"])
        .arg(archive);
    command
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ms(usage: &Usage) -> f64 {
    usage.cpu.as_secs_f64() * 1e3
}

fn start_and_end(programs: &build::Programs, dir: &Path) -> Result<()> {
    let archive = dir.join("start.arc");
    let runs: Result<Vec<Usage>> =
        (0..5).map(|_| measure(&mut capture(programs, 99, 1, &archive))).collect();
    let runs = runs?;
    println!(
        "start and end, -a: {:.0} ms of wall time beyond the second asked for, {:.0} ms of CPU in all (budget 60)",
        median(runs.iter().map(|r| r.wall.as_secs_f64() * 1e3 - 1e3).collect()),
        median(runs.iter().map(ms).collect()),
    );
    Ok(())
}

fn against_perf(programs: &build::Programs, dir: &Path) -> Result<()> {
    let (arc, data) = (dir.join("run.arc"), dir.join("perf.data"));
    let (mut ours, mut theirs, mut rss, mut their_rss) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let usage = measure(&mut capture(programs, 99, 15, &arc))?;
        ours.push(ms(&usage));
        rss.push(usage.peak_rss_kib as f64 / 1024.0);
        let usage = measure(
            Command::new("perf")
                .args(["record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", "99", "-o"])
                .arg(&data)
                .args(["--", "sleep", "15"]),
        )?;
        theirs.push(ms(&usage));
        their_rss.push(usage.peak_rss_kib as f64 / 1024.0);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "15 s at 99 Hz, -a: capture {ours:.0} ms of CPU, perf record {theirs:.0} ms: {:.2} of it (budget 0.5)",
        ours / theirs
    );
    println!(
        "peak resident memory: capture {:.1} MiB (budget 16), perf record {:.1} MiB",
        median(rss),
        median(their_rss)
    );
    sizes(&arc, &data)
}

fn sizes(arc: &Path, data: &Path) -> Result<()> {
    let squeezed =
        run::output(Command::new("zstd").args(["-3", "-q", "-c"]).arg(data))?.stdout.len();
    let (arc, data) = (fs::metadata(arc)?.len() as f64, fs::metadata(data)?.len() as f64);
    println!(
        "archive: {arc:.0} bytes, perf.data {data:.0}: 1/{:.1} of it (budget 1/12); after zstd -3 {squeezed}: {:.2} of it (budget 0.67)",
        data / arc,
        arc / squeezed as f64
    );
    Ok(())
}

/// The slope between two rates: start and end cancel out.
fn per_sample(programs: &build::Programs, dir: &Path) -> Result<()> {
    let archive = dir.join("rate.arc");
    let mut slopes = Vec::new();
    for _ in 0..ROUNDS {
        let at = |hz: u32| -> Result<(f64, f64)> {
            let usage = measure(&mut capture(programs, hz, 10, &archive))?;
            Ok((ms(&usage) * 1e3, samples(programs, &archive)?))
        };
        let (low, high) = (at(199)?, at(3989)?);
        slopes.push((high.0 - low.0) / (high.1 - low.1));
    }
    println!(
        "user-space CPU a sample, all in, -a (slope from 199 to 3989 Hz, user and system): {:.2} µs (budget 1)",
        median(slopes)
    );
    Ok(())
}

/// Samples written, as `analyze --info` states them.
fn samples(programs: &build::Programs, archive: &Path) -> Result<f64> {
    number_after(&info(programs, archive)?, "samples written")
}

fn info(programs: &build::Programs, archive: &Path) -> Result<String> {
    let output = run::output(Command::new(&programs.analyze).arg(archive).arg("--info"))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn number_after(text: &str, label: &str) -> Result<f64> {
    let rest =
        text.split(label).nth(1).ok_or_else(|| anyhow::anyhow!("no `{label}` in\n{text}"))?;
    let digits: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == ',' || *c == '.')
        .filter(|c| *c != ',')
        .collect();
    Ok(digits.parse()?)
}

/// The kernel measures BPF programs only when asked; the setting is put back.
struct WithBpfStats(String);

impl WithBpfStats {
    fn on() -> Result<Self> {
        let before = fs::read_to_string(STATS)?;
        fs::write(STATS, "1")?;
        Ok(Self(before))
    }
}

impl Drop for WithBpfStats {
    fn drop(&mut self) {
        // It was writable a moment ago.
        let _ = fs::write(STATS, self.0.trim());
    }
}

fn bpf_time(programs: &build::Programs, dir: &Path) -> Result<()> {
    let stats = WithBpfStats::on()?;
    let measured = [99, 997].map(|hz| -> Result<f64> {
        let archive = dir.join("bpf.arc");
        run::check(run::quiet_all(&mut capture(programs, hz, 10, &archive)))?;
        let text = info(programs, &archive)?;
        Ok(number_after(&text, "bpf_ns")? / number_after(&text, "bpf_runs")?)
    });
    drop(stats);
    let [slow, fast] = measured;
    println!(
        "BPF program a run, -a: {:.0} ns at 99 Hz (budget 3500), {:.0} ns at 997 Hz (budget 2200)",
        slow?, fast?
    );
    Ok(())
}

fn steady(programs: &build::Programs, dir: &Path, seconds: u32, cpus: usize) -> Result<()> {
    let archive = dir.join("steady.arc");
    let short = measure(&mut capture(programs, 99, 1, &archive))?;
    let long = measure(&mut capture(programs, 99, seconds, &archive))?;
    let share =
        (long.cpu.as_secs_f64() - short.cpu.as_secs_f64()) / (f64::from(seconds - 1) * cpus as f64);
    println!(
        "steady state over {seconds} s at 99 Hz, -a: {:.3} % of the machine's CPU time in user space (budget 0.1 with BPF)",
        share * 100.0
    );
    Ok(())
}
