//! Other tools, run for comparison.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A scratch directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("symbolize-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Standard output of a program that must succeed; `package` is Debian's that brings it.
pub fn run(
    program: impl AsRef<Path>,
    package: &str,
    configure: impl FnOnce(&mut Command) -> &mut Command,
) -> String {
    let program = program.as_ref();
    let mut command = Command::new(program);
    configure(&mut command);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; `apt-get install {package}` brings it", program.display())
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A frame as both sides spell it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Frame {
    pub name: String,
    /// `??` where there is none.
    pub file: String,
    /// 0 where there is none, as in the next.
    pub line: u32,
    /// On which the function begins.
    pub start_line: u32,
}

/// The frames at each address as `llvm-symbolizer` finds them, innermost first.
pub fn llvm_symbolizer(file: &Path, addresses: &[u64]) -> Vec<Vec<Frame>> {
    let input: String = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    let list = file.with_extension("addresses");
    std::fs::write(&list, input).unwrap();
    let output = run("llvm-symbolizer-14", "llvm-14", |c| {
        c.args(["--inlines", "--no-demangle", "--verbose", "-e"]).arg(file);
        c.stdin(Stdio::from(std::fs::File::open(&list).unwrap()))
    });
    let blocks = output.split("\n\n").filter(|block| !block.trim().is_empty());
    let answers: Vec<Vec<Frame>> = blocks.map(frames).collect();
    assert_eq!(answers.len(), addresses.len());
    answers
}

/// A name, then rows of the form `  Line: 7`.
fn frames(block: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for text in block.lines().filter(|text| !text.is_empty()) {
        let Some(row) = text.strip_prefix("  ") else {
            let name = text.split('@').next().unwrap().to_owned();
            frames.push(Frame { name, file: String::new(), line: 0, start_line: 0 });
            continue;
        };
        let frame = frames.last_mut().unwrap();
        let (key, value) = row.split_once(": ").unwrap();
        match key {
            "Filename" => value.clone_into(&mut frame.file),
            "Line" => frame.line = value.parse().unwrap(),
            "Function start line" => frame.start_line = value.parse().unwrap(),
            _ => {}
        }
    }
    frames
}
