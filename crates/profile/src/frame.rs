//! Frames: what a picture's boxes are, where each name came from, or why there is none.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Row of a [`FrameTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrameId(pub u32);

/// One box's identity and what is known of it.
///
/// Identity is (name, module, kind, inlined); `raw_name`, `file` and `source` describe it and are
/// kept from the first frame interned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// For display: demangled, but not escaped for any output.
    pub name: Arc<str>,
    /// The linker's name, where it differs; else equal to `name`.
    pub raw_name: Arc<str>,
    /// The module's short name ("libc.so.6", "[kernel]"); empty for process frames and markers.
    pub module: Arc<str>,
    /// What it is.
    pub kind: FrameKind,
    /// Whether the function was inlined into its caller.
    pub inlined: bool,
    /// Source file of the function, where known.
    pub file: Option<Arc<str>>,
    /// Where the name came from.
    pub source: NameSource,
}

impl Frame {
    /// A frame of which only name, module and kind are known.
    #[must_use]
    pub fn new(name: &str, module: &str, kind: FrameKind) -> Self {
        let name: Arc<str> = name.into();
        Self {
            raw_name: Arc::clone(&name),
            name,
            module: module.into(),
            kind,
            inlined: false,
            file: None,
            source: NameSource::Given,
        }
    }
}

/// What a frame is; pictures colour by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FrameKind {
    /// A process (or another group asked for with `--by`): the first frame of a stack.
    Process,
    /// Code of the process's own executable.
    User,
    /// Code of a shared library or the vDSO.
    Library,
    /// Code compiled at run time.
    Jit,
    /// Kernel and its modules, BPF programs.
    Kernel,
    /// An address without a name, and why.
    NoName(NoName),
    /// Not code: `[truncated]`, `[caller may be missing]`, `[lost in a damaged block]`.
    Marker,
}

/// Who said a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NameSource {
    /// Nobody: there is none.
    None,
    /// The input already had names (folded stacks), or it is not a function.
    Given,
    /// DWARF debug information.
    Dwarf,
    /// `.symtab`.
    Symtab,
    /// `.dynsym`.
    Dynsym,
    /// `.gnu_debugdata`.
    MiniDebug,
    /// Go's `.gopclntab`.
    Pclntab,
    /// The host's kallsyms.
    Kallsyms,
    /// A perf-PID.map or jitdump.
    PerfMap,
}

impl NameSource {
    /// For people and `--json`.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::None => "no name",
            Self::Given => "given",
            Self::Dwarf => "DWARF",
            Self::Symtab => "symtab",
            Self::Dynsym => "dynsym",
            Self::MiniDebug => "minidebug",
            Self::Pclntab => "pclntab",
            Self::Kallsyms => "kallsyms",
            Self::PerfMap => "perf-map",
        }
    }
}

/// Why an address has no name. A wrong name is worse than none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoName {
    /// In no mapping that was known.
    Unmapped,
    /// The module's file was not found.
    NoFile,
    /// A file was found, but its build-id is another's.
    BuildIdMismatch,
    /// The file has neither symbols nor debug information.
    NoSymbols,
    /// The address lies outside every function the file names.
    OutOfRange,
    /// The file is damaged, hostile or of an unknown kind.
    BadDebugInfo,
    /// Go tables that were obfuscated or contradict themselves.
    Obfuscated,
    /// Memory without a file, and no map of names was recorded.
    Anonymous,
    /// Kernel names were hidden from the recorder (`kptr_restrict`, missing CAP_SYSLOG).
    KernelHidden,
    /// The definition was in a damaged block.
    LostBlock,
    /// The input came with names, and none for this.
    NotGiven,
}

impl NoName {
    /// For people: completes "no name: …".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unmapped => "in no known mapping",
            Self::NoFile => "file not found",
            Self::BuildIdMismatch => "another build of the file",
            Self::NoSymbols => "no symbols in the file",
            Self::OutOfRange => "outside every function",
            Self::BadDebugInfo => "debug information is damaged",
            Self::Obfuscated => "obfuscated",
            Self::Anonymous => "code made at run time",
            Self::KernelHidden => "kernel names were hidden",
            Self::LostBlock => "lost in a damaged block",
            Self::NotGiven => "not named by the input",
        }
    }
}

type Key = (Arc<str>, Arc<str>, FrameKind, bool);

/// Interned frames. Ids number them from 0 in order of appearance.
#[derive(Clone, Default, Debug)]
pub struct FrameTable {
    frames: Vec<Frame>,
    functions: Vec<u32>,
    by_key: FxHashMap<Key, FrameId>,
    by_function: FxHashMap<(Arc<str>, Arc<str>), u32>,
}

impl FrameTable {
    /// The id of a frame, new or known.
    pub fn intern(&mut self, frame: Frame) -> FrameId {
        let key = (Arc::clone(&frame.name), Arc::clone(&frame.module), frame.kind, frame.inlined);
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = FrameId(self.frames.len() as u32);
        let next_function = self.by_function.len() as u32;
        let function = *self
            .by_function
            .entry((Arc::clone(&frame.name), Arc::clone(&frame.module)))
            .or_insert(next_function);
        self.functions.push(function);
        self.frames.push(frame);
        self.by_key.insert(key, id);
        id
    }

    /// A frame.
    #[must_use]
    pub fn get(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    /// Number of the function (name, module): equal for its inlined and its own frames.
    #[must_use]
    pub fn function(&self, id: FrameId) -> u32 {
        self.functions[id.0 as usize]
    }

    /// How many functions there are.
    #[must_use]
    pub fn function_count(&self) -> usize {
        self.by_function.len()
    }

    /// Frames in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FrameId, &Frame)> + '_ {
        self.frames.iter().enumerate().map(|(i, f)| (FrameId(i as u32), f))
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inlined_frame_is_another_box_of_the_same_function() {
        let mut table = FrameTable::default();
        let own = table.intern(Frame::new("f", "m", FrameKind::User));
        let inlined =
            table.intern(Frame { inlined: true, ..Frame::new("f", "m", FrameKind::User) });
        let other = table.intern(Frame::new("f", "n", FrameKind::Library));
        assert_ne!(own, inlined);
        assert_eq!(table.function(own), table.function(inlined));
        assert_ne!(table.function(own), table.function(other));
        assert_eq!(table.intern(Frame::new("f", "m", FrameKind::User)), own);
    }
}
