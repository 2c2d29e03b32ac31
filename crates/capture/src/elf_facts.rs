//! What a file says of itself in its first pages: segments and build-ids. Takes bytes; someone else
//! opens files.

use object::Endianness;
use object::elf::{
    EM_X86_64, FileHeader32, FileHeader64, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE,
};
use object::read::elf::{FileHeader, ProgramHeader as _};
use profile::{BuildId, FileOffset, Segment, Svma, Text};

use crate::frame_pointers;
use crate::go_runtime::{self, GoRuntime};
use crate::start_code::StartCode;

/// Read for the headers, which usually carry the notes with them.
const HEAD_BYTES: usize = 4096;
/// Longest table of program headers, and longest note segment, that we read.
const MAX_PART_BYTES: u64 = 16 << 10;
/// Type of the note with a GNU build-id, in notes named "GNU".
const NT_GNU_BUILD_ID: u32 = 3;
/// Go's note type for its build id, in notes named "Go".
const NT_GO_BUILD_ID: u32 = 4;

/// Headers and notes of an ELF file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct ElfFacts {
    pub(crate) build_id: BuildId,
    pub(crate) go_build_id: Text,
    pub(crate) segments: Vec<Segment>,
    /// `None`: its unwind tables do not tell.
    pub(crate) keeps_frame_pointers: Option<bool>,
    /// Of a C library.
    pub(crate) start_code: StartCode,
    /// Place and length of the dynamic section.
    pub(crate) dynamic: Option<(u64, u64)>,
    /// Of a Go program whose code was understood.
    pub(crate) go_runtime: Option<GoRuntime>,
    pub(crate) file_bytes: u64,
    pub(crate) dev: (u32, u32),
    pub(crate) inode: u64,
}

/// Reads the facts through `read(offset, length)`, which may return fewer bytes. `None` when it is
/// no ELF file.
pub(crate) fn read(read: impl Fn(u64, usize) -> Vec<u8>) -> Option<ElfFacts> {
    let head = read(0, HEAD_BYTES);
    match head.get(..5)? {
        [0x7f, b'E', b'L', b'F', 2] => read_class::<FileHeader64<Endianness>>(&head, &read),
        [0x7f, b'E', b'L', b'F', 1] => read_class::<FileHeader32<Endianness>>(&head, &read),
        _ => None,
    }
}

/// The same of a C library, with where it starts programs and threads.
pub(crate) fn read_with_start_code(read: impl Fn(u64, usize) -> Vec<u8>) -> Option<ElfFacts> {
    let mut facts = self::read(&read)?;
    if let Some(dynamic) = facts.dynamic {
        facts.start_code = StartCode::find(&read, &facts.segments, dynamic);
    }
    Some(facts)
}

fn read_class<H: FileHeader<Endian = Endianness>>(
    head: &[u8],
    read: &impl Fn(u64, usize) -> Vec<u8>,
) -> Option<ElfFacts> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let table: u64 = header.e_phoff(endian).into();
    let count = usize::from(header.e_phnum(endian));
    let table_bytes = (count * size_of::<H::ProgramHeader>()) as u64;
    if table_bytes > MAX_PART_BYTES {
        return None;
    }
    let rows = part(head, read, table, table_bytes);
    let (rows, _) = object::pod::slice_from_bytes::<H::ProgramHeader>(&rows, count).ok()?;
    let mut facts = ElfFacts::default();
    for row in rows {
        let (offset, file_bytes) = (row.p_offset(endian).into(), row.p_filesz(endian).into());
        match row.p_type(endian) {
            PT_LOAD => facts.segments.push(Segment {
                file_offset: FileOffset(offset),
                svma: Svma(row.p_vaddr(endian).into()),
                file_bytes,
                memory_bytes: row.p_memsz(endian).into(),
                flags: row.p_flags(endian).0,
            }),
            PT_NOTE if file_bytes <= MAX_PART_BYTES => {
                let align = if row.p_align(endian).into() == 8 { 8 } else { 4 };
                read_notes(&part(head, read, offset, file_bytes), endian, align, &mut facts);
            }
            PT_DYNAMIC => facts.dynamic = Some((offset, file_bytes)),
            PT_GNU_EH_FRAME => facts.keeps_frame_pointers = frame_pointers::are_kept(read, offset),
            _ => {}
        }
    }
    if !facts.go_build_id.is_empty() {
        facts.keeps_frame_pointers = None; // these tables are of C code alone
    }
    if header.e_machine(endian) == EM_X86_64 && !facts.go_build_id.is_empty() {
        let code = facts.segments.iter().find(|segment| segment.flags & Segment::EXECUTE != 0);
        let code = code.map(|s| s.file_offset.0..s.file_offset.0.saturating_add(s.file_bytes));
        facts.go_runtime = code.and_then(|code| go_runtime::find(read, code));
    }
    Some(facts)
}

/// Where in the file an address is.
pub(crate) fn offset_of(segments: &[Segment], address: Svma) -> Option<u64> {
    let inside =
        |s: &&Segment| address.0.checked_sub(s.svma.0).is_some_and(|within| within < s.file_bytes);
    let segment = segments.iter().find(inside)?;
    segment.file_offset.0.checked_add(address.0 - segment.svma.0)
}

