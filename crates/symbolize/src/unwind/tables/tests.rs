use super::*;
use crate::unwind::{Cfa, Saved};

/// `.debug_frame` of one function at 0x1000..0x2000: a CIE that says CFA = rsp + 8, return address at
/// CFA - 8, and a description of these instructions.
fn debug_frame(instructions: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut entry = |id: u32, content: &[u8]| {
        bytes.extend((content.len() as u32 + 4).to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend(content);
    };
    // version 1, no augmentation, code 1, data -8, return address in 16
    entry(u32::MAX, &[1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1]);
    let range = [0x1000u64.to_le_bytes(), 0x1000u64.to_le_bytes()].concat();
    entry(0, &[&range, instructions].concat());
    bytes
}

fn sections(debug_frame: Vec<u8>) -> UnwindSections<'static> {
    UnwindSections {
        machine: Machine::X86_64,
        address_bytes: 8,
        eh_frame: Default::default(),
        eh_frame_at: Svma(0),
        eh_frame_hdr: Default::default(),
        eh_frame_hdr_at: Svma(0),
        debug_frame: debug_frame.into(),
        text_at: Svma(0),
        got_at: Svma(0),
        entry_at: Svma(0),
        is_go: false,
    }
}

fn rule(instructions: &[u8], address: u64) -> Result<Rule, NoRule> {
    UnwindTables::new(sections(debug_frame(instructions))).rule(Svma(address))
}

/// push rbp; mov rbp, rsp
const PROLOGUE: [u8; 9] = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0];

#[test]
fn a_prologue_has_three_rules() {
    let at = |address| rule(&PROLOGUE, address).unwrap();
    assert_eq!((at(0x1000).cfa, at(0x1000).registers), (Cfa::Register(7, 8), vec![]));
    let saved = vec![(6, Saved::AtCfa(-16))];
    assert_eq!((at(0x1001).cfa, at(0x1001).registers), (Cfa::Register(7, 16), saved.clone()));
    assert_eq!((at(0x1fff).cfa, at(0x1fff).registers), (Cfa::Register(6, 16), saved));
    let set = [0x1000, 0x1001, 0x1004].map(|address| at(address).frame_pointer());
    assert_eq!(set, [FramePointer::NotSet, FramePointer::NotSet, FramePointer::Set]);
    for outside in [0, 0xfff, 0x2000, u64::MAX] {
        assert_eq!(rule(&PROLOGUE, outside), Err(NoRule::NotCovered));
    }
    assert_eq!(rule(&[0x07, 16], 0x1000).unwrap().frame_pointer(), FramePointer::Outermost);
}

#[test]
fn nobody_called_the_code_that_a_program_begins_with() {
    let mut sections = sections(debug_frame(&PROLOGUE));
    sections.entry_at = Svma(0xff0);
    let tables = UnwindTables::new(sections);
    assert_eq!(tables.rule(Svma(0xfef)), Err(NoRule::NotCovered));
    assert_eq!(tables.rule(Svma(0x2000)), Err(NoRule::NotCovered));
    for address in [0xff0, 0xfff] {
        assert_eq!(tables.rule(Svma(address)).unwrap().return_address, Saved::Undefined);
    }
    assert_eq!(tables.rule(Svma(0x1000)).unwrap().return_address, Saved::AtCfa(-8));
}

#[test]
fn of_go_the_frame_pointer_is_known_without_being_said() {
    let mut sections = sections(debug_frame(&[0x44, 0x0e, 40]));
    sections.is_go = true;
    let tables = UnwindTables::new(sections);
    assert_eq!(tables.rule(Svma(0x1000)).unwrap().registers, []);
    let rule = tables.rule(Svma(0x1004)).unwrap();
    assert_eq!(rule.registers, [(6, Saved::AtCfa(-16))]);
    assert!(rule.sets_frame_pointer);
}

#[test]
fn hostile_instructions_end_in_a_rule_or_a_reason() {
    let damaged = |instructions: &[u8]| rule(instructions, 0x1800) == Err(NoRule::Damaged);
    assert!(damaged(&[0x0a; 1000]), "states remembered without end");
    assert!(damaged(&[0x0b]), "a state that was not remembered");
    assert!(damaged(&[0x0c, 0xc8, 1, 8]), "a CFA in a vector register");
    assert!(damaged(&[0x0e]), "cut");
    assert!(damaged(&[0x0f, 0xff, 0xff, 0x03, 0]), "an expression longer than the section");
    assert!(damaged(&[&[0x0f, 0xac, 2][..], &[0x12; 300]].concat()), "one of 300 bytes");
    assert!(damaged(&vec![0; MAX_FDE_BYTES]), "a description of 64 KiB");
    // Far jumps of the location end the rows before the address, or wrap and are refused.
    let far = [0x04, 0xff, 0xff, 0xff, 0xff].repeat(8);
    assert_eq!(rule(&far, 0x1800).unwrap().cfa, Cfa::Register(7, 8));
    let most = [0x0c, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    assert_eq!(rule(&most, 0x1800).map(|rule| rule.cfa), Ok(Cfa::Register(7, i64::MIN)));
}

#[test]
fn hostile_entries_are_not_covered() {
    let whole = debug_frame(&PROLOGUE);
    for length in 0..whole.len() {
        let tables = UnwindTables::new(sections(whole[..length].to_vec()));
        assert!(tables.rule(Svma(0x1001)).is_err(), "{length} bytes");
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let mut sections = sections(bytes);
            let _ = UnwindTables::new(sections.clone()).rule(Svma(0x1001));
            std::mem::swap(&mut sections.eh_frame, &mut sections.debug_frame);
            let _ = UnwindTables::new(sections).rule(Svma(0x1001));
        }
    }
    // A description whose CIE is itself, and a search table that leads everywhere.
    let mut cyclic = sections(whole);
    let own = cyclic.debug_frame.len() as u32 - 4 - 16 - PROLOGUE.len() as u32;
    cyclic.debug_frame.to_mut()[own as usize..][..4].copy_from_slice(&(own - 4).to_le_bytes());
    assert_eq!(UnwindTables::new(cyclic.clone()).rule(Svma(0x1001)), Err(NoRule::NotCovered));
    for distance in [0, 4, -4, i32::MAX, i32::MIN] {
        let mut table = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0];
        table.extend(0i32.to_le_bytes());
        table.extend(distance.to_le_bytes());
        cyclic.eh_frame = cyclic.debug_frame.clone();
        cyclic.eh_frame_hdr = table.into();
        cyclic.eh_frame_hdr_at = Svma(0x1000);
        cyclic.eh_frame_at = Svma(0x1000);
        assert_eq!(UnwindTables::new(cyclic.clone()).rule(Svma(0x1001)), Err(NoRule::NotCovered));
    }
}

#[test]
fn other_machines_have_no_tables() {
    let mut other = sections(debug_frame(&PROLOGUE));
    other.machine = Machine::Other(243);
    assert_eq!(UnwindTables::new(other.clone()).rule(Svma(0x1000)), Err(NoRule::NoTables));
    other.machine = Machine::X86_64;
    other.address_bytes = 4;
    assert_eq!(UnwindTables::new(other).rule(Svma(0x1000)), Err(NoRule::NoTables));
}
