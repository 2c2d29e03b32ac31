//! Frames as `arc.proto` describes them, read here a second time and independently of the crate.

use std::ops::Range;

/// One frame.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: u8,
    pub event: u32,
    pub last_ns: u64,
    pub rows: u64,
    pub weight: u64,
    pub header: Range<usize>,
    pub body: Range<usize>,
}

pub const FILE_HEADER_BYTES: usize = 44;

pub fn frames(file: &[u8]) -> Vec<Stored> {
    let number = |at: usize, bytes: usize| {
        file[at..at + bytes].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
    };
    assert_eq!(&file[8..16], b"FLAMEARC");
    let mut at = FILE_HEADER_BYTES;
    let mut frames = Vec::new();
    while at < file.len() {
        assert_eq!((number(at, 4), number(at + 4, 4)), (0x184D_2A50, 60));
        let payload = at + 8;
        let body = payload + 60;
        let end = body + number(payload + 44, 4) as usize;
        frames.push(Stored {
            kind: file[payload + 4],
            event: number(payload + 6, 2) as u32,
            last_ns: number(payload + 24, 8),
            weight: number(payload + 32, 8),
            rows: number(payload + 40, 4),
            header: at..body,
            body: body..end,
        });
        at = end;
    }
    assert_eq!(at, file.len());
    frames
}
