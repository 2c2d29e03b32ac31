//! The directory of files that servers sent, as elfutils' own programs lay it out: `BUILDID/debuginfo`
//! and `BUILDID/executable`. An empty file says that no server had it when it was made.
//!
//! Several processes may work here at once: a file appears whole, by rename. Files that nobody uses are
//! removed by elfutils' programs, which have a rule and control files for it; nothing is removed here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use profile::BuildId;
use tempfile::NamedTempFile;

use super::{FileKind, receive};

/// How long "no server has it" holds, unless the control file says otherwise.
const ABSENT_FOR: Duration = Duration::from_secs(600);
/// The control file with that number of seconds.
const ABSENT_FOR_FILE: &str = "cache_miss_s";

/// What the cache says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cached {
    /// It is there, with the right build-id.
    File,
    /// No server had it a short time ago.
    Absent,
    /// Nothing that helps.
    Nothing,
}

/// A cache directory.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn path(&self, id: BuildId, kind: FileKind) -> PathBuf {
        self.directory(id).join(kind.word())
    }

    fn directory(&self, id: BuildId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// What is known without asking. A damaged file is nothing: it will be replaced.
    pub fn look(&self, id: BuildId, kind: FileKind) -> Cached {
        let path = self.path(id, kind);
        let Ok(metadata) = fs::metadata(&path) else { return Cached::Nothing };
        if !metadata.is_file() {
            return Cached::Nothing;
        }
        if metadata.len() > 0 {
            let right = receive::check(&path, id).is_ok();
            return if right { Cached::File } else { Cached::Nothing };
        }
        let age =
            metadata.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
        match age {
            Some(age) if age <= self.absent_for() => Cached::Absent,
            _ => Cached::Nothing,
        }
    }

    fn absent_for(&self) -> Duration {
        let stated = fs::read_to_string(self.root.join(ABSENT_FOR_FILE)).ok();
        let seconds = stated.and_then(|text| text.trim().parse().ok());
        seconds.map_or(ABSENT_FOR, Duration::from_secs)
    }

    /// A file beside its place, gone again unless it is kept.
    pub fn begin(&self, id: BuildId, kind: FileKind) -> io::Result<NamedTempFile> {
        let directory = self.directory(id);
        make_private(&directory)?;
        tempfile::Builder::new().prefix(&format!("{}.", kind.word())).tempfile_in(directory)
    }

    /// Puts a whole file in its place, over whatever another process may have put there.
    pub fn keep(&self, file: NamedTempFile, id: BuildId, kind: FileKind) -> io::Result<()> {
        file.persist(self.path(id, kind)).map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Notes that no server has a file. Another process may have put the file there meanwhile: it is
    /// never removed for a note, and where a note cannot be made, the servers are asked again.
    pub fn note_absent(&self, id: BuildId, kind: FileKind) {
        let path = self.path(id, kind);
        if make_private(&self.directory(id)).is_err() || File::create_new(&path).is_ok() {
            return;
        }
        let Ok(note) = File::options().write(true).open(&path) else { return };
        if note.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // A note that could not be renewed has expired, and says nothing.
            note.set_modified(SystemTime::now()).ok();
        }
    }
}

/// Directories that only their owner may read, as elfutils makes them.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FileKind = FileKind::Debuginfo;

    fn cache() -> (tempfile::TempDir, Cache, BuildId) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("a/b"));
        (dir, cache, BuildId::new(&[0xab, 0xcd, 0xef]))
    }

    fn age(path: &Path, seconds: u64) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn a_note_of_absence_expires_and_can_be_renewed() {
        let (_dir, cache, id) = cache();
        assert_eq!(cache.look(id, KIND), Cached::Nothing);
        cache.note_absent(id, KIND);
        assert_eq!(cache.look(id, KIND), Cached::Absent);
        assert_eq!(cache.look(id, FileKind::Executable), Cached::Nothing);
        let path = cache.root.join("abcdef/debuginfo");
        age(&path, 700);
        assert_eq!(cache.look(id, KIND), Cached::Nothing);
        fs::write(cache.root.join("cache_miss_s"), "3600\n").unwrap();
        assert_eq!(cache.look(id, KIND), Cached::Absent);
        age(&path, 4000);
        cache.note_absent(id, KIND);
        assert_eq!(cache.look(id, KIND), Cached::Absent);
    }

    #[test]
    fn a_file_is_never_replaced_by_a_note_and_a_damaged_one_is_nothing() {
        let (_dir, cache, id) = cache();
        let file = cache.begin(id, KIND).unwrap();
        fs::write(file.path(), b"somebody else's file").unwrap();
        cache.keep(file, id, KIND).unwrap();
        cache.note_absent(id, KIND);
        assert_eq!(fs::read(cache.path(id, KIND)).unwrap(), b"somebody else's file");
        assert_eq!(cache.look(id, KIND), Cached::Nothing);
    }

    #[test]
    fn what_is_not_kept_leaves_nothing() {
        let (_dir, cache, id) = cache();
        drop(cache.begin(id, KIND).unwrap());
        assert_eq!(fs::read_dir(cache.root.join("abcdef")).unwrap().count(), 0);
    }
}
