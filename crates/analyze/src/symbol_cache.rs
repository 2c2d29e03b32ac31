//! Keeps tables of answers from one run to the next, in the user's cache directory.
//!
//! One file for each set of module files ([`Key`]): it appears whole (temporary file, rename), so
//! that processes may read and write one directory at the same time; the last one to write wins,
//! and those that read the file before keep what they mapped. Nothing that goes wrong here is more
//! than a slower run.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::locate::{Located, MappedFile, Trust};

/// All tables together, each counted with [`FILE_COST_BYTES`]; the least recently used go first.
const MAX_BYTES: u64 = 512 << 20;
/// What is left when tables had to go, so that not every run has to look for more.
const KEPT_BYTES: u64 = MAX_BYTES / 4 * 3;
/// One table: some million addresses.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// What a file costs beyond its bytes.
const FILE_COST_BYTES: u64 = 4096;
/// How exactly it is known when a table was last used; also the age at which temporary files of
/// processes that were killed are removed.
const DAY: Duration = Duration::from_hours(24);

const EXTENSION: &str = "symbols";
const UNFINISHED: &str = ".unfinished-";

/// Bytes at both ends of a file that tell its versions apart, with its length and time.
const SAMPLE_BYTES: usize = 4096;

/// Tables of answers on disk, or none.
#[derive(Debug)]
pub struct SymbolCache {
    /// Where, or why nowhere.
    directory: Result<PathBuf, String>,
    /// What the tables there take, once this process has written one.
    used_bytes: Mutex<Option<u64>>,
}

impl SymbolCache {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Err("--no-cache".into()))
    }

    /// In the user's cache directory: `$XDG_CACHE_HOME` or the system's own, `flamearc/symbols`
    /// below it.
    #[must_use]
    pub fn of_user() -> Self {
        match user_directory(|name| std::env::var_os(name)) {
            Some(base) => Self::at(&base.join("flamearc").join("symbols")),
            None => Self::new(Err("neither XDG_CACHE_HOME nor HOME says where".into())),
        }
    }

    /// In a directory of its own, which is made when it is not there.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        let usable = make_private(directory).map(|()| directory.to_path_buf());
        Self::new(usable.map_err(|error| format!("{}: {error}", directory.display())))
    }

    fn new(directory: Result<PathBuf, String>) -> Self {
        Self { directory, used_bytes: Mutex::new(None) }
    }

    /// Whether anything can be kept.
    pub(crate) fn is_used(&self) -> bool {
        self.directory.is_ok()
    }

    /// The table stored under a key, unopened; it may be damaged, or that of another key.
    pub(crate) fn read(&self, key: &Key) -> Option<MappedFile> {
        let path = self.path(key)?;
        if !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let file = MappedFile::open(&path).ok()?;
        let age = file.modified.and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_some_and(|age| age > DAY) {
            // When it was used matters only for what goes first.
            let _ =
                File::options().append(true).open(&path).map(|f| f.set_modified(SystemTime::now()));
        }
        Some(file)
    }

    /// Stores a table in place of the one that is there.
    pub(crate) fn write(&self, key: &Key, table: &[u8]) {
        // A full disk, a directory made read-only: the next run does this one's work again.
        let _ = self.try_write(key, table);
    }

    fn try_write(&self, key: &Key, table: &[u8]) -> io::Result<()> {
        let Some(path) = self.path(key) else { return Ok(()) };
        let Ok(directory) = &self.directory else { return Ok(()) };
        // Temporary files are made 0600, and never through a link.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
        file.write_all(table)?;
        file.persist(path).map_err(|failed| failed.error)?;

        let mut used = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match *used {
            Some(before) => before + table.len() as u64 + FILE_COST_BYTES,
            None => Tables::list(directory)?.bytes(),
        };
        *used =
            Some(if now > MAX_BYTES { Tables::list(directory)?.shrink(KEPT_BYTES) } else { now });
        Ok(())
    }

    /// Whether a table is small enough to be kept.
    pub(crate) fn has_room_for(table: &[u8]) -> bool {
        table.len() as u64 <= MAX_TABLE_BYTES
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        self.directory.as_ref().ok().map(|directory| directory.join(&key.file_name))
    }

    /// For people: where it is and how much it holds, or why it is not used.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.directory {
            Ok(directory) => {
                let tables = Tables::list(directory).map(|tables| (tables.0.len(), tables.bytes()));
                let (count, bytes) = tables.unwrap_or_default();
                let megabytes = bytes.div_ceil(1_000_000);
                format!("symbol cache: {}, {count} tables, {megabytes} MB", directory.display())
            }
            Err(why) => format!("symbol cache: not used ({why})"),
        }
    }
}

