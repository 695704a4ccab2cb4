//! Reads protobuf fields one after another without a schema, without copying and without failing
//! as a whole.
//!
//! What cannot be read ends the message it stands in, never its parent: [`Fields`] yields what
//! came before and [`Fields::damage`] says where and why it stopped.
//! The encoding is <https://protobuf.dev/programming-guides/encoding/>.

#![expect(
    clippy::inline_always,
    reason = "a field that is handed over in memory holds up the loops that read millions of them"
)]

use std::fmt;

/// The longest encoding of a 64-bit varint, in bytes.
const VARINT_BYTES_MAX: usize = 10;

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field number, never 0.
    pub number: u32,
    /// What it holds, by wire type.
    pub value: Value<'a>,
}

/// The payload of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0: integers, booleans, enumerations.
    Varint(u64),
    /// Wire type 1: `fixed64`, `sfixed64`, `double`.
    I64(u64),
    /// Wire type 2: strings, bytes, messages, packed repeated numbers.
    Len(&'a [u8]),
    /// Wire type 5: `fixed32`, `sfixed32`, `float`.
    I32(u32),
}

impl<'a> Value<'a> {
    /// The number of a varint or fixed field; `None` for a length-delimited one.
    #[inline]
    pub fn number(self) -> Option<u64> {
        match self {
            Value::Varint(number) | Value::I64(number) => Some(number),
            Value::I32(number) => Some(u64::from(number)),
            Value::Len(_) => None,
        }
    }

    /// The bytes of a length-delimited field; `None` for a number.
    #[inline]
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Len(bytes) => Some(bytes),
            Value::Varint(_) | Value::I64(_) | Value::I32(_) => None,
        }
    }

    /// The numbers of a repeated varint field, packed or not. A damaged pack ends early; see
    /// [`Numbers::damage`].
    #[inline]
    pub fn varints(self) -> Numbers<'a> {
        match self {
            Value::Len(bytes) => Numbers::new(bytes, Width::Varint),
            other => Numbers::one(other),
        }
    }

    /// The numbers of a repeated `fixed64` field, packed or not.
    pub fn fixed64s(self) -> Numbers<'a> {
        match self {
            Value::Len(bytes) => Numbers::new(bytes, Width::I64),
            other => Numbers::one(other),
        }
    }
}

/// Where and why reading a message stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Byte offset inside the message that was read.
    pub offset_bytes: usize,
    /// What stood there.
    pub kind: DamageKind,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset_bytes)
    }
}

/// What stopped the reading of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// The message ends inside a field.
    Truncated,
    /// A varint of more than 64 bits.
    LongVarint,
    /// A wire type that has no meaning in proto3 (groups, 6, 7).
    WireType(u8),
    /// Field number 0 or above 2^29 - 1.
    FieldNumber,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DamageKind::Truncated => f.write_str("the data ends inside a field"),
            DamageKind::LongVarint => f.write_str("a number of more than 64 bits"),
            DamageKind::WireType(wire_type) => write!(f, "unknown wire type {wire_type}"),
            DamageKind::FieldNumber => f.write_str("an impossible field number"),
        }
    }
}

/// Iterator over the fields of one message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    reader: Reader<'a>,
    damage: Option<Damage>,
}

/// Reads `message` field by field.
#[inline]
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { reader: Reader::new(message), damage: None }
}

/// Reads the beginning of a message: a field that goes beyond its end gives what is there of it.
/// For recognising formats by their first bytes.
pub fn fields_of_beginning(message: &[u8]) -> Fields<'_> {
    let reader = Reader { is_clipped: true, ..Reader::new(message) };
    Fields { reader, damage: None }
}

impl Fields<'_> {
    /// Why the iteration ended before the end of the message, if it did.
    pub fn damage(&self) -> Option<Damage> {
        self.damage
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.reader.is_at_end() {
            return None;
        }
        let start = self.reader.position;
        self.reader.field().map_err(|kind| self.damage = Some(self.reader.stop(start, kind))).ok()
    }
}

/// Iterator over the numbers of one repeated field.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    reader: Reader<'a>,
    width: Width,
    single: Option<u64>,
    damage: Option<Damage>,
}

impl<'a> Numbers<'a> {
    #[inline]
    fn new(bytes: &'a [u8], width: Width) -> Self {
        Numbers { reader: Reader::new(bytes), width, single: None, damage: None }
    }

