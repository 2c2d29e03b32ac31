//! Which addresses of run-time code want a name, and when each process's perf-PID.map is searched for
//! them. The map of a process that has ended is searched through its folder, which is held.

use std::collections::BTreeMap;

use profile::{HostSymbol, ModuleId, Text};

use crate::host;
use crate::jit_search::{JitAddress, JitSearch, Searched};
use crate::jit_summary::{JitSummary, Nameless};
use crate::perf_map_file::{NoMap, PerfMapFile, PerfMapPlace};

/// A process's map is searched so long after its first hit, then after twice the time and so on.
const FIRST_SEARCH_NS: u64 = 5_000_000_000;
/// A search may take this share of the time until the next one (1/1000).
const SEARCH_COST_FACTOR: u64 = 1000;
/// Searching makes room for the rings after so long …
const SLICE_NS: u64 = 20_000_000;
/// … and this long.
const REST_NS: u64 = 200_000_000;
/// The end of an epoch waits at most so long for its names.
const MAX_HURRY_NS: u64 = 5_000_000_000;
/// Addresses without a name, of all processes in one epoch: 1.5 MB.
const MAX_WANTED: usize = 65_536;
/// Duplicates are looked for from so many addresses on.
const SETTLE_AT_LEAST: usize = 1024;
/// Processes whose folders are held: one descriptor each.
const MAX_PROCESSES: usize = 128;

/// A process image: what runs under a pid from one exec to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Image {
    pub(crate) pid: u32,
    /// Its own number, never used again.
    pub(crate) uid: u64,
}

/// One process image's addresses in this epoch.
#[derive(Debug)]
struct OfProcess {
    pid: u32,
    program: Text,
    place: Result<PerfMapPlace, NoMap>,
    /// Not searched for yet.
    wanted: Vec<JitAddress>,
    settle_at: usize,
    /// Searched for in vain, up to `searched`.
    missed: Vec<JitAddress>,
    searched: Option<Searched>,
    /// Functions that have their name, by module and range.
    named: Vec<(ModuleId, u64, u64)>,
    /// Why the last search did not take place.
    why_not: Option<NoMap>,
    next_ns: u64,
    interval_ns: u64,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Lives,
    Ended,
    /// Another image or process has its pid: a map found now may be that one's.
    Replaced,
}

impl OfProcess {
    fn new(pid: u32, program: Text, place: Result<PerfMapPlace, NoMap>, time_ns: u64) -> Self {
        Self {
            pid,
            program,
            place,
            wanted: Vec::new(),
            settle_at: SETTLE_AT_LEAST,
            missed: Vec::new(),
            searched: None,
            named: Vec::new(),
            why_not: None,
            next_ns: time_ns + FIRST_SEARCH_NS,
            interval_ns: FIRST_SEARCH_NS,
            life: Life::Lives,
        }
    }

    fn is_named(&self, of: JitAddress) -> bool {
        let after = self.named.partition_point(|n| (n.0, n.1) <= (of.module, of.avma));
        let below = after.checked_sub(1).map(|index| self.named[index]);
        below.is_some_and(|(module, _, end)| module == of.module && of.avma < end)
    }

    fn has_work(&self) -> bool {
        !self.wanted.is_empty() || !self.missed.is_empty()
    }

    /// Removes duplicates; returns how many there were.
    fn settle(&mut self) -> usize {
        let before = self.wanted.len();
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.settle_at = SETTLE_AT_LEAST.max(2 * self.wanted.len());
        before - self.wanted.len()
    }

    /// The map, if it is still this image's.
    fn open(&self) -> Result<PerfMapFile, NoMap> {
        let map = self.place.as_ref().map_err(|why| *why)?.open()?;
        let is_known = |s: Searched| s.identity == map.identity && map.bytes >= s.to;
        match self.life {
            Life::Replaced if !self.searched.is_some_and(is_known) => Err(NoMap::Gone),
            _ => Ok(map),
        }
    }
}

