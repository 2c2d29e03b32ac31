//! Samples and side-band records between the rings and their application in order of time.
//!
//! ```text
//! ring of samples   s1 s3 s4 │ s6          each ring is in order by itself (nearly);
//! side-band rings   m2 │ m5  m7            the watermark │ is a few ms old: what happened before it
//!                            └ watermark   has been written to its ring by now
//! applied           s1 m2 s3 s4
//! ```
//! Each tick drains the samples first: a record that was written before a sample is then drained
//! with it or earlier, never later.

use std::collections::VecDeque;

use crate::decode::{MoreOfStack, cpu_of, grow_stack, more_of_stack, time_of};
use crate::sideband::{Change, NewMapping, SideBand};

/// Where more side-band records come from.
pub(crate) trait SideBandSource {
    /// Appends what there is now.
    fn drain(&mut self, out: &mut Vec<SideBand>);
}

/// Side-band records that are not applied yet.
#[derive(Default, Debug)]
pub(crate) struct Later {
    /// In order of time.
    queue: VecDeque<SideBand>,
}

impl Later {
    /// Takes in what a source has now.
    pub(crate) fn drain(&mut self, source: &mut impl SideBandSource) {
        let mut records = Vec::new();
        source.drain(&mut records);
        if records.is_empty() {
            return;
        }
        self.queue.extend(records);
        // Stable: an exec and its mappings may carry the same time.
        self.queue.make_contiguous().sort_by_key(|r| r.time_ns);
    }

    /// Whether another program runs under a pid than at a time, as far as records have been drained:
    /// the process called exec, or it ended and its number was given to a new one.
    pub(crate) fn replaced_after(&self, pid: u32, time_ns: u64) -> bool {
        let replaces =
            |r: &SideBand| matches!(r.change, Change::Exec | Change::Fork { .. }) && r.pid == pid;
        self.queue.iter().any(|r| r.time_ns > time_ns && replaces(r))
    }

    /// The next mapping under a pid and its time, unless another program runs there before.
    pub(crate) fn next_mapping(&self, pid: u32) -> Option<(u64, NewMapping)> {
        let record = self.queue.iter().find(|r| {
            r.pid == pid && matches!(r.change, Change::Map(_) | Change::Exec | Change::Fork { .. })
        })?;
        match &record.change {
            Change::Map(mapping) => Some((record.time_ns, mapping.clone())),
            _ => None,
        }
    }

    fn pop_until(&mut self, time_ns: u64) -> Option<SideBand> {
        self.queue.pop_front_if(|first| first.time_ns <= time_ns)
    }
}

/// Takes what is due, one after another.
pub(crate) trait Apply {
    /// Something happened to a process. `later` is what happened since then.
    fn side_band(&mut self, record: SideBand, later: &mut Later);
    /// A sample was taken. `later` is what happened since then.
    fn sample(&mut self, record: &[u8], later: &mut Later);
}

#[derive(Clone, Copy, Debug)]
struct Item {
    time_ns: u64,
    cpu: u32,
    start: u32,
    end: u32,
}

/// Everything that waits.
#[derive(Default, Debug)]
pub(crate) struct Pending {
    /// Records of samples, one behind another. As long as a ring, and what came in the last few ms.
    bytes: Vec<u8>,
    samples: Vec<Item>,
    /// Side-band records.
    pub(crate) later: Later,
}

impl Pending {
    /// Takes the records of samples that `drain` appends to the bytes it is given; it says after each
    /// where it begins there.
    pub(crate) fn take_samples(
        &mut self,
        drain: impl FnOnce(&mut Vec<u8>, &mut dyn FnMut(&mut Vec<u8>, usize)),
    ) {
        let samples = &mut self.samples;
        drain(&mut self.bytes, &mut |bytes, start| {
            let record = &bytes[start..];
            let (time_ns, cpu) = (time_of(record), cpu_of(record));
            match more_of_stack(record) {
                Some(more) => join(samples, bytes, (time_ns, cpu), start, &more),
                None => {
                    let (start, end) = (start as u32, bytes.len() as u32);
                    samples.push(Item { time_ns, cpu, start, end });
                }
            }
        });
    }

