//! Reads msgpack value by value, without copying, without a schema and without reserving anything for
//! what a length says. Lists and maps are their number of elements, which the caller reads one after
//! the other; [`Reader::skip`] passes over whole values without recursion, so that depth costs nothing.
//!
//! Contract: <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use std::fmt;

/// A value, or the head of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Nil,
    Flag(bool),
    /// Zero and above.
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    Float(f64),
    /// Not necessarily UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Extension,
    /// So many elements follow.
    List(u32),
    /// So many pairs of name and value follow.
    Map(u32),
}

/// Where the bytes are no msgpack any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Offset of the value that cannot be read.
    pub(crate) at: usize,
    what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Reads values from the beginning of a message.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that were read.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next value, or the head of it.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, Damage> {
        let start = self.at;
        let value = self.read();
        value.map_err(|what| {
            self.at = start;
            Damage { at: start, what }
        })
    }

    /// Passes over what is left of a value whose head was read.
    pub(crate) fn skip(&mut self, head: Value<'a>) -> Result<(), Damage> {
        let parts = |value| match value {
            Value::List(count) => u64::from(count),
            Value::Map(count) => 2 * u64::from(count),
            _ => 0,
        };
        let mut left = parts(head);
        while left > 0 {
            // Each takes a byte at least, so that this ends with the message.
            left = left - 1 + parts(self.value()?);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Value<'a>, &'static str> {
        let [tag] = self.array::<1>()?;
        Ok(match tag {
            0x00..=0x7f => Value::Unsigned(tag.into()),
            0x80..=0x8f => Value::Map(u32::from(tag & 0x0f)),
            0x90..=0x9f => Value::List(u32::from(tag & 0x0f)),
            0xa0..=0xbf => Value::Text(self.take(usize::from(tag & 0x1f))?),
            0xc0 => Value::Nil,
            0xc1 => return Err("a byte that begins no value"),
            0xc2 | 0xc3 => Value::Flag(tag == 0xc3),
            0xc4..=0xc6 => Value::Binary(self.counted(tag - 0xc4)?),
            0xc7..=0xc9 => {
                let length = self.length(tag - 0xc7)? as usize;
                self.extension(length)?
            }
            0xca => Value::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Unsigned(self.array::<1>()?[0].into()),
            0xcd => Value::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (tag - 0xd4))?,
            0xd9..=0xdb => Value::Text(self.counted(tag - 0xd9)?),
            0xdc | 0xdd => Value::List(self.length(tag - 0xdc + 1)?),
            0xde | 0xdf => Value::Map(self.length(tag - 0xde + 1)?),
            0xe0..=0xff => Value::Negative(i8::from_be_bytes([tag]).into()),
        })
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, size: u8) -> Result<u32, &'static str> {
        Ok(match size {
            0 => self.array::<1>()?[0].into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn counted(&mut self, size: u8) -> Result<&'a [u8], &'static str> {
        let length = self.length(size)? as usize;
        self.take(length)
    }

    /// A byte says what it is; nothing here knows one.
    fn extension(&mut self, length: usize) -> Result<Value<'a>, &'static str> {
        self.take(1)?;
        self.take(length)?;
        Ok(Value::Extension)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "the end of the message")
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or("a value that is cut off")?;
        self.at += count;
        Ok(taken)
    }
}

fn signed(number: i64) -> Value<'static> {
    u64::try_from(number).map_or(Value::Negative(number), Value::Unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<Value<'_>>, Damage> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while reader.left() > 0 {
            found.push(reader.value()?);
        }
        Ok(found)
    }

    #[test]
    fn numbers_of_every_form_are_read() {
        let numbers = [
            &[0x07][..],
            &[0xff],
            &[0xcc, 200],
            &[0xcd, 1, 0],
            &[0xce, 0, 1, 0, 0],
            &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xd0, 5],
            &[0xd1, 0xff, 0xfe],
            &[0xd2, 0, 0, 0, 9],
            &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &[0xca, 0x3f, 0x80, 0, 0],
            &[0xcb, 0x40, 0x08, 0, 0, 0, 0, 0, 0],
        ];
        let wanted = [
            Value::Unsigned(7),
            Value::Negative(-1),
            Value::Unsigned(200),
            Value::Unsigned(256),
            Value::Unsigned(65_536),
            Value::Unsigned(u64::MAX),
            Value::Unsigned(5),
            Value::Negative(-2),
            Value::Unsigned(9),
            Value::Negative(i64::MIN),
            Value::Float(1.0),
            Value::Float(3.0),
        ];
        assert_eq!(all(&numbers.concat()).unwrap(), wanted);
    }

    #[test]
    fn texts_lists_and_maps_of_every_form_are_read() {
        let others = [
            &[0xa1, b'x'][..],
            &[0xd9, 1, b'y'],
            &[0xda, 0, 1, b'z'],
            &[0xdb, 0, 0, 0, 0],
            &[0xc4, 1, 9],
            &[0xc5, 0, 0],
            &[0xc6, 0, 0, 0, 0],
            &[0xc7, 2, 1, 7, 7],
            &[0xd4, 1, 7],
            &[0xd8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xc0, 0xc2, 0xc3, 0x92, 0x83],
            &[0xdc, 1, 0, 0xdd, 0, 0, 0, 1, 0xde, 0, 2, 0xdf, 0, 0, 0, 3],
        ];
        let wanted = [
            Value::Text(b"x"),
            Value::Text(b"y"),
            Value::Text(b"z"),
            Value::Text(b""),
            Value::Binary(&[9]),
            Value::Binary(b""),
            Value::Binary(b""),
            Value::Extension,
            Value::Extension,
            Value::Extension,
            Value::Nil,
            Value::Flag(false),
            Value::Flag(true),
            Value::List(2),
            Value::Map(3),
            Value::List(256),
            Value::List(1),
            Value::Map(2),
            Value::Map(3),
        ];
        assert_eq!(all(&others.concat()).unwrap(), wanted);
    }

    #[test]
    fn damage_has_an_offset_and_depth_costs_nothing() {
        let damage = all(&[1, 0xa3, b'a', b'b']).unwrap_err();
        assert_eq!(damage.to_string(), "a value that is cut off at byte 1");
        assert_eq!(
            all(&[0xc0, 0xc1]).unwrap_err().to_string(),
            "a byte that begins no value at byte 1"
        );
        let deep = [vec![0x91; 1 << 20], vec![0x01, 0x02]].concat();
        let mut reader = Reader::new(&deep);
        let head = reader.value().unwrap();
        reader.skip(head).unwrap();
        assert_eq!(reader.value(), Ok(Value::Unsigned(2)));
        // Four thousand million elements of which none is there.
        let mut reader = Reader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff]);
        let head = reader.value().unwrap();
        assert_eq!(reader.skip(head).unwrap_err().at, 5);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(head) = reader.value() {
                if reader.skip(head).is_err() {
                    break;
                }
            }
            prop_assert!(reader.offset() <= bytes.len());
        }
    }
}
