//! Finds the lines of a perf-PID.map that name given addresses, in one pass over the file.
//!
//! Maps grow to hundreds of megabytes, so nothing of one is held: for each address only where in the
//! file the last line stands that covers it (compilers append; the newest line is right when a range
//! has been used again). The names are read afterwards from there. Both can be done piece by piece.

use std::fs::File;
use std::io::{self, BufRead as _, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::perf_map::{NUMBERS_BYTES, parse_line};

/// Read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Longest name that is taken; what is longer is cut there.
const MAX_NAME_BYTES: usize = 1024;
/// Times that each address may be covered on average, and once more for each byte of the map: a
/// compiler names a function a few times at most.
const COVERED_TIMES: u64 = 64;

/// Something that can be read at any place.
pub trait ReadAt {
    /// Fills the buffer from a place on, as far as one call goes. 0: nothing there.
    ///
    /// # Errors
    /// As the source's own reading.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        (&self[start..]).read(buffer)
    }
}

/// A name, and which of the addresses searched for it is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Index of the first address.
    pub first: usize,
    /// Index behind the last one.
    pub end: usize,
    /// The function's range, without what another line found names.
    pub range: Range<u64>,
    /// As the map has it, cut where it is very long.
    pub name: Vec<u8>,
}

/// Lines that cover each other more often than any compiler writes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its lines overlap too often")]
pub struct TooManyOverlaps;

/// A search in progress.
#[derive(Debug)]
pub struct Search {
    /// Sorted, without duplicates.
    addresses: Vec<u64>,
    /// For each, the place of the last line that covers it, plus 1; 0: none so far.
    lines: Vec<u64>,
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that belong to a line which is not whole yet.
    held: usize,
    /// What a long line covers that has yet to end, and its place.
    passing: Option<(Range<u64>, u64)>,
    /// Next byte to be read, and where to stop.
    at: u64,
    to: u64,
    whole_to: u64,
    /// Coverings left.
    allowance: u64,
    next_named: usize,
}

