//! The tables that lead from one function's addresses to lines and inlined calls, decoded.

use std::sync::{Arc, Mutex, PoisonError};

use super::function::Function;
use super::pc_value::Decoded;
use crate::span::Span;

/// Functions kept: look-ups come in ascending order, from as many threads as a machine has.
const KEPT: usize = 16;

/// One function's tables.
#[derive(Debug)]
pub(super) struct Places {
    pub lines: Decoded,
    /// Numbers in the compilation unit.
    pub files: Decoded,
    /// Numbers in the tree of inlined calls.
    pub inlined: Decoded,
    /// Stack depths, in functions without lines.
    depths: Decoded,
}

impl Places {
    fn read(function: &Function<'_, '_>) -> Self {
        let (quantum, size_bytes) = (function.quantum(), function.size_bytes());
        let read = |table: &[u8]| Decoded::read(table, quantum, size_bytes);
        let lines = function.lines().map(read).unwrap_or_default();
        let depths = function.stack_depths().filter(|_| lines.is_empty()).map(read);
        Self {
            lines,
            files: function.files().map(read).unwrap_or_default(),
            inlined: function.inline_index().map(read).unwrap_or_default(),
            depths: depths.unwrap_or_default(),
        }
    }

    /// Whether an address belongs to the function. The function table does not say where a function
    /// ends, only where the next one begins, and padding stands between them; the tables of lines and
    /// stack depths end with the function. One without either is taken to reach the next.
    pub fn reach(&self, within: u64) -> bool {
        let mut known = [&self.lines, &self.depths].into_iter().filter(|table| !table.is_empty());
        known.next().is_none_or(|table| table.at(within).is_some())
    }

    /// Where around an address all tables stay the same, also those that end before it.
    pub fn constant(&self, within: u64) -> Span {
        let mut span = Span::ALL;
        for table in [&self.lines, &self.files, &self.inlined, &self.depths] {
            let extent = table.at(within).map_or(table.end()..u64::MAX, |run| run.extent);
            span.narrow(extent.start, extent.end);
        }
        span
    }
}

type Slot = Mutex<Option<(u64, Arc<Places>)>>;

/// The tables of the functions asked for last, by their entries.
#[derive(Default, Debug)]
pub(super) struct LastPlaces {
    slots: [Slot; KEPT],
}

impl LastPlaces {
    /// The tables of a function.
    pub fn of(&self, function: &Function<'_, '_>) -> Arc<Places> {
        let entry = function.extent.start;
        // Functions begin at multiples of 16 or 32 bytes.
        let slot = &self.slots[(entry >> 5) as usize % KEPT];
        let lock = || slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, places)) = &*lock()
            && *kept == entry
        {
            return Arc::clone(places);
        }
        let places = Arc::new(Places::read(function));
        *lock() = Some((entry, Arc::clone(&places)));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_a_table_does_that_is_shorter_than_the_others() {
        // One run each: lines for 64 bytes, inlined calls for 16 of them.
        let read = |table: &[u8]| Decoded::read(table, 1, 64);
        let places = Places {
            lines: read(&[4, 64]),
            files: Decoded::default(),
            inlined: read(&[4, 16]),
            depths: Decoded::default(),
        };
        assert_eq!(places.constant(5), Span { begin: 0, end: 16 });
        assert_eq!(places.constant(20), Span { begin: 16, end: 64 });
    }
}
