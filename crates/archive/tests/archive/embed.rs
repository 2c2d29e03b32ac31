//! Files that travel inside an archive come out as they went in, or not at all.

use archive::{Archive, Limits, Writer};
use profile::{Module, ModuleId, ModuleKind};

use crate::recipe::{START_NS, end_at, facts, flush};

/// An archive that embeds `content` as the vDSO's image; the module's id in it is 2.
fn archive_with(content: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    writer.module(&Module::new(ModuleKind::File, "/usr/bin/server"));
    let vdso = writer.module(&Module::new(ModuleKind::Vdso, "[vdso]"));
    writer.embed(vdso, "", content);
    writer.embed(vdso, ".eh_frame", b"frames");
    writer.finish(&flush(START_NS, START_NS + 1, &[]), &end_at(START_NS + 1)).unwrap()
}

fn vdso(archive: &Archive) -> ModuleId {
    let at = archive.tables().modules.iter().position(|m| m.kind == ModuleKind::Vdso).unwrap();
    ModuleId(at as u32 + 1)
}

#[test]
fn an_embedded_file_of_several_pieces_comes_out_whole() {
    let content: Vec<u8> = (0..1_300_000u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    let archive = Archive::from_bytes(archive_with(&content)).unwrap();
    assert!(archive.damage().complete);
    assert_eq!(archive.embedded(vdso(&archive), ""), Some(content));
    assert_eq!(archive.embedded(vdso(&archive), ".eh_frame").as_deref(), Some(&b"frames"[..]));
    assert_eq!(archive.embedded(vdso(&archive), ".text"), None);
    assert_eq!(archive.embedded(ModuleId(1), ""), None);
    assert_eq!(archive.embedded(ModuleId::NONE, ""), None);
}

#[test]
fn a_damaged_piece_is_said_and_nothing_of_the_file_comes_out() {
    let content: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    let mut bytes = archive_with(&content);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let archive = Archive::from_bytes(bytes).unwrap();
    let damage = archive.damage();
    assert!(!damage.complete);
    assert!(damage.statements.iter().any(|s| s.contains("checksum")), "{:?}", damage.statements);
    assert_eq!(archive.embedded(vdso(&archive), ""), None);
}

#[test]
fn what_is_embedded_from_a_reader_is_whole_or_not_there() {
    let content: Vec<u8> = (0..1_300_000u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let whole = writer.module(&Module::new(ModuleKind::File, "/usr/bin/server"));
    let short = writer.module(&Module::new(ModuleKind::File, "/usr/bin/cut"));
    let bytes = content.len() as u64;
    assert!(writer.embed_from(whole, "unwind", bytes, &content[..]).unwrap());
    assert!(!writer.embed_from(short, "unwind", bytes, &content[..bytes as usize - 1]).unwrap());
    let bytes = writer.finish(&flush(START_NS, START_NS + 1, &[]), &end_at(START_NS + 1)).unwrap();
    let archive = Archive::from_bytes(bytes).unwrap();
    assert!(archive.damage().complete);
    assert_eq!(archive.embedded(ModuleId(1), "unwind"), Some(content));
    assert_eq!(archive.embedded(ModuleId(2), "unwind"), None);
    assert_eq!(archive.embedded(ModuleId(1), ""), None);
}

#[test]
fn what_is_larger_than_anything_that_is_embedded_is_not_read() {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let module = writer.module(&Module::new(ModuleKind::File, "/usr/bin/server"));
    let bytes = 67 << 20;
    assert!(writer.embed_from(module, "unwind", bytes, std::io::repeat(0)).unwrap());
    let bytes = writer.finish(&flush(START_NS, START_NS + 1, &[]), &end_at(START_NS + 1)).unwrap();
    let archive = Archive::from_bytes(bytes).unwrap();
    assert_eq!(archive.embedded(ModuleId(1), "unwind"), None);
}
