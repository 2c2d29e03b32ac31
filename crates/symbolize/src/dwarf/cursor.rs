//! Reads numbers one after the other, never beyond the end.

use super::Damaged;

/// A place in some bytes. Positions count from their start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub fn skip(&mut self, bytes: u64) -> Result<(), Damaged> {
        let left = (self.bytes.len() as u64).saturating_sub(self.at as u64);
        if bytes > left {
            return Err(Damaged);
        }
        self.at += bytes as usize;
        Ok(())
    }

    /// Goes on at a later position: going back could go on for ever.
    #[inline]
    pub fn jump(&mut self, to: u64) -> Result<(), Damaged> {
        self.skip(to.checked_sub(self.at as u64).ok_or(Damaged)?)
    }

    #[inline]
    fn take<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Damaged> {
        let tail = self.bytes.get(self.at..).ok_or(Damaged)?;
        let taken = tail.first_chunk::<BYTES>().ok_or(Damaged)?;
        self.at += BYTES;
        Ok(*taken)
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, Damaged> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A little-endian number of up to eight bytes.
    #[inline]
    pub fn unsigned(&mut self, bytes: u8) -> Result<u64, Damaged> {
        Ok(match bytes {
            1 => u64::from(self.u8()?),
            2 => u64::from(u16::from_le_bytes(self.take()?)),
            4 => u64::from(u32::from_le_bytes(self.take()?)),
            8 => u64::from_le_bytes(self.take()?),
            3 => {
                let [a, b, c] = self.take()?;
                u64::from(u32::from_le_bytes([a, b, c, 0]))
            }
            _ => return Err(Damaged),
        })
    }

    #[inline]
    pub fn uleb(&mut self) -> Result<u64, Damaged> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_uleb(first)
    }

    fn long_uleb(&mut self, first: u8) -> Result<u64, Damaged> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    pub fn sleb(&mut self) -> Result<i64, Damaged> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                if byte & 0x40 != 0 {
                    value |= u64::MAX.checked_shl(shift + 7).unwrap_or(0);
                }
                return Ok(value.cast_signed());
            }
        }
        Err(Damaged)
    }

    /// Passes over a text and the zero that ends it.
    pub fn skip_text(&mut self) -> Result<(), Damaged> {
        let tail = self.bytes.get(self.at..).ok_or(Damaged)?;
        self.at += tail.iter().position(|byte| *byte == 0).ok_or(Damaged)? + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_end_where_the_bytes_do() {
        let mut cursor = Cursor::new(&[0x80, 0x80], 0);
        assert_eq!(cursor.uleb(), Err(Damaged));
        let mut cursor = Cursor::new(&[1, 2, 3], 0);
        assert_eq!(cursor.unsigned(3), Ok(0x03_0201));
        assert_eq!(cursor.u8(), Err(Damaged));
        assert_eq!(Cursor::new(&[1, 2, 3], 9).skip(0), Ok(()));
        assert_eq!(Cursor::new(&[1, 2, 3], 0).skip(u64::MAX), Err(Damaged));
        assert_eq!(Cursor::new(&[1, 2, 3], 2).jump(1), Err(Damaged));
        assert_eq!(Cursor::new(b"no end", 0).skip_text(), Err(Damaged));
    }

    proptest! {
        #[test]
        fn variable_length_numbers_are_those_gimli_reads(bytes in prop::collection::vec(any::<u8>(), 1..12)) {
            use gimli::Reader as _;
            let theirs = || gimli::EndianSlice::new(&bytes, gimli::LittleEndian);
            if let Ok(number) = theirs().read_uleb128() {
                prop_assert_eq!(Cursor::new(&bytes, 0).uleb(), Ok(number));
            }
            if let Ok(number) = theirs().read_sleb128() {
                prop_assert_eq!(Cursor::new(&bytes, 0).sleb(), Ok(number));
            }
        }
    }
}