/// A part of the file, from what was read already if it is there.
fn part(head: &[u8], read: &impl Fn(u64, usize) -> Vec<u8>, offset: u64, length: u64) -> Vec<u8> {
    let start = offset as usize;
    match start.checked_add(length as usize).and_then(|end| head.get(start..end)) {
        Some(bytes) => bytes.to_vec(),
        None => read(offset, length as usize),
    }
}

fn read_notes(mut notes: &[u8], endian: Endianness, align: usize, facts: &mut ElfFacts) {
    let word = |bytes: &[u8], at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match endian {
            Endianness::Little => u32::from_le_bytes(bytes),
            Endianness::Big => u32::from_be_bytes(bytes),
        })
    };
    while let (Some(name), Some(content), Some(kind)) =
        (word(notes, 0), word(notes, 4), word(notes, 8))
    {
        let (name, content) = (name as usize, content as usize);
        let content_at = (12 + name).next_multiple_of(align);
        let Some(bytes) = notes.get(content_at..content_at.saturating_add(content)) else { return };
        match (notes.get(12..12 + name), kind) {
            (Some(b"GNU\0"), NT_GNU_BUILD_ID) => facts.build_id = BuildId::new(bytes),
            (Some(b"Go\0\0"), NT_GO_BUILD_ID) => facts.go_build_id = Text::from(bytes),
            _ => {}
        }
        notes = notes.get((content_at + content).next_multiple_of(align)..).unwrap_or_default();
    }
}

/// Facts of the notes alone, as /sys offers the kernel's and its modules'.
pub(crate) fn build_id_of_notes(notes: &[u8]) -> BuildId {
    let mut facts = ElfFacts::default();
    let endian = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    read_notes(notes, endian, 4, &mut facts);
    facts.build_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts_of(bytes: &[u8]) -> Option<ElfFacts> {
        read(|offset, length| {
            let start = (offset as usize).min(bytes.len());
            bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
        })
    }

    #[test]
    fn a_real_program_states_its_segments_and_build_id() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let facts = facts_of(&bytes).unwrap();
        assert!(facts.segments.iter().any(|s| s.flags & Segment::EXECUTE != 0));
        assert!(
            facts.segments.iter().all(|s| s.file_offset.0 + s.file_bytes <= bytes.len() as u64)
        );
    }

    fn note(name: &[u8; 4], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [4, content.len() as u32, kind] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(name);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A 64-bit ELF of one executable segment and one note segment far behind the first page.
    fn elf(notes: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 9000];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[6] = 1;
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(32, &64u64.to_le_bytes()); // e_phoff
        put(52, &64u16.to_le_bytes()); // e_ehsize
        put(54, &56u16.to_le_bytes()); // e_phentsize
        put(56, &2u16.to_le_bytes()); // e_phnum
        let rows =
            [(1u32, 5u32, 0x1000u64, 0x40_1000u64, 0x800u64), (4, 4, 9000, 0, notes.len() as u64)];
        for (i, (kind, flags, offset, address, length)) in rows.into_iter().enumerate() {
            let at = 64 + i * 56;
            put(at, &kind.to_le_bytes());
            put(at + 4, &flags.to_le_bytes());
            put(at + 8, &offset.to_le_bytes());
            put(at + 16, &address.to_le_bytes());
            put(at + 32, &length.to_le_bytes());
            put(at + 40, &length.to_le_bytes());
            put(at + 48, &4u64.to_le_bytes());
        }
        bytes.extend(notes);
        bytes
    }

    #[test]
    fn build_ids_are_found_among_other_notes_outside_the_first_page() {
        let mut notes = note(b"GNU\0", 1, &[0; 16]);
        notes.extend(note(b"Go\0\0", NT_GO_BUILD_ID, b"abc/def"));
        notes.extend(note(b"GNU\0", NT_GNU_BUILD_ID, &[0xcd; 20]));
        let facts = facts_of(&elf(&notes)).unwrap();
        assert_eq!(facts.build_id, BuildId::new(&[0xcd; 20]));
        assert_eq!(facts.go_build_id, Text::from("abc/def"));
        assert_eq!(facts.segments.len(), 1);
        assert_eq!(facts.segments[0].svma, Svma(0x40_1000));
        assert_eq!(build_id_of_notes(&note(b"GNU\0", 3, &[7; 20])), BuildId::new(&[7; 20]));
    }

    #[test]
    fn what_is_cut_off_or_hostile_is_bounded() {
        let whole = elf(&note(b"GNU\0", NT_GNU_BUILD_ID, &[1; 20]));
        for cut in 0..300 {
            facts_of(&whole[..cut]);
        }
        for at in 0..200 {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            facts_of(&bytes);
        }
        assert_eq!(facts_of(b"#!/bin/sh\n"), None);
        let mut endless = whole;
        endless[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(facts_of(&endless), None, "a table of 65,535 program headers is refused");
    }
}
