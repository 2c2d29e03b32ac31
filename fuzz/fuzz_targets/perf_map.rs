//! A search of any perf-PID.map, for any addresses and read in pieces of any size, finds what reading it
//! line by line finds: the last line that covers each address. It may give up where lines overlap.
//!
//! The input begins with how many addresses there are, and with them; a byte for the size of pieces; the
//! rest is the map.
#![no_main]

use std::collections::BTreeMap;
use std::io;

use capture::perf_map::parse_line;
use capture::perf_map_search::{ReadAt, Search};
use libfuzzer_sys::fuzz_target;

/// Names longer than this are cut, between characters.
const LONGEST_NAME: usize = 1024;

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let Some((addresses, rest)) = rest.split_at_checked(usize::from(*count) * 2) else { return };
    let Some((piece, map)) = rest.split_first() else { return };
    let wanted: Vec<u64> =
        addresses.as_chunks::<2>().0.iter().map(|a| u64::from(u16::from_le_bytes(*a))).collect();
    let pieces = Pieces { map, bytes: usize::from(*piece) + 1 };

    let mut search = Search::new(wanted.clone(), 0..map.len() as u64);
    loop {
        match search.advance(&pieces) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return,
        }
    }
    let mut found = BTreeMap::new();
    while let Some(name) = search.next_name(&pieces).expect("memory can be read") {
        for address in &search.addresses()[name.first..name.end] {
            assert!(name.range.contains(address));
            assert!(found.insert(*address, name.name.clone()).is_none());
        }
    }
    let expected = line_by_line(map, &wanted);
    assert!(found.keys().eq(expected.keys()));
    for (name, whole) in found.values().zip(expected.values()) {
        assert!(whole.starts_with(name));
        assert!(name.len() == whole.len() || name.len() > LONGEST_NAME - 4);
    }
    let whole = search.whole_to() as usize;
    assert!(whole == 0 || map[whole - 1] == b'\n');
});

struct Pieces<'a> {
    map: &'a [u8],
    bytes: usize,
}

impl ReadAt for Pieces<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = buffer.len().min(self.bytes);
        self.map.read_at(&mut buffer[..length], offset)
    }
}

/// The same in the simplest way.
fn line_by_line(map: &[u8], wanted: &[u64]) -> BTreeMap<u64, Vec<u8>> {
    let mut last = BTreeMap::new();
    for line in map.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { continue };
        let Some(line) = parse_line(line) else { continue };
        for address in wanted.iter().filter(|a| (line.start..line.end).contains(a)) {
            last.insert(*address, line.name);
        }
    }
    let shown = |name: &[u8]| name.strip_suffix(b"\r").unwrap_or(name).to_vec();
    last.into_iter()
        .map(|(address, name)| (address, shown(name)))
        .filter(|(_, name)| !name.is_empty())
        .collect()
}
