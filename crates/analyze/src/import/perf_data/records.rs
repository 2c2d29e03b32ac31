//! Cuts the data into records, inflating those that perf compressed.
//!
//! ```text
//! kind u32 │ misc u16 │ size u16 │ body …        size counts these eight bytes, too
//! ```
//! A compressed record holds a piece of one zstd stream that runs through the whole file; what it inflates
//! to are records again, cut anywhere.

use std::io::{self, Read};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::bytes::Bytes;

/// Kinds of records: below 64 the kernel's (`linux/perf_event.h`), the rest perf's own.
pub(super) mod kind {
    pub(crate) const MMAP: u32 = 1;
    pub(crate) const LOST: u32 = 2;
    pub(crate) const COMM: u32 = 3;
    pub(crate) const EXIT: u32 = 4;
    pub(crate) const FORK: u32 = 7;
    pub(crate) const SAMPLE: u32 = 9;
    pub(crate) const MMAP2: u32 = 10;
    pub(crate) const LOST_SAMPLES: u32 = 13;
    pub(crate) const KSYMBOL: u32 = 17;
    pub(crate) const CGROUP: u32 = 19;
    pub(crate) const FIRST_OF_PERF: u32 = 64;
    pub(crate) const ATTRIBUTE: u32 = 64;
    pub(crate) const TRACING_DATA: u32 = 66;
    pub(crate) const BUILD_ID: u32 = 67;
    pub(crate) const FINISHED_ROUND: u32 = 68;
    pub(crate) const AUXTRACE: u32 = 71;
    pub(crate) const FEATURE: u32 = 80;
    pub(crate) const COMPRESSED: u32 = 81;
    pub(crate) const COMPRESSED2: u32 = 83;
}

const HEADER_BYTES: usize = 8;
/// The longest record, and with what follows it in the buffer the most that is held of inflated data.
const INFLATE_STEP_BYTES: usize = 128 << 10;
/// Real recordings compress 5 to 50 times.
const MAX_RATIO: u64 = 1000;
const RATIO_FLOOR_BYTES: u64 = 64 << 20;

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u32,
    pub(super) misc: u16,
    pub(super) body: &'a [u8],
}

/// Why there are no more records though there should be. What follows cannot be read: nothing marks where
/// a record begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error("the file is cut off: its records end after {at} of {bytes} bytes")]
    Short { at: u64, bytes: u64 },
    #[error("the file is cut off inside a record, after {at} bytes of records")]
    InRecord { at: u64 },
    #[error("{at} bytes into the records there is none: what follows is lost")]
    NoRecord { at: u64 },
    #[error(
        "{at} bytes into the records, what is compressed cannot be inflated: what follows is lost"
    )]
    Inflate { at: u64 },
    #[error(
        "{at} bytes into the records, what is compressed inflates beyond measure, and is not read on"
    )]
    Bomb { at: u64 },
}

/// Why reading stops.
#[derive(Debug)]
pub(super) enum Stop {
    Cut(Cut),
    Failed(io::Error),
}

