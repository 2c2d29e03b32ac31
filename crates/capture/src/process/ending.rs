//! How processes end: seen, unseen because records were lost, or thread by thread.

use super::{Processes, REFRESH_NS};
use crate::world::World;

/// A process that ended is kept for samples that are still on their way.
pub(super) const LINGER_NS: u64 = 2_000_000_000;
/// After a loss of records, processes that are asked at once whether they live: 10 µs each.
const MAX_ASKED: usize = 512;

/// A process that has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    pub(crate) uid: u64,
    pub(crate) at_ns: u64,
}

impl Processes {
    /// Whether it is the process we know, and not the next one of its number.
    fn lives(&self, pid: u32, world: &mut impl World) -> bool {
        let stat = world.stat(pid).filter(|stat| stat.alive);
        let known = self.table.get(&pid);
        stat.zip(known).is_some_and(|(stat, known)| same_birth(stat.start_ns, known.start_ns))
    }

    /// After a loss of records: is it still the process we knew?
    pub(super) fn settle_doubt(&mut self, pid: u32, world: &mut impl World) {
        let Some(process) = self.table.get_mut(&pid).filter(|p| p.doubtful) else { return };
        process.doubtful = false;
        let start_ns = process.start_ns;
        if let Some(stat) = world.stat(pid)
            && !same_birth(stat.start_ns, start_ns)
        {
            let reused = self.new_process(pid, stat.parent, stat.start_ns);
            self.table.insert(pid, reused);
        }
    }

    /// Once in a while: reads again the maps of processes sampled since they were last read, and
    /// forgets processes that ended. What happened up to `applied_to_ns` has been applied; an exec
    /// since then makes what is read the next program's.
    pub(crate) fn tidy(
        &mut self,
        now_ns: u64,
        applied_to_ns: u64,
        world: &mut impl World,
    ) -> Vec<Ended> {
        let due: Vec<u32> = self
            .table
            .values()
            .filter(|p| p.sampled_since_read && p.ended_ns.is_none() && p.maps.is_some())
            .filter(|p| {
                now_ns >= p.next_read_ns && now_ns >= p.read_ns.max(p.image_ns) + REFRESH_NS
            })
            .map(|p| p.pid)
            .collect();
        for pid in due {
            self.read(pid, pid, applied_to_ns, world);
        }
        self.notice_the_gone(now_ns, world);
        self.forget_the_ended(now_ns, world)
    }

    /// The end of a process may be among the records that were lost.
    fn notice_the_gone(&mut self, now_ns: u64, world: &mut impl World) {
        let unsure = self.table.values().filter(|p| p.perhaps_gone);
        let asked: Vec<u32> = unsure.map(|p| p.pid).take(MAX_ASKED).collect();
        for pid in asked {
            let lives = self.lives(pid, world);
            let Some(process) = self.table.get_mut(&pid) else { continue };
            process.perhaps_gone = false;
            if !lives {
                process.ended_ns.get_or_insert(now_ns);
            }
        }
    }

    fn forget_the_ended(&mut self, now_ns: u64, world: &mut impl World) -> Vec<Ended> {
        let is_over = |at_ns: u64| now_ns >= at_ns + LINGER_NS;
        let due: Vec<u32> = self
            .table
            .values()
            .filter(|p| p.ended_ns.is_some_and(|at_ns| is_over(at_ns.max(p.alive_ns))))
            .map(|p| p.pid)
            .collect();
        let mut ended = Vec::new();
        for pid in due {
            // Of others nothing was written: if they live on, they are as new as anything.
            let was_sampled = self.table.get(&pid).is_some_and(|p| p.sampled);
            if was_sampled && self.lives(pid, world) {
                self.table.entry(pid).and_modify(|p| p.alive_ns = now_ns);
            } else if let Some(process) = self.table.remove(&pid) {
                let at_ns = process.ended_ns.unwrap_or(now_ns);
                ended.push(Ended { pid, uid: process.uid, at_ns });
            }
        }
        ended.sort_by_key(|e| (e.at_ns, e.uid));
        ended
    }
}

/// /proc states births in clock ticks.
fn same_birth(a_ns: u64, b_ns: u64) -> bool {
    const TOLERANCE_NS: u64 = 100_000_000;
    a_ns.abs_diff(b_ns) <= TOLERANCE_NS
}
