//! perf_event_open(2): the interrupts that take samples, and the kernel's side-band records.
#![allow(unsafe_code)] // perf_event_open(2), ioctl(2)

use std::fs::File;
use std::io::{self, Read as _};
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};

use perf_event_open_sys as sys;
use sys::bindings as abi;

use crate::error::Error;
use crate::host::{page_bytes, sysctl};
use crate::shared_memory::{Access, SharedMemory};

fn open(attributes: &mut abi::perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    let flags = libc::c_ulong::from(abi::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attributes` is a valid perf_event_attr whose `size` says how long it is.
    let fd = unsafe { sys::perf_event_open(attributes, -1, cpu as i32, -1, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn cpu_clock() -> abi::perf_event_attr {
    let mut attributes = abi::perf_event_attr {
        type_: abi::PERF_TYPE_SOFTWARE,
        size: size_of::<abi::perf_event_attr>() as u32,
        config: u64::from(abi::PERF_COUNT_SW_CPU_CLOCK),
        ..abi::perf_event_attr::default()
    };
    attributes.set_disabled(1);
    attributes
}

fn open_error(what: &'static str, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Error::PerfNotPermitted {
            source,
            paranoid: sysctl("kernel/perf_event_paranoid")
                .map_or_else(|| "not readable".to_owned(), |level| level.to_string()),
        },
        _ => Error::Perf { what, source },
    }
}

/// An event that interrupts one CPU every `period_ns` of its time, whatever runs there, and then
/// runs a BPF program. Not enabled yet.
///
/// A fixed period and no frequency: with a frequency the kernel changes the period while recording,
/// and samples would weigh differently.
pub(crate) fn open_sampling(
    cpu: u32,
    period_ns: u64,
    program: BorrowedFd<'_>,
) -> Result<OwnedFd, Error> {
    let mut attributes = cpu_clock();
    attributes.__bindgen_anon_1.sample_period = period_ns;
    let event = open(&mut attributes, cpu).map_err(|e| open_error("opening cpu-clock", e))?;
    // SAFETY: both descriptors are open; the kernel checks that the program fits the event.
    let result = unsafe { sys::ioctls::SET_BPF(event.as_raw_fd(), program.as_raw_fd() as u32) };
    if result < 0 {
        let source = io::Error::last_os_error();
        return Err(Error::Perf { what: "attaching the BPF program", source });
    }
    Ok(event)
}

/// A counter of one CPU's time, which at the same time delivers the side-band records.
#[derive(Debug)]
pub(crate) struct SideBandEvent {
    /// The event; reading it yields the count.
    pub(crate) event: File,
    /// Whether reading it also yields how many records did not fit into the ring (Linux 6.0). The ring
    /// says so only when another record follows, perhaps never.
    pub(crate) counts_lost: bool,
}

/// Opens the counting event of one CPU. It never interrupts. Not enabled yet. `counts_lost`: whether to
/// ask for what older kernels refuse; they are asked again without.
pub(crate) fn open_side_band(
    cpu: u32,
    counts_lost: bool,
    ring_bytes: usize,
) -> Result<SideBandEvent, Error> {
    let mut attributes = cpu_clock();
    attributes.set_mmap(1);
    attributes.set_mmap2(1);
    attributes.set_comm(1);
    attributes.set_comm_exec(1);
    attributes.set_task(1);
    if counts_lost {
        attributes.read_format = u64::from(abi::PERF_FORMAT_LOST);
    }
    attributes.set_use_clockid(1);
    attributes.clockid = libc::CLOCK_MONOTONIC;
    attributes.set_sample_id_all(1);
    attributes.sample_type =
        u64::from(abi::PERF_SAMPLE_TID | abi::PERF_SAMPLE_TIME | abi::PERF_SAMPLE_CPU);
    attributes.set_watermark(1);
    attributes.__bindgen_anon_2.wakeup_watermark = (ring_bytes / 2) as u32;
    match open(&mut attributes, cpu) {
        Ok(event) => Ok(SideBandEvent { event: event.into(), counts_lost }),
        Err(e) if counts_lost && e.raw_os_error() == Some(libc::EINVAL) => {
            open_side_band(cpu, false, ring_bytes)
        }
        Err(e) => Err(open_error("opening the side-band event", e)),
    }
}

/// Starts an event.
pub(crate) fn enable(event: &impl AsFd) -> Result<(), Error> {
    // SAFETY: an open descriptor and no further memory.
    let result = unsafe { sys::ioctls::ENABLE(event.as_fd().as_raw_fd(), 0) };
    if result < 0 {
        return Err(Error::Perf { what: "enabling an event", source: io::Error::last_os_error() });
    }
    Ok(())
}

/// Stops an event: when this returns, its program does not run any more. A CPU that has gone has
/// stopped already, hence no error.
pub(crate) fn disable(event: &OwnedFd) {
    // SAFETY: an open descriptor and no further memory.
    unsafe {
        sys::ioctls::DISABLE(event.as_raw_fd(), 0);
    }
}

/// Reads a counting event: nanoseconds it has been running, and records that did not fit into its ring
/// (0 where the kernel does not count them).
pub(crate) fn read_count(mut event: &File) -> io::Result<(u64, u64)> {
    let mut bytes = [0; 16];
    let got = event.read(&mut bytes)?;
    let (words, _) = bytes[..got].as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|word| u64::from_ne_bytes(*word));
    let count = word(0).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((count, word(1).unwrap_or(0)))
}

/// The ring of a side-band event.
#[derive(Debug)]
pub(crate) struct SideBandRing {
    memory: SharedMemory,
    ring_bytes: usize,
}

impl SideBandRing {
    /// Maps a ring of `ring_bytes` (a power of two of pages).
    pub(crate) fn map(event: &File, ring_bytes: usize) -> io::Result<Self> {
        let bytes = page_bytes() + ring_bytes;
        let memory = SharedMemory::map(event.as_fd(), 0, bytes, Access::ReadWrite)?;
        Ok(Self { memory, ring_bytes })
    }

    /// Appends everything that is in the ring to `out`, whole records only, and frees it.
    pub(crate) fn drain(&self, out: &mut Vec<u8>) {
        let head = self.memory.load(offset_of!(abi::perf_event_mmap_page, data_head));
        let tail_at = offset_of!(abi::perf_event_mmap_page, data_tail);
        let tail = self.memory.load(tail_at);
        // The kernel moves the head only over whole records; more than a ring cannot be there.
        let length = (head.wrapping_sub(tail) as usize).min(self.ring_bytes);
        self.memory.copy_from_ring(page_bytes(), self.ring_bytes, tail, length, out);
        self.memory.store(tail_at, head);
    }
}