    /// Applies in order of time what happened up to `watermark_ns`. At equal times side-band records
    /// come first.
    pub(crate) fn apply(&mut self, watermark_ns: u64, to: &mut impl Apply) {
        self.samples.sort_by_key(|item| item.time_ns);
        let due = self.samples.partition_point(|item| item.time_ns <= watermark_ns);
        for item in &self.samples[..due] {
            while let Some(record) = self.later.pop_until(item.time_ns) {
                to.side_band(record, &mut self.later);
            }
            to.sample(&self.bytes[item.start as usize..item.end as usize], &mut self.later);
        }
        while let Some(record) = self.later.pop_until(watermark_ns) {
            to.side_band(record, &mut self.later);
        }
        self.keep_samples_from(due);
    }

    fn keep_samples_from(&mut self, due: usize) {
        let mut kept = Vec::new();
        for item in &self.samples[due..] {
            kept.extend_from_slice(&self.bytes[item.start as usize..item.end as usize]);
        }
        self.samples.drain(..due);
        let mut start = 0;
        for item in &mut self.samples {
            let length = item.end - item.start;
            (item.start, item.end) = (start, start + length);
            start += length;
        }
        // The room stays: the next tick needs about as much.
        self.bytes.clear();
        self.bytes.append(&mut kept);
    }
}

