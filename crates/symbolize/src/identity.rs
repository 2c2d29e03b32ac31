//! What a file says of itself, without reading any symbol: enough to find it, its companions, and
//! to know whether they belong together.

use object::elf;
use profile::{BuildId, Segment, Text};

use crate::Error;
use crate::elf::{Elf, Machine};

/// What a file says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// What it was made for.
    pub machine: Machine,
    /// GNU build-id (`NT_GNU_BUILD_ID`); empty when there is none.
    pub build_id: BuildId,
    /// Go's own build id (note "Go", type 4); empty when there is none.
    pub go_build_id: Text,
    /// `PT_LOAD` program headers. Those of a separate debug file state addresses, but their file
    /// offsets are not the image's.
    pub segments: Vec<Segment>,
    /// `.gnu_debuglink`: name and checksum of the separate debug file.
    pub debug_link: Option<DebugLink>,
    /// `.gnu_debugaltlink`: the supplement that several debug files share (made by dwz).
    pub alt_link: Option<AltLink>,
    /// Whether there is a `.symtab`.
    pub has_symtab: bool,
    /// Whether there is a `.dynsym` (with content: a separate debug file keeps only its header).
    pub has_dynsym: bool,
    /// Whether there is DWARF (`.debug_info`).
    pub has_debug_info: bool,
    /// Whether there is Go's `.gopclntab`, found by its section's name.
    pub has_pclntab: bool,
    /// Whether there is MiniDebugInfo (`.gnu_debugdata`).
    pub has_mini_debug_info: bool,
    /// Whether the header states a section table that is not there: the file was cut off.
    pub is_cut: bool,
}

/// `.gnu_debuglink`. The name comes from the file: whoever opens it must refuse separators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugLink {
    /// A file name.
    pub name: Text,
    /// CRC-32 of that file's whole content.
    pub crc: u32,
}

/// `.gnu_debugaltlink`. The name comes from the file: whoever opens it must mind where it leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AltLink {
    /// A path, often relative to the debug file.
    pub name: Text,
    /// Build-id of the supplement.
    pub build_id: BuildId,
}

/// Reads what a file says of itself.
///
/// # Errors
/// When it is no little-endian ELF file.
pub fn identify(bytes: &[u8]) -> Result<Identity, Error> {
    let elf = Elf::parse(bytes)?;
    let has = |name: &[u8]| !elf.section_bytes(name).is_empty();
    let has_kind = |kind| elf.tables().iter().any(|s| s.kind == kind && !s.bytes.is_empty());
    Ok(Identity {
        machine: elf.machine,
        build_id: BuildId::new(elf.note(b"GNU", elf::NT_GNU_BUILD_ID.0).unwrap_or_default()),
        go_build_id: elf.note(b"Go", GO_BUILD_ID).unwrap_or_default().into(),
        debug_link: debug_link(elf.section_bytes(b".gnu_debuglink")),
        alt_link: alt_link(elf.section_bytes(b".gnu_debugaltlink")),
        has_symtab: has_kind(elf::SHT_SYMTAB),
        has_dynsym: has_kind(elf::SHT_DYNSYM),
        has_debug_info: has(b".debug_info") || has(b".zdebug_info"),
        has_pclntab: has(b".gopclntab") || has(b".data.rel.ro.gopclntab"),
        has_mini_debug_info: has(b".gnu_debugdata"),
        is_cut: elf.is_cut,
        segments: elf.segments,
    })
}

/// Type of the note that holds Go's build id (`ELF_NOTE_GOBUILDID_TAG` of Go's linker).
pub(crate) const GO_BUILD_ID: u32 = 4;

fn debug_link(bytes: &[u8]) -> Option<DebugLink> {
    let end = bytes.iter().position(|b| *b == 0)?;
    let crc_at = (end + 1).next_multiple_of(4);
    let crc = bytes.get(crc_at..crc_at + 4)?.try_into().ok()?;
    (end > 0).then(|| DebugLink { name: bytes[..end].into(), crc: u32::from_le_bytes(crc) })
}

fn alt_link(bytes: &[u8]) -> Option<AltLink> {
    let end = bytes.iter().position(|b| *b == 0)?;
    let build_id = BuildId::new(&bytes[end + 1..]);
    (end > 0).then(|| AltLink { name: bytes[..end].into(), build_id })
}
