//! The scalars of a chunk: numbers, compressed or big-endian, and texts.

use crate::decoded::Issues;
use crate::limits::Limits;
use std::borrow::Cow;

/// The longest compressed number; its last byte has eight bits of payload.
const NUMBER_BYTES_MAX: u32 = 9;

/// Types that have no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basic {
    Boolean,
    Byte,
    Char,
    Short,
    Int,
    Long,
    Float,
    Double,
    Text,
}

impl Basic {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "byte" => Self::Byte,
            "char" => Self::Char,
            "short" => Self::Short,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "java.lang.String" => Self::Text,
            _ => return None,
        })
    }
}

/// A place in the bytes of a chunk. Reading beyond their end gives `None` and moves nothing back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) is_compressed: bool,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], is_compressed: bool) -> Self {
        Self { bytes, at: 0, is_compressed }
    }

    /// The same, at another place, up to `end`.
    pub(super) fn range(&self, at: usize, end: usize) -> Self {
        Self { bytes: &self.bytes[..end.min(self.bytes.len())], at, ..*self }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for at in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            if at == NUMBER_BYTES_MAX - 1 {
                return Some(number | u64::from(byte) << 56);
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }

    fn big_endian<const N: usize>(&mut self) -> Option<u64> {
        let bytes = self.take(N)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number as it stands there, without its sign extended.
    fn raw<const N: usize>(&mut self) -> Option<u64> {
        if self.is_compressed { self.varint() } else { self.big_endian::<N>() }
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.raw::<8>()
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        self.raw::<4>().map(|number| number as i32)
    }

    /// A number of things that take at least one byte each.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.int()?).ok()?;
        (count <= self.left()).then_some(count)
    }

    /// A whole number of a type; texts and fractions give `None`.
    pub(super) fn number(&mut self, basic: Basic) -> Option<i64> {
        Some(match basic {
            Basic::Boolean | Basic::Byte => i64::from(self.byte()?.cast_signed()),
            Basic::Char => self.raw::<2>()? as i64 & 0xffff,
            Basic::Short => i64::from(self.raw::<2>()? as i16),
            Basic::Int => i64::from(self.int()?),
            Basic::Long => self.long()?.cast_signed(),
            Basic::Float | Basic::Double | Basic::Text => return None,
        })
    }

    pub(super) fn fraction(&mut self, basic: Basic) -> Option<f64> {
        if basic == Basic::Float {
            let bits = self.big_endian::<4>()? as u32;
            return Some(f64::from(f32::from_bits(bits)));
        }
        self.big_endian::<8>().map(f64::from_bits)
    }

    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        Some(match self.byte()? {
            0 => Text::Null,
            1 => Text::Utf8(&[]),
            2 => Text::Pooled(self.long()?),
            3 => {
                let count = self.count()?;
                Text::Utf8(self.take(count)?)
            }
            4 => {
                let (count, start) = (self.count()?, *self);
                for _ in 0..count {
                    self.number(Basic::Char)?;
                }
                Text::Chars(start, count)
            }
            5 => {
                let count = self.count()?;
                Text::Latin1(self.take(count)?)
            }
            _ => return None,
        })
    }
}

/// A text as it stands in a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Null,
    Utf8(&'a [u8]),
    Latin1(&'a [u8]),
    /// Numbers of UTF-16, and how many.
    Chars(Input<'a>, usize),
    /// Among the constants.
    Pooled(u64),
}

impl<'a> Text<'a> {
    /// In UTF-8, cut to the limit. One that is among the constants is empty here.
    pub(super) fn read(self, limits: &Limits, issues: &mut Issues) -> Cow<'a, str> {
        match self {
            Text::Null | Text::Pooled(_) => Cow::Borrowed(""),
            Text::Utf8(bytes) => crate::intern::text(bytes, limits, issues),
            Text::Latin1(bytes) => {
                let max = limits.string_bytes_max / 2;
                let text: String = bytes.iter().take(max).map(|byte| char::from(*byte)).collect();
                Cow::Owned(cut(text, bytes.len() > max, limits, issues))
            }
            Text::Chars(mut input, count) => {
                let max = limits.string_bytes_max / 3;
                let units = (0..count.min(max)).map_while(|_| input.number(Basic::Char));
                let text = char::decode_utf16(units.map(|unit| unit as u16))
                    .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                Cow::Owned(cut(text, count > max, limits, issues))
            }
        }
    }

    /// How much there is to read.
    pub(super) fn len(self) -> usize {
        match self {
            Text::Null | Text::Pooled(_) => 0,
            Text::Utf8(bytes) | Text::Latin1(bytes) => bytes.len(),
            Text::Chars(_, count) => count,
        }
    }
}

fn cut(text: String, is_cut: bool, limits: &Limits, issues: &mut Issues) -> String {
    if is_cut {
        issues.add(crate::IssueKind::Limit, || {
            format!("a text is cut to fewer than {} bytes", limits.string_bytes_max)
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Option<u64> {
        Input::new(bytes, true).long()
    }

    #[test]
    fn compressed_numbers_take_up_to_nine_bytes() {
        assert_eq!(long(&[0x7f]), Some(127));
        assert_eq!(long(&[0x80, 1]), Some(128));
        assert_eq!(long(&[0xff; 9]), Some(u64::MAX));
        assert_eq!(long(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]), Some(1 << 63));
        assert_eq!(long(&[0x80; 8]), None, "cut off");
        let mut input = Input::new(&[0xff, 0xff, 0xff, 0xff, 0x0f, 7], true);
        assert_eq!((input.int(), input.at), (Some(-1), 5));
    }

    #[test]
    fn uncompressed_numbers_are_big_endian() {
        let bytes = [0, 0, 1, 2, 0xff, 0xfe, 0, 65];
        let mut input = Input::new(&bytes, false);
        assert_eq!(input.int(), Some(0x0102));
        assert_eq!(input.number(Basic::Short), Some(-2));
        assert_eq!(input.number(Basic::Char), Some(65));
        assert_eq!(input.byte(), None);
    }

    #[test]
    fn texts_of_all_encodings_read_alike() {
        let limits = Limits::default();
        let read = |bytes: &[u8]| {
            let text = Input::new(bytes, true).text()?;
            Some(text.read(&limits, &mut Issues::default()).into_owned())
        };
        assert_eq!(read(&[0]).as_deref(), Some(""));
        assert_eq!(read(&[1]).as_deref(), Some(""));
        assert_eq!(read(&[3, 2, 0xc3, 0xa9]).as_deref(), Some("é"));
        assert_eq!(read(&[5, 1, 0xe9]).as_deref(), Some("é"));
        assert_eq!(read(&[4, 2, 65, 0xe9, 1]).as_deref(), Some("Aé"));
        assert_eq!(read(&[3, 9, 65]), None, "longer than there are bytes");
        assert_eq!(read(&[6]), None);
    }
}
