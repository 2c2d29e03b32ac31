//! Lines of a perf-PID.map, the file in which just-in-time compilers name the functions they made:
//! `START SIZE NAME`, both numbers in hex (`tools/perf/Documentation/jit-interface.txt` in the kernel's
//! source).

/// Bytes within which both numbers of a line end; what is longer is no line of a map.
pub(crate) const NUMBERS_BYTES: usize = 64;

/// A function as a map states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Address of its first byte in the process.
    pub start: u64,
    /// Address behind its last byte.
    pub end: u64,
    /// Everything behind the numbers; not empty in a whole line.
    pub name: &'a [u8],
}

/// Parses a line (without its newline). `None`: it names nothing.
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<Line<'_>> {
    let (start, rest) = hex(line)?;
    let (bytes, name) = hex(rest)?;
    let end = start.checked_add(bytes).filter(|end| *end > start)?;
    Some(Line { start, end, name })
}

/// Values of hex digits; [`NO_DIGIT`] for everything else. Digits and letters take turns at random, so
/// that telling them apart by comparing would cost a mispredicted branch for every other one.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xff;

/// A number and the one blank behind it. Some compilers write "0x" before it.
fn hex(text: &[u8]) -> Option<(u64, &[u8])> {
    const MOST_DIGITS: usize = 16;
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let mut number = 0u64;
    for (count, byte) in text.iter().enumerate().take(MOST_DIGITS + 1) {
        let digit = DIGITS[usize::from(*byte)];
        if digit == NO_DIGIT {
            let ends = *byte == b' ' && count > 0;
            return ends.then(|| (number, &text[count + 1..]));
        }
        if count == MOST_DIGITS {
            return None;
        }
        number = number << 4 | u64::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start: u64, end: u64, name: &str) -> Option<Line<'_>> {
        Some(Line { start, end, name: name.as_bytes() })
    }

    #[test]
    fn what_compilers_write_is_read() {
        let node = b"7f2c4a0012c0 1a4 JS:*fib /srv/app.js:3:13";
        assert_eq!(
            parse_line(node),
            line(0x7f2c_4a00_12c0, 0x7f2c_4a00_1464, "JS:*fib /srv/app.js:3:13")
        );
        let java = b"0x00007f21f8e4c5a0 0x0000000000000250 Lcom/shop/Cart;::total";
        let (start, end) = (0x7f21_f8e4_c5a0, 0x7f21_f8e4_c7f0);
        assert_eq!(parse_line(java), line(start, end, "Lcom/shop/Cart;::total"));
        assert_eq!(
            parse_line(b"7F00 b py::main:/a b.py"),
            line(0x7f00, 0x7f0b, "py::main:/a b.py")
        );
        assert_eq!(parse_line(b"0 1 \xff"), Some(Line { start: 0, end: 1, name: b"\xff" }));
    }

    #[test]
    fn what_is_no_range_names_nothing() {
        for wrong in [
            "",
            " ",
            "1000",
            "1000 10",
            "1000 0 empty",
            "1000  10 two blanks",
            "-1 10 f",
            "0x 10 f",
            "zz 10 f",
            "1000 xyz f",
            "ffffffffffffffff 1 beyond",
            "10000000000000000 1 seventeen digits",
            "1000 1ffffffffffffffff f",
        ] {
            assert_eq!(parse_line(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn both_numbers_fit_into_the_bytes_that_are_looked_at() {
        let longest = format!("0x{0:016x} 0x{0:016x} ", 1u64);
        assert!(longest.len() < NUMBERS_BYTES);
        assert!(parse_line(longest.as_bytes()).is_some());
    }
}
