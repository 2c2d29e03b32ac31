//! Any bytes as a stored table of names: as they are, with the checksum made right, and as the
//! answers that a table is made of, which it must give back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{NameSource, NoName, Svma};
use symbolize::{DECODER_VERSION, Found, FramePointer, SourceFrame, Table, TableBuilder};

/// Magic and version, then the checksum of what follows it.
const CHECKSUM_AT: usize = 12;
const CHECKED_FROM: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&with_right_header(bytes));
    make(bytes);
});

fn read(bytes: &[u8]) {
    let Ok(table) = Table::open(bytes) else { return };
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    for address in words.chain(0..256).take(4096).map(Svma) {
        if let Some(found) = table.lookup(address) {
            assert!(found.extent.contains(&address.0));
            if let Ok(frames) = found.names {
                assert!((1..=256).contains(&frames.len()));
            }
        }
        let _ = table.frame_pointer(address);
    }
    let again = TableBuilder::with(&table).finish(table.key()).expect("no more rows than before");
    let again = Table::open(&again).expect("what is written can be read");
    assert_eq!(again.key(), table.key());
}

fn with_right_header(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < CHECKED_FROM {
        return bytes;
    }
    bytes[..8].copy_from_slice(b"FLAMESYM");
    bytes[8..CHECKSUM_AT].copy_from_slice(&DECODER_VERSION.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[CHECKED_FROM..]);
    bytes[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Each six bytes are an answer: where it was asked, how far it reaches, what it is. The first
/// answer of an address is the one that must come back.
fn make(bytes: &[u8]) {
    let mut builder = TableBuilder::default();
    let mut asked = std::collections::BTreeMap::new();
    for [at, before, after, depth, name, line] in bytes.as_chunks::<6>().0 {
        let at = u64::from(*at) << 4 | u64::from(*line & 15);
        let extent = at.saturating_sub((*before).into())..at + 1 + u64::from(*after);
        let frame = |i: u8| SourceFrame {
            name: format!("f{}", name.wrapping_add(i) % 16).into(),
            raw_name: "raw".into(),
            file: name.is_multiple_of(3).then(|| "a.c".into()),
            line: (*line != 0).then_some((*line).into()),
            start_line: (*line > 128).then_some(u32::from(*line) << 24),
            inlined: i + 1 < *depth % 8,
            source: NameSource::Dwarf,
        };
        let names = match depth % 8 {
            0 => Err(if *name > 128 { NoName::OutOfRange } else { NoName::NoSymbols }),
            depth => Ok((0..depth).map(frame).collect()),
        };
        let pointer = if *name > 99 { FramePointer::Set } else { FramePointer::NotSet };
        builder.add_names(Svma(at), &Found { names: names.clone(), extent: extent.clone() });
        builder.add_frame_pointer(Svma(at), pointer, extent);
        asked.entry(at).or_insert((names, pointer));
    }
    let table = builder.finish(bytes).expect("few rows");
    let table = Table::open(&table).expect("what is written can be read");
    let again = TableBuilder::with(&table).finish(bytes).expect("few rows");
    let again = Table::open(&again).expect("what is written can be read");
    for (at, (names, pointer)) in asked {
        for table in [&table, &again] {
            assert_eq!(table.lookup(Svma(at)).map(|found| found.names), Some(names.clone()));
            assert_eq!(table.frame_pointer(Svma(at)), Some(pointer));
        }
    }
}
