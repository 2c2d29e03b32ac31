//! What a line of input asks for.

use std::io::{self, BufRead, Read};

use profile::Svma;

/// Lines of a batch: enough for every thread, and little memory.
pub const MAX_LINES: usize = 64 << 10;
/// Bytes of a batch, for input that is not addresses.
const MAX_BATCH_BYTES: u64 = 4 << 20;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// An address in the file's own meaning.
    Address(Svma),
    /// Anything else, with its line end. Of a very long line a piece.
    Other(Vec<u8>),
}

/// Some lines of input.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub lines: Vec<Line>,
    max_lines: usize,
    /// Whether the next bytes belong to a line that began in the batch before.
    inside_line: bool,
}

impl Batch {
    /// Batches of at most so many lines.
    pub fn new(max_lines: usize) -> Self {
        Self { lines: Vec::new(), max_lines, inside_line: false }
    }

    /// Replaces the lines by the next ones. `false`: these are the last.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn read(&mut self, input: &mut impl BufRead) -> io::Result<bool> {
        self.lines.clear();
        let mut left = MAX_BATCH_BYTES;
        let mut bytes = Vec::new();
        while self.lines.len() < self.max_lines && left > 0 {
            bytes.clear();
            let read = input.by_ref().take(left).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(false);
            }
            left -= read as u64;
            let whole = !self.inside_line;
            self.inside_line = bytes.last() != Some(&b'\n');
            self.lines.push(match address(&bytes).filter(|_| whole) {
                Some(address) => Line::Address(Svma(address)),
                None => Line::Other(bytes.clone()),
            });
        }
        Ok(true)
    }

    /// The addresses in it.
    pub fn addresses(&self) -> Vec<Svma> {
        let address = |line: &Line| match line {
            Line::Address(address) => Some(*address),
            Line::Other(_) => None,
        };
        self.lines.iter().filter_map(address).collect()
    }
}

/// A line's address: hexadecimal digits. After `0x` and an address more may follow, as in other
/// tools' output; without `0x` it must be all of the line, because "be" and "add" are also words.
fn address(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line.trim_ascii()).ok()?;
    let digits = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => rest.split(' ').next()?,
        None => text,
    };
    // The standard library's parser would take a sign, too.
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hexadecimal_with_or_without_0x() {
        for (line, expected) in [
            ("0x1140\n", Some(0x1140)),
            ("1140", Some(0x1140)),
            ("0000000000001140\r\n", Some(0x1140)),
            (" 0XfFfF ", Some(0xffff)),
            ("ffffffffffffffff", Some(u64::MAX)),
            ("0x1140 main+0x10", Some(0x1140)),
            ("add me", None),
            ("add", Some(0xadd)),
            ("0x", None),
            ("", None),
            ("+1", None),
            ("0x+1", None),
            ("-1", None),
            ("10000000000000000", None),
            ("0x1140,", None),
            ("\u{661}\u{662}", None),
        ] {
            assert_eq!(address(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(address(b"0x\xff"), None);
    }

    #[test]
    fn a_batch_ends_after_its_lines_or_bytes_and_loses_none() {
        let text: String = (0..MAX_LINES + 3).map(|i| format!("{i:x}\n")).collect();
        let mut input = text.as_bytes();
        let mut batch = Batch::new(MAX_LINES);
        assert!(batch.read(&mut input).unwrap());
        assert_eq!(batch.addresses(), (0..MAX_LINES as u64).map(Svma).collect::<Vec<_>>());
        assert!(!batch.read(&mut input).unwrap());
        assert_eq!(batch.lines.len(), 3);
    }

    #[test]
    fn what_goes_on_from_a_batch_before_is_no_address() {
        let mut text = vec![b'z'; MAX_BATCH_BYTES as usize];
        text.extend(b"1140\n1140");
        let mut input = &*text;
        let mut batch = Batch::new(MAX_LINES);
        assert!(batch.read(&mut input).unwrap());
        assert_eq!(batch.lines, [Line::Other(vec![b'z'; MAX_BATCH_BYTES as usize])]);
        assert!(!batch.read(&mut input).unwrap());
        assert_eq!(batch.lines, [Line::Other(b"1140\n".to_vec()), Line::Address(Svma(0x1140))]);
    }
}
