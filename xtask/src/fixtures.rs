//! Records testdata's archives again. Each case's README.md says what it is for; this file is the
//! recipe. Expected outputs are blessed afterwards: `BLESS=1 cargo test -p analyze`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{build, run};

mod languages;
mod perf;

type Recipe = fn(&build::Programs, &Path) -> Result<()>;

const CASES: &[(&str, Recipe)] = &[
    ("story", story),
    ("mixed", mixed),
    ("stripped", stripped),
    ("native", languages::native),
    ("go", languages::go),
    ("cgo", languages::cgo),
    ("node", languages::node),
    ("perf", perf::perf),
];

/// Records every case, or the one that is called `only`.
pub fn run(only: Option<&str>) -> Result<()> {
    let chosen = CASES.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    if chosen.clone().next().is_none() {
        let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
        bail!("no case is called that; there are: {}", names.join(", "));
    }
    let programs = build::programs()?;
    let testdata = crate::root().join("testdata");
    for (name, recipe) in chosen {
        recipe(&programs, &testdata.join(name))?;
    }
    println!("recorded; now `BLESS=1 cargo test -p analyze` and look at the differences");
    Ok(())
}

/// The story's two: a running service, recorded by pid.
fn story(programs: &build::Programs, case: &Path) -> Result<()> {
    let server = install_with_names(&programs.workloads.join("streamer"), case)?;
    for variant in ["spin", "fixed"] {
        let mut child = Command::new(&server).arg(variant).stdout(Stdio::null()).spawn()?;
        let recorded = run::check(
            run::elevated(&programs.capture)
                .args(["-p", &child.id().to_string(), "-d", "8", "--force", "-o"])
                .arg(case.join(format!("{variant}.arc"))),
        );
        child.kill()?;
        child.wait()?;
        recorded?;
    }
    Ok(())
}

/// Several processes and threads with kernel time, launched by `capture`.
fn mixed(programs: &build::Programs, case: &Path) -> Result<()> {
    let program = install_with_names(&programs.workloads.join("mixed"), case)?;
    run::check(
        run::elevated(&programs.capture)
            .args(["--force", "-o"])
            .arg(case.join("mixed.arc"))
            .arg("--")
            .arg(program)
            .arg("4")
            .stdout(Stdio::null()),
    )
}

/// A C program, stripped, with its debug file kept apart under its build-id.
fn stripped(programs: &build::Programs, case: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let built = scratch.path().join("blend");
    run::check(
        Command::new("gcc")
            .current_dir(case)
            .args(["-O2", "-g", "-fno-omit-frame-pointer", "-ffile-prefix-map=.=blend"])
            .args(["-Wl,--build-id", "blend.c", "-o"])
            .arg(&built),
    )?;
    clear_debug_files(case)?;
    split_debug_file(&built, case, "none")?;
    launched(programs, &install(&built, case)?, &case.join("blend.arc"))
}

/// Launched by `capture` for three seconds.
fn launched(programs: &build::Programs, program: &Path, archive: &Path) -> Result<()> {
    run::check(
        run::elevated(&programs.capture)
            .args(["--force", "-o"])
            .arg(archive)
            .arg("--")
            .arg(program)
            .arg("3")
            .stdout(Stdio::null()),
    )
}

fn clear_debug_files(case: &Path) -> Result<()> {
    let debug = case.join("debug");
    if debug.exists() {
        fs::remove_dir_all(debug)?;
    }
    Ok(())
}

/// Strips a program; its debug file goes to the case's `debug`, under its build-id.
fn split_debug_file(built: &Path, case: &Path, compression: &str) -> Result<()> {
    let notes = run::output(Command::new("readelf").arg("-n").arg(built))?;
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes.split("Build ID: ").nth(1).and_then(|t| t.split_whitespace().next());
    let id = id.with_context(|| format!("{} has no build-id", built.display()))?;
    let debug = case.join("debug/.build-id").join(&id[..2]);
    fs::create_dir_all(&debug)?;
    run::check(
        Command::new("objcopy")
            .args(["--only-keep-debug", &format!("--compress-debug-sections={compression}")])
            .arg(built)
            .arg(debug.join(format!("{}.debug", &id[2..]))),
    )?;
    run::check(Command::new("strip").arg(built))
}

/// Puts a program at the path that the archive will state, and below the case's `sysroot` for those
/// who analyze it elsewhere.
fn install(program: &Path, case: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?;
    let directory = Path::new("/usr/local/lib/flamearc-testdata");
    let kept = case.join("sysroot/usr/local/lib/flamearc-testdata");
    fs::create_dir_all(directory)?;
    fs::create_dir_all(&kept)?;
    fs::copy(program, directory.join(name))?;
    fs::copy(program, kept.join(name))?;
    Ok(directory.join(name))
}

/// As [`install`]; the copy that is kept has names and no line tables: small enough for git.
fn install_with_names(program: &Path, case: &Path) -> Result<PathBuf> {
    let installed = install(program, case)?;
    let name = program.file_name().context("a program has a name")?;
    let kept = case.join("sysroot/usr/local/lib/flamearc-testdata").join(name);
    run::check(Command::new("objcopy").arg("--strip-debug").arg(program).arg(kept))?;
    Ok(installed)
}
