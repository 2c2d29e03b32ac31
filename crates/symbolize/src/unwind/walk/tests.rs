mod callbacks;
mod goroutines;
mod signals;

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::unwind::{Cfa, Saved};
use profile::{Kept, KeptValue};

const CODE: ModuleId = ModuleId(1);
/// Addresses of one synthetic function.
const FUNCTION_BYTES: u64 = 0x100;

/// What a synthetic function does with its frame.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Sets the frame pointer, then this many words.
    FramePointer(u8),
    /// Leaves the frame pointer alone.
    Bare(u8),
    /// Saves the frame pointer and uses the register for data.
    Busy(u8),
    /// Aligns its stack by up to this many words and finds its frame through a saved pointer to it.
    Realigned(u8),
    /// Sets the frame pointer, but no table says so.
    Unknown(u8),
}

#[derive(Default)]
struct Program {
    rules: HashMap<u64, Result<Rule, NoRule>>,
}

impl Rules for Program {
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        assert_eq!(module, CODE);
        let rule = self.rules.get(&(address / FUNCTION_BYTES)).unwrap_or(&Err(NoRule::NotCovered));
        rule.as_ref().map_err(|why| *why)
    }
}

fn rule(cfa: Cfa, rbp: Option<Saved>) -> Rule {
    let sets_frame_pointer = matches!(
        (&cfa, &rbp),
        (Cfa::Register(6, 16), Some(Saved::AtCfa(-16))) | (_, Some(Saved::At(6, 0)))
    );
    Rule {
        machine: Machine::X86_64,
        cfa,
        return_address: Saved::AtCfa(-8),
        registers: rbp.map(|saved| (6, saved)).into_iter().collect(),
        is_signal_frame: false,
        sets_frame_pointer,
        go_switch: None,
    }
}

fn outermost() -> Rule {
    Rule { return_address: Saved::Undefined, ..rule(Cfa::Register(7, 8), None) }
}

impl Program {
    /// Function 0 is where threads start; the others are as told.
    fn new(kinds: &[Kind]) -> Self {
        let mut program = Self::default();
        program.rules.insert(0, Ok(outermost()));
        for (number, kind) in (1..).zip(kinds) {
            let bytes = |words: u8, saved: i64| i64::from(words) * 8 + saved * 8 + 8;
            let made = match *kind {
                Kind::FramePointer(_) => Ok(rule(Cfa::Register(6, 16), Some(Saved::AtCfa(-16)))),
                Kind::Bare(words) => Ok(rule(Cfa::Register(7, bytes(words, 0)), None)),
                Kind::Busy(words) => {
                    Ok(rule(Cfa::Register(7, bytes(words, 1)), Some(Saved::AtCfa(-16))))
                }
                Kind::Realigned(_) => Ok(rule(Cfa::Loaded(6, -8), Some(Saved::At(6, 0)))),
                Kind::Unknown(_) => Err(NoRule::NoTables),
            };
            program.rules.insert(number, made);
        }
        program
    }
}

/// A stack as it would stand in memory: words by their place counted down from its root.
#[derive(Default)]
struct Memory {
    words: Vec<Option<Word>>,
    /// The frame pointer.
    rbp: Option<Word>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Word {
    Code(u64),
    /// A place counted from the root.
    Stack(usize),
}

impl Memory {
    fn push(&mut self, word: Option<Word>) {
        self.words.push(word);
    }

    fn here(&self) -> Word {
        Word::Stack(self.words.len())
    }

    /// A function of that kind enters; the return address has been pushed.
    fn enter(&mut self, kind: Kind) {
        let cfa = self.words.len() - 1;
        let (Kind::FramePointer(words)
        | Kind::Bare(words)
        | Kind::Busy(words)
        | Kind::Realigned(words)
        | Kind::Unknown(words)) = kind;
        match kind {
            Kind::FramePointer(_) | Kind::Unknown(_) => {
                self.push(self.rbp);
                self.rbp = Some(self.here());
            }
            Kind::Bare(_) => {}
            Kind::Busy(_) => {
                self.push(self.rbp);
                self.rbp = None;
            }
            Kind::Realigned(words) => {
                let return_address = self.words[cfa];
                (0..words % 4).for_each(|_| self.push(None));
                self.push(return_address);
                self.push(self.rbp);
                self.rbp = Some(self.here());
                self.push(Some(Word::Stack(cfa)));
            }
        }
        (0..words).for_each(|_| self.push(None));
    }

    /// The word at a place: one above it, counted in pushes.
    fn at(&self, place: usize) -> Option<Word> {
        self.words.get(place.checked_sub(1)?).copied().flatten()
    }

    /// What a walk along frame pointers records.
    fn chain(&self, leaf: u64) -> Vec<(ModuleId, u64)> {
        let mut chain = vec![(CODE, leaf)];
        let mut pointer = self.rbp;
        while let Some(Word::Stack(at)) = pointer
            && let Some(Word::Code(address)) = self.at(at - 1)
        {
            chain.push((CODE, address));
            pointer = self.at(at);
        }
        chain
    }