impl Search {
    /// A search for `addresses`, in any order, in the bytes `range` of a map. `range` begins with a
    /// line.
    #[must_use]
    pub fn new(mut addresses: Vec<u64>, range: Range<u64>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            lines: vec![0; addresses.len()],
            allowance: COVERED_TIMES * addresses.len() as u64,
            addresses,
            buffer: vec![0; CHUNK_BYTES],
            held: 0,
            passing: None,
            at: range.start,
            to: range.end,
            whole_to: range.start,
            next_named: 0,
        }
    }

    /// What is searched for, sorted and without duplicates.
    #[must_use]
    pub fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// Where the first line begins that was not whole yet: the next search can start there.
    #[must_use]
    pub fn whole_to(&self) -> u64 {
        self.whole_to
    }

    /// Searches the next 64 KiB. Returns whether there is more.
    ///
    /// # Errors
    /// When the map cannot be read, or is made to waste our time (`InvalidData`).
    pub fn advance(&mut self, map: &(impl ReadAt + ?Sized)) -> io::Result<bool> {
        let room = &mut self.buffer[self.held..];
        let left = usize::try_from(self.to.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = &mut room[..left.min(CHUNK_BYTES - self.held)];
        let got = if room.is_empty() { 0 } else { map.read_at(room, self.at)?.min(room.len()) };
        if got == 0 {
            return Ok(false);
        }
        self.at += got as u64;
        self.allowance += got as u64;
        let end = self.held + got;
        let buffer = std::mem::take(&mut self.buffer);
        let kept = self.search_lines(&buffer[..end]);
        self.buffer = buffer;
        self.buffer.copy_within(end - kept..end, 0);
        self.held = kept;
        if self.allowance == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooManyOverlaps));
        }
        Ok(self.at < self.to)
    }

    /// Returns how many bytes at the end belong to a line that has yet to be looked at.
    fn search_lines(&mut self, bytes: &[u8]) -> usize {
        let base = self.at - bytes.len() as u64;
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            // The standard library's fastest way to a byte.
            let length = { rest }.skip_until(b'\n').unwrap_or(rest.len());
            let line = rest[..length].strip_suffix(b"\n");
            let (range, place) = match self.passing.take() {
                Some(looked_at) => looked_at,
                None if line.is_none() && rest.len() < NUMBERS_BYTES => return rest.len(),
                None => {
                    let line = parse_line(line.unwrap_or(rest));
                    (line.map_or(0..0, |line| line.start..line.end), base + start as u64)
                }
            };
            start += length;
            if line.is_some() {
                self.cover(range, place);
                self.whole_to = base + start as u64;
            } else {
                self.passing = Some((range, place));
            }
        }
        0
    }

    /// A whole line at `place` covers a range.
    fn cover(&mut self, range: Range<u64>, place: u64) {
        let first = self.addresses.partition_point(|address| *address < range.start);
        let covered = self.addresses[first..].iter().zip(&mut self.lines[first..]);
        for (_, line) in covered.take_while(|(address, _)| **address < range.end) {
            *line = place + 1;
            self.allowance = self.allowance.saturating_sub(1);
            if self.allowance == 0 {
                return;
            }
        }
    }

    /// The next name, after the search. `None`: there are no more. What the line does not say any
    /// more (the file was changed) is passed over.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn next_name(&mut self, map: &(impl ReadAt + ?Sized)) -> io::Result<Option<Found>> {
        while let Some(place) = self.lines.get(self.next_named).copied() {
            let first = self.next_named;
            let run = self.lines[first..].iter().take_while(|other| **other == place).count();
            let end = first + run;
            self.next_named = end;
            if place == 0 {
                continue;
            }
            let length = self.read_line(map, place - 1)?;
            let Some(line) = length.and_then(|length| parse_line(&self.buffer[..length])) else {
                continue;
            };
            let (inner, name) = (&self.addresses[first..end], cut(line.name));
            if name.is_empty() || inner[0] < line.start || inner[run - 1] >= line.end {
                continue;
            }
            // Neighbours that another line covers are that one's.
            let named = |index: usize| self.lines.get(index).is_some_and(|place| *place != 0);
            let below = first.checked_sub(1).filter(|i| named(*i)).map(|i| self.addresses[i] + 1);
            let above = Some(end).filter(|i| named(*i)).map(|i| self.addresses[i]);
            let start = line.start.max(below.unwrap_or(0));
            let range = start..line.end.min(above.unwrap_or(u64::MAX));
            return Ok(Some(Found { first, end, range, name: name.to_vec() }));
        }
        Ok(None)
    }

    /// Reads into the buffer as much of the line at a place as matters; its length there. `None`: it
    /// is not whole.
    fn read_line(&mut self, map: &(impl ReadAt + ?Sized), place: u64) -> io::Result<Option<usize>> {
        const ENOUGH: usize = NUMBERS_BYTES + MAX_NAME_BYTES;
        let mut held = 0;
        while held < ENOUGH {
            let got = map.read_at(&mut self.buffer[held..ENOUGH], place + held as u64)?;
            if got == 0 {
                return Ok(None);
            }
            let newline = self.buffer[held..held + got].iter().position(|byte| *byte == b'\n');
            if let Some(newline) = newline {
                return Ok(Some(held + newline));
            }
            held += got;
        }
        Ok(Some(ENOUGH))
    }
}

