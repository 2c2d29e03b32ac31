//! Puts records into the order of their times.
//!
//! The kernel writes a buffer for each CPU, and perf copies them round by round. What comes after the end
//! of a round is not older than what the round before held at most, so that much can be handed out:
//!
//! ```text
//! round 1   CPU 0: 1 4   CPU 1: 2 5 │ round 2   CPU 0: 6 8   CPU 1: 5 7 │ now 1 to 5 can go
//! ```
//! Records without a time are not put off.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::records::Record;

/// A file without ends of rounds would be held as a whole: beyond this the oldest go early.
pub(super) const MAX_HELD_BYTES: usize = 256 << 20;
/// What a record takes besides its bytes.
const HELD_BYTES: usize = size_of::<Held>() + size_of::<Reverse<(u64, u64, HeldAt)>>();
/// Buffers that are kept for use again, and how large one may be: a copy of a stack leaves none behind
/// that the next small record would hold.
const MAX_SPARE: usize = 1024;
const MAX_SPARE_BYTES: usize = 4096;

/// Index of [`Order::slots`].
type HeldAt = usize;

#[derive(PartialEq, Eq, Debug)]
struct Held {
    kind: u32,
    misc: u16,
    body: Vec<u8>,
}

/// Records that wait for their turn.
pub(super) struct Order {
    max_held_bytes: usize,
    /// By time, and of equal times in the order of the file.
    held: BinaryHeap<Reverse<(u64, u64, HeldAt)>>,
    slots: Vec<Held>,
    free: Vec<usize>,
    held_bytes: usize,
    count: u64,
    newest_ns: u64,
    /// The newest of the round before.
    limit_ns: u64,
    may_go_ns: u64,
    /// Time of the newest that was handed out.
    handed_out_ns: u64,
    late: u64,
}

impl Order {
    /// Holds so many bytes at most.
    pub(super) fn new(max_held_bytes: usize) -> Self {
        Self {
            max_held_bytes,
            held: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            held_bytes: 0,
            count: 0,
            newest_ns: 0,
            limit_ns: 0,
            may_go_ns: 0,
            handed_out_ns: 0,
            late: 0,
        }
    }

    /// Records that were handed out after newer ones.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// Puts a record off.
    pub(super) fn hold(&mut self, time_ns: u64, record: Record<'_>) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Held { kind: 0, misc: 0, body: Vec::new() });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        (slot.kind, slot.misc) = (record.kind, record.misc);
        slot.body.clear();
        slot.body.extend_from_slice(record.body);
        self.held_bytes += slot.body.capacity() + HELD_BYTES;
        self.newest_ns = self.newest_ns.max(time_ns);
        self.held.push(Reverse((time_ns, self.count, at)));
        self.count += 1;
    }

    /// Notes the end of a round.
    pub(super) fn end_round(&mut self) {
        self.may_go_ns = self.limit_ns;
        self.limit_ns = self.newest_ns;
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        self.may_go_ns = u64::MAX;
    }

    /// Hands the next record to `visit`, if one may go.
    pub(super) fn next(&mut self, visit: impl FnOnce(u64, Record<'_>)) -> bool {
        let full = self.held_bytes > self.max_held_bytes;
        let may_go = |time_ns: u64| full || time_ns <= self.may_go_ns;
        let Some(Reverse((time_ns, _, at))) = self.held.peek().copied() else { return false };
        if !may_go(time_ns) {
            return false;
        }
        self.held.pop();
        self.late += u64::from(time_ns < self.handed_out_ns);
        self.handed_out_ns = self.handed_out_ns.max(time_ns);
        let slot = &mut self.slots[at];
        self.held_bytes -= slot.body.capacity() + HELD_BYTES;
        visit(time_ns, Record { kind: slot.kind, misc: slot.misc, body: &slot.body });
        if self.free.len() >= MAX_SPARE || slot.body.capacity() > MAX_SPARE_BYTES {
            slot.body = Vec::new();
        }
        self.free.push(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(order: &mut Order, times: &[u64]) {
        for time in times {
            order.hold(*time, Record { kind: *time as u32, misc: 0, body: &[1] });
        }
    }

    fn drain(order: &mut Order) -> Vec<u32> {
        let mut kinds = Vec::new();
        while order.next(|_, record| kinds.push(record.kind)) {}
        kinds
    }

    #[test]
    fn a_record_goes_when_nothing_older_can_come() {
        let mut order = Order::new(MAX_HELD_BYTES);
        hold(&mut order, &[1, 4, 2, 5]);
        assert!(drain(&mut order).is_empty());
        order.end_round();
        assert!(drain(&mut order).is_empty());
        hold(&mut order, &[6, 8, 5, 7]);
        order.end_round();
        assert_eq!(drain(&mut order), [1, 2, 4, 5, 5]);
        order.end();
        assert_eq!(drain(&mut order), [6, 7, 8]);
        assert_eq!(order.held_bytes, 0);
    }

    #[test]
    fn equal_times_keep_the_order_of_the_file() {
        let mut order = Order::new(MAX_HELD_BYTES);
        for kind in 0..100 {
            order.hold(7, Record { kind, misc: 0, body: &[] });
        }
        order.end();
        assert_eq!(drain(&mut order), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn small_records_do_not_hold_the_buffers_of_large_ones() {
        let mut order = Order::new(MAX_HELD_BYTES);
        for body in [&[0; 60_000][..], &[0]] {
            for time in 0..100 {
                order.hold(time, Record { kind: 0, misc: 0, body });
            }
            let taken: usize = order.slots.iter().map(|slot| slot.body.capacity()).sum();
            assert_eq!(order.held_bytes, taken + 100 * HELD_BYTES);
            assert!(taken <= 100 * body.len().max(MAX_SPARE_BYTES), "{taken}");
            order.end();
            assert_eq!(drain(&mut order).len(), 100);
            order.may_go_ns = 0;
        }
    }

    #[test]
    fn without_rounds_the_oldest_go_when_too_much_is_held_and_what_is_late_is_counted() {
        let limit = 1 << 20;
        let mut order = Order::new(limit);
        let mut gone = Vec::new();
        for time in (0..3000u32).rev() {
            order.hold(time.into(), Record { kind: time, misc: 0, body: &[0; 1000] });
            gone.extend(drain(&mut order));
        }
        assert!(order.held_bytes <= limit);
        let held = (limit / (1000 + HELD_BYTES)) as u32;
        assert_eq!(order.held.len(), held as usize);
        order.end();
        gone.extend(drain(&mut order));
        // What is held when the limit is reached is newer than all that comes.
        let first_held = 3000 - held;
        let wanted: Vec<u32> = (0..first_held).rev().chain(first_held..3000).collect();
        assert_eq!(gone, wanted);
        assert_eq!(order.late(), u64::from(first_held) - 1);
    }
}
