//! Any bytes open as an archive, or say why not; what opens can be read to its end, and its damage
//! report agrees with what was read.
//!
//! Mutations rarely survive checksums and compression. So the input is tried three times: as it is, with
//! every checksum made right, and as the contents of blocks whose frames are made here.
#![no_main]

use archive::Archive;
use libfuzzer_sys::fuzz_target;
use rayon::iter::ParallelIterator;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    read(with_right_checksums(bytes.to_vec()));
    read(with_contents(bytes));
});

fn read(bytes: Vec<u8>) {
    let Ok(archive) = Archive::from_bytes(bytes) else { return };
    let tables = archive.tables();
    let visited: u64 = archive
        .data_blocks()
        .filter_map(Result::ok)
        .map(|block| {
            let mut weight = 0u64;
            block.for_each_sample(|sample| {
                let stack = tables.stacks.get(sample.stack);
                let _ =
                    tables.nodes.walk(stack.user).chain(tables.nodes.walk(stack.kernel)).count();
                let _ = tables.thread(sample.thread).map(|thread| tables.process(thread.process));
                weight += sample.weight.expect("a weight");
            });
            assert_eq!(weight, block.weight());
            weight
        })
        .sum();
    archive.slice_blocks().filter_map(Result::ok).for_each(|block| {
        block.for_each(|stack, slice| {
            assert!(stack.index() <= tables.stacks.len());
            assert!(slice.kept.is_sorted_by(|a, b| a.place < b.place));
        });
    });
    let damage = archive.damage();
    assert!(!damage.complete || (archive.end().is_some() && damage.lost.is_empty()));
    assert_eq!(damage, archive.damage());
    std::hint::black_box(visited);
}

/// Puts right the checksum of the file header, and of every frame header and the frame behind it.
fn with_right_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 44 && bytes[8..16] == *b"FLAMEARC" {
        let crc = crc32(&bytes[8..40]);
        bytes[40..44].copy_from_slice(&crc);
    }
    let headers: Vec<usize> = (8..bytes.len().saturating_sub(59))
        .filter(|at| bytes[*at..].starts_with(b"FARC"))
        .collect();
    for at in headers {
        let length =
            u32::from_le_bytes(bytes[at + 44..at + 48].try_into().expect("4 bytes")) as usize;
        if let Some(frame) = bytes.get(at + 60..).and_then(|rest| rest.get(..length)) {
            let crc = crc32(frame);
            bytes[at + 48..at + 52].copy_from_slice(&crc);
        }
        let crc = crc32(&bytes[at..at + 56]);
        bytes[at + 56..at + 60].copy_from_slice(&crc);
    }
    bytes
}

/// An archive of blocks. Of each, the input gives kind, rows, weight and length in one byte each, then
/// the content.
fn with_contents(mut input: &[u8]) -> Vec<u8> {
    let mut file = b"\x50\x2a\x4d\x18\x24\0\0\0FLAMEARC\x01\0\x01\0".to_vec();
    file.resize(44, 0);
    let file_id = crc32(&file[20..40]);
    // A Start with a recording id, a backend and a scope.
    let start = [&b"\x0a\x18\x1a\x16\x0a\x10"[..], &[7; 16], b"\x50\x01\x60\x01"].concat();
    let mut seq = 0u32;
    let mut push = |kind: u8, rows: u8, weight: u8, content: &[u8]| {
        let frame = zstd::bulk::compress(content, 1).expect("compresses");
        let mut header = b"FARC\0\x01\x01\0".to_vec();
        header[4] = kind;
        header.extend(seq.to_le_bytes());
        header.extend(1u32.to_le_bytes());
        header.extend([0; 16]);
        header.extend(u64::from(weight).to_le_bytes());
        header.extend(u32::from(rows).to_le_bytes());
        header.extend((frame.len() as u32).to_le_bytes());
        header.extend(crc32(&frame));
        header.extend(file_id);
        let crc = crc32(&header);
        header.extend(crc);
        file.extend(b"\x50\x2a\x4d\x18\x3c\0\0\0");
        file.extend(header);
        file.extend(frame);
        seq += 1;
    };
    push(1, 0, 0, &start);
    while let [kind, rows, weight, length, rest @ ..] = input {
        let (content, after) = rest.split_at(rest.len().min(usize::from(*length)));
        push(1 + kind % 5, *rows, *weight, content);
        input = after;
    }
    with_right_checksums(file)
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
}
