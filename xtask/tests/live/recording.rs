//! Starting the built programs, and reading what they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn program(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run these tests with `cargo xtask test`"))
        .into()
}

pub fn capture() -> Command {
    Command::new(program("FLAMEARC_CAPTURE"))
}

pub fn analyze() -> Command {
    Command::new(program("FLAMEARC_ANALYZE"))
}

pub fn workload(name: &str) -> PathBuf {
    program("FLAMEARC_WORKLOADS").join(name)
}

/// Runs to the end; panics with what was printed when it fails.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// A background process that does not outlive its test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().expect("the program starts"))
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The number after `key` in a line of `key value` pairs, as the workloads print.
pub fn figure(printed: &[u8], key: &str) -> f64 {
    let text = String::from_utf8_lossy(printed);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|w| *w == key).unwrap_or_else(|| panic!("no {key} in {text}"));
    words[at + 1].parse().expect("a number")
}

/// Folded stacks of an archive: (frames, root first) → weight in nanoseconds.
pub fn folded(archive: &Path, more: &[&str]) -> BTreeMap<Vec<String>, u64> {
    let output = succeed(analyze().arg(archive).args(["-o", "-", "--format", "folded"]).args(more));
    parse_folded(output.stdout)
}

/// What `analyze -o - --format folded` prints: (frames, root first) → weight in nanoseconds.
pub fn parse_folded(text: Vec<u8>) -> BTreeMap<Vec<String>, u64> {
    String::from_utf8(text)
        .expect("folded text is UTF-8")
        .lines()
        .map(|line| {
            let (stack, weight) = line.rsplit_once(' ').expect("a weight after the stack");
            let frames = stack.split(';').map(str::to_owned).collect();
            (frames, weight.parse().expect("a whole number"))
        })
        .collect()
}

/// Weight of the stacks that have a frame which contains `name`.
pub fn weight_with(stacks: &BTreeMap<Vec<String>, u64>, name: &str) -> u64 {
    stacks.iter().filter(|(s, _)| s.iter().any(|f| f.contains(name))).map(|(_, w)| w).sum()
}