/// Gives a sample of this time and CPU more of its stacks: a record that starts there and is the last of `bytes`. If
/// the sample was lost, or is applied already, that is of no use.
fn join(
    samples: &mut [Item],
    bytes: &mut Vec<u8>,
    of: (u64, u32),
    record_start: usize,
    more: &MoreOfStack,
) {
    let Some(item) = samples.iter_mut().rev().find(|item| (item.time_ns, item.cpu) == of) else {
        return;
    };
    let mut part = record_start + more.words.start..record_start + more.words.end;
    if let Some(from) = more.other_from {
        // In front of the words, where the record has it, too.
        part.start -= size_of::<u64>();
        bytes[part.start..][..size_of::<u64>()].copy_from_slice(&from.to_ne_bytes());
    }
    // Usually nothing came between; else both go behind what did.
    let sample = item.start as usize..item.end as usize;
    let (length, grown) = (sample.len(), part.len());
    let start = if sample.end == record_start {
        sample.start
    } else {
        let moved = bytes.len();
        bytes.extend_from_within(sample);
        moved
    };
    let end = start + length;
    bytes.resize(bytes.len().max(end + grown), 0);
    bytes.copy_within(part, end);
    bytes.truncate(end + grown);
    grow_stack(&mut bytes[start..end], more.other_from.is_some(), grown);
    (item.start, item.end) = (start as u32, (end + grown) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::record;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Apply for Log {
        fn side_band(&mut self, record: SideBand, _later: &mut Later) {
            self.0.push(format!("m{}", record.time_ns));
        }

        fn sample(&mut self, record: &[u8], later: &mut Later) {
            let exec = if later.replaced_after(7, time_of(record)) { " exec follows" } else { "" };
            self.0.push(format!("s{}{exec}", time_of(record)));
        }
    }

    struct Ready(Vec<SideBand>);

    impl SideBandSource for Ready {
        fn drain(&mut self, out: &mut Vec<SideBand>) {
            out.append(&mut self.0);
        }
    }

    fn push_sample(pending: &mut Pending, record: &[u8]) {
        pending.take_samples(|bytes, note| {
            let start = bytes.len();
            bytes.extend_from_slice(record);
            note(bytes, start);
        });
    }

    fn exec(time_ns: u64) -> SideBand {
        SideBand { time_ns, pid: 7, tid: 7, change: Change::Exec }
    }

    #[test]
    fn both_kinds_are_applied_in_order_of_time_up_to_the_watermark() {
        let mut pending = Pending::default();
        for time in [4, 1, 3, 8] {
            push_sample(&mut pending, &record((7, 7, time), "x", &[], &[time]));
        }
        pending.later.drain(&mut Ready(vec![exec(9), exec(3), exec(6)]));
        let mut log = Log::default();
        pending.apply(6, &mut log);
        let first = ["s1 exec follows", "m3", "s3 exec follows", "s4 exec follows", "m6"];
        assert_eq!(log.0, first);

        // The rest is kept whole for the next tick, in front of what comes then.
        push_sample(&mut pending, &record((7, 7, 7), "x", &[], &[1, 2, 3]));
        let mut log = Log::default();
        pending.apply(u64::MAX, &mut log);
        assert_eq!(log.0, ["s7 exec follows", "s8 exec follows", "m9"]);
        assert!(pending.bytes.is_empty() && pending.samples.is_empty());
    }

    #[test]
    fn more_of_a_stack_becomes_part_of_its_sample_whatever_came_between() {
        use crate::decode::tests::{more, more_of_other, with_other_stack, with_slice};
        let sliced =
            |time, words: &[u64]| with_slice(record((7, 7, time), "x", &[], &[time]), &[], words);
        let other = record((8, 8, 2), "y", &[], &[1, 2]);
        let orders =
            [[0, 1, 2, 3, 4], [0, 1, 4, 2, 3], [4, 0, 1, 2, 3], [0, 4, 1, 2, 3], [0, 1, 2, 4, 3]];
        for order in orders {
            let mut pending = Pending::default();
            let records = [
                sliced(5, &[1]),
                more(5, &[2, 3]),
                more(5, &[4]),
                more_of_other(5, 0x7ff8, &[8, 9]),
                other.clone(),
            ];
            order.iter().for_each(|number| push_sample(&mut pending, &records[*number]));
            push_sample(&mut pending, &more(4, &[9]));
            let all: Vec<&[u8]> = pending
                .samples
                .iter()
                .map(|item| &pending.bytes[item.start as usize..item.end as usize])
                .collect();
            assert_eq!(all.len(), 2, "{order:?}");
            let whole = with_other_stack(sliced(5, &[1, 2, 3, 4]), &[0x7ff8, 8, 9]);
            assert!(all.contains(&&whole[..]), "{order:?}");
            assert!(all.contains(&&other[..]), "{order:?}");
        }
    }

    #[test]
    fn a_pid_that_is_given_to_a_new_process_is_noticed() {
        let mut later = Later::default();
        let born =
            |time_ns, pid| SideBand { change: Change::Fork { parent: 1 }, pid, ..exec(time_ns) };
        later.drain(&mut Ready(vec![born(5, 7), born(9, 8)]));
        assert!(later.replaced_after(7, 4));
        assert!(!later.replaced_after(7, 5), "at its own birth it is the new one");
        assert!(!later.replaced_after(1, 4), "a child's birth changes nothing of its parent");
    }

    #[test]
    fn the_next_mapping_is_of_the_same_program() {
        let map = |time_ns, pid, start| {
            let identity = crate::sideband::Identity::NONE;
            let mapping = NewMapping { start, bytes: 1, file_offset: 0, identity, path: [].into() };
            SideBand { change: Change::Map(mapping), pid, ..exec(time_ns) }
        };
        let mut later = Later::default();
        assert_eq!(later.next_mapping(7), None);
        later.drain(&mut Ready(vec![map(5, 8, 1), map(6, 7, 2), map(7, 7, 3)]));
        assert_eq!(later.next_mapping(7).map(|(at_ns, m)| (at_ns, m.start)), Some((6, 2)));
        later.drain(&mut Ready(vec![exec(4)]));
        assert_eq!(later.next_mapping(7), None, "the next program maps it");
    }

    #[test]
    fn records_of_one_time_stay_in_their_order() {
        let mut pending = Pending::default();
        let map = |tid| SideBand { time_ns: 5, pid: 7, tid, change: Change::ThreadExit };
        pending.later.drain(&mut Ready(vec![map(1), map(2)]));
        pending.later.drain(&mut Ready(vec![map(3)]));
        let order: Vec<u32> = pending.later.queue.iter().map(|r| r.tid).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
