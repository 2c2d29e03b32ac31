//! Learns which chains of frame pointers are to be trusted, from where they end.
//!
//! In a program with frame pointers every chain leads to the code that started its thread: all end with
//! the same few return addresses, its *roots*. (Not with a frame pointer of zero: glibc's start code has no
//! frame pointers itself, and leaves anything in the register.) In code without frame pointers most chains
//! are nothing but a leaf, and the others end wherever a register happened to point. So, of each process:
//!
//! 1. Until its roots are known none of its chains is trusted: the BPF program takes deep slices of the stack.
//! 2. Its first 16 chains are judged, then every 64. A return address with which one in eight of them ends is
//!    a root. There are no roots if one in eight has no caller, or came to a word that is no code, or ends in
//!    code without frame pointers ([`crate::frame_pointers`]) that does not start programs or threads
//!    ([`crate::start_code`]).
//! 3. A chain that ends with a root is trusted: a small slice is enough to find the callers that it skips
//!    at the leaf. Every other one gets a deep slice.
//! 4. A chain may lead through code without frame pointers on its way, as through `qsort` to what it calls back,
//!    and skip callers there. So the BPF program is also told where such code is: one range of addresses,
//!    because libraries are mapped side by side. Such a chain gets a slice up to the frame that follows
//!    that code. One that skips callers anywhere else is enough to have no roots.
//!
//! Chains are recorded with deep slices too, so a process that changes its ways is judged anew. A new program
//! under the same number has other addresses, so that old roots trust nothing of it.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::intern::Callers;
use crate::record::{MAX_ROOTS, Roots};

/// Chains of the first judgement, and of each later one.
const FIRST_CHAINS: u32 = 16;
const CHAINS: u32 = 64;
/// What one chain in this many does counts.
const SHARE: u32 = 8;
/// Processes judged at a time: bounds memory. The BPF map has as much room.
const MAX_PROCESSES: usize = 8192;

/// What a chain says of its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chain {
    /// It ended with this return address.
    End {
        address: u64,
        /// The lowest and the highest return address on its way in code without frame pointers.
        frameless: Option<(u64, u64)>,
    },
    /// It has no caller, or came to a word that is no code, or ended where none does.
    Bad,
}

impl Chain {
    /// What the callers of a sample are.
    pub(crate) fn of(callers: &Callers) -> Self {
        let frameless = callers.frameless;
        callers.outermost.map_or(Self::Bad, |address| Self::End { address, frameless })
    }
}

/// The roots of all processes.
#[derive(Default, Debug)]
pub(crate) struct LearntRoots {
    processes: FxHashMap<u32, Judged>,
}

/// One process image.
#[derive(Default, Debug)]
struct Judged {
    uid: u64,
    known: Roots,
    chains: u32,
    bad: u32,
    /// The lowest and the highest return address that is in code without frame pointers and not in the known range.
    outside: Option<(u64, u64)>,
    /// The most frequent ends: each address with at most as many chains as ended there.
    ends: [(u64, u32); MAX_ROOTS],
}

impl LearntRoots {
    /// Notes a chain. Returns the process's roots if they have changed. `frameless` says which range around
    /// the first of some addresses that is in code without frame pointers has nothing but such code.
    pub(crate) fn note(
        &mut self,
        pid: u32,
        uid: u64,
        chain: Chain,
        frameless: impl FnOnce(&[u64]) -> Range<u64>,
    ) -> Option<Roots> {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            return None;
        }
        let process = self.processes.entry(pid).or_default();
        if process.uid != uid {
            *process = Judged { uid, known: process.known, ..Judged::default() };
        }
        process.chains += 1;
        match chain {
            Chain::End { address, frameless } => {
                process.count(address);
                process.widen(frameless);
            }
            Chain::Bad => process.bad += 1,
        }
        let is_known = process.known != Roots::default() && process.outside.is_none();
        if process.chains < if is_known { CHAINS } else { FIRST_CHAINS } {
            return None;
        }
        let roots = process.judge(frameless);
        let changed = roots != process.known;
        *process = Judged { uid, known: roots, ..Judged::default() };
        changed.then_some(roots)
    }

    /// Forgets a process that ended, and its earlier images: the last one need not have had a sample. Returns whether it had roots.
    pub(crate) fn forget(&mut self, pid: u32, uid: u64) -> bool {
        match self.processes.get(&pid) {
            Some(process) if process.uid <= uid => {
                self.processes.remove(&pid).is_some_and(|p| p.known != Roots::default())
            }
            _ => false,
        }
    }
}

impl Judged {
    /// Counts as Misra and Gries do: what ends one chain in five or more is found for certain.
    fn count(&mut self, address: u64) {
        if let Some((_, chains)) = self.ends.iter_mut().find(|(end, n)| *end == address && *n > 0) {
            *chains += 1;
        } else if let Some(free) = self.ends.iter_mut().find(|(_, chains)| *chains == 0) {
            *free = (address, 1);
        } else {
            self.ends.iter_mut().for_each(|(_, chains)| *chains -= 1);
        }
    }

    /// Notes where callers may be skipped without the BPF program's knowing.
    fn widen(&mut self, frameless: Option<(u64, u64)>) {
        let known = self.known.frameless_start..self.known.frameless_end();
        let unknown = |(low, high): &_| !known.contains(low) || !known.contains(high);
        let Some((low, high)) = frameless.filter(unknown) else { return };
        let (lowest, highest) = self.outside.unwrap_or((low, high));
        self.outside = Some((low.min(lowest), high.max(highest)));
    }

