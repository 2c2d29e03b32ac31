//! What DTrace prints of an aggregation over stacks, `@[ustack()] = count()`:
//!
//! ```text
//! CPU     ID                    FUNCTION:NAME
//!   0  64091                        :tick-60s
//!
//!
//!   nginx
//!               libc.so.1`__write+0xa
//!               nginx`ngx_write_chain+0x1c4
//!               nginx`main+0x8d1
//!              4711
//! ```
//!
//! Leaf first, and below each stack its number: of samples or whatever else was aggregated, which the text
//! does not say. A key in front of the stack (`@[execname, ustack()]`) stands less deep than it; the one that is
//! read is taken for the process.

use std::io::BufRead;
use std::path::Path;

use profile::{Frame, FrameId, FrameKind};

use super::named::{Facts, Named, NamedKind, NamedStacks, TooMuch};
use super::spelling::{Spellings, frame_in, kind_of_module};
use super::text::{Lines, Refused, TextError};
use crate::measure::{Measure, Quantity};

/// Frames of one stack at most: what is deeper stands in no stack that DTrace takes.
const DEEPEST: usize = 16 << 10;

/// Whether a text begins with a stack and its number, with or without a header in front of it.
#[must_use]
pub fn is_dtrace(head: &str) -> bool {
    let mut lines = head.lines().skip_while(|line| !is_frame(line.trim()));
    let mut stack = lines.by_ref().take_while(|line| line.is_empty() || line.starts_with(BLANKS));
    stack.any(|line| line.trim().parse::<u64>().is_ok())
}

const BLANKS: [char; 2] = [' ', '\t'];

/// "libc.so.1`__write+0xa", "0x7fff5fc01234".
fn is_frame(text: &str) -> bool {
    text.split_once('`').is_some_and(|(module, _)| !module.is_empty() && !module.contains(BLANKS))
        || text.strip_prefix("0x").is_some_and(is_hex)
}