    /// What is kept of the first words.
    fn slice(&self, looked_at_words: usize) -> Slice {
        let depth = self.words.len();
        let relative = |word| match word {
            Word::Code(address) => Some(KeptValue::Code { module: CODE, address }),
            Word::Stack(at) => {
                let words = depth - at;
                (words < looked_at_words).then_some(KeptValue::Stack(words as u64 * 8))
            }
        };
        let register = self.rbp.and_then(relative).map(|value| Kept { place: 6, value });
        let words = (0..looked_at_words.min(depth)).filter_map(|index| {
            let value = relative(self.at(depth - index)?)?;
            Some(Kept { place: Kept::place_of_word(index as u32), value })
        });
        let kept = register.into_iter().chain(words).collect();
        Slice { looked_at_words: looked_at_words as u32, kept, other: None }
    }
}

/// Calls the functions one after the other; the memory then, and the true stack, leaf first.
fn call(kinds: &[Kind], calls: &[usize]) -> (Memory, Vec<u64>) {
    let mut memory = Memory::default();
    // Of the start: arguments and a frame pointer of zero.
    (0..4).for_each(|_| memory.push(None));
    let mut stack = vec![0x10];
    for function in calls {
        memory.push(Some(Word::Code(stack[stack.len() - 1])));
        memory.enter(kinds[*function]);
        stack.push((*function as u64 + 1) * FUNCTION_BYTES + 0x10);
    }
    stack.reverse();
    (memory, stack)
}

fn walk(
    kinds: &[Kind],
    calls: &[usize],
    looked_at_words: usize,
) -> (Vec<Frame>, WalkEnd, Vec<u64>) {
    let (memory, truth) = call(kinds, calls);
    let chain = memory.chain(truth[0]);
    let slice = memory.slice(looked_at_words);
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let found = walker
        .walk(Recorded { path: &chain, goroutine: &[] }, &slice, &mut Program::new(kinds))
        .unwrap();
    (found.frames.to_vec(), found.end, truth)
}

fn addresses(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.address).collect()
}

fn is_part_of(part: &[u64], whole: &[u64]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|address| address == wanted))
}

const MANY: usize = 1 << 12;

#[test]
fn a_leaf_without_a_prologue_gets_its_caller_from_one_word() {
    let kinds = [Kind::FramePointer(40), Kind::Bare(0)];
    let (frames, end, truth) = walk(&kinds, &[0, 0, 0, 1], 1);
    assert_eq!(addresses(&frames), truth, "the chain lacks the direct caller");
    assert!(frames.iter().all(|frame| frame.step == Step::Proven));
    assert_eq!(end, WalkEnd::Root);
}

#[test]
fn code_without_tables_is_bridged_but_proves_nothing() {
    let kinds = [Kind::FramePointer(3), Kind::Unknown(2), Kind::Bare(1)];
    let (frames, end, truth) = walk(&kinds, &[0, 1, 1, 0, 2], MANY);
    assert_eq!(addresses(&frames), truth);
    assert_eq!(end, WalkEnd::Root);
    let steps: Vec<Step> = frames.iter().map(|frame| frame.step).collect();
    let (proven, recorded) = (Step::Proven, Step::Recorded);
    assert_eq!(steps, [proven, proven, recorded, recorded, proven, proven]);
}

#[test]
fn a_walk_says_why_and_where_it_stopped() {
    let busy = [Kind::Busy(20)];
    let (frames, end, truth) = walk(&busy, &[0, 0, 0], 30);
    assert_eq!(addresses(&frames), truth[..2]);
    assert_eq!(end, WalkEnd::Stopped(Stop::Beyond, CODE));
    let unknown = [Kind::Busy(1), Kind::Unknown(1)];
    let (memory, truth) = call(&unknown, &[0, 1]);
    let mut slice = memory.slice(MANY);
    slice.kept.retain(|kept| kept.register().is_none());
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let leaf = [(CODE, truth[0])];
    let mut program = Program::new(&unknown);
    let found =
        walker.walk(Recorded { path: &leaf, goroutine: &[] }, &slice, &mut program).unwrap();
    let stop = Stop::NoRule(NoRule::NoTables);
    assert_eq!((found.frames.len(), found.end), (1, WalkEnd::Stopped(stop, CODE)));
}

#[test]
fn what_the_chain_has_beyond_follows_behind_a_gap() {
    // The walk finds one caller; the rest is beyond the slice, and the frame pointer is lost.
    let kinds = [Kind::FramePointer(30), Kind::Bare(4), Kind::Realigned(8)];
    let (memory, truth) = call(&kinds, &[0, 0, 1, 1]);
    let chain = memory.chain(truth[0]);
    let mut slice = memory.slice(8);
    slice.kept.retain(|kept| kept.word().is_none_or(|word| word < 5));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let mut program = Program::new(&kinds);
    let found =
        walker.walk(Recorded { path: &chain, goroutine: &[] }, &slice, &mut program).unwrap();
    assert_eq!(addresses(found.frames), [truth[0], truth[1], truth[3], truth[4]]);
    let steps: Vec<Step> = found.frames.iter().map(|frame| frame.step).collect();
    assert_eq!(steps, [Step::Proven, Step::Gap, Step::Recorded, Step::Recorded]);
    assert_eq!(found.end, WalkEnd::Recorded);
}

