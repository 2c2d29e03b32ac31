//! Files that nobody's compiler wrote: nothing panics, nothing grows without bound.

use std::io::Write as _;

use crate::elf_builder::{CODE, COMPRESSED, ElfBuilder, uleb};
use profile::{NoName, Svma};
use proptest::prelude::*;
use symbolize::{Files, FramePointer, Symbols, demangle, identify};

const TINY: [&[u8]; 3] = [
    include_bytes!("../data/tiny-dwarf4.so"),
    include_bytes!("../data/tiny-dwarf5.so"),
    include_bytes!("../data/tiny-stripped.so"),
];
const TEXT: u64 = 0x1000;

/// Asks everything of a file that can be asked.
fn ask(bytes: &[u8]) {
    let _ = identify(bytes);
    for files in [
        Files { image: Some(bytes), ..Files::default() },
        Files { image: Some(TINY[2]), debug: Some(bytes), supplement: Some(bytes) },
    ] {
        let Ok(symbols) = Symbols::new(files) else { continue };
        for address in (0..0x1200).step_by(5) {
            if let Ok(frames) = symbols.lookup(Svma(address)) {
                assert!(!frames.is_empty());
                assert!(!frames.last().unwrap().inlined);
            }
            symbols.frame_pointer(Svma(address));
        }
        let all: Vec<Svma> = (0..0x1200).step_by(7).map(Svma).collect();
        for (address, found) in all.iter().zip(symbols.lookup_all(&all)) {
            assert_eq!(found.names, symbols.lookup(*address));
            for other in found.extent.clone().take(40).chain([found.extent.end - 1]) {
                assert_eq!(found.names, symbols.lookup(Svma(other)), "{address:?} {other:#x}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_are_answered(
        file in 0..TINY.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = TINY[file].to_vec();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        ask(&bytes);
    }

    #[test]
    fn any_name_is_shown_within_bounds(name in "(_Z|_ZN|_R|_RNv)[A-Za-z0-9_]{0,200}") {
        prop_assert!(demangle(&name).len() <= 16 << 10);
    }
}

/// The header of a DWARF 4 unit around its entries.
fn unit(entries: &[u8]) -> Vec<u8> {
    let mut unit = (entries.len() as u32 + 7).to_le_bytes().to_vec();
    unit.extend(4u16.to_le_bytes());
    unit.extend(0u32.to_le_bytes());
    unit.push(8);
    unit.extend(entries);
    unit
}

/// One abbreviation: code, tag, children, (attribute, form) pairs.
fn abbreviation(code: u64, tag: u64, children: bool, attributes: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = [uleb(code), uleb(tag), vec![u8::from(children)]].concat();
    for (name, form) in attributes {
        bytes.extend([uleb(*name), uleb(*form)].concat());
    }
    bytes.extend([0, 0]);
    bytes
}

const COMPILE_UNIT: u64 = 0x11;
const SUBPROGRAM: u64 = 0x2e;
const INLINED: u64 = 0x1d;
const NAME: (u64, u64) = (0x03, 0x08);
const LOW_PC: (u64, u64) = (0x11, 0x01);
const HIGH_PC: (u64, u64) = (0x12, 0x07);
const RANGES: (u64, u64) = (0x55, 0x17);
const ORIGIN: (u64, u64) = (0x31, 0x13);

fn extent() -> Vec<u8> {
    [TEXT.to_le_bytes(), 0x100u64.to_le_bytes()].concat()
}

fn with_dwarf(abbreviations: &[u8], entries: &[u8], ranges: Vec<u8>) -> Vec<u8> {
    ElfBuilder::default()
        .section(".text", CODE, TEXT, vec![0x90; 0x100])
        .section(".debug_abbrev", 0, 0, [abbreviations, &[0]].concat())
        .section(".debug_info", 0, 0, unit(entries))
        .section(".debug_ranges", 0, 0, ranges)
        .build()
}

fn names_at_text(file: &[u8]) -> Result<Vec<String>, NoName> {
    let symbols = Symbols::new(Files { image: Some(file), ..Files::default() }).unwrap();
    let frames = symbols.lookup(Svma(TEXT + 8))?;
    Ok(frames.iter().map(|f| f.name.to_string()).collect())
}

#[test]
fn a_million_nested_inlined_calls_are_cut() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, true, &[NAME, LOW_PC, HIGH_PC]),
        abbreviation(3, INLINED, true, &[NAME, LOW_PC, HIGH_PC]),
    ]
    .concat();
    let mut entries = [vec![1], extent(), vec![2], b"outer\0".to_vec(), extent()].concat();
    let inlined = [vec![3], b"in\0".to_vec(), extent()].concat();
    entries.extend(inlined.repeat(1_000_000));
    let names = names_at_text(&with_dwarf(&abbreviations, &entries, Vec::new())).unwrap();
    assert_eq!(names.len(), 256);
    assert_eq!(names.last().unwrap(), "outer");
}

