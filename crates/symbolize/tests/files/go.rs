//! Go tables by construction, in each layout. (Real ones: `oracle.rs`.)

use crate::elf_builder::{ALLOC, CODE, ElfBuilder, uleb};
use profile::{NameSource, NoName, Svma};
use proptest::prelude::*;
use symbolize::{Files, FramePointer, Symbols};

const TEXT_SECTION: u64 = 0x40_2000;
/// Go's code begins behind C's.
const GO_TEXT: u64 = 0x40_2100;
const TABLE: u64 = 0x50_0000;
const MODULE: u64 = 0x60_0000;

struct Function {
    name: &'static str,
    start: u32,
    end: u32,
    frame_bytes: i64,
    outermost: bool,
}

const FUNCTIONS: [Function; 3] = [
    Function { name: "runtime.rt0_go", start: 0, end: 0x20, frame_bytes: 0, outermost: true },
    Function { name: "main.leaf", start: 0x20, end: 0x35, frame_bytes: 0, outermost: false },
    Function { name: "main.(*T).Work", start: 0x40, end: 0x80, frame_bytes: 24, outermost: false },
];
const GO_END: u64 = GO_TEXT + 0x80;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Layout {
    Go116,
    Go118,
    Go120,
}
const LAYOUTS: [Layout; 3] = [Layout::Go116, Layout::Go118, Layout::Go120];

/// What to write otherwise than Go's linker does.
#[derive(Clone, Copy, Default)]
struct Twist {
    text_start: u64,
    encrypt_entries: bool,
    descending: bool,
}

struct Table {
    bytes: Vec<u8>,
    names_at: u64,
    functions_at: u64,
}

fn zigzag(value: i64) -> Vec<u8> {
    uleb(((value << 1) ^ (value >> 63)) as u64)
}

fn table(layout: Layout, twist: Twist) -> Table {
    let absolute = layout == Layout::Go116;
    let (mut names, mut depths) = (Vec::new(), vec![0u8]);
    let mut offsets = Vec::new();
    for f in &FUNCTIONS {
        offsets.push((names.len() as u32, depths.len() as u32));
        names.extend(f.name.bytes());
        names.push(0);
        // Nothing on the stack for four bytes of code, then the frame.
        depths.extend([zigzag(1), uleb(4)].concat());
        depths.extend([zigzag(f.frame_bytes), uleb(u64::from(f.end - f.start - 4))].concat());
        depths.push(0);
        if f.frame_bytes == 0 {
            depths.truncate(offsets.last().unwrap().1 as usize);
            depths.extend([zigzag(1), uleb(u64::from(f.end - f.start))].concat());
            depths.push(0);
        }
    }
    let row_bytes = if absolute { 16 } else { 8 };
    let mut rows: Vec<u8> = Vec::new();
    let mut records: Vec<u8> = Vec::new();
    let records_at = (row_bytes * FUNCTIONS.len() + row_bytes / 2).next_multiple_of(8);
    let word = |value: u64| {
        if absolute { value.to_le_bytes().to_vec() } else { (value as u32).to_le_bytes().to_vec() }
    };
    let entry = |offset: u32| u64::from(offset) + if absolute { GO_TEXT } else { 0 };
    for (f, (name, depth)) in FUNCTIONS.iter().zip(&offsets) {
        let start = if twist.descending { 0x100 - f.start } else { f.start };
        rows.extend(word(entry(start)));
        rows.extend(word((records_at + records.len()) as u64));
        let encrypted = if twist.encrypt_entries { 0x5a5a } else { 0 };
        records.extend(word(entry(f.start) ^ encrypted));
        // name, args, deferreturn, pcsp, pcfile, pcln, npcdata, cuOffset
        for field in [*name, 0, 0, *depth, 1, 1, 0, 0] {
            records.extend(field.to_le_bytes());
        }
        if layout == Layout::Go120 {
            records.extend(7u32.to_le_bytes());
        }
        records.extend([0, u8::from(f.outermost), 0, 0]);
        records.resize(records.len().next_multiple_of(8), 0);
    }
    rows.extend(word(entry(FUNCTIONS[2].end)));
    rows.resize(records_at, 0);
    let magic: u32 = match layout {
        Layout::Go116 => 0xffff_fffa,
        Layout::Go118 => 0xffff_fff0,
        Layout::Go120 => 0xffff_fff1,
    };
    let mut bytes = magic.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    let header_bytes = if absolute { 64 } else { 72 };
    let names_at = header_bytes;
    let units_at = names_at + names.len() as u64;
    let depths_at = units_at + 8;
    let functions_at = (depths_at + depths.len() as u64).next_multiple_of(8);
    let mut words = vec![FUNCTIONS.len() as u64, 0];
    if !absolute {
        words.push(twist.text_start);
    }
    words.extend([names_at, units_at, units_at, depths_at, functions_at]);
    words.iter().for_each(|w| bytes.extend(w.to_le_bytes()));
    bytes.extend(&names);
    bytes.extend([0; 8]);
    bytes.extend(&depths);
    bytes.resize(functions_at as usize, 0);
    bytes.extend([rows, records].concat());
    Table { bytes, names_at, functions_at }
}

fn moduledata(table: &Table) -> Vec<u8> {
    let mut words = [0u64; 40];
    words[0] = TABLE;
    words[1] = TABLE + table.names_at;
    words[13] = TABLE + table.functions_at;
    words[17] = FUNCTIONS.len() as u64 + 1;
    words[20] = GO_TEXT;
    words[21] = GO_END;
    words[22] = GO_TEXT;
    words.map(u64::to_le_bytes).concat()
}

