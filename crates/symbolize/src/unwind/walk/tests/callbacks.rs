//! Go code that C code called: callers on two stacks in turns.

use super::*;
use crate::unwind::GoSwitch;

const ROOT: u64 = 0x10;
const LEAF: u64 = 0x110;
const CGOCALL: u64 = 0x210;
const CGOCALLBACK: u64 = 0x310;
const CROSSCALL2: u64 = 0x410;
const IN_C: u64 = 0x510;
const ASMCGOCALL: u64 = 0x610;
const SWITCH: u64 = 0x710;

/// Frames of one word, but for the functions that switch.
fn program() -> Program {
    let mut program = Program::new(&[Kind::Bare(1); 7]);
    let switching = |bytes, go_switch| {
        Ok(Rule { go_switch: Some(go_switch), ..rule(Cfa::Register(7, bytes), None) })
    };
    program.rules.insert(CGOCALLBACK / FUNCTION_BYTES, switching(40, GoSwitch::Enters));
    program.rules.insert(CROSSCALL2 / FUNCTION_BYTES, switching(16, GoSwitch::CalledByC));
    program.rules.insert(ASMCGOCALL / FUNCTION_BYTES, switching(8, GoSwitch::Leaves));
    program
}

/// A stack, words from the stack pointer upwards; 0 is a word that was not kept.
fn stack(parts: &[&[u64]]) -> Slice {
    let words: Vec<u64> = parts.iter().copied().flatten().copied().collect();
    let kept = (0..).zip(&words).filter(|(_, word)| **word != 0).map(|(index, address)| {
        let value = KeptValue::Code { module: CODE, address: *address };
        Kept { place: Kept::place_of_word(index), value }
    });
    Slice { looked_at_words: words.len() as u32, kept: kept.collect(), other: None }
}

/// Frames as they stand on a stack, each of one word.
const CALLBACK_ON_GO: &[u64] = &[0, 0, 0, 0, SWITCH];
const CALLBACK_ON_C: &[u64] = &[0, 0, 0, 0, CROSSCALL2, 0, IN_C, 0, ASMCGOCALL];
const GO_CALLS_C: &[u64] = &[CGOCALL, 0];

fn walked(own: Slice, other: Slice, chain: &[u64], goroutine: &[u64]) -> (Vec<Frame>, WalkEnd) {
    let slice = Slice { other: Some(Box::new(other)), ..own };
    let path = |addresses: &[u64]| -> Vec<(ModuleId, u64)> {
        addresses.iter().map(|address| (CODE, *address)).collect()
    };
    let (chain, goroutine) = (path(chain), path(goroutine));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let recorded = Recorded { path: &chain, goroutine: &goroutine };
    let found = walker.walk(recorded, &slice, &mut program()).unwrap();
    (found.frames.to_vec(), found.end)
}

fn all_proven(frames: &[Frame]) -> bool {
    frames.iter().all(|frame| frame.step == Step::Proven)
}

#[test]
fn c_code_stands_between_go_code_and_go_code() {
    let goroutine = stack(&[&[0, CGOCALLBACK], CALLBACK_ON_GO, GO_CALLS_C, &[ROOT]]);
    // The chain of frame pointers has left the C code out.
    let chain = [LEAF, CGOCALLBACK, CROSSCALL2, CGOCALL, ROOT];
    let (frames, end) = walked(goroutine, stack(&[CALLBACK_ON_C]), &chain, &[]);
    let expected = [LEAF, CGOCALLBACK, CROSSCALL2, IN_C, ASMCGOCALL, CGOCALL, ROOT];
    assert_eq!((addresses(&frames), end), (expected.to_vec(), WalkEnd::Root));
    assert!(all_proven(&frames));
}

