//! What questions about spans read: a consistent set of parts, each a segment or a piece of the
//! memtable.

use super::{Entry, read};
use crate::Error;
use crate::hidden::Hidden;
use crate::segment::Segment;
use object_store::path::Path;
use profile::Labels;
use std::sync::Arc;
use views::SpanInfo;

/// A segment of spans, or those of the memtable. Files stay until it is dropped.
#[derive(Clone, Debug)]
pub struct SpanPart {
    pub(crate) source: SpanSource,
    /// Deletions that may hide some of it.
    pub(crate) hidden: Option<Hidden>,
}

#[derive(Clone, Debug)]
pub(crate) enum SpanSource {
    Segment(Arc<Segment>),
    Memory(Vec<Arc<Entry>>),
}

/// Where a part's spans are.
#[derive(Clone, Debug)]
pub enum Spans<'a> {
    /// A Parquet file in the store's object store, which [`super::read::decode`] reads batches of.
    Parquet {
        /// Its path.
        path: Path,
        /// Its size in bytes.
        size: u64,
    },
    /// In memory.
    Memory(&'a [Arc<Entry>]),
}

impl SpanPart {
    /// Where its spans are.
    pub fn spans(&self) -> Spans<'_> {
        match &self.source {
            SpanSource::Segment(segment) => {
                let size = segment.index.files.iter().find(|(name, _)| name == "spans");
                let size = size.map_or(0, |(_, bytes)| *bytes);
                Spans::Parquet { path: Path::from(segment.path("spans")), size }
            }
            SpanSource::Memory(entries) => Spans::Memory(entries),
        }
    }

    /// Services in it; `None` when that is not known.
    pub fn services(&self) -> Option<&[String]> {
        match &self.source {
            SpanSource::Segment(segment) => Some(&segment.index.services),
            SpanSource::Memory(_) => None,
        }
    }

    /// The labels of its series, where it is a file.
    pub async fn series(&self) -> Result<Vec<Arc<Labels>>, Error> {
        match &self.source {
            SpanSource::Segment(segment) => segment.read_in_background(read::series).await,
            SpanSource::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Everything of it that no deletion hides, for checks.
    pub async fn all(&self) -> Result<Vec<SpanInfo>, Error> {
        let mut spans: Vec<SpanInfo> = match &self.source {
            SpanSource::Segment(segment) => segment.read_in_background(read::spans).await?,
            SpanSource::Memory(entries) => entries.iter().flat_map(|it| it.infos()).collect(),
        };
        spans.retain(|info| !self.is_hidden(info));
        Ok(spans)
    }

    /// Whether a deletion may hide some of its spans.
    pub fn may_be_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Whether a deletion hides a span.
    pub fn is_hidden(&self, info: &SpanInfo) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.of_span(info).is_some())
    }
}
