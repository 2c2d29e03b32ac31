//! Which stacks count by their frames' names, and which frames are shown: `--focus`, `--ignore`, `--hide`.

use profile::{FrameId, FrameTable};
use regex::Regex;

/// What is asked of frames' names. Each list's expressions are alternatives.
#[derive(Clone, Default, Debug)]
pub struct Sieve {
    /// Only stacks with such a frame count.
    pub focus: Vec<Regex>,
    /// Stacks with such a frame do not.
    pub ignore: Vec<Regex>,
    /// Such frames are not shown; what they called hangs to what called them.
    pub hide: Vec<Regex>,
    /// Whether calls of a function by itself are one frame.
    pub fold_recursion: bool,
}

impl Sieve {
    /// Whether every stack passes unchanged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.focus.is_empty()
            && self.ignore.is_empty()
            && self.hide.is_empty()
            && !self.fold_recursion
    }
}

/// What is known of a frame.
#[derive(Clone, Copy, Default)]
struct Judged {
    focus: bool,
    ignore: bool,
    hide: bool,
}

/// A sieve at work: every frame is judged once.
pub struct Sieving<'a> {
    sieve: &'a Sieve,
    judged: Vec<Option<Judged>>,
}

impl<'a> Sieving<'a> {
    /// Begins.
    #[must_use]
    pub fn new(sieve: &'a Sieve) -> Self {
        Self { sieve, judged: Vec::new() }
    }

    /// Takes frames out of a stack; false when all of it does not count.
    pub fn pass(&mut self, chain: &mut Vec<FrameId>, frames: &FrameTable) -> bool {
        if self.sieve.is_empty() {
            return true;
        }
        let mut focused = self.sieve.focus.is_empty();
        let mut ignored = false;
        for frame in chain.iter() {
            let judged = self.judge(*frame, frames);
            focused |= judged.focus;
            ignored |= judged.ignore;
        }
        if !self.sieve.hide.is_empty() {
            chain.retain(|frame| !self.judge(*frame, frames).hide);
        }
        if self.sieve.fold_recursion {
            chain.dedup_by_key(|frame| frames.function(*frame));
        }
        focused && !ignored
    }

    fn judge(&mut self, frame: FrameId, frames: &FrameTable) -> Judged {
        let index = frame.0 as usize;
        if self.judged.len() <= index {
            self.judged.resize(frames.len().max(index + 1), None);
        }
        if let Some(known) = self.judged[index] {
            return known;
        }
        let name = &frames.get(frame).name;
        let any = |list: &[Regex]| list.iter().any(|wanted| wanted.is_match(name));
        let judged = Judged {
            focus: any(&self.sieve.focus),
            ignore: any(&self.sieve.ignore),
            hide: any(&self.sieve.hide),
        };
        self.judged[index] = Some(judged);
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Frame, FrameKind};

    fn sieved(sieve: &Sieve, stack: &str) -> Option<String> {
        let mut frames = FrameTable::default();
        let mut chain: Vec<FrameId> = stack
            .split(';')
            .map(|name| frames.intern(Frame::new(name, "m", FrameKind::User)))
            .collect();
        let passed = Sieving::new(sieve).pass(&mut chain, &frames);
        let names: Vec<&str> = chain.iter().map(|frame| &*frames.get(*frame).name).collect();
        passed.then(|| names.join(";"))
    }

    fn list(expression: &str) -> Vec<Regex> {
        vec![Regex::new(expression).unwrap()]
    }

    #[test]
    fn stacks_pass_by_their_frames_names() {
        let focus = Sieve { focus: list("^parse"), ..Sieve::default() };
        assert_eq!(sieved(&focus, "main;parse_all;read").as_deref(), Some("main;parse_all;read"));
        assert_eq!(sieved(&focus, "main;reparse"), None);
        let ignore = Sieve { ignore: list("idle"), ..focus };
        assert_eq!(sieved(&ignore, "main;parse;cpuidle"), None);
        assert_eq!(sieved(&ignore, "main;parse").as_deref(), Some("main;parse"));
    }

    #[test]
    fn hidden_frames_still_decide_and_folded_calls_become_one() {
        let sieve = Sieve {
            focus: list("mid"),
            hide: list("mid"),
            fold_recursion: true,
            ..Sieve::default()
        };
        assert_eq!(sieved(&sieve, "f;f;mid;f;g;f").as_deref(), Some("f;g;f"));
    }
}
