//! The perf events of all CPUs: one that samples and one that counts time and delivers the side-band
//! records, on each CPU that is online.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::host::{self, page_bytes};
use crate::pending::SideBandSource;
use crate::perf_event::{
    SideBandEvent, SideBandRing, disable, enable, open_sampling, open_side_band, read_count,
};
use crate::sideband::{SideBand, decode_all};

/// All side-band rings together. A record of a mapping is 120 to 200 bytes; an exec makes half a dozen.
const SIDE_BAND_BYTES: usize = 512 << 10;
/// One of them, at most.
const SIDE_BAND_RING_BYTES: usize = 128 << 10;

#[derive(Debug)]
struct CpuEvents {
    cpu: u32,
    sampling: OwnedFd,
    counting: File,
    ring: SideBandRing,
    /// Side-band records that did not fit, when it was read last.
    lost: u64,
}

/// All events.
#[derive(Debug)]
pub(crate) struct Events {
    cpus: Vec<CpuEvents>,
    period_ns: u64,
    ring_bytes: usize,
    counts_lost: bool,
    /// Time counted by CPU, by events that are closed (a CPU went offline), and by the open one.
    observed_ns: BTreeMap<u32, (u64, u64)>,
    undecoded: u64,
    /// Side-band records that did not fit into their rings, as the kernel counts them.
    lost: u64,
}

impl Events {
    /// Opens the events of the CPUs that are online; the side-band is on from here.
    pub(crate) fn open(period_ns: u64, program: BorrowedFd<'_>) -> Result<Self, Error> {
        let online = host::online_cpus().map_err(Error::system("reading the list of CPUs"))?;
        let mut events = Self {
            cpus: Vec::new(),
            period_ns,
            ring_bytes: side_band_ring_bytes(online.len(), page_bytes()),
            counts_lost: true,
            observed_ns: BTreeMap::new(),
            undecoded: 0,
            lost: 0,
        };
        for cpu in online {
            events.open_cpu(cpu, program)?;
        }
        Ok(events)
    }

    fn open_cpu(&mut self, cpu: u32, program: BorrowedFd<'_>) -> Result<(), Error> {
        let sampling = open_sampling(cpu, self.period_ns, program)?;
        let SideBandEvent { event: counting, counts_lost } =
            open_side_band(cpu, self.counts_lost, self.ring_bytes)?;
        self.counts_lost = counts_lost;
        let ring = self.map_ring(&counting)?;
        enable(&counting)?;
        self.observed_ns.entry(cpu).or_default();
        self.cpus.push(CpuEvents { cpu, sampling, counting, ring, lost: 0 });
        Ok(())
    }

    /// Locked memory is limited for those without CAP_IPC_LOCK: a smaller ring is better than none.
    fn map_ring(&mut self, counting: &File) -> Result<SideBandRing, Error> {
        loop {
            match SideBandRing::map(counting, self.ring_bytes) {
                Ok(ring) => return Ok(ring),
                Err(e)
                    if e.raw_os_error() == Some(libc::EPERM) && self.ring_bytes > page_bytes() =>
                {
                    self.ring_bytes /= 2;
                }
                Err(e) => return Err(Error::RingMemory(e)),
            }
        }
    }

    /// Starts taking samples.
    pub(crate) fn start_sampling(&self) -> Result<(), Error> {
        self.cpus.iter().try_for_each(|c| enable(&c.sampling))
    }

    /// Stops taking samples: when this returns no program runs any more.
    pub(crate) fn stop_sampling(&self) {
        for cpu in &self.cpus {
            disable(&cpu.sampling);
        }
    }

    /// How many CPUs are sampled.
    pub(crate) fn cpu_count(&self) -> usize {
        self.cpus.len()
    }

    /// Descriptors that become readable when a side-band ring is half full.
    pub(crate) fn side_band_fds(&self) -> impl Iterator<Item = &File> {
        self.cpus.iter().map(|c| &c.counting)
    }

    /// Side-band records that could not be decoded.
    pub(crate) fn undecoded(&self) -> u64 {
        self.undecoded
    }

    /// Side-band records that did not fit into their rings, as of the last look at the counters; `None`
    /// where the kernel does not count them.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.counts_lost.then_some(self.lost)
    }

    /// Nanoseconds that each CPU's independent counter has counted.
    pub(crate) fn observed_ns(&mut self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.read_counters();
        self.observed_ns.iter().map(|(cpu, (closed, open))| (*cpu, closed + open))
    }

    /// Reads all counters; returns the CPUs whose counter has not moved since it was read before.
    fn read_counters(&mut self) -> Vec<u32> {
        let mut standing = Vec::new();
        for events in &mut self.cpus {
            let Some((_, open)) = self.observed_ns.get_mut(&events.cpu) else { continue };
            let (now, lost) = read_count(&events.counting).unwrap_or((0, events.lost));
            self.lost += lost.saturating_sub(events.lost);
            events.lost = lost;
            if now > *open {
                *open = now;
            } else {
                standing.push(events.cpu);
            }
        }
        standing
    }

    /// Follows CPUs that went offline or came back: the kernel does neither for open events. One that
    /// did both since the last look is found by its counter, which stands still; so do not look again
    /// at once. Returns whether anything changed.
    pub(crate) fn follow_hotplug(&mut self, program: BorrowedFd<'_>) -> bool {
        let standing = self.read_counters();
        let Ok(online) = host::online_cpus() else { return false };
        let gone = |c: &CpuEvents| !online.contains(&c.cpu) || standing.contains(&c.cpu);
        let mut changed = false;
        for cpu in self.cpus.iter().filter(|c| gone(c)) {
            changed = true;
            if let Some((closed, open)) = self.observed_ns.get_mut(&cpu.cpu) {
                *closed += std::mem::take(open);
            }
        }
        self.cpus.retain(|c| !gone(c));
        let new = |cpu: &&u32| self.cpus.iter().all(|c| c.cpu != **cpu);
        for cpu in online.iter().filter(new).copied().collect::<Vec<_>>() {
            changed = true;
            // It may be on its way out again: then the next look finds it gone.
            if self.open_cpu(cpu, program).is_ok()
                && let Some(opened) = self.cpus.last()
            {
                let _ = enable(&opened.sampling);
            }
        }
        changed
    }
}

impl SideBandSource for Events {
    fn drain(&mut self, out: &mut Vec<SideBand>) {
        let mut bytes = Vec::new();
        for cpu in &self.cpus {
            bytes.clear();
            cpu.ring.drain(&mut bytes);
            self.undecoded += decode_all(&bytes, out);
        }
    }
}

/// Size of one CPU's ring: a power of two of pages.
fn side_band_ring_bytes(cpus: usize, page_bytes: usize) -> usize {
    let share = SIDE_BAND_BYTES / cpus.max(1);
    let power = if share.is_power_of_two() { share } else { share.next_power_of_two() / 2 };
    power.clamp(2 * page_bytes, SIDE_BAND_RING_BYTES.max(2 * page_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_a_fixed_budget() {
        assert_eq!(side_band_ring_bytes(1, 4096), 128 << 10);
        assert_eq!(side_band_ring_bytes(2, 4096), 128 << 10);
        assert_eq!(side_band_ring_bytes(6, 4096), 64 << 10);
        assert_eq!(side_band_ring_bytes(64, 4096), 8 << 10);
        assert_eq!(side_band_ring_bytes(1000, 4096), 8 << 10, "two pages at least");
        assert_eq!(side_band_ring_bytes(1, 65536), 128 << 10);
    }
}
