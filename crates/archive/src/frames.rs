//! Blocks become frames: serialised, compressed, and put behind their header.

use profile::RecordingFacts;
use prost::Message;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{self, CParameter};

use crate::header::{FRAME_HEADER_BYTES, FileHeader, FrameHeader, Kind, MAX_INFLATED_BYTES};
use crate::{Error, schema};

/// zstd's own default, with its tables bounded: blocks are a few KiB, and `capture` has 16 MiB for
/// everything. Larger tables gained nothing on blocks of 2 to 100 KiB.
const LEVEL: i32 = 3;
const WINDOW_LOG: u32 = 17;
const TABLE_LOG: u32 = 15;

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
            CParameter::HashLog(TABLE_LOG),
            CParameter::ChainLog(TABLE_LOG),
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
