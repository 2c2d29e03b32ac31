//! Where the frames of a file are: all that is kept of it once it is open.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::header::Kind;
use crate::scan::Frame;

/// Frames by kind, in order of the file.
#[derive(Default)]
pub(crate) struct Index {
    pub definitions: Vec<Frame>,
    pub ends: Vec<Frame>,
    /// 16 bytes for each second of a recording, so headers are read again when their turn comes.
    pub data: Vec<DataFrame>,
    /// Frames that ordinary reading hops over.
    pub others: Vec<Frame>,
    /// Pieces of embedded files.
    pub embeds: Vec<Frame>,
    /// Slices of stacks.
    pub slices: Vec<Frame>,
    /// Sequence numbers `from..to` that no frame has.
    pub gaps: Vec<(u32, u32)>,
    /// Beginning of the earliest span of a data frame.
    pub covered_from_ns: Option<u64>,
    /// End of the latest span of a data frame.
    pub covered_to_ns: u64,
    next_seq: u32,
    weight: u64,
}

/// A data frame and what became of it so far.
pub(crate) struct DataFrame {
    /// Where its header begins.
    pub at: u64,
    state: AtomicU8,
}

/// What is known of a data frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Unread,
    Read,
    Lost,
    /// With it the sum of all weights would not fit into 64 bits: no true file says that, and sums of
    /// weights need not fear it.
    Absurd,
}

impl State {
    const ALL: [Self; 4] = [Self::Unread, Self::Read, Self::Lost, Self::Absurd];
}

impl DataFrame {
    pub fn state(&self) -> State {
        State::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    /// Whether this is news.
    pub fn note(&self, state: State) -> bool {
        self.state.swap(state as u8, Ordering::Relaxed) != state as u8
    }
}

impl Index {
    /// Takes the next frame of the file.
    pub fn add(&mut self, frame: &Frame) {
        let header = &frame.header;
        if header.seq > self.next_seq {
            self.gaps.push((self.next_seq, header.seq));
        }
        self.next_seq = header.seq.saturating_add(1);
        match header.kind {
            Kind::Defs => self.definitions.push(*frame),
            Kind::End => self.ends.push(*frame),
            Kind::Embed => self.embeds.push(*frame),
            Kind::Slices => self.slices.push(*frame),
            Kind::Other(_) => self.others.push(*frame),
            Kind::Data => {
                let sum = self.weight.checked_add(header.weight);
                self.weight = sum.unwrap_or(self.weight);
                let from = self.covered_from_ns.unwrap_or(header.first_ns);
                self.covered_from_ns = Some(from.min(header.first_ns));
                self.covered_to_ns = self.covered_to_ns.max(header.last_ns);
                let state = if sum.is_some() { State::Unread } else { State::Absurd };
                self.data
                    .push(DataFrame { at: frame.header_at(), state: AtomicU8::new(state as u8) });
            }
        }
    }

    /// How many sequence numbers no frame has.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().map(|(from, to)| u64::from(to - from)).sum()
    }
}
