//! Things that code comes from: files, the kernel, its modules, the vDSO, anonymous memory.

use std::fmt;

use crate::{FileOffset, ProcessId, Svma, Text};

/// A source of code, as the profiled process saw it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Module {
    /// What kind of thing.
    pub kind: ModuleKind,
    /// Path as the process saw it, in its own mount namespace; "[vdso]", "[kernel]", a kernel
    /// module's name.
    pub path: Text,
    /// GNU build-id; empty when there is none.
    pub build_id: BuildId,
    /// Where the build-id came from.
    pub build_id_from: BuildIdFrom,
    /// Go's own build id (`.note.go.buildid`), text; empty when there is none.
    pub go_build_id: Text,
    /// Device of the file; 0, 0 when the kernel reported a build-id instead.
    pub dev: (u32, u32),
    /// Inode of the file; 0 when the kernel reported a build-id instead.
    pub inode: u64,
    /// Inode generation.
    pub inode_generation: u64,
    /// Size of the file; 0 unknown.
    pub file_bytes: u64,
    /// `PT_LOAD` segments; empty when the file could not be read while the process was alive.
    pub segments: Vec<Segment>,
    /// The file had been deleted.
    pub deleted: bool,
    /// Of `Anon` and `Vdso`: whose.
    pub process: ProcessId,
    /// KASLR anchor: run-time address of `_text` (kernel), of `.text` (module), of the program (BPF).
    pub runtime_base: u64,
    /// "mnt:[4026531841]": whose namespace the path belongs to.
    pub mount_ns: Text,
}

impl Module {
    /// A module of which only kind and path are known.
    #[must_use]
    pub fn new(kind: ModuleKind, path: impl Into<Text>) -> Self {
        Self {
            kind,
            path: path.into(),
            build_id: BuildId::default(),
            build_id_from: BuildIdFrom::Nowhere,
            go_build_id: Text::default(),
            dev: (0, 0),
            inode: 0,
            inode_generation: 0,
            file_bytes: 0,
            segments: Vec::new(),
            deleted: false,
            process: ProcessId::NONE,
            runtime_base: 0,
            mount_ns: Text::default(),
        }
    }

    /// The stated address of a file offset, through the segment that holds it in its file part
    /// (`p_filesz`, not `p_memsz`: what lies beyond was never in the file).
    #[must_use]
    pub fn to_svma(&self, offset: FileOffset) -> Option<Svma> {
        Segment::to_svma(&self.segments, offset)
    }
}

/// What kind of thing code comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ModuleKind {
    /// A mapped file. Node addresses are file offsets.
    File,
    /// The kernel's page of user code. Node addresses are offsets in its image.
    Vdso,
    /// Executable memory without a file (JIT), or with one that holds no program (a memfd). Node addresses are [`crate::Avma`]s.
    Anon,
    /// The kernel image. Node addresses are offsets from `runtime_base`.
    Kernel,
    /// A loadable kernel module. Node addresses are offsets from `runtime_base`.
    KernelModule,
    /// A BPF program. Node addresses are offsets from `runtime_base`.
    Bpf,
}

/// One `PT_LOAD` program header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// `p_offset`.
    pub file_offset: FileOffset,
    /// `p_vaddr`.
    pub svma: Svma,
    /// `p_filesz`.
    pub file_bytes: u64,
    /// `p_memsz`.
    pub memory_bytes: u64,
    /// `p_flags`.
    pub flags: u32,
}

impl Segment {
    /// `p_flags` bit of an executable segment.
    pub const EXECUTE: u32 = 1;

    /// The stated address of a file offset. Executable segments win where segments share a page of
    /// the file (linkers let them overlap by page rounding).
    #[must_use]
    pub fn to_svma(segments: &[Self], offset: FileOffset) -> Option<Svma> {
        let holds = |s: &&Self| {
            offset.0.checked_sub(s.file_offset.0).is_some_and(|within| within < s.file_bytes)
        };
        let executable = |s: &&Self| s.flags & Self::EXECUTE != 0;
        let segment = segments
            .iter()
            .filter(executable)
            .find(holds)
            .or_else(|| segments.iter().find(holds))?;
        segment.svma.0.checked_add(offset.0 - segment.file_offset.0).map(Svma)
    }
}

/// GNU build-id: up to 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BuildId {
    bytes: [u8; 20],
    length: u8,
}

impl BuildId {
    /// From note or record bytes. Longer ids (some linkers can make them) keep their first 20 bytes,
    /// which is all the kernel reports; all-zero ids are none.
    #[must_use]
    pub fn new(id: &[u8]) -> Self {
        if id.iter().all(|b| *b == 0) {
            return Self::default();
        }
        let length = id.len().min(20);
        let mut bytes = [0; 20];
        bytes[..length].copy_from_slice(&id[..length]);
        Self { bytes, length: length as u8 }
    }

    /// From its usual spelling in hex digits.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        if !hex.len().is_multiple_of(2) || !hex.is_ascii() || hex.is_empty() {
            return None;
        }
        let bytes: Option<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok())
            .collect();
        bytes.map(|b| Self::new(&b))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// Who said a build-id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BuildIdFrom {
    /// There is none.
    Nowhere,
    /// The kernel, with the mapping (`PERF_RECORD_MMAP2`, Linux 5.12).
    KernelRecord,
    /// The file's `NT_GNU_BUILD_ID` note.
    FileNote,
    /// `/sys/kernel/notes` or `/sys/module/*/notes`.
    Sysfs,
    /// A hash of the file's content, because it has no note.
    ContentHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(offset: u64, svma: u64, bytes: u64, flags: u32) -> Segment {
        Segment {
            file_offset: FileOffset(offset),
            svma: Svma(svma),
            file_bytes: bytes,
            memory_bytes: bytes + 0x100,
            flags,
        }
    }

    #[test]
    fn an_offset_becomes_an_address_through_the_executable_segment_that_holds_it() {
        // lld's layout: text shares a file page with what stands before it.
        let segments = [segment(0, 0x20_0000, 0x1600, 4), segment(0x1500, 0x20_2500, 0x800, 5)];
        assert_eq!(Segment::to_svma(&segments, FileOffset(0x1580)), Some(Svma(0x20_2580)));
        assert_eq!(Segment::to_svma(&segments, FileOffset(0x10)), Some(Svma(0x20_0010)));
        assert_eq!(Segment::to_svma(&segments, FileOffset(0x1d00)), None, "past p_filesz");
        assert_eq!(Segment::to_svma(&[], FileOffset(0)), None);
    }

    #[test]
    fn build_ids_are_spelled_in_hex_both_ways() {
        let id = BuildId::from_hex("00ff10").unwrap();
        assert_eq!(id.to_string(), "00ff10");
        assert_eq!(BuildId::from_hex("0"), None);
        assert_eq!(BuildId::from_hex("zz"), None);
        assert!(BuildId::new(&[0; 20]).is_empty(), "kernels report zeros for no id");
        assert_eq!(BuildId::new(&[7; 32]).as_bytes(), [7; 20]);
    }
}
