//! How long a million samples take that have to be unwound: of a stripped C++ program without frame pointers,
//! each with what is needed to find its callers.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{info, median, ms, number_after};
use crate::build::Programs;
use crate::run;
use crate::rusage::{Usage, measure};

const SAMPLES: f64 = 1e6;
const HZ: &str = "9999";
const ROUNDS: usize = 5;

/// Records them, and measures `analyze` from the file to the picture, names included.
pub(super) fn run(programs: &Programs, dir: &Path) -> Result<()> {
    let (program, archive) = (dir.join("letters"), dir.join("million.arc"));
    let source = crate::root().join("testdata/load/letters.cc");
    run::check(Command::new("g++").args(["-O2", "-s", "-o"]).arg(&program).arg(source))?;
    let samples = record(programs, &program, &archive)?;
    let picture = dir.join("million.svg");
    let mut analyze = Command::new(&programs.analyze);
    analyze.arg(&archive).arg("--no-cache").arg("-o").arg(&picture);
    let rounds: Result<Vec<Usage>> = (0..ROUNDS).map(|_| measure(&mut analyze)).collect();
    let rounds = rounds?;
    let wall_s = median(rounds.iter().map(|usage| usage.wall.as_secs_f64()).collect());
    println!(
        "{samples:.0} samples of a stripped C++ program, {:.1} MB: {wall_s:.2} s to a picture, {:.2} s of CPU, \
         {:.0} MiB at most (budget for 1,000,000 on 2 CPUs: 5 s)",
        std::fs::metadata(&archive)?.len() as f64 / 1e6,
        median(rounds.iter().map(ms).collect()) / 1e3,
        median(rounds.iter().map(|usage| usage.peak_rss_kib as f64 / 1024.0).collect()),
    );
    Ok(())
}

/// Records until there are enough; other load on the machine makes them come slower.
fn record(programs: &Programs, program: &Path, archive: &Path) -> Result<f64> {
    let mut seconds = 60.0;
    for _ in 0..4 {
        let mut capture = Command::new(&programs.capture);
        capture.args(["--force", "--unwind", "dwarf", "-F", HZ, "-o"]).arg(archive).arg("--");
        capture.arg(program).arg(format!("{seconds:.0}"));
        run::check(run::quiet_all(&mut capture))?;
        let samples = number_after(&info(programs, archive)?, "samples written")?;
        if samples >= SAMPLES {
            return Ok(samples);
        }
        seconds *= SAMPLES * 1.1 / samples.max(SAMPLES / 20.0);
    }
    bail!("the machine has too little time for {SAMPLES} samples at {HZ} Hz: end other load")
}
