//! Lines of files under /proc, without holding the file.

use std::io::{self, Read};

/// Calls `sink` with every line that ends in a newline. A line longer than the buffer cannot come from
/// a kernel (a path has 4 KiB, escaped up to four times that) and is given up.
///
/// # Errors
/// When reading fails; what came before has been given.
pub(crate) fn for_each_line(
    mut stream: impl Read,
    buffer_bytes: usize,
    mut sink: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; buffer_bytes];
    let mut held = 0;
    loop {
        let got = stream.read(&mut buffer[held..])?;
        if got == 0 {
            return Ok(());
        }
        let end = held + got;
        let mut start = 0;
        while let Some(newline) = buffer[start..end].iter().position(|b| *b == b'\n') {
            sink(&buffer[start..start + newline]);
            start += newline + 1;
        }
        buffer.copy_within(start..end, 0);
        held = if start == 0 && end == buffer.len() { 0 } else { end - start };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let text = b"one\n\nthree three\nlonger than the buffer\nlast\nunfinished";
        for buffer_bytes in [12, 13, 64] {
            let mut lines = Vec::new();
            let take = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            for_each_line(text.as_slice(), buffer_bytes, take).unwrap();
            let ends = |line: &&str| lines.iter().filter(|l| l == line).count() == 1;
            assert!(["one", "", "three three", "last"].iter().all(ends), "{lines:?}");
            assert!(!lines.iter().any(|l| l == "unfinished"));
            assert_eq!(lines.iter().any(|l| l.contains("longer")), buffer_bytes == 64);
        }
    }
}