    fn one(value: Value<'a>) -> Self {
        Numbers { single: value.number(), ..Numbers::new(&[], Width::Varint) }
    }

    /// Why the iteration ended before the end of the pack, if it did.
    pub fn damage(&self) -> Option<Damage> {
        self.damage
    }
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        if let Some(number) = self.single.take() {
            return Some(number);
        }
        if self.reader.is_at_end() {
            return None;
        }
        let start = self.reader.position;
        let number = match self.width {
            Width::Varint => self.reader.varint(),
            Width::I64 => self.reader.array().map(u64::from_le_bytes),
        };
        number.map_err(|kind| self.damage = Some(self.reader.stop(start, kind))).ok()
    }
}

#[derive(Clone, Copy, Debug)]
enum Width {
    Varint,
    I64,
}

#[derive(Clone, Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    is_clipped: bool,
}

impl<'a> Reader<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, is_clipped: false }
    }

    #[inline]
    fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Reads no further: what stands at an offset cannot be read.
    #[cold]
    fn stop(&mut self, offset_bytes: usize, kind: DamageKind) -> Damage {
        self.position = self.bytes.len();
        Damage { offset_bytes, kind }
    }

    #[inline(always)]
    fn field(&mut self) -> Result<Field<'a>, DamageKind> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 || number >= 1 << 29 {
            return Err(DamageKind::FieldNumber);
        }
        let value = match (tag & 7) as u8 {
            0 => Value::Varint(self.varint()?),
            1 => Value::I64(u64::from_le_bytes(self.array()?)),
            2 => Value::Len(self.delimited()?),
            5 => Value::I32(u32::from_le_bytes(self.array()?)),
            wire_type => return Err(DamageKind::WireType(wire_type)),
        };
        Ok(Field { number, value })
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, DamageKind> {
        // Most numbers have one byte or two.
        match self.bytes.get(self.position..) {
            Some(&[first, ..]) if first < 0x80 => {
                self.position += 1;
                Ok(u64::from(first))
            }
            Some(&[first, second, ..]) if second < 0x80 => {
                self.position += 2;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, DamageKind> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if let Some((head, tail)) = rest.split_first_chunk() {
            let (number, length) = match (short_varint(*head), tail) {
                ((number, Some(length)), _) => (number, length),
                ((number, None), &[ninth @ ..0x80, ..]) => (number | u64::from(ninth) << 56, 9),
                ((number, None), &[ninth, tenth @ 0..=1, ..]) => {
                    let last = u64::from(ninth & 0x7f) | u64::from(tenth) << 7;
                    (number | last << 56, VARINT_BYTES_MAX)
                }
                (_, [_, _, ..]) => return Err(DamageKind::LongVarint),
                _ => return Err(DamageKind::Truncated),
            };
            self.position += length;
            return Ok(number);
        }
        let mut number = 0_u64;
        for (index, &byte) in rest.iter().enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.position += index + 1;
                return Ok(number);
            }
        }
        Err(DamageKind::Truncated)
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], DamageKind> {
        let length = usize::try_from(self.varint()?).map_err(|_| DamageKind::Truncated)?;
        let rest = self.bytes.len() - self.position;
        self.take(if self.is_clipped { length.min(rest) } else { length })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DamageKind> {
        self.take(N)?.try_into().map_err(|_| DamageKind::Truncated)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DamageKind> {
        let end = self.position.checked_add(length).ok_or(DamageKind::Truncated)?;
        let taken = self.bytes.get(self.position..end).ok_or(DamageKind::Truncated)?;
        self.position = end;
        Ok(taken)
    }
}

/// What the first eight bytes of a varint give, and its length if it ends there: groups of seven bits
/// are put together two by two.
#[inline]
fn short_varint(bytes: [u8; 8]) -> (u64, Option<usize>) {
    const ENDS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    let ends = !word & ENDS;
    // All bits up to the first end; all of them without one.
    let groups = word & (ends ^ ends.wrapping_sub(1)) & !ENDS;
    let pairs = (groups & 0x7f00_7f00_7f00_7f00) >> 1 | (groups & 0x007f_007f_007f_007f);
    let fours = (pairs & 0x3fff_0000_3fff_0000) >> 2 | (pairs & 0x0000_3fff_0000_3fff);
    let number = (fours & 0x0fff_ffff_0000_0000) >> 4 | (fours & 0x0fff_ffff);
    (number, (ends != 0).then(|| ends.trailing_zeros() as usize / 8 + 1))
}

#[cfg(test)]
mod tests;
