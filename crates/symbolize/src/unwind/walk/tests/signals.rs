//! Handlers of signals, and what they interrupted.

use super::*;

/// Where a signal's trampoline finds what it interrupted: a word each for address, frame and stack pointer.
fn signal_rule() -> Rule {
    Rule {
        return_address: Saved::At(7, 8),
        registers: vec![(6, Saved::At(7, 16)), (7, Saved::At(7, 24))],
        is_signal_frame: true,
        ..rule(Cfa::Loaded(7, 24), None)
    }
}

#[test]
fn an_interrupted_instruction_is_no_return_address() {
    let mut program = Program::new(&[Kind::Bare(0)]);
    program.rules.insert(2, Ok(signal_rule()));
    // handler → trampoline (return address, registers) → the first instruction of function 1.
    let stack = KeptValue::Stack(56);
    let words =
        vec![kept(0, code(0x210)), kept(2, code(0x100)), kept(4, stack), kept(7, code(0x10))];
    let slice = Slice { looked_at_words: 8, kept: words, other: None };
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let found = walker
        .walk(Recorded { path: &[(CODE, 0x110)], goroutine: &[] }, &slice, &mut program)
        .unwrap();
    assert_eq!(addresses(found.frames), [0x110, 0x210, 0x100, 0x10]);
    let returns: Vec<bool> = found.frames.iter().map(|frame| frame.is_return).collect();
    assert_eq!(returns, [false, false, false, true]);
    assert_eq!(found.end, WalkEnd::Root);
    // The kernel puts the registers back: the next instruction is behind the trampoline's last.
    let words = vec![kept(1, code(0x100)), kept(3, KeptValue::Stack(56)), kept(7, code(0x10))];
    let slice = Slice { looked_at_words: 8, kept: words, other: None };
    let found = walker
        .walk(Recorded { path: &[(CODE, 0x300)], goroutine: &[] }, &slice, &mut program)
        .unwrap();
    assert_eq!(addresses(found.frames), [0x300, 0x100, 0x10]);
}

#[test]
fn of_another_stack_that_a_signal_interrupted_the_chain_tells_what_it_knows() {
    let kinds = [Kind::Bare(0), Kind::FramePointer(0)];
    let mut program = Program::new(&kinds);
    program.rules.insert(3, Ok(signal_rule()));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let mut walk = |interrupted, chain: &[u64]| {
        let words = vec![kept(0, code(0x310)), kept(2, code(interrupted))];
        let slice = Slice { looked_at_words: 9, kept: words, other: None };
        let path: Vec<_> = chain.iter().map(|address| (CODE, *address)).collect();
        let walk =
            walker.walk(Recorded { path: &path, goroutine: &[] }, &slice, &mut program).unwrap();
        (addresses(walk.frames), walk.frames[2].step, walk.end)
    };
    // handler → trampoline → a function that had set its frame pointer: the chain has its caller.
    let (frames, step, end) = walk(0x210, &[0x110, 0x10]);
    assert_eq!((&frames[..], step), (&[0x110, 0x310, 0x210, 0x10][..], Step::Proven));
    assert_eq!(end, WalkEnd::Root);
    // One that had not: its caller is missing.
    let (frames, step, end) = walk(0x120, &[0x110, 0x10]);
    assert_eq!((&frames[..], step), (&[0x110, 0x310, 0x120, 0x10][..], Step::Gap));
    assert_eq!(end, WalkEnd::Recorded);
    let (frames, _, end) = walk(0x120, &[0x110]);
    assert_eq!(frames, [0x110, 0x310, 0x120]);
    assert_eq!(end, WalkEnd::Stopped(Stop::Interrupted, CODE));
}

#[test]
fn the_start_of_a_coroutine_is_not_called() {
    let mut program = Program::new(&[Kind::Bare(0)]);
    program.rules.remove(&0);
    program.rules.insert(3, Ok(outermost()));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let mut walk = |address| {
        let slice = Slice { looked_at_words: 1, kept: vec![kept(0, code(address))], other: None };
        let path = [(CODE, 0x110)];
        let found =
            walker.walk(Recorded { path: &path, goroutine: &[] }, &slice, &mut program).unwrap();
        (found.frames.len(), found.frames[1].is_return, found.end)
    };
    assert_eq!(walk(0x301), (2, true, WalkEnd::Root));
    assert_eq!(walk(0x300), (2, false, WalkEnd::Root), "before it is none");
}
