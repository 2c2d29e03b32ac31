//! Compiles the BPF program. The object is committed, so that building `capture` needs no clang;
//! the tests check that it is what the source compiles to, byte for byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run;

/// Writes the committed object, or only compares with it.
pub fn run(check: bool) -> Result<()> {
    let source = crate::root().join("crates/capture/src/bpf");
    let committed = source.join("sample.bpf.o");
    let fresh_dir = tempfile::tempdir()?;
    let fresh = fresh_dir.path().join("sample.bpf.o");
    compile(&source, &fresh)?;
    let fresh_bytes = fs::read(&fresh)?;
    if check {
        if fs::read(&committed)? != fresh_bytes {
            bail!(
                "{} is not what its source compiles to; run `cargo xtask bpf` and commit it",
                committed.display()
            );
        }
        println!("the committed BPF object is the build of its source");
    } else {
        fs::write(&committed, &fresh_bytes)?;
        println!("{} bytes written to {}", fresh_bytes.len(), committed.display());
    }
    Ok(())
}

fn compile(source: &Path, object: &Path) -> Result<()> {
    let flags = fs::read_to_string(source.join("clang-flags")).context("reading clang-flags")?;
    let flags = flags.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    // Relative paths and a fixed current directory: nothing of the checkout's place gets in.
    run::check(
        Command::new("clang-14")
            .current_dir(source)
            .args(flags)
            .args(["-c", "sample.bpf.c", "-o"])
            .arg(object),
    )?;
    run::check(Command::new("llvm-strip-14").arg("-g").arg(object))
}
