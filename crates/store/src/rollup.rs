//! Hourly rollups: what is left of an hour when its samples are gone. An immutable folder of Parquet
//! files for each tenant and hour. Format page: `docs/formats/rollup.md`.

pub(crate) mod build;
pub(crate) mod read;
mod sums;
mod tally;
mod tree;
mod trie;
pub(crate) mod write;

use crate::codec::read::Reader;
use crate::codec::write::Writer;
use crate::hidden::Tombstone;
use crate::layer::FileLayer;
use crate::{Error, files};
use bytes::Bytes;
use catalog::RollupRow;
use read::Wanted;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stdx::{Timestamp, Ulid};
use views::Frame;
use views::rollup::{HOUR_MS, KindRollup};

/// Version of the format, in each file's footer as `vesta.version`.
pub const ROLLUP_VERSION: u32 = 1;
/// Folder of all rollups.
pub(crate) const DIR: &str = "rollups";

/// The folder of a rollup.
pub(crate) fn dir(id: Ulid) -> String {
    format!("{DIR}/{id}")
}

/// The hour of a time in milliseconds.
pub(crate) fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}

/// What a catalog row says beside times and sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) services: Vec<String>,
    pub(crate) kinds: Vec<String>,
    /// Tables and their bytes.
    pub(crate) files: Vec<(String, u64)>,
}

impl Contents {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(1);
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
        out.bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut from = Reader::new(bytes);
        if from.number()? != 1 {
            return Err("unknown version");
        }
        let mut contents = Self::default();
        for list in [&mut contents.services, &mut contents.kinds] {
            for _ in 0..from.count()? {
                list.push(from.text()?.to_owned());
            }
        }
        for _ in 0..from.count()? {
            contents.files.push((from.text()?.to_owned(), from.number()?));
        }
        Ok(contents)
    }
}

/// A live rollup. Its files stay at least as long as this is referenced.
#[derive(Debug)]
pub(crate) struct Rollup {
    pub(crate) row: RollupRow,
    pub(crate) contents: Contents,
    is_sealed: AtomicBool,
    layer: Arc<dyn FileLayer>,
}

impl Rollup {
    /// Whether samples of the hour were dropped.
    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::SeqCst)
    }

    /// Samples of the hour are being dropped.
    pub(crate) fn seal(&self) {
        self.is_sealed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn new(row: RollupRow, layer: Arc<dyn FileLayer>) -> Result<Self, Error> {
        let contents = Contents::decode(&row.contents);
        let contents =
            contents.map_err(|what| Error::corrupt(format!("rollup {}: {what}", row.id)))?;
        let is_sealed = AtomicBool::new(row.is_sealed);
        Ok(Self { row, contents, is_sealed, layer })
    }

    pub(crate) fn path(&self, table: &str) -> String {
        format!("{}/{table}.parquet", dir(self.row.id))
    }

    pub(crate) fn file(&self, table: &str) -> Result<Option<Bytes>, Error> {
        if !self.contents.files.iter().any(|(name, _)| name == table) {
            return Ok(None);
        }
        let path = self.path(table);
        self.layer.read(&path).map(Some).map_err(Error::io(format!("read {path}")))
    }

    /// First and last nanosecond.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        let start = Timestamp::from_millis(self.row.hour_ms).nanos();
        let end = Timestamp::from_millis(self.row.hour_ms.saturating_add(HOUR_MS)).nanos();
        (start, end.saturating_sub(1))
    }

    /// Everything of it.
    pub(crate) fn read_all(&self) -> Result<Vec<KindRollup>, Error> {
        read::read(self, &Wanted { prefixes: true, functions: true, ..Wanted::default() })
    }

    /// Writes the files of an hour, durable when this returns.
    pub(crate) fn write(
        layer: &Arc<dyn FileLayer>,
        head: (Ulid, &str, i64, Timestamp),
        parts: &[KindRollup],
        frames: &[Frame],
    ) -> Result<Self, Error> {
        let (id, tenant, hour_ms, created_at) = head;
        let files = write::files(parts, frames)?;
        if let Err(error) = files::put_tables(&**layer, DIR, &dir(id), &files) {
            // What stays behind is moved aside when the store is opened.
            let _ = layer.remove_dir(&dir(id));
            return Err(error);
        }
        let names = |of: fn(&KindRollup) -> &String| {
            let names: BTreeSet<&String> = parts.iter().map(of).collect();
            names.into_iter().cloned().collect()
        };
        let sizes = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64));
        let contents = Contents {
            services: names(|part| &part.service),
            kinds: names(|part| &part.kind),
            files: sizes.collect(),
        };
        let row = RollupRow {
            id,
            tenant: tenant.to_owned(),
            hour_ms,
            bytes: contents.files.iter().map(|(_, bytes)| bytes).sum(),
            is_sealed: false,
            created_at,
            contents: contents.encode(),
        };
        Self::new(row, Arc::clone(layer))
    }
}

/// Leaves series out that deletions name; gives whether there were any.
pub(crate) fn without_deleted(parts: &mut Vec<KindRollup>, stones: &[Arc<Tombstone>]) -> bool {
    let mut is_changed = false;
    for part in &mut *parts {
        let named =
            |row: &views::rollup::SeriesRollup| stones.iter().any(|stone| stone.names(&row.labels));
        let gone: Vec<bool> = part.series.iter().map(named).collect();
        if gone.contains(&true) {
            is_changed = true;
            let mut ranks = Vec::with_capacity(gone.len());
            let mut next = 0;
            for gone in &gone {
                ranks.push(next);
                next += u32::from(!gone);
            }
            let keeps = |series: u32| !gone[series as usize];
            part.cells.retain(|cell| keeps(cell.series));
            part.functions.retain(|cell| keeps(cell.series));
            part.cells.iter_mut().for_each(|cell| cell.series = ranks[cell.series as usize]);
            part.functions.iter_mut().for_each(|cell| cell.series = ranks[cell.series as usize]);
            let mut at = 0;
            part.series.retain(|_| {
                at += 1;
                !gone[at - 1]
            });
        }
    }
    parts.retain(|part| !part.series.is_empty());
    is_changed
}

/// An hour that questions may be answered from.
#[derive(Clone, Debug)]
pub struct HourPart {
    pub(crate) rollup: Arc<Rollup>,
    /// Deletions that may name some of it.
    pub(crate) hidden: Vec<Arc<Tombstone>>,
}

impl HourPart {
    /// Whether retention has dropped samples of the hour, so that only this answers.
    pub fn is_sealed(&self) -> bool {
        self.rollup.is_sealed()
    }

    /// Kinds in it; nothing is read.
    pub fn kinds(&self) -> &[String] {
        &self.rollup.contents.kinds
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.rollup.row.bytes
    }

    /// Reads what is wanted, where it may block.
    pub async fn read(&self, wanted: &Wanted) -> Result<Vec<KindRollup>, Error> {
        let (part, wanted) = (self.clone(), wanted.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut parts = read::read(&part.rollup, &wanted)?;
            without_deleted(&mut parts, &part.hidden);
            Ok(parts)
        });
        task.await.unwrap_or_else(|_| Err(Error::corrupt("a reader panicked")))
    }
}

/// A tenant's rollups in a range, as of now.
#[derive(Clone, Debug, Default)]
pub struct Hours {
    /// By start of the hour: those that hold all that is stored of it.
    pub ready: BTreeMap<i64, HourPart>,
}

impl Hours {
    /// Kinds in them.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.ready.values().flat_map(|part| part.kinds().iter().map(String::as_str)).collect()
    }
}