/// A name of acceptable length: what is cut is cut between characters, if they are UTF-8.
fn cut(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b"\r").unwrap_or(name);
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let is_inside = |at: &usize| name[*at] & 0xc0 == 0x80;
    let end = (MAX_NAME_BYTES - 3..=MAX_NAME_BYTES).rev().find(|at| !is_inside(at));
    &name[..end.unwrap_or(MAX_NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names, as (addresses, range, name).
    fn names(map: &[u8], addresses: &[u64]) -> Vec<(Vec<u64>, Range<u64>, String)> {
        let mut search = Search::new(addresses.to_vec(), 0..map.len() as u64);
        while search.advance(map).unwrap() {}
        let mut names = Vec::new();
        while let Some(found) = search.next_name(map).unwrap() {
            let of = search.addresses()[found.first..found.end].to_vec();
            names.push((of, found.range, String::from_utf8(found.name).unwrap()));
        }
        names
    }

    fn name(of: &[u64], range: Range<u64>, name: &str) -> (Vec<u64>, Range<u64>, String) {
        (of.to_vec(), range, name.to_owned())
    }

    #[test]
    fn each_address_gets_the_last_line_that_covers_it() {
        let map = b"1000 100 first\n2000 100 other\ngarbage\n1080 80 second\n\n3000 0 empty\n";
        assert_eq!(
            names(map, &[0x10ff, 0x1000, 0x107f, 0x1080, 0xfff, 0x1100, 0x2050, 0x3000, 0x1000]),
            [
                name(&[0x1000, 0x107f], 0x1000..0x1080, "first"),
                name(&[0x1080, 0x10ff], 0x1080..0x1100, "second"),
                name(&[0x2050], 0x2000..0x2100, "other"),
            ]
        );
    }

    #[test]
    fn a_range_leaves_out_what_a_newer_line_names() {
        let map = b"1000 100 old\n1010 10 new\n";
        assert_eq!(
            names(map, &[0x1005, 0x1018, 0x1030]),
            [
                name(&[0x1005], 0x1000..0x1018, "old"),
                name(&[0x1018], 0x1010..0x1020, "new"),
                name(&[0x1030], 0x1019..0x1100, "old"),
            ]
        );
    }

    /// Gives one byte more with every call, so that every cut happens.
    struct Dripping<'a>(&'a [u8], std::cell::Cell<usize>);

    impl ReadAt for Dripping<'_> {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.set(self.1.get() % 90 + 1);
            let length = buffer.len().min(self.1.get());
            self.0.read_at(&mut buffer[..length], offset)
        }
    }

    #[test]
    fn lines_are_found_however_they_are_cut_and_however_long_they_are() {
        let mut map = Vec::new();
        let mut wanted = Vec::new();
        for i in 0..300u64 {
            let name = "n".repeat((i * 7 % 200) as usize + if i == 150 { 200_000 } else { 0 });
            map.extend(format!("{:x} 40 f{i}{name}\n", i * 0x40).into_bytes());
            wanted.push(i * 0x40 + 5);
        }
        let whole = names(&map, &wanted);
        assert_eq!(whole.len(), 300);
        assert_eq!(whole[150].2.len(), MAX_NAME_BYTES);
        assert!(whole[151].2.starts_with("f151n"));
        let dripping = Dripping(&map, 0.into());
        let mut search = Search::new(wanted, 0..map.len() as u64);
        while search.advance(&dripping).unwrap() {}
        let mut count = 0;
        while let Some(found) = search.next_name(&dripping).unwrap() {
            assert_eq!(found.name, whole[found.first].2.as_bytes());
            count += 1;
        }
        assert_eq!(count, 300);
    }

    #[test]
    fn a_line_that_is_still_being_written_comes_with_the_next_search() {
        let map = b"1000 10 whole\n2000 10 half of a na";
        assert_eq!(names(map, &[0x1000, 0x2000]), [name(&[0x1000], 0x1000..0x1010, "whole")]);
        let mut search = Search::new(vec![0x2000], 0..map.len() as u64);
        while search.advance(&map[..]).unwrap() {}
        assert_eq!(search.whole_to(), 14);
        // Nor does it take the place of an older one before it is whole.
        let long = format!("2000 10 old\n2000 10 {}", "n".repeat(400));
        assert_eq!(names(long.as_bytes(), &[0x2000]), [name(&[0x2000], 0x2000..0x2010, "old")]);
    }

    #[test]
    fn a_map_that_changes_under_the_search_names_nothing_wrong() {
        let before = b"1000 10 right\n2000 10 also\n";
        let after = b"5000 10 wrong\n2000 10 also\n";
        let mut search = Search::new(vec![0x1000, 0x2000], 0..before.len() as u64);
        while search.advance(&before[..]).unwrap() {}
        assert_eq!(search.next_name(&after[..]).unwrap().unwrap().name, b"also");
        assert_eq!(search.next_name(&b""[..]).unwrap(), None);
    }

    #[test]
    fn lines_that_all_cover_everything_end_the_search() {
        let map = b"0 fffffff a\n".repeat(100_000);
        let addresses: Vec<u64> = (0..60_000).collect();
        let mut search = Search::new(addresses, 0..map.len() as u64);
        let mut result = Ok(true);
        while let Ok(true) = result {
            result = search.advance(&map[..]);
        }
        assert_eq!(result.unwrap_err().to_string(), "its lines overlap too often");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = "é".repeat(1000);
        assert_eq!(cut(name.as_bytes()).len(), MAX_NAME_BYTES);
        let shifted = format!("x{name}");
        assert_eq!(cut(shifted.as_bytes()).len(), MAX_NAME_BYTES - 1);
        assert_eq!(cut(&[0x80; 3000]).len(), MAX_NAME_BYTES);
        assert_eq!(cut(b"windows\r"), b"windows");
    }
}
