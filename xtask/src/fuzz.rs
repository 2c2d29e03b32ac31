//! `cargo xtask fuzz`: builds the fuzz targets with coverage counters, replays what is known to be
//! interesting, then lets each mutate it for a while.
//!
//! The counters are LLVM's own, which a stable compiler can be told to insert; of cargo-fuzz they are no
//! more than the address sanitizer away, which finds little in Rust without `unsafe`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{build, run};

/// What makes libFuzzer see which code ran, and makes arithmetic panic instead of wrapping.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing -Cdebug-assertions -Coverflow-checks";

/// Memory of one input at most, as everywhere.
const MOST_MIB: u32 = 512;

/// Seconds of one input at most; machines that run tests are slow.
const LONGEST_SECONDS: u32 = 60;

/// Files of the checkout that targets begin with beside `fuzz/seeds/TARGET`: target, folder, end of names.
const SEEDS: &[(&str, &str, &str)] = &[
    ("archive", "testdata", ".arc"),
    ("folded", "testdata", ".folded"),
    ("perf_data", "testdata/perf", ".data"),
    ("perf_script", "testdata/perf", "script.txt"),
    ("pprof", "testdata/pprof", ".gz"),
    ("printed", "testdata/printed", ""),
    ("symbolize", "crates/symbolize/tests/data", ".so"),
    ("symbolize", "crates/analyze/tests/fixtures", ""),
];

/// Larger files leave too few runs in the time there is.
const LARGEST_SEED_BYTES: u64 = 64 << 10;

/// Runs the targets of these names (none: all), as many at once as there are CPUs.
pub fn run(seconds: u32, names: &[String]) -> Result<()> {
    let targets = targets(names)?;
    let start = Instant::now();
    let programs = build(&targets)?;
    println!("built {} targets in {:.0} s", targets.len(), start.elapsed().as_secs_f64());
    println!("{:<14}{:>12}{:>10}{:>10}", "target", "runs", "runs/s", "peak MiB");
    let seeds = tempfile::tempdir()?;
    let left = Mutex::new(targets.iter());
    let failed = Mutex::new(Vec::new());
    let at_once = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panics").next();
                    let Some(target) = next else { break };
                    match fuzz(target, &programs.join(target), seconds, seeds.path()) {
                        Ok(ran) => println!("{target:<14}{ran}"),
                        Err(error) => {
                            println!("{target:<14}FAILED: {error:#}");
                            failed.lock().expect("no thread panics").push(target.as_str());
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panics");
    if !failed.is_empty() {
        bail!("inputs that fail were found of: {}", failed.join(", "));
    }
    Ok(())
}

/// All targets, or those that were named.
fn targets(names: &[String]) -> Result<Vec<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .manifest_path(crate::root().join("fuzz/Cargo.toml"))
        .exec()?;
    let all: Vec<String> =
        metadata.packages.iter().flat_map(|p| &p.targets).map(|t| t.name.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        bail!("no fuzz target is called {unknown}; there are: {}", all.join(", "));
    }
    Ok(if names.is_empty() { all } else { names.to_vec() })
}

/// Builds targets and says where they are. Naming the platform keeps the counters out of build scripts.
fn build(targets: &[String]) -> Result<PathBuf> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = build::target_dir()?.join("fuzz");
    let mut cargo = run::cargo(&["build", "--release", "--quiet", "--manifest-path"]);
    cargo.arg(crate::root().join("fuzz/Cargo.toml")).arg("--target-dir").arg(&folder);
    cargo.args(["--target", &platform]).env("RUSTFLAGS", COVERAGE);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    run::check(&mut cargo)?;
    Ok(folder.join(platform).join("release"))
}

/// Runs one target; what it reports as a row of the table.
fn fuzz(target: &str, program: &Path, seconds: u32, temporary: &Path) -> Result<String> {
    let fuzz = crate::root().join("fuzz");
    // Where new inputs are kept, which is where cargo-fuzz keeps them.
    let corpus = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let seeds = temporary.join(target);
    copy_seeds(target, &seeds)?;
    let output = Command::new(program)
        .arg(corpus)
        .arg(seeds)
        .args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={LONGEST_SECONDS}"),
            format!("-rss_limit_mb={MOST_MIB}"),
            format!("-artifact_prefix={}/", artifacts.display()),
            "-print_final_stats=1".to_owned(),
        ])
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}\n{}", output.status, failure(&said));
    }
    let figure = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.map(|figure| figure.trim().to_owned()).context("it did not say what it did")
    };
    let runs = figure("stat::number_of_executed_units:")?;
    let speed = figure("stat::average_exec_per_sec:")?;
    Ok(format!("{runs:>12}{speed:>10}{:>10}", figure("stat::peak_rss_mb:")?))
}

/// What libFuzzer says of an input that fails: the panic, and where the input is.
fn failure(said: &str) -> String {
    let tells = |line: &&str| {
        ["panicked at", "ERROR: libFuzzer", "Test unit written to"].iter().any(|t| line.contains(t))
    };
    let lines: Vec<&str> = said.lines().collect();
    let mut told = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| tells(line)) {
        told.push(*line);
        // What a panic says stands in the line behind.
        told.extend(lines.get(index + 1).filter(|_| line.contains("panicked at")));
    }
    if told.is_empty() { said.to_owned() } else { told.join("\n") }
}

fn copy_seeds(target: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let root = crate::root();
    let mut files = Vec::new();
    let committed = root.join("fuzz/seeds").join(target);
    if committed.exists() {
        files.extend(files_below(&committed, "")?);
    }
    for (_, folder, end) in SEEDS.iter().filter(|(of, ..)| *of == target) {
        files.extend(files_below(&root.join(folder), end)?);
    }
    if files.is_empty() {
        bail!("there is nothing to begin with: put small inputs into fuzz/seeds/{target}");
    }
    for (number, file) in files.iter().enumerate() {
        fs::copy(file, to.join(number.to_string()))?;
    }
    Ok(())
}

/// Files of a folder and of those in it, by the end of their names; not those that are too large.
fn files_below(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path, end)?);
        } else if path.to_string_lossy().ends_with(end)
            && entry.metadata()?.len() <= LARGEST_SEED_BYTES
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
