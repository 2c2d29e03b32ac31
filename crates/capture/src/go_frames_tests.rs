use super::*;
use crate::record::GoOffsets;

impl Bytes for Vec<u8> {
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        self[start..start.saturating_add(length).min(self.len())].to_vec()
    }
}

const TEXT: u64 = 0x800;
const TABLE: u64 = 0x1000;

/// `systemstack_switch`, `gosave_systemstack_switch`, and a function with a frame of 24 bytes.
const ENTRIES: [u32; 3] = [0, 0x40, 0x80];
const END: u32 = 0x100;
const RUNTIME: GoRuntime = GoRuntime {
    switch_at: TEXT,
    save_at: TEXT + 0x40,
    offsets: GoOffsets {
        g: -8,
        g_m: 48,
        m_g0: 0,
        m_curg: 192,
        g_sched_sp: 56,
        g_sched_pc: 64,
        g_sched_bp: 96,
        zero: 0,
    },
};

/// A file of two sections whose table states nothing of where the code is.
fn file() -> Vec<u8> {
    let mut bytes = vec![0; 0x2000];
    let mut put = |at: u64, value: &[u8]| {
        bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
    };
    put(40, &0x100_u64.to_le_bytes());
    put(60, &[3, 0, 2, 0]);
    put(0x300, b"\0.text\0.gopclntab\0");
    for (number, (name, at)) in [(1_u32, TEXT), (7, TABLE), (0, 0x300)].into_iter().enumerate() {
        let row = 0x100 + number as u64 * 64;
        put(row, &name.to_le_bytes());
        put(row + 24, &at.to_le_bytes());
        put(row + 32, &0x100_u64.to_le_bytes());
    }
    put(TABLE, &HEADER[1]);
    for (index, word) in [3_u64, 0, 0, 0, 0, 0, 0x100, 0x200].into_iter().enumerate() {
        put(TABLE + 8 + index as u64 * 8, &word.to_le_bytes());
    }
    // Depths: 0 all the way; and 0, after 4 bytes 24, in the last 2 bytes 0 again.
    put(TABLE + 0x110, &[2, 0x40, 0]);
    put(TABLE + 0x120, &[2, 4, 48, 0x7a, 47, 2, 0]);
    for (number, entry) in ENTRIES.into_iter().enumerate() {
        let record = 0x100 + 0x40 * number as u32;
        put(TABLE + 0x200 + 8 * number as u64, &entry.to_le_bytes());
        put(TABLE + 0x204 + 8 * number as u64, &record.to_le_bytes());
        let at = TABLE + 0x200 + u64::from(record);
        put(at, &entry.to_le_bytes());
        put(at + 16, &(if number == 2 { 0x20_u32 } else { 0x10 }).to_le_bytes());
    }
    put(TABLE + 0x218, &END.to_le_bytes());
    bytes
}

fn depths(bytes: Vec<u8>) -> Option<Vec<Option<u32>>> {
    let mut program = Program::open(bytes, &[], &RUNTIME)?;
    let places = [0x3f, 0x80, 0x83, 0x84, 0xfd, 0xfe, 0xff, 0x100];
    Some(places.map(|within| program.return_address_at(TEXT + within)).to_vec())
}

#[test]
fn the_table_says_how_far_the_return_address_is_from_the_stack_pointer() {
    let found = [Some(0), Some(0), Some(0), Some(24), Some(24), Some(0), Some(0), None];
    assert_eq!(depths(file()).unwrap(), found);
}

#[test]
fn what_is_known_of_the_first_function_may_be_a_place_behind_its_entry() {
    let at = |switch_at| Program::open(file(), &[], &GoRuntime { switch_at, ..RUNTIME }).is_some();
    assert!(at(TEXT + 8));
    assert!(!at(TEXT + 9) && !at(TEXT - 1));
}

#[test]
fn a_table_that_does_not_have_the_functions_known_is_not_believed() {
    let mut moved = file();
    moved[0x100 + 24..0x100 + 32].copy_from_slice(&(TEXT + 0x10).to_le_bytes());
    assert_eq!(depths(moved), None);
    let mut older = file();
    older[TABLE as usize] = 0xfa;
    assert_eq!(depths(older), None);
}

#[test]
fn what_is_cut_off_or_hostile_ends() {
    let whole = file();
    for cut in (0..whole.len()).step_by(3) {
        depths(whole[..cut].to_vec());
    }
    for at in (0..0x400).chain(TABLE as usize..TABLE as usize + 0x340) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        depths(bytes);
    }
    assert_eq!(Function::parse(&[2, 0], 100).0, []);
    assert_eq!(Function::parse(&[0xff; 64], 100).0, []);
    assert_eq!(Function::parse(&[0, 5], 100).0, [], "a depth below zero");
}

#[test]
fn every_function_of_a_real_program_begins_at_its_return_address() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/go/sysroot/usr/local/lib/flamearc-testdata/service"
    );
    let bytes = std::fs::read(path).unwrap();
    let facts = elf_facts::read(|offset, length| bytes.read(offset, length)).unwrap();
    let mut program = Program::open(bytes, &facts.segments, &facts.go_runtime.unwrap()).unwrap();
    assert!(program.count > 2000, "{}", program.count);
    let (mut framed, mut unknown) = (0, 0);
    for index in 0..program.count {
        let entry = program.bytes.u32(program.functions_at + u64::from(index) * 8).unwrap();
        let at = program.code_at + u64::from(entry);
        assert!(matches!(program.return_address_at(at), Some(0) | None), "function {index}");
        let Some(function) = &program.known[&entry] else {
            let record = program.row(entry).unwrap().record;
            let depths = program.bytes.u32(program.functions_at + u64::from(record) + 16);
            assert_eq!(depths, Some(0), "function {index} is Go's");
            unknown += 1; // C code
            continue;
        };
        framed += usize::from(function.0.iter().any(|(_, depth)| *depth > 0));
    }
    assert!(unknown < 30, "{unknown} of C");
    assert!(framed * 10 > program.count as usize * 7, "{framed} have a frame");
}
