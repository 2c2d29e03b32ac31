//! Tables of values by program counter: runs of (change of value, length of code), both varints.

/// Runs decoded for one value: the largest functions seen have some thousands.
const MAX_RUNS: usize = 64 << 10;

/// The value at `target`, an offset from the function's start; `None` where the table ends before.
///
/// A run's change is zig-zag coded and starts from -1; its length counts units of `quantum` bytes. A
/// change of zero ends the table, except in the first run.
pub(super) fn value_at(table: &[u8], quantum: u64, target: u64) -> Option<i32> {
    let mut rest = table;
    let mut value: i32 = -1;
    let mut reached: u64 = 0;
    for run in 0..MAX_RUNS {
        let change = varint(&mut rest)?;
        if change == 0 && run > 0 {
            return None;
        }
        let magnitude = (change >> 1) as i32;
        value = value.wrapping_add(if change & 1 == 0 { magnitude } else { !magnitude });
        reached = reached.checked_add(u64::from(varint(&mut rest)?) * quantum)?;
        if target < reached {
            return Some(value);
        }
    }
    None
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
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
    }

    #[test]
    fn the_first_run_may_leave_the_value_as_it_is() {
        assert_eq!(value_at(&[0, 5, 0], 1, 2), Some(-1));
    }
}
