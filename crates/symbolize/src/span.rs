//! How far an answer reaches.

/// A half-open range of addresses around one that was asked for. It begins as all addresses; each
/// table that took part in an answer narrows it to where it says the same throughout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub begin: u64,
    pub end: u64,
}

impl Span {
    /// No table has been asked.
    pub const ALL: Self = Self { begin: 0, end: u64::MAX };

    /// The answer is the same from `begin` up to `end` only.
    pub fn narrow(&mut self, begin: u64, end: u64) {
        self.begin = self.begin.max(begin);
        self.end = self.end.min(end);
    }

    /// For tables that cannot say how far their answer reaches.
    pub fn narrow_to(&mut self, address: u64) {
        self.narrow(address, address.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_only_narrow() {
        let mut span = Span::ALL;
        span.narrow(10, 90);
        span.narrow(5, 60);
        assert_eq!(span, Span { begin: 10, end: 60 });
        span.narrow_to(30);
        assert_eq!(span, Span { begin: 30, end: 31 });
    }
}
