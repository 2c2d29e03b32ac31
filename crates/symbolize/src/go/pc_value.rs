//! Tables of values by program counter: runs of (change of value, length of code), both varints.

use std::ops::Range;

/// Runs of one table that are kept: the largest functions seen have some ten thousand.
const MAX_RUNS: usize = 64 << 10;

/// A value and the code it holds for, as offsets from the function's start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub value: i32,
    pub extent: Range<u64>,
}

/// The runs of a table, in order.
///
/// A run's change is zig-zag coded and starts from -1; its length counts units of `quantum` bytes. A
/// change of zero ends the table, except in the first run. No run is without length.
pub(super) fn runs(table: &[u8], quantum: u64) -> impl Iterator<Item = Run> {
    let mut rest = table;
    let (mut value, mut begin) = (-1_i32, 0_u64);
    std::iter::from_fn(move || {
        let change = varint(&mut rest)?;
        let length = u64::from(varint(&mut rest)?) * quantum;
        if change == 0 && begin > 0 || length == 0 {
            rest = &[];
            return None;
        }
        let magnitude = (change >> 1) as i32;
        value = value.wrapping_add(if change & 1 == 0 { magnitude } else { !magnitude });
        let extent = begin..begin.checked_add(length)?;
        begin = extent.end;
        Some(Run { value, extent })
    })
}

/// The value at `within`, an offset from the function's start; `None` where the table ends before.
pub(super) fn value_at(table: &[u8], quantum: u64, within: u64) -> Option<i32> {
    runs(table, quantum).take(MAX_RUNS).find(|run| within < run.extent.end).map(|run| run.value)
}

/// A table decoded, for several look-ups.
#[derive(Default, Debug)]
pub(super) struct Decoded {
    /// Where the first run begins is 0; each ends where the next begins.
    rows: Vec<(u32, i32)>,
}

impl Decoded {
    /// The runs that begin in a function of `size_bytes`.
    pub fn read(table: &[u8], quantum: u64, size_bytes: u64) -> Self {
        let within_function = runs(table, quantum).take_while(|run| run.extent.start < size_bytes);
        let rows = within_function
            .map_while(|run| Some((u32::try_from(run.extent.end).ok()?, run.value)))
            .take(MAX_RUNS);
        Self { rows: rows.collect() }
    }

    /// Whether it has no run.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where the last run ends.
    pub fn end(&self) -> u64 {
        self.rows.last().map_or(0, |(end, _)| u64::from(*end))
    }

    /// The run that holds an offset from the function's start.
    pub fn at(&self, within: u64) -> Option<Run> {
        let number = self.rows.partition_point(|(end, _)| u64::from(*end) <= within);
        let (end, value) = *self.rows.get(number)?;
        let begin = number.checked_sub(1).map_or(0, |before| self.rows[before].0);
        Some(Run { value, extent: begin.into()..end.into() })
    }

    /// The value at an offset from the function's start.
    pub fn value(&self, within: u64) -> Option<i32> {
        self.at(within).map(|run| run.value)
    }
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    if let [byte @ 0..0x80, tail @ ..] = rest {
        let value = u32::from(*byte);
        *rest = tail;
        return Some(value);
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

    /// -1 + 1 = 0 for 4 bytes, then 0 + 24 for 300 bytes, then end.
    const TABLE: [u8; 8] = [2, 4, 48, 0xac, 0x02, 0, 9, 9];

    #[test]
    fn runs_add_up_and_a_zero_change_ends_the_table() {
        assert_eq!(value_at(&TABLE, 1, 0), Some(0));
        assert_eq!(value_at(&TABLE, 1, 3), Some(0));
        assert_eq!(value_at(&TABLE, 1, 4), Some(24));
        assert_eq!(value_at(&TABLE, 1, 303), Some(24));
        assert_eq!(value_at(&TABLE, 1, 304), None);
        assert_eq!(value_at(&TABLE, 4, 15), Some(0), "code in units of four bytes");
        assert_eq!(value_at(&TABLE[..3], 1, 4), None, "cut");
        assert_eq!(value_at(&[2, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1, 0), None, "endless varint");
    }

    #[test]
    fn the_first_run_may_leave_the_value_as_it_is() {
        assert_eq!(value_at(&[0, 5, 0], 1, 2), Some(-1));
        assert_eq!(runs(&[0, 5, 4, 5, 0], 1).count(), 2);
    }

    #[test]
    fn a_decoded_table_answers_as_the_table_does() {
        let decoded = Decoded::read(&TABLE, 4, 2000);
        assert_eq!(decoded.at(15), Some(Run { value: 0, extent: 0..16 }));
        assert_eq!(decoded.at(16), Some(Run { value: 24, extent: 16..1216 }));
        for within in 0..1300 {
            assert_eq!(decoded.value(within), value_at(&TABLE, 4, within));
        }
    }

    #[test]
    fn no_more_is_decoded_than_the_function_can_have() {
        assert_eq!(Decoded::read(&TABLE, 1, 4).rows.len(), 1);
        assert_eq!(Decoded::read(&[2, 1].repeat(1 << 20), 1, u64::MAX).rows.len(), MAX_RUNS);
        assert_eq!(runs(&[2, 0].repeat(1 << 20), 1).count(), 0, "a run without length");
        let too_far = [2, 0xff, 0xff, 0xff, 0xff, 0x0f].repeat(4);
        assert_eq!(Decoded::read(&too_far, 1, u64::MAX).rows.len(), 1, "4 GiB");
    }
}
