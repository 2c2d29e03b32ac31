//! Slices come back as they were written, and a damaged block loses its own only.

use std::sync::Mutex;

use archive::{Archive, Limits, Writer};
use profile::*;
use proptest::prelude::*;
use rayon::iter::ParallelIterator;

use crate::recipe::{START_NS, end_at, facts, flush};

/// (code, address or target) by place, ascending.
type RawWords = (u32, std::collections::BTreeMap<u32, (bool, u64)>);
/// Of the stack that the thread stands on, and of the other one.
type RawSlice = (RawWords, Option<RawWords>);

fn slice(module: ModuleId, (own, other): &RawSlice) -> Slice {
    let other = other.as_ref().map(|other| Box::new(words(module, other)));
    Slice { other, ..words(module, own) }
}

fn words(module: ModuleId, raw: &RawWords) -> Slice {
    let value = |(code, value): (bool, u64)| match code {
        true => KeptValue::Code { module, address: value },
        false => KeptValue::Stack(value),
    };
    let kept = raw.1.iter().map(|(place, v)| Kept { place: *place, value: value(*v) }).collect();
    Slice { looked_at_words: raw.0, kept, other: None }
}

/// One epoch for each list of slices; each slice gets a stack of its own, all of one path.
fn write(epochs: &[Vec<RawSlice>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let second = flush(START_NS, START_NS + 1_000_000_000, &[]);
    for (index, slices) in epochs.iter().enumerate() {
        if index > 0 {
            writer.begin_epoch(&facts()).unwrap();
        }
        let module = writer.module(&Module::new(ModuleKind::File, "/bin/x"));
        let user = writer.node(Node { parent: NodeId::NONE, module, address: 64 });
        let row =
            Stack { user, kernel: NodeId::NONE, goroutine: NodeId::NONE, end: StackEnd::NotCode };
        writer.stack(row);
        for raw in slices {
            writer.sliced_stack(row, &slice(module, raw));
            writer.flush(&second).unwrap();
        }
    }
    writer.finish(&second, &end_at(START_NS + 1)).unwrap()
}

fn read(archive: &Archive) -> (Vec<(StackId, Slice)>, usize) {
    let all = Mutex::new(Vec::new());
    let lost = archive.slice_blocks().filter_map(|block| {
        block.map(|block| block.for_each(|id, s| all.lock().unwrap().push((id, s.clone())))).err()
    });
    let lost = lost.count();
    let mut all = all.into_inner().unwrap();
    all.sort_by_key(|(id, _)| *id);
    (all, lost)
}

fn raw_slice() -> impl Strategy<Value = RawSlice> {
    (raw_words(), prop::option::of(raw_words()))
}

fn raw_words() -> impl Strategy<Value = RawWords> {
    let place = prop_oneof![0..40u32, 0..9000u32, any::<u32>()];
    let value = prop_oneof![0..70_000u64, any::<u64>()];
    (any::<u32>(), prop::collection::btree_map(place, (any::<bool>(), value), 0..40))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn slices_come_back_with_their_stacks(
        epochs in prop::collection::vec(prop::collection::vec(raw_slice(), 0..8), 1..4)
    ) {
        let archive = Archive::from_bytes(write(&epochs)).unwrap();
        prop_assert!(archive.damage().complete);
        // The path's unsliced stack is one row for all epochs, and comes first.
        let written = epochs.iter().flatten().map(|raw| slice(ModuleId(1), raw));
        let expected: Vec<_> = written.enumerate().map(|(i, s)| (StackId(i as u32 + 2), s)).collect();
        let path = archive.tables().stacks.get(StackId(1));
        prop_assert!(archive.tables().stacks.iter().all(|(_, row)| row == path));
        prop_assert_eq!(archive.tables().stacks.len(), expected.len() + 1);
        prop_assert_eq!(read(&archive), (expected, 0));
    }
}

#[test]
fn a_damaged_block_loses_its_own_slices_and_is_said() {
    let raw = |value| ((8, [(6, (false, value)), (33, (true, value))].into()), None);
    let bytes = write(&[(0..5u64).map(raw).collect()]);
    let headers: Vec<usize> = (0..bytes.len() - 5)
        .filter(|at| bytes[*at..].starts_with(b"FARC") && bytes[at + 4] == 3)
        .collect();
    assert_eq!(headers.len(), 5);
    let mut damaged = bytes.clone();
    damaged[headers[2] + 70] ^= 1;
    let archive = Archive::from_bytes(damaged).unwrap();
    let (whole, lost) = read(&archive);
    assert_eq!((whole.len(), lost), (4, 1));
    let damage = archive.damage();
    assert!(damage.lost.is_empty());
    assert_eq!(damage.statements.len(), 1, "{:?}", damage.statements);
}

#[test]
fn slices_of_lost_stacks_are_left_out() {
    let bytes = write(&[vec![((8, [(6, (false, 16)), (33, (true, 0x40))].into()), None)]]);
    // The second Defs frame defines module, path and stacks.
    let defs: Vec<usize> = (0..bytes.len() - 5)
        .filter(|at| bytes[*at..].starts_with(b"FARC") && bytes[at + 4] == 1)
        .collect();
    let mut damaged = bytes.clone();
    damaged[defs[1] + 70] ^= 1;
    let (read, lost) = read(&Archive::from_bytes(damaged).unwrap());
    assert_eq!((read.len(), lost), (0, 0));
}
