//! What perf collects of the files and kernels that it records, by build-id:
//!
//! ```text
//! ~/.debug/.build-id/ab/cdef… → ../../usr/bin/server/abcdef…/   elf, debug, probes
//!                             → ../../[vdso]/abcdef…/           vdso
//!                             → ../../[kernel.kallsyms]/abcdef…/   kallsyms
//! ```
//! `perf archive` packs the part of it that a recording needs; unpacked, a `--debug-dir` may name it.

use std::path::{Path, PathBuf};

use profile::BuildId;

use super::Locator;

impl Locator {
    /// This machine's cache; another file system in its place has none.
    fn own_cache(&self) -> Option<&Path> {
        self.search.perf_cache.as_deref().filter(|_| self.search.sysroot.is_none())
    }

    /// Files of a build in perf's own cache, whether they are there or not.
    pub(super) fn in_perf_cache(&self, id: BuildId, names: &[&str]) -> Vec<PathBuf> {
        self.own_cache().into_iter().flat_map(|root| below(root, id, names)).collect()
    }

    /// Where a copy of a kernel's symbols may be; of this machine's own kernel its current ones.
    #[must_use]
    pub fn kallsyms(&self, kernel: BuildId) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self
            .search
            .debug_dirs
            .iter()
            .map(PathBuf::as_path)
            .chain(self.own_cache())
            .flat_map(|root| below(root, kernel, &["kallsyms"]))
            .collect();
        if self.search.sysroot.is_some() {
            return paths;
        }
        let notes = std::fs::read("/sys/kernel/notes").unwrap_or_default();
        let id = kernel.as_bytes();
        if !id.is_empty() && notes.windows(id.len()).any(|part| part == id) {
            paths.push("/proc/kallsyms".into());
        }
        paths
    }
}

fn below(root: &Path, id: BuildId, names: &[&str]) -> Vec<PathBuf> {
    let hex = id.to_string();
    if hex.len() < 4 {
        return Vec::new();
    }
    let directory = root.join(".build-id").join(&hex[..2]).join(&hex[2..]);
    names.iter().map(|name| directory.join(name)).collect()
}
