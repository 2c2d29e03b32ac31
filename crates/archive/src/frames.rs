//! Blocks become frames: serialised, compressed, and put behind their header.

use profile::RecordingFacts;
use prost::Message;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{self, CParameter};

use crate::header::{FRAME_HEADER_BYTES, FileHeader, FrameHeader, Kind, MAX_INFLATED_BYTES};
use crate::{Error, schema};

/// Against zstd's default of 3, `cargo bench -p benches --bench archive` says for level 1: 1 % smaller (most
/// of a block is jitter and row numbers, in which longer searches find nothing), written 15 % faster,
/// read 10 % faster, and less memory. Level -1 is read 30 % faster but 4 % larger.
const LEVEL: i32 = 1;
/// Blocks are a few KiB; `capture` has 16 MiB for everything.
const WINDOW_LOG: u32 = 17;

/// What a frame header says of its block.
#[derive(Clone, Copy, Default)]
pub(crate) struct Summary {
    pub event: u16,
    pub first_ns: u64,
    pub last_ns: u64,
    pub weight: u64,
    pub rows: u32,
}

/// Frames of one file, in order; they stay in `bytes` until somebody writes them out.
pub(crate) struct Frames {
    pub bytes: Vec<u8>,
    compressor: Compressor<'static>,
    plain: Vec<u8>,
    file_id: u32,
    seq: u32,
}

impl Frames {
    /// With the file header as its first bytes.
    pub fn new(facts: &RecordingFacts) -> Result<Self, Error> {
        let header = FileHeader::new(facts.recording_id, facts.segment);
        let mut compressor = Compressor::new(LEVEL).map_err(Error::Compress)?;
        for parameter in [
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ContentSizeFlag(true),
            CParameter::ChecksumFlag(true),
        ] {
            compressor.set_parameter(parameter).map_err(Error::Compress)?;
        }
        Ok(Self {
            bytes: header.encode().to_vec(),
            compressor,
            plain: Vec::new(),
            file_id: header.file_id(),
            seq: 0,
        })
    }

    /// Appends a frame. The block's sequence number is filled in here.
    pub fn push(
        &mut self,
        kind: Kind,
        summary: Summary,
        mut block: schema::Block,
    ) -> Result<(), Error> {
        block.seq = self.seq;
        let epoch = block.epoch;
        let archive = schema::Archive { blocks: vec![block] };
        self.plain.clear();
        let plain_bytes = archive.encoded_len();
        if plain_bytes > MAX_INFLATED_BYTES {
            return Err(Error::TooLarge { bytes: plain_bytes });
        }
        self.plain.reserve(plain_bytes);
        archive.encode_raw(&mut self.plain);

        let header_at = self.bytes.len();
        let frame_at = header_at + FRAME_HEADER_BYTES;
        self.bytes.resize(frame_at + zstd_safe::compress_bound(plain_bytes), 0);
        let frame_bytes = self
            .compressor
            .compress_to_buffer(&self.plain, &mut self.bytes[frame_at..])
            .map_err(Error::Compress)?;
        self.bytes.truncate(frame_at + frame_bytes);
        let header = FrameHeader {
            kind,
            event: summary.event,
            seq: self.seq,
            epoch,
            first_ns: summary.first_ns,
            last_ns: summary.last_ns,
            weight: summary.weight,
            rows: summary.rows,
            frame_bytes: frame_bytes as u32,
            frame_crc: crc32fast::hash(&self.bytes[frame_at..]),
            file_id: self.file_id,
        };
        self.bytes[header_at..frame_at].copy_from_slice(&header.encode());
        self.seq += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compressor_takes_less_than_a_mebibyte_for_the_largest_block() {
        let facts = crate::facts::read_facts(schema::Start {
            recording_id: vec![1; 16],
            backend: 1,
            scope: 1,
            ..schema::Start::default()
        });
        let mut frames = Frames::new(&facts.unwrap()).unwrap();
        let mut push = |bytes| {
            let content = (0..bytes as u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
            let embed = schema::Embed { content, ..schema::Embed::default() };
            let block = schema::Block { embed: Some(embed), ..schema::Block::default() };
            frames.push(Kind::Embed, Summary::default(), block).unwrap();
            frames.compressor.context_mut().sizeof() >> 10
        };
        assert!(push(4 << 10) < 128, "a block of a quiet recording");
        assert!(push(MAX_INFLATED_BYTES - 100) < 1024);
    }
}
