//! Captured traces of Datadog's libraries: each request is sent byte for byte, twice, and the server must
//! then have as many spans more as a walk of the message counts, which knows nothing of what they mean.

use super::check::Checker;
use super::items::Item;
use crate::http::replay;
use anyhow::{Context, ensure};
use std::path::Path;

/// Paths of traces, and whether texts stand in a table before them.
const PATHS: [(&str, bool); 3] =
    [("/v0.3/traces", false), ("/v0.4/traces", false), ("/v0.5/traces", true)];

/// A request with traces.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) name: String,
    head: Vec<u8>,
    /// As it went over the wire.
    body: Vec<u8>,
    /// Spans of the message.
    spans: u64,
}

/// The requests of an item.
pub(crate) fn requests(item: &Item) -> anyhow::Result<Vec<Traces>> {
    let folder = item.dir.join("requests");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".head").map(str::to_owned));
    }
    names.sort();
    let found = names.iter().map(|name| request(&folder, name));
    found.filter_map(Result::transpose).collect()
}

fn request(folder: &Path, name: &str) -> anyhow::Result<Option<Traces>> {
    let head = std::fs::read(folder.join(format!("{name}.head")))?;
    let line = String::from_utf8_lossy(&head).into_owned();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let Some((_, has_table)) = PATHS.into_iter().find(|(have, _)| *have == path) else {
        return Ok(None);
    };
    // Of some requests the head alone was kept.
    let body = folder.join(format!("{name}.body"));
    if !body.is_file() {
        return Ok(None);
    }
    let message = std::fs::read(body)?;
    let spans = spans_of(&message, has_table);
    let spans = spans.with_context(|| format!("{name}.body is no whole message"))?;
    let body = super::datadog::sent(folder, name)?;
    Ok(Some(Traces { name: format!("requests/{name} with {spans} spans"), head, body, spans }))
}

impl Traces {
    /// What differs; empty when nothing does.
    pub(crate) fn check(&self, checker: &mut Checker, address: &str) -> Vec<String> {
        self.compare(checker, address).unwrap_or_else(|error| vec![format!("{error:#}")])
    }

    fn compare(&self, checker: &mut Checker, address: &str) -> anyhow::Result<Vec<String>> {
        checker.count_upload();
        let before = checker.spans()?;
        for time in ["the first", "the second"] {
            let (status, _) = replay(address, &self.head, &self.body)?;
            ensure!(status == 200, "{time} time it is answered with {status}");
        }
        let more = checker.spans()? - before;
        let is_same = more == self.spans;
        Ok((!is_same)
            .then(|| format!("{more} spans came, not {}", self.spans))
            .into_iter()
            .collect())
    }
}

/// How many spans a message of MessagePack has: lists of spans in a list, with a table before them
/// in the newer form. `None` where it is not so, or not whole.
fn spans_of(message: &[u8], has_table: bool) -> Option<u64> {
    let mut walk = Walk(message);
    if has_table {
        (walk.list()? == 2).then_some(())?;
        walk.skip(1)?;
    }
    let mut spans = 0;
    for _ in 0..walk.list()? {
        let of_trace = walk.list()?;
        walk.skip(of_trace)?;
        spans += of_trace;
    }
    walk.0.is_empty().then_some(spans)
}

/// What is left of a message.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn take(&mut self, count: u64) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn number(&mut self, bytes: u64) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The length of the list that comes.
    fn list(&mut self) -> Option<u64> {
        match self.number(1)? {
            first @ 0x90..=0x9f => Some(first - 0x90),
            0xdc => self.number(2),
            0xdd => self.number(4),
            _ => None,
        }
    }

    /// Passes so many values over, with what is in them.
    fn skip(&mut self, count: u64) -> Option<()> {
        let mut left = count;
        while left > 0 {
            left -= 1;
            let first = self.number(1)?;
            let bytes = match first {
                0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 0,
                0x80..=0x8f => {
                    left += 2 * (first - 0x80);
                    0
                }
                0x90..=0x9f => {
                    left += first - 0x90;
                    0
                }
                0xa0..=0xbf => first - 0xa0,
                0xc4 | 0xd9 => self.number(1)?,
                0xc5 | 0xda => self.number(2)?,
                0xc6 | 0xdb => self.number(4)?,
                0xc7 => self.number(1)? + 1,
                0xc8 => self.number(2)? + 1,
                0xc9 => self.number(4)? + 1,
                0xca | 0xce | 0xd2 => 4,
                0xcb | 0xcf | 0xd3 => 8,
                0xcc | 0xd0 => 1,
                0xcd | 0xd1 => 2,
                0xd4..=0xd8 => 1 + (1 << (first - 0xd4)),
                0xdc | 0xdd => {
                    left += self.number(if first == 0xdc { 2 } else { 4 })?;
                    0
                }
                0xde | 0xdf => {
                    left += 2 * self.number(if first == 0xde { 2 } else { 4 })?;
                    0
                }
                _ => return None,
            };
            self.take(bytes)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_whatever_is_in_them() {
        // Two traces: of one span, a map with a text, a float and a list; and of two, a nil and a map.
        let maps = b"\x92\x91\x83\xa1a\xd9\x02xy\xa1b\xcb12345678\xa1c\x92\x01\xff\x92\xc0\x80";
        assert_eq!(spans_of(maps, false), Some(3));
        assert_eq!(spans_of(&[b"\x92\x91\xa0".as_slice(), maps].concat(), true), Some(3));
        assert_eq!(spans_of(b"\x90", false), Some(0));
        for broken in [&maps[..maps.len() - 1], b"\x91\x91", b"\x80", b"", b"\x90\x90"] {
            assert_eq!(spans_of(broken, false), None, "{broken:?}");
        }
    }
}
