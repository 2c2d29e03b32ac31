//! Builds `capture` as it is shipped: one static file that runs on any distribution; and the man
//! pages and completions of both programs.

use std::fs;

use anyhow::Result;

use crate::{build, run};

/// Builds, then says where things are and how large.
pub fn run() -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // crt-static needs --target: without it proc-macros would be asked to be static too.
    let rustflags = format!("target.{target}.rustflags=[\"-C\",\"target-feature=+crt-static\"]");
    run::check(&mut run::cargo(&[
        "build",
        "--profile",
        "dist",
        "-p",
        "capture",
        "--target",
        &target,
        "--config",
        &rustflags,
    ]))?;
    let binary = build::target_dir()?.join(&target).join("dist/capture");
    println!("{} ({} bytes)", binary.display(), fs::metadata(&binary)?.len());
    let pages = build::target_dir()?.join("man");
    fs::create_dir_all(&pages)?;
    for program in ["capture", "analyze"] {
        run::check(
            run::cargo(&["run", "--quiet", "-p", program, "--example", "man", "--"]).arg(&pages),
        )?;
    }
    println!("man pages and completions in {}", pages.display());
    Ok(())
}
