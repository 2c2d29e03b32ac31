//! Asks debuginfod servers for files by build-id (<https://sourceware.org/elfutils/Debuginfod.html>).
//!
//! Only on request: without `--debuginfod` nothing here runs, no variable is read and the cache is not
//! looked at, so that a result depends on nothing but the files that were named. What a server sends is
//! hostile until its build-id is the one asked for. A failure is a [`FetchOutcome`], never an error.
//!
//! `settings` is what was asked for, `server` asks one server, `connect` is how long and to which
//! addresses it may, `receive` is what of its answer is taken, `cache` keeps the files where elfutils
//! keeps them.

mod cache;
mod connect;
mod outcome;
mod progress;
mod receive;
mod server;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use profile::{BuildId, Text};

use self::cache::{Cache, Cached};
use self::progress::Progress;
use self::server::Server;

pub use self::outcome::{FetchOutcome, NotFetched, Origin, Reason};
pub use self::settings::{Debuginfod, DebuginfodError, Limits};

/// Files that are fetched at a time.
const WORKERS: usize = 4;

/// What a server is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// The file that ran.
    Executable,
    /// Its separate debug file, or what such files share (dwz).
    Debuginfo,
}

impl FileKind {
    /// The word for it in addresses and in the cache.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::Debuginfo => "debuginfo",
        }
    }
}

/// A file that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its GNU build-id.
    pub build_id: BuildId,
    /// Which of its files.
    pub kind: FileKind,
    /// How much depends on it: the heaviest are fetched first.
    pub weight: u64,
    /// The module's name, for people.
    pub name: Text,
}

/// Fetches files from servers into the cache.
#[derive(Debug)]
pub struct Fetcher {
    servers: Vec<Server>,
    cache: Cache,
    limits: Limits,
    /// What was asked before: nothing is asked twice in one run.
    known: Mutex<BTreeMap<(BuildId, FileKind), FetchOutcome>>,
}

impl Fetcher {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(settings: &Debuginfod) -> Self {
        let limits = settings.limits;
        Self {
            servers: settings.servers.iter().map(|url| Server::new(url.clone(), limits)).collect(),
            cache: Cache::new(settings.cache.clone()),
            limits,
            known: Mutex::default(),
        }
    }

    /// Where a file lies once it was fetched; `None` for build-ids that are too short.
    pub(super) fn path(&self, build_id: BuildId, kind: FileKind) -> Option<PathBuf> {
        is_askable(build_id).then(|| self.cache.path(build_id, kind))
    }

    /// Fetches what is not in the cache, the heaviest first, several at a time, each file from the first
    /// server that has it. Outcomes stand in that order, each file once.
    pub fn fetch(&self, wanted: &[Wanted]) -> Vec<FetchOutcome> {
        let mut order: Vec<&Wanted> = wanted.iter().filter(|w| is_askable(w.build_id)).collect();
        order.sort_by_key(|w| (std::cmp::Reverse(w.weight), w.build_id, w.kind));
        let mut seen = BTreeSet::new();
        order.retain(|w| seen.insert((w.build_id, w.kind)));

        let progress = Progress::new(order.len());
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(order.len()) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(wanted) = order.get(index) else { break };
                        let outcome = self.fetch_one(wanted, &progress);
                        progress.file_done();
                        lock(&outcomes).insert(index, outcome);
                    }
                });
            }
        });
        progress.finish();
        let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.into_values().collect()
    }

    fn fetch_one(&self, wanted: &Wanted, progress: &Progress) -> FetchOutcome {
        let key = (wanted.build_id, wanted.kind);
        if let Some(known) = lock(&self.known).get(&key) {
            return known.clone();
        }
        let result = self.look_and_ask(wanted, progress);
        let outcome = FetchOutcome { wanted: wanted.clone(), result };
        lock(&self.known).insert(key, outcome.clone());
        outcome
    }

    fn look_and_ask(&self, wanted: &Wanted, progress: &Progress) -> Result<Origin, NotFetched> {
        let (id, kind) = (wanted.build_id, wanted.kind);
        match self.cache.look(id, kind) {
            Cached::File => return Ok(Origin::Cache),
            Cached::Absent => return Err(NotFetched::Absent),
            Cached::Nothing => {}
        }
        let keep = |error: std::io::Error| NotFetched::NotKept(error.to_string());
        let mut refusals = Vec::new();
        for server in &self.servers {
            let mut partial = self.cache.begin(id, kind).map_err(keep)?;
            let received = server.get(id, kind, &mut |reader, stated| {
                receive::body(reader, stated, partial.as_file_mut(), &self.limits, |bytes| {
                    progress.received(bytes);
                })
            });
            let reason = match received {
                Ok(bytes) => match receive::check(partial.path(), id) {
                    Ok(()) => {
                        self.cache.keep(partial, id, kind).map_err(keep)?;
                        return Ok(Origin::Server { server: server.shown().into(), bytes });
                    }
                    Err(reason) => reason,
                },
                Err(reason) => reason,
            };
            refusals.push((server.shown().to_owned(), reason));
        }
        if refusals.iter().all(|(_, reason)| *reason == Reason::Absent) {
            self.cache.note_absent(id, kind);
            return Err(NotFetched::Absent);
        }
        refusals.retain(|(_, reason)| *reason != Reason::Absent);
        Err(NotFetched::Failed(refusals))
    }
}

/// Whether a build-id is long enough to tell anything: files on disk are laid out by its first byte
/// and the rest, so that one byte alone has no place.
fn is_askable(build_id: BuildId) -> bool {
    build_id.as_bytes().len() >= 2
}

/// A worker that panicked has not left anything half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(in crate::locate) mod test_server;
#[cfg(test)]
mod tests;
