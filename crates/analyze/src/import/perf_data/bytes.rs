//! Reads fields off the front of bytes. Everything is little-endian: files of the other byte order are
//! refused when they are opened.

/// What is left to read; every read answers `None` when too little is left, and then reads nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// As [`Self::take`], of `count` items of so many bytes each.
    pub(super) fn take_items(&mut self, count: u64, item_bytes: usize) -> Option<&'a [u8]> {
        self.take(usize::try_from(count).ok()?.checked_mul(item_bytes)?)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    /// Text up to a zero byte or the end.
    pub(super) fn text(self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }

    /// Text behind its length, as headers hold it.
    pub(super) fn counted_text(&mut self) -> Option<&'a [u8]> {
        let bytes = self.u32()?;
        Some(Bytes(self.take(bytes as usize)?).text())
    }
}

/// The words of a callchain, of registers or of a stack.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl Words<'_> {
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        Bytes(self.0.get(index.checked_mul(8)?..)?).u64()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() / 8
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }
}
