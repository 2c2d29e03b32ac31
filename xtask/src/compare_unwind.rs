//! Holds stacks against two others who unwind: `perf record --call-graph dwarf`, which copies the stack and
//! is run beside capture, and gdb, which looks at the living process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::compare::comparable;
use crate::{build, run};

/// What to compare.
pub struct Plan {
    /// How often gdb looks.
    pub gdb: u32,
    /// Samples a second.
    pub hz: u32,
    /// Which process gdb looks at, by name: the newest; else the command itself.
    pub process: Option<String>,
    /// capture's `--unwind`.
    pub unwind: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// Bytes of the stack that perf copies with each sample.
const PERF_STACK: &str = "dwarf,16384";

/// Outermost functions: a stack of perf's or gdb's that has one of them among its last three is complete.
const ROOTS: [&str; 9] = [
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "_dl_start_user",
    "__start_context",
];

/// User stacks, root first and from the innermost function that starts a thread on.
type Stacks = BTreeMap<Vec<String>, u64>;

/// Runs the command under both, then under capture and gdb, and prints how far they agree.
pub fn run(plan: &Plan) -> Result<()> {
    if !run::is_root() {
        bail!("recording with perf and capture at the same time needs root");
    }
    let programs = build::programs()?;
    let dir = tempfile::tempdir()?;
    let (arc, data) = (dir.path().join("run.arc"), dir.path().join("perf.data"));
    let hz = plan.hz.to_string();
    let mut both = Command::new(&programs.capture);
    both.args(["--unwind", &plan.unwind, "-F", &hz, "-o"]).arg(&arc);
    both.args(["--", "perf", "record", "-q", "-e", "cpu-clock", "-F", &hz]);
    both.args(["--call-graph", PERF_STACK, "-o"]).arg(&data).arg("--").args(&plan.command);
    run::check(run::quiet_all(&mut both))?;
    let ours = our_stacks(&programs.analyze, &arc)?;
    let theirs = perf_stacks(&data)?;
    println!(
        "complete stacks: capture --unwind {} {}, perf {PERF_STACK} {}",
        plan.unwind,
        share_of(&ours, is_marked_whole),
        share_of(&theirs, has_root)
    );
    print_marked(&ours);
    let bytes = |path: &Path| Ok::<_, anyhow::Error>(std::fs::metadata(path)?.len());
    println!("bytes: capture {}, perf {}", bytes(&arc)?, bytes(&data)?);
    print_agreement(&complete(&ours, is_marked_whole), &complete(&theirs, has_root));
    if plan.gdb > 0 {
        gdb(plan, &programs, &dir.path().join("gdb.arc"))?;
    }
    Ok(())
}

fn is_marked_whole(stack: &[String]) -> bool {
    !stack.iter().any(|name| name.starts_with("[truncated") || name.starts_with("[caller"))
}

fn has_root(stack: &[String]) -> bool {
    stack.iter().take(3).any(|name| ROOTS.contains(&name.trim_end_matches("_impl")))
}

fn share_of(stacks: &Stacks, is: fn(&[String]) -> bool) -> String {
    let all: u64 = stacks.values().sum();
    let are: u64 = stacks.iter().filter(|(stack, _)| is(stack)).map(|(_, weight)| weight).sum();
    format!("{:.2} %", are as f64 * 100.0 / all.max(1) as f64)
}

/// The complete ones in what both spell alike, without the functions that start them.
fn complete(stacks: &Stacks, is: fn(&[String]) -> bool) -> Stacks {
    let mut found = Stacks::new();
    for (stack, weight) in stacks.iter().filter(|(stack, _)| is(stack)) {
        let starts =
            stack.iter().take(4).rposition(|name| ROOTS.contains(&name.trim_end_matches("_impl")));
        let own = &stack[starts.map_or(0, |at| at + 1)..];
        // Neighbours without a name look alike to one and differ to the other.
        let mut names: Vec<String> = own.iter().map(|name| short(name)).collect();
        names.dedup();
        *found.entry(names).or_default() += weight;
    }
    found
}

/// What all spell alike: of a function that a template makes, not the type that it returns; streams by
/// their short names, and of the names that libc has for one function (`write`, `__libc_write`) the shortest.
fn short(name: &str) -> String {
    let name = name.split("@@").next().unwrap_or(name).trim_start_matches("__GI_");
    let name = name.trim_start_matches('_').trim_start_matches("libc_").trim_end_matches("64");
    let name = ["ostream", "istream", "iostream"].iter().fold(comparable(name), |name, stream| {
        let long = format!("basic_{stream}<char, std::char_traits<char> >");
        name.replace(&long, stream).replace(&format!("std::{stream}& "), "")
    });
    let mut depth = 0;
    let returned = name.char_indices().rev().find(|(_, c)| {
        depth += i32::from(*c == '>') - i32::from(*c == '<');
        depth == 0 && *c == ' '
    });
    match returned {
        Some((at, _)) if !name.contains("operator") => name[at + 1..].to_owned(),
        _ => name,
    }
}

fn our_stacks(analyze: &Path, arc: &Path) -> Result<Stacks> {
    let mut fold = Command::new(analyze);
    fold.arg(arc).args(["--no-inlines", "--no-kernel", "--no-cache", "-o", "-"]);
    let output = run::output(fold.args(["--format", "folded"]))?;
    let mut stacks = Stacks::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (stack, weight) = line.rsplit_once(' ').context("a folded line has a weight")?;
        let mut frames = stack.split(';').map(str::to_owned);
        let process = frames.next().unwrap_or_default();
        let frames: Vec<String> = frames.collect();
        if !["perf", "capture"].contains(&&*process) && !frames.is_empty() {
            *stacks.entry(frames).or_default() += weight.parse::<u64>()?;
        }
    }
    Ok(stacks)
}

