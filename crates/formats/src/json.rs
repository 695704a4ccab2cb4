//! Reads JSON member by member without a schema, without copying and without failing as a whole, as
//! [`wire::scan`] does for protobuf: what cannot be read ends the list it stands in.
//!
//! A value is the piece of text it stands in; nothing is looked at before it is asked for, and
//! nothing is recursive, so that depth costs nothing.

use std::borrow::Cow;

/// The members of an object, or the elements of a list; others have none.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    is_object: bool,
    is_damaged: bool,
}

/// The members of an object: names and values.
pub(crate) fn members(value: &[u8]) -> Items<'_> {
    let rest = value.strip_prefix(b"{").unwrap_or_default();
    Items { rest, is_object: true, is_damaged: false }
}

/// The elements of a list; their names are empty.
pub(crate) fn elements(value: &[u8]) -> Items<'_> {
    let rest = value.strip_prefix(b"[").unwrap_or_default();
    Items { rest, is_object: false, is_damaged: false }
}

/// The whole of a document, without what is around it; `None` when it is cut off.
pub(crate) fn document(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii()
}

impl Items<'_> {
    /// Whether the list ended before its end.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Bytes that were not read yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (Cow<'a, str>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest.trim_ascii_start();
        let end = if self.is_object { b'}' } else { b']' };
        rest = rest.strip_prefix(b",").map_or(rest, <[u8]>::trim_ascii_start);
        if self.is_damaged || rest.first() == Some(&end) {
            return None;
        }
        let item = (|| {
            let mut name = Cow::Borrowed("");
            if self.is_object {
                let (key, after) = split_value(rest)?;
                name = text(key)?;
                rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            }
            let (value, after) = split_value(rest)?;
            rest = after;
            Some((name, value))
        })();
        self.is_damaged = item.is_none();
        self.rest = rest;
        item.filter(|_| !self.is_damaged)
    }
}

/// The value at the beginning, and what follows.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match bytes.first()? {
        b'"' => string_bytes(bytes)?,
        b'{' | b'[' => nested_bytes(bytes)?,
        _ => {
            let is_over = |byte: &u8| b",]}:\"{[".contains(byte) || byte.is_ascii_whitespace();
            let length = bytes.iter().position(is_over).unwrap_or(bytes.len());
            (length > 0).then_some(length)?
        }
    };
    bytes.split_at_checked(length)
}

/// Bytes of the string at the beginning, quotes included.
fn string_bytes(bytes: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Bytes of the object or list at the beginning.
fn nested_bytes(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string_bytes(&bytes[at..])?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A string without its escapes; `None` for other values.
pub(crate) fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let lossy = String::from_utf8_lossy(inner);
    if !inner.contains(&b'\\') {
        return Some(lossy);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = &*lossy;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        rest = match chars.next() {
            Some('u') => unicode(chars.as_str(), &mut out),
            escape => {
                out.extend(escape.map(|escape| match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    other => other,
                }));
                chars.as_str()
            }
        };
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// Adds the character of four hexadecimal digits, or of a pair of such; returns what follows.
fn unicode<'a>(digits: &'a str, out: &mut String) -> &'a str {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let Some(first) = unit(digits) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return digits;
    };
    let after = digits.get(4..).unwrap_or_default();
    let second = after.strip_prefix("\\u").and_then(unit);
    if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (first, second) {
        let joined = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        return after.get(6..).unwrap_or_default();
    }
    out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

/// A number or a string that holds one, as protobuf's JSON writes 64 bits.
pub(crate) fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    std::str::from_utf8(inner.unwrap_or(value)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_and_elements_are_read_one_by_one() {
        let value =
            br#"{"a": [1, {"x":"]}"}, "\"\\"], "b\u0062":"\ud83d\ude00\n\u12", "c" : -3.5 }"#;
        let found: Vec<_> = members(value).collect();
        assert_eq!(found.len(), 3);
        let inner: Vec<_> = elements(found[0].1).map(|(_, value)| value).collect();
        assert_eq!(inner, [&b"1"[..], br#"{"x":"]}"}"#, br#""\"\\""#]);
        assert_eq!(text(inner[2]).as_deref(), Some("\"\\"));
        assert_eq!(found[1].0, "bb");
        assert_eq!(text(found[1].1).as_deref(), Some("😀\n\u{fffd}12"));
        assert_eq!(number::<f64>(found[2].1), Some(-3.5));
        assert_eq!(number::<u64>(br#""18446744073709551615""#), Some(u64::MAX));
        assert_eq!(elements(b"{}").count() + members(b"7").count(), 0);
    }

    #[test]
    fn what_is_cut_off_gives_what_came_before() {
        let mut items = members(br#"{"a":1,"b":[2,"#);
        assert_eq!(items.by_ref().count(), 1);
        assert!(items.is_damaged());
        let deep = "[".repeat(1 << 20);
        assert_eq!(elements(deep.as_bytes()).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(
            prop::sample::select(b"{}[],:\"\\u0a1 \xff".to_vec()), 0..60))
        {
            for (_, value) in members(&bytes).chain(elements(&bytes)) {
                let _ = (text(value), number::<i64>(value), elements(value).count());
            }
        }
    }
}
