//! Hands over the bytes of the BPF ring buffer (`Documentation/bpf/ringbuf.rst`, Linux 5.8).

use std::io;
use std::os::fd::BorrowedFd;

use crate::host::page_bytes;
use crate::shared_memory::{Access, SharedMemory};

const BUSY: u64 = 1 << 31;
const DISCARD: u64 = 1 << 30;
const HEADER_BYTES: usize = 8;

/// The reading end of a BPF ring buffer.
#[derive(Debug)]
pub(crate) struct Ring {
    consumer: SharedMemory,
    producer: SharedMemory,
    ring_bytes: usize,
}

impl Ring {
    /// Maps the ring of `ring_bytes` behind a map's descriptor.
    ///
    /// The kernel offers its data pages twice in a row, so that records that wrap look contiguous;
    /// we copy records out anyway and map them once: each mapping would count as resident memory.
    pub(crate) fn map(fd: BorrowedFd<'_>, ring_bytes: usize) -> io::Result<Self> {
        let page = page_bytes();
        Ok(Self {
            consumer: SharedMemory::map(fd, 0, page, Access::ReadWrite)?,
            producer: SharedMemory::map(fd, page, page + ring_bytes, Access::Read)?,
            ring_bytes,
        })
    }

    /// Appends every record that is complete now to `bytes`, in the order they were reserved; calls
    /// `note` with `bytes`, which it may rewrite, and where the record begins there.
    pub(crate) fn drain(&self, bytes: &mut Vec<u8>, mut note: impl FnMut(&mut Vec<u8>, usize)) {
        let data = page_bytes();
        let mut position = self.consumer.load(0);
        let end = self.producer.load(0);
        while position < end {
            // Lengths are multiples of 8: a header never wraps.
            let at = data + (position as usize & (self.ring_bytes - 1));
            let header = self.producer.load(at) & 0xffff_ffff;
            if header & BUSY != 0 {
                break; // still being written; what follows waits for it
            }
            let length = (header & !(BUSY | DISCARD)) as usize;
            if length + HEADER_BYTES > self.ring_bytes {
                break; // cannot be; do not run away on it
            }
            if header & DISCARD == 0 {
                let start = bytes.len();
                self.producer.copy_from_ring(
                    data,
                    self.ring_bytes,
                    position + HEADER_BYTES as u64,
                    length,
                    bytes,
                );
                note(bytes, start);
            }
            position += (HEADER_BYTES + length).next_multiple_of(8) as u64;
            self.consumer.store(0, position);
        }
    }
}
