//! What questions about records read: a consistent set of parts, each a segment or a piece of the
//! memtable.

use super::{Group, Record, read};
use crate::Error;
use crate::hidden::Hidden;
use crate::segment::Segment;
use object_store::path::Path;
use profile::Labels;
use std::sync::Arc;

/// A segment of records, or those of the memtable. Files stay until it is dropped.
#[derive(Clone, Debug)]
pub struct RecordPart<R> {
    pub(crate) source: Source<R>,
    /// Deletions that may hide some of it.
    pub(crate) hidden: Option<Hidden>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source<R> {
    Segment(Arc<Segment>),
    Memory(Vec<Arc<Group<R>>>),
}

/// Where a part's records are.
#[derive(Clone, Debug)]
pub enum Records<'a, R> {
    /// A Parquet file in the store's object store, which [`super::read::decode`] reads batches of.
    Parquet {
        /// Its path.
        path: Path,
        /// Its size in bytes.
        size: u64,
    },
    /// In memory.
    Memory(&'a [Arc<Group<R>>]),
}

impl<R: Record> RecordPart<R> {
    /// Where its records are.
    pub fn records(&self) -> Records<'_, R> {
        let table = R::CONTENT.name();
        match &self.source {
            Source::Segment(segment) => Records::Parquet {
                path: Path::from(segment.path(table)),
                size: segment.index.file_bytes(table).unwrap_or(0),
            },
            Source::Memory(groups) => Records::Memory(groups),
        }
    }

    /// Services in it; `None` when that is not known.
    pub fn services(&self) -> Option<&[String]> {
        match &self.source {
            Source::Segment(segment) => Some(&segment.index.services),
            Source::Memory(_) => None,
        }
    }

    /// The labels of its series, where it is a file.
    pub async fn series(&self) -> Result<Vec<Arc<Labels>>, Error> {
        match &self.source {
            Source::Segment(segment) => segment.read_in_background(read::series).await,
            Source::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Everything of it that no deletion hides, for checks.
    pub async fn all(&self) -> Result<Vec<R>, Error> {
        let mut rows: Vec<R> = match &self.source {
            Source::Segment(segment) => segment.read_in_background(read::all::<R>).await?,
            Source::Memory(groups) => groups.iter().flat_map(|it| it.rows.clone()).collect(),
        };
        rows.retain(|row| !self.is_hidden(row));
        Ok(rows)
    }

    /// Whether a deletion may hide some of its records.
    pub fn may_be_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Whether a deletion hides a record.
    pub fn is_hidden(&self, row: &R) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.of_record(row.base()).is_some())
    }
}