#[test]
fn callbacks_inside_one_another_are_crossed_whatever_the_room_between() {
    let again = [CALLBACK_ON_GO, &[CGOCALL, 0, CGOCALLBACK], CALLBACK_ON_GO, GO_CALLS_C, &[ROOT]];
    let goroutine = stack(&[&[0, CGOCALLBACK], &again.concat()]);
    let turn = [CGOCALLBACK, CROSSCALL2, IN_C, ASMCGOCALL, CGOCALL];
    let expected = [&[LEAF], &turn[..], &turn[..], &[ROOT]].concat();
    // `asmcgocall` leaves room, where words of former calls stand: one looks like a frame of cgocallback.
    for room in [&[0, 0, 0, 0, 0, 0, CROSSCALL2, 0, 0][..], &[0; 8], &[0; 3], &[0; 2]] {
        let thread = stack(&[CALLBACK_ON_C, room, CALLBACK_ON_C]);
        let (frames, end) = walked(goroutine.clone(), thread, &[LEAF], &[]);
        assert_eq!((addresses(&frames), end), (expected.clone(), WalkEnd::Root), "{}", room.len());
        assert!(all_proven(&frames));
    }
}

#[test]
fn the_walk_may_begin_on_either_stack() {
    let thread = stack(&[&[0, ASMCGOCALL], &[0; 9], CALLBACK_ON_C]);
    let goroutine = stack(&[&[0, CGOCALLBACK], CALLBACK_ON_GO, GO_CALLS_C, &[ROOT]]);
    let (frames, end) = walked(thread, goroutine, &[IN_C], &[CGOCALL, CGOCALLBACK]);
    let turn = [ASMCGOCALL, CGOCALL];
    let expected =
        [&[IN_C], &turn[..], &[CGOCALLBACK, CROSSCALL2, IN_C], &turn[..], &[ROOT]].concat();
    assert_eq!((addresses(&frames), end), (expected, WalkEnd::Root));
    assert!(all_proven(&frames));
}

#[test]
fn what_words_do_not_say_the_chain_does_behind_a_gap() {
    let goroutine = || stack(&[&[0, CGOCALLBACK], CALLBACK_ON_GO, GO_CALLS_C, &[ROOT]]);
    let chain = [LEAF, CGOCALLBACK, CROSSCALL2, CGOCALL, ROOT];
    let steps = |frames: &[Frame]| frames.iter().map(|frame| frame.step).collect::<Vec<_>>();
    // No frame of cgocallback where it should be.
    let (frames, end) = walked(goroutine(), stack(&[&[0; 5]]), &chain, &[]);
    assert_eq!((addresses(&frames), end), (chain.to_vec(), WalkEnd::Recorded));
    assert_eq!(steps(&frames)[1], Step::Gap);
    // The C code's callers are beyond what was recorded.
    let (frames, end) = walked(goroutine(), stack(&[&CALLBACK_ON_C[..7]]), &chain, &[]);
    let expected = [LEAF, CGOCALLBACK, CROSSCALL2, IN_C, CGOCALL, ROOT];
    assert_eq!((addresses(&frames), end), (expected.to_vec(), WalkEnd::Recorded));
    assert_eq!(steps(&frames)[3], Step::Gap);
    // The goroutine's.
    let short = stack(&[&[0, CGOCALLBACK], CALLBACK_ON_GO]);
    let (frames, end) = walked(short, stack(&[CALLBACK_ON_C]), &[LEAF], &[]);
    let expected = [LEAF, CGOCALLBACK, CROSSCALL2, IN_C, ASMCGOCALL];
    assert_eq!(addresses(&frames), expected);
    assert_eq!(end, WalkEnd::Stopped(Stop::OtherStack, CODE));
}

proptest! {
    /// Whatever stands there: the walk ends, and takes no word twice.
    #[test]
    fn any_two_stacks_are_walked(
        own in prop::collection::vec(0..8u64, 0..60),
        other in prop::collection::vec(0..8u64, 0..60),
        goroutine in prop::collection::vec(1..7u64, 0..6),
        leaf in 1..8u64,
    ) {
        let words = |raw: &[u64]| -> Vec<u64> {
            raw.iter().map(|function| if *function == 0 { 0 } else { function * 0x100 + 0x10 }).collect()
        };
        let most = own.len() + other.len() + goroutine.len() + 2;
        let (own, other) = (stack(&[&words(&own)]), stack(&[&words(&other)]));
        let (frames, _) = walked(own, other, &words(&[leaf]), &words(&goroutine));
        prop_assert!(frames.len() <= 2 * most);
    }
}
