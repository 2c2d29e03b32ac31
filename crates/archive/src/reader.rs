//! Opens archives: an index of the frames, the tables of all epochs, and the data on demand.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use profile::{CpuLedger, End, EventId, RecordingFacts, Tables};
use prost::Message;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::damage::{LostBlock, list};
use crate::data::{DataBlock, read_totals};
use crate::definitions::{Definitions, EpochIds};
use crate::embed::Places;
use crate::index::{DataFrame, Index, State};
use crate::inflate::{Inflater, LostReason};
use crate::scan::{Frame, scan};
use crate::source::Source;
use crate::{Error, facts as wire, schema};

/// What the definitions of a file may inflate to. Real ones compress 3 to 10 times, a bomb 30,000 times,
/// and rows take up to 50 times their bytes in memory.
const DEFINITIONS_FLOOR_BYTES: u64 = 8 << 20;
const DEFINITIONS_RATIO: u64 = 32;
/// Definition frames inflated at a time, in parallel, beside as many that are merged: at most 32 MiB.
const INFLATE_AHEAD: usize = 16;

/// An opened archive. Its memory grows with what is defined and, by 16 bytes a block, with the length of
/// the recording, never with the number of samples.
pub struct Archive {
    pub(crate) source: Source,
    pub(crate) facts: RecordingFacts,
    tables: Tables,
    pub(crate) epochs: BTreeMap<u32, EpochIds>,
    pub(crate) no_ids: EpochIds,
    pub(crate) ending: Option<Ending>,
    pub(crate) index: Index,
    /// What was read so far, each block counted once: rows and weight by event.
    pub(crate) read: Mutex<BTreeMap<EventId, (u64, u64)>>,
    /// Where what is embedded stands, once something was asked for.
    pub(crate) embedded_places: OnceLock<Places>,
    /// What opening found wrong.
    pub(crate) statements: Vec<String>,
}

/// The last block of a recording.
pub(crate) struct Ending {
    pub end: End,
    pub ledger: Vec<CpuLedger>,
    pub seq: u32,
    pub totals: Vec<(EventId, u64, u64)>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("bytes", &self.source.len())
            .field("data_blocks", &self.index.data.len())
            .field("statements", &self.statements)
            .finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens a file. It may be cut off or damaged anywhere: see [`Archive::damage`].
    ///
    /// # Errors
    /// When it cannot be read, is no archive, needs a newer reader, or has lost every copy of its facts.
    pub fn open(file: File) -> Result<Self, Error> {
        Self::from_source(Source::file(file).map_err(Error::Read)?)
    }

    /// Opens an archive that was read from a pipe.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::from_source(Source::Bytes(bytes))
    }

    fn from_source(source: Source) -> Result<Self, Error> {
        let mut index = Index::default();
        let findings = scan(&source, |frame| index.add(frame))?;
        let mut statements = Vec::new();
        list(&mut statements, findings.iter(), "places like these");
        if index.missing() > 0 {
            statements.push(format!("{} blocks are missing", index.missing()));
        }
        let mut definitions = read_definitions(&source, &index.definitions, &mut statements);
        let mut ending = None;
        for frame in &index.ends {
            match read_ending(&source, frame, &mut definitions) {
                Ok(last) => ending = Some(last),
                Err(reason) => statements.push(format!("the end is damaged: {reason}")),
            }
        }
        definitions.finish();
        Ok(Self {
            facts: definitions.facts.ok_or(Error::NoFacts { file_bytes: source.len() })?,
            tables: definitions.tables,
            epochs: definitions.epochs,
            no_ids: EpochIds::default(),
            ending,
            index,
            read: Mutex::default(),
            embedded_places: OnceLock::new(),
            statements,
            source,
        })
    }

    /// What the recording says of itself at its start; the events are all that any epoch had.
    #[must_use]
    pub fn facts(&self) -> &RecordingFacts {
        &self.facts
    }

    /// The tables of all epochs merged, identical rows unified.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// From the first to the last time that any data block covers, as their headers say.
    #[must_use]
    pub fn span(&self) -> Range<u64> {
        let from = self.index.covered_from_ns.unwrap_or(self.index.covered_to_ns);
        from..self.index.covered_to_ns
    }

    /// How the recording ended; `None` when it was killed, cut off, or is still running.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.ending.as_ref().map(|ending| &ending.end)
    }

    /// The counters at the end, of every event and CPU; empty without an end. A ledger is whole when
    /// it was updated with these after those of the data blocks, of which some may be lost.
    #[must_use]
    pub fn end_ledger(&self) -> &[CpuLedger] {
        self.ending.as_ref().map_or(&[], |ending| &ending.ledger)
    }

    /// All data blocks in order of the file, decoded when their turn comes. May be run again.
    pub fn data_blocks(
        &self,
    ) -> impl IndexedParallelIterator<Item = Result<DataBlock<'_>, LostBlock>> + '_ {
        let frames = self.index.data.par_iter();
        frames.map_init(Inflater::new, |inflater, data| self.load(inflater, data))
    }

    /// One data block, and a note of whether it can be read.
    pub(crate) fn load(
        &self,
        inflater: &mut Inflater,
        data: &DataFrame,
    ) -> Result<DataBlock<'_>, LostBlock> {
        let frame = inflater.frame(&self.source, data.at);
        let block = match &frame {
            Err(reason) => Err(*reason),
            Ok(_) if data.state() == State::Absurd => {
                return Err(LostBlock::new(&frame, LostReason::Content("the weights overflow")));
            }
            Ok(frame) => inflater.inflate(&self.source, frame).and_then(|content| {
                let ids = self.epochs.get(&frame.header.epoch).unwrap_or(&self.no_ids);
                DataBlock::decode(content, frame.header, ids)
            }),
        };
        match block {
            Ok(block) => {
                if data.note(State::Read) {
                    let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                    let sum = read.entry(block.event()).or_default();
                    *sum = (sum.0 + block.rows() as u64, sum.1 + block.weight());
                }
                Ok(block)
            }
            Err(reason) => {
                data.note(State::Lost);
                Err(LostBlock::new(&frame, reason))
            }
        }
    }
}

