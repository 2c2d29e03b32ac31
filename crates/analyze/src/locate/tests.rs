//! Files made by hand, so that each says exactly what its test is about.

use super::*;
use profile::{ModuleKind, Text};
use std::fs;

/// One section of a file: name, `sh_type`, `sh_flags`, content.
pub(super) type Section<'a> = (&'a str, u32, u64, Vec<u8>);

pub(super) const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const NOTE: u32 = 7;
pub(super) const NOBITS: u32 = 8;
pub(super) const CODE: u64 = 0x6; // SHF_ALLOC | SHF_EXECINSTR

/// A 64-bit little-endian ELF file with one `PT_LOAD` and these sections.
pub(super) fn elf(sections: &[Section<'_>]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut names = vec![0u8];
    let mut headers = vec![[0u64; 10]];
    let start = 64 + 56;
    for (name, kind, flags, bytes) in sections {
        let at = start + content.len() as u64;
        let size = if *kind == NOBITS { 0x100 } else { bytes.len() as u64 };
        headers.push([names.len() as u64, u64::from(*kind), *flags, at, at, size, 0, 0, 4, 0]);
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        content.extend_from_slice(bytes);
        content.resize(content.len().next_multiple_of(8), 0);
    }
    let names_at = start + content.len() as u64;
    headers.push([names.len() as u64, 3, 0, 0, names_at, names.len() as u64 + 10, 0, 0, 1, 0]);
    names.extend_from_slice(b".shstrtab\0");
    content.extend_from_slice(&names);
    content.resize(content.len().next_multiple_of(8), 0);
    let sections_at = start + content.len() as u64;

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |out: &mut Vec<u8>, v: u16| out.extend_from_slice(&v.to_le_bytes());
    let word = |out: &mut Vec<u8>, v: u32| out.extend_from_slice(&v.to_le_bytes());
    let long = |out: &mut Vec<u8>, v: u64| out.extend_from_slice(&v.to_le_bytes());
    half(&mut file, 3);
    half(&mut file, 62);
    word(&mut file, 1);
    for v in [0, 64, sections_at] {
        long(&mut file, v);
    }
    word(&mut file, 0);
    for v in [64, 56, 1, 64, headers.len() as u16, headers.len() as u16 - 1] {
        half(&mut file, v);
    }
    word(&mut file, 1);
    word(&mut file, 5);
    for v in [0, 0x1000, 0x1000, sections_at, sections_at, 0x1000] {
        long(&mut file, v);
    }
    file.extend_from_slice(&content);
    for [name, kind, flags, address, offset, size, link, info, align, entry] in headers {
        word(&mut file, name as u32);
        word(&mut file, kind as u32);
        for v in [flags, address, offset, size] {
            long(&mut file, v);
        }
        word(&mut file, link as u32);
        word(&mut file, info as u32);
        long(&mut file, align);
        long(&mut file, entry);
    }
    file
}

pub(super) fn note(id: &[u8]) -> Section<'static> {
    let mut bytes = Vec::new();
    for v in [4, id.len() as u32, 3] {
        bytes.extend_from_slice(&v.to_le_bytes());
    }
    bytes.extend_from_slice(b"GNU\0");
    bytes.extend_from_slice(id);
    (".note.gnu.build-id", NOTE, 2, bytes)
}

fn text() -> Section<'static> {
    (".text", PROGBITS, CODE, vec![0xc3; 64])
}

/// A program with code.
pub(super) fn program(id: &[u8]) -> Vec<u8> {
    elf(&[note(id), text()])
}

/// Its separate debug file.
pub(super) fn debug(id: &[u8]) -> Vec<u8> {
    elf(&[note(id), (".text", NOBITS, CODE, vec![]), (".symtab", SYMTAB, 0, vec![0; 24])])
}

pub(super) fn module(path: &str, id: &[u8]) -> Module {
    let mut module = Module::new(ModuleKind::File, path);
    module.build_id = BuildId::new(id);
    module.build_id_from = BuildIdFrom::KernelRecord;
    module
}

const ID: &[u8] = &[0xab, 0xcd, 0xef, 1, 2, 3, 4, 5];
const OTHER: &[u8] = &[9; 8];

struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn with(files: &[(&str, Vec<u8>)]) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        for (path, content) in files {
            let path = host.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// What is found, relative to the host: image, debug file.
    fn locate(&self, module: &Module, search: &Search) -> Result<[Option<String>; 2], Missing> {
        let shown = |file: Option<MappedFile>| {
            Some(file?.path.strip_prefix(self.dir.path()).unwrap().display().to_string())
        };
        let located = Locator::new(search.clone()).locate(module)?;
        Ok([shown(located.image), shown(located.debug)])
    }

    fn sysroot(&self) -> Search {
        Search {
            sysroot: Some(self.dir.path().into()),
            system_debug: vec!["/usr/lib/debug".into()],
            ..Search::default()
        }
    }

    fn debug_dir(&self, dir: &str) -> Search {
        Search { debug_dirs: vec![self.path(dir)], ..Search::default() }
    }
}

fn found(image: &str) -> Result<[Option<String>; 2], Missing> {
    Ok([Some(image.into()), None])
}

#[test]
fn the_mapped_path_is_taken_if_its_build_id_matches() {
    let host = Host::with(&[("usr/bin/server", program(ID))]);
    let search = host.sysroot();
    assert_eq!(host.locate(&module("/usr/bin/server", ID), &search), found("usr/bin/server"));
    let refused = host.locate(&module("/usr/bin/server", OTHER), &search).unwrap_err();
    assert_eq!(
        refused,
        Missing { reason: NoName::BuildIdMismatch, refused: Some(host.path("usr/bin/server")) }
    );
    let missing = host.locate(&module("/usr/bin/none", ID), &search).unwrap_err();
    assert_eq!(missing, Missing { reason: NoName::NoFile, refused: None });
}

#[test]
fn a_prefix_is_replaced_only_at_a_path_component() {
    let host = Host::with(&[("image/bin/server", program(ID))]);
    let search = |from: &str| Search {
        map_prefix: vec![(from.into(), host.path("image"))],
        ..Search::default()
    };
    let server = module("/usr/bin/server", ID);
    assert_eq!(host.locate(&server, &search("/usr")), found("image/bin/server"));
    assert_eq!(host.locate(&server, &search("/usr/")), found("image/bin/server"));
    assert!(host.locate(&server, &search("/us")).is_err());
}

#[test]
fn a_debug_dir_is_searched_by_build_id_whatever_files_are_called() {
    let host = Host::with(&[
        ("debug/deep/down/renamed", program(ID)),
        ("debug/server", program(OTHER)),
        ("debug/notes.txt", b"not a program".to_vec()),
    ]);
    let search = host.debug_dir("debug");
    let server = module("/nowhere/server", ID);
    assert_eq!(host.locate(&server, &search), found("debug/deep/down/renamed"));
    let single = Search { debug_dirs: vec![host.path("debug/deep/down/renamed")], ..search };
    assert_eq!(host.locate(&server, &single), found("debug/deep/down/renamed"));
}

#[test]
fn another_build_of_the_name_is_reported_but_not_used() {
    let host = Host::with(&[("debug/server", program(OTHER))]);
    let missing = host.locate(&module("/nowhere/server", ID), &host.debug_dir("debug"));
    assert_eq!(missing.unwrap_err().refused, Some(host.path("debug/server")));
}

#[test]
fn debug_files_are_found_by_build_id_beside_the_image_or_alone() {
    let id_path = "usr/lib/debug/.build-id/ab/cdef0102030405.debug";
    let host = Host::with(&[("usr/bin/server", program(ID)), (id_path, debug(ID))]);
    let server = module("/usr/bin/server", ID);
    let both = Ok([Some("usr/bin/server".into()), Some(id_path.into())]);
    assert_eq!(host.locate(&server, &host.sysroot()), both);
    // Only the debug file was brought: it is no image, but it has the names.
    let alone = Ok([None, Some(id_path.into())]);
    assert_eq!(host.locate(&module("/x/server", ID), &host.debug_dir("usr/lib")), alone);
}

