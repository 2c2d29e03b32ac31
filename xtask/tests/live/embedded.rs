//! Whole stacks of programs whose files nobody can bring.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::recording::{analyze, capture, folded, parse_folded, succeed};

/// Weight by number of frames.
fn by_depth(stacks: &BTreeMap<Vec<String>, u64>) -> BTreeMap<usize, u64> {
    let mut depths = BTreeMap::new();
    for (stack, weight) in stacks {
        *depths.entry(stack.len()).or_default() += weight;
    }
    depths
}

fn record(path: &Path, program: &Path, more: &[&str]) -> String {
    let mut capture = capture();
    capture.args(["-F", "499", "--unwind", "dwarf", "-o"]).arg(path).args(more);
    let recorded = succeed(capture.arg("--").arg(program));
    String::from_utf8(recorded.stderr).unwrap()
}

#[test]
fn embedded_tables_unwind_as_the_files_would() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    fs::create_dir(&host).unwrap();
    let program = host.join("chain");
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/capture/tests/live/programs/chain.c");
    let build = ["-O2", "-fomit-frame-pointer", "-o"];
    succeed(Command::new("cc").args(build).arg(&program).arg(source));
    let (with, without) = (dir.path().join("with.arc"), dir.path().join("without.arc"));
    let said = record(&with, &program, &["--embed", "unwind"]);
    assert!(said.contains("embedded unwind tables of "), "{said}");
    assert!(!record(&without, &program, &[]).contains("embedded"));

    let elsewhere = |archive: &Path| {
        let script = format!(
            "mount -t tmpfs none {} && exec {} {} --no-kernel -o - --format folded",
            host.display(),
            analyze().get_program().to_string_lossy(),
            archive.display(),
        );
        parse_folded(succeed(Command::new("unshare").args(["-m", "sh", "-c", &script])).stdout)
    };
    let here = by_depth(&folded(&with, &["--no-kernel"]));
    assert_eq!(by_depth(&elsewhere(&with)), here);
    assert_ne!(by_depth(&elsewhere(&without)), by_depth(&folded(&without, &["--no-kernel"])));
}
