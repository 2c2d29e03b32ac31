//! Finds the files of modules, and makes sure that they are the ones that ran.
//!
//! A file is taken only if its build-id is the recorded one. A module without any build-id is taken
//! by name, size and segments, and marked [`Trust::Unverified`]. Where to look, in this order: the
//! mapped path (under `--map-prefix` and `--sysroot` when given), then everything in the
//! `--debug-dir` directories by build-id, then what perf has collected, then the system's debug files,
//! then, with `--debuginfod` only, what servers sent ([`Locator::fetch`]).

mod companion;
mod debuginfod;
mod index;
mod lacking;
mod open;
mod packed;
mod perf_cache;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use profile::{BuildId, BuildIdFrom, Module, ModuleKind, NoName};
use symbolize::{Files, Identity};

use crate::Error;
use crate::addresses::tells_builds_apart;

pub use debuginfod::{
    Debuginfod, DebuginfodError, FetchOutcome, Fetcher, FileKind, Limits, NotFetched, Origin,
    Reason, Wanted,
};
pub use index::Index;
pub use open::MappedFile;
pub use packed::{is_packed, is_packed_file};

/// Where to look for files.
#[derive(Clone, Default, Debug)]
pub struct Search {
    /// Directories (searched recursively) and files.
    pub debug_dirs: Vec<PathBuf>,
    /// Root of another file system, in place of `/`.
    pub sysroot: Option<PathBuf>,
    /// Replacements of the beginning of paths, the first that fits.
    pub map_prefix: Vec<(Vec<u8>, PathBuf)>,
    /// Roots of separate debug files, `/usr/lib/debug` on most systems.
    pub system_debug: Vec<PathBuf>,
    /// Perf's own collection of what it has recorded, `~/.debug` unless it was told otherwise.
    pub perf_cache: Option<PathBuf>,
    /// Servers to ask for what is not here; `None`: nobody is asked.
    pub debuginfod: Option<Debuginfod>,
}

/// How sure it is that a file is the one that ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Its build-id is the recorded one.
    Verified,
    /// The module has no build-id; name, size and segments agree.
    Unverified,
}

/// A module's files.
#[derive(Debug)]
pub struct Located {
    /// The file that was mapped.
    pub image: Option<MappedFile>,
    /// Its separate debug file.
    pub debug: Option<MappedFile>,
    /// What that file shares with others (dwz).
    pub supplement: Option<MappedFile>,
    /// How sure it is.
    pub trust: Trust,
    /// Whether the files name no more than what they export: the rest was stripped.
    pub stripped: bool,
}

impl Located {
    /// Their bytes, for look-ups.
    #[must_use]
    pub fn files(&self) -> Files<'_> {
        Files {
            image: self.image.as_deref(),
            debug: self.debug.as_deref(),
            supplement: self.supplement.as_deref(),
        }
    }
}

/// A module without files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// What its frames say: [`NoName::NoFile`] or [`NoName::BuildIdMismatch`].
    pub reason: NoName,
    /// A file of that name that is another build.
    pub refused: Option<PathBuf>,
}

/// Finds files. Directories are indexed once, when a module first needs them.
#[derive(Debug)]
pub struct Locator {
    search: Search,
    index: OnceLock<Index>,
    fetcher: Option<Fetcher>,
    /// Debug files that lie where one is looked for and cannot be used, and why.
    refused: Mutex<BTreeMap<PathBuf, &'static str>>,
}

impl Locator {
    /// Looks where it is told.
    #[must_use]
    pub fn new(search: Search) -> Self {
        let fetcher = search.debuginfod.as_ref().map(Fetcher::new);
        Self { search, index: OnceLock::new(), fetcher, refused: Mutex::default() }
    }

    fn note_refused(&self, path: &Path, why: &'static str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into(), why);
    }

    /// Debug files that were found and not used, a sentence each.
    pub fn refused_debug_files(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = |(path, why): (&PathBuf, &&str)| {
            format!("The debug file {} is not used: {why}.", path.display())
        };
        refused.iter().map(sentence).collect()
    }

