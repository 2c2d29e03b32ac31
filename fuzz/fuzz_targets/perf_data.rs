//! Any bytes import as a recording of perf, or say why not; what imports can be read to its end.
//!
//! Mutations rarely get behind a header. So the input is tried three times: as it is, as the records of a
//! pipe whose events are described here, and as records that each begin with a valid header.
#![no_main]

use std::path::Path;

use analyze::Recording;
use libfuzzer_sys::fuzz_target;
use rayon::iter::ParallelIterator;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    read([&pipe(), bytes].concat());
    read([pipe(), records(bytes)].concat());
});

fn read(bytes: Vec<u8>) {
    let Ok(recording) = Recording::from_bytes(Path::new("input"), bytes) else { return };
    let tables = recording.tables();
    let samples: u64 = recording
        .data_blocks()
        .map(|block| {
            block.for_each_sample(|sample| {
                let stack = tables.stacks.get(sample.stack);
                let _ =
                    tables.nodes.walk(stack.user).chain(tables.nodes.walk(stack.kernel)).count();
                assert!(tables.thread(sample.thread).is_some());
            });
            block.rows() as u64
        })
        .sum();
    recording.slice_blocks().for_each(|block| {
        block.for_each(|stack, slice| {
            assert!(stack.index() <= tables.stacks.len());
            assert!(slice.kept.is_sorted_by(|a, b| a.place < b.place));
        });
    });
    let written: u64 = recording.end_ledger().iter().map(|line| line.written).sum();
    assert_eq!(samples, written);
    for line in recording.end_ledger() {
        assert_eq!(line.fired, line.written.saturating_add(line.dropped_total()));
    }
}

/// A pipe's header, a machine, and two events: a clock with callchains, registers and stacks, and faults.
fn pipe() -> Vec<u8> {
    let mut pipe = b"PERFILE2\x10\0\0\0\0\0\0\0".to_vec();
    for (config, id) in [(0u64, 1u64), (2, 2)] {
        let mut attribute = 1u32.to_le_bytes().to_vec();
        attribute.extend(128u32.to_le_bytes());
        // Identifier, place, thread, time, CPU, period, callchain, user registers and stack.
        let fields = 1u64 << 16 | 1 | 2 | 4 | 1 << 7 | 1 << 8 | 1 << 5 | 1 << 12 | 1 << 13;
        for long in [config, 1000, fields, 0, 1 << 10 | 1 << 18] {
            attribute.extend(long.to_le_bytes());
        }
        attribute.resize(80, 0);
        // BP, SP, IP.
        attribute.extend((7u64 << 6).to_le_bytes());
        attribute.resize(128, 0);
        attribute.extend(id.to_le_bytes());
        pipe.extend(record(64, 0, &attribute));
    }
    let arch = [&6u64.to_le_bytes()[..], &8u32.to_le_bytes(), b"x86_64\0\0"].concat();
    pipe.extend(record(80, 0, &arch));
    pipe
}

fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
    let size = (body.len() + 8) as u16;
    [&kind.to_le_bytes()[..], &misc.to_le_bytes(), &size.to_le_bytes(), body].concat()
}

/// Of each record the input gives kind, `misc` and length in one byte each, then the body.
fn records(mut input: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    while let [kind, misc, length, rest @ ..] = input {
        let (body, after) = rest.split_at(rest.len().min(usize::from(*length)));
        // The upper bits of `misc` say what a mapping or a name is, the lower ones where it was.
        let misc = u16::from(misc & 7) | u16::from(misc >> 3) << 13;
        records.extend(record((*kind % 96).into(), misc, body));
        input = after;
    }
    records
}
