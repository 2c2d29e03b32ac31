//! The calls that were inlined into one function.

use super::pclntab::{Layout, half_at};

/// The inlined calls of one function by their numbers, and whatever stands behind them: nothing
/// says how many there are.
pub(super) struct InlineTree<'d> {
    pub layout: Layout,
    pub bytes: &'d [u8],
}

/// One inlined call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InlinedCall {
    /// What the runtime calls `funcID`.
    pub id: u8,
    /// Where the called function's name stands.
    pub name_at: u32,
    /// The line on which the called function begins.
    pub start_line: Option<u32>,
    /// An instruction of the function it was inlined into that stands on the line of the call:
    /// bytes behind the physical function's entry.
    pub call_within: u32,
}

impl InlineTree<'_> {
    /// The call of a number; `None` when there cannot be one like that.
    pub fn call(&self, number: i32) -> Option<InlinedCall> {
        let number = usize::try_from(number).ok()?;
        let row_bytes = if self.layout >= Layout::Go120 { 16 } else { 20 };
        let row = self.bytes.get(number.checked_mul(row_bytes)?..)?.get(..row_bytes)?;
        if self.layout >= Layout::Go120 {
            // funcID, 3 bytes of padding, name, parentPc, startLine.
            let [id, 0, 0, 0] = row.first_chunk()? else { return None };
            let (name_at, call_within) = (half_at(row, 4)?, half_at(row, 8)?);
            return Some(InlinedCall {
                id: *id,
                name_at,
                start_line: Some(half_at(row, 12)?),
                call_within,
            });
        }
        // parent (2 bytes), funcID, padding, file, line, name, parentPc.
        let [_, _, id, 0] = row.first_chunk()? else { return None };
        let (name_at, call_within) = (half_at(row, 12)?, half_at(row, 16)?);
        Some(InlinedCall { id: *id, name_at, start_line: None, call_within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_in_both_layouts() {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let new = words(&[0, 1, 2, 3, 0x16, 100, 40, 7]);
        let tree = InlineTree { layout: Layout::Go120, bytes: &new };
        let expected = InlinedCall { id: 0x16, name_at: 100, start_line: Some(7), call_within: 40 };
        assert_eq!(tree.call(1), Some(expected));
        let old = words(&[0x0015_ffff, 9, 9, 100, 40]);
        for layout in [Layout::Go116, Layout::Go118] {
            let tree = InlineTree { layout, bytes: &old };
            let expected = InlinedCall { id: 0x15, start_line: None, ..expected };
            assert_eq!(tree.call(0), Some(expected));
        }
    }

    #[test]
    fn numbers_without_a_row_and_rows_with_filled_padding_are_refused() {
        let mut bytes = vec![0; 40];
        let tree = InlineTree { layout: Layout::Go120, bytes: &bytes };
        assert!(tree.call(1).is_some());
        for number in [2, -1, i32::MIN, i32::MAX] {
            assert_eq!(tree.call(number), None, "{number}: the third row is cut");
        }
        bytes[3] = 1;
        for layout in [Layout::Go118, Layout::Go120] {
            assert_eq!(InlineTree { layout, bytes: &bytes }.call(0), None);
        }
    }
}
