//! Go tables by construction (`go_table.rs`), in each layout. (Real ones: `oracle.rs`.)

use crate::elf_builder::{ALLOC, DYNAMIC};
use crate::go_table::*;
use profile::{NameSource, NoName, Svma};
use proptest::prelude::*;
use symbolize::unwind::{Cfa, GoSwitch, NoRule, Rule, Saved, UnwindTables};
use symbolize::{Files, FramePointer, SourceFrame, Symbols};

fn open(bytes: &[u8]) -> Symbols<'_> {
    Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap()
}

fn name(symbols: &Symbols<'_>, address: u64) -> Result<(String, NameSource), NoName> {
    let frames = symbols.lookup(Svma(address))?;
    Ok((frames[0].name.to_string(), frames[0].source))
}

fn expect_all_names(symbols: &Symbols<'_>) {
    for f in &FUNCTIONS {
        let found = name(symbols, GO_TEXT + u64::from(f.start));
        assert_eq!(found, Ok((f.name.to_string(), NameSource::Pclntab)));
    }
}

#[test]
fn functions_are_named_in_every_layout_and_no_further_than_they_reach() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        let symbols = open(&bytes);
        expect_all_names(&symbols);
        for f in FUNCTIONS.iter().filter(|f| f.calls.is_empty()) {
            let last = GO_TEXT + u64::from(f.end()) - 1;
            assert_eq!(name(&symbols, last).unwrap().0, f.name);
        }
        for outside in [GO_TEXT - 1, GO_TEXT + 0x35, GO_TEXT + 0x3f, GO_END, GO_END + 0x100] {
            assert_eq!(name(&symbols, outside), Err(NoName::OutOfRange), "{layout:?} {outside:#x}");
        }
    }
}

type Row = (&'static str, &'static str, &'static str, u32, u32, bool);

/// Shown name, raw name, file, line, start line, inlined.
fn expect_frames(symbols: &Symbols<'_>, layout: Layout, address: u64, expected: &[Row]) {
    let frames = symbols.lookup(Svma(address)).unwrap();
    let expected = expected.iter().map(|&(name, raw, file, line, start_line, inlined)| {
        let start_line = (layout >= Go120).then_some(start_line);
        let (name, raw_name) = (name.into(), raw.into());
        let (file, line, source) = (Some(file.into()), Some(line), NameSource::Pclntab);
        SourceFrame { name, raw_name, file, line, start_line, inlined, source }
    });
    assert_eq!(frames, expected.collect::<Vec<_>>(), "{layout:?} {address:#x}");
}

const WORK: u64 = GO_TEXT + 0x40;
const DO: u64 = GO_TEXT + 0x90;

#[test]
fn inlined_calls_have_names_lines_and_start_lines() {
    let main = FILES[1];
    let min = ("a.b/c.Min", "a%2eb/c.Min", main, 12, 11, true);
    let map = |line| ("main.Map[...]", "main.Map[go.shape.int]", main, line, 20, true);
    let work = |line| ("main.(*T).Work", "main.(*T).Work", main, line, 30, false);
    for layout in LAYOUTS {
        let table = table(layout, Twist::default());
        for bytes in [file(&table, true).build(), file(&table, true).erase_section_table().build()]
        {
            let symbols = open(&bytes);
            expect_frames(&symbols, layout, WORK, &[work(31)]);
            expect_frames(&symbols, layout, WORK + 0x10, &[map(21), work(32)]);
            expect_frames(&symbols, layout, WORK + 0x17, &[min, map(21), work(32)]);
            expect_frames(&symbols, layout, WORK + 0x18, &[map(22), work(32)]);
            expect_frames(&symbols, layout, WORK + 0x20, &[work(33)]);
            let rt0 = ("runtime.rt0_go", "runtime.rt0_go", FILES[0], 11, 10, false);
            expect_frames(&symbols, layout, GO_TEXT, &[rt0]);
        }
    }
}

#[test]
fn an_answer_says_how_far_it_reaches() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        let symbols = open(&bytes);
        for (address, extent) in [
            (GO_TEXT + 0x1f, GO_TEXT..GO_TEXT + 0x20),
            (GO_TEXT + 0x23, GO_TEXT + 0x20..GO_TEXT + 0x24),
            (GO_TEXT + 0x24, GO_TEXT + 0x24..GO_TEXT + 0x35),
            (WORK + 0x15, WORK + 0x14..WORK + 0x18),
            (WORK + 0x3f, WORK + 0x20..WORK + 0x40),
        ] {
            let found = symbols.lookup_range(Svma(address));
            assert_eq!(found.extent, extent, "{layout:?} {address:#x}");
            for other in extent {
                assert_eq!(symbols.lookup(Svma(other)), found.names);
            }
        }
    }
}

