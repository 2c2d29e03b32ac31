use super::*;

/// `gosave_systemstack_switch` of Go 1.27 at `at`, with systemstack_switch 0x700 behind it.
fn save(older: bool) -> Vec<u8> {
    let mut code = vec![0x4c, 0x8d, 0x0d, 0xf9, 6, 0, 0]; // lea 0x6f9(%rip), %r9
    code.extend([0x4d, 0x89, 0x4e, 0x40]); // mov %r9, 0x40(%r14)
    code.extend([0x4c, 0x8d, 0x4c, 0x24, 8]); // lea 8(%rsp), %r9
    code.extend([0x4d, 0x89, 0x4e, 0x38]); // mov %r9, 0x38(%r14)
    if older {
        code.extend([0x49, 0xc7, 0x46, 0x58, 0, 0, 0, 0]); // movq $0, 0x58(%r14)
    }
    code.extend([0x49, 0x89, 0x6e, 0x60]); // mov %rbp, 0x60(%r14)
    code
}

/// `systemstack` behind the entry, whose call leads `back` bytes from its end.
fn systemstack(is_independent: bool, back: i32) -> Vec<u8> {
    let mut code = if is_independent {
        // mov $-8, %rcx; mov %fs:(%rcx), %rax
        vec![0x48, 0xc7, 0xc1, 0xf8, 0xff, 0xff, 0xff, 0x64, 0x48, 0x8b, 0x01]
    } else {
        vec![0x64, 0x48, 0x8b, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff] // mov %fs:-8, %rax
    };
    code.extend([0x48, 0x8b, 0x58, 0x30]); // mov 0x30(%rax), %rbx
    code.extend([0x48, 0x3b, 0x43, 0x48, 0x74, 0x65]); // cmp 0x48(%rbx), %rax; je
    code.extend([0x48, 0x8b, 0x13]); // mov (%rbx), %rdx
    code.extend([0x48, 0x39, 0xd0, 0x74, 0x5e]); // cmp %rdx, %rax; je
    code.extend([0x48, 0x3b, 0x83, 0xb8, 0, 0, 0, 0x75, 0x5d]); // cmp 0xb8(%rbx), %rax; jne
    code.push(0xe8);
    code.extend((-back).to_le_bytes());
    code
}

const SAVE_AT: usize = 0x2_1000;
const CODE: std::ops::Range<u64> = 0x1000..0x9_0000;

/// A file with the two functions, the second one `distance` behind the first.
fn file(older: bool, is_independent: bool, distance: usize) -> Vec<u8> {
    let mut bytes = vec![0xcc; 0x9_0000];
    let code = save(older);
    bytes[SAVE_AT..SAVE_AT + code.len()].copy_from_slice(&code);
    let length = systemstack(is_independent, 0).len();
    let code = systemstack(is_independent, (distance + length) as i32);
    let at = SAVE_AT + distance;
    bytes[at..at + length].copy_from_slice(&code);
    bytes
}

fn of(bytes: &[u8]) -> Option<GoRuntime> {
    let read = |offset: u64, length: usize| {
        let start = (offset as usize).min(bytes.len());
        bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
    };
    find(&read, CODE)
}

const FOUND: GoRuntime = GoRuntime {
    switch_at: SAVE_AT as u64 + 0x700,
    save_at: SAVE_AT as u64,
    offsets: GoOffsets {
        g: -8,
        g_m: 0x30,
        m_g0: 0,
        m_curg: 0xb8,
        g_sched_sp: 0x38,
        g_sched_pc: 0x40,
        g_sched_bp: 0x60,
        zero: 0,
    },
};

#[test]
fn both_forms_of_both_functions_are_read() {
    for older in [false, true] {
        for is_independent in [false, true] {
            assert_eq!(of(&file(older, is_independent, 0x729)), Some(FOUND));
        }
    }
}

#[test]
fn code_is_found_wherever_the_pieces_it_is_read_in_begin() {
    let whole = file(true, false, 0x729);
    for shift in (0..64).chain([0x1_0000, 0x1_ffff]) {
        let mut bytes = vec![0xcc; shift];
        bytes.extend(&whole);
        let found = of(&bytes).expect("found");
        assert_eq!(found.switch_at, FOUND.switch_at + shift as u64, "{shift}");
        assert_eq!(found.offsets, FOUND.offsets);
    }
}

#[test]
fn what_is_not_exactly_that_is_nothing() {
    assert_eq!(of(&[]), None);
    assert_eq!(of(&file(false, false, 0x8000)), None, "too far apart");
    let whole = file(false, false, 0x100);
    let differs = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        of(&bytes)
    };
    for at in SAVE_AT..SAVE_AT + save(false).len() {
        assert_ne!(differs(at), Some(FOUND), "byte {at:#x}");
    }
    let call = SAVE_AT + 0x100 + systemstack(false, 0).len() - 5;
    for at in call..call + 5 {
        assert_eq!(differs(at), None, "the call leads elsewhere");
    }
    for cut in SAVE_AT..SAVE_AT + 0x200 {
        of(&whole[..cut]);
    }
}

#[test]
fn a_search_in_a_hostile_file_ends() {
    let repeated = save(false).repeat(0x9_0000 / save(false).len());
    let mut reads = std::cell::Cell::new(0);
    let read = |offset: u64, length: usize| {
        reads.set(reads.get() + 1);
        let start = (offset as usize).min(repeated.len());
        repeated[start..start.saturating_add(length).min(repeated.len())].to_vec()
    };
    assert_eq!(find(&read, 0..u64::MAX), None);
    assert_eq!(*reads.get_mut(), 1 + MAX_CANDIDATES);
    assert_eq!(find(&|_, length| vec![0x4c; length], 0..u64::MAX), None);
}
