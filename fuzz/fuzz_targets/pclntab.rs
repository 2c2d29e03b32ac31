//! Any bytes as a Go program's table. Headers and the runtime's moduledata that agree with it are made
//! here, so that mutations reach what lies behind: records, runs, inlined calls, names.
//!
//! The first byte chooses the layout, the second where FUNCDATA are; the table follows, from the word
//! behind its magic number on. Good first inputs are the tables of `crates/symbolize/tests/files`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{NameSource, Svma};
use symbolize::{Files, Symbols};

const TEXT: u64 = 0x40_2100;
const TABLE: u64 = 0x50_0000;
const MODULE: u64 = 0x600_0000;

fuzz_target!(|input: &[u8]| {
    let [layout, funcdata, rest @ ..] = input else { return };
    let magic = [0xfa, 0xf0, 0xf1][usize::from(layout % 3)];
    let mut table = vec![magic, 0xff, 0xff, 0xff, 0, 0, if layout & 4 == 0 { 1 } else { 4 }, 8];
    table.extend(rest);
    let Some(moduledata) = moduledata(&table, magic == 0xfa, *funcdata) else { return };
    let (first, end) = (moduledata[20], moduledata[21]);
    let file = file(&table, &moduledata.map(u64::to_le_bytes).concat());
    let symbols = Symbols::new(Files { image: Some(&file), ..Files::default() }).expect("ELF");
    let size = end.saturating_sub(first);
    let step = (size / 64).max(1);
    for address in
        (0..size.min(96)).chain((0..64).map(|i| i * step)).map(|at| first.wrapping_add(at))
    {
        let found = symbols.lookup_range(Svma(address));
        assert!(found.extent.contains(&address));
        if let Ok(frames) = &found.names {
            assert!(!frames.is_empty() && frames.len() <= 129);
            assert!(frames.iter().all(|f| f.source == NameSource::Pclntab && !f.name.is_empty()));
            for other in [found.extent.start, found.extent.end - 1] {
                assert_eq!(symbols.lookup(Svma(other)), found.names);
            }
        }
        symbols.frame_pointer(Svma(address));
    }
});

/// What the runtime's moduledata would say of the table; `None` where it has no function table.
fn moduledata(table: &[u8], absolute: bool, funcdata: u8) -> Option<[u64; 60]> {
    let bytes = |at: u64, count: usize| {
        let at = usize::try_from(at).ok()?;
        table.get(at..at.checked_add(count)?)
    };
    let word = |at: u64| Some(u64::from_le_bytes(bytes(at, 8)?.try_into().ok()?));
    let half = |at: u64| Some(u64::from(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?)));
    let names = if absolute { 24 } else { 32 };
    let (count, functions) = (word(8)?, word(names + 32)?);
    let mut words = [0; 60];
    words[0] = TABLE;
    words[1] = TABLE.wrapping_add(word(names)?);
    words[13] = TABLE.wrapping_add(functions);
    words[17] = count.wrapping_add(1);
    let row_bytes = if absolute { 16 } else { 8 };
    let sentinel = functions.checked_add(count.checked_mul(row_bytes)?)?;
    if absolute {
        (words[20], words[21]) = (word(functions)?, word(sentinel)?);
    } else {
        (words[20], words[21]) = (TEXT + half(functions)?, TEXT + half(sentinel)?);
        words[22] = TEXT;
    }
    words[38] = TABLE + u64::from(funcdata) * 8;
    words[40] = words[38];
    Some(words)
}

/// A program without sections: one segment for the table, one for the data.
fn file(table: &[u8], data: &[u8]) -> Vec<u8> {
    let content = 64 + 2 * 56;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([TEXT, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 2, 64, 0, 0].map(u16::to_le_bytes).concat());
    let rows = [(4u32, content, TABLE, table), (6, content + table.len(), MODULE, data)];
    for (flags, offset, address, bytes) in rows {
        file.extend([1, flags].map(u32::to_le_bytes).concat());
        let size = bytes.len() as u64;
        let words = [offset as u64, address, address, size, size, 8];
        file.extend(words.map(u64::to_le_bytes).concat());
    }
    file.extend(table);
    file.extend(data);
    file
}