#[test]
fn a_wrapper_is_dropped_unless_it_is_alone() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        let symbols = open(&bytes);
        let method = ("main.T.Do", "main.T.Do", FILES[1], 41, 40, false);
        expect_frames(&symbols, layout, DO + 8, &[method]);
        let alone = ("main.(*T).Do", "main.(*T).Do", FILES[1], 1, 1, false);
        expect_frames(&symbols, layout, DO, &[alone]);
    }
}

#[test]
fn calls_that_cannot_be_read_leave_the_function_without_a_line() {
    for layout in LAYOUTS {
        let endless = table(layout, Twist { endless_calls: true, ..Twist::default() });
        let mut elsewhere = table(layout, Twist::default());
        let funcdata = if layout >= Go126 { &mut elsewhere.bytes } else { &mut elsewhere.funcdata };
        let tree = funcdata.len() - if layout >= Go120 { 48 } else { 60 };
        // The names' places, of both calls.
        for at in if layout >= Go120 { [tree + 4, tree + 20] } else { [tree + 12, tree + 32] } {
            funcdata[at] += 1;
        }
        for table in [&endless, &elsewhere] {
            let bytes = file(table, true).build();
            let frames = open(&bytes).lookup(Svma(WORK + 0x15)).unwrap();
            assert_eq!(frames.len(), 1, "{layout:?}");
            assert_eq!((&*frames[0].raw_name, frames[0].line), ("main.(*T).Work", None));
            let frames = open(&bytes).lookup(Svma(WORK)).unwrap();
            assert_eq!(frames[0].line, Some(31), "no inlined call");
        }
    }
}

/// As external linkers leave position-independent programs.
#[test]
fn pointers_that_only_relocations_know_are_found() {
    for layout in LAYOUTS {
        let table = table(layout, Twist::default());
        let mut data = moduledata(&table);
        let mut relocations = Vec::new();
        for (word, at) in data.as_chunks_mut::<8>().0.iter_mut().zip((MODULE..).step_by(8)) {
            if u64::from_le_bytes(*word) >= GO_TEXT {
                relocations
                    .extend([at, 8, u64::from_le_bytes(*word)].map(u64::to_le_bytes).concat());
                *word = [0; 8];
            }
        }
        let rows = [7, 0x70_0000, 8, relocations.len() as u64, 0, 0];
        let file = file(&table, false)
            .section(".noptrdata", ALLOC, MODULE, data)
            .section(".rela.dyn", ALLOC, 0x70_0000, relocations)
            .section(DYNAMIC, ALLOC, 0x71_0000, rows.map(u64::to_le_bytes).concat());
        let bytes = file.erase_section_table().build();
        let frames = open(&bytes).lookup(Svma(WORK + 0x15)).unwrap();
        assert_eq!(frames.len(), 3, "{layout:?}");
    }
}

#[test]
fn text_in_several_sections_is_refused() {
    let table = table(Go120, Twist::default());
    let mut data = moduledata(&table);
    data[21 * 8..22 * 8].copy_from_slice(&(GO_END + 0x1000).to_le_bytes());
    let bytes = file(&table, false).section(".noptrdata", ALLOC, MODULE, data).build();
    assert_eq!(name(&open(&bytes), GO_TEXT), Err(NoName::Obfuscated));
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
    let table = table(Go120, Twist::default());
    let c = [("start", TEXT_SECTION, 0x40, 1), ("compress", GO_END, 0x40, 1)];
    let bytes = file(&table, true).symtab(&c).build();
    let symbols = open(&bytes);
    assert_eq!(name(&symbols, TEXT_SECTION).unwrap().0, "start");
    assert_eq!(name(&symbols, GO_END).unwrap(), ("compress".to_string(), NameSource::Symtab));
    expect_all_names(&symbols);
}