fn perf_stacks(data: &Path) -> Result<Stacks> {
    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]).arg(data);
    let output = run::output(&mut script)?;
    let mut stacks = Stacks::new();
    for sample in String::from_utf8_lossy(&output.stdout).split("\n\n") {
        let mut lines = sample.trim_start_matches('\n').lines();
        // Before the exec the command is perf itself.
        if lines.next().is_none_or(|comm| comm.trim().starts_with("perf")) {
            continue;
        }
        let is_user = |line: &&str| !line.contains("([kernel") && !line.contains("(bpf_");
        let name = |line: &str| {
            let name = line.trim().split_once(' ').map_or("", |(_, rest)| rest);
            name.rsplit_once(" (").map_or(name, |(name, _)| name).trim().to_owned()
        };
        let mut frames: Vec<String> = lines.filter(is_user).map(name).collect();
        frames.reverse();
        if !frames.is_empty() {
            *stacks.entry(frames).or_default() += 1;
        }
    }
    Ok(stacks)
}

/// Which of our stacks are not complete: the marker, and the function above it.
fn print_marked(stacks: &Stacks) {
    let all: u64 = stacks.values().sum();
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, weight) in stacks {
        let marker = |n: &String| n.starts_with("[truncated") || n.starts_with("[caller");
        let Some(at) = stack.iter().position(marker) else { continue };
        *causes.entry(stack[at..stack.len().min(at + 3)].join(";")).or_default() += weight;
    }
    let mut causes: Vec<(String, u64)> = causes.into_iter().collect();
    causes.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    for (cause, weight) in causes.iter().take(10) {
        println!("{:>8.3} %  {cause}", *weight as f64 * 100.0 / all as f64);
    }
}

/// How much of both is common: whole stacks, and steps from caller to callee.
fn print_agreement(ours: &Stacks, theirs: &Stacks) {
    let (all_ours, all_theirs): (u64, u64) = (ours.values().sum(), theirs.values().sum());
    let share = |weight: u64, all: u64| weight as f64 * 100.0 / all.max(1) as f64;
    let common: f64 = ours
        .iter()
        .filter_map(|(stack, mine)| {
            Some(share(*mine, all_ours).min(share(*theirs.get(stack)?, all_theirs)))
        })
        .sum();
    println!("same complete stacks, by name: {common:.1} % of the time (two samplers)");
    for (who, one, other) in [("capture", ours, theirs), ("perf", theirs, ours)] {
        let (known, all) = (steps(other), one.values().sum());
        let is_known = |stack: &&Vec<String>| stack.windows(2).all(|pair| known.contains(pair));
        let explained: u64 =
            one.iter().filter(|(stack, _)| is_known(stack)).map(|(_, weight)| weight).sum();
        println!("stacks of {who} of calls that the other has too: {:.2} %", share(explained, all));
        let mut only: Vec<(&Vec<String>, &u64)> =
            one.iter().filter(|(stack, _)| !is_known(stack)).collect();
        only.sort_by_key(|(_, weight)| std::cmp::Reverse(**weight));
        for (stack, weight) in only.iter().take(5) {
            let strange = stack.windows(2).find(|pair| !known.contains(*pair));
            println!("{:>8.3} %  {}", share(**weight, all), strange.unwrap_or_default().join(";"));
        }
    }
}