/// The run-time code of all processes.
#[derive(Default, Debug)]
pub(crate) struct JitNames {
    /// By the process image's own number.
    processes: BTreeMap<u64, OfProcess>,
    /// Addresses in all of them.
    count: usize,
    /// The one search that is going on, and for whom.
    running: Option<(u64, JitSearch)>,
    rest_until_ns: u64,
    hurried_ns: Option<u64>,
    summary: JitSummary,
}

impl JitNames {
    /// Asks for the name of an address that a process image was seen at, at `time_ns`. `origin` says
    /// what its program is and where it keeps its map, once for each image.
    pub(crate) fn want(
        &mut self,
        image: Image,
        address: JitAddress,
        time_ns: u64,
        origin: impl FnOnce() -> (Text, Result<PerfMapPlace, NoMap>),
    ) {
        let room = self.processes.len() < MAX_PROCESSES;
        let of = self.processes.entry(image.uid).or_insert_with(|| {
            let (program, place) = origin();
            let place = if room { place } else { Err(NoMap::TooManyProcesses) };
            OfProcess::new(image.pid, program, place, time_ns)
        });
        if of.is_named(address) {
            return;
        }
        if of.wanted.len() >= of.settle_at {
            self.count -= of.settle();
        }
        if self.count >= MAX_WANTED {
            self.summary.passed_over += 1;
            return;
        }
        of.wanted.push(address);
        self.count += 1;
        if self.hurried_ns.is_some() {
            of.next_ns = 0;
        }
    }

    /// Searches for a while, where it is due. Calls `sink` with each new name. `runs_now` gives the
    /// number of the image that runs under a pid.
    pub(crate) fn search_a_while(
        &mut self,
        runs_now: impl Fn(u32) -> Option<u64>,
        now_ns: u64,
        sink: impl FnMut(&HostSymbol),
    ) {
        self.notice_ends(runs_now);
        if now_ns >= self.rest_until_ns && !self.search(now_ns, now_ns + SLICE_NS, sink) {
            self.rest_until_ns = host::monotonic_ns() + REST_NS;
        }
    }

    /// Searches for everything that has no name, until `until_ns` at the latest.
    pub(crate) fn search_all(
        &mut self,
        runs_now: impl Fn(u32) -> Option<u64>,
        now_ns: u64,
        until_ns: u64,
        sink: impl FnMut(&HostSymbol),
    ) {
        self.notice_ends(runs_now);
        self.hurry(now_ns);
        self.search(now_ns, until_ns, sink);
    }

    /// Whether the epoch may end. From the first time it is asked, everything without a name is searched
    /// for, because modules are numbered within an epoch; it ends without them when it takes too long.
    pub(crate) fn epoch_may_end(&mut self, now_ns: u64) -> bool {
        let hurried_ns = self.hurry(now_ns);
        let is_open = |p: &OfProcess| p.has_work() && p.next_ns <= now_ns;
        let idle = self.running.is_none() && !self.processes.values().any(is_open);
        idle || now_ns >= hurried_ns + MAX_HURRY_NS
    }

    /// Everything starts over.
    pub(crate) fn begin_epoch(&mut self) {
        if let Some((uid, search)) = self.running.take() {
            self.end(uid, search, None, 0);
        }
        for of in std::mem::take(&mut self.processes).into_values() {
            close(&mut self.summary, &of);
        }
        self.count = 0;
        self.hurried_ns = None;
    }

    /// What came of it, with everything that has no name until now.
    pub(crate) fn summary(&self) -> JitSummary {
        let mut summary = self.summary.clone();
        self.processes.values().for_each(|of| close(&mut summary, of));
        summary
    }

    fn hurry(&mut self, now_ns: u64) -> u64 {
        if self.hurried_ns.is_none() {
            self.processes.values_mut().for_each(|of| of.next_ns = 0);
        }
        *self.hurried_ns.get_or_insert(now_ns)
    }

