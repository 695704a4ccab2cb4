//! Executable mappings of one process.

use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a mapping's file was looked up.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    /// Not yet.
    Unknown,
    /// It has one that can be read.
    Module(Arc<crate::modules::Loaded>),
    /// None: generated code, or a file that cannot be had.
    None,
}

/// One executable mapping.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) end: u64,
    pub(crate) offset: u64,
    pub(crate) inode: u64,
    pub(crate) path: Arc<str>,
    pub(crate) backing: Backing,
}

/// Mappings by start address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maps(BTreeMap<u64, Mapping>);

impl Maps {
    /// Reads `/proc/PID/maps`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut maps = Self::default();
        for line in text.lines() {
            if let Some((start, mapping)) = parse_line(line) {
                maps.insert(start, mapping);
            }
        }
        maps
    }

    /// Adds a mapping; of those that it covers, the parts outside stay.
    pub(crate) fn insert(&mut self, start: u64, mapping: Mapping) {
        if self.0.len() >= limits::MAPPINGS_MAX || mapping.end <= start {
            return;
        }
        let end = mapping.end;
        let overlapping = self.0.range(..end).rev().take_while(|(_, it)| it.end > start);
        let starts: Vec<u64> = overlapping.map(|(start, _)| *start).collect();
        for old_start in starts {
            let Some(old) = self.0.remove(&old_start) else { continue };
            if old.end > end {
                let offset = old.offset + (end - old_start);
                self.0.insert(end, Mapping { offset, ..old.clone() });
            }
            if old_start < start {
                self.0.insert(old_start, Mapping { end: start, ..old });
            }
        }
        self.0.insert(start, mapping);
    }

    /// The mapping that holds `address`, and its start.
    pub(crate) fn find(&mut self, address: u64) -> Option<(u64, &mut Mapping)> {
        let (start, mapping) = self.0.range_mut(..=address).next_back()?;
        (address < mapping.end).then_some((*start, mapping))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.values()
    }
}

fn parse_line(line: &str) -> Option<(u64, Mapping)> {
    // START-END PERMISSIONS OFFSET DEVICE INODE      PATH
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    if permissions.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let offset = fields.next()?;
    fields.next()?;
    let inode = fields.next()?;
    let path = fields.next().unwrap_or_default().trim();
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((
        number(start)?,
        Mapping {
            end: number(end)?,
            offset: number(offset)?,
            inode: inode.parse().ok()?,
            path: path.strip_suffix(" (deleted)").unwrap_or(path).into(),
            backing: Backing::Unknown,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        5600-5700 r--p 00000000 fd:00 12                       /bin/a\n\
        5700-5900 r-xp 00001000 fd:00 12                       /bin/a b (deleted)\n\
        7000-8000 rwxp 00000000 00:00 0 \n\
        nonsense\n";

    #[test]
    fn only_code_is_kept() {
        let mut maps = Maps::parse(TEXT);
        let (start, mapping) = maps.find(0x5800).expect("mapped");
        assert_eq!((start, mapping.offset, mapping.inode), (0x5700, 0x1000, 12));
        assert_eq!(&*mapping.path, "/bin/a b");
        assert!(maps.find(0x5650).is_none() && maps.find(0x5900).is_none());
        assert_eq!(&*maps.find(0x7fff).expect("mapped").1.path, "");
    }

    #[test]
    fn a_new_mapping_replaces_what_it_covers() {
        let mut maps = Maps::parse(TEXT);
        let new =
            Mapping { end: 0x5880, inode: 99, ..maps.find(0x7000).expect("mapped").1.clone() };
        maps.insert(0x5800, new);
        let mut at = |address| maps.find(address).map(|(start, it)| (start, it.offset, it.inode));
        assert_eq!(at(0x57ff), Some((0x5700, 0x1000, 12)), "what lies before stays");
        assert_eq!(at(0x5800), Some((0x5800, 0, 99)));
        assert_eq!(at(0x5880), Some((0x5880, 0x1180, 12)), "what lies behind stays");
        assert_eq!(at(0x5900), None);
    }

    #[test]
    fn a_mapping_over_several_replaces_all() {
        let mut maps = Maps::parse(TEXT);
        let new =
            Mapping { end: 0x7800, inode: 99, ..maps.find(0x7000).expect("mapped").1.clone() };
        maps.insert(0x5000, new);
        let mut at = |address| maps.find(address).map(|(start, it)| (start, it.inode));
        assert_eq!(at(0x5700), Some((0x5000, 99)));
        assert_eq!(at(0x77ff), Some((0x5000, 99)));
        assert_eq!(at(0x7800), Some((0x7800, 0)));
    }
}
