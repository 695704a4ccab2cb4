//! Spans: a [`Record`] beside profiles, and what an upload says of one series, an [`Entry`] of the
//! log. Format page: `docs/formats/spans.md`.

pub(crate) mod codec;

use crate::Error;
use crate::limits::{BLOOM_FALSE_PART, RECORD_GROUP_ROWS_MAX};
use crate::records::file::texts;
use crate::records::read::{Column, absent};
use crate::records::{Base, Field, OwnBase, Record, Texts};
use arrow::array::{Array, BooleanArray, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use catalog::Content;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use profile::{Span, SpanBatch, SpanKind, SpanStatus};
use std::cmp::Ordering;
use std::sync::Arc;
use stdx::{Timestamp, Ulid};
use views::SpanInfo;

/// Version of the format.
pub const SPANS_VERSION: u32 = 1;
/// What rules of retention call spans, as if they were a kind of sample.
pub const SPANS_KIND: &str = "spans";

/// Spans as the log keeps them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The id they were acknowledged with.
    pub id: Ulid,
    /// Whose they are.
    pub tenant: Arc<str>,
    /// When they were appended.
    pub received_at: Timestamp,
    /// The spans.
    pub batch: Arc<SpanBatch>,
}

impl Entry {
    /// Its spans one by one.
    pub(crate) fn infos(&self) -> Vec<SpanInfo> {
        let labels = Arc::new(self.batch.labels.clone());
        let info = |span: &Span| SpanInfo {
            labels: Arc::clone(&labels),
            received_at: self.received_at,
            span: span.clone(),
        };
        self.batch.spans.iter().map(info).collect()
    }
}

/// The columns that only spans have.
#[derive(Debug)]
pub struct Columns {
    trace_id: Option<FixedSizeBinaryArray>,
    span_id: Option<UInt64Array>,
    parent_id: Option<UInt64Array>,
    is_entry: Option<BooleanArray>,
    kind: Option<Column>,
    status: Option<Column>,
    name: Option<Column>,
    resource: Option<Column>,
    message: Option<Column>,
    empty: Arc<str>,
}

impl Record for SpanInfo {
    const CONTENT: Content = Content::Spans;
    const VERSION: u32 = SPANS_VERSION;
    type Columns = Columns;

    fn base(&self) -> Base<'_> {
        Base {
            labels: &self.labels,
            received_at: self.received_at,
            start: self.span.start,
            duration_nanos: self.span.duration_nanos,
            attributes: &self.span.attributes,
        }
    }

    fn kind(&self) -> &'static str {
        SPANS_KIND
    }

    fn bytes(&self) -> usize {
        let span = &self.span;
        let values = span.attributes.iter().map(|(_, value)| value.len() + 16);
        span.estimated_bytes() + span.message.len() + 40 + values.sum::<usize>()
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |info: &Self| {
            (info.span.start, info.span.trace_id, info.span.span_id, info.received_at)
        };
        key(self).cmp(&key(other))
    }

    fn fields(rows: &[&Self]) -> Result<Vec<Field>, Error> {
        let spans = || rows.iter().map(|info| &info.span);
        let traces = spans().map(|span| span.trace_id.to_be_bytes());
        let traces = FixedSizeBinaryArray::try_from_iter(traces)?;
        let parents = spans().map(|span| (span.parent_id != 0).then_some(span.parent_id));
        let parents: UInt64Array = parents.collect();
        let ids = UInt64Array::from_iter_values(spans().map(|span| span.span_id));
        let entries: BooleanArray = spans().map(|span| Some(span.is_entry)).collect();
        Ok(vec![
            ("trace_id", Arc::new(traces), false),
            ("span_id", Arc::new(ids), false),
            ("parent_id", Arc::new(parents), true),
            ("is_entry", Arc::new(entries), false),
            ("kind", texts(spans().map(|span| span.kind.name()), false)?, false),
            ("status", texts(spans().map(|span| span.status.name()), false)?, false),
            ("name", texts(spans().map(|span| &*span.name), false)?, false),
            ("resource", texts(spans().map(|span| &*span.resource), false)?, false),
            ("message", texts(spans().map(|span| &*span.message), true)?, true),
        ])
    }

    fn properties(mut to: WriterPropertiesBuilder, rows: usize) -> WriterPropertiesBuilder {
        for column in ["trace_id", "span_id", "parent_id"] {
            to = to.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let ids = rows.clamp(1, RECORD_GROUP_ROWS_MAX) as u64;
        for column in ["trace_id", "span_id"] {
            let path = ColumnPath::from(column);
            to = to
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_PART)
                .set_column_bloom_filter_max_ndv(path, ids);
        }
        to
    }

    fn columns(batch: &RecordBatch, texts: &mut Texts) -> Result<Columns, Error> {
        let mut column = |name| Column::of(batch, name, texts);
        Ok(Columns {
            kind: column("kind")?,
            status: column("status")?,
            name: column("name")?,
            resource: column("resource")?,
            message: column("message")?,
            trace_id: absent(batch, "trace_id")?,
            span_id: absent(batch, "span_id")?,
            parent_id: absent(batch, "parent_id")?,
            is_entry: absent(batch, "is_entry")?,
            empty: texts.share(""),
        })
    }

    fn of_row(columns: &Columns, row: usize, base: OwnBase) -> Self {
        let text = |column: &Option<Column>| {
            column.as_ref().and_then(|it| it.get(row)).unwrap_or(&columns.empty).clone()
        };
        let id = |ids: &Option<UInt64Array>| {
            ids.as_ref().map_or(0, |ids| if ids.is_valid(row) { ids.value(row) } else { 0 })
        };
        let trace = columns.trace_id.as_ref().and_then(|ids| ids.value(row).try_into().ok());
        let span = Span {
            trace_id: trace.map_or(0, u128::from_be_bytes),
            span_id: id(&columns.span_id),
            parent_id: id(&columns.parent_id),
            is_entry: columns.is_entry.as_ref().is_some_and(|it| it.value(row)),
            kind: SpanKind::from_name(&text(&columns.kind)).unwrap_or_default(),
            status: SpanStatus::from_name(&text(&columns.status)).unwrap_or_default(),
            name: text(&columns.name),
            resource: text(&columns.resource),
            message: text(&columns.message),
            start: base.start,
            duration_nanos: base.duration_nanos,
            attributes: base.attributes,
        };
        Self { labels: base.labels, received_at: base.received_at, span }
    }
}