fn is_hex(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A function without the place in it.
fn without_offset(function: &str) -> &str {
    match function.rsplit_once("+0x") {
        Some((name, offset)) if is_hex(offset) => name,
        _ => function,
    }
}

/// Reads stacks and their numbers.
///
/// # Errors
/// When the text cannot be read, has no stack in it, or is larger than memory allows.
pub fn import(path: &Path, input: impl BufRead) -> Result<Named, TextError> {
    let mut reader = Reader::new();
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next_line()? {
        let too_much = |source| TextError::TooMuch { line: number, source };
        reader.line(number, line).map_err(too_much)?;
    }
    reader.finish(path)
}

struct Reader {
    stacks: NamedStacks,
    names: Spellings,
    /// Before the first blank line, or the first frame.
    in_header: bool,
    /// What stands in front of a stack, and how deep: a key, or code that has no module.
    first: Option<(String, usize)>,
    process: Option<FrameId>,
    /// The stack that is being read, leaf first.
    frames: Vec<FrameId>,
    read: u64,
    refused: Refused,
}

impl Reader {
    fn new() -> Self {
        Self {
            stacks: NamedStacks::new(1),
            names: Spellings::default(),
            in_header: true,
            first: None,
            process: None,
            frames: Vec::new(),
            read: 0,
            refused: Refused::default(),
        }
    }

    fn line(&mut self, number: u64, line: &str) -> Result<(), TooMuch> {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if text.is_empty() {
            // Kernel and user stack of one sample have a blank line between them.
            self.in_header = false;
            self.first = None;
            return Ok(());
        }
        if is_frame(text) {
            self.in_header = false;
            self.settle_first(indent)?;
            return self.frame(text);
        }
        if self.in_header {
            return Ok(());
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            self.settle_first(0)?;
            return self.end(number, text.parse().ok());
        }
        if self.frames.is_empty() && self.first.is_none() {
            self.first = Some((text.to_owned(), indent));
            return Ok(());
        }
        // Code that the program's own helper named.
        self.settle_first(indent)?;
        self.frame(text)
    }

    /// Whether the line before belongs to the stack: keys stand less deep.
    fn settle_first(&mut self, indent: usize) -> Result<(), TooMuch> {
        let Some((text, at)) = self.first.take() else { return Ok(()) };
        if at >= indent {
            return self.frame(&text);
        }
        let frame = || Frame::new(&text, "", FrameKind::Process);
        self.process = Some(self.names.id(&mut self.stacks, &[&text, "", "key"], frame)?);
        Ok(())
    }

    fn frame(&mut self, text: &str) -> Result<(), TooMuch> {
        if self.frames.len() >= DEEPEST {
            return Ok(());
        }
        let (module, function) = text.split_once('`').unwrap_or(("", text));
        let name = without_offset(function);
        let frame = || frame_in(name, module, kind_of_module(module));
        let id = self.names.id(&mut self.stacks, &[name, module], frame)?;
        self.frames.push(id);
        Ok(())
    }

    /// Ends a stack with its number.
    fn end(&mut self, number: u64, weight: Option<u64>) -> Result<(), TooMuch> {
        let frames = std::mem::take(&mut self.frames);
        let process = self.process.take();
        let Some(weight) = weight else {
            self.refused.line(number, "is no number from 0 to 2^64; its stack is left out");
            return Ok(());
        };
        if frames.is_empty() {
            self.refused.line(number, "is a number without a stack");
            return Ok(());
        }
        let mut node = 0;
        for frame in process.iter().chain(frames.iter().rev()) {
            node = self.stacks.child(node, *frame)?;
        }
        self.read += 1;
        self.stacks.add(node, 0, 0, [weight])
    }

    fn finish(self, path: &Path) -> Result<Named, TextError> {
        if self.read == 0 {
            return Err(TextError::NoStack);
        }
        let measure = Measure { name: String::new(), quantity: Quantity::Unstated };
        let facts = Facts { kind: NamedKind::Dtrace, measures: vec![measure], preferred: 0 };
        let whole = |source| TextError::TooMuch { line: 0, source };
        let mut named = self.stacks.finish(path, facts).map_err(whole)?;
        named.statements = self.refused.statements();
        if !self.frames.is_empty() {
            named.statements.push("the text ends within a stack".to_owned());
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::named::NamedStack;

    const TEXT: &str = include_str!("../../../../testdata/printed/dtrace.txt");

    /// Paths, leaf last, as name@module, with their weights.
    fn stacks(named: &Named) -> Vec<(String, u64)> {
        let name = |id: FrameId| {
            let frame = named.frames().get(id);
            format!("{}@{}", frame.name, frame.module)
        };
        let row = |stack: NamedStack<'_>| {
            let path: Vec<String> = named.path_of(&stack).into_iter().map(name).collect();
            (path.join(" "), stack.weights[0])
        };
        named.stacks().map(row).collect()
    }

    #[test]
    fn stacks_have_modules_keys_and_numbers() {
        assert!(is_dtrace(TEXT));
        let named = import(Path::new("x"), TEXT.as_bytes()).unwrap();
        let row = |path: &str, weight| (path.to_owned(), weight);
        assert_eq!(
            stacks(&named),
            [
                row("main@nginx ngx_write(int, char*)@nginx __write@libc.so.1", 4711),
                row(
                    "java@ 0x7fff5fc01234@ __1cJJavaCalls@libjvm.so java/lang/String.hashCode()I*@",
                    2
                ),
                row("[nginx]@nginx main@nginx tsc_read@unix", 30),
            ]
        );
        assert_eq!(named.statements, Vec::<String>::new());
        let kinds: Vec<FrameKind> = named.frames().iter().map(|(_, frame)| frame.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == FrameKind::Process).count(), 1);
        assert_eq!(kinds.iter().filter(|kind| **kind == FrameKind::Library).count(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let text = "\n  7\n  a`f\n  -1\n  a`g\n  18446744073709551616\n  a`h\n  5\n  a`i\n";
        let named = import(Path::new("x"), text.as_bytes()).unwrap();
        assert_eq!(stacks(&named), [("h@a".to_owned(), 5)]);
        assert_eq!(
            named.statements,
            [
                "line 2 is a number without a stack",
                "line 4 is no number from 0 to 2^64; its stack is left out",
                "line 6 is no number from 0 to 2^64; its stack is left out",
                "the text ends within a stack",
            ]
        );
        assert!(!is_dtrace("Use `x`\n\n  5\n") && !is_dtrace("a`f\nprose\n 5\n"));
        assert!(matches!(import(Path::new("x"), &b"\n a`f\n"[..]), Err(TextError::NoStack)));
    }
}
