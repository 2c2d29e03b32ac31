//! A source of user code as the kernel named it: path and identity, before anything is opened.

use std::cell::RefCell;
use std::rc::Rc;

use profile::ModuleKind;
use rustc_hash::FxHashMap;

use crate::elf_facts::ElfFacts;
use crate::sideband::Identity;

/// What the kernel calls executable memory without a file in side-band records; /proc/PID/maps says
/// nothing there.
const ANONYMOUS: &[u8] = b"//anon";
const DELETED: &[u8] = b" (deleted)";

/// A mapped file, the vDSO, or anonymous memory.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct MappedFile {
    pub(crate) kind: ModuleKind,
    /// In the process's mount namespace; without the mark of deletion.
    pub(crate) path: Box<[u8]>,
    pub(crate) deleted: bool,
    pub(crate) identity: Identity,
    /// Headers and notes, once they were needed and could be read.
    pub(crate) facts: RefCell<Option<ElfFacts>>,
}

impl MappedFile {
    /// From what a side-band record or a line of maps states.
    pub(crate) fn new(stated_path: &[u8], identity: Identity) -> Self {
        let deleted = stated_path.ends_with(DELETED);
        let path = stated_path.strip_suffix(DELETED).unwrap_or(stated_path);
        let kind = match path {
            b"[vdso]" => ModuleKind::Vdso,
            // System V shared memory and mappings of /dev/zero have paths, but no file to bring.
            _ if path.starts_with(b"/SYSV") || path == b"/dev/zero" => ModuleKind::Anon,
            [b'/', next, ..] if *next != b'/' => ModuleKind::File,
            _ => ModuleKind::Anon,
        };
        let path = if path.is_empty() { ANONYMOUS } else { path };
        Self { kind, path: path.into(), deleted, identity, facts: RefCell::new(None) }
    }

    /// Whether it is a C library, by its usual names: programs and threads start in it.
    pub(crate) fn is_c_library(&self) -> bool {
        let name = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let names: [&[u8]; 4] = [b"libc.so", b"libc-", b"libpthread", b"ld-musl-"];
        names.iter().any(|start| name.starts_with(start))
    }

    /// Whether it may be memory that a just-in-time compiler shares with itself (.NET writes its code
    /// through a second mapping): a file without a name, or one that only had a name to be made.
    pub(crate) fn may_be_memory(&self) -> bool {
        self.kind == ModuleKind::File && (self.deleted || self.is_memfd())
    }

    /// Whether it is. Asked once its headers were read, if they can be.
    pub(crate) fn is_memory(&self) -> bool {
        let is_program = self.facts.borrow().as_ref().map(|facts| !facts.segments.is_empty());
        // What could not be read of a memfd will not be found anywhere else either.
        self.may_be_memory() && !is_program.unwrap_or(!self.is_memfd())
    }

    fn is_memfd(&self) -> bool {
        self.path.starts_with(b"/memfd:")
    }
}

/// One [`MappedFile`] for everything that is named alike.
#[derive(Default, Debug)]
pub(crate) struct MappedFiles {
    files: FxHashMap<(Box<[u8]>, Identity), Rc<MappedFile>>,
    purge_at: usize,
}

impl MappedFiles {
    const PURGE_AT_LEAST: usize = 1024;

    /// The file of this path and identity.
    pub(crate) fn intern(&mut self, stated_path: &[u8], identity: Identity) -> Rc<MappedFile> {
        if self.files.len() >= self.purge_at.max(Self::PURGE_AT_LEAST) {
            // Files of processes that have gone: over days there is no end of them.
            self.files.retain(|_, file| Rc::strong_count(file) > 1);
            self.purge_at = self.files.len() * 2;
        }
        let key = (Box::from(stated_path), identity);
        let file = self
            .files
            .entry(key)
            .or_insert_with_key(|(path, identity)| Rc::new(MappedFile::new(path, *identity)));
        Rc::clone(file)
    }
}

/// Undoes the only escape of /proc/PID/maps: a newline in a path.
pub(crate) fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\\012") {
            out.push(b'\n');
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> ModuleKind {
        MappedFile::new(path.as_bytes(), Identity::NONE).kind
    }

    #[test]
    fn the_path_says_what_kind_it_is() {
        assert_eq!(kind("/usr/bin/true"), ModuleKind::File);
        assert_eq!(kind("/memfd:jit (deleted)"), ModuleKind::File);
        assert_eq!(kind("[vdso]"), ModuleKind::Vdso);
        for anonymous in
            ["", "//anon", "[heap]", "[anon:v8]", "/SYSV00000000 (deleted)", "/dev/zero"]
        {
            assert_eq!(kind(anonymous), ModuleKind::Anon, "{anonymous}");
        }
    }

    #[test]
    fn the_name_says_whether_it_is_a_c_library() {
        let is_one = |path: &str| MappedFile::new(path.as_bytes(), Identity::NONE).is_c_library();
        for path in ["/lib/libc.so.6", "/lib64/libc-2.17.so", "/lib/ld-musl-x86_64.so.1"] {
            assert!(is_one(path), "{path}");
        }
        for path in ["/usr/bin/server", "/lib/libcrypto.so.3", "/libc.so.6/server", ""] {
            assert!(!is_one(path), "{path}");
        }
    }

    #[test]
    fn memory_behind_a_file_is_told_from_a_program() {
        let is_memory = |path: &str, facts: Option<ElfFacts>| {
            let file = MappedFile::new(path.as_bytes(), Identity::NONE);
            *file.facts.borrow_mut() = facts;
            file.is_memory()
        };
        let no_elf = Some(ElfFacts::default());
        let segment = profile::Segment {
            file_offset: profile::FileOffset(0),
            svma: profile::Svma(0),
            file_bytes: 1,
            memory_bytes: 1,
            flags: 5,
        };
        let elf = Some(ElfFacts { segments: vec![segment], ..ElfFacts::default() });
        assert!(is_memory("/memfd:doublemapper (deleted)", no_elf.clone()));
        assert!(is_memory("/memfd:doublemapper (deleted)", None));
        assert!(!is_memory("/memfd:runc_cloned (deleted)", elf.clone()));
        assert!(is_memory("/tmp/ffi7 (deleted)", no_elf.clone()));
        assert!(!is_memory("/usr/lib/upgraded.so (deleted)", None), "could not be read");
        assert!(!is_memory("/usr/lib/upgraded.so (deleted)", elf));
        assert!(!is_memory("/srv/windows.dll", no_elf));
    }

    #[test]
    fn the_mark_of_deletion_is_not_part_of_the_path() {
        let file = MappedFile::new(b"/tmp/a (deleted)", Identity::NONE);
        assert_eq!((&*file.path, file.deleted), (b"/tmp/a".as_slice(), true));
    }

    #[test]
    fn files_are_shared_and_forgotten_with_their_last_user() {
        let mut files = MappedFiles::default();
        let kept = files.intern(b"/a", Identity::NONE);
        assert!(Rc::ptr_eq(&kept, &files.intern(b"/a", Identity::NONE)));
        for i in 0..5000 {
            files.intern(format!("/{i}").as_bytes(), Identity::NONE);
        }
        assert!(files.files.len() <= MappedFiles::PURGE_AT_LEAST);
        assert!(Rc::ptr_eq(&kept, &files.intern(b"/a", Identity::NONE)));
    }

    #[test]
    fn a_newline_in_a_path_is_restored() {
        assert_eq!(unescape(b"/a\\012b\\01"), b"/a\nb\\01");
    }
}
