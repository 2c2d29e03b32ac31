//! Builds the script and the style of the HTML report. Both are committed, so that building `analyze` needs no
//! Node; the tests check that they are what the source is built to, byte for byte.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run;

const BUILT: [&str; 2] = ["viewer.js", "viewer.css"];

/// Checks types, runs the unit tests, and writes what is committed, or only compares with it.
pub fn run(check: bool) -> Result<()> {
    let source = crate::root().join("crates/render/viewer");
    let committed = crate::root().join("crates/render/src/html");
    let npm = |arguments: &[&str]| {
        let mut command = Command::new("npm");
        command.arg("--silent").args(arguments).current_dir(&source);
        command
    };
    run::check(&mut npm(&["ci", "--no-audit", "--no-fund"])).context("installing the compiler")?;
    run::check(&mut npm(&["run", "check"])).context("checking types")?;
    run::check(&mut npm(&["test"])).context("unit tests of the viewer")?;
    if !check {
        run::check(&mut npm(&["run", "build"]))?;
        println!("{} written to {}", BUILT.join(" and "), committed.display());
        return Ok(());
    }
    let fresh = tempfile::tempdir()?;
    run::check(npm(&["run", "build", "--"]).arg(fresh.path()))?;
    for name in BUILT {
        if fs::read(fresh.path().join(name))? != fs::read(committed.join(name))? {
            bail!(
                "{} is not what its source is built to; run `cargo xtask viewer` and commit it",
                committed.join(name).display()
            );
        }
    }
    println!("the committed viewer is the build of its source");
    Ok(())
}
