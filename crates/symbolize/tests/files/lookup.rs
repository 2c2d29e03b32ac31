//! Look-ups in small files whose sources stand beside them (`data/`).

use profile::{BuildId, NameSource, NoName, Svma, Text};
use symbolize::{DebugLink, Files, FramePointer, Machine, SourceFrame, Symbols, identify};

const DWARF4: &[u8] = include_bytes!("../data/tiny-dwarf4.so");
const DWARF5: &[u8] = include_bytes!("../data/tiny-dwarf5.so");
const STRIPPED: &[u8] = include_bytes!("../data/tiny-stripped.so");
const DEBUG: &[u8] = include_bytes!("../data/tiny.debug");

fn image(bytes: &[u8]) -> Symbols<'_> {
    Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap()
}

/// Where a symbol (also a label, which look-ups pass over) stands.
fn address_of(name: &str) -> Svma {
    use object::{Object as _, ObjectSymbol as _};
    let file = object::File::parse(DWARF5).unwrap();
    Svma(file.symbols().find(|s| s.name() == Ok(name)).unwrap().address())
}

/// "name file:line", innermost first.
fn lines(frames: &[SourceFrame]) -> Vec<String> {
    let place = |f: &SourceFrame| {
        format!("{} {}:{}", f.name, f.file.as_deref().unwrap_or("?"), f.line.unwrap_or(0))
    };
    frames.iter().map(place).collect()
}

#[test]
fn inlined_calls_stand_before_the_function_whose_code_it_is() {
    for bytes in [DWARF4, DWARF5] {
        let frames = image(bytes).lookup(address_of("at_innermost")).unwrap();
        let expected = [
            "innermost /tiny/framed.c:8",
            "middle /tiny/framed.c:14",
            "with_inlines /tiny/framed.c:20",
        ];
        assert_eq!(lines(&frames), expected);
        let inlined: Vec<bool> = frames.iter().map(|f| f.inlined).collect();
        assert_eq!(inlined, [true, true, false]);
        assert!(frames.iter().all(|f| f.source == NameSource::Dwarf));
    }
}

#[test]
fn a_function_with_several_names_has_its_public_one() {
    let at = address_of("__superseded_name");
    let [frame] = &image(DWARF5).lookup(at).unwrap()[..] else { panic!("one function") };
    assert_eq!((&*frame.name, frame.source), ("public_name", NameSource::Symtab));
    assert_eq!(frame.line, Some(26));
    let [frame] = &image(STRIPPED).lookup(at).unwrap()[..] else { panic!("one function") };
    assert_eq!((&*frame.name, frame.source), ("public_name", NameSource::Dynsym));
}

#[test]
fn a_name_never_reaches_beyond_its_function() {
    let symbols = image(DWARF5);
    let start = address_of("with_inlines");
    let padding = Svma(address_of("leaf_without_frame").0 - 1);
    assert_eq!(symbols.lookup(padding).unwrap_err(), NoName::OutOfRange);
    assert_eq!(lines(&symbols.lookup(start).unwrap()), ["with_inlines /tiny/framed.c:18"]);
    assert_eq!(symbols.lookup(Svma(0x10)).unwrap_err(), NoName::OutOfRange);
    assert_eq!(symbols.lookup(Svma(u64::MAX)).unwrap_err(), NoName::OutOfRange);
}

#[test]
fn assembly_without_a_size_reaches_to_the_next_function_but_only_in_the_full_table() {
    let last = Svma(address_of("outermost").0 - 1);
    let frames = image(DWARF5).lookup(last).unwrap();
    assert_eq!(lines(&frames), ["hand_written ?:0"]);
    assert_eq!(image(STRIPPED).lookup(last).unwrap_err(), NoName::OutOfRange);
}

#[test]
fn a_stub_is_named_after_what_it_calls() {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(STRIPPED).unwrap();
    let plt = file.section_by_name(".plt").unwrap().address();
    let frames = image(STRIPPED).lookup(Svma(plt + 16)).unwrap();
    assert_eq!(lines(&frames), ["outside@plt ?:0"]);
    assert_eq!(image(STRIPPED).lookup(Svma(plt)).unwrap_err(), NoName::OutOfRange);
}

#[test]
fn a_separate_debug_file_gives_what_the_whole_file_gives() {
    let whole = image(DWARF5);
    let split = Symbols::new(Files { image: Some(STRIPPED), debug: Some(DEBUG), supplement: None })
        .unwrap();
    let alone = Symbols::new(Files { debug: Some(DEBUG), ..Files::default() }).unwrap();
    let text = address_of("with_inlines").0..address_of("outermost").0 + 8;
    for address in text.map(Svma) {
        let expected = whole.lookup(address);
        assert_eq!(split.lookup(address), expected);
        assert_eq!(alone.lookup(address), expected);
        assert_eq!(split.frame_pointer(address), whole.frame_pointer(address));
        assert_eq!(alone.frame_pointer(address), FramePointer::Unknown);
    }
}

