//! Debian's own tools can read an archive: `zstd` inflates it, `protoc` shows all of it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::recipe::SMALL;
use crate::stored::frames;

fn pipe(program: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("cannot run {program} ({error}): apt-get install zstd protobuf-compiler")
    });
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success(), "{program} {arguments:?}");
    output
}

#[test]
fn zstd_and_protoc_show_everything() {
    let file = SMALL.write();
    let plain = pipe("zstd", &["-dc"], file.clone());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto_path = format!("--proto_path={}", here.display());
    let arguments = ["--decode=flamearc.v1.Archive", &proto_path, "arc.proto"];
    let text = String::from_utf8(pipe("protoc", &arguments, plain)).unwrap();
    let count = |line: &str| text.lines().filter(|l| l.trim() == line).count();
    let of_kind = |kind| frames(&file).iter().filter(|frame| frame.kind == kind).count();
    assert_eq!(count("blocks {"), frames(&file).len());
    assert_eq!((count("start {"), count("end {")), (3, 1), "each epoch's, and again at the end");
    assert_eq!(count("defs {") + 2, of_kind(1), "the first frame of an epoch has no rows");
    assert_eq!(count("data {"), of_kind(2));
    for shown in [
        "path: \"/usr/bin/server\"",
        "comm: \"worker-3\"",
        "name: \"do_syscall_64\"",
        "values: \"/login\"",
        "detail: \"SIGINT\"",
        "written_weight:",
        "covered_from_ns:",
        "stack:",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    let unknown = text.lines().filter(|l| l.trim().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(unknown.count(), 0, "fields that arc.proto does not name are shown by number");
}
