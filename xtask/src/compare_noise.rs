//! How often a comparison is wrong, and how often right: recordings of one unchanged load are cut into
//! pairs in which nothing changed, and services with a step made slower are held against one without.
//!
//! Beside our verdicts stand what other tools would paint: difffolded.pl with `-n` (base counts scaled to
//! the new total and cut to whole numbers, red or blue wherever they then differ) and plain subtraction
//! (pprof's `-diff_base`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{build, run};

/// How the load behaves over time (see the workload `service`).
const LOADS: [&str; 3] = ["steady", "bursty", "drifting"];
/// Percent of the whole service that one step is made slower.
const POINTS: [f64; 4] = [0.5, 1.0, 2.0, 5.0];
/// The step that is.
const SLOWER: &str = "service::endpoint_3::step_1";

/// What is recorded and compared.
pub struct Plan {
    /// Pairs, of all loads together.
    pub pairs: u32,
    /// Seconds of each side of a pair.
    pub seconds: u32,
    /// Where recordings are kept; those that are there are not made again.
    pub dir: PathBuf,
}

/// Records, compares, prints both tables.
pub fn run(plan: &Plan) -> Result<()> {
    let programs = build::programs()?;
    std::fs::create_dir_all(&plan.dir)?;
    let each = plan.pairs.div_ceil(LOADS.len() as u32);
    let loads: Vec<Service> = LOADS
        .iter()
        .map(|load| Service { name: (*load).into(), load, points: 0.0, part: 0.6, hz: 199 })
        .collect();
    record(&programs, plan, &loads, each * 2 * plan.seconds)?;
    println!("nothing changed: pairs of {} s", plan.seconds);
    println!("load       pairs  flagged  difffolded -n        subtraction");
    let mut flagged = 0;
    for load in LOADS {
        let mut sums = Wrong::default();
        for pair in 0..each {
            sums.add(&wrong(&programs, plan, load, pair)?);
        }
        flagged += sums.flagged;
        println!(
            "{load:9} {each:6} {:8}  {:3} pairs, {:4} paths  {:3} pairs, {:4} paths",
            sums.flagged,
            sums.by_difffolded.0,
            sums.by_difffolded.1,
            sums.by_subtraction.0,
            sums.by_subtraction.1
        );
    }
    println!("flagged in all: {flagged} of {} pairs\n", each * LOADS.len() as u32);
    power(&programs, plan)
}

/// A service to record.
struct Service {
    name: String,
    load: &'static str,
    points: f64,
    part: f64,
    hz: u32,
}

impl Service {
    fn archive(&self, plan: &Plan) -> PathBuf {
        plan.dir.join(format!("{}.arc", self.name))
    }
}

/// Records services side by side, those that are not there yet.
fn record(programs: &build::Programs, plan: &Plan, all: &[Service], seconds: u32) -> Result<()> {
    let mut children: Vec<(Child, Child)> = Vec::new();
    for service in all.iter().filter(|service| !service.archive(plan).exists()) {
        eprintln!("recording {} for {seconds} s …", service.name);
        let load = Command::new(programs.workloads.join("service"))
            .args([service.load, &(seconds + 2).to_string(), &service.part.to_string()])
            .arg(service.points.to_string())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the workload service")?;
        let capture = run::elevated(&programs.capture)
            .args(["-p", &load.id().to_string(), "-F", &service.hz.to_string()])
            .args(["-d", &seconds.to_string(), "-o"])
            .arg(service.archive(plan))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting capture")?;
        children.push((load, capture));
    }
    for (mut load, mut capture) in children {
        let recorded = capture.wait()?;
        load.wait()?;
        if !recorded.success() {
            bail!("capture failed: {recorded}");
        }
    }
    Ok(())
}

/// What each rule says of pairs in which nothing changed.
#[derive(Default)]
struct Wrong {
    /// Pairs in which our verdicts flag anything.
    flagged: u32,
    /// Pairs, and paths in all.
    by_difffolded: (u32, usize),
    by_subtraction: (u32, usize),
}

impl Wrong {
    fn add(&mut self, other: &Self) {
        self.flagged += other.flagged;
        for (sum, more) in [
            (&mut self.by_difffolded, other.by_difffolded),
            (&mut self.by_subtraction, other.by_subtraction),
        ] {
            sum.0 += more.0;
            sum.1 += more.1;
        }
    }
}

