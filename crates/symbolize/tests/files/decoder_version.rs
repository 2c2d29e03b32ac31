//! Notices when answers or the bytes of tables change, and with them the version of tables.

use std::fmt::Write as _;

use profile::{NameSource, Svma};
use symbolize::{DECODER_VERSION, Files, Found, FramePointer, SourceFrame, Symbols, TableBuilder};

/// What [`answers`] and [`bytes`] amounted to when the version was last counted up.
const PINNED: (u32, u32, u32) = (1, 3944217472, 1894360097);

/// Hash of every answer about the small files in `data/`.
fn answers() -> u32 {
    let [whole4, whole5, stripped, debug]: [&[u8]; 4] = [
        include_bytes!("../data/tiny-dwarf4.so"),
        include_bytes!("../data/tiny-dwarf5.so"),
        include_bytes!("../data/tiny-stripped.so"),
        include_bytes!("../data/tiny.debug"),
    ];
    let alone = |image| Files { image: Some(image), ..Files::default() };
    let split = Files { debug: Some(debug), ..alone(stripped) };
    let mut text = String::new();
    for files in [alone(whole4), alone(whole5), alone(stripped), split] {
        let symbols = Symbols::new(files).unwrap();
        for address in (0xf80..0x1280).map(Svma) {
            let (names, frame_pointer) = (symbols.lookup(address), symbols.frame_pointer(address));
            writeln!(text, "{address:?} {names:?} {frame_pointer:?}").unwrap();
        }
    }
    crc32fast::hash(text.as_bytes())
}

/// Hash of a table of answers made here.
fn bytes() -> u32 {
    let frame = |name: &str, inlined| SourceFrame {
        name: name.into(),
        raw_name: format!("_Z{name}").into(),
        file: Some("a.c".into()),
        line: Some(3),
        start_line: None,
        inlined,
        source: NameSource::Dwarf,
    };
    let names = Ok(vec![frame("inner", true), frame("outer", false)]);
    let mut builder = TableBuilder::default();
    builder.add_names(Svma(20), &Found { names, extent: 16..32 });
    builder.add_frame_pointer(Svma(20), FramePointer::Set, 16..64);
    crc32fast::hash(&builder.finish(b"key").unwrap())
}

#[test]
fn a_change_of_answers_counts_up_the_version_of_tables() {
    let now = (DECODER_VERSION, answers(), bytes());
    assert!(
        now == PINNED,
        "tables kept by users hold other answers than these, or other bytes: count up \
         DECODER_VERSION in src/table/mod.rs if PINNED still has it, and write here {now:?}"
    );
}
