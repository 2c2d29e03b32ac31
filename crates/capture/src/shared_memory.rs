//! Memory that the kernel writes while we read: the mapped pages of ring buffers.
#![allow(unsafe_code)] // mmap and volatile access to pages shared with the kernel

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// A mapping of a ring buffer's pages. Unmapped on drop.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    start: *mut u8,
    bytes: usize,
}

/// What we may do with the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Read only.
    Read,
    /// Read, and store our position.
    ReadWrite,
}

impl SharedMemory {
    /// Maps `bytes` of `fd` from `offset` on, shared with the kernel.
    pub(crate) fn map(
        fd: BorrowedFd<'_>,
        offset: usize,
        bytes: usize,
        access: Access,
    ) -> io::Result<Self> {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours; fd,
        // offset and length are checked by the kernel.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), bytes })
    }

    fn cell(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes, "offset within the mapping");
        // SAFETY: inside the mapping (checked), aligned (mappings start at a page), and every bit
        // pattern is a valid u64. The kernel accesses the word with matching barriers.
        unsafe { &*self.start.add(offset).cast::<AtomicU64>() }
    }

    /// Reads a position the kernel publishes; what it wrote before is visible afterwards.
    pub(crate) fn load(&self, offset: usize) -> u64 {
        self.cell(offset).load(Ordering::Acquire)
    }

    /// Publishes our position: the kernel may overwrite what lies before it. Only on `ReadWrite`
    /// mappings.
    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.cell(offset).store(value, Ordering::Release);
    }

    /// Appends `length` bytes of a ring to `out`. The ring has `ring_bytes` (a power of two) at
    /// `base`; `position` counts bytes since ever.
    pub(crate) fn copy_from_ring(
        &self,
        base: usize,
        ring_bytes: usize,
        position: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) {
        assert!(base + ring_bytes <= self.bytes && length <= ring_bytes, "a ring in the mapping");
        let at = position as usize & (ring_bytes - 1);
        let first = length.min(ring_bytes - at);
        out.reserve(length);
        for (from, count) in [(base + at, first), (base, length - first)] {
            // SAFETY: [from, from + count) lies in the mapping (asserted above) and `out` has room
            // for `length` more bytes. The kernel does not write this range until `store` gives it
            // back, and bytes have no invalid values.
            unsafe {
                let end = out.len();
                std::ptr::copy_nonoverlapping(
                    self.start.add(from),
                    out.as_mut_ptr().add(end),
                    count,
                );
                out.set_len(end + count);
            }
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, and no reference into it outlives self.
        unsafe {
            libc::munmap(self.start.cast(), self.bytes);
        }
    }
}
