//! A segment: an immutable directory of Parquet files under one id. Format page:
//! `docs/formats/segment.md`.

pub(crate) mod bloom;
pub(crate) mod layout;
pub(crate) mod merge;
pub(crate) mod pick;
mod pieces;
mod profiles;
pub(crate) mod read;
mod samples;
pub(crate) mod table;
mod tables;
pub(crate) mod write;

use crate::Error;
use crate::index::RangeIndex;
use crate::layer::FileLayer;
use crate::part::TableSet;
use crate::rows::{ProfileRow, Run};
use bytes::Bytes;
use catalog::SegmentRow;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use pick::Picked;
use pieces::Pieces;
use profile::{StackId, Tables};
use std::sync::Arc;
use stdx::{TimeRange, Ulid};

/// Directory of all segments.
pub(crate) const DIR: &str = "segments";

/// A live segment. Its files stay at least as long as this is referenced.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: Ulid,
    pub(crate) row: SegmentRow,
    pub(crate) index: RangeIndex,
    layer: Arc<dyn FileLayer>,
}

/// The directory of a segment.
pub(crate) fn dir(id: Ulid) -> String {
    format!("{DIR}/{id}")
}

impl Segment {
    pub(crate) fn new(row: SegmentRow, layer: Arc<dyn FileLayer>) -> Result<Self, Error> {
        let index = RangeIndex::decode(&row.range_index)?;
        Ok(Self { id: row.id, row, index, layer })
    }

    pub(crate) fn path(&self, table: &str) -> String {
        format!("{}/{table}.parquet", dir(self.id))
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        crate::memtable::overlaps((self.row.t_min_ns, self.row.t_max_ns), range)
    }

    /// A table's file; `None` when the table is empty.
    pub(crate) fn file(&self, table: &str) -> Result<Option<Bytes>, Error> {
        if !self.index.has(table) {
            return Ok(None);
        }
        let path = self.path(table);
        self.layer.read(&path).map(Some).map_err(Error::io(format!("read {path}")))
    }

    /// One set of the tables that samples point to.
    pub(crate) fn read_tables(&self, set: TableSet) -> Result<Tables, Error> {
        let mut tables = Tables::default();
        read::tables(self, set, &mut tables)?;
        Ok(tables)
    }

    /// All of them.
    pub(crate) fn read_all_tables(&self) -> Result<Tables, Error> {
        let mut tables = Tables::default();
        for set in TableSet::ALL {
            read::tables(self, set, &mut tables)?;
        }
        Ok(tables)
    }

    /// A table's file to be read in pieces; `None` when the table is empty.
    pub(crate) fn pieces(&self, table: &str) -> Option<Pieces> {
        let length = self.index.file_bytes(table)?;
        Some(Pieces { layer: Arc::clone(&self.layer), path: self.path(table), length })
    }

    pub(crate) fn pick(&self, stacks: &[StackId]) -> Result<Picked, Error> {
        pick::pick(self, stacks)
    }

    pub(crate) fn read_profiles(&self) -> Result<Vec<ProfileRow>, Error> {
        read::profiles(self)
    }

    pub(crate) fn read_runs(&self) -> Result<Vec<Run>, Error> {
        read::runs(self)
    }

    /// Runs a reader where it may block.
    pub(crate) async fn read_in_background<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let segment = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || read(&segment));
        task.await.unwrap_or_else(|_| Err(Error::corrupt("a reader panicked")))
    }

    pub(crate) fn read_footer(&self) -> Result<ParquetMetaData, Error> {
        let file = self.file("samples")?;
        let file = file.ok_or_else(|| Error::corrupt("a segment without samples"))?;
        let reader = ParquetMetaDataReader::new();
        let reader = reader.with_page_index_policy(PageIndexPolicy::Optional);
        Ok(reader.parse_and_finish(&file)?)
    }
}