/// Reads one record after the other.
pub(super) struct Records<R> {
    input: R,
    /// Bytes read, and how many there should be (`None`: until the end).
    at: u64,
    bytes: Option<u64>,
    body: Vec<u8>,
    inflater: Option<Decoder<'static>>,
    /// What was inflated and not yet handed out.
    inflated: Vec<u8>,
    inflated_at: usize,
    /// What is still compressed of the last record.
    deflated_at: usize,
    is_inflating: bool,
    totals: (u64, u64),
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, bytes: Option<u64>) -> Self {
        Self {
            input,
            at: 0,
            bytes,
            body: Vec::new(),
            inflater: None,
            inflated: Vec::new(),
            inflated_at: 0,
            deflated_at: 0,
            is_inflating: false,
            totals: (0, 0),
        }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, Stop> {
        loop {
            if self.is_inflating {
                let Some((kind, misc, body)) = self.next_inflated()? else { continue };
                return Ok(Some(Record { kind, misc, body: &self.inflated[body] }));
            }
            let Some((kind, misc)) = self.read_record()? else { return Ok(None) };
            match kind {
                kind::COMPRESSED | kind::COMPRESSED2 => self.begin_inflating(kind)?,
                kind::AUXTRACE => {
                    let bytes = Bytes(&self.body).u64().unwrap_or(0);
                    self.skip(bytes)?;
                }
                kind::TRACING_DATA => {
                    let bytes = Bytes(&self.body).u32().unwrap_or(0);
                    self.skip(u64::from(bytes).next_multiple_of(8))?;
                }
                _ => return Ok(Some(Record { kind, misc, body: &self.body })),
            }
        }
    }

    /// Reads a record's kind and `misc`, and its body into `self.body`.
    fn read_record(&mut self) -> Result<Option<(u32, u16)>, Stop> {
        if self.bytes.is_some_and(|bytes| self.at >= bytes) {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        let read = read_full(&mut self.input, &mut header)?;
        match (read, self.bytes) {
            (HEADER_BYTES, _) => {}
            (0, None) => return Ok(None),
            (0, Some(bytes)) => return Err(Stop::Cut(Cut::Short { at: self.at, bytes })),
            _ => return Err(Stop::Cut(Cut::InRecord { at: self.at })),
        }
        let (kind, misc, size) = split_header(&header);
        let Some(body) = size.checked_sub(HEADER_BYTES) else {
            return Err(Stop::Cut(Cut::NoRecord { at: self.at }));
        };
        self.body.resize(body, 0);
        if read_full(&mut self.input, &mut self.body)? < body {
            return Err(Stop::Cut(Cut::InRecord { at: self.at }));
        }
        self.at += size as u64;
        Ok(Some((kind, misc)))
    }

    /// Leaves out what follows a record and is no record.
    fn skip(&mut self, bytes: u64) -> Result<(), Stop> {
        let skipped = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink());
        let skipped = skipped.map_err(Stop::Failed)?;
        if skipped < bytes {
            return Err(Stop::Cut(Cut::InRecord { at: self.at }));
        }
        self.at += bytes;
        Ok(())
    }

    fn begin_inflating(&mut self, kind: u32) -> Result<(), Stop> {
        let failed = Stop::Cut(Cut::Inflate { at: self.at });
        self.deflated_at = 0;
        if kind == kind::COMPRESSED2 {
            // Behind its true length come bytes that align what follows.
            let mut fields = Bytes(&self.body);
            let stated = fields.u64().and_then(|bytes| usize::try_from(bytes).ok());
            let Some(bytes) = stated.filter(|bytes| *bytes <= fields.0.len()) else {
                return Err(failed);
            };
            self.deflated_at = 8;
            self.body.truncate(8 + bytes);
        }
        if self.inflater.is_none() {
            self.inflater = Some(Decoder::new().map_err(Stop::Failed)?);
        }
        self.totals.0 += self.body.len() as u64;
        self.is_inflating = true;
        Ok(())
    }

    /// A record of what is inflated; `None` when the compressed record is used up. A record that ends in
    /// the next one waits for it.
    fn next_inflated(&mut self) -> Result<Option<(u32, u16, std::ops::Range<usize>)>, Stop> {
        loop {
            let rest = &self.inflated[self.inflated_at..];
            if let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
                let (kind, misc, size) = split_header(header);
                if size < HEADER_BYTES {
                    return Err(Stop::Cut(Cut::NoRecord { at: self.at }));
                }
                if size <= rest.len() {
                    let start = self.inflated_at;
                    self.inflated_at += size;
                    return Ok(Some((kind, misc, start + HEADER_BYTES..start + size)));
                }
            }
            if !self.inflate_more()? {
                self.is_inflating = false;
                return Ok(None);
            }
        }
    }

    /// False: there is nothing more in this compressed record.
    fn inflate_more(&mut self) -> Result<bool, Stop> {
        let Some(inflater) = &mut self.inflater else { return Ok(false) };
        self.inflated.drain(..self.inflated_at);
        self.inflated_at = 0;
        let before = self.inflated.len();
        self.inflated.resize(before + INFLATE_STEP_BYTES, 0);
        let mut from = InBuffer::around(&self.body[self.deflated_at..]);
        let mut to = OutBuffer::around(&mut self.inflated[before..]);
        let result = inflater.run(&mut from, &mut to);
        let (taken, made) = (from.pos(), to.pos());
        self.deflated_at += taken;
        self.inflated.truncate(before + made);
        self.totals.1 += made as u64;
        if result.is_err() {
            return Err(Stop::Cut(Cut::Inflate { at: self.at }));
        }
        if self.totals.1 > self.totals.0.saturating_mul(MAX_RATIO).max(RATIO_FLOOR_BYTES) {
            return Err(Stop::Cut(Cut::Bomb { at: self.at }));
        }
        Ok(made > 0 || taken > 0)
    }
}