fn code(address: u64) -> KeptValue {
    KeptValue::Code { module: CODE, address }
}

fn kept(word: u32, value: KeptValue) -> Kept {
    Kept { place: Kept::place_of_word(word), value }
}

#[test]
fn stacks_that_do_not_grow_and_stacks_without_end_are_cut() {
    let kept = |word| kept(word, code(0x110));
    let mut walker = Walker::new(Machine::X86_64).unwrap();
    let leaf = [(CODE, 0x110)];
    let mut cyclic = Program::default();
    cyclic.rules.insert(1, Ok(rule(Cfa::Register(7, 0), None)));
    cyclic.rules.get_mut(&1).unwrap().as_mut().unwrap().return_address = Saved::AtCfa(0);
    let slice = Slice { looked_at_words: 1, kept: vec![kept(0)], other: None };
    let found = walker.walk(Recorded { path: &leaf, goroutine: &[] }, &slice, &mut cyclic).unwrap();
    assert_eq!(found.end, WalkEnd::Stopped(Stop::Absurd, CODE));
    assert_eq!(found.frames.len(), 2);
    for offset in [i64::MAX, i64::MIN, -8, 1 << 40, 12] {
        cyclic.rules.insert(1, Ok(rule(Cfa::Register(7, offset), Some(Saved::AtCfa(i64::MIN)))));
        let found =
            walker.walk(Recorded { path: &leaf, goroutine: &[] }, &slice, &mut cyclic).unwrap();
        assert_eq!(found.frames.len(), 1, "{offset}");
    }
    let deep =
        Slice { looked_at_words: 20_000, kept: (0..20_000).map(kept).collect(), other: None };
    let mut program = Program::new(&[Kind::Bare(0)]);
    let found = walker.walk(Recorded { path: &leaf, goroutine: &[] }, &deep, &mut program).unwrap();
    assert_eq!(found.end, WalkEnd::Stopped(Stop::TooDeep, CODE));
    assert_eq!(found.frames.len(), MAX_FRAMES + 1);
    assert!(walker.walk(Recorded { path: &[], goroutine: &[] }, &deep, &mut program).is_none());
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..4u8, 0..12u8).prop_map(|(kind, words)| match kind {
        0 => Kind::FramePointer(words),
        1 => Kind::Bare(words),
        2 => Kind::Busy(words),
        _ => Kind::Realigned(words),
    })
}

fn program() -> impl Strategy<Value = (Vec<Kind>, Vec<usize>)> {
    prop::collection::vec(kind(), 1..6).prop_flat_map(|kinds| {
        let functions = kinds.len();
        (Just(kinds), prop::collection::vec(0..functions, 0..40))
    })
}

proptest! {
    #[test]
    fn with_tables_and_the_whole_slice_the_stack_is_the_true_one((kinds, calls) in program()) {
        let (frames, end, truth) = walk(&kinds, &calls, MANY);
        prop_assert_eq!(addresses(&frames), truth);
        prop_assert_eq!(end, WalkEnd::Root);
        prop_assert!(frames.iter().all(|frame| frame.step == Step::Proven));
    }

    #[test]
    fn with_any_slice_no_frame_is_invented_and_none_is_lost(
        (kinds, calls) in program(),
        words in 0..80usize,
    ) {
        let (frames, end, truth) = walk(&kinds, &calls, words);
        let found = addresses(&frames);
        prop_assert!(is_part_of(&found, &truth), "{:x?} of {:x?}", found, truth);
        let (memory, _) = call(&kinds, &calls);
        let chain: Vec<u64> = memory.chain(truth[0]).iter().map(|frame| frame.1).collect();
        prop_assert!(is_part_of(&chain, &found), "{:x?} of {:x?}", chain, found);
        if end == WalkEnd::Root {
            prop_assert_eq!(&found, &truth);
        }
        // What is said to be proven is the next frame of the true stack.
        let proven = frames.iter().take_while(|frame| frame.step == Step::Proven).count();
        let known = (proven + 1).min(found.len());
        prop_assert_eq!(&found[..known], &truth[..known]);
    }

    #[test]
    fn in_a_program_with_frame_pointers_small_slices_are_enough(
        sizes in prop::collection::vec(0..30u8, 1..4),
        calls in prop::collection::vec(0..4usize, 0..30),
        leaf_words in 0..4u8,
    ) {
        let mut kinds: Vec<Kind> = sizes.iter().map(|words| Kind::FramePointer(*words)).collect();
        let mut calls: Vec<usize> = calls.iter().map(|call| call % kinds.len()).collect();
        kinds.push(Kind::Bare(leaf_words));
        calls.push(kinds.len() - 1);
        let (frames, end, truth) = walk(&kinds, &calls, 8);
        prop_assert_eq!(addresses(&frames), truth.clone());
        prop_assert!(end == WalkEnd::Root || truth.len() == frames.len());
    }
}
