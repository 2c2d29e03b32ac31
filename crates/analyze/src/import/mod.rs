//! Opens inputs, whatever they are, as recordings: tables, and data blocks that stream through.

mod dtrace;
mod folded;
mod named;
mod open;
mod outline;
mod perf_data;
mod perf_script;
mod pprof;
mod spelling;
mod text;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use archive::{Archive, Damage, DataBlock, SliceBlock};
use profile::{BuildId, CpuLedger, End, ModuleId, ModuleKind, RecordingFacts, Tables};
use rayon::iter::ParallelIterator;
use rustc_hash::FxHashMap;

use crate::Error;
pub use named::{Named, NamedKind, NamedStack};
pub use open::Opened;
pub use perf_data::PerfDataError;
pub use pprof::PprofError;
pub use text::TextError;

/// An opened input. Its samples are never all in memory: [`Recording::data_blocks`] decodes them block
/// by block, and may be run again.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    archive: Archive,
    embeds: OnceLock<EmbedsByBuild>,
    /// What could not be imported of a recording that was none of ours.
    statements: Vec<String>,
}

impl Recording {
    /// Opens a file; `-` reads standard input to its end.
    ///
    /// # Errors
    /// As [`Opened::open`], and when it came with names, so that it has no addresses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::only(Opened::open(path)?)
    }

    /// Opens what was read from somewhere; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::only(Opened::from_bytes(name, bytes)?)
    }

    fn only(input: Opened) -> Result<Self, Error> {
        match input {
            Opened::Recording(recording) => Ok(*recording),
            Opened::Named(named) => {
                Err(Error::NotARecording { path: named.path, found: "has names already" })
            }
        }
    }

    fn new(path: PathBuf, archive: Archive, statements: Vec<String>) -> Self {
        Self { path, archive, embeds: OnceLock::new(), statements }
    }

    /// What messages call it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where, when, of what.
    #[must_use]
    pub fn facts(&self) -> &RecordingFacts {
        self.archive.facts()
    }

    /// All definitions.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.archive.tables()
    }

    /// How it ended; `None`: it was cut off.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.archive.end()
    }

    /// From the first to the last time that is covered.
    #[must_use]
    pub fn span(&self) -> Range<u64> {
        self.archive.span()
    }

    /// The counters at the end; empty without one.
    #[must_use]
    pub fn end_ledger(&self) -> &[CpuLedger] {
        self.archive.end_ledger()
    }

    /// The samples, block by block, on all threads. Blocks that are lost are left out; see
    /// [`Recording::damage`].
    pub fn data_blocks(&self) -> impl ParallelIterator<Item = DataBlock<'_>> + '_ {
        self.archive.data_blocks().filter_map(Result::ok)
    }

    /// Registers and stack words of stacks, block by block, on all threads; as for [`Recording::data_blocks`].
    pub fn slice_blocks(&self) -> impl ParallelIterator<Item = SliceBlock<'_>> + '_ {
        self.archive.slice_blocks().filter_map(Result::ok)
    }

    /// What is missing; reads the blocks that were not read before.
    #[must_use]
    pub fn damage(&self) -> Damage {
        let mut damage = self.archive.damage();
        damage.complete &= self.statements.is_empty();
        damage.statements.splice(0..0, self.statements.iter().cloned());
        damage
    }

    /// The image of a vDSO, which the recording itself holds: it exists on the host only.
    #[must_use]
    pub fn vdso_image(&self, module: ModuleId) -> Option<Vec<u8>> {
        let row = self.tables().module(module)?;
        if row.kind == ModuleKind::Vdso { self.embedded(module, "") } else { None }
    }

    /// A module's unwind tables as an ELF file, if they were embedded when it was recorded.
    #[must_use]
    pub fn unwind_image(&self, module: ModuleId) -> Option<Vec<u8>> {
        self.embedded(module, "unwind")
    }

    /// What is embedded of a module, or else of the first of its build: recorders embed each build once.
    fn embedded(&self, module: ModuleId, section: &str) -> Option<Vec<u8>> {
        let wanted = self.tables().module(module)?;
        self.archive.embedded(module, section).or_else(|| {
            let embeds = self.embeds.get_or_init(|| embeds_by_build(&self.archive));
            let same_build = embeds.get(&(wanted.kind, wanted.build_id, section.as_bytes().into()));
            self.archive.embedded(*same_build?, section)
        })
    }
}

/// Which module something is embedded of, by kind, build and section.
type EmbedsByBuild = FxHashMap<(ModuleKind, BuildId, Box<[u8]>), ModuleId>;

fn embeds_by_build(archive: &Archive) -> EmbedsByBuild {
    let mut embeds = EmbedsByBuild::default();
    for (id, section) in archive.embeds() {
        if let Some(module) = archive.tables().module(id).filter(|m| !m.build_id.is_empty()) {
            embeds.entry((module.kind, module.build_id, section.into())).or_insert(id);
        }
    }
    embeds
}
