//! The wire format of Protocol Buffers, as far as profiles need it: fields of a message in place, without
//! allocating what a message says, and the other way round.

/// Where bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {at} there is no valid field")]
pub struct Malformed {
    /// Offset from the start of the outermost message.
    pub at: usize,
}

/// A message or a string, and where it stands in the outermost message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bytes<'a> {
    /// The content.
    pub bytes: &'a [u8],
    /// Offset of its first byte.
    pub at: usize,
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// Any integer.
    Varint(u64),
    /// A string, a message, or packed integers.
    Bytes(Bytes<'a>),
    /// Eight or four bytes that no field of ours has.
    Fixed,
}

impl<'a> Value<'a> {
    /// The integer; 0 of anything else.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Varint(number) => number,
            Self::Bytes(_) | Self::Fixed => 0,
        }
    }

    /// The message or string; an empty one of anything else.
    #[must_use]
    pub fn bytes(self) -> Bytes<'a> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Varint(_) | Self::Fixed => Bytes { bytes: &[], at: 0 },
        }
    }

    /// The integers of a repeated field, of which this is one occurrence: packed, or one alone.
    #[must_use]
    pub fn numbers(self) -> Numbers<'a> {
        match self {
            Self::Varint(one) => Numbers { one: Some(one), rest: Bytes { bytes: &[], at: 0 } },
            Self::Bytes(rest) => Numbers { one: None, rest },
            Self::Fixed => Numbers { one: None, rest: Bytes { bytes: &[], at: 0 } },
        }
    }
}

impl<'a> Bytes<'a> {
    /// A whole message.
    #[must_use]
    pub fn message(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Its fields, in the order in which they stand.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self, failed: false }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for (index, byte) in self.bytes.iter().enumerate().take(10) {
            // Of a tenth byte only the lowest bit is inside 64.
            if index == 9 && *byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.skip(index + 1);
                return Ok(number);
            }
        }
        Err(Malformed { at: self.at })
    }

    fn skip(&mut self, count: usize) {
        self.bytes = &self.bytes[count..];
        self.at += count;
    }

    fn take(&mut self, count: u64) -> Result<Self, Malformed> {
        let malformed = Malformed { at: self.at };
        let count = usize::try_from(count).map_err(|_| malformed)?;
        let bytes = self.bytes.get(..count).ok_or(malformed)?;
        let taken = Self { bytes, at: self.at };
        self.skip(count);
        Ok(taken)
    }
}

/// Fields of a message. Ends after the first that is malformed.
pub struct Fields<'a> {
    rest: Bytes<'a>,
    failed: bool,
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let at = self.rest.at;
        let tag = self.rest.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.rest.varint()?),
            1 => self.rest.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.rest.varint()?;
                Value::Bytes(self.rest.take(length)?)
            }
            5 => self.rest.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed { at }),
        };
        if tag >> 3 == 0 { Err(Malformed { at }) } else { Ok((tag >> 3, value)) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.bytes.is_empty() {
            return None;
        }
        let field = self.field();
        self.failed = field.is_err();
        Some(field)
    }
}

/// Integers of a repeated field.
pub struct Numbers<'a> {
    one: Option<u64>,
    rest: Bytes<'a>,
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(one) = self.one.take() {
            return Some(Ok(one));
        }
        if self.rest.bytes.is_empty() {
            return None;
        }
        let number = self.rest.varint();
        if number.is_err() {
            self.rest.bytes = &[];
        }
        Some(number)
    }
}

/// A message in the making. Fields that hold 0 or nothing are left out, as the format wants it.
#[derive(Clone, Default, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// An integer.
    pub fn number(&mut self, field: u32, number: u64) -> &mut Self {
        if number != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(number);
        }
        self
    }

    /// Integers, packed.
    pub fn numbers(&mut self, field: u32, numbers: &[u64]) -> &mut Self {
        if !numbers.is_empty() {
            let mut packed = Self::default();
            numbers.iter().for_each(|number| packed.varint(*number));
            self.bytes(field, &packed.bytes);
        }
        self
    }

    /// A string or a message, also an empty one: of repeated fields the place counts.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A message in the message.
    pub fn message(&mut self, field: u32, message: &Self) -> &mut Self {
        self.bytes(field, &message.bytes)
    }

    /// What it is in bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut inner = Message::default();
        inner.number(1, 7).number(2, 0).number(3, u64::MAX);
        let mut message = Message::default();
        message.message(2, &inner).numbers(4, &[1, 300, 0]).bytes(6, b"").bytes(6, b"name");
        let bytes = message.into_bytes();
        let fields: Vec<(u64, Value<'_>)> =
            Bytes::message(&bytes).fields().collect::<Result<_, _>>().unwrap();
        let numbers: Vec<u64> = fields.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 4, 6, 6]);
        let inner = fields[0].1.bytes();
        assert_eq!(inner.at, 2);
        let inner: Vec<_> = inner.fields().map(Result::unwrap).collect();
        assert_eq!(inner, [(1, Value::Varint(7)), (3, Value::Varint(u64::MAX))]);
        let packed: Vec<u64> = fields[1].1.numbers().map(Result::unwrap).collect();
        assert_eq!(packed, [1, 300, 0]);
        assert_eq!(
            (fields[2].1.bytes().bytes, fields[3].1.bytes().bytes),
            (&b""[..], &b"name"[..])
        );
        assert_eq!(Value::Varint(5).numbers().collect::<Vec<_>>(), [Ok(5)]);
    }

    #[test]
    fn what_is_no_message_ends_where_it_breaks() {
        let broken = |bytes: &[u8]| {
            Bytes::message(bytes).fields().find_map(Result::err).map(|malformed| malformed.at)
        };
        assert_eq!(broken(b"\x08\x01\x0a\x05abc"), Some(4), "a string longer than what is left");
        assert_eq!(broken(b"\x08"), Some(1), "no value");
        assert_eq!(broken(b"\x0b"), Some(0), "a group");
        assert_eq!(broken(b"\x00\x00"), Some(0), "field 0");
        assert_eq!(broken(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), Some(1), "65 bits");
        assert_eq!(broken(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Some(11));
        assert_eq!(broken(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), None);
        let numbers: Vec<_> = Value::Bytes(Bytes::message(b"\x01\x80")).numbers().collect();
        assert_eq!(numbers, [Ok(1), Err(Malformed { at: 1 })]);
    }
}
