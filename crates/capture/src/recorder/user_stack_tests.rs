//! Chains and slices, from records to an archive and back.

use archive::Limits;
use profile::{KeptValue, Slice};
use rayon::iter::ParallelIterator as _;

use super::*;
use crate::decode::decode;
use crate::decode::tests::{record, with_goroutine, with_other_stack, with_slice};
use crate::process::{Following, Processes};
use crate::record::{MAX_FRAMES, REGISTERS};
use crate::recorder::tests::{Fake, OTHER, PID, module_name, record_all, recorder, stacks};

/// Registers in the order of a record; all but the stack pointer hold data.
fn registers(stack_pointer: u64) -> Vec<u64> {
    let value = |number| if number == 7 { stack_pointer } else { 0x6861_636b };
    REGISTERS.into_iter().map(value).collect()
}

#[test]
fn equal_slices_of_a_stack_are_one_row_and_say_the_same_in_every_process() {
    let secret = u64::from_ne_bytes(*b"hunter2!");
    let sliced = |(pid, time_ns), library: u64, sp, word| {
        let record = record((pid, pid, time_ns), "a", &[], &[library + 0x10, 0x4020]);
        let stack = [word, library + 0x30, sp + 24, 0x4020];
        with_slice(record, &registers(sp), &stack)
    };
    let archive = record_all(&[
        sliced((PID, 1), 0x7000, 0x7ffc_0000, secret),
        sliced((OTHER, 2), 0x9000, 0x7ffd_0008, secret + 1),
        sliced((PID, 3), 0x7000, 0x7ffc_0000, 0x4030),
        record((PID, PID, 4), "a", &[], &[0x7010, 0x4020]),
    ]);
    let tables = archive.tables();
    assert_eq!(tables.stacks.len(), 3, "two slices, and none");
    let mut slices = Vec::new();
    for block in archive.slice_blocks().collect::<Vec<_>>() {
        block.unwrap().for_each(|stack, slice| slices.push((stack, slice.clone())));
    }
    slices.sort_by_key(|(stack, _)| *stack);
    let words = |slice: &Slice| -> Vec<(u32, String)> {
        let text = |value| match value {
            KeptValue::Stack(distance) => format!("sp+{distance}"),
            KeptValue::Code { module, address } => {
                format!("{}+{address:x}", module_name(tables.module(module)))
            }
        };
        slice.kept.iter().map(|kept| (kept.word().unwrap(), text(kept.value))).collect()
    };
    let [first, second] = &slices[..] else { panic!("{slices:?}") };
    let callers = [(1, "/lib/libc.so+2030"), (2, "sp+24"), (3, "/bin/server+1020")];
    let callers = callers.map(|(word, text)| (word, text.to_owned()));
    assert_eq!(words(&first.1), callers);
    assert_eq!(words(&second.1)[1..], callers);
    assert_eq!(words(&second.1)[0], (0, "/bin/server+1030".to_owned()));
    assert_eq!((first.1.looked_at_words, second.1.looked_at_words), (4, 4));
}

#[test]
fn a_goroutine_has_a_path_of_its_own_and_the_end_is_its_end() {
    let leaf = |time_ns| record((PID, PID, time_ns), "a", &[], &[0x7010, 0x1234]);
    let long = vec![0x4030; MAX_FRAMES];
    let archive = record_all(&[
        with_goroutine(leaf(1), &[0x4020, 0x4030]),
        with_goroutine(leaf(2), &[0x4020, 0x1234]),
        with_goroutine(leaf(3), &long),
        with_goroutine(leaf(4), &[0x1234]),
        leaf(5),
    ]);
    let tables = archive.tables();
    let row = |(_, stack): (_, Stack)| {
        let words = tables.nodes.walk(stack.goroutine).map(|(_, node)| node.address);
        (words.collect::<Vec<_>>(), stack.end)
    };
    let rows: Vec<_> = tables.stacks.iter().map(row).collect();
    assert_eq!(rows[0], (vec![0x1020, 0x1030], StackEnd::Complete));
    assert_eq!(rows[1], (vec![0x1020], StackEnd::NotCode));
    assert_eq!((rows[2].0.len(), rows[2].1), (MAX_FRAMES, StackEnd::DepthLimit));
    assert_eq!(rows[3], (vec![], StackEnd::NotCode), "nothing of it is code");
    assert_eq!(rows.len(), 4, "and so the last one is the same");
}

