//! What an archive lost, in whole numbers where they are known.
//!
//! Three independent statements are put together: every frame header counts its own rows and weight, every
//! data block and the end state the totals written so far, and sequence numbers show frames of which
//! nothing is left.
//!
//! ```text
//!  seq      0     1     2     3     4     5          totals of 4  -  what was read of 0 to 4
//!         defs  data  da#a  (gone)  data  da#a       + the header of 5 = lost
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;

use profile::EventId;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::Archive;
use crate::index::State;
use crate::inflate::{Inflater, LostReason, check};
use crate::scan::{Finding, Frame};

/// Statements about single places that are listed; a file can hold millions.
const LISTED: usize = 20;

/// A data block that cannot be read, as its header describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("data block {seq} with {rows} samples is lost: {reason}")]
pub struct LostBlock {
    /// Number of the block in the file.
    pub seq: u32,
    /// Its epoch.
    pub epoch: u32,
    /// Start of the span it covered.
    pub first_ns: u64,
    /// End of that span.
    pub last_ns: u64,
    /// Event of its samples.
    pub event: EventId,
    /// Samples in it.
    pub rows: u64,
    /// Sum of their weights.
    pub weight: u64,
    /// Why.
    pub reason: LostReason,
}

impl LostBlock {
    /// As its header describes it, where that can be read.
    pub(crate) fn new(frame: &Result<Frame, LostReason>, reason: LostReason) -> Self {
        let header = frame.as_ref().map(|frame| frame.header).unwrap_or_default();
        Self {
            seq: header.seq,
            epoch: header.epoch,
            first_ns: header.first_ns,
            last_ns: header.last_ns,
            event: EventId(header.event.into()),
            rows: header.rows.into(),
            weight: header.weight,
            reason,
        }
    }
}

/// Samples of one event that were written and cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LostSamples {
    /// Which event.
    pub event: EventId,
    /// How many.
    pub rows: u64,
    /// Sum of their weights, in the event's unit.
    pub weight: u64,
}

/// Everything that is missing from an archive or does not check.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Damage {
    /// The archive has its end, and everything before it checks.
    pub complete: bool,
    /// One sentence each, for people; empty when complete.
    pub statements: Vec<String>,
    /// By event, only events that lost something. Exact, except for what `unknown_after_ns` says: what
    /// was read plus this is what was written.
    pub lost: Vec<LostSamples>,
    /// Of an archive without an end: nothing is known of what came after this time.
    pub unknown_after_ns: Option<u64>,
}

impl Damage {
    /// What was lost of one event.
    #[must_use]
    pub fn lost(&self, event: EventId) -> LostSamples {
        let none = LostSamples { event, ..LostSamples::default() };
        self.lost.iter().find(|lost| lost.event == event).copied().unwrap_or(none)
    }
}

/// Rows and weight.
type Sum = (u64, u64);

/// The last block that states totals.
struct Anchor {
    seq: Option<u32>,
    last_ns: u64,
    totals: BTreeMap<EventId, Sum>,
}

