//! The bundled story, recorded here and now: a streaming server that burns a CPU with no clients
//! connected, before and after the fix. Only `capture` is elevated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{build, run};

/// Records `streamer fixed` and `streamer spin`, compares them, and says where the pictures are.
pub fn run(seconds: u32) -> Result<()> {
    eprintln!("building capture, analyze and the workload …");
    let programs = build::programs()?;
    let out = crate::root().join("demo");
    fs::create_dir_all(&out)?;
    let (base, run) = match record_both(&programs, &out, seconds) {
        Ok(recorded) => recorded,
        Err(error) => {
            eprintln!("\nno recording here: {error:#}");
            eprintln!("analyzing the recordings in testdata/story instead\n");
            let story = crate::root().join("testdata/story");
            (story.join("fixed.arc"), story.join("spin.arc"))
        }
    };
    let analyze = |outputs: &[&Path]| {
        let mut command = Command::new(&programs.analyze);
        command.arg(&run).args(["--no-cache", "--sysroot", "/"]);
        for output in outputs {
            command.arg("-o").arg(output);
        }
        command
    };
    let [picture, page] = ["run.svg", "run.html"].map(|name| out.join(name));
    let [diff, diff_page, text] =
        ["run.diff.svg", "run.diff.html", "run.diff.md"].map(|name| out.join(name));
    run::check(analyze(&[&picture, &page]).stdout(Stdio::null()))?;
    run::check(analyze(&[&diff, &diff_page, &text, Path::new("-")]).arg("--diff").arg(&base))?;
    println!("\nrecordings  {}\n            {}", base.display(), run.display());
    println!(
        "pictures    {}   (open it in a browser: click to zoom, Ctrl-F to search)",
        diff.display()
    );
    println!("            {}", picture.display());
    println!("reports     {}   (everything in one file, to explore)", diff_page.display());
    println!("            {}\n            {}", page.display(), text.display());
    Ok(())
}

fn record_both(programs: &build::Programs, out: &Path, seconds: u32) -> Result<(PathBuf, PathBuf)> {
    let base = out.join("base.arc");
    let run = out.join("run.arc");
    for (variant, archive) in [("fixed", &base), ("spin", &run)] {
        eprintln!("recording `streamer {variant}` for {seconds} s …");
        let mut workload = Workload::start(&programs.workloads.join("streamer"), variant)?;
        run::check(
            run::elevated(&programs.capture)
                .args([
                    "-p",
                    &workload.0.id().to_string(),
                    "-d",
                    &seconds.to_string(),
                    "--force",
                    "-o",
                ])
                .arg(archive),
        )?;
        workload.stop();
    }
    Ok((base, run))
}

/// A workload that does not outlive us.
struct Workload(Child);

impl Workload {
    fn start(program: &Path, variant: &str) -> Result<Self> {
        let child = Command::new(program)
            .arg(variant)
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self(child))
    }

    fn stop(&mut self) {
        // Already ended is as good: then there is nothing to stop.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.stop();
    }
}