#[test]
fn a_function_that_originates_from_itself_has_no_name() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, false, &[ORIGIN, LOW_PC, HIGH_PC]),
    ]
    .concat();
    let own_offset = 11 + 1 + 16u32;
    let entries =
        [vec![1], extent(), vec![2], own_offset.to_le_bytes().to_vec(), extent(), vec![0]].concat();
    let file = with_dwarf(&abbreviations, &entries, Vec::new());
    assert_eq!(names_at_text(&file), Err(NoName::OutOfRange));
}

#[test]
fn one_huge_range_list_shared_by_every_function_is_not_read_for_each() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, false, &[NAME, RANGES]),
    ]
    .concat();
    // 20,000 functions with 20,000 ranges each would be 9.6 GB of rows.
    let mut ranges = Vec::new();
    for i in 0..20_000u64 {
        ranges.extend([i * 2, i * 2 + 1].map(u64::to_le_bytes).concat());
    }
    ranges.extend([0; 16]);
    let function = [vec![2], b"f\0".to_vec(), 0u32.to_le_bytes().to_vec()].concat();
    let mut entries = [vec![1], extent()].concat();
    entries.extend(function.repeat(20_000));
    assert_eq!(names_at_text(&with_dwarf(&abbreviations, &entries, ranges)).unwrap(), ["f"]);
}

#[test]
fn a_section_that_claims_to_inflate_to_a_terabyte_is_left_alone() {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&[0; 1 << 20]).unwrap();
    let header = [1u32, 0].map(u32::to_le_bytes).concat();
    let sizes = [1u64 << 40, 1].map(u64::to_le_bytes).concat();
    let section = [header, sizes, packed.finish().unwrap()].concat();
    let file = ElfBuilder::default()
        .section(".text", CODE, TEXT, vec![0x90; 0x100])
        .section(".debug_info", COMPRESSED, 0, section)
        .build();
    assert_eq!(names_at_text(&file), Err(NoName::BadDebugInfo));
}

#[test]
fn a_hundred_thousand_symbols_for_one_range_have_one_name() {
    let long = "n".repeat(60_000);
    let symbols = vec![(long.as_str(), TEXT, 0x100, 1); 1_000];
    let mut more = vec![("short", TEXT, 0x100, 1); 100_000];
    more.extend(symbols);
    let file =
        ElfBuilder::default().section(".text", CODE, TEXT, vec![0x90; 0x100]).symtab(&more).build();
    assert_eq!(names_at_text(&file).unwrap(), ["short"]);
}

#[test]
fn a_symbol_beyond_its_section_is_cut_there() {
    let file = ElfBuilder::default()
        .section(".text", CODE, TEXT, vec![0x90; 0x100])
        .symtab(&[("endless", TEXT, u64::MAX, 1), ("sizeless", TEXT + 0x80, 0, 1)])
        .build();
    let symbols = Symbols::new(Files { image: Some(&file), ..Files::default() }).unwrap();
    assert_eq!(&*symbols.lookup(Svma(TEXT + 0xff)).unwrap()[0].name, "endless");
    assert_eq!(symbols.lookup(Svma(TEXT + 0x100)).unwrap_err(), NoName::OutOfRange);
    assert_eq!(symbols.frame_pointer(Svma(TEXT)), FramePointer::Unknown);
}

const IMPLICIT: u64 = 0x21;
const PRESENT: u64 = 0x19;
const STMT_LIST: (u64, u64) = (0x10, 0x17);
const NAMESPACE: u64 = 0x39;

