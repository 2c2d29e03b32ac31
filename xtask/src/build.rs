//! Builds the two programs and the workloads for demo, live tests, fixtures and benchmarks.

use std::path::PathBuf;

use anyhow::Result;

use crate::run;

/// Where the built programs are.
pub struct Programs {
    /// `capture`, release build.
    pub capture: PathBuf,
    /// `analyze`, release build.
    pub analyze: PathBuf,
    /// Folder of the workloads, built with frame pointers.
    pub workloads: PathBuf,
}

/// Builds in release mode. The workloads get frame pointers, like the programs of people who profile
/// in production, and a target folder of their own, because the flag rebuilds everything.
pub fn programs() -> Result<Programs> {
    let target = target_dir()?;
    run::check(&mut run::cargo(&[
        "build",
        "--release",
        "--quiet",
        "-p",
        "capture",
        "-p",
        "analyze",
    ]))?;
    let workloads = target.join("workloads");
    run::check(
        run::cargo(&["build", "--release", "--quiet", "-p", "workloads", "--target-dir"])
            .arg(&workloads)
            .env("RUSTFLAGS", "-C force-frame-pointers=yes"),
    )?;
    Ok(Programs {
        capture: target.join("release/capture"),
        analyze: target.join("release/analyze"),
        workloads: workloads.join("release"),
    })
}

/// cargo's target folder, wherever it was put.
pub fn target_dir() -> Result<PathBuf> {
    let metadata =
        cargo_metadata::MetadataCommand::new().no_deps().current_dir(crate::root()).exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}
