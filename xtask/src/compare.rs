//! Holds names against `perf script`: one run recorded by both at the same time, self time by
//! function side by side, and every name that only one of them has.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{build, run};

/// Records the whole host with both while `command` runs, then prints the table.
pub fn run(command: &[String]) -> Result<()> {
    if !run::is_root() {
        bail!("recording the whole host with perf and capture needs root");
    }
    let Some((program, arguments)) = command.split_first() else {
        bail!("say what to run: cargo xtask compare-perf -- COMMAND ARGS");
    };
    let programs = build::programs()?;
    let dir = tempfile::tempdir()?;
    let (arc, data) = (dir.path().join("run.arc"), dir.path().join("perf.data"));
    let mut perf = Command::new("perf")
        .args(["record", "-q", "-a", "-e", "cpu-clock", "-F", "499", "-g", "-o"])
        .arg(&data)
        .args(["--", "sleep", "3600"])
        .spawn()?;
    let mut capture = Command::new(&programs.capture)
        .args(["-a", "-F", "499", "-o"])
        .arg(&arc)
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let ran = Command::new(program).args(arguments).status()?;
    println!("{command:?}: {ran}");
    for child in [&mut perf, &mut capture] {
        run::check(Command::new("kill").args(["-INT", &child.id().to_string()]))?;
        child.wait()?;
    }
    let (ours, theirs) = (our_leaves(&programs.analyze, &arc)?, perf_leaves(&data)?);
    print_table(&ours, &theirs);
    Ok(())
}

/// Percent of self time by (process, function), of everything that is not idle.
type Leaves = BTreeMap<(String, String), f64>;

fn shares(weights: BTreeMap<(String, String), u64>) -> Leaves {
    let all: u64 = weights.values().sum();
    weights.into_iter().map(|(key, w)| (key, w as f64 * 100.0 / all as f64)).collect()
}

/// perf shows thread names, and counts idle CPUs and both recorders; those are left out.
fn counts(process: &str) -> bool {
    !["swapper", "perf", "capture", "sleep"].contains(&process)
}

/// What both spell alike: perf leaves out C++ argument lists, return types and clone suffixes, says
/// `[unknown]` where we say why, and shows the other of two names that glibc gives one address.
pub fn comparable(name: &str) -> String {
    if name.starts_with('[') {
        return "[unknown]".to_owned();
    }
    let name = name.split(" [clone").next().unwrap_or(name).trim_end_matches(" const");
    let name = name.strip_prefix("void ").unwrap_or(name);
    let name = name.replace("__memmove_", "__memcpy_");
    if !name.ends_with(')') {
        return name;
    }
    let mut depth = 0;
    let start = name.rfind(|c| {
        depth += i32::from(c == ')') - i32::from(c == '(');
        depth == 0
    });
    match start {
        Some(start) if start > 0 => name[..start].to_owned(),
        _ => name,
    }
}

fn perf_leaves(data: &Path) -> Result<Leaves> {
    let output = run::output(
        Command::new("perf").args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"]).arg(data),
    )?;
    let mut weights = BTreeMap::new();
    for sample in String::from_utf8_lossy(&output.stdout).split("\n\n") {
        let mut lines = sample.trim_start_matches('\n').lines();
        let (Some(comm), Some(leaf)) = (lines.next(), lines.next()) else { continue };
        let name = leaf.trim().split_once(' ').map_or("[unknown]", |(_, name)| name.trim());
        if counts(comm.trim()) {
            *weights.entry((comm.trim().to_owned(), comparable(name))).or_default() += 1;
        }
    }
    Ok(shares(weights))
}

fn our_leaves(analyze: &Path, arc: &Path) -> Result<Leaves> {
    let output = run::output(Command::new(analyze).arg(arc).args([
        "--no-inlines",
        "--no-cache",
        "-o",
        "-",
        "--format",
        "folded",
    ]))?;
    let mut weights = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((stack, weight)) = line.rsplit_once(' ') else { continue };
        let process = stack.split(';').next().unwrap_or_default();
        let leaf = stack.rsplit(';').next().unwrap_or_default().trim_end_matches("_[k]");
        if counts(process) {
            *weights.entry((process.to_owned(), comparable(leaf))).or_default() +=
                weight.parse::<u64>()?;
        }
    }
    Ok(shares(weights))
}

fn print_table(ours: &Leaves, theirs: &Leaves) {
    let by_name = |leaves: &Leaves| {
        let mut sum: BTreeMap<String, f64> = BTreeMap::new();
        for ((_, name), share) in leaves {
            *sum.entry(name.clone()).or_default() += share;
        }
        sum
    };
    let (ours, theirs) = (by_name(ours), by_name(theirs));
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    let larger = |name: &String| {
        ours.get(name).copied().unwrap_or(0.0).max(theirs.get(name).copied().unwrap_or(0.0))
    };
    names.sort_by(|a, b| larger(b).total_cmp(&larger(a)).then(a.cmp(b)));
    names.dedup();
    println!("{:>9} {:>9}  function (self time, % of what was not idle)", "capture", "perf");
    for name in names.iter().take(60) {
        let show = |side: &BTreeMap<String, f64>| {
            side.get(*name).map_or("–".to_owned(), |share| format!("{share:.2}"))
        };
        println!("{:>9} {:>9}  {name}", show(&ours), show(&theirs));
    }
    for (who, one, other) in [("capture", &ours, &theirs), ("perf", &theirs, &ours)] {
        let only: Vec<(&String, &f64)> =
            one.iter().filter(|(name, _)| !other.contains_key(*name)).collect();
        let share: f64 = only.iter().map(|(_, share)| **share).sum();
        println!("\nonly {who}: {} names, {share:.2} % in all", only.len());
        let mut largest = only;
        largest.sort_by(|a, b| b.1.total_cmp(a.1));
        for (name, share) in largest.iter().take(25) {
            println!("{share:>9.2}  {name}");
        }
    }
}
