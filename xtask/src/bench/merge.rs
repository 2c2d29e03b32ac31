//! How long it takes to merge a fleet's recordings: of programs started anew, each with another address layout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Load, ROUNDS, capture, median, samples};
use crate::build::Programs;
use crate::run;
use crate::rusage::{Usage, measure};

const LAYOUTS: usize = 60;
const OF_EACH: usize = 5;
const HZ: u32 = 24_999;
const SECONDS: u32 = 3;

/// Records them, and measures `analyze` from the files to the picture.
pub(super) fn run(programs: &Programs, dir: &Path) -> Result<()> {
    let mut archives: Vec<PathBuf> = Vec::new();
    let mut recorded = 0.0;
    for layout in 0..LAYOUTS {
        let busy = |kind| ("service", [kind, "3600", "400"]);
        let (one, other) = (busy("steady"), busy("drifting"));
        let load = Load::start(programs, &[(one.0, &one.1), (other.0, &other.1)])?;
        for number in 0..OF_EACH {
            let archive = dir.join(format!("{layout}-{number}.arc"));
            run::check(run::quiet_all(&mut capture(programs, HZ, SECONDS, &archive)))?;
            recorded += samples(programs, &archive)?;
            archives.push(archive);
        }
        drop(load);
    }
    let mut analyze = Command::new(&programs.analyze);
    analyze.args(&archives).arg("-o").arg(dir.join("fleet.svg"));
    let rounds: Result<Vec<Usage>> = (0..ROUNDS).map(|_| measure(&mut analyze)).collect();
    let rounds = rounds?;
    println!(
        "{} recordings of {LAYOUTS} address layouts, {:.0} samples each: {:.2} s to a picture, {:.0} MiB at most \
         (budget for 300 of 100,000: 10 s)",
        archives.len(),
        recorded / archives.len() as f64,
        median(rounds.iter().map(|usage| usage.wall.as_secs_f64()).collect()),
        median(rounds.iter().map(|usage| usage.peak_rss_kib as f64 / 1024.0).collect()),
    );
    Ok(())
}
