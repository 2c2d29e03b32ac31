//! Imports of samples made by hand.

use super::super::attribute::Attribute;
use super::super::sideband::Mapped;
use super::*;

const CODE: u64 = 0x10_0000;
const WORDS: usize = 8191;

/// An import of samples that copy the stack, of a process that has code from [`CODE`] on.
fn import() -> Import<Vec<u8>> {
    let mut about = About { arch: "x86_64".into(), ..About::default() };
    let mut event = Attribute::default();
    event.sample_type = field::TID | field::REGS_USER | field::STACK_USER;
    event.user_registers = 1 << 7 | 1 << 8;
    about.attributes.push(event);
    let mut import = Import::new(about, &[], Vec::new()).unwrap();
    let code = Mapped {
        pid: 1,
        is_kernel: false,
        is_executable: true,
        start: CODE,
        bytes: CODE,
        file_offset: 0,
        dev: (0, 0),
        inode: 0,
        inode_generation: 0,
        build_id: profile::BuildId::default(),
        path: b"/usr/bin/program",
    };
    import.rows.follow(&mut import.writer, &import.about, Sideband::Mapped(code), 0);
    import
}

/// A sample whose stack is full of return addresses, or none.
fn sample(import: &mut Import<Vec<u8>>, return_to: Option<u64>) {
    let words = if return_to.is_some() { WORDS } else { 0 };
    let mut longs = vec![1 << 32 | 1, 2, 0x7fff_0000, CODE + 1, words as u64 * 8];
    longs.extend(return_to.iter().cycle().take(words));
    longs.extend(return_to.map(|_| words as u64 * 8));
    let body: Vec<u8> = longs.iter().flat_map(|long: &u64| long.to_le_bytes()).collect();
    import.sample(1, Record { kind: kind::SAMPLE, misc: 0, body: &body }).unwrap();
}

#[test]
fn copies_of_the_stack_are_written_before_they_take_much_memory() {
    let mut import = import();
    for _ in 0..100 {
        sample(&mut import, Some(CODE + 5));
    }
    assert_eq!(import.rows.stacks.pending_slice_words(), WORDS, "all are one row");
    let mut most = 0;
    for n in 0..100 {
        sample(&mut import, Some(CODE + 6 + n));
        most = most.max(import.rows.stacks.pending_slice_words());
    }
    assert!(most < FLUSH_SLICE_WORDS && most > FLUSH_SLICE_WORDS - WORDS, "{most}");
    assert!(import.writer.pending_samples() <= FLUSH_SLICE_WORDS / WORDS);
    let (bytes, _) = import.finish(Vec::new()).unwrap();
    let archive = archive::Archive::from_bytes(bytes).unwrap();
    assert_eq!(archive.tables().stacks.len(), 101);
}

#[test]
fn without_a_copy_of_the_stack_the_leaf_stays() {
    let mut import = import();
    sample(&mut import, None);
    let (bytes, _) = import.finish(Vec::new()).unwrap();
    let archive = archive::Archive::from_bytes(bytes).unwrap();
    let mut nodes = archive.tables().nodes.iter();
    assert_eq!(nodes.next().map(|(_, node)| node.address), Some(1));
}

#[test]
fn samples_beyond_what_weights_can_sum_up_to_are_dropped_whatever_their_event() {
    let mut about = About::default();
    for id in [1, 2] {
        let mut event = Attribute::default();
        event.sample_type = field::IDENTIFIER | field::TID | field::PERIOD;
        event.ids = vec![id];
        about.attributes.push(event);
    }
    let mut import = Import::new(about, &[], Vec::new()).unwrap();
    for (event, period) in [(1, u64::MAX - 10), (2, 11), (2, 10)] {
        let body: Vec<u8> =
            [event, 1 << 32 | 1, period].iter().flat_map(|n: &u64| n.to_le_bytes()).collect();
        import.sample(1, Record { kind: kind::SAMPLE, misc: 0, body: &body }).unwrap();
    }
    let (bytes, _) = import.finish(Vec::new()).unwrap();
    let archive = archive::Archive::from_bytes(bytes).unwrap();
    assert!(archive.damage().complete, "{:?}", archive.damage().statements);
    let ledger = archive.end_ledger().iter();
    let counts: Vec<_> = ledger.map(|l| (l.event.0, l.written, l.dropped_total())).collect();
    assert_eq!(counts, [(1, 1, 0), (2, 1, 1)]);
}
