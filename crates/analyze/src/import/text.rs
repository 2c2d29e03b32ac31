//! Lines of text inputs, whatever they are made of, and what is said of those that cannot be read.

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

/// Lines that could not be read: the first ones are named, what is beyond is counted.
#[derive(Debug, Default)]
pub struct Refused {
    statements: Vec<String>,
    lines: u64,
}

/// Lines that are named.
const NAMED_LINES: u64 = 3;

impl Refused {
    /// Takes note of a line and of why it is left out.
    pub fn line(&mut self, number: u64, why: &str) {
        self.lines += 1;
        if self.lines <= NAMED_LINES {
            self.statements.push(format!("line {number} {why}"));
        }
    }

    /// A sentence each.
    #[must_use]
    pub fn statements(mut self) -> Vec<String> {
        if self.lines > NAMED_LINES {
            self.statements.push(format!("{} more lines cannot be read", self.lines - NAMED_LINES));
        }
        self.statements
    }
}

/// A decimal number as a whole number of its `digits`th decimals: "0.25" in thousandths is 250. What is
/// finer is cut off.
#[must_use]
pub fn fixed_point(text: &str, digits: u32) -> Option<u64> {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = fraction.get(..digits as usize).unwrap_or(fraction);
    let scale = 10u64.checked_pow(digits.checked_sub(fraction.len() as u32)?)?;
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(10u64.checked_pow(digits)?)?.checked_add(fraction.checked_mul(scale)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_whole_numbers_of_their_last_place() {
        assert_eq!(fixed_point("5180.123456", 9), Some(5_180_123_456_000));
        assert_eq!(fixed_point("12", 1), Some(120));
        assert_eq!(fixed_point("12.", 1), Some(120));
        assert_eq!(fixed_point("0.19", 1), Some(1));
        assert_eq!(fixed_point("18446744073709551615", 0), Some(u64::MAX));
        for bad in ["", ".5", "-1", "1e3", "1,5", "18446744073.709551616", "99999999999999999999"] {
            assert_eq!(fixed_point(bad, 9), None, "{bad}");
        }
    }
}