#[test]
fn a_debug_link_counts_only_with_the_right_checksum() {
    let debug_file = debug(OTHER);
    let link = |name: &str, crc: u32| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize((name.len() + 1).next_multiple_of(4), 0);
        bytes.extend_from_slice(&crc.to_le_bytes());
        elf(&[note(ID), text(), (".gnu_debuglink", PROGBITS, 0, bytes)])
    };
    let crc = crc32fast::hash(&debug_file);
    let cases = [
        ("bin/.debug/s.debug", link("s.debug", crc), true),
        ("bin/s.debug", link("s.debug", crc), true),
        ("usr/lib/debug/bin/s.debug", link("s.debug", crc), true),
        ("bin/s.debug", link("s.debug", crc ^ 1), false),
        ("s.debug", link("../s.debug", crc), false),
    ];
    for (path, image, expected) in cases {
        let host = Host::with(&[("bin/s", image), (path, debug_file.clone())]);
        let system_debug = vec!["/usr/lib/debug".into()];
        let search = Search { system_debug, ..host.sysroot() };
        let located = host.locate(&module("/bin/s", ID), &search).unwrap();
        assert_eq!(located[1].is_some(), expected, "{path}");
        let locator = Locator::new(search);
        locator.locate(&module("/bin/s", ID)).unwrap();
        let refused = locator.refused_debug_files();
        assert_eq!(refused.len(), usize::from(path == "bin/s.debug" && !expected), "{refused:?}");
    }
}

#[test]
fn what_debug_files_share_is_found_by_its_build_id() {
    let mut link = b"../shared.debug\0".to_vec();
    link.extend_from_slice(OTHER);
    let debug = elf(&[
        note(ID),
        (".text", NOBITS, CODE, vec![]),
        (".symtab", SYMTAB, 0, vec![0; 24]),
        (".gnu_debugaltlink", PROGBITS, 0, link),
    ]);
    for (path, id, expected) in [
        ("d/shared.debug", OTHER, true),
        ("d/elsewhere/x", OTHER, true),
        ("d/shared.debug", ID, false),
    ] {
        let host = Host::with(&[("d/sub/s.debug", debug.clone()), (path, elf(&[note(id)]))]);
        let located = Locator::new(host.debug_dir("d")).locate(&module("/x/s", ID)).unwrap();
        assert_eq!(located.supplement.is_some(), expected, "{path}");
    }
}

#[test]
fn a_module_without_a_build_id_needs_something_else_that_agrees() {
    let file = elf(&[text()]);
    let host = Host::with(&[("bin/s", file.clone())]);
    let trust = |size: u64, segments: Vec<profile::Segment>| {
        let mut module = Module::new(ModuleKind::File, "/bin/s");
        module.file_bytes = size;
        module.segments = segments;
        Locator::new(host.sysroot()).locate(&module).map(|l| l.trust)
    };
    let size = file.len() as u64;
    let segments = symbolize::identify(&file).unwrap().segments;
    assert_eq!(segments.len(), 1);
    assert_eq!(trust(size, segments.clone()), Ok(Trust::Unverified));
    assert_eq!(trust(size, vec![]), Ok(Trust::Unverified));
    assert!(trust(size + 1, segments.clone()).is_err());
    let mut moved = segments;
    moved[0].svma.0 += 0x1000;
    assert!(trust(size, moved).is_err());
    assert!(trust(0, vec![]).is_err(), "a name alone is no evidence");
}

#[test]
fn a_hash_of_the_content_is_no_build_id_to_look_for() {
    let file = elf(&[text()]);
    let host = Host::with(&[("bin/s", file.clone())]);
    let mut module = module("/bin/s", ID);
    module.build_id_from = BuildIdFrom::ContentHash;
    module.file_bytes = file.len() as u64;
    assert_eq!(host.locate(&module, &host.sysroot()), found("bin/s"));
}

#[test]
fn a_recorded_path_cannot_leave_the_sysroot() {
    let host = Host::with(&[("root/x", b"".to_vec()), ("secret", program(ID))]);
    let search = Search { sysroot: Some(host.path("root")), ..Search::default() };
    assert!(host.locate(&module("/../secret", ID), &search).is_err());
    assert!(host.locate(&module("secret", ID), &search).is_err());
    let mut nameless = module("", ID);
    nameless.path = Text::default();
    assert!(host.locate(&nameless, &search).is_err());
}

#[cfg(unix)]
#[test]
fn links_to_files_are_followed_and_circles_of_directories_are_not() {
    use std::os::unix::fs::symlink;
    let host = Host::with(&[("store/file", program(ID)), ("debug/x", b"".to_vec())]);
    symlink(host.path("debug"), host.path("debug/again")).unwrap();
    fs::create_dir_all(host.path("debug/.build-id/ab")).unwrap();
    symlink(host.path("store/file"), host.path("debug/.build-id/ab/cdef")).unwrap();
    let located = host.locate(&module("/x/y", ID), &host.debug_dir("debug"));
    assert_eq!(located, found("debug/.build-id/ab/cdef"));
}
