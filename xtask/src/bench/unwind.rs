//! What it costs to record enough to find callers: `--unwind fp`, `auto` and `dwarf`, and perf's own slices,
//! of the same load in one run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{Load, ROUNDS, WithBpfStats, info, median, ms, number_after};
use crate::build::Programs;
use crate::run;
use crate::rusage::measure;

const SECONDS: u32 = 4;
const SLOPE_SECONDS: u32 = 1;
const MODES: [&str; 3] = ["fp", "auto", "dwarf"];

/// Every Python program is interpreted by one that has no frame pointers (Debian's).
const PYTHON: &str = "
import hashlib, json
def deeper(depth, data):
    return deeper(depth - 1, data) if depth else hashlib.sha256(json.dumps(data).encode())
while True:
    deeper(20, {'numbers': sorted(range(50), key=lambda n: -n)})
";
const COMPILED: &str = "
#include <iostream>
#include <map>
#include <regex>
int matches(const std::string &text)
{
    std::map<std::string, bool> known;
    known[text] = std::regex_match(text, std::regex(\"a(b|c)*d\"));
    return known.size();
}
";

/// Measures all loads and prints a table of each.
pub(super) fn run(programs: &Programs, dir: &Path) -> Result<()> {
    let source = dir.join("compiled.cc");
    fs::write(&source, COMPILED)?;
    let source = source.to_str().context("the temporary folder's name is no text")?;
    let compile = "while :; do g++ -O2 -c \"$0\" -o /dev/null; done";
    let deep = ("deep", &["25", "3600"][..]);
    let python = ("/usr/bin/python3", &["-c", PYTHON][..]);
    let compiler = ("/bin/sh", &["-c", compile, source][..]);
    let loads = [
        ("with frame pointers, stacks of 33 frames and more", [deep, deep]),
        (
            "mixed: some 500 short processes a second, and Python",
            [("mixed", &["3600"][..]), python],
        ),
        ("without frame pointers: Python", [python, python]),
        ("without frame pointers: g++", [compiler, compiler]),
    ];
    for (name, commands) in loads {
        println!("\nload: {name}");
        table(programs, dir, &Load::start(programs, &commands)?)?;
    }
    go_service(programs, dir)?;
    println!("\nload: Go that calls C code");
    let load = Load::start(programs, &[(&build_go("cgo", "digest.go", dir)?, &["3600"])])?;
    table(programs, dir, &load)
}

fn go_service(programs: &Programs, dir: &Path) -> Result<()> {
    println!("\nload: a Go service that is asked over and over");
    let service = build_go("go", "service.go", dir)?;
    let (server, address) = start_service(&service)?;
    let _load = Load::start(programs, &[(&service, &["load", &address])])?;
    table(programs, dir, &server)
}

/// Builds a program of `testdata`.
fn build_go(case: &str, source: &str, dir: &Path) -> Result<String> {
    let program = dir.join(case);
    let mut build = Command::new("go");
    build.current_dir(crate::root().join("testdata").join(case));
    run::check(build.args(["build", "-trimpath", "-o"]).arg(&program).arg(source))?;
    Ok(program.to_str().context("the temporary folder's name is no text")?.to_owned())
}

/// The service, and the address at which it is asked.
fn start_service(program: &str) -> Result<(Load, String)> {
    let mut serve = Command::new(program);
    let mut server = serve.args(["serve", "3600"]).stdout(Stdio::piped()).spawn()?;
    let printed = server.stdout.take().context("the server's output is a pipe")?;
    let running = Load(vec![server]);
    let mut address = String::new();
    BufReader::new(printed).read_line(&mut address)?;
    Ok((running, address.trim().to_owned()))
}

/// What one way of recording cost.
#[derive(Clone, Copy)]
struct Cost {
    bpf_ns: f64,
    archive_bytes: f64,
    /// The slope between two rates: start and end cancel out.
    cpu_us: f64,
}

fn table(programs: &Programs, dir: &Path, load: &Load) -> Result<()> {
    let mut costs = [const { Vec::new() }; MODES.len()];
    for _ in 0..ROUNDS {
        for (mode, costs) in MODES.iter().zip(&mut costs) {
            costs.push(one(programs, dir, load, mode)?);
        }
    }
    let perf = perf_bytes(dir)?;
    println!("{:14}{:>14}{:>22}{:>20}", "", "BPF ns a run", "bytes a sample", "CPU µs a sample");
    let of = |costs: &[Cost], what: fn(&Cost) -> f64| median(costs.iter().map(what).collect());
    let whole = costs.each_ref().map(|costs| {
        [of(costs, |c| c.bpf_ns), of(costs, |c| c.archive_bytes), of(costs, |c| c.cpu_us)]
    });
    for (mode, [bpf_ns, bytes, cpu_us]) in MODES.iter().zip(whole) {
        println!(
            "{mode:14}{bpf_ns:>7.0} {:>5.2}×{bytes:>15.1} {:>5.2}×{cpu_us:>20.2}",
            bpf_ns / whole[0][0],
            bytes / whole[0][1],
        );
    }
    println!(
        "perf record --call-graph dwarf,16384: {perf:.0} bytes a sample, {:.0} times the archive of dwarf (budget 30)",
        perf / whole[2][1]
    );
    Ok(())
}

/// Of the load alone: what else runs on the machine costs its own.
fn one(programs: &Programs, dir: &Path, load: &Load, mode: &str) -> Result<Cost> {
    let archive = dir.join("unwind.arc");
    let at = |hz, seconds| -> Result<[f64; 4]> {
        let mut record = capture(programs, hz, seconds, &archive);
        let pids = load.0.iter().flat_map(|child| ["-p".to_owned(), child.id().to_string()]);
        let usage = measure(record.args(["--unwind", mode]).args(pids))?;
        let text = info(programs, &archive)?;
        Ok([
            ms(&usage) * 1e3,
            number_after(&text, "samples written")?,
            number_after(&text, "bpf_ns")? / number_after(&text, "bpf_runs")?,
            fs::metadata(&archive)?.len() as f64,
        ])
    };
    let _stats = WithBpfStats::on()?;
    let (low, high) = (at(99, SECONDS)?, at(1999, SLOPE_SECONDS)?);
    let [_, samples, bpf_ns, bytes] = low;
    let cpu_us = (high[0] - low[0]) / (high[1] - low[1]);
    Ok(Cost { bpf_ns, archive_bytes: bytes / samples, cpu_us })
}

fn capture(programs: &Programs, hz: u32, seconds: u32, archive: &Path) -> Command {
    let mut command = Command::new(&programs.capture);
    let (hz, seconds) = (hz.to_string(), seconds.to_string());
    command.args(["--force", "-F", &hz, "-d", &seconds, "-o"]).arg(archive);
    command
}

/// Bytes a sample, as perf itself counts its samples.
fn perf_bytes(dir: &Path) -> Result<f64> {
    let data = dir.join("unwind.data");
    let seconds = SECONDS.to_string();
    let mut record = Command::new("perf");
    record.args(["record", "-a", "-e", "cpu-clock", "-F", "99", "--call-graph", "dwarf,16384"]);
    record.arg("-o").arg(&data).args(["--", "sleep", &seconds]);
    run::output(&mut record)?;
    let stats = run::output(Command::new("perf").args(["report", "--stats", "-i"]).arg(&data))?;
    let samples = number_after(&String::from_utf8(stats.stdout)?, "SAMPLE events:")?;
    Ok(fs::metadata(&data)?.len() as f64 / samples)
}