/// Below which directory programs keep what they can make again.
fn user_directory(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| {
        if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            absolute("HOME").map(|home| home.join("Library/Caches"))
        } else {
            absolute("HOME").map(|home| home.join(".cache"))
        }
    })
}

/// Makes a directory that only its owner can enter. One that others could write would let them
/// choose our names; one of somebody else's cannot be entered when it is private.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "a link is not followed here"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others may enter it; `chmod 700` it, or remove it",
        ));
    }
    Ok(())
}

/// The tables in a directory: path, bytes, last use.
struct Tables(Vec<(PathBuf, u64, SystemTime)>);

impl Tables {
    /// Lists what is ours, and removes what killed processes left behind.
    fn list(directory: &Path) -> io::Result<Self> {
        let mut tables = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if !found.is_file() {
                continue;
            }
            let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                tables.push((path, found.len() + FILE_COST_BYTES, used));
            } else if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
                && SystemTime::now().duration_since(used).is_ok_and(|age| age > DAY)
            {
                let _ = fs::remove_file(path); // somebody else may have done it
            }
        }
        Ok(Self(tables))
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes, _)| bytes).sum()
    }

    /// Removes the least recently used until no more than `limit` bytes are left; says how many are.
    fn shrink(mut self, limit: u64) -> u64 {
        self.0.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        let mut left = self.bytes();
        for (path, bytes, _) in &self.0 {
            if left <= limit {
                break;
            }
            if fs::remove_file(path).is_ok() {
                left -= bytes;
            }
        }
        left
    }
}

/// Which files answers come from: the same module has more names with its debug file than without.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    file_name: String,
    bytes: Vec<u8>,
}

impl Key {
    /// `None` for files whose content is not known by a build-id.
    pub fn of(located: &Located) -> Option<Self> {
        let Located { image, debug, supplement, trust, stripped: _ } = located;
        if *trust != Trust::Verified {
            return None;
        }
        let mut bytes = symbolize::DECODER_VERSION.to_le_bytes().to_vec();
        let mut name = None;
        for file in [image, debug, supplement] {
            let Some(file) = file else {
                bytes.push(0);
                continue;
            };
            let identity = symbolize::identify(file).ok()?;
            bytes.push(1);
            for id in [identity.build_id.as_bytes(), &identity.go_build_id.0] {
                bytes.extend((id.len() as u64).to_le_bytes());
                bytes.extend(id);
            }
            bytes.extend((file.len() as u64).to_le_bytes());
            // A file altered in place keeps its build-id.
            let modified = file.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            bytes.extend(modified.as_nanos().to_le_bytes());
            let ends = [
                &file[..file.len().min(SAMPLE_BYTES)],
                &file[file.len().saturating_sub(SAMPLE_BYTES)..],
            ];
            ends.iter().for_each(|end| bytes.extend(crc32fast::hash(end).to_le_bytes()));
            name = name.or(match (identity.build_id, identity.go_build_id) {
                (id, _) if !id.is_empty() => Some(id.to_string()),
                (_, id) if !id.0.is_empty() => Some("go".into()),
                _ => None,
            });
        }
        let file_name = format!("{}-{:08x}.{EXTENSION}", name?, crc32fast::hash(&bytes));
        Some(Self { file_name, bytes })
    }

    /// What the table must say: names of files are too short to be unique.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
#[path = "symbol_cache_tests.rs"]
mod tests;
