//! How much of a section is read in total: units of a hostile file share what is costly to read, so
//! that every look-up would read it again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Damaged;

/// Bytes that may still be read.
pub(super) struct Budget(AtomicU64);

impl Budget {
    /// What a small section may be read in total.
    const BASE_BYTES: u64 = 64 << 20;
    /// How often a section may be read, beyond that. Forgotten units are read again.
    const TIMES: u64 = 16;

    pub fn for_section(bytes: usize) -> Self {
        let times = (bytes as u64).saturating_mul(Self::TIMES);
        Self(AtomicU64::new(times.saturating_add(Self::BASE_BYTES)))
    }

    pub fn spend(&self, bytes: usize) -> Result<(), Damaged> {
        let less = |left: u64| left.checked_sub(bytes as u64);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map_err(|_| Damaged)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone() {
        let budget = Budget::for_section(0);
        assert_eq!(budget.spend(64 << 20), Ok(()));
        assert_eq!(budget.spend(1), Err(Damaged));
        assert_eq!(budget.spend(0), Ok(()));
    }
}