#[test]
fn stacks_with_another_one_are_told_apart_by_that_too() {
    let sample = |time_ns, other: &[u64]| {
        let record = record((PID, PID, time_ns), "a", &[], &[0x4010]);
        with_other_stack(with_slice(record, &registers(0x7ffc_0000), &[0x4020]), other)
    };
    let archive = record_all(&[
        sample(1, &[0x6000_0000, 1, 0x4030]),
        sample(2, &[0x6000_0000, 0x6000_1000, 0x4030]), // a pointer out of it
        sample(3, &[0x6000_1000, 1, 0x4030]),
        sample(4, &[0x6000_0000, 0x4030]),
        sample(5, &[]),
    ]);
    let mut others = Vec::new();
    for block in archive.slice_blocks().collect::<Vec<_>>() {
        let place = |slice: &Slice| (slice.looked_at_words, slice.kept[0].word().unwrap());
        block.unwrap().for_each(|_, slice| {
            others.push((place(slice), slice.other.as_deref().map(place)));
        });
    }
    others.sort_unstable();
    assert_eq!(others, [((1, 0), None), ((1, 0), Some((1, 0))), ((1, 0), Some((2, 1)))]);
}

#[test]
fn run_time_code_in_a_new_slice_wants_names() {
    let mut recorder = recorder(Limits::default());
    let mut processes = Processes::new(Following::All);
    let record = record((PID, PID, 1), "a", &[], &[0x7010, 0x4020]);
    let record = with_slice(record, &registers(0x7ffc_0000), &[0x2_0010, 0x4030, 0x2_0020]);
    let sample = decode(&record).unwrap();
    processes.of_sample(PID, PID, 1, sample.user.get(0), &mut Fake);
    for _ in 0..2 {
        recorder.sample(&sample, &mut processes, &mut Fake);
        let summary = recorder.run_time_code.summary().to_string();
        let expected = "run-time code: 0 functions named, 2 addresses without a name";
        assert!(summary.starts_with(expected), "{summary}");
    }
}

#[test]
fn a_leaf_outside_every_mapping_has_no_slice() {
    let record = record((PID, PID, 1), "a", &[], &[0x5_0000, 0x4020]);
    let archive = record_all(&[with_slice(record, &registers(0x7ffc_0000), &[0x4020])]);
    assert_eq!(stacks(&archive), ["a: ?+50000 |  (MapsUnknown)"]);
    assert_eq!(archive.slice_blocks().count(), 0);
}

#[test]
fn where_a_chain_ended_is_told_unless_it_came_to_a_word_that_is_no_code() {
    let mut recorder = recorder(Limits::default());
    let mut processes = Processes::new(Following::All);
    let mut outermost = |user: &[u64]| {
        let record = record((PID, PID, 1), "a", &[], user);
        let sample = decode(&record).unwrap();
        processes.of_sample(PID, PID, 1, sample.user.get(0), &mut Fake);
        recorder.sample(&sample, &mut processes, &mut Fake).map(|callers| callers.outermost)
    };
    assert_eq!(outermost(&[0x7010, 0x4020, 0x4030]), Some(Some(0x4030)));
    assert_eq!(outermost(&[0x7010, 0x4020, 0]), Some(Some(0x4020)));
    assert_eq!(outermost(&[0x7010, 0x4020, 0x1234_5678]), Some(None));
    assert_eq!(outermost(&[0x7010]), Some(None), "a leaf alone");
    assert_eq!(outermost(&[0x5_0000, 0x4020]), None, "its mappings are not known");
    assert_eq!(outermost(&[]), None);
}

#[test]
fn a_walk_that_says_how_it_ended_is_believed() {
    let ends = [WalkEnd::Zero, WalkEnd::Fault, WalkEnd::NotCode, WalkEnd::Limit, WalkEnd::Unknown];
    let of_frames = |frames| ends.map(|end| end_of_walk(frames, 4, end));
    use StackEnd::{Complete, DepthLimit, Fault, NotCode};
    assert_eq!(of_frames(4), [Complete, Fault, NotCode, DepthLimit, DepthLimit]);
    assert_eq!(of_frames(3), [Complete, Fault, NotCode, DepthLimit, Complete]);
    assert_eq!(of_frames(1), [Complete, Fault, NotCode, DepthLimit, Fault]);
}
