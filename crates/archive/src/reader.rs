//! Opens archives: an index of the frames, the tables of all epochs, and the data on demand.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicU8, Ordering};

use profile::{CpuLedger, End, EventId, RecordingFacts, Tables};
use prost::Message;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::damage::{LostBlock, list};
use crate::data::{DataBlock, read_totals};
use crate::definitions::{Definitions, EpochIds};
use crate::header::Kind;
use crate::inflate::{Inflater, LostReason};
use crate::scan::{Frame, scan};
use crate::source::Source;
use crate::{Error, facts as wire, schema};

/// What the definitions of a file may inflate to. Real ones compress 3 to 10 times, a bomb 30,000 times,
/// and rows take up to 50 times their bytes in memory.
const DEFINITIONS_FLOOR_BYTES: u64 = 8 << 20;
const DEFINITIONS_RATIO: u64 = 32;
/// Definition frames inflated at a time, in parallel: at most 32 MiB.
const INFLATE_AHEAD: usize = 32;

/// An opened archive. Its memory grows with what is defined and, by an index of 80 bytes a block, with
/// the length of the recording, never with the number of samples.
pub struct Archive {
    pub(crate) source: Source,
    pub(crate) facts: RecordingFacts,
    tables: Tables,
    epochs: BTreeMap<u32, EpochIds>,
    no_ids: EpochIds,
    pub(crate) ending: Option<Ending>,
    pub(crate) data: Vec<DataFrame>,
    /// Frames that ordinary reading hops over.
    pub(crate) others: Vec<Frame>,
    /// Sequence numbers `from..to` that no frame has.
    pub(crate) gaps: Vec<(u32, u32)>,
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

pub(crate) struct DataFrame {
    pub frame: Frame,
    /// The sum of all weights up to here does not fit into 64 bits: no true file says that.
    absurd: bool,
    state: AtomicU8,
}

/// What became of a data frame so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    Unread,
    Read,
    Lost,
}

impl DataFrame {
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            state if state == State::Read as u8 => State::Read,
            state if state == State::Lost as u8 => State::Lost,
            _ => State::Unread,
        }
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("bytes", &self.source.len())
            .field("data_blocks", &self.data.len())
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
        let scan = scan(&source)?;
        let mut statements = Vec::new();
        list(&mut statements, scan.findings.iter(), "places like these");
        let gaps = gaps(&scan.frames);
        let missing: u64 = gaps.iter().map(|(from, to)| u64::from(to - from)).sum();
        if missing > 0 {
            statements.push(format!("{missing} blocks are missing"));
        }
        let of = |kind| scan.frames.iter().filter(move |frame| frame.header.kind == kind);
        let frames: Vec<Frame> = of(Kind::Defs).copied().collect();
        let mut definitions = read_definitions(&source, &frames, &mut statements);
        let mut ending = None;
        for frame in of(Kind::End) {
            match read_ending(&source, frame, &mut definitions) {
                Ok(last) => ending = Some(last),
                Err(reason) => statements.push(format!("the end is damaged: {reason}")),
            }
        }
        definitions.finish();
        let other = |frame: &&Frame| matches!(frame.header.kind, Kind::Other(_));
        Ok(Self {
            facts: definitions.facts.ok_or(Error::NoFacts { file_bytes: source.len() })?,
            tables: definitions.tables,
            epochs: definitions.epochs,
            no_ids: EpochIds::default(),
            ending,
            data: data_frames(of(Kind::Data)),
            others: scan.frames.iter().filter(other).copied().collect(),
            gaps,
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
        self.data.par_iter().map_init(Inflater::new, |inflater, data| self.load(inflater, data))
    }

    /// One data block, and a note of whether it can be read.
    pub(crate) fn load(
        &self,
        inflater: &mut Inflater,
        data: &DataFrame,
    ) -> Result<DataBlock<'_>, LostBlock> {
        let header = data.frame.header;
        let ids = self.epochs.get(&header.epoch).unwrap_or(&self.no_ids);
        let block = if data.absurd {
            Err(LostReason::Content("the archive's weights overflow"))
        } else {
            inflater
                .inflate(&self.source, &data.frame)
                .and_then(|content| DataBlock::decode(content, header, ids))
        };
        let state = if block.is_ok() { State::Read } else { State::Lost };
        data.state.store(state as u8, Ordering::Relaxed);
        block.map_err(|reason| LostBlock {
            seq: header.seq,
            epoch: header.epoch,
            first_ns: header.first_ns,
            last_ns: header.last_ns,
            event: EventId(header.event.into()),
            rows: header.rows.into(),
            weight: header.weight,
            reason,
        })
    }
}

/// Sequence numbers are consecutive; what is missing, up to the last frame.
fn gaps(frames: &[Frame]) -> Vec<(u32, u32)> {
    let mut expected = 0;
    let mut gaps = Vec::new();
    for frame in frames {
        if frame.header.seq > expected {
            gaps.push((expected, frame.header.seq));
        }
        expected = frame.header.seq.saturating_add(1);
    }
    gaps
}

fn data_frames<'a>(frames: impl Iterator<Item = &'a Frame>) -> Vec<DataFrame> {
    let mut sum = 0u64;
    frames
        .map(|frame| {
            let next = sum.checked_add(frame.header.weight);
            sum = next.unwrap_or(sum);
            let state = AtomicU8::new(State::Unread as u8);
            DataFrame { frame: *frame, absurd: next.is_none(), state }
        })
        .collect()
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
    for frames in frames.chunks(INFLATE_AHEAD) {
        let contents: Vec<_> = frames
            .par_iter()
            .map_init(Inflater::new, |inflater, frame| inflater.inflate(source, frame))
            .collect();
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