fn file(table: &Table, with_moduledata: bool) -> ElfBuilder {
    let file = ElfBuilder::default()
        .section(".text", CODE, TEXT_SECTION, vec![0x90; 0x1000])
        .section(".gopclntab", ALLOC, TABLE, table.bytes.clone());
    // Somewhere in the data, not at its start.
    let data = [vec![0; 64], moduledata(table)].concat();
    if with_moduledata { file.section(".noptrdata", ALLOC, MODULE, data) } else { file }
}

fn open(bytes: &[u8]) -> Symbols<'_> {
    Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap()
}

fn name(symbols: &Symbols<'_>, address: u64) -> Result<(String, NameSource), NoName> {
    let frames = symbols.lookup(Svma(address))?;
    Ok((frames[0].name.to_string(), frames[0].source))
}

fn expect_all_names(symbols: &Symbols<'_>) {
    for f in &FUNCTIONS {
        for offset in [f.start, f.end - 1] {
            let found = name(symbols, GO_TEXT + u64::from(offset));
            assert_eq!(found, Ok((f.name.to_string(), NameSource::Pclntab)));
        }
    }
}

#[test]
fn functions_are_named_in_every_layout_and_no_further_than_they_reach() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        let symbols = open(&bytes);
        expect_all_names(&symbols);
        for outside in [GO_TEXT - 1, GO_TEXT + 0x35, GO_TEXT + 0x3f, GO_END, GO_END + 0x100] {
            assert_eq!(name(&symbols, outside), Err(NoName::OutOfRange), "{layout:?} {outside:#x}");
        }
    }
}

#[test]
fn a_file_without_sections_answers_the_same() {
    for layout in LAYOUTS {
        let table = table(layout, Twist::default());
        let bytes = file(&table, true).erase_section_table().build();
        expect_all_names(&open(&bytes));
    }
}

#[test]
fn c_code_keeps_its_own_names() {
    let table = table(Layout::Go120, Twist::default());
    let c = [("start", TEXT_SECTION, 0x40, 1), ("compress", GO_END, 0x40, 1)];
    let bytes = file(&table, true).symtab(&c).build();
    let symbols = open(&bytes);
    assert_eq!(name(&symbols, TEXT_SECTION).unwrap().0, "start");
    assert_eq!(name(&symbols, GO_END).unwrap(), ("compress".to_string(), NameSource::Symtab));
    expect_all_names(&symbols);
}

#[test]
fn the_text_base_comes_from_a_source_that_knows_it_or_not_at_all() {
    let unstated = table(Layout::Go120, Twist::default());
    let stated = table(Layout::Go120, Twist { text_start: GO_TEXT, ..Twist::default() });
    expect_all_names(&open(&file(&stated, false).build()));
    // The header says 0 (Go 1.26): the symbol says it, and `.text` never does.
    let symbol = [("runtime.text", GO_TEXT, 0, 1)];
    expect_all_names(&open(&file(&unstated, false).symtab(&symbol).build()));
    let refused = file(&unstated, false).build();
    assert_eq!(name(&open(&refused), GO_TEXT), Err(NoName::Obfuscated));
    // The oldest layout has addresses and needs no base.
    expect_all_names(&open(&file(&table(Layout::Go116, Twist::default()), false).build()));
}

#[test]
fn tables_that_contradict_themselves_are_said_to_be_obfuscated() {
    for layout in LAYOUTS {
        let encrypted = table(layout, Twist { encrypt_entries: true, ..Twist::default() });
        let bytes = file(&encrypted, true).build();
        assert_eq!(name(&open(&bytes), GO_TEXT + 0x21), Err(NoName::Obfuscated));
        let descending = table(layout, Twist { descending: true, ..Twist::default() });
        let bytes = file(&descending, true).build();
        assert_eq!(name(&open(&bytes), GO_TEXT + 0x21), Err(NoName::Obfuscated));
        let mut altered = table(layout, Twist::default());
        altered.bytes[0] ^= 0x20;
        let bytes = file(&altered, true).build();
        assert_eq!(name(&open(&bytes), GO_TEXT + 0x21), Err(NoName::Obfuscated));
    }
}

#[test]
fn a_go_function_has_the_frame_pointer_where_it_has_a_frame() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        let symbols = open(&bytes);
        for (offset, expected) in [
            (0x00, FramePointer::Outermost),
            (0x22, FramePointer::NotSet),
            (0x41, FramePointer::NotSet), // before the frame is made
            (0x44, FramePointer::Set),
            (0x7f, FramePointer::Set),
            (0x36, FramePointer::Unknown), // padding
        ] {
            let found = symbols.frame_pointer(Svma(GO_TEXT + offset));
            assert_eq!(found, expected, "{layout:?} {offset:#x}");
        }
    }
}

proptest! {
    #[test]
    fn damaged_tables_are_answered(
        layout in 0..LAYOUTS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut table = table(LAYOUTS[layout], Twist::default());
        let whole = file(&table, true).build();
        for (at, value) in damage {
            let at = at.index(table.bytes.len());
            table.bytes[at] = value;
        }
        let bytes = file(&table, true).build();
        prop_assert_eq!(bytes.len(), whole.len());
        let symbols = open(&bytes);
        for address in TEXT_SECTION..GO_END + 16 {
            if let Ok(frames) = symbols.lookup(Svma(address)) {
                prop_assert_eq!(frames.len(), 1);
            }
            symbols.frame_pointer(Svma(address));
        }
    }
}
