//! Finds the frames of a file by hopping from header to header, without inflating anything, and by
//! searching where a hop lands on something else.
//!
//! ```text
//!  file header | header 0 | frame | header 1 | fr#me | hea#er 2 | frame | header 3 | frame …
//!              hop ──────────────▶ hop ──────────────▶ ? search ───────▶ hop ─────────────▶
//! ```

use std::collections::BTreeMap;
use std::io;

use crate::Error;
use crate::header::{
    FILE_HEADER_BYTES, FORMAT, FRAME_HEADER_BYTES, FileHeader, FrameHeader, SKIPPABLE_BYTES, SYNC,
};
use crate::source::{Source, Window};

/// A frame is compressed from at most 1 MiB, so in an archive whose first header is damaged the next
/// one stands within this.
const FIRST_FRAME_WITHIN_BYTES: u64 = 2 << 20;
/// Read at a time when searching.
const SEARCH_BYTES: usize = 256 << 10;

/// A frame whose header is intact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub header: FrameHeader,
    /// Where the data frame begins.
    pub at: u64,
    /// Whether the file holds all of it.
    pub whole: bool,
}

/// What stands in a file besides its frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    FileHeaderDamaged,
    /// Bytes where a header was expected, up to the next one or the end.
    NoHeader {
        from: u64,
        to: u64,
    },
    /// The envelope of an intact header is damaged: `zstd -d` stops there.
    Envelope {
        at: u64,
    },
    /// Frames that carry another file's id.
    Foreign {
        frames: u64,
        at: u64,
    },
    /// Frames that were there before.
    Repeated {
        frames: u64,
        at: u64,
    },
}

impl Frame {
    /// Reads a header that was found before; `None` when the file is not what it was.
    pub fn read(source: &Source, window: &mut Window, header_at: u64) -> io::Result<Option<Self>> {
        let header = FrameHeader::parse(window.read(source, header_at, FRAME_HEADER_BYTES)?);
        Ok(header.map(|header| Self::new(source, header, header_at)))
    }

    fn new(source: &Source, header: FrameHeader, header_at: u64) -> Self {
        let at = header_at + FRAME_HEADER_BYTES as u64;
        Self { header, at, whole: at + u64::from(header.frame_bytes) <= source.len() }
    }

    /// Where its header begins.
    pub fn header_at(&self) -> u64 {
        self.at - FRAME_HEADER_BYTES as u64
    }
}

/// Hops through the whole file and gives out its own frames in order of their sequence numbers; returns
/// what else was found.
pub(crate) fn scan(source: &Source, visit: impl FnMut(&Frame)) -> Result<Vec<Finding>, Error> {
    if source.len() == 0 {
        return Err(Error::Empty);
    }
    let mut window = Window::default();
    let head = window.read(source, 0, FILE_HEADER_BYTES).map_err(Error::Read)?;
    let Some(file) = FileHeader::parse(head) else {
        return scan_without_file_header(source, visit);
    };
    if file.oldest_reader > FORMAT {
        let FileHeader { format, oldest_reader, .. } = file;
        return Err(Error::NewerFormat { format, oldest_reader });
    }
    let envelope = (!FileHeader::envelope_holds(head)).then_some(Finding::Envelope { at: 0 });
    let mut findings = walk(source, FILE_HEADER_BYTES as u64, Some(file.file_id()), visit)?;
    findings.splice(0..0, envelope);
    Ok(findings)
}

