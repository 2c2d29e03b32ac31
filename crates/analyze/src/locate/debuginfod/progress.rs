//! One line on the terminal while files are coming.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);

/// What has come so far. Silent where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    line: Option<Mutex<Line>>,
}

#[derive(Debug)]
struct Line {
    files: usize,
    done: usize,
    bytes: u64,
    written: Option<Instant>,
}

impl Progress {
    pub fn new(files: usize) -> Self {
        let line = Line { files, done: 0, bytes: 0, written: None };
        Self { line: (files > 0 && std::io::stderr().is_terminal()).then(|| Mutex::new(line)) }
    }

    pub fn received(&self, bytes: u64) {
        self.update(|line| line.bytes += bytes);
    }

    pub fn file_done(&self) {
        self.update(|line| line.done += 1);
    }

    fn update(&self, change: impl FnOnce(&mut Line)) {
        let Some(line) = &self.line else { return };
        let mut line = lock(line);
        change(&mut line);
        if line.written.is_none_or(|at| at.elapsed() >= EVERY) {
            line.written = Some(Instant::now());
            let Line { done, files, bytes, .. } = *line;
            eprint!("\rdebuginfod: {done} of {files} files done, {} MiB\x1b[K", bytes >> 20);
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if self.line.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