#[test]
fn functions_nested_a_million_deep_end_the_unit() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, true, &[NAME, LOW_PC, HIGH_PC]),
        abbreviation(3, SUBPROGRAM, true, &[]),
        abbreviation(4, NAMESPACE, true, &[]),
    ]
    .concat();
    let mut entries = [vec![1], extent(), vec![2], b"outer\0".to_vec(), extent()].concat();
    entries.extend([3].repeat(2_000_000));
    assert_eq!(
        names_at_text(&with_dwarf(&abbreviations, &entries, Vec::new())).unwrap(),
        ["outer"]
    );
    let mut entries = [vec![1], extent()].concat();
    entries.extend([4].repeat(2_000_000));
    entries.extend([vec![2], b"inner\0".to_vec(), extent()].concat());
    assert_eq!(
        names_at_text(&with_dwarf(&abbreviations, &entries, Vec::new())).unwrap(),
        ["inner"]
    );
}

#[test]
fn an_entry_of_one_byte_with_a_million_attributes_is_refused() {
    let attributes: Vec<(u64, u64)> = vec![(0x3c, PRESENT); 300_000];
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, false, &attributes),
    ]
    .concat();
    let entries = [vec![1], extent(), [2].repeat(1_000_000)].concat();
    let file = with_dwarf(&abbreviations, &entries, Vec::new());
    assert_eq!(names_at_text(&file), Err(NoName::BadDebugInfo));
}

#[test]
fn a_sibling_further_back_ends_the_unit() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, false, &[NAME, LOW_PC, HIGH_PC]),
        abbreviation(3, 0x13, true, &[(0x01, 0x13)]),
    ]
    .concat();
    let mut entries = [vec![1], extent(), vec![2], b"f\0".to_vec(), extent()].concat();
    entries.extend([vec![3], 11u32.to_le_bytes().to_vec()].concat());
    assert_eq!(names_at_text(&with_dwarf(&abbreviations, &entries, Vec::new())).unwrap(), ["f"]);
}

/// A version 5 line program header whose table of files states `count` names without a byte.
fn lines_with_files(count: u64) -> Vec<u8> {
    let mut tables = vec![1, 1, 0, 0xfb, 14, 1, 0, 0, 1, 1, PRESENT as u8];
    tables.extend(uleb(count));
    let mut unit = [5u16.to_le_bytes().to_vec(), vec![8, 0]].concat();
    unit.extend((tables.len() as u32).to_le_bytes());
    unit.extend(tables);
    [(unit.len() as u32).to_le_bytes().to_vec(), unit].concat()
}

#[test]
fn files_without_a_byte_each_are_not_counted_to_the_end_of_time() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC, STMT_LIST]),
        abbreviation(2, SUBPROGRAM, false, &[NAME, LOW_PC, HIGH_PC]),
    ]
    .concat();
    let entries = [vec![1], extent(), vec![0; 4], vec![2], b"f\0".to_vec(), extent()].concat();
    for count in [1, 1 << 18, u64::MAX] {
        let file = ElfBuilder::default()
            .section(".text", CODE, TEXT, vec![0x90; 0x100])
            .section(".debug_abbrev", 0, 0, [&abbreviations[..], &[0]].concat())
            .section(".debug_info", 0, 0, unit(&entries))
            .section(".debug_line", 0, 0, lines_with_files(count))
            .build();
        assert_eq!(names_at_text(&file).unwrap(), ["f"]);
    }
}