#[test]
fn unwind_rules_tell_where_the_frame_pointer_is_the_functions_own() {
    let symbols = image(DWARF5);
    let framed = address_of("with_inlines");
    for (address, expected) in [
        (framed, FramePointer::NotSet),             // push %rbp
        (Svma(framed.0 + 1), FramePointer::NotSet), // mov %rsp,%rbp
        (Svma(framed.0 + 4), FramePointer::Set),
        (address_of("at_innermost"), FramePointer::Set),
        (address_of("leaf_without_frame"), FramePointer::NotSet),
        (address_of("outermost"), FramePointer::Outermost),
        (address_of("hand_written"), FramePointer::Unknown),
        (Svma(u64::MAX), FramePointer::Unknown),
    ] {
        assert_eq!(symbols.frame_pointer(address), expected, "at {address:?}");
    }
}

#[test]
fn unwind_rules_are_found_without_their_search_table_too() {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(DWARF5).unwrap();
    let (at, _) = file.section_by_name(".eh_frame_hdr").unwrap().file_range().unwrap();
    let mut without = DWARF5.to_vec();
    without[at as usize] = 9; // no known version
    let (with, without) = (image(DWARF5), image(&without));
    for address in (address_of("with_inlines").0..address_of("outermost").0 + 8).map(Svma) {
        assert_eq!(without.frame_pointer(address), with.frame_pointer(address), "at {address:?}");
    }
}

#[test]
fn the_order_of_questions_does_not_matter() {
    let addresses: Vec<Svma> = (0x1000..0x1200).map(Svma).collect();
    let ascending = image(DWARF5);
    let forward: Vec<_> = addresses.iter().map(|a| ascending.lookup(*a)).collect();
    let descending = image(DWARF5);
    let mut backward: Vec<_> = addresses.iter().rev().map(|a| descending.lookup(*a)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let again: Vec<_> = addresses.iter().map(|a| ascending.lookup(*a)).collect();
    assert_eq!(forward, again);
}

#[test]
fn several_threads_may_ask_one_module() {
    let symbols = image(DWARF5);
    let expected = symbols.lookup(address_of("at_innermost"));
    std::thread::scope(|scope| {
        let ask = || symbols.lookup(address_of("at_innermost"));
        let answers = [scope.spawn(ask), scope.spawn(ask)].map(|t| t.join().unwrap());
        assert!(answers.iter().all(|answer| *answer == expected));
    });
}

#[test]
fn a_file_says_who_it_is() {
    let id = BuildId::from_hex("0123456789abcdef0123456789abcdef01234567").unwrap();
    let stripped = identify(STRIPPED).unwrap();
    let crc = crc32(DEBUG);
    assert_eq!(stripped.machine, Machine::X86_64);
    assert_eq!(stripped.build_id, id);
    assert_eq!(stripped.debug_link, Some(DebugLink { name: Text::from("tiny.debug"), crc }));
    assert_eq!(stripped.alt_link, None);
    assert!(!stripped.has_symtab && stripped.has_dynsym && !stripped.has_debug_info);
    assert!(!stripped.has_pclntab && !stripped.has_mini_debug_info);
    assert!(stripped.go_build_id.is_empty());
    let debug = identify(DEBUG).unwrap();
    assert_eq!(debug.build_id, id);
    assert!(debug.has_symtab && !debug.has_dynsym && debug.has_debug_info);
    let addresses =
        |id: &symbolize::Identity| id.segments.iter().map(|s| s.svma).collect::<Vec<_>>();
    assert_eq!(addresses(&debug), addresses(&stripped));
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn what_cannot_be_opened_is_said() {
    use symbolize::Error;
    assert_eq!(Symbols::new(Files::default()).unwrap_err(), Error::NoFile);
    let text = Files { image: Some(b"#!/bin/sh\n"), ..Files::default() };
    assert_eq!(Symbols::new(text).unwrap_err(), Error::NotElf);
}

#[test]
fn the_frame_pointer_is_the_same_throughout_the_range_that_is_stated() {
    for bytes in [DWARF4, DWARF5, STRIPPED, DEBUG] {
        let symbols = image(bytes);
        for address in 0xf80..0x1280 {
            let (answer, extent) = symbols.frame_pointer_range(Svma(address));
            assert!(extent.contains(&address), "{address:#x} in {extent:x?}");
            let around = extent.start.max(0xf00)..extent.end.min(0x1300);
            for other in around {
                assert_eq!(symbols.frame_pointer(Svma(other)), answer, "{address:#x} {other:#x}");
            }
        }
    }
}