#[test]
fn the_text_base_comes_from_a_source_that_knows_it_or_not_at_all() {
    let unstated = table(Go120, Twist { text_unstated: true, ..Twist::default() });
    let stated = table(Go120, Twist::default());
    expect_all_names(&open(&file(&stated, false).build()));
    // The header says 0 (Go 1.26): the symbol says it, and `.text` never does.
    let symbol = [("runtime.text", GO_TEXT, 0, 1)];
    expect_all_names(&open(&file(&unstated, false).symtab(&symbol).build()));
    let refused = file(&unstated, false).build();
    assert_eq!(name(&open(&refused), GO_TEXT), Err(NoName::Obfuscated));
    // The oldest layout has addresses and needs no base.
    expect_all_names(&open(&file(&table(Go116, Twist::default()), false).build()));
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

fn rule(bytes: &[u8], address: u64) -> Result<Rule, NoRule> {
    let tables = UnwindTables::open(Files { image: Some(bytes), ..Files::default() }).unwrap();
    tables.rule(Svma(address))
}

#[test]
fn callers_are_found_by_the_depth_of_the_stack_in_every_layout() {
    for layout in LAYOUTS {
        let bytes = file(&table(layout, Twist::default()), true).build();
        assert_eq!(rule(&bytes, GO_TEXT).unwrap().return_address, Saved::Undefined, "rt0_go");
        let entry = rule(&bytes, WORK).unwrap();
        assert_eq!((&entry.cfa, &entry.registers[..]), (&Cfa::Register(7, 8), &[][..]));
        let inside = rule(&bytes, WORK + 4).unwrap();
        assert_eq!(inside.cfa, Cfa::Register(7, 32), "{layout:?}");
        assert_eq!(inside.registers, [(6, Saved::AtCfa(-16))]);
        assert_eq!((inside.return_address, inside.sets_frame_pointer), (Saved::AtCfa(-8), true));
        assert_eq!(rule(&bytes, GO_TEXT - 1), Err(NoRule::NoTables), "C code without tables");
    }
    let twist = Twist { encrypt_entries: true, ..Twist::default() };
    let obfuscated = file(&table(Go120, twist), true).build();
    assert_eq!(rule(&obfuscated, WORK), Err(NoRule::NoTables));
}

#[test]
fn functions_of_the_runtime_that_switch_stacks_are_known_by_name() {
    let renamed = |from: &str, to: &str| {
        let mut bytes = file(&table(Go120, Twist::default()), true).build();
        let at = bytes.windows(from.len()).position(|name| name == from.as_bytes()).unwrap();
        bytes[at..at + from.len()].fill(0);
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mcall = rule(&renamed("runtime.rt0_go", "runtime.mcall"), GO_TEXT).unwrap();
    assert_eq!(mcall.go_switch, Some(GoSwitch::Parks));
    let execute = rule(&renamed("runtime.deferreturn", "runtime.execute"), GO_TEXT + 0x80);
    assert_eq!(execute.unwrap().go_switch, Some(GoSwitch::Dispatches));
    let borrows = renamed("main.(*T).Work", "time.now");
    assert_eq!(rule(&borrows, WORK).unwrap().cfa, Cfa::Register(7, 8), "no frame yet");
    assert_eq!(rule(&borrows, WORK + 4).unwrap().cfa, Cfa::Register(6, 16));
    let handler = renamed("runtime.deferreturn", "runtime.sigtramp");
    assert_eq!(rule(&handler, GO_TEXT + 0x80), Err(NoRule::NotCovered));
    let switches = renamed("runtime.deferreturn", "runtime.asmcgocall");
    assert_eq!(rule(&switches, GO_TEXT + 0x80).unwrap().go_switch, Some(GoSwitch::Leaves));
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
        let tables = UnwindTables::open(Files { image: Some(&bytes), ..Files::default() }).unwrap();
        for address in TEXT_SECTION..GO_END + 16 {
            let _ = tables.rule(Svma(address));
            if let Ok(frames) = symbols.lookup(Svma(address)) {
                prop_assert!(!frames.is_empty() && frames.len() <= 256);
            }
            symbols.frame_pointer(Svma(address));
        }
    }
}
