//! The bytes between the data frames: the file header, and the header before each data frame
//! (`arc.proto`, FILE).
//!
//! Both are zstd skippable frames, so that `zstd -d` reads over them (RFC 8878, section 3.1.2).

/// The format this crate writes, and the newest it reads.
pub const FORMAT: u16 = 1;
/// The oldest format whose readers understand what this crate writes.
const OLDEST_READER: u16 = 1;
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
const FILE_MAGIC: [u8; 8] = *b"FLAMEARC";
/// Opens every frame header's payload.
pub(crate) const SYNC: [u8; 4] = *b"FARC";
const HEADER_VERSION: u8 = 1;
/// Magic and length of a skippable frame.
pub(crate) const SKIPPABLE_BYTES: usize = 8;
const FILE_PAYLOAD_BYTES: usize = 36;
const FRAME_PAYLOAD_BYTES: usize = 60;
/// Size of the file header with its envelope.
pub(crate) const FILE_HEADER_BYTES: usize = SKIPPABLE_BYTES + FILE_PAYLOAD_BYTES;
/// Size of a frame header with its envelope.
pub(crate) const FRAME_HEADER_BYTES: usize = SKIPPABLE_BYTES + FRAME_PAYLOAD_BYTES;
/// What a data frame may inflate to.
pub(crate) const MAX_INFLATED_BYTES: usize = 1 << 20;

/// What a data frame holds. Numbers are final.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Kind {
    Defs,
    #[default]
    Data,
    /// What unwinding needs of stacks.
    Slices,
    /// A piece of a file.
    Embed,
    End,
    /// What a newer writer adds.
    Other(u8),
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Defs => 1,
            Self::Data => 2,
            Self::Slices => 3,
            Self::Embed => 4,
            Self::End => 5,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Defs,
            2 => Self::Data,
            3 => Self::Slices,
            4 => Self::Embed,
            5 => Self::End,
            other => Self::Other(other),
        }
    }
}

fn envelope<const N: usize>(payload_bytes: usize) -> [u8; N] {
    let mut out = [0; N];
    out[..4].copy_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    out[4..8].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The first bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub format: u16,
    pub oldest_reader: u16,
    pub recording_id: [u8; 16],
    pub segment: u32,
}

impl FileHeader {
    pub fn new(recording_id: [u8; 16], segment: u32) -> Self {
        Self { format: FORMAT, oldest_reader: OLDEST_READER, recording_id, segment }
    }

