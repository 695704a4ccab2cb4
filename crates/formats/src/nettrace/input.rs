//! The scalars of a nettrace file: little-endian numbers, numbers of seven bits a byte, texts.

use crate::decoded::{IssueKind, Issues};
use crate::limits::Limits;
use std::borrow::Cow;

/// The longest number of seven bits a byte.
const NUMBER_BYTES_MAX: u32 = 10;

/// A place in some bytes. Reading beyond their end gives `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// The next bytes as an input of their own.
    pub(super) fn part(&mut self, count: usize) -> Option<Self> {
        self.take(count).map(Self::new)
    }

    fn little_endian(&mut self, count: usize) -> Option<u64> {
        let bytes = self.take(count)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.little_endian(2).map(|number| number as u16)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.little_endian(4).map(|number| number as u32)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.little_endian(8)
    }

    /// A number as wide as an address of the program, of 4 or 8 bytes.
    pub(super) fn pointer(&mut self, bytes: usize) -> Option<u64> {
        self.little_endian(bytes)
    }

    /// A number of seven bits a byte, the lowest ones first. Bits beyond 64 are dropped.
    pub(super) fn varuint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..NUMBER_BYTES_MAX {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The same for numbers of either sign, which alternate.
    pub(super) fn varint(&mut self) -> Option<i64> {
        let number = self.varuint()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// UTF-16 up to a zero.
    pub(super) fn wide(&mut self) -> Option<Text<'a>> {
        let rest = &self.bytes[self.at..];
        let units = rest.chunks_exact(2).position(|unit| unit == [0, 0])?;
        let text = self.take(units * 2)?;
        self.at += 2;
        Some(Text::Wide(text))
    }

    /// UTF-8 behind its length, of seven bits a byte.
    pub(super) fn plain(&mut self) -> Option<Text<'a>> {
        let count = usize::try_from(self.varuint()?).ok()?;
        self.take(count).map(Text::Plain)
    }

    /// UTF-8 behind its length, of two bytes.
    pub(super) fn short(&mut self) -> Option<Text<'a>> {
        let count = self.u16()?;
        self.take(usize::from(count)).map(Text::Plain)
    }
}

/// A text as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    /// UTF-16.
    Wide(&'a [u8]),
    /// UTF-8.
    Plain(&'a [u8]),
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::Plain(&[])
    }
}

impl<'a> Text<'a> {
    /// How many bytes it takes in the file.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Wide(bytes) | Self::Plain(bytes) => bytes.len(),
        }
    }

    /// In UTF-8, cut to the limit.
    pub(super) fn read(self, limits: &Limits, issues: &mut Issues) -> Cow<'a, str> {
        let bytes = match self {
            Self::Plain(bytes) => return crate::intern::text(bytes, limits, issues),
            Self::Wide(bytes) => bytes,
        };
        // A unit of UTF-16 becomes at most three bytes.
        let units_max = limits.string_bytes_max / 3;
        if bytes.len() / 2 > units_max {
            issues.add(IssueKind::Limit, || {
                format!("a text is cut to fewer than {} bytes", limits.string_bytes_max)
            });
        }
        let units = bytes.chunks_exact(2).take(units_max);
        let units = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let text = char::decode_utf16(units);
        Cow::Owned(text.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_seven_bits_a_byte() {
        let read = |bytes: &[u8]| Input::new(bytes).varuint();
        assert_eq!(read(&[0x7f]), Some(127));
        assert_eq!(read(&[0x80, 1]), Some(128));
        assert_eq!(
            read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Some(u64::MAX)
        );
        assert_eq!(read(&[0x80; 11]), None, "longer than any number");
        assert_eq!(read(&[0x80]), None, "cut off");
        assert_eq!(Input::new(&[3]).varint(), Some(-2));
        assert_eq!(Input::new(&[4]).varint(), Some(2));
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut input = Input::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(input.u16(), Some(0x0201));
        assert_eq!(input.pointer(4), Some(0x0605_0403));
        assert_eq!(input.u32(), None);
        assert_eq!((input.u8(), input.left()), (Some(7), 2));
    }

    #[test]
    fn texts_of_both_encodings_read_alike() {
        let read = |text: Option<Text<'_>>| {
            text.map(|text| text.read(&Limits::default(), &mut Issues::default()).into_owned())
        };
        assert_eq!(read(Input::new(&[65, 0, 0xe9, 0, 0, 0, 7]).wide()).as_deref(), Some("Aé"));
        assert_eq!(read(Input::new(&[65, 0, 0xe9, 0]).wide()), None, "without its end");
        assert_eq!(read(Input::new(&[0, 0xd8, 0, 0]).wide()).as_deref(), Some("\u{fffd}"));
        assert_eq!(read(Input::new(&[3, 65, 0xc3, 0xa9]).plain()).as_deref(), Some("Aé"));
        assert_eq!(read(Input::new(&[9, 65]).plain()), None, "longer than there are bytes");
        assert_eq!(read(Input::new(&[1, 0, 65]).short()).as_deref(), Some("A"));
    }

    #[test]
    fn long_texts_are_cut() {
        let limits = Limits { string_bytes_max: 9, ..Limits::default() };
        let mut issues = Issues::default();
        let bytes = [65, 0].repeat(100);
        assert_eq!(Text::Wide(&bytes).read(&limits, &mut issues), "AAA");
        assert_eq!(issues.total(), 1);
    }
}
