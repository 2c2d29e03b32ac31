//! A long recording comes out the same, byte for byte and for any number of threads.

use std::fmt::Write;
use std::path::Path;

use archive::Archive;
use profile::{EventId, Ledger};
use rayon::ThreadPoolBuilder;
use rayon::iter::ParallelIterator;

use crate::recipe::{LONG, SMALL, samples, visited};
use crate::stored::frames;

/// Everything an archive says, as text.
fn describe(archive: &Archive) -> String {
    let tables = archive.tables();
    let mut text = format!("{:#?}\n{:?}\n", archive.facts(), archive.end().unwrap());
    let row = |text: &mut String, row: &dyn std::fmt::Debug| writeln!(text, "{row:?}").unwrap();
    tables.cgroups.iter().for_each(|r| row(&mut text, r));
    tables.processes.iter().for_each(|r| row(&mut text, r));
    tables.threads.iter().for_each(|r| row(&mut text, r));
    tables.modules.iter().for_each(|r| row(&mut text, r));
    tables.nodes.iter().for_each(|r| row(&mut text, &r));
    tables.stacks.iter().for_each(|r| row(&mut text, &r));
    tables.mappings.iter().for_each(|r| row(&mut text, r));
    tables.symbols.iter().for_each(|r| row(&mut text, r));
    tables.label_sets.iter().for_each(|r| row(&mut text, r));
    let mut ledger = Ledger::default();
    let blocks: Vec<_> = archive
        .data_blocks()
        .map(|block| {
            let block = block.unwrap();
            let line = format!(
                "block {} epoch {} event {} rows {} weight {} covered {:?} exits {:?} cost {:?} {}",
                block.seq(),
                block.epoch(),
                block.event().0,
                block.rows(),
                block.weight(),
                block.covered(),
                block.exits(),
                block.cost(),
                block.sideband_lost(),
            );
            (line, block.ledger().to_vec())
        })
        .collect();
    for (line, rows) in blocks {
        row(&mut text, &line);
        rows.iter().for_each(|r| ledger.update(r));
    }
    ledger.rows().for_each(|r| row(&mut text, r));
    row(&mut text, &visited(archive));
    for sample in samples(archive).unwrap().iter().step_by(97) {
        row(&mut text, sample);
    }
    text
}

#[test]
fn a_long_recording_reads_as_it_always_did() {
    let file = LONG.write();
    assert_eq!(file, LONG.write(), "the writer uses no clock and no chance");
    assert!(frames(&file).iter().filter(|frame| frame.kind == 2).count() >= 200);
    let archive = Archive::from_bytes(file).unwrap();
    assert!(archive.damage().complete, "{:?}", archive.damage());
    let text = describe(&archive);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archive/golden/long.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(
        text == expected,
        "differs from {}: BLESS=1 and look at the difference",
        golden.display()
    );
}

/// Written when format 1 was frozen; never written again.
#[test]
fn a_file_of_the_first_format_stays_readable() {
    let stored = include_bytes!("golden/format-1.arc").to_vec();
    let archive = Archive::from_bytes(stored).unwrap();
    assert!(archive.damage().complete, "{:?}", archive.damage());
    assert_eq!(describe(&archive), describe(&Archive::from_bytes(SMALL.write()).unwrap()));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut file = LONG.write();
    let whole = Archive::from_bytes(file.clone()).unwrap();
    let expected = (describe(&whole), whole.damage());
    for at in (5000..file.len()).step_by(9001) {
        file[at] ^= 0x40;
    }
    let damage = Archive::from_bytes(file.clone()).unwrap().damage();
    assert!(!damage.complete);
    for threads in [1, 2, 16] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let whole = Archive::from_bytes(LONG.write()).unwrap();
            assert_eq!((describe(&whole), whole.damage()), expected, "{threads} threads");
            let damaged = Archive::from_bytes(file.clone()).unwrap();
            assert_eq!(damaged.damage(), damage, "{threads} threads");
        });
    }
}

#[test]
fn the_ledger_balances_and_counts_what_was_written() {
    let archive = Archive::from_bytes(LONG.write()).unwrap();
    let mut ledger = Ledger::default();
    archive.end_ledger().iter().for_each(|row| ledger.update(row));
    assert!(ledger.balances());
    for (event, (rows, weight)) in visited(&archive) {
        let sum = ledger.sum(EventId(event));
        assert_eq!((sum.written, sum.written_weight), (rows, weight));
        assert_eq!(sum.dropped_total(), 2, "one on each CPU");
    }
}
