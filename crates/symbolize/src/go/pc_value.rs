//! Tables of values by program counter: runs of (change of value, length of code), both varints.

use std::ops::Range;

/// Runs that may be decoded for one look-up. Tables are read from their start, some of them once
/// for each inlined call: real look-ups need some thousands, hostile tables would take for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(u32);

impl Budget {
    pub fn new() -> Self {
        Self(256 << 10)
    }
}

/// A value and the code it holds for, as offsets from the function's start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub value: i32,
    pub extent: Range<u64>,
}

/// The run that holds `target`, an offset from the function's start; `None` where the table ends
/// before.
///
/// A run's change is zig-zag coded and starts from -1; its length counts units of `quantum` bytes. A
/// change of zero ends the table, except in the first run.
pub(super) fn run_at(table: &[u8], quantum: u64, target: u64, budget: &mut Budget) -> Option<Run> {
    let mut rest = table;
    let mut value: i32 = -1;
    let mut begin: u64 = 0;
    let mut first = true;
    loop {
        budget.0 = budget.0.checked_sub(1)?;
        let change = varint(&mut rest)?;
        if change == 0 && !first {
            return None;
        }
        first = false;
        let magnitude = (change >> 1) as i32;
        value = value.wrapping_add(if change & 1 == 0 { magnitude } else { !magnitude });
        let end = begin.checked_add(u64::from(varint(&mut rest)?) * quantum)?;
        if target < end {
            return Some(Run { value, extent: begin..end });
        }
        begin = end;
    }
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let (&byte, tail) = rest.split_first()?;
    if byte < 0x80 {
        *rest = tail;
        return Some(byte.into());
    }
    let mut value: u32 = 0;
    for shift in (0..35).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_at(table: &[u8], quantum: u64, target: u64) -> Option<i32> {
        run_at(table, quantum, target, &mut Budget::new()).map(|run| run.value)
    }

    #[test]
    fn runs_add_up_and_a_zero_change_ends_the_table() {
        // -1 + 1 = 0 for 4 bytes, then 0 + 24 for 300 bytes, then end.
        let table = [2, 4, 48, 0xac, 0x02, 0, 9, 9];
        assert_eq!(value_at(&table, 1, 0), Some(0));
        assert_eq!(value_at(&table, 1, 3), Some(0));
        assert_eq!(value_at(&table, 1, 4), Some(24));
        assert_eq!(value_at(&table, 1, 303), Some(24));
        assert_eq!(value_at(&table, 1, 304), None);
        assert_eq!(value_at(&table, 4, 15), Some(0), "code in units of four bytes");
        assert_eq!(value_at(&table[..3], 1, 4), None, "cut");
        assert_eq!(value_at(&[2, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1, 0), None, "endless varint");
    }

    #[test]
    fn the_first_run_may_leave_the_value_as_it_is() {
        assert_eq!(value_at(&[0, 5, 0], 1, 2), Some(-1));
    }

    #[test]
    fn a_run_says_how_far_it_reaches() {
        let table = [2, 4, 48, 0xac, 0x02, 0];
        let run = |target| run_at(&table, 4, target, &mut Budget::new());
        assert_eq!(run(15), Some(Run { value: 0, extent: 0..16 }));
        assert_eq!(run(16), Some(Run { value: 24, extent: 16..1216 }));
    }

    #[test]
    fn runs_without_length_exhaust_the_budget() {
        let table = [2, 0].repeat(300 << 10);
        assert_eq!(value_at(&table, 1, 0), None);
        let mut budget = Budget::new();
        assert!(run_at(&[2, 1, 0], 1, 0, &mut budget).is_some());
        assert_eq!(budget.0, Budget::new().0 - 1);
    }
}
