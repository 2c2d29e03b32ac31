//! Notices when answers or the bytes of tables change, and with them the version of tables.

use std::fmt::Write as _;

use profile::{NameSource, Svma};
use symbolize::{DECODER_VERSION, Files, Found, FramePointer, SourceFrame, Symbols, TableBuilder};

/// The version, and what [`answers`] and [`bytes`] amounted to when it was last counted up (or the
/// files were made again).
const PINNED: (u32, u32, u32) = (4, 3358853043, 879338375);

/// Hash of every answer about the small files in `data/`, and some about a stripped Go program.
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
        write_answers(&mut text, &symbols, 0xf80..0x1280);
    }
    let go: &[u8] =
        include_bytes!("../../../../testdata/go/sysroot/usr/local/lib/flamearc-testdata/service");
    let symbols = Symbols::new(alone(go)).unwrap();
    let segments = symbolize::identify(go).unwrap().segments;
    for code in segments.iter().filter(|s| s.flags & profile::Segment::EXECUTE != 0) {
        let end = code.svma.0 + code.file_bytes;
        write_answers(&mut text, &symbols, (code.svma.0..end).step_by(997));
    }
    crc32fast::hash(text.as_bytes())
}

fn write_answers(
    text: &mut String,
    symbols: &Symbols<'_>,
    addresses: impl IntoIterator<Item = u64>,
) {
    for address in addresses.into_iter().map(Svma) {
        let (names, frame_pointer) = (symbols.lookup(address), symbols.frame_pointer(address));
        writeln!(text, "{address:?} {names:?} {frame_pointer:?}").unwrap();
    }
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