/// Inflates in parallel and merges in order: what the tables hold depends on the file alone.
fn read_definitions(
    source: &Source,
    frames: &[Frame],
    statements: &mut Vec<String>,
) -> Definitions {
    let mut definitions = Definitions::default();
    let stored: u64 = frames.iter().map(|frame| u64::from(frame.header.frame_bytes)).sum();
    let mut allowed = DEFINITIONS_FLOOR_BYTES
        .saturating_add(stored.min(source.len()).saturating_mul(DEFINITIONS_RATIO));
    let mut lost = Vec::new();
    let inflate = |frames: &'_ [Frame]| -> Vec<_> {
        let each = frames.par_iter();
        each.map_init(Inflater::new, |inflater, frame| inflater.inflate(source, frame)).collect()
    };
    let mut chunks = frames.chunks(INFLATE_AHEAD);
    let mut waiting = chunks.next().map(|frames| (frames, inflate(frames)));
    while let Some((frames, contents)) = waiting.take() {
        let merge = || {
            for (frame, content) in frames.iter().zip(contents) {
                let result = content.and_then(|content| {
                    allowed = allowed
                        .checked_sub(content.len() as u64)
                        .ok_or(LostReason::Content("the definitions are too large for the file"))?;
                    Ok(definitions.add(frame.header.epoch, &content)?)
                });
                if let Err(reason) = result {
                    lost.push((frame.header.seq, reason));
                }
            }
        };
        // The next ones are inflated while these are merged.
        let ahead = || chunks.next().map(|frames| (frames, inflate(frames)));
        (_, waiting) = rayon::join(merge, ahead);
    }
    let lost = lost.iter().map(|(seq, reason)| format!("definition block {seq} is lost: {reason}"));
    list(statements, lost, "definition blocks are lost");
    if definitions.bad_rows > 0 {
        statements.push(format!("{} definitions do not decode", definitions.bad_rows));
    }
    definitions
}

fn read_ending(
    source: &Source,
    frame: &Frame,
    definitions: &mut Definitions,
) -> Result<Ending, LostReason> {
    let content = Inflater::new().inflate(source, frame)?;
    definitions.add(frame.header.epoch, &content)?;
    let nonsense = LostReason::Content("its content is not what the schema says");
    let archive = schema::Archive::decode(&content[..]).map_err(|_| nonsense)?;
    let end = archive.blocks.into_iter().next().and_then(|block| block.end).ok_or(nonsense)?;
    Ok(Ending {
        ledger: end.ledger.iter().map(wire::read_ledger).collect(),
        seq: frame.header.seq,
        totals: read_totals(&end.totals),
        end: wire::read_end(&end).ok_or(nonsense)?,
    })
}
