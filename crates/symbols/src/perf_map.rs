//! Names of generated code, from a perf map: lines of `START SIZE NAME` in hexadecimal.
//!
//! Format: `tools/perf/Documentation/jit-interface.txt` of Linux. The JDK writes the numbers with
//! `0x` before them. Later lines replace earlier ones that they overlap, as code is moved.

use crate::frame::Frame;
use crate::limits;

/// Functions of generated code.
#[derive(Debug, Default)]
pub struct PerfMap {
    names: String,
    /// Start, end, start and length of the name; sorted by start, without overlaps.
    entries: Vec<(u64, u64, u32, u16)>,
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

fn line(text: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = text.trim_end_matches(['\r', '\n']).split_once(' ')?;
    let (size, name) = rest.split_once(' ')?;
    let (start, size) = (number(start)?, number(size)?);
    (size > 0).then_some(())?;
    Some((start, start.checked_add(size)?, name))
}

impl PerfMap {
    /// Reads a map; lines that make no sense are left out.
    pub fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(limits::PERF_MAP_BYTES_MAX)];
        let mut names = String::new();
        let mut entries: Vec<(u64, u64, u32, u16, u32)> = Vec::new();
        for (order, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if entries.len() == limits::PERF_MAP_ENTRIES_MAX {
                break;
            }
            let text = String::from_utf8_lossy(text);
            let Some((start, end, name)) = line(&text) else { continue };
            let name = &name[..name.floor_char_boundary(limits::NAME_BYTES_MAX)];
            entries.push((start, end, names.len() as u32, name.len() as u16, order as u32));
            names.push_str(name);
        }
        // By start, the newest first among equals; then newer entries cut older ones short.
        entries.sort_unstable_by_key(|it| (it.0, std::cmp::Reverse(it.4)));
        entries.dedup_by_key(|it| it.0);
        let mut kept: Vec<(u64, u64, u32, u16, u32)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut is_hidden = false;
            while let Some(last) = kept.last_mut() {
                if last.1 <= entry.0 {
                    break;
                }
                if last.4 > entry.4 {
                    is_hidden = true;
                    break;
                }
                last.1 = entry.0;
                if last.1 > last.0 {
                    break;
                }
                kept.pop();
            }
            if !is_hidden {
                kept.push(entry);
            }
        }
        let entries = kept.into_iter().map(|it| (it.0, it.1, it.2, it.3)).collect();
        Self { names, entries }
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The function that `address` lies in.
    pub fn find(&self, address: u64) -> Option<Frame> {
        let at = self.entries.partition_point(|it| it.0 <= address).checked_sub(1)?;
        let (_, end, start, len) = self.entries[at];
        let start = start as usize;
        let name = self.names.get(start..start + usize::from(len))?;
        (address < end).then(|| Frame::named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(map: &PerfMap, address: u64) -> Option<String> {
        map.find(address).map(|frame| frame.function)
    }

    #[test]
    fn reads_both_spellings_of_numbers() {
        let map =
            PerfMap::read(b"7f00 10 LazyCompile:*leaf work.js:1\n0x8000 0x20 int Work.cpu()\nx\n");
        assert_eq!(name(&map, 0x7f0f).as_deref(), Some("LazyCompile:*leaf work.js:1"));
        assert_eq!(name(&map, 0x7f10), None);
        assert_eq!(name(&map, 0x801f).as_deref(), Some("int Work.cpu()"));
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn newer_code_replaces_older() {
        let map = PerfMap::read(b"100 100 old\n180 10 new\n100 10 newest\n");
        assert_eq!(name(&map, 0x105).as_deref(), Some("newest"));
        assert_eq!(name(&map, 0x185).as_deref(), Some("new"));
    }

    #[test]
    fn numbers_that_overflow_are_left_out() {
        assert!(PerfMap::read(b"ffffffffffffffff ff x\n 1 2\n\n1 0 zero\n").is_empty());
    }
}
