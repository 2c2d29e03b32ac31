//! `cargo xtask test`: everything, in steps that say what they are.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{bpf, build, fuzz, hostile, requirements, run, viewer};

/// Of each fuzz target, besides what is replayed.
const FUZZ_SECONDS: u32 = 30;

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", || run::check(&mut run::cargo(&["fmt", "--all", "--check"]))),
    ("lints", || {
        run::check(&mut run::cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("licences", || {
        run::check(&mut run::cargo(&[
            "deny",
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ]))
    }),
    ("bpf object", || bpf::run(true)),
    ("viewer", || viewer::run(true)),
    ("unit and integration tests", || {
        run::check(&mut run::cargo(&["test", "--quiet", "--workspace"]))
    }),
    ("fuzz targets", || fuzz::run(FUZZ_SECONDS, &[])),
    ("hostile inputs", hostile::run),
    ("live recordings", live),
    ("pictures in a browser", browser),
];

/// Runs all steps, or those whose name contains `only`.
pub fn run(only: Option<&str>) -> Result<()> {
    requirements::check()?;
    let chosen: Vec<&Step> =
        STEPS.iter().filter(|(name, _)| only.is_none_or(|o| name.contains(o))).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("no step is called that; there are: {}", names.join(", "));
    }
    let mut failed = Vec::new();
    for (name, step) in &chosen {
        println!("=== {name}");
        let start = Instant::now();
        match step() {
            Ok(()) => println!("=== {name}: passed in {:.0} s", start.elapsed().as_secs_f64()),
            Err(error) => {
                println!("=== {name}: FAILED: {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("{} passed, {} failed", chosen.len() - failed.len(), failed.len());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Tests that really record. Built as the user; only the test programs run as root.
fn live() -> Result<()> {
    let programs = build::programs()?;
    // Names that earlier runs kept would hide what is tested, and ours do not belong to the user's.
    let cache = tempfile::tempdir()?;
    for package in ["capture", "xtask"] {
        let mut tests = run::cargo(&[
            "test",
            "--quiet",
            "-p",
            package,
            "--features",
            "live",
            "--test",
            "live",
            "--",
            "--test-threads=1",
        ]);
        tests
            .env("FLAMEARC_CAPTURE", &programs.capture)
            .env("FLAMEARC_ANALYZE", &programs.analyze)
            .env("FLAMEARC_WORKLOADS", &programs.workloads)
            .env("XDG_CACHE_HOME", cache.path());
        if !run::is_root() {
            let arch = std::env::consts::ARCH.to_uppercase();
            tests.env(format!("CARGO_TARGET_{arch}_UNKNOWN_LINUX_GNU_RUNNER"), "sudo -E");
        }
        run::check(&mut tests)?;
    }
    Ok(())
}

/// Opens pictures and reports of testdata's recordings in Chromium, and reports full of hostile names.
fn browser() -> Result<()> {
    let programs = build::programs()?;
    let scripts = crate::root().join("crates/render/browser-test");
    run::check(
        Command::new("npm")
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&scripts),
    )
    .context("installing the browser driver")?;
    let made = tempfile::tempdir()?;
    let testdata = crate::root().join("testdata");
    let analyze = |arguments: &[&str], name: &str, formats: &[&str]| {
        let mut command = run::quiet(&programs.analyze);
        command.args(arguments).arg("--no-cache").current_dir(&testdata);
        for format in formats {
            command.arg("-o").arg(made.path().join(format!("{name}.{format}")));
        }
        run::check(&mut command)
    };
    let (mixed, story) = (["mixed/mixed.arc"], ["story/spin.arc", "--diff", "story/fixed.arc"]);
    let same = ["story/spin.arc", "--diff", "story/spin.arc"];
    analyze(&mixed, "mixed", &["svg", "html", "folded", "json"])?;
    let part = |filter: &[&str], name| analyze(&[&mixed, filter].concat(), name, &["json"]);
    part(&["--from", "1s", "--to", "2s"], "mixed.second")?;
    part(&["--cpu", "0"], "mixed.cpu0")?;
    part(&["--cpu", "1"], "mixed.cpu1")?;
    analyze(&story, "story.diff", &["svg", "html", "json"])?;
    analyze(&same, "same.diff", &["html", "json"])?;
    let stack: Vec<String> = (0..10_000).map(|depth| format!("f{depth}")).collect();
    std::fs::write(made.path().join("deep.folded"), stack.join(";") + " 5\n")?;
    let deep = made.path().join("deep.folded");
    analyze(&[&deep.to_string_lossy()], "deep", &["html"])?;
    let script = |name: &str, files: &[&str]| {
        let files = files.iter().map(|file| made.path().join(file));
        run::check(Command::new("node").arg(name).args(files).current_dir(&scripts))
    };
    script("run.mjs", &["mixed.svg", "story.diff.svg"])?;
    script("report.mjs", &["mixed.html", "story.diff.html", "same.diff.html", "deep.html"])?;
    let hostile = made.path().join("hostile");
    std::fs::create_dir(&hostile)?;
    let example = ["run", "--quiet", "-p", "render", "--example", "hostile_reports"];
    run::check(run::cargo(&example).arg(&hostile))?;
    script("hostile.mjs", &["hostile"])
}
