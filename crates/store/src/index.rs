//! A segment's range index: what its catalog row says beside times and sizes.

use crate::Error;
use crate::codec::read::Reader;
use crate::codec::write::Writer;
use stdx::Ulid;

const VERSION: u64 = 2;

/// The index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeIndex {
    /// Services in it, sorted.
    pub(crate) services: Vec<String>,
    /// Kinds in it, sorted.
    pub(crate) kinds: Vec<String>,
    /// Its tables and their bytes; an empty table has no file.
    pub(crate) files: Vec<(String, u64)>,
    /// Number of profiles.
    pub(crate) profiles: u64,
    /// Estimated bytes of its tables in memory.
    pub(crate) raw_bytes: u64,
    /// Smallest and largest id of its profiles; version 1 did not know them.
    pub(crate) ids: Option<(Ulid, Ulid)>,
}

impl RangeIndex {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(VERSION);
        for list in [&self.services, &self.kinds] {
            out.number(list.len() as u64);
            for text in list {
                out.text(text);
            }
        }
        out.number(self.files.len() as u64);
        for (name, bytes) in &self.files {
            out.text(name);
            out.number(*bytes);
        }
        out.number(self.profiles);
        out.number(self.raw_bytes);
        out.number(u64::from(self.ids.is_some()));
        for id in self.ids.iter().flat_map(|(first, last)| [first, last]) {
            out.number(halves(*id).0);
            out.number(halves(*id).1);
        }
        out.bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes).map_err(|what| Error::corrupt(format!("range index in the catalog: {what}")))
    }

    /// Bytes of a table's file; `None` when the table is empty.
    pub(crate) fn file_bytes(&self, table: &str) -> Option<u64> {
        self.files.iter().find(|(name, _)| name == table).map(|(_, bytes)| *bytes)
    }

    /// Whether the profile may be in it.
    pub(crate) fn may_hold(&self, id: Ulid) -> bool {
        self.ids.is_none_or(|(first, last)| first <= id && id <= last)
    }

    pub(crate) fn has(&self, table: &str) -> bool {
        self.file_bytes(table).is_some()
    }
}

fn halves(id: Ulid) -> (u64, u64) {
    ((id.0 >> 64) as u64, id.0 as u64)
}

fn read(bytes: &[u8]) -> Result<RangeIndex, &'static str> {
    let mut from = Reader::new(bytes);
    let version = from.number()?;
    if version == 0 || version > VERSION {
        return Err("unknown version");
    }
    let mut index = RangeIndex::default();
    for list in [&mut index.services, &mut index.kinds] {
        for _ in 0..from.count()? {
            list.push(from.text()?.to_owned());
        }
    }
    for _ in 0..from.count()? {
        index.files.push((from.text()?.to_owned(), from.number()?));
    }
    index.profiles = from.number()?;
    index.raw_bytes = from.number()?;
    if version >= 2 && from.number()? != 0 {
        index.ids = Some((id(&mut from)?, id(&mut from)?));
    }
    Ok(index)
}

fn id(from: &mut Reader<'_>) -> Result<Ulid, &'static str> {
    let (high, low) = (from.number()?, from.number()?);
    Ok(Ulid::from((u128::from(high) << 64) | u128::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back_and_a_cut_one_is_an_error() {
        let index = RangeIndex {
            services: vec!["a".to_owned(), "b\nc".to_owned()],
            kinds: vec!["stack".to_owned()],
            files: vec![("samples".to_owned(), 300)],
            profiles: 2,
            raw_bytes: 1 << 40,
            ids: Some((Ulid::from(3), Ulid::from(u128::MAX))),
        };
        let bytes = index.encode();
        assert_eq!(RangeIndex::decode(&bytes).expect("decodes"), index);
        for length in 0..bytes.len() {
            RangeIndex::decode(&bytes[..length]).expect_err("cut");
        }
        assert!(index.may_hold(Ulid::from(3)) && !index.may_hold(Ulid::from(2)));
        assert!(RangeIndex::default().may_hold(Ulid::from(2)), "not known is not absent");
    }
}