impl Archive {
    /// What is missing or does not check. Reads the data blocks that were not read before; after a
    /// run over [`Archive::data_blocks`] that is none.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.index
            .data
            .par_iter()
            .filter(|data| data.state() == State::Unread)
            .for_each_init(Inflater::new, |inflater, data| drop(self.load(inflater, data)));
        let mut statements = self.statements.clone();
        self.list_lost_blocks(&mut statements);
        let anchor = self.anchor();
        let lost = self.lost_samples(&anchor, &mut statements);
        let unknown_after_ns = self.ending.is_none().then(|| {
            let since = self.known_until_ns(&anchor);
            let seconds = since.saturating_sub(self.facts.clock.monotonic_ns) as f64 / 1e9;
            let proven: u64 = anchor.totals.values().map(|(rows, _)| *rows).sum();
            statements.push(format!(
                "the archive ends without an end: what came after {seconds:.3} s is unknown; \
                 its last ledger proves {proven} samples written"
            ));
            since
        });
        Damage { complete: statements.is_empty(), statements, lost, unknown_after_ns }
    }

    fn list_lost_blocks(&self, statements: &mut Vec<String>) {
        let mut inflater = Inflater::new();
        let lost = self.index.data.iter().filter(|data| data.state() != State::Read);
        let mut reasons = 0;
        let lost = lost.map(|data| {
            reasons += 1;
            // Read again for its reason, which was not kept; no further than is listed.
            let again = (reasons <= LISTED).then(|| self.load(&mut inflater, data).err());
            again.flatten().map_or_else(String::new, |lost| lost.to_string())
        });
        list(statements, lost, "data blocks are lost");
        let others: Vec<_> = self
            .index
            .others
            .par_iter()
            .chain(self.index.embeds.par_iter())
            .chain(self.index.slices.par_iter())
            .filter_map(|frame| check(&self.source, frame).err().map(|why| (frame.header.seq, why)))
            .collect();
        let others = others.iter().map(|(seq, why)| format!("block {seq} is lost: {why}"));
        list(statements, others, "blocks are lost");
    }

    fn anchor(&self) -> Anchor {
        let sums = |totals: &[(EventId, u64, u64)]| {
            totals.iter().map(|(event, rows, weight)| (*event, (*rows, *weight))).collect()
        };
        if let Some(ending) = &self.ending {
            let (seq, last_ns) = (Some(ending.seq), ending.end.at_ns);
            return Anchor { seq, last_ns, totals: sums(&ending.totals) };
        }
        let last = self.index.data.iter().rev().find(|data| data.state() == State::Read);
        match last.and_then(|data| self.load(&mut Inflater::new(), data).ok()) {
            Some(block) => Anchor {
                seq: Some(block.seq()),
                last_ns: block.covered().end,
                totals: sums(&block.totals),
            },
            None => Anchor {
                seq: None,
                last_ns: self.facts.clock.monotonic_ns,
                totals: BTreeMap::new(),
            },
        }
    }

    /// What was written through the anchor less what was read; after it, what the headers say. Nothing
    /// after it was read, for then it would be the anchor.
    fn lost_samples(&self, anchor: &Anchor, statements: &mut Vec<String>) -> Vec<LostSamples> {
        let mut lost = anchor.totals.clone();
        let mut too_many = false;
        for (event, read) in self.read.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let written = lost.entry(*event).or_default();
            too_many |= read.0 > written.0 || read.1 > written.1;
            *written = (written.0.saturating_sub(read.0), written.1.saturating_sub(read.1));
        }
        if too_many {
            statements.push("more samples were read than the totals say were written".to_owned());
        }
        let mut inflater = Inflater::new();
        let unread = self.index.data.iter().rev().take_while(|data| data.state() != State::Read);
        for data in unread {
            let Err(block) = self.load(&mut inflater, data) else { continue };
            if anchor.seq.is_some_and(|seq| block.seq <= seq) {
                break;
            }
            let sum = lost.entry(block.event).or_default();
            *sum = (sum.0.saturating_add(block.rows), sum.1.saturating_add(block.weight));
        }
        let lost: Vec<LostSamples> = lost
            .into_iter()
            .filter(|(_, sum)| *sum != (0, 0))
            .map(|(event, (rows, weight))| LostSamples { event, rows, weight })
            .collect();
        for LostSamples { event, rows, .. } in &lost {
            let known = event.index().checked_sub(1).and_then(|i| self.facts.events.get(i));
            let name =
                known.map_or_else(|| format!("event {}", event.0), |e| e.name.lossy().into());
            statements.push(format!("{rows} samples of {name} are lost"));
        }
        lost
    }

    /// Without an end: the time up to which every block is read or known by its header.
    fn known_until_ns(&self, anchor: &Anchor) -> u64 {
        let after = |seq: u32| anchor.seq.is_none_or(|anchor| seq > anchor);
        if self.index.gaps.iter().any(|(from, _)| after(*from)) {
            return anchor.last_ns;
        }
        self.index.covered_to_ns.max(anchor.last_ns)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileHeaderDamaged => f.write_str("the file header is damaged"),
            Self::NoHeader { from, to } => {
                write!(f, "bytes {from} to {to} hold no readable block")
            }
            Self::Envelope { at } => {
                write!(f, "the envelope of the header at byte {at} is damaged")
            }
            Self::Foreign { frames, at } => {
                write!(f, "{frames} blocks of another archive, from byte {at} on, are left out")
            }
            Self::Repeated { frames, at } => {
                write!(f, "{frames} blocks from byte {at} on were there before and are left out")
            }
        }
    }
}

/// Adds the items as statements, and beyond [`LISTED`] how many more there are.
pub(crate) fn list<T: fmt::Display>(
    statements: &mut Vec<String>,
    items: impl Iterator<Item = T>,
    what: &str,
) {
    let mut more = 0u64;
    for (index, item) in items.enumerate() {
        if index < LISTED {
            statements.push(item.to_string());
        } else {
            more += 1;
        }
    }
    if more > 0 {
        statements.push(format!("{more} more {what}"));
    }
}
