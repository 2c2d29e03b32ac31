//! Opens inputs, whatever they are, as recordings: tables, and data blocks that stream through.

mod perf_data;

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use archive::{Archive, Damage, DataBlock, SliceBlock};
use profile::{BuildId, CpuLedger, End, ModuleId, ModuleKind, RecordingFacts, Tables};
use rayon::iter::ParallelIterator;
use rustc_hash::FxHashMap;

use crate::Error;
use perf_data::Imported;
pub use perf_data::PerfDataError;

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

/// What an input begins with.
enum Content {
    Archive,
    Other(&'static str),
}

/// Enough to recognise every input there is.
const HEAD_BYTES: usize = 16;

fn recognise(head: &[u8]) -> Content {
    match head {
        [] => Content::Other("is empty"),
        // A skippable zstd frame: archives begin with one. What is in it, the reader judges.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Content::Archive,
        [0x1f, 0x8b, ..] => Content::Other("is compressed with gzip"),
        _ if head.starts_with(b"<svg") || head.starts_with(b"<?xml") => {
            Content::Other("is a picture")
        }
        _ => Content::Other("begins like none"),
    }
}

fn read_head(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(256 << 10, input)
}

impl Recording {
    /// Opens a file; `-` reads standard input to its end. What it is, its content decides.
    ///
    /// # Errors
    /// When it cannot be read, is not a recording, or nothing in it is whole.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Self::from_stream(Path::new("standard input"), std::io::stdin().lock());
        }
        let failed = |source| Error::Read { path: path.into(), source };
        let mut file = File::open(path).map_err(failed)?;
        // A pipe has no length and cannot be read at a place.
        if !file.metadata().map_err(failed)?.is_file() {
            return Self::from_stream(path, file);
        }
        let head = read_head(&mut file).map_err(failed)?;
        if perf_data::is_perf_data(&head) {
            file.rewind().map_err(failed)?;
            return Self::imported(path, perf_data::import_file(buffered(file)));
        }
        Self::checked(path, &head, Archive::open(file))
    }

    /// Opens what was read from somewhere; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        if perf_data::is_perf_data(&bytes) {
            return Self::imported(name, perf_data::import_file(Cursor::new(bytes)));
        }
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        Self::checked(name, &head, Archive::from_bytes(bytes))
    }

    /// What perf writes into a pipe is imported while it comes; anything else is read first.
    fn from_stream(name: &Path, mut stream: impl Read) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: name.into(), source };
        let head = read_head(&mut stream).map_err(failed)?;
        let mut whole = Cursor::new(head.clone()).chain(stream);
        if perf_data::is_perf_pipe(&head) {
            return Self::imported(name, perf_data::import_pipe(buffered(whole)));
        }
        let mut bytes = Vec::new();
        whole.read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes(name, bytes)
    }

    fn imported(path: &Path, imported: Result<Imported, PerfDataError>) -> Result<Self, Error> {
        let path = path.to_path_buf();
        match imported {
            Ok(Imported { archive, statements }) => Ok(Self::new(path, archive, statements)),
            Err(source) => Err(Error::PerfData { path, source }),
        }
    }

    fn checked(
        path: &Path,
        head: &[u8],
        opened: Result<Archive, archive::Error>,
    ) -> Result<Self, Error> {
        // An archive that lost its beginning still opens: its reader has the last word, the first bytes
        // only say what else it may be.
        let path = path.to_path_buf();
        match (opened, recognise(head)) {
            (Ok(archive), _) => Ok(Self::new(path, archive, Vec::new())),
            (Err(source), Content::Archive) => Err(Error::Archive { path, source }),
            (Err(_), Content::Other(found)) => Err(Error::NotARecording { path, found }),
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