fn split_header(header: &[u8; HEADER_BYTES]) -> (u32, u16, usize) {
    let [a, b, c, d, e, f, g, h] = *header;
    let size = u16::from_le_bytes([g, h]);
    (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]), size.into())
}

/// How much there was, up to the buffer's length.
fn read_full(input: &mut impl Read, mut buffer: &mut [u8]) -> Result<usize, Stop> {
    let mut read = 0;
    while !buffer.is_empty() {
        match input.read(buffer) {
            Ok(0) => break,
            Ok(bytes) => {
                read += bytes;
                buffer = &mut buffer[bytes..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Failed(error)),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = (body.len() + HEADER_BYTES) as u16;
        [&kind.to_le_bytes()[..], &[0, 0], &size.to_le_bytes(), body].concat()
    }

    fn read(data: &[u8], bytes: Option<u64>) -> (Vec<(u32, Vec<u8>)>, Option<Cut>) {
        let mut records = Records::new(data, bytes);
        let mut found = Vec::new();
        loop {
            match records.next() {
                Ok(Some(record)) => found.push((record.kind, record.body.to_vec())),
                Ok(None) => return (found, None),
                Err(Stop::Cut(cut)) => return (found, Some(cut)),
                Err(Stop::Failed(error)) => panic!("{error}"),
            }
        }
    }

    /// Pieces of one stream, as perf writes them.
    fn compressed(content: &[u8], piece: usize) -> Vec<u8> {
        let stream = zstd::bulk::compress(content, 1).unwrap();
        stream.chunks(piece).flat_map(|piece| record(kind::COMPRESSED, piece)).collect()
    }

    #[test]
    fn records_follow_each_other_and_what_is_no_record_is_left_out() {
        let mut data = record(kind::COMM, b"one");
        data.extend(record(kind::AUXTRACE, &3u64.to_le_bytes()));
        data.extend(b"xyz");
        data.extend(record(kind::FORK, b""));
        let found = read(&data, Some(data.len() as u64));
        assert_eq!(found, (vec![(kind::COMM, b"one".to_vec()), (kind::FORK, vec![])], None));
        assert_eq!(read(&data, None), found);
    }

    #[test]
    fn compressed_records_may_be_cut_anywhere() {
        let content: Vec<u8> = (0..200u32).flat_map(|n| record(n, &n.to_le_bytes())).collect();
        let wanted: Vec<_> = (0..200u32).map(|n| (n, n.to_le_bytes().to_vec())).collect();
        for piece in [1, 7, 1000] {
            assert_eq!(read(&compressed(&content, piece), None), (wanted.clone(), None));
        }
    }

    #[test]
    fn every_cut_is_noticed_and_what_is_whole_before_it_is_read() {
        let data = [record(1, b"first"), record(2, b"second")].concat();
        for end in 0..data.len() {
            let (found, cut) = read(&data[..end], Some(data.len() as u64));
            assert_eq!(found.len(), usize::from(end >= 13));
            let (at, bytes) = (13 * found.len() as u64, data.len() as u64);
            let clean = end == 0 || end == 13;
            let wanted = if clean { Cut::Short { at, bytes } } else { Cut::InRecord { at } };
            assert_eq!(cut, Some(wanted), "{end}");
        }
        let no_size = [record(1, b"first"), vec![0; 8]].concat();
        assert_eq!(read(&no_size, None).1, Some(Cut::NoRecord { at: 13 }));
    }

    #[test]
    fn what_inflates_beyond_measure_is_not_read_on() {
        let content = record(1, &[0; 60_000]).repeat(2000);
        let (found, cut) = read(&compressed(&content, 60_000), None);
        assert!(matches!(cut, Some(Cut::Bomb { .. })), "{cut:?}");
        assert!(found.len() > 1000 && found.len() < 1200, "{}", found.len());
        let garbage = record(kind::COMPRESSED, b"no stream of zstd");
        assert_eq!(read(&garbage, None).1, Some(Cut::Inflate { at: garbage.len() as u64 }));
    }
}