    /// What lies in the `--debug-dir` directories.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(&self.search.debug_dirs))
    }

    /// The files of a module.
    ///
    /// # Errors
    /// When there are none, with the reason and what was refused.
    pub fn locate(&self, module: &Module) -> Result<Located, Missing> {
        let mut refused = None;
        let mut image = None;
        for path in self.image_candidates(module) {
            let Ok(file) = MappedFile::open(&path) else { continue };
            let Ok(identity) = symbolize::identify(&file) else { continue };
            match judge(module, &file, &identity) {
                Some(trust) => {
                    image = Some((file, identity, trust));
                    break;
                }
                None if tells_builds_apart(module) => refused = refused.or(Some(path)),
                None => {} // nothing was recorded that it could contradict
            }
        }
        self.complete(module, image).ok_or_else(|| {
            let reason = if refused.is_some() { NoName::BuildIdMismatch } else { NoName::NoFile };
            Missing { reason, refused }
        })
    }

    /// A file that is given, with its companions.
    ///
    /// # Errors
    /// When it cannot be opened, or is no ELF file.
    pub fn companions(&self, path: &Path) -> Result<Located, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        // Companions lie at places that depend on where the file itself lies.
        let file = MappedFile::open(&path.canonicalize().map_err(failed)?).map_err(failed)?;
        let no_program = |source| Error::NoProgram { path: path.into(), source };
        let identity = symbolize::identify(&file).map_err(no_program)?;
        let mut module = Module::new(ModuleKind::File, "");
        module.build_id = identity.build_id;
        module.build_id_from = BuildIdFrom::FileNote;
        let image = (file, identity, Trust::Verified);
        self.complete(&module, Some(image)).ok_or(no_program(symbolize::Error::NoFile))
    }

    /// Finds what belongs to an image, or takes its place; `None` where there is nothing.
    fn complete(
        &self,
        module: &Module,
        image: Option<(MappedFile, Identity, Trust)>,
    ) -> Option<Located> {
        let debug = companion::debug_file(self, module, image.as_ref().map(|(f, i, _)| (f, i)));
        let supplement =
            companion::supplement(self, debug.as_ref().or(image.as_ref().map(|(file, _, _)| file)));
        if image.is_none() && debug.is_none() {
            return None;
        }
        let trust = image.as_ref().map_or(Trust::Verified, |(_, _, trust)| *trust);
        let names_all =
            |i: &Identity| companion::names(i) || i.has_pclntab || i.has_mini_debug_info;
        let stripped = debug.is_none() && !image.as_ref().is_some_and(|(_, i, _)| names_all(i));
        let image = image.map(|(file, _, _)| file);
        Some(Located { image, debug, supplement, trust, stripped })
    }

    /// Paths that may hold the module's own file, the likeliest first.
    fn image_candidates(&self, module: &Module) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.mapped_path(&module.path.0).into_iter().collect();
        if !self.search.debug_dirs.is_empty() {
            let id = recorded_id(module);
            let found = self.index().by_build_id(id);
            paths.extend(found.iter().filter(|p| !is_debug_file(p)).cloned());
            // Also by name: without a build-id it is the only way, and with one a file of that name
            // and another build-id is worth reporting.
            paths.extend(
                self.index()
                    .by_name(OsStr::new(&*module.path.file_name()))
                    .iter()
                    .filter(|p| !is_debug_file(p))
                    .cloned(),
            );
        }
        paths.extend(self.in_perf_cache(recorded_id(module), &["elf", "vdso"]));
        paths.extend(self.fetched_path(recorded_id(module), FileKind::Executable));
        paths
    }

    /// Whether servers were named, so that [`Self::fetch`] asks them.
    #[must_use]
    pub fn asks_servers(&self) -> bool {
        self.fetcher.is_some()
    }

    /// Where a file lies that a server sent, now or in an earlier run.
    fn fetched_path(&self, id: BuildId, kind: FileKind) -> Option<PathBuf> {
        self.fetcher.as_ref()?.path(id, kind)
    }

    /// Where a path of the recorded host lies here.
    fn mapped_path(&self, recorded: &[u8]) -> Option<PathBuf> {
        if recorded.first() != Some(&b'/') || recorded.split(|b| *b == b'/').any(|c| c == b"..") {
            return None;
        }
        for (from, to) in &self.search.map_prefix {
            let Some(rest) = recorded.strip_prefix(from.as_slice()) else { continue };
            if rest.is_empty() || rest[0] == b'/' || from.ends_with(b"/") {
                return Some(below(to, rest));
            }
        }
        match &self.search.sysroot {
            Some(root) => Some(below(root, recorded)),
            None => path_of(recorded),
        }
    }
}

/// A recorded absolute path (or what is left of one) below a directory here.
fn below(directory: &Path, recorded: &[u8]) -> PathBuf {
    let start = recorded.iter().position(|b| *b != b'/').unwrap_or(recorded.len());
    path_of(&recorded[start..])
        .filter(|rest| !rest.as_os_str().is_empty())
        .map_or_else(|| directory.into(), |rest| directory.join(rest))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The build-id that files state themselves. A hash of the content, which `capture` makes of files
/// without a note, stands in none.
pub fn recorded_id(module: &Module) -> BuildId {
    match module.build_id_from {
        BuildIdFrom::ContentHash => BuildId::default(),
        _ => module.build_id,
    }
}

/// Whether a file may stand for a module, and how sure that is.
fn judge(module: &Module, bytes: &MappedFile, identity: &Identity) -> Option<Trust> {
    let recorded = recorded_id(module);
    if !recorded.is_empty() {
        return (identity.build_id == recorded).then_some(Trust::Verified);
    }
    if !module.go_build_id.is_empty() {
        return (identity.go_build_id == module.go_build_id).then_some(Trust::Verified);
    }
    // Something must agree: a name alone would accept any other version.
    let size_known = module.file_bytes != 0;
    let segments_known = !module.segments.is_empty();
    if !size_known && !segments_known {
        return has_inode(&bytes.path, module.inode).then_some(Trust::Unverified);
    }
    let agrees = (!size_known || module.file_bytes == bytes.len() as u64)
        && (!segments_known || module.segments == identity.segments);
    agrees.then_some(Trust::Unverified)
}

/// Whether the file at a path has the recorded inode: on the machine that recorded, it is the very file
/// (or was changed in place).
#[cfg(unix)]
fn has_inode(path: &Path, inode: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    inode != 0 && std::fs::metadata(path).is_ok_and(|file| file.ino() == inode)
}

#[cfg(not(unix))]
fn has_inode(_path: &Path, _inode: u64) -> bool {
    false
}

/// Whether the file at `path` is a separate debug file: its code sections have no content.
fn is_debug_file(path: &Path) -> bool {
    MappedFile::open(path).is_ok_and(|file| companion::is_debug_only(&file))
}

#[cfg(test)]
mod tests;
