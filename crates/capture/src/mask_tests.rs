use std::rc::Rc;

use super::*;
use crate::mapped_file::MappedFile;
use crate::sideband::Identity;

const SP: u64 = 0x7ffd_1234_5678;
const PROGRAM: u64 = 0x5555_5555_4000;
const LIBRARY: u64 = 0x7f00_0000_0000;

fn maps() -> AddressMap {
    let mut maps = AddressMap::default();
    for (start, name) in [(PROGRAM, "/bin/server"), (LIBRARY, "/lib/libc.so")] {
        let file = Rc::new(MappedFile::new(name.as_bytes(), Identity::NONE));
        maps.insert(Region { start, end: start + 0x1000, file_offset: 0x2000, file });
    }
    maps
}

/// Modules 1 and 2, at their mappings' starts.
fn place_of(region: &Region) -> Place {
    Place { module: ModuleId(if region.start == PROGRAM { 1 } else { 2 }), base: region.start }
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// In the order of [`REGISTERS`]; `others` take turns in all but stack and instruction pointer.
fn registers(others: &[u64]) -> Vec<u64> {
    let mut others = others.iter().copied().cycle();
    let value = |number| match number {
        STACK_POINTER => SP,
        INSTRUCTION_POINTER => PROGRAM + 0x10,
        _ => others.next().unwrap(),
    };
    REGISTERS.into_iter().map(value).collect()
}

fn masked(registers: &[u64], stack: &[u64]) -> Slice {
    let (registers, stack) = (bytes(registers), bytes(stack));
    let mut slice = Slice {
        looked_at_words: 77,
        kept: vec![Kept { place: 1, value: KeptValue::Stack(1) }],
        other: None,
    };
    assert!(mask(Words(&registers), Words(&stack), &maps(), place_of, &mut slice));
    slice
}

fn code(module: u32, address: u64) -> KeptValue {
    KeptValue::Code { module: ModuleId(module), address }
}

fn words(slice: &Slice) -> Vec<(u32, KeptValue)> {
    slice.kept.iter().filter_map(|kept| Some((kept.word()?, kept.value))).collect()
}

#[test]
fn code_is_kept_in_its_place() {
    let stack = [0, PROGRAM + 0x20, 5, SP - 8, LIBRARY + 0x30, SP + 32];
    let slice = masked(&registers(&[1]), &stack);
    assert_eq!(slice.looked_at_words, 6);
    assert_eq!(words(&slice), [(1, code(1, 0x20)), (4, code(2, 0x30))]);
    assert_eq!(slice.kept.len(), 2, "no register");
}

/// What is kept of a pointer in word 1 to word 10, with code in these words.
fn pointer_with_code_at(places: &[usize]) -> bool {
    let mut stack = [0; 16];
    stack[1] = SP + 80;
    places.iter().for_each(|place| stack[*place] = PROGRAM + 0x20);
    let kept = words(&masked(&registers(&[1]), &stack));
    assert_eq!(kept.iter().filter(|(_, value)| *value == code(1, 0x20)).count(), places.len());
    kept.contains(&(1, KeptValue::Stack(80)))
}

#[test]
fn pointers_are_kept_where_code_says_that_they_are_of_a_frame() {
    for place in 0..16 {
        let serves = [2, 9, 10, 11, 13].contains(&place);
        assert_eq!(place != 1 && pointer_with_code_at(&[place]), serves, "code in word {place}");
    }
    assert!(!pointer_with_code_at(&[0, 3, 7, 8, 12, 14, 15]));
}

#[test]
fn pointers_lead_up_the_stack_to_whole_words() {
    let c = PROGRAM + 0x20;
    let kept = |stack: &[u64]| words(&masked(&registers(&[1]), stack)).len();
    assert_eq!(kept(&[0, c, SP + 24, 0, c]), 3);
    assert_eq!(kept(&[0, c, SP + 25, 0, c]), 2);
    assert_eq!(kept(&[0, c, SP + 16, c]), 2, "to its own place");
    assert_eq!(kept(&[c, c, SP]), 2, "down the stack");
    assert_eq!(kept(&[c, SP + 32, c, 0]), 3, "the end of what was looked at");
    assert_eq!(kept(&[c, SP + 40, c, 0]), 2, "beyond it");
}

#[test]
fn registers_are_kept_by_their_numbers_but_for_what_the_stack_says_itself() {
    let slice = masked(&registers(&[SP + 8, PROGRAM + 0x40, 9]), &[0, 0, PROGRAM + 0x60]);
    let kept = slice.kept.iter().filter(|kept| kept.register().is_some());
    let kept: Vec<_> = kept.map(|kept| (kept.place, kept.value)).collect();
    let stack = KeptValue::Stack(8);
    let expected = [(3, stack), (6, code(1, 0x40)), (12, stack), (13, code(1, 0x40)), (15, stack)];
    assert_eq!(kept, expected);
    for number in kept.iter().map(|(place, _)| place) {
        assert!(KEPT_REGISTERS.contains(number));
    }
    let slice = masked(&registers(&[SP + 8, SP]), &[0, 0]);
    assert_eq!(slice.kept, [], "no code around");
}

#[test]
fn the_ends_of_mappings_are_exact() {
    let end = PROGRAM + 0x1000;
    let stack = [PROGRAM, PROGRAM + 1, end, end + 1, LIBRARY];
    let expected = [
        (1, code(1, 1)),
        (2, code(1, 0x1000)), // where a call that never returns would return to
    ];
    assert_eq!(words(&masked(&registers(&[0]), &stack)), expected);
}

#[test]
fn the_largest_slice_is_looked_at_to_its_end() {
    const MAX_WORDS: usize = (64 << 10) / 8;
    let mut stack = vec![0; MAX_WORDS];
    stack[0] = SP + MAX_WORDS as u64 * 8 - 16;
    stack[MAX_WORDS - 1] = PROGRAM + 0x20;
    let expected =
        [(0, KeptValue::Stack(MAX_WORDS as u64 * 8 - 16)), (MAX_WORDS as u32 - 1, code(1, 0x20))];
    assert_eq!(words(&masked(&registers(&[1]), &stack)), expected);
}

#[test]
fn without_registers_or_mappings_nothing_is_kept() {
    let mut slice = Slice::default();
    assert!(!mask(Words(&[]), Words(&[]), &maps(), place_of, &mut slice));
    let (registers, stack) = (bytes(&registers(&[PROGRAM + 8])), bytes(&[PROGRAM + 8]));
    let nothing = AddressMap::default();
    assert!(mask(Words(&registers), Words(&stack), &nothing, place_of, &mut slice));
    assert_eq!(slice, Slice { looked_at_words: 1, kept: Vec::new(), other: None });
}

#[test]
fn of_the_other_stack_the_same_is_kept_relative_to_its_own_start() {
    let start = SP - 0x10_0000;
    let other = |words: &[u64]| {
        let bytes = bytes(&[&[start], words].concat());
        mask_other(Words(&bytes), &maps(), place_of)
    };
    let secret = u64::from_ne_bytes(*b"hunter2!");
    let kept = other(&[secret, start + 24, PROGRAM + 0x20, SP + 24, LIBRARY + 0x30]).unwrap();
    assert_eq!((kept.looked_at_words, &kept.other), (5, &None));
    let expected = [(1, KeptValue::Stack(24)), (2, code(1, 0x20)), (4, code(2, 0x30))];
    assert_eq!(words(&kept), expected, "no pointer into the stack that the thread stands on");
    assert_eq!(kept.kept.len(), 3, "no register");
    assert_eq!(other(&[]), Some(Box::default()));
    assert_eq!(mask_other(Words(&[]), &maps(), place_of), None, "it was not recorded");
}

/// Whatever stands beside it, a word that is neither code nor stack leaves no trace.
#[test]
fn no_word_of_data_is_kept_and_none_changes_what_is() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2000 {
        let length = 1 + (random() % 64) as usize;
        let stack_bytes = length as u64 * 8;
        let is_code = |word: &u64| {
            let inside = |start| *word > start && *word <= start + 0x1000;
            inside(PROGRAM) || inside(LIBRARY)
        };
        let mut draw = || match random() % 6 {
            0 => PROGRAM.wrapping_sub(8).wrapping_add(random() % 0x1010),
            1 => LIBRARY.wrapping_sub(8).wrapping_add(random() % 0x1010),
            2 => (SP - 16 + random() % (stack_bytes + 32)) & !(random() % 8),
            3 => u64::from_ne_bytes(*b"hunter2!") ^ (random() % 256),
            4 => random() & 0x7fff_ffff_ffff,
            _ => random(),
        };
        let values: Vec<u64> = (0..7).map(|_| draw()).collect();
        let registers = registers(&values);
        let stack: Vec<u64> = (0..length).map(|_| draw()).collect();
        // `own`: 0 for registers, else one more than the word's place.
        let useful = |own: usize, word: u64| {
            let target = (SP..=SP + stack_bytes).contains(&word).then(|| word - SP);
            let code_at = |place: u64| stack.get(place as usize).is_some_and(is_code);
            is_code(&word)
                || target.is_some_and(|bytes| {
                    let at = bytes / 8;
                    let around = [at.wrapping_sub(1), at, at + 1, at + 3].into_iter().any(code_at);
                    bytes % 8 == 0
                        && at as usize + 1 > own
                        && (around || own > 0 && code_at(own as u64))
                })
        };
        let slice = masked(&registers, &stack);
        // A stack that is the other one differs in nothing but that it has no registers.
        let other = mask_other(Words(&bytes(&[&[SP], &stack[..]].concat())), &maps(), place_of);
        assert_eq!(words(&other.unwrap()), words(&masked(&self::registers(&[0]), &stack)));
        let back = |value: KeptValue| match value {
            KeptValue::Stack(distance) => SP + distance,
            KeptValue::Code { module: ModuleId(1), address } => PROGRAM + address,
            KeptValue::Code { address, .. } => LIBRARY + address,
        };
        let kept: Vec<u64> = slice.kept.iter().map(|kept| back(kept.value)).collect();
        let of_registers = REGISTERS.into_iter().zip(&registers);
        let others = of_registers.filter(|(number, _)| KEPT_REGISTERS.contains(number));
        let all = others.map(|(_, word)| (0, word)).chain((1..).zip(&stack));
        let useful = all.filter(|(own, word)| useful(*own, **word));
        let expected: Vec<u64> = useful.map(|(_, word)| *word).collect();
        assert_eq!(kept, expected, "exactly what is useful, in order");
    }
}