/// Every unit has one byte of code and runs the same megabytes of lines.
#[test]
fn units_that_share_a_long_line_program_are_answered_without_lines_in_the_end() {
    const UNITS: u64 = 2_000;
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC, STMT_LIST]),
        abbreviation(2, SUBPROGRAM, false, &[NAME, LOW_PC, HIGH_PC]),
    ]
    .concat();
    let mut units = Vec::new();
    for number in 0..UNITS {
        let extent = [(TEXT + number).to_le_bytes(), 1u64.to_le_bytes()].concat();
        let entries = [&[1][..], &extent, &[0; 4], &[2], b"f\0", &extent].concat();
        units.extend(unit(&entries));
    }
    let mut tables = vec![1, 1, 0, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    tables.extend([0, 0]);
    let header_bytes = tables.len() as u32;
    let program = [0x20].repeat(4 << 20);
    let mut lines = [4u16.to_le_bytes().to_vec(), header_bytes.to_le_bytes().to_vec()].concat();
    lines.extend([tables, program].concat());
    let lines = [(lines.len() as u32).to_le_bytes().to_vec(), lines].concat();
    let file = ElfBuilder::default()
        .section(".text", CODE, TEXT, vec![0x90; UNITS as usize])
        .section(".debug_abbrev", 0, 0, [&abbreviations[..], &[0]].concat())
        .section(".debug_info", 0, 0, units)
        .section(".debug_line", 0, 0, lines)
        .build();
    let symbols = Symbols::new(Files { image: Some(&file), ..Files::default() }).unwrap();
    let addresses: Vec<Svma> = (TEXT..TEXT + UNITS).map(Svma).collect();
    let found = symbols.lookup_all(&addresses);
    assert!(found.iter().all(|found| &*found.names.as_ref().unwrap()[0].name == "f"));
}

#[test]
fn names_that_refer_to_one_another_across_files_end() {
    // Both files: a function that originates from the entry at the same place of the supplement.
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        abbreviation(2, SUBPROGRAM, false, &[(0x31, 0x1f20), LOW_PC, HIGH_PC]),
    ]
    .concat();
    let entries =
        [vec![1], extent(), vec![2], 28u32.to_le_bytes().to_vec(), extent(), vec![0]].concat();
    let file = with_dwarf(&abbreviations, &entries, Vec::new());
    for supplement in [None, Some(&*file)] {
        let files = Files { image: Some(&file), debug: None, supplement };
        let symbols = Symbols::new(files).unwrap();
        assert_eq!(symbols.lookup(Svma(TEXT)).unwrap_err(), NoName::OutOfRange);
    }
}

#[test]
fn a_constant_that_the_abbreviation_states_is_a_value_like_others() {
    let abbreviations = [
        abbreviation(1, COMPILE_UNIT, true, &[LOW_PC, HIGH_PC]),
        // `abbreviation` ends the list; the constant follows its form.
        [uleb(2), uleb(SUBPROGRAM), vec![0], uleb(0x3b), uleb(IMPLICIT), vec![0x2a]].concat(),
        [(0x03u64, 0x08u64), LOW_PC, HIGH_PC, (0, 0)]
            .iter()
            .flat_map(|(name, form)| [uleb(*name), uleb(*form)].concat())
            .collect(),
    ]
    .concat();
    let entries = [vec![1], extent(), vec![2], b"f\0".to_vec(), extent()].concat();
    let file = with_dwarf(&abbreviations, &entries, Vec::new());
    let symbols = Symbols::new(Files { image: Some(&file), ..Files::default() }).unwrap();
    assert_eq!(symbols.lookup(Svma(TEXT)).unwrap()[0].start_line, Some(42));
}

#[test]
fn mini_debug_info_that_is_no_archive_or_a_bomb_is_left_alone() {
    let bomb = lzma_bomb();
    for packed in [&b"\xfd7zXZ\0 and then nothing"[..], &bomb, &bomb[..bomb.len() / 2]] {
        let file = ElfBuilder::default()
            .section(".text", CODE, TEXT, vec![0x90; 0x100])
            .section(".gnu_debugdata", 0, 0, packed.to_vec())
            .build();
        assert_eq!(names_at_text(&file), Err(NoName::NoSymbols));
    }
}

/// 256 MiB of zeros.
fn lzma_bomb() -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    for _ in 0..256 {
        writer.write_all(&[0; 1 << 20]).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_program_that_was_cut_off_is_damaged_and_not_without_symbols() {
    let whole = std::fs::read("/proc/self/exe").unwrap();
    for length in [64, 4096, whole.len() / 2] {
        let symbols =
            Symbols::new(Files { image: Some(&whole[..length]), ..Files::default() }).unwrap();
        assert_eq!(symbols.lookup(Svma(1)), Err(NoName::BadDebugInfo), "{length} bytes");
    }
}