    /// What every frame header of the file repeats.
    pub fn file_id(&self) -> u32 {
        crc32fast::hash(&self.encode()[SKIPPABLE_BYTES + 12..SKIPPABLE_BYTES + 32])
    }

    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out: [u8; FILE_HEADER_BYTES] = envelope(FILE_PAYLOAD_BYTES);
        let payload = &mut out[SKIPPABLE_BYTES..];
        payload[..8].copy_from_slice(&FILE_MAGIC);
        payload[8..10].copy_from_slice(&self.format.to_le_bytes());
        payload[10..12].copy_from_slice(&self.oldest_reader.to_le_bytes());
        payload[12..28].copy_from_slice(&self.recording_id);
        payload[28..32].copy_from_slice(&self.segment.to_le_bytes());
        let crc = crc32fast::hash(&payload[..32]);
        payload[32..36].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` unless magic and checksum hold. The envelope is checked apart, with
    /// [`envelope_holds`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let payload = bytes.get(SKIPPABLE_BYTES..FILE_HEADER_BYTES)?;
        if payload[..8] != FILE_MAGIC || u32_at(payload, 32) != crc32fast::hash(&payload[..32]) {
            return None;
        }
        let mut recording_id = [0; 16];
        recording_id.copy_from_slice(&payload[12..28]);
        Some(Self {
            format: u16_at(payload, 8),
            oldest_reader: u16_at(payload, 10),
            recording_id,
            segment: u32_at(payload, 28),
        })
    }

    /// Whether the envelope is what `encode` makes: `zstd -d` depends on it.
    pub fn envelope_holds(bytes: &[u8]) -> bool {
        bytes.starts_with(&envelope::<SKIPPABLE_BYTES>(FILE_PAYLOAD_BYTES))
    }
}

/// What stands before each data frame.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct FrameHeader {
    pub kind: Kind,
    pub event: u16,
    pub seq: u32,
    pub epoch: u32,
    pub first_ns: u64,
    pub last_ns: u64,
    pub weight: u64,
    pub rows: u32,
    pub frame_bytes: u32,
    pub frame_crc: u32,
    pub file_id: u32,
}

impl FrameHeader {
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out: [u8; FRAME_HEADER_BYTES] = envelope(FRAME_PAYLOAD_BYTES);
        let payload = &mut out[SKIPPABLE_BYTES..];
        payload[..4].copy_from_slice(&SYNC);
        payload[4] = self.kind.number();
        payload[5] = HEADER_VERSION;
        payload[6..8].copy_from_slice(&self.event.to_le_bytes());
        payload[8..12].copy_from_slice(&self.seq.to_le_bytes());
        payload[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        payload[16..24].copy_from_slice(&self.first_ns.to_le_bytes());
        payload[24..32].copy_from_slice(&self.last_ns.to_le_bytes());
        payload[32..40].copy_from_slice(&self.weight.to_le_bytes());
        payload[40..44].copy_from_slice(&self.rows.to_le_bytes());
        payload[44..48].copy_from_slice(&self.frame_bytes.to_le_bytes());
        payload[48..52].copy_from_slice(&self.frame_crc.to_le_bytes());
        payload[52..56].copy_from_slice(&self.file_id.to_le_bytes());
        let crc = crc32fast::hash(&payload[..56]);
        payload[56..60].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` unless sync, version and checksum hold. The envelope is checked apart, with
    /// [`envelope_holds`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let payload = bytes.get(SKIPPABLE_BYTES..FRAME_HEADER_BYTES)?;
        if payload[..4] != SYNC
            || payload[5] != HEADER_VERSION
            || u32_at(payload, 56) != crc32fast::hash(&payload[..56])
        {
            return None;
        }
        Some(Self {
            kind: Kind::from_number(payload[4]),
            event: u16_at(payload, 6),
            seq: u32_at(payload, 8),
            epoch: u32_at(payload, 12),
            first_ns: u64_at(payload, 16),
            last_ns: u64_at(payload, 24),
            weight: u64_at(payload, 32),
            rows: u32_at(payload, 40),
            frame_bytes: u32_at(payload, 44),
            frame_crc: u32_at(payload, 48),
            file_id: u32_at(payload, 52),
        })
    }

    /// Whether the envelope is what `encode` makes: `zstd -d` depends on it.
    pub fn envelope_holds(bytes: &[u8]) -> bool {
        bytes.starts_with(&envelope::<SKIPPABLE_BYTES>(FRAME_PAYLOAD_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: FrameHeader = FrameHeader {
        kind: Kind::Data,
        event: 3,
        seq: 4,
        epoch: 5,
        first_ns: u64::MAX - 1,
        last_ns: u64::MAX,
        weight: 1 << 40,
        rows: 9,
        frame_bytes: 77,
        frame_crc: 0xdead_beef,
        file_id: 0x1234_5678,
    };

    #[test]
    fn headers_come_back_as_they_were_written() {
        assert_eq!(FrameHeader::parse(&FRAME.encode()), Some(FRAME));
        let file = FileHeader::new([7; 16], 2);
        assert_eq!(FileHeader::parse(&file.encode()), Some(file));
        assert_ne!(file.file_id(), FileHeader::new([7; 16], 3).file_id());
    }

    #[test]
    fn a_header_with_any_changed_byte_is_none_or_its_envelope_does_not_hold() {
        for at in 0..FRAME_HEADER_BYTES {
            let mut bytes = FRAME.encode();
            bytes[at] ^= 0x10;
            assert_eq!(FrameHeader::parse(&bytes).is_none(), at >= SKIPPABLE_BYTES, "byte {at}");
            assert_eq!(FrameHeader::envelope_holds(&bytes), at >= SKIPPABLE_BYTES, "byte {at}");
        }
    }

    #[test]
    fn a_header_cut_short_is_none() {
        let bytes = FRAME.encode();
        assert!((0..bytes.len()).all(|end| FrameHeader::parse(&bytes[..end]).is_none()));
    }
}
