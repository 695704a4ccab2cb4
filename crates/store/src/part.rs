//! What queries read: a consistent set of parts, each a segment or a piece of the memtable.

use crate::cache::{Caches, Named};
use crate::hidden::Hidden;
use crate::memtable::ChunkView;
use crate::segment::Segment;
use crate::segment::bloom::SpanKey;
use crate::{Error, ProfileRow, Run};
use arrow::array::RecordBatch;
use object_store::path::Path;
use parquet::file::metadata::ParquetMetaData;
use profile::{StackId, Tables};
use std::sync::Arc;
use stdx::Ulid;

/// Everything of one tenant that overlapped a range at one moment. Files of its segments stay
/// until the snapshot and its parts are dropped.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The parts; an event is in exactly one.
    pub parts: Vec<Part>,
}

/// Where a part's samples are. Both forms have the schema [`crate::schema::samples`].
#[derive(Clone, Debug)]
pub enum Samples {
    /// A Parquet file in the store's object store.
    Parquet {
        /// Its path.
        path: Path,
        /// Its size in bytes.
        size: u64,
        /// Its rows.
        rows: u64,
    },
    /// Batches in memory, each sorted within itself only.
    Memory(Vec<RecordBatch>),
}

/// Tables that are read together: a flame graph needs no links, of which there may be more than of
/// anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableSet {
    /// Stacks, locations, functions and mappings.
    Names,
    /// Threads.
    Threads,
    /// Links to spans.
    Links,
    /// Sets of attributes.
    Attributes,
}

impl TableSet {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Names, Self::Threads, Self::Links, Self::Attributes];
}

/// A segment, or a piece of the memtable. All its samples are of one tenant, and ordinals in it
/// mean nothing outside it.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) source: Source,
    /// Deletions that may hide some of its profiles.
    pub(crate) hidden: Option<Hidden>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Segment(Arc<Segment>, Arc<Caches>),
    Chunk(ChunkView),
}

impl Part {
    /// Name of the part. A memtable part keeps its name while it grows, so nothing derived from it
    /// may be cached by name; [`Part::is_immutable`] tells.
    pub fn id(&self) -> Ulid {
        match &self.source {
            Source::Segment(segment, _) => segment.id,
            Source::Chunk(chunk) => chunk.id,
        }
    }

    /// Whether the id names these contents for ever. Not while a deletion may hide some of it.
    pub fn is_immutable(&self) -> bool {
        matches!(self.source, Source::Segment(..)) && self.hidden.is_none()
    }

    /// First and last time in it, both inclusive, in nanoseconds since the epoch.
    pub fn time_bounds(&self) -> (i64, i64) {
        match &self.source {
            Source::Segment(segment, _) => (segment.row.t_min_ns, segment.row.t_max_ns),
            Source::Chunk(chunk) => chunk.time_bounds,
        }
    }

    /// Services that have profiles in it (from the range index, nothing is read).
    pub fn services(&self) -> Vec<String> {
        match &self.source {
            Source::Segment(segment, _) => segment.index.services.clone(),
            Source::Chunk(chunk) => chunk.services(),
        }
    }

    /// Whether the profile may be in it (from the range index, nothing is read).
    pub(crate) fn may_hold(&self, id: Ulid) -> bool {
        match &self.source {
            Source::Segment(segment, _) => segment.index.may_hold(id),
            Source::Chunk(chunk) => chunk.profiles.iter().any(|row| row.id == id),
        }
    }

    /// The part's samples.
    pub fn samples(&self) -> Samples {
        match &self.source {
            Source::Segment(segment, _) => Samples::Parquet {
                path: Path::from(segment.path("samples")),
                size: segment.index.file_bytes("samples").unwrap_or(0),
                rows: segment.row.rows,
            },
            Source::Chunk(chunk) => Samples::Memory(chunk.batches.clone()),
        }
    }

    /// The footer and page index of the samples' file; `None` for parts in memory.
    pub async fn parquet_metadata(&self) -> Result<Option<Arc<ParquetMetaData>>, Error> {
        match &self.source {
            Source::Segment(segment, caches) => caches.footer(segment).await.map(Some),
            Source::Chunk(_) => Ok(None),
        }
    }

    /// The part's profiles: `profiles()[n].ordinal == n`. Samples of a profile that
    /// [`ProfileRow::is_hidden`] are to be left out.
    pub async fn profiles(&self) -> Result<Arc<Vec<ProfileRow>>, Error> {
        let rows = match &self.source {
            Source::Segment(segment, caches) => caches.profiles(segment).await?,
            Source::Chunk(chunk) => Arc::clone(&chunk.profiles),
        };
        Ok(match &self.hidden {
            Some(hidden) => hidden.mask(rows),
            None => rows,
        })
    }

    /// Where the samples of each kind and series are in the file; `None` where it is not known: in
    /// memory and in segments of version 1.
    pub async fn runs(&self) -> Result<Option<Arc<Vec<Run>>>, Error> {
        match &self.source {
            Source::Segment(segment, caches) if segment.index.has("runs") => {
                caches.runs(segment).await.map(Some)
            }
            Source::Segment(..) | Source::Chunk(_) => Ok(None),
        }
    }

    /// Whether samples of a span may be in it: most segments say no by their bloom filters, without
    /// their tables being read.
    pub async fn may_hold_span(&self, key: SpanKey) -> Result<bool, Error> {
        let Source::Segment(segment, _) = &self.source else { return Ok(true) };
        segment.read_in_background(move |segment| segment.may_hold_span(key)).await
    }

    /// What names some of the part's stacks, which is less to read than all of its tables.
    pub async fn names_of(&self, stacks: Vec<StackId>) -> Result<Named, Error> {
        match &self.source {
            Source::Segment(segment, caches) => caches.names_of(segment, stacks).await,
            Source::Chunk(chunk) => {
                Ok(Named { tables: Arc::clone(&chunk.tables), stacks: stacks.into() })
            }
        }
    }

    /// A set of the part's tables: `StackId(n)` is the value `n` of column `stack`; so for threads,
    /// links and attributes. Nothing but the set may be looked for in them.
    pub async fn tables(&self, set: TableSet) -> Result<Arc<Tables>, Error> {
        match &self.source {
            Source::Segment(segment, caches) => caches.tables(segment, set).await,
            Source::Chunk(chunk) => Ok(Arc::clone(&chunk.tables)),
        }
    }
}