    fn notice_ends(&mut self, runs_now: impl Fn(u32) -> Option<u64>) {
        for (uid, of) in &mut self.processes {
            let life = match runs_now(of.pid) {
                Some(now) if now == *uid => Life::Lives,
                Some(_) => Life::Replaced,
                None => Life::Ended,
            };
            if life != Life::Lives && of.life == Life::Lives {
                of.life = life;
                of.next_ns = 0;
            }
        }
        let running = self.running.as_ref().map(|(uid, _)| *uid);
        self.processes.retain(|uid, of| {
            let is_done = of.next_ns == u64::MAX || !of.has_work();
            let is_over = of.life != Life::Lives && is_done && running != Some(*uid);
            if is_over {
                self.count -= of.wanted.len() + of.missed.len();
                close(&mut self.summary, of);
            }
            !is_over
        });
    }

    /// Returns whether everything that is due is done.
    fn search(&mut self, now_ns: u64, until_ns: u64, mut sink: impl FnMut(&HostSymbol)) -> bool {
        let mut began_ns = host::monotonic_ns();
        loop {
            if let Some((uid, mut search)) = self.running.take() {
                let step = search.step(now_ns, &mut sink);
                let stepped_ns = host::monotonic_ns();
                search.spent_ns += stepped_ns.saturating_sub(began_ns);
                began_ns = stepped_ns;
                match step {
                    Ok(true) => self.running = Some((uid, search)),
                    Ok(false) => self.end(uid, search, None, now_ns),
                    Err(error) => self.end(uid, search, Some(error.into()), now_ns),
                }
            } else {
                let due = |(_, of): &(&u64, &OfProcess)| of.next_ns <= now_ns && of.has_work();
                let Some((uid, _)) = self.processes.iter().find(due) else { return true };
                self.begin(*uid, now_ns);
            }
            if host::monotonic_ns() >= until_ns {
                return false;
            }
        }
    }

    fn begin(&mut self, uid: u64, now_ns: u64) {
        let Some(of) = self.processes.get_mut(&uid) else { return };
        let none_new = of.wanted.is_empty();
        let mut addresses = std::mem::take(&mut of.wanted);
        addresses.append(&mut of.missed);
        let before = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        self.count -= before - addresses.len();
        let map = of.open();
        of.why_not = map.as_ref().err().copied();
        let Ok(map) = map else {
            of.missed = addresses;
            return schedule(of, self.hurried_ns.is_some(), now_ns, 0);
        };
        // Lines are only ever appended: what was missed before can stand behind them only.
        let known = |s: &Searched| none_new && s.identity == map.identity && s.to <= map.bytes;
        let from = of.searched.filter(known).map_or(0, |searched| searched.to);
        self.running = Some((uid, JitSearch::new(map, from, addresses)));
    }

    fn end(&mut self, uid: u64, search: JitSearch, why_not: Option<NoMap>, now_ns: u64) {
        let Some(of) = self.processes.get_mut(&uid) else { return };
        let outcome = search.outcome();
        self.count -= outcome.named_addresses;
        self.summary.functions += outcome.named.len() as u64;
        of.missed = outcome.missed;
        of.why_not = why_not;
        of.named.extend(outcome.named);
        of.named.sort_unstable();
        // What was found but not yet named by a search that failed must be found again.
        of.searched = why_not.is_none().then_some(outcome.searched);
        schedule(of, self.hurried_ns.is_some(), now_ns, outcome.spent_ns);
    }
}

fn schedule(of: &mut OfProcess, hurried: bool, now_ns: u64, spent_ns: u64) {
    of.interval_ns = (2 * of.interval_ns).max(spent_ns.saturating_mul(SEARCH_COST_FACTOR));
    let last = hurried || of.life != Life::Lives;
    of.next_ns = if last { u64::MAX } else { now_ns + of.interval_ns };
}

/// Counts what a process leaves without a name.
fn close(summary: &mut JitSummary, of: &OfProcess) {
    let addresses = (of.wanted.len() + of.missed.len()) as u64;
    if addresses > 0 {
        summary.leave_nameless(Nameless {
            addresses,
            pid: of.pid,
            program: of.program.clone(),
            map: of.place.as_ref().map(|p| p.name().to_owned()).unwrap_or_default(),
            why: of.why_not.or(of.place.as_ref().err().copied()),
            searched: of.wanted.is_empty(),
        });
    }
}

#[cfg(test)]
#[path = "jit_names_tests.rs"]
mod tests;