/// The file's id is then the one that most frames carry.
fn scan_without_file_header(
    source: &Source,
    visit: impl FnMut(&Frame),
) -> Result<Vec<Finding>, Error> {
    let limit = source.len().min(FIRST_FRAME_WITHIN_BYTES);
    let Some(first) = search(source, 0, limit)? else {
        let mut window = Window::default();
        let head = window.read(source, 0, FILE_HEADER_BYTES).map_err(Error::Read)?;
        let prefix = SKIPPABLE_BYTES.min(head.len());
        let cut_off = FileHeader::new([0; 16], 0).encode()[..prefix] == head[..prefix]
            && head.len() < FILE_HEADER_BYTES;
        let file_bytes = source.len();
        return Err(if cut_off { Error::NoFacts { file_bytes } } else { Error::NotAnArchive });
    };
    let mut votes = BTreeMap::new();
    walk(source, first, None, |frame| *votes.entry(frame.header.file_id).or_insert(0u64) += 1)?;
    let winner = votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(id, _)| id);
    let mut findings = walk(source, first, winner, visit)?;
    findings.insert(0, Finding::FileHeaderDamaged);
    Ok(findings)
}

/// Hops from `at` on. Without an id every frame is taken, in whatever order.
fn walk(
    source: &Source,
    mut at: u64,
    id: Option<u32>,
    mut visit: impl FnMut(&Frame),
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut window = Window::default();
    let mut last_seq = None;
    // Where a search must begin when the next header is not where it should be: inside the last
    // frame, which may have lost bytes.
    let mut search_from = at;
    while at < source.len() {
        let bytes = window.read(source, at, FRAME_HEADER_BYTES).map_err(Error::Read)?;
        let Some(header) = FrameHeader::parse(bytes) else {
            let to = search(source, search_from, source.len())?.unwrap_or(source.len());
            if to > at {
                findings.push(Finding::NoHeader { from: at, to });
            }
            (at, search_from) = (to, to + 1);
            continue;
        };
        if id.is_some_and(|id| id != header.file_id) {
            // Not hopped over: what it says of its length is another file's word.
            count(&mut findings, Finding::Foreign { frames: 1, at });
            search_from = at + 1;
            at = search(source, search_from, source.len())?.unwrap_or(source.len());
            continue;
        }
        if !FrameHeader::envelope_holds(bytes) {
            findings.push(Finding::Envelope { at });
        }
        let frame = Frame::new(source, header, at);
        if id.is_some() && last_seq.is_some_and(|last| header.seq <= last) {
            count(&mut findings, Finding::Repeated { frames: 1, at });
        } else {
            visit(&frame);
            last_seq = Some(header.seq);
        }
        search_from = frame.at;
        at = frame.at + u64::from(header.frame_bytes);
        if !frame.whole {
            // Cut off, or bytes are missing from its middle and whole frames still follow.
            at = search(source, search_from, source.len())?.unwrap_or(source.len());
        }
    }
    Ok(findings)
}

/// Adds to the finding before when it is of the same kind.
fn count(findings: &mut Vec<Finding>, one: Finding) {
    match (findings.last_mut(), one) {
        (Some(Finding::Foreign { frames, .. }), Finding::Foreign { .. })
        | (Some(Finding::Repeated { frames, .. }), Finding::Repeated { .. }) => *frames += 1,
        _ => findings.push(one),
    }
}

/// The first intact frame header that begins in `from..to`.
fn search(source: &Source, mut from: u64, to: u64) -> Result<Option<u64>, Error> {
    let mut window = Window::default();
    while from < to {
        let wanted = SEARCH_BYTES.min((to - from) as usize + FRAME_HEADER_BYTES);
        let bytes = window.read(source, from, wanted).map_err(Error::Read)?;
        if bytes.len() < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let starts = bytes.len() - FRAME_HEADER_BYTES + 1;
        let syncs = &bytes[SKIPPABLE_BYTES..SKIPPABLE_BYTES + starts + SYNC.len() - 1];
        let found = syncs
            .windows(SYNC.len())
            .enumerate()
            .filter(|(_, sync)| *sync == SYNC)
            .find(|(start, _)| FrameHeader::parse(&bytes[*start..]).is_some());
        if let Some((start, _)) = found {
            let at = from + start as u64;
            return Ok((at < to).then_some(at));
        }
        from += starts as u64;
    }
    Ok(None)
}
