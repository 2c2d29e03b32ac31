//! Tables answer as the files they were made from, and damaged ones do not answer.

use profile::Svma;
use proptest::prelude::*;
use symbolize::{Files, OpenError, Symbols, Table, TableBuilder};

const WHOLE: &[u8] = include_bytes!("../data/tiny-dwarf5.so");
const STRIPPED: &[u8] = include_bytes!("../data/tiny-stripped.so");
const KEY: &[u8] = b"tiny";

fn symbols(bytes: &[u8]) -> Symbols<'_> {
    Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap()
}

/// More than all its code.
const CODE: std::ops::Range<u64> = 0xf80..0x1280;

fn table_of(symbols: &Symbols<'_>, asked: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut builder = TableBuilder::default();
    for address in asked.into_iter().map(Svma) {
        builder.add_names(address, &symbols.lookup_range(address));
        let (answer, extent) = symbols.frame_pointer_range(address);
        builder.add_frame_pointer(address, answer, extent);
    }
    builder.finish(KEY).unwrap()
}

fn check(symbols: &Symbols<'_>, table: &Table<'_>, address: u64) {
    let address = Svma(address);
    let found = table.lookup(address).map(|found| found.names);
    assert_eq!(found, Some(symbols.lookup(address)), "{address:?}");
    let frame_pointer = table.frame_pointer(address);
    assert_eq!(frame_pointer, Some(symbols.frame_pointer(address)), "{address:?}");
}

#[test]
fn a_table_answers_as_the_file_does() {
    for file in [WHOLE, STRIPPED] {
        let symbols = symbols(file);
        let bytes = table_of(&symbols, CODE);
        let table = Table::open(&bytes).unwrap();
        assert_eq!(table.key(), KEY);
        CODE.for_each(|address| check(&symbols, &table, address));
        assert_eq!(table.lookup(Svma(u64::MAX)).map(|found| found.names), None);
    }
}

#[test]
fn a_table_knows_what_was_asked_and_how_far_that_reaches() {
    let symbols = symbols(WHOLE);
    let asked = || CODE.step_by(7);
    let bytes = table_of(&symbols, asked());
    let table = Table::open(&bytes).unwrap();
    asked().for_each(|address| check(&symbols, &table, address));
    for address in CODE.map(Svma) {
        let known = table.lookup(address).map(|found| found.names);
        assert!(known.is_none_or(|names| names == symbols.lookup(address)), "{address:?}");
        let known = table.frame_pointer(address);
        assert!(known.is_none_or(|it| it == symbols.frame_pointer(address)), "{address:?}");
    }
}

#[test]
fn the_order_of_questions_changes_no_byte_and_a_table_can_be_added_to() {
    let symbols = symbols(WHOLE);
    let all = table_of(&symbols, CODE);
    let half = table_of(&symbols, CODE.step_by(2));
    assert!(half != all);
    let mut builder = TableBuilder::with(&Table::open(&half).unwrap());
    for address in CODE.skip(1).step_by(2).map(Svma) {
        builder.add_names(address, &symbols.lookup_range(address));
        let (answer, extent) = symbols.frame_pointer_range(address);
        builder.add_frame_pointer(address, answer, extent);
    }
    let bytes = builder.finish(KEY).unwrap();
    let table = Table::open(&bytes).unwrap();
    CODE.for_each(|address| check(&symbols, &table, address));
    let again = TableBuilder::with(&Table::open(&all).unwrap()).finish(KEY).unwrap();
    assert!(again == all, "what is read is written again");
}

#[test]
fn no_damage_of_one_byte_and_no_cut_is_taken_for_a_table() {
    let whole = table_of(&symbols(WHOLE), CODE.step_by(5));
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        let expected = match at {
            8..12 => matches!(Table::open(&damaged), Err(OpenError::OtherVersion(_))),
            _ => matches!(Table::open(&damaged), Err(OpenError::Damaged)),
        };
        assert!(expected, "byte {at}");
        assert!(Table::open(&whole[..at]).is_err(), "cut at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn a_forged_table_with_the_right_checksum_neither_panics_nor_runs_away(
        changes in prop::collection::vec((16usize..4000, any::<u8>()), 1..6)
    ) {
        let mut bytes = table_of(&symbols(WHOLE), CODE.step_by(9));
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % (length - 16) + 16] = value;
        }
        let checksum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        let Ok(table) = Table::open(&bytes) else { return Ok(()) };
        for address in CODE {
            if let Some(Ok(frames)) = table.lookup(Svma(address)).map(|found| found.names) {
                prop_assert!(!frames.is_empty() && frames.len() <= 256);
            }
            let _ = table.frame_pointer(Svma(address));
        }
        prop_assert!(TableBuilder::with(&table).finish(KEY).is_some());
    }
}
