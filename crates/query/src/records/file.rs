//! A file of spans or events: which of its row groups may hold an answer, and their rows.

use crate::reader::Reader;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector,
};
use parquet::arrow::async_reader::{
    MetadataFetch, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::statistics::Statistics;
use std::ops::Range;
use std::sync::Arc;
use stdx::TimeRange;
use views::ViewError;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// What is asked for, as far as statistics and bloom filters can tell.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// What began then.
    pub(crate) range: TimeRange,
    /// What took as long.
    pub(crate) duration_nanos_min: i64,
    /// Only of this trace.
    pub(crate) trace: Option<u128>,
    /// Columns that have one of some texts.
    pub(crate) texts: Vec<(&'static str, Vec<&'a str>)>,
}

/// A file and what its footer says.
#[derive(Debug)]
pub(crate) struct File {
    store: Arc<dyn ObjectStore>,
    path: Path,
    metadata: ArrowReaderMetadata,
}

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    All,
    /// All but the attributes, which take most of the room.
    WithoutAttributes,
    /// What says of which series a record is, and whether a range or a deletion reaches it.
    Times,
}

impl Columns {
    fn has(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::WithoutAttributes => name != "attributes",
            Self::Times => ["series", "start_ns", "duration_ns", "received_at_ns"].contains(&name),
        }
    }
}

/// Reads the footer.
struct Fetch<'a> {
    store: &'a Arc<dyn ObjectStore>,
    path: &'a Path,
}

impl MetadataFetch for Fetch<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let bytes = self.store.get_ranges(self.path, std::slice::from_ref(&range)).await;
            let bytes = bytes.map_err(|error| ParquetError::External(Box::new(error)))?.pop();
            let is_whole = |bytes: &Bytes| bytes.len() as u64 == range.end - range.start;
            let short = || ParquetError::General(format!("{} was read in part", self.path));
            bytes.filter(is_whole).ok_or_else(short)
        }
        .boxed()
    }
}

fn failed(path: &Path, error: &ParquetError) -> ViewError {
    ViewError::Store(format!("{path}: {error}"))
}

impl File {
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        path: Path,
        size: u64,
    ) -> Result<Self, ViewError> {
        let fetch = Fetch { store: &store, path: &path };
        let metadata = ParquetMetaDataReader::new().load_and_finish(fetch, size).await;
        let metadata = metadata.and_then(|metadata| {
            ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
        });
        let metadata = metadata.map_err(|error| failed(&path, &error))?;
        Ok(Self { store, path, metadata })
    }

    fn builder(&self) -> ParquetRecordBatchStreamBuilder<Reader> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let reader = Reader { store, path, metadata: Arc::clone(self.metadata.metadata()) };
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
    }

    fn column(&self, name: &str) -> Option<usize> {
        let columns = self.metadata.metadata().file_metadata().schema_descr().columns();
        columns.iter().position(|column| column.name() == name)
    }

    fn statistics(&self, group: usize, name: &str) -> Option<&Statistics> {
        let at = self.column(name)?;
        self.metadata.metadata().row_group(group).column(at).statistics()
    }

    /// Row groups that may hold what is wanted.
    pub(crate) async fn groups(&self, wanted: &Wanted<'_>) -> Result<Vec<usize>, ViewError> {
        let all = 0..self.metadata.metadata().num_row_groups();
        let has_texts = |group: usize| {
            wanted.texts.iter().all(|(column, texts)| self.may_have(group, column, texts))
        };
        let mut groups: Vec<usize> =
            all.filter(|&group| self.may_overlap(group, wanted) && has_texts(group)).collect();
        if let (Some(trace), Some(column)) = (wanted.trace, self.column("trace_id")) {
            let mut builder = self.builder();
            let mut kept = Vec::new();
            for group in groups {
                let bloom = builder.get_row_group_column_bloom_filter(group, column).await;
                let bloom = bloom.map_err(|error| failed(&self.path, &error))?;
                if bloom.is_none_or(|bloom| bloom.check(&trace.to_be_bytes()[..])) {
                    kept.push(group);
                }
            }
            groups = kept;
        }
        Ok(groups)
    }

    fn may_overlap(&self, group: usize, wanted: &Wanted<'_>) -> bool {
        let at_least = |name: &str, least: i64| match self.statistics(group, name) {
            Some(Statistics::Int64(found)) => found.max_opt().is_none_or(|max| *max >= least),
            _ => true,
        };
        let begins = match self.statistics(group, "start_ns") {
            Some(Statistics::Int64(found)) => {
                found.min_opt().is_none_or(|min| *min < wanted.range.end.nanos())
            }
            _ => true,
        };
        begins
            && at_least("start_ns", wanted.range.start.nanos())
            && at_least("duration_ns", wanted.duration_nanos_min)
    }

    fn may_have(&self, group: usize, column: &str, texts: &[&str]) -> bool {
        let Some(found) = self.statistics(group, column) else { return true };
        texts.iter().map(|text| text.as_bytes()).any(|text| {
            found.min_bytes_opt().is_none_or(|min| min <= text)
                && found.max_bytes_opt().is_none_or(|max| max >= text)
        })
    }

    /// The rows of a row group: those of these numbers, which are sorted, or all where there are
    /// none.
    pub(crate) fn read(
        &self,
        group: usize,
        columns: Columns,
        rows: &[usize],
    ) -> Result<Batches<'_>, ViewError> {
        let schema = self.metadata.parquet_schema();
        let names = schema.root_schema().get_fields().iter().map(|field| field.name());
        let wanted = names.enumerate().filter(|(_, name)| columns.has(name));
        let mask = ProjectionMask::roots(schema, wanted.map(|(at, _)| at));
        let mut builder = self
            .builder()
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        if !rows.is_empty() {
            builder = builder.with_row_selection(selection(rows));
        }
        let stream = builder.build().map_err(|error| failed(&self.path, &error))?;
        Ok(Batches { stream, path: &self.path })
    }
}

/// Sorted rows as what to pass over and what to take.
fn selection(rows: &[usize]) -> RowSelection {
    let (mut selectors, mut next) = (Vec::with_capacity(rows.len() * 2), 0);
    for &row in rows {
        if row > next {
            selectors.push(RowSelector::skip(row - next));
        }
        if row >= next {
            selectors.push(RowSelector::select(1));
            next = row + 1;
        }
    }
    selectors.into()
}

/// Rows as they are read.
pub(crate) struct Batches<'a> {
    stream: ParquetRecordBatchStream<Reader>,
    path: &'a Path,
}

impl Batches<'_> {
    pub(crate) async fn next(&mut self) -> Result<Option<arrow::array::RecordBatch>, ViewError> {
        let next = self.stream.next().await.transpose();
        next.map_err(|error| failed(self.path, &error))
    }
}
