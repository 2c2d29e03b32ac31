//! Records testdata's archives again. Each case's README.md says what it is for; this file is the
//! recipe. Expected outputs are blessed afterwards: `BLESS=1 cargo test -p analyze`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{build, run};

/// Records every case.
pub fn run() -> Result<()> {
    let programs = build::programs()?;
    let testdata = crate::root().join("testdata");
    story(&programs, &testdata.join("story"))?;
    mixed(&programs, &testdata.join("mixed"))?;
    stripped(&programs, &testdata.join("stripped"))?;
    println!("recorded; now `BLESS=1 cargo test -p analyze` and look at the differences");
    Ok(())
}

/// The story's two: a running service, recorded by pid.
fn story(programs: &build::Programs, case: &Path) -> Result<()> {
    let server = install(&programs.workloads.join("streamer"), case)?;
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
    let program = install(&programs.workloads.join("mixed"), case)?;
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
    let full = tempfile::tempdir()?;
    let built = full.path().join("blend");
    run::check(
        Command::new("gcc")
            .current_dir(case)
            .args([
                "-O2",
                "-g",
                "-fno-omit-frame-pointer",
                "-ffile-prefix-map=.=blend",
                "-Wl,--build-id",
            ])
            .args(["blend.c", "-o"])
            .arg(&built),
    )?;
    let notes = run::output(Command::new("readelf").arg("-n").arg(&built))?;
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes.split("Build ID: ").nth(1).and_then(|t| t.split_whitespace().next());
    let id = id.ok_or_else(|| anyhow::anyhow!("gcc made no build-id"))?;
    let debug = case.join("debug/.build-id").join(&id[..2]);
    if debug.exists() {
        fs::remove_dir_all(case.join("debug"))?;
    }
    fs::create_dir_all(&debug)?;
    let debug = debug.join(format!("{}.debug", &id[2..]));
    run::check(Command::new("objcopy").arg("--only-keep-debug").arg(&built).arg(debug))?;
    run::check(Command::new("strip").arg(&built))?;
    let program = install(&built, case)?;
    run::check(
        run::elevated(&programs.capture)
            .args(["--force", "-o"])
            .arg(case.join("blend.arc"))
            .arg("--")
            .arg(program)
            .arg("3")
            .stdout(Stdio::null()),
    )
}

/// Puts a program at the path that the archive will state, and below the case's `sysroot` for those
/// who analyze it elsewhere.
fn install(program: &Path, case: &Path) -> Result<std::path::PathBuf> {
    let name = program.file_name().expect("a program has a name");
    let installed = Path::new("/usr/local/lib/flamearc-testdata").join(name);
    fs::create_dir_all(installed.parent().expect("it has one"))?;
    fs::copy(program, &installed)?;
    let kept = case.join("sysroot/usr/local/lib/flamearc-testdata").join(name);
    fs::create_dir_all(kept.parent().expect("it has one"))?;
    // Names without line tables: small enough for git.
    run::check(Command::new("objcopy").arg("--strip-debug").arg(program).arg(&kept))?;
    Ok(installed)
}
