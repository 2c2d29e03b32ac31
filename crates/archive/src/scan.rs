//! Finds the frames of a file by hopping from header to header, without inflating anything, and by
//! searching where a hop lands on something else.
//!
//! ```text
//!  file header | header 0 | frame | header 1 | fr#me | hea#er 2 | frame | header 3 | frame …
//!              hop ──────────────▶ hop ──────────────▶ ? search ───────▶ hop ─────────────▶
//! ```

use std::collections::BTreeMap;

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

/// All of a file's own frames in order of their sequence numbers, and what else was found.
#[derive(Default, Debug)]
pub(crate) struct Scan {
    pub frames: Vec<Frame>,
    pub findings: Vec<Finding>,
}

/// Hops through the whole file.
pub(crate) fn scan(source: &Source) -> Result<Scan, Error> {
    if source.len() == 0 {
        return Err(Error::Empty);
    }
    let mut window = Window::default();
    let head = window.read(source, 0, FILE_HEADER_BYTES).map_err(Error::Read)?;
    let Some(file) = FileHeader::parse(head) else { return scan_without_file_header(source) };
    if file.oldest_reader > FORMAT {
        let FileHeader { format, oldest_reader, .. } = file;
        return Err(Error::NewerFormat { format, oldest_reader });
    }
    let envelope = (!FileHeader::envelope_holds(head)).then_some(Finding::Envelope { at: 0 });
    let mut scan = walk(source, FILE_HEADER_BYTES as u64, Some(file.file_id()))?;
    scan.findings.splice(0..0, envelope);
    Ok(scan)
}

/// The file's id is then the one that most frames carry.
fn scan_without_file_header(source: &Source) -> Result<Scan, Error> {
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
    for frame in walk(source, first, None)?.frames {
        *votes.entry(frame.header.file_id).or_insert(0u64) += 1;
    }
    let winner = votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(id, _)| id);
    let mut scan = walk(source, first, winner)?;
    scan.findings.insert(0, Finding::FileHeaderDamaged);
    Ok(scan)
}

/// Hops from `at` on. Without an id every frame is taken, in whatever order.
fn walk(source: &Source, mut at: u64, id: Option<u32>) -> Result<Scan, Error> {
    let mut scan = Scan::default();
    let mut window = Window::default();
    // Where a search must begin when the next header is not where it should be: inside the last
    // frame, which may have lost bytes.
    let mut search_from = at;
    while at < source.len() {
        let bytes = window.read(source, at, FRAME_HEADER_BYTES).map_err(Error::Read)?;
        let Some(header) = FrameHeader::parse(bytes) else {
            let found = search(source, search_from, source.len())?;
            let to = found.unwrap_or(source.len());
            if to > at {
                scan.findings.push(Finding::NoHeader { from: at, to });
            }
            (at, search_from) = (to, to + 1);
            continue;
        };
        if id.is_some_and(|id| id != header.file_id) {
            // Not hopped over: what it says of its length is another file's word.
            count(&mut scan.findings, Finding::Foreign { frames: 1, at });
            let next = search(source, at + 1, source.len())?;
            at = next.unwrap_or(source.len());
            search_from = at + 1;
            continue;
        }
        if !FrameHeader::envelope_holds(bytes) {
            scan.findings.push(Finding::Envelope { at });
        }
        let body = at + FRAME_HEADER_BYTES as u64;
        let end = body + u64::from(header.frame_bytes);
        let last = scan.frames.last().filter(|_| id.is_some());
        if last.is_some_and(|last| header.seq <= last.header.seq) {
            count(&mut scan.findings, Finding::Repeated { frames: 1, at });
        } else {
            scan.frames.push(Frame { header, at: body, whole: end <= source.len() });
        }
        search_from = body;
        at = end.min(source.len());
        if end > source.len() {
            // Cut off, or bytes are missing from its middle and whole frames still follow.
            at = search(source, body, source.len())?.unwrap_or(source.len());
        }
    }
    Ok(scan)
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
