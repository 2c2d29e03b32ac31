//! Walks serialised protobuf without building messages: the packed columns of a block are read where
//! they stand.

use std::ops::Range;

/// Not protobuf, or cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// A field's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// Where the bytes stand in the walked buffer.
    Bytes(Range<usize>),
}

/// The fields of the message in `within`, in order. After an error the walk ends.
pub(crate) struct Fields<'a> {
    buffer: &'a [u8],
    within: Range<usize>,
}

impl<'a> Fields<'a> {
    pub fn new(buffer: &'a [u8], within: Range<usize>) -> Self {
        Self { buffer, within }
    }

    /// Where the next field begins.
    pub fn position(&self) -> usize {
        self.within.start
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut column = Varints(&self.buffer[self.within.clone()]);
        if column.0.iter().take(10).all(|byte| *byte >= 0x80) {
            return Err(Malformed);
        }
        let before = column.0.len();
        let value = column.next();
        self.within.start += before - column.0.len();
        Ok(value)
    }

    fn take(&mut self, bytes: u64) -> Result<Range<usize>, Malformed> {
        if bytes > self.within.len() as u64 {
            return Err(Malformed);
        }
        let start = self.within.start;
        self.within.start += bytes as usize;
        Ok(start..self.within.start)
    }

    fn field(&mut self) -> Result<(u32, Value), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                let bytes = self.buffer[bytes].try_into().map_err(|_| Malformed)?;
                Value::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let bytes = self.varint()?;
                Value::Bytes(self.take(bytes)?)
            }
            5 => {
                let bytes = self.take(4)?;
                let bytes = self.buffer[bytes].try_into().map_err(|_| Malformed)?;
                Value::Fixed32(u32::from_le_bytes(bytes))
            }
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u32, Value), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.within.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.within.start = self.within.end;
        }
        Some(field)
    }
}

/// A packed column of varints. Past its end it yields zeros, which is what an absent column means.
#[derive(Clone, Copy, Default)]
pub(crate) struct Varints<'a>(pub &'a [u8]);

impl<'a> Varints<'a> {
    /// The next value. Bits beyond 64 are dropped, as every protobuf reader does.
    #[inline]
    pub fn next(&mut self) -> u64 {
        match *self.0 {
            [a, ref rest @ ..] if a < 0x80 => {
                self.0 = rest;
                u64::from(a)
            }
            [a, b, ref rest @ ..] if b < 0x80 => {
                self.0 = rest;
                u64::from(a & 0x7f) | u64::from(b) << 7
            }
            _ => self.long(),
        }
    }

    /// A value of three and more bytes.
    fn long(&mut self) -> u64 {
        let mut value = 0;
        let mut shift = 0;
        while let [byte, ref rest @ ..] = *self.0 {
            self.0 = rest;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// The next value of a `sint64` column.
    #[inline]
    pub fn next_signed(&mut self) -> i64 {
        let zigzag = self.next();
        (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
    }

    /// How many values there are; an error when the last one is cut off.
    pub fn count(&self) -> Result<usize, Malformed> {
        match self.0.last() {
            Some(last) if *last >= 0x80 => Err(Malformed),
            // Wrapping, so that overflow checks do not keep this from being vectorised. A column is
            // part of a block of at most 1 MiB.
            _ => Ok(self.0.iter().fold(0u32, |n, b| n.wrapping_add((*b < 0x80).into())) as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::schema;

    #[test]
    fn columns_read_as_prost_wrote_them() {
        let samples = schema::Samples {
            time: vec![0, -1, 1, i64::MIN, i64::MAX, 300, -70_000],
            weight: vec![0, 127, 128, 16_383, 16_384, u64::MAX],
            ..schema::Samples::default()
        };
        let bytes = samples.encode_to_vec();
        let fields: Vec<_> = Fields::new(&bytes, 0..bytes.len()).map(Result::unwrap).collect();
        let [(4, Value::Bytes(time)), (7, Value::Bytes(weight))] = &fields[..] else {
            panic!("{fields:?}")
        };
        let mut column = Varints(&bytes[time.clone()]);
        assert_eq!(column.count(), Ok(samples.time.len()));
        assert!(samples.time.iter().all(|value| column.next_signed() == *value));
        let mut column = Varints(&bytes[weight.clone()]);
        assert_eq!(column.count(), Ok(samples.weight.len()));
        assert!(samples.weight.iter().all(|value| column.next() == *value));
        assert_eq!(column.next(), 0, "past the end");
    }

    #[test]
    fn nonsense_is_malformed_and_ends_the_walk() {
        for bytes in [&[0x0a, 5, 1][..], &[0x08], &[0xff; 20], &[0x0b], &[0x09, 1, 2], &[0x80]] {
            let fields: Vec<_> = Fields::new(bytes, 0..bytes.len()).collect();
            assert_eq!(fields, [Err(Malformed)], "{bytes:x?}");
        }
        assert_eq!(Varints(&[1, 0x80]).count(), Err(Malformed));
    }
}
