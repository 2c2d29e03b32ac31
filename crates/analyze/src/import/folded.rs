//! Folded stacks: `root;caller;leaf 12`, one line for each stack.
//!
//! The format states neither unit, nor time, nor host: nothing is claimed of them.

use std::io::BufRead;
use std::path::Path;

use profile::FrameId;

use super::named::{Facts, Named, NamedKind, NamedStacks, TooMuch};
use super::spelling::{Spellings, frame_of};
use super::text::{Lines, Refused, TextError};
use crate::measure::{Measure, Quantity};

/// Whether a line looks like a stack and its weight.
#[must_use]
pub fn is_folded(line: &str) -> bool {
    split(line).is_some()
}

/// Stack and weight of a line.
fn split(line: &str) -> Option<(&str, &str)> {
    let (stack, weight) = line.trim_end().rsplit_once([' ', '\t'])?;
    let number = weight.strip_prefix('-').unwrap_or(weight);
    let is_number = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_number = is_number && number.starts_with(|c: char| c.is_ascii_digit());
    (is_number && !stack.trim().is_empty()).then(|| (stack.trim_end(), weight))
}

/// Reads folded stacks.
///
/// # Errors
/// When the text cannot be read, has no stack in it, or is larger than memory allows.
pub fn import(path: &Path, input: impl BufRead) -> Result<Named, TextError> {
    let mut reader = Reader::new();
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next_line()? {
        reader.line(number, line)?;
    }
    reader.finish(path)
}

struct Reader {
    stacks: NamedStacks,
    names: Spellings,
    /// The stack before: files are sorted, and neighbours share most of their path.
    before: Vec<u8>,
    /// Where each frame of it ends, and its call path.
    ends: Vec<(usize, u32)>,
    read: u64,
    /// Lines that may have two weights.
    doubles: u64,
    refused: Refused,
}

impl Reader {
    fn new() -> Self {
        Self {
            stacks: NamedStacks::new(1),
            names: Spellings::default(),
            before: Vec::new(),
            ends: Vec::new(),
            read: 0,
            doubles: 0,
            refused: Refused::default(),
        }
    }

    fn line(&mut self, number: u64, line: &str) -> Result<(), TextError> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let Some((stack, weight)) = split(line) else {
            self.refused.line(number, "has no weight");
            return Ok(());
        };
        self.doubles += u64::from(stack.contains(';') && split(stack).is_some());
        let Some(weight) = whole(weight) else {
            self.refused.line(number, "has a weight that is no whole number from 0 to 2^64");
            return Ok(());
        };
        let too_much = |source| TextError::TooMuch { line: number, source };
        let node = self.node(stack).map_err(too_much)?;
        self.stacks.add(node, 0, 0, [weight]).map_err(too_much)?;
        self.read += 1;
        Ok(())
    }

    /// The call path of a stack.
    fn node(&mut self, stack: &str) -> Result<u32, TooMuch> {
        let bytes = stack.as_bytes();
        let same = bytes.iter().zip(&self.before).take_while(|(a, b)| a == b).count();
        // Frames of the stack before end at a `;` or with it; those that end so here as well are kept.
        let ends_here = |end: usize| end <= same && matches!(bytes.get(end), None | Some(b';'));
        let kept = self.ends.iter().take_while(|(end, _)| ends_here(*end)).count();
        self.ends.truncate(kept);
        let (mut at, mut node) = self.ends.last().map_or((0, 0), |(end, node)| (end + 1, *node));
        while at <= bytes.len() {
            let end = bytes[at..].iter().position(|b| *b == b';').map_or(bytes.len(), |i| at + i);
            let frame = self.frame(stack.get(at..end).unwrap_or_default())?;
            node = self.stacks.child(node, frame)?;
            self.ends.push((end, node));
            at = end + 1;
        }
        self.before.clear();
        self.before.extend_from_slice(bytes);
        Ok(node)
    }

    fn frame(&mut self, spelled: &str) -> Result<FrameId, TooMuch> {
        self.names.id(&mut self.stacks, &[spelled], || frame_of(spelled))
    }

    fn finish(self, path: &Path) -> Result<Named, TextError> {
        if self.read == 0 {
            return Err(TextError::NoStack);
        }
        // Lines of difffolded.pl have a weight before and one after; neither alone would be right.
        if self.doubles == self.read {
            return Err(TextError::Comparison);
        }
        let facts = Facts {
            kind: NamedKind::Folded,
            measures: vec![Measure { name: String::new(), quantity: Quantity::Unstated }],
            preferred: 0,
        };
        let whole = |source| TextError::TooMuch { line: 0, source };
        let mut named = self.stacks.finish(path, facts).map_err(whole)?;
        named.statements = self.refused.statements();
        Ok(named)
    }
}

/// "12", also "12.0".
fn whole(weight: &str) -> Option<u64> {
    let (number, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    fraction.bytes().all(|b| b == b'0').then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stacks with their weights as they were read.
    fn read(text: &str) -> Result<Vec<(String, u64)>, TextError> {
        let named = import(Path::new("x.folded"), text.as_bytes())?;
        let name = |id: FrameId| named.frames().get(id).name.to_string();
        let stacks = named.stacks().map(|stack| {
            let path: Vec<String> = named.path_of(&stack).into_iter().map(name).collect();
            (path.join("|"), stack.weights[0])
        });
        Ok(stacks.collect())
    }

    #[test]
    fn every_line_is_a_stack_and_neighbours_share_no_more_than_their_path() {
        let text = "a;b 1\na;b;c 2\na;bc 3\n\na;b;c 4\r\n# comment\na 5\nab;b 6\na;b\\ x;c y 7.0";
        let row = |path: &str, weight| (path.to_owned(), weight);
        assert_eq!(
            read(text).unwrap(),
            [
                row("a|b", 1),
                row("a|b|c", 6),
                row("a|bc", 3),
                row("a", 5),
                row("ab|b", 6),
                row("a|b\\ x|c y", 7),
            ]
        );
    }

    #[test]
    fn lines_without_a_weight_are_named_and_the_others_count() {
        let text = "a;b 1\nno weight\na -3\na 1.5\na x\na 18446744073709551616\nb 2\n";
        let named = import(Path::new("x"), text.as_bytes()).unwrap();
        assert_eq!(named.stacks().map(|s| s.weights[0]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            named.statements,
            [
                "line 2 has no weight",
                "line 3 has a weight that is no whole number from 0 to 2^64",
                "line 4 has a weight that is no whole number from 0 to 2^64",
                "2 more lines cannot be read",
            ]
        );
    }

    #[test]
    fn what_is_no_profile_says_so() {
        assert!(matches!(read("one\ntwo\n"), Err(TextError::NoStack)));
        assert!(matches!(read("a;b 1 2\na;c 0 2\n"), Err(TextError::Comparison)));
        assert!(read("a;thread 1 2\nb;c 2\n").is_ok(), "a name may end in a number");
        let most = u64::MAX;
        let sum = read(&format!("a {most}\nb 1\n"));
        assert!(matches!(sum, Err(TextError::TooMuch { source: TooMuch::Weight, .. })));
    }
}