fn wrong(programs: &build::Programs, plan: &Plan, load: &str, pair: u32) -> Result<Wrong> {
    let archive = plan.dir.join(format!("{load}.arc"));
    let (from, middle) = (pair * 2 * plan.seconds, (pair * 2 + 1) * plan.seconds);
    let base = window(&archive, from, middle);
    let new = window(&archive, middle, middle + plan.seconds);
    let verdicts = analyze(programs, &[&new, "--diff", &base])?;
    let (before, after) = (folded(programs, &base)?, folded(programs, &new)?);
    let paths = |differs: &dyn Fn(u64, u64) -> bool| {
        let both: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let get =
            |side: &BTreeMap<String, u64>, path: &String| side.get(path).copied().unwrap_or(0);
        both.iter().filter(|path| differs(get(&before, path), get(&after, path))).count()
    };
    let (old, new) = (before.values().sum::<u64>(), after.values().sum::<u64>());
    // difffolded.pl: int($count1 * $total2 / $total1), in floating point.
    let scaled = |count: u64| (count as f64 * new as f64 / old.max(1) as f64) as u64;
    let by_difffolded = paths(&|before, after| scaled(before) != after);
    let by_subtraction = paths(&|before, after| before != after);
    Ok(Wrong {
        flagged: u32::from(changes(&verdicts)? > 0),
        by_difffolded: (u32::from(by_difffolded > 0), by_difffolded),
        by_subtraction: (u32::from(by_subtraction > 0), by_subtraction),
    })
}

fn window(archive: &Path, from: u32, to: u32) -> String {
    format!("{}@{from}s..{to}s", archive.display())
}

/// A step made slower by a known part of everything: found as often as the smallest change that is said to
/// be seen promises.
fn power(programs: &build::Programs, plan: &Plan) -> Result<()> {
    const SECONDS: u32 = 300;
    const WINDOW: u32 = 30;
    let service =
        |name: String, points| Service { name, load: "steady", points, part: 0.9, hz: 997 };
    let mut services = vec![service("base".into(), 0.0)];
    services.extend(POINTS.map(|points| service(format!("slower-{points}"), points)));
    // Two at a time: a service that has to wait for a CPU is another load.
    for two in services.chunks(2) {
        record(programs, plan, two, SECONDS)?;
    }
    println!("{SLOWER} made slower: {WINDOW} s against {WINDOW} s at 997 Hz, in points of share");
    println!("points  found  smallest change said to be seen");
    for (points, slower) in POINTS.iter().zip(&services[1..]) {
        let mut smallest = Vec::new();
        let (mut found, mut pairs) = (0, 0);
        for at in (0..SECONDS).step_by(WINDOW as usize) {
            let base = window(&services[0].archive(plan), at, at + WINDOW);
            let new = window(&slower.archive(plan), at, at + WINDOW);
            let arguments = [&new, "--diff", &base, "--scale", "share", "--min-effect", "0"];
            let said = analyze_json(programs, &arguments)?;
            let function = said["functions"]
                .as_array()
                .and_then(|rows| rows.iter().find(|row| row["name"] == SLOWER))
                .with_context(|| format!("{SLOWER} is not in {new}"))?;
            let effect = &function["total"]["effect"];
            found += u32::from(effect["verdict"] == "regression");
            smallest.extend(effect["smallest"].as_f64());
            pairs += 1;
        }
        smallest.sort_by(f64::total_cmp);
        let typical = smallest.get(smallest.len() / 2).copied().unwrap_or(f64::NAN);
        println!("{points:6}  {found:2} of {pairs:2}  {typical:.2}");
    }
    Ok(())
}

fn analyze(programs: &build::Programs, arguments: &[&str]) -> Result<String> {
    let output = run::output(Command::new(&programs.analyze).args(arguments).args(["-o", "-"]))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn analyze_json(programs: &build::Programs, arguments: &[&str]) -> Result<serde_json::Value> {
    let mut command = Command::new(&programs.analyze);
    let output = run::output(command.args(arguments).args(["-o", "-", "--format", "json"]))?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Regressions and improvements that a comparison states.
fn changes(said: &str) -> Result<u32> {
    let line = said.lines().find(|line| line.contains(" tested: "));
    let line = line.with_context(|| format!("no functions were tested:\n{said}"))?;
    let counts = line.split([' ', ',']).collect::<Vec<_>>();
    let before = |word: &str| -> u32 {
        let at = counts.iter().position(|part| part.starts_with(word));
        at.and_then(|at| counts[at - 1].parse().ok()).unwrap_or(0)
    };
    let whole = ["REGRESSION", "IMPROVEMENT"].iter().any(|word| said.starts_with(word));
    Ok(before("regression") + before("improvement") + u32::from(whole))
}

/// Samples by stack.
fn folded(programs: &build::Programs, input: &str) -> Result<BTreeMap<String, u64>> {
    const PERIOD_NS: u64 = 1_000_000_000 / 199;
    let mut command = Command::new(&programs.analyze);
    let output = run::output(command.args([input, "-o", "-", "--format", "folded"]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let (path, weight) = line.rsplit_once(' ')?;
        Some((path.to_owned(), weight.parse::<u64>().ok()?.div_ceil(PERIOD_NS + 1)))
    };
    Ok(text.lines().filter_map(line).collect())
}