    fn judge(&self, frameless: impl FnOnce(&[u64]) -> Range<u64>) -> Roots {
        let mut roots = Roots::default();
        let counts = |chains: u32| chains * SHARE >= self.chains;
        if counts(self.bad) {
            return roots;
        }
        let mut found: Vec<u64> =
            self.ends.iter().filter(|(_, n)| counts(*n)).map(|(end, _)| *end).collect();
        found.sort_unstable();
        for (slot, address) in roots.addresses.iter_mut().zip(found) {
            *slot = address;
        }
        // The C library, where programs start, is usually one of those that chains lead through.
        let outside = self.outside.map(|(low, high)| [low, high]);
        let places: Vec<u64> =
            outside.into_iter().flatten().chain(roots.addresses).filter(|a| *a != 0).collect();
        let range = frameless(&places);
        if outside.is_some_and(|both| both.iter().any(|address| !range.contains(address))) {
            return Roots::default();
        }
        roots.frameless_start = range.start;
        roots.frameless_bytes = range.end - range.start;
        roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: u64 = 0x7f00_0000_71ca;
    const THREAD: u64 = 0x7f00_0008_84e0;

    /// What is learnt of process 7 from these chains, in order.
    fn learn(chains: impl IntoIterator<Item = Option<u64>>) -> Vec<[u64; 4]> {
        let mut learnt = LearntRoots::default();
        let changes = chains.into_iter().filter_map(|end| learnt.note(7, 1, chain(end), nowhere));
        changes.map(|roots| roots.addresses).collect()
    }

    fn chain(end: Option<u64>) -> Chain {
        end.map_or(Chain::Bad, |address| Chain::End { address, frameless: None })
    }

    /// No code is known to have no frame pointers.
    fn nowhere(_: &[u64]) -> Range<u64> {
        0..0
    }

    #[test]
    fn the_addresses_where_chains_usually_end_are_roots() {
        let chains = (0..16).map(|i| Some(if i % 4 == 0 { THREAD } else { MAIN }));
        assert_eq!(learn(chains), [[MAIN, THREAD, 0, 0]]);
        assert_eq!(learn((0..15).map(|_| Some(MAIN))), [[0; 4]; 0], "too few to tell");
    }

    #[test]
    fn a_stray_end_is_no_root_and_spoils_none() {
        let chains = (0..16).map(|i| if i == 3 { Some(0x5555) } else { Some(MAIN) });
        assert_eq!(learn(chains), [[MAIN, 0, 0, 0]]);
        let chains = (0..16).map(|i| (i != 3).then_some(MAIN));
        assert_eq!(learn(chains), [[MAIN, 0, 0, 0]]);
    }

    #[test]
    fn code_without_frame_pointers_has_no_roots() {
        assert_eq!(learn((0..200).map(|_| None)), [[0; 4]; 0]);
        let some_leaves = (0..200).map(|i| (i % 8 != 0).then_some(MAIN));
        assert_eq!(learn(some_leaves), [[0; 4]; 0], "a leaf in eight is alone");
        assert_eq!(learn((0..200).map(|i| Some(0x1000 + i))), [[0; 4]; 0], "ends anywhere");
    }

    #[test]
    fn a_process_that_changes_its_ways_is_judged_anew() {
        let good = (0..80).map(|_| Some(MAIN));
        let chains = good.clone().chain((0..64).map(|_| None)).chain(good);
        assert_eq!(learn(chains), [[MAIN, 0, 0, 0], [0; 4], [MAIN, 0, 0, 0]]);
    }

    #[test]
    fn chains_through_libraries_without_frame_pointers_are_trusted_where_the_kernel_side_knows() {
        let mut learnt = LearntRoots::default();
        let range = 0x7f00_0000_0000..0x7f00_0010_0000;
        let libraries = |places: &[u64]| {
            if places.iter().any(|place| range.contains(place)) { range.clone() } else { 0..0 }
        };
        let mut note = |frameless, times| {
            let chain = Chain::End { address: MAIN, frameless };
            (0..times).filter_map(|_| learnt.note(7, 1, chain, libraries)).collect::<Vec<_>>()
        };
        let known = Roots {
            addresses: [MAIN, 0, 0, 0],
            frameless_start: range.start,
            frameless_bytes: 0x10_0000,
        };
        let inside = Some((range.start, range.end - 1));
        assert_eq!(note(None, 16), [known], "programs start in one of them");
        assert_eq!(note(inside, 3 * 64), []);
        // Elsewhere: noticed after a few chains, not after as many as are judged together.
        assert_eq!(note(Some((0x5555, 0x5555)), 16), [Roots::default()]);
        assert_eq!(note(Some((range.start, range.end)), 16), []);
        assert_eq!(note(inside, 16), [known]);
    }

    #[test]
    fn a_new_program_starts_from_nothing_and_an_ended_one_is_forgotten() {
        let mut learnt = LearntRoots::default();
        let mut note =
            |uid, n| (0..n).filter_map(|_| learnt.note(7, uid, chain(Some(MAIN)), nowhere)).count();
        assert_eq!(note(1, 15), 0);
        assert_eq!(note(2, 15), 0, "another image");
        assert_eq!(note(2, 1), 1);
        assert!(!learnt.forget(7, 1), "not the one that is known");
        assert!(learnt.forget(7, 2));
        assert!(learnt.processes.is_empty());
    }

    #[test]
    fn the_number_of_processes_is_bounded() {
        let mut learnt = LearntRoots::default();
        for pid in 0..MAX_PROCESSES as u32 + 10 {
            learnt.note(pid, 1, Chain::Bad, nowhere);
        }
        assert_eq!(learnt.processes.len(), MAX_PROCESSES);
    }
}
