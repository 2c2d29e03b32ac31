//! What lies in the directories given by `--debug-dir`, by build-id and by name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use profile::BuildId;
use rustc_hash::FxHashMap;

use super::MappedFile;

/// Files that are looked at; a whole `/usr` has about 400,000, of which 20,000 are ELF.
const MAX_FILES: usize = 500_000;
/// Directories deep.
const MAX_DEPTH: usize = 24;

/// ELF files below some directories.
#[derive(Default, Debug)]
pub struct Index {
    by_build_id: FxHashMap<BuildId, Vec<PathBuf>>,
    by_name: FxHashMap<OsString, Vec<PathBuf>>,
    files: usize,
    cut: bool,
}

impl Index {
    /// Indexes files and, recursively, directories. Links to directories are not followed (they can
    /// lead in circles), links to files are: `.build-id` trees consist of them.
    #[must_use]
    pub fn new(roots: &[PathBuf]) -> Self {
        let mut index = Self::default();
        for root in roots {
            if root.is_file() {
                index.add(root);
            } else {
                index.walk(root);
            }
        }
        index
    }

    /// Files of a build-id, in order of the directories given and of their paths.
    #[must_use]
    pub fn by_build_id(&self, id: BuildId) -> &[PathBuf] {
        self.by_build_id.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Files of a name, in the same order.
    #[must_use]
    pub fn by_name(&self, name: &OsStr) -> &[PathBuf] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first file, in the order of names, whose name begins so.
    #[must_use]
    pub fn first_named(&self, beginning: &str) -> Option<&Path> {
        let begins = |name: &&OsString| name.as_encoded_bytes().starts_with(beginning.as_bytes());
        let name = self.by_name.keys().filter(begins).min()?;
        self.by_name(name).first().map(PathBuf::as_path)
    }

    /// Whether there were more files than are looked at.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    fn walk(&mut self, root: &Path) {
        let mut work = vec![(root.to_path_buf(), 0)];
        while let Some((directory, depth)) = work.pop() {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            let mut entries: Vec<_> = entries.flatten().collect();
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            let mut below = Vec::new();
            for entry in entries {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if depth < MAX_DEPTH {
                        below.push((entry.path(), depth + 1));
                    } else {
                        self.cut = true;
                    }
                } else if self.files < MAX_FILES {
                    self.files += 1;
                    self.add(&entry.path());
                } else {
                    self.cut = true;
                    return;
                }
            }
            work.extend(below.into_iter().rev());
        }
    }

    fn add(&mut self, path: &Path) {
        if !starts_like_elf(path) {
            return;
        }
        let Ok(file) = MappedFile::open(path) else { return };
        let Ok(identity) = symbolize::identify(&file) else { return };
        if !identity.build_id.is_empty() {
            self.by_build_id.entry(identity.build_id).or_default().push(path.into());
        }
        if let Some(name) = path.file_name() {
            self.by_name.entry(name.into()).or_default().push(path.into());
        }
    }
}

/// Reads four bytes, so that the other files of a directory cost no mapping.
fn starts_like_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    fs::metadata(path).is_ok_and(|m| m.is_file())
        && fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}
