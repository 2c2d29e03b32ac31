//! Stacks of Go programs, which are in two parts.

use super::*;
use crate::unwind::GoSwitch;

/// Function 3 takes part in a switch of stacks; function 0 is where goroutines start, the others have frame pointers.
fn switching(switch: GoSwitch) -> Program {
    let mut program = Program::new(&[Kind::FramePointer(0); 4]);
    let made = Rule { go_switch: Some(switch), ..rule(Cfa::Register(7, 8), None) };
    program.rules.insert(3, Ok(made));
    program
}

/// What is found where function 1 ran above `chain`, and the goroutine goes on in function 2.
fn crossed(
    program: &mut Program,
    chain: &[u64],
    goroutine: &[u64],
) -> (Vec<u64>, Vec<Step>, WalkEnd) {
    let path = |addresses: &[u64]| -> Vec<(ModuleId, u64)> {
        addresses.iter().map(|address| (CODE, *address)).collect()
    };
    let (chain, goroutine) = (path(chain), path(goroutine));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let recorded = Recorded { path: &chain, goroutine: &goroutine };
    let found = walker.walk(recorded, &Slice::default(), program).unwrap();
    let steps = found.frames.iter().map(|frame| frame.step).collect();
    (addresses(found.frames), steps, found.end)
}

#[test]
fn a_walk_crosses_to_the_goroutine_where_the_runtime_switched() {
    let goroutine = [0x210, 0x410, 0x10];
    for switch in [GoSwitch::Leaves, GoSwitch::Parks] {
        // The chain may go on there by itself: it has left out a frame, or ended.
        for chain in [&[0x110, 0x310][..], &[0x110, 0x310, 0x410, 0x10]] {
            let (frames, steps, end) = crossed(&mut switching(switch), chain, &goroutine);
            assert_eq!(frames, [0x110, 0x310, 0x210, 0x410, 0x10]);
            assert_eq!((steps, end), (vec![Step::Proven; 5], WalkEnd::Root));
        }
    }
    let unknown = |switch| crossed(&mut switching(switch), &[0x110, 0x310], &[]);
    let (frames, _, end) = unknown(GoSwitch::Leaves);
    assert_eq!((frames.len(), end), (2, WalkEnd::Stopped(Stop::OtherStack, CODE)));
    let (frames, steps, end) = unknown(GoSwitch::Parks);
    assert_eq!((frames.len(), end), (2, WalkEnd::Root), "the scheduler's own stack");
    assert_eq!(steps, [Step::Proven; 2]);
}

#[test]
fn what_the_scheduler_is_about_to_run_did_not_call_it() {
    let mut program = switching(GoSwitch::Dispatches);
    program.rules.get_mut(&3).unwrap().as_mut().unwrap().sets_frame_pointer = true;
    let parks = Rule { go_switch: Some(GoSwitch::Parks), ..rule(Cfa::Register(7, 8), None) };
    program.rules.insert(4, Ok(parks));
    let (frames, _, end) = crossed(&mut program, &[0x110, 0x310, 0x410], &[0x210, 0x10]);
    assert_eq!((frames, end), (vec![0x110, 0x310, 0x410], WalkEnd::Root));
}

#[test]
fn a_goroutine_whose_switch_is_not_seen_follows_behind_a_gap() {
    let mut program = Program::new(&[Kind::Bare(0), Kind::FramePointer(0), Kind::FramePointer(0)]);
    let (frames, steps, end) = crossed(&mut program, &[0x110], &[0x210, 0x310, 0x10]);
    assert_eq!(frames, [0x110, 0x210, 0x310, 0x10]);
    assert_eq!(steps, [Step::Gap, Step::Proven, Step::Proven, Step::Proven]);
    assert_eq!(end, WalkEnd::Root);
    // Where a chain without rules crossed by itself, what it left out is put in.
    let chain = [0x510, 0x610, 0x310, 0x10];
    let (frames, steps, end) = crossed(&mut program, &chain, &[0x210, 0x310, 0x10]);
    assert_eq!(frames, [0x510, 0x610, 0x210, 0x310, 0x10]);
    assert_eq!(steps[..2], [Step::Recorded; 2]);
    assert_eq!(end, WalkEnd::Root);
}

#[test]
fn callers_beyond_a_call_from_c_to_go_may_be_missing() {
    let mut program = switching(GoSwitch::Enters);
    program.rules.get_mut(&3).unwrap().as_mut().unwrap().sets_frame_pointer = true;
    let (frames, steps, end) = crossed(&mut program, &[0x110, 0x310, 0x210, 0x10], &[]);
    assert_eq!(frames, [0x110, 0x310, 0x210, 0x10]);
    assert_eq!(steps, [Step::Proven, Step::Gap, Step::Proven, Step::Proven]);
    assert_eq!(end, WalkEnd::Root);
}
