//! How long Chromium takes to show a report of a million nodes and to answer in it; inferno's picture of the same
//! stacks beside it.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run;

/// Draws, opens and uses them; prints sizes and medians.
pub(super) fn run() -> Result<()> {
    let drawn = tempfile::tempdir()?;
    let example = ["run", "--quiet", "--release", "-p", "render", "--example", "million"];
    run::check(run::cargo(&example).arg(drawn.path()))?;
    let scripts = crate::root().join("crates/render/browser-test");
    let npm = ["ci", "--silent", "--no-audit", "--no-fund"];
    run::check(Command::new("npm").args(npm).current_dir(&scripts))
        .context("installing the browser driver")?;
    println!("budget: 5 MB (8 with a timeline), first paint 1000 ms, zoom and search 100 ms");
    run::check(Command::new("node").arg("bench.mjs").arg(drawn.path()).current_dir(&scripts))
}
