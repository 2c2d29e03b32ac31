//! Lines of text inputs, whatever they are made of.

use std::io::{self, BufRead, Read};

use super::named::TooMuch;

/// Bytes of one line at most: a stack of thousands of the longest names.
const LONGEST_LINE_BYTES: u64 = 16 << 20;

/// Why a text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// It cannot be read.
    #[error("line {line}: {source}")]
    Read {
        /// Where.
        line: u64,
        /// Cause.
        source: io::Error,
    },
    /// A line that no tool wrote.
    #[error("line {line} is longer than {LONGEST_LINE_BYTES} bytes")]
    LongLine {
        /// Which.
        line: u64,
    },
    /// Larger than memory allows.
    #[error("up to line {line}, {source}")]
    TooMuch {
        /// Where.
        line: u64,
        /// What of it.
        source: TooMuch,
    },
    /// Two weights a line.
    #[error("its lines have two weights: it compares two profiles; give these themselves")]
    Comparison,
    /// Nothing in it.
    #[error("there is no stack with a weight in it")]
    NoStack,
}

/// Reads lines one by one into the same buffer.
pub struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    text: String,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// At the beginning of `input`.
    pub fn new(input: R) -> Self {
        Self { input, bytes: Vec::new(), text: String::new(), number: 0 }
    }

    /// The next line with its number from 1, without its end; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// When it cannot be read or is too long.
    pub fn next_line(&mut self) -> Result<Option<(u64, &str)>, TextError> {
        self.number += 1;
        let line = self.number;
        self.bytes.clear();
        let mut limited = self.input.by_ref().take(LONGEST_LINE_BYTES + 1);
        let failed = |source| TextError::Read { line, source };
        let read = limited.read_until(b'\n', &mut self.bytes).map_err(failed)?;
        if read as u64 > LONGEST_LINE_BYTES {
            return Err(TextError::LongLine { line });
        }
        if read == 0 {
            return Ok(None);
        }
        let end = self.bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
        self.text.clear();
        self.text.push_str(&String::from_utf8_lossy(&self.bytes[..end]));
        Ok(Some((line, &self.text)))
    }
}
