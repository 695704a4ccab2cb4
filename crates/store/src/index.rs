//! A segment's range index: what its catalog row says beside times and sizes.

use crate::Error;
use crate::codec::read::Reader;
use crate::codec::write::Writer;

const VERSION: u64 = 1;

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
        out.bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes).map_err(|what| Error::corrupt(format!("range index in the catalog: {what}")))
    }

    pub(crate) fn samples_bytes(&self) -> u64 {
        self.files.iter().find(|(name, _)| name == "samples").map_or(0, |(_, bytes)| *bytes)
    }

    pub(crate) fn has(&self, table: &str) -> bool {
        self.files.iter().any(|(name, _)| name == table)
    }
}

fn read(bytes: &[u8]) -> Result<RangeIndex, &'static str> {
    let mut from = Reader::new(bytes);
    if from.number()? != VERSION {
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
    Ok(index)
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
        };
        let bytes = index.encode();
        assert_eq!(RangeIndex::decode(&bytes).expect("decodes"), index);
        for length in 0..bytes.len() {
            RangeIndex::decode(&bytes[..length]).expect_err("cut");
        }
    }
}
