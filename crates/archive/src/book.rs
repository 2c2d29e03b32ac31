//! The writer's own count of what it wrote, merged with the counters of its caller.

use std::collections::BTreeMap;

use profile::{CpuLedger, EventId};

use crate::{facts, schema};

/// Counters that say nothing of losses (idle ticks, observed time) change on every CPU with every
/// flush; stated each time they would be most of a quiet recording on a large host.
const QUIET_NS: u64 = 10_000_000_000;

/// One event on one CPU.
#[derive(Default)]
struct Line {
    now: CpuLedger,
    sent: Option<(u64, CpuLedger)>,
}

impl Line {
    fn is_due(&self, at_ns: u64) -> bool {
        let Some((sent_ns, sent)) = &self.sent else { return true };
        let counts = |l: &CpuLedger| (l.fired, l.written, l.written_weight, l.dropped);
        counts(&self.now) != counts(sent)
            || (self.now != *sent && at_ns.saturating_sub(*sent_ns) >= QUIET_NS)
    }
}

/// Everything counted since the start of the file.
#[derive(Default)]
pub(crate) struct Book {
    lines: BTreeMap<(EventId, u32), Line>,
    totals: BTreeMap<EventId, (u64, u64)>,
}

impl Book {
    /// Rows that went into a frame.
    pub fn count(&mut self, event: EventId, cpu: u32, rows: u64, weight: u64) {
        let line = self.line(event, cpu);
        line.now.written += rows;
        line.now.written_weight = line.now.written_weight.wrapping_add(weight);
        let total = self.totals.entry(event).or_default();
        total.0 += rows;
        total.1 = total.1.wrapping_add(weight);
    }

    /// Takes the caller's counters; what was written is this book's own count.
    pub fn update(&mut self, ledger: &[CpuLedger]) {
        for row in ledger {
            let line = self.line(row.event, row.cpu);
            line.now = CpuLedger {
                written: line.now.written,
                written_weight: line.now.written_weight,
                ..*row
            };
        }
    }

    /// Rows that must be stated at this flush.
    pub fn due(&mut self, at_ns: u64, all: bool) -> Vec<schema::CpuLedger> {
        let due = self.lines.values_mut().filter(|line| all || line.is_due(at_ns));
        due.map(|line| {
            line.sent = Some((at_ns, line.now));
            facts::write_ledger(&line.now)
        })
        .collect()
    }

    /// Totals so far, by event.
    pub fn totals(&self) -> Vec<schema::EventTotal> {
        let total = |(event, (rows, weight)): (&EventId, &(u64, u64))| schema::EventTotal {
            event: event.0,
            rows: *rows,
            weight: *weight,
        };
        self.totals.iter().map(total).collect()
    }

    fn line(&mut self, event: EventId, cpu: u32) -> &mut Line {
        self.lines.entry((event, cpu)).or_insert_with(|| Line {
            now: CpuLedger { event, cpu, ..CpuLedger::default() },
            sent: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fired: u64, idle: u64) -> CpuLedger {
        CpuLedger { event: EventId(1), cpu: 2, fired, idle, ..CpuLedger::default() }
    }

    #[test]
    fn what_was_written_is_counted_here_and_not_taken_from_the_caller() {
        let mut book = Book::default();
        book.count(EventId(1), 2, 3, 30);
        book.update(&[CpuLedger { written: 99, written_weight: 99, ..row(4, 0) }]);
        let due = book.due(0, false);
        assert_eq!((due[0].fired, due[0].written, due[0].written_weight), (4, 3, 30));
    }

    #[test]
    fn losses_are_stated_at_once_and_idle_time_every_ten_seconds() {
        let mut book = Book::default();
        book.update(&[row(1, 0)]);
        assert_eq!(book.due(0, false).len(), 1, "new");
        book.update(&[row(1, 5)]);
        assert_eq!(book.due(1, false).len(), 0, "only idle ticks");
        assert_eq!(book.due(QUIET_NS, false).len(), 1, "ten seconds later");
        book.update(&[row(2, 5)]);
        assert_eq!(book.due(QUIET_NS + 1, false).len(), 1, "fired");
        assert_eq!(book.due(QUIET_NS + 2, true).len(), 1, "all at the end");
    }
}