/// Every caller with its callee.
fn steps(stacks: &Stacks) -> BTreeSet<Vec<String>> {
    stacks.keys().flat_map(|stack| stack.windows(2).map(<[String]>::to_vec)).collect()
}

/// Lets gdb stop the program again and again, and looks for its stacks among those recorded.
fn gdb(plan: &Plan, programs: &build::Programs, arc: &Path) -> Result<()> {
    let mut capture = Command::new(&programs.capture);
    capture.args(["--unwind", &plan.unwind, "-F", &plan.hz.to_string(), "-o"]).arg(arc);
    capture.arg("--").args(&plan.command).stdout(Stdio::null()).stderr(Stdio::null());
    let mut capture = capture.spawn()?;
    let parent = capture.id().to_string();
    let target = match &plan.process {
        Some(name) => vec!["-n", "-x", name],
        None => vec!["-P", &parent],
    };
    let mut seen = Vec::new();
    for _ in 0..plan.gdb {
        std::thread::sleep(Duration::from_millis(100));
        if capture.try_wait()?.is_some() {
            break;
        }
        let found = Command::new("pgrep").args(&target).output()?;
        let pid = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        // Not started yet, or between two of them.
        if pid.is_empty() {
            continue;
        }
        let mut look = Command::new("gdb");
        look.args(["-batch", "-nx", "-p", &pid, "-ex", "set backtrace past-main on"]);
        look.args(["-ex", "thread apply all backtrace"]);
        let output = look.output().context("gdb (Debian package gdb) cannot run")?;
        seen.extend(gdb_stacks(&String::from_utf8_lossy(&output.stdout)));
    }
    if capture.try_wait()?.is_none() {
        // The command ends with its recording.
        run::check(Command::new("kill").args(["-INT", &parent]))?;
        capture.wait()?;
    }
    let ours = complete(&our_stacks(&programs.analyze, arc)?, is_marked_whole);
    let total = seen.len();
    seen.retain(|stack| has_root(stack));
    let known: BTreeSet<&[String]> =
        ours.keys().flat_map(|stack| (1..=stack.len()).map(|n| &stack[..n])).collect();
    let chains: Vec<Vec<String>> = seen
        .into_iter()
        .flat_map(|stack| complete(&BTreeMap::from([(stack, 1)]), has_root).into_keys())
        .collect();
    let recorded = chains.iter().filter(|chain| known.contains(&chain[..])).count();
    let callers = chains.iter().filter(|chain| {
        chain.split_last().is_some_and(|(_, rest)| rest.is_empty() || known.contains(rest))
    });
    println!(
        "gdb: {total} stacks, {} complete, {recorded} of them recorded, {} but for the leaf",
        chains.len(),
        callers.count()
    );
    for chain in chains.iter().filter(|chain| !known.contains(&chain[..])).take(5) {
        println!("  only gdb: {}", chain.join(";"));
    }
    Ok(())
}

/// Frames of "#1  0x… in name (arguments) from file", root first.
fn gdb_stacks(text: &str) -> Vec<Vec<String>> {
    let mut stacks: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let Some((number, rest)) = line.strip_prefix('#').and_then(|l| l.split_once(' ')) else {
            continue;
        };
        if number == "0" {
            stacks.push(Vec::new());
        }
        let rest = rest.trim();
        let name = match rest.strip_prefix("0x") {
            Some(rest) => rest.split_once(" in ").map_or("", |(_, name)| name),
            None => rest,
        };
        let name = match name {
            "" => "[unknown]",
            name if name.starts_with("??") => "[unknown]",
            name if name.starts_with("<signal") => "__restore_rt",
            name => name.split(" (").next().unwrap_or(name),
        };
        if let Some(stack) = stacks.last_mut() {
            stack.insert(0, name.to_owned());
        }
    }
    stacks
}
