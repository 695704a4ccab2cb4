//! A segment of spans as files: `spans`, sorted by service and start, and `series`, their labels.

use super::{Entry, SPANS_KIND, SPANS_VERSION};
use crate::Error;
use crate::index::RangeIndex;
use crate::limits::{BLOOM_FALSE_PART, NAMES_ZSTD_LEVEL, SEGMENT_ZSTD_LEVEL, SPAN_GROUP_ROWS_MAX};
use crate::segment::table::{Column, File, Tables as Encoder, properties};
use crate::segment::write::key;
use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array, MapBuilder, RecordBatch,
    StringBuilder, StringDictionaryBuilder, UInt32Array, UInt64Array,
};
use arrow::datatypes::Int32Type;
use catalog::{Content, SegmentRow};
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;
use profile::Labels;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{Timestamp, Ulid};
use views::SpanInfo;

/// Rows turned into Arrow at a time.
const BATCH_ROWS: usize = 1 << 13;

/// Spans of one tenant, sorted.
pub(crate) struct Sorted {
    tenant: String,
    series: Vec<Arc<Labels>>,
    /// Ordinals of their series.
    rows: Vec<(u32, SpanInfo)>,
}

/// Estimated bytes of a span that is in memory with others.
pub(crate) fn bytes_of(info: &SpanInfo) -> usize {
    let span = &info.span;
    let values = span.attributes.iter().map(|(_, value)| value.len() + 16);
    span.estimated_bytes() + span.message.len() + 40 + values.sum::<usize>()
}

impl Sorted {
    /// Sorts spans by service, start and ids.
    pub(crate) fn new(tenant: &str, infos: impl IntoIterator<Item = SpanInfo>) -> Self {
        let infos: Vec<SpanInfo> = infos.into_iter().collect();
        let sets: BTreeSet<(&str, &Labels)> =
            infos.iter().map(|info| (info.service(), &*info.labels)).collect();
        let series: Vec<Arc<Labels>> =
            sets.into_iter().map(|(_, labels)| Arc::new(labels.clone())).collect();
        let ordinals: BTreeMap<&Labels, u32> =
            series.iter().zip(0..).map(|(labels, at)| (&**labels, at)).collect();
        let ranks: Vec<u32> =
            infos.iter().map(|info| ordinals.get(&*info.labels).copied().unwrap_or(0)).collect();
        let mut rows: Vec<(u32, SpanInfo)> = ranks.into_iter().zip(infos).collect();
        rows.sort_by(|(_, a), (_, b)| {
            let key = |info: &SpanInfo| {
                (info.span.start, info.span.trace_id, info.span.span_id, info.received_at)
            };
            a.service().cmp(b.service()).then_with(|| key(a).cmp(&key(b)))
        });
        Self { tenant: tenant.to_owned(), series, rows }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The spans of entries of one tenant.
    pub(crate) fn of_entries(tenant: &str, entries: &[Arc<Entry>]) -> Self {
        Self::new(tenant, entries.iter().flat_map(|entry| entry.infos()))
    }

    /// First start and last end.
    fn time_bounds(&self) -> (i64, i64) {
        let bounds = self.rows.iter().map(|(_, info)| (info.span.start, info.span.end()));
        let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        bounds.map_or((0, 0), |(first, last)| (first.nanos(), last.nanos()))
    }

    fn services(&self) -> Vec<String> {
        let services = self.rows.iter().map(|(_, info)| info.service());
        let services: BTreeSet<&str> = services.collect();
        services.into_iter().map(str::to_owned).collect()
    }

    /// The catalog row and the files.
    pub(crate) fn encode(
        &self,
        id: Ulid,
        level: u8,
        created_at: Timestamp,
    ) -> Result<(SegmentRow, Vec<File>), Error> {
        let mut files = vec![("spans", self.spans(level > 0)?)];
        files.extend(self.series_table(level > 0)?);
        let (t_min_ns, t_max_ns) = self.time_bounds();
        let sizes = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64));
        let index = RangeIndex {
            services: self.services(),
            kinds: vec![SPANS_KIND.to_owned()],
            files: sizes.collect(),
            profiles: 0,
            raw_bytes: self.rows.iter().map(|(_, info)| bytes_of(info) as u64).sum(),
            ids: None,
        };
        let row = SegmentRow {
            id,
            content: Content::Spans,
            level,
            tenant: self.tenant.clone(),
            t_min_ns,
            t_max_ns,
            rows: self.rows.len() as u64,
            bytes: index.files.iter().map(|(_, bytes)| bytes).sum(),
            created_at,
            range_index: index.encode(),
        };
        Ok((row, files))
    }

    fn series_table(&self, is_compacted: bool) -> Result<Option<File>, Error> {
        let pairs = || {
            let series = self.series.iter().zip(0_u32..);
            series.flat_map(|(labels, at)| labels.iter().map(move |pair| (at, pair)))
        };
        Encoder::new(is_compacted).encode(
            "series",
            vec![
                Column::u32s("series", pairs().map(|(at, _)| at)).steps(),
                Column::texts("name", pairs().map(|(_, (name, _))| name)),
                Column::texts("value", pairs().map(|(_, (_, value))| value)),
            ],
        )
    }

    fn spans(&self, is_compacted: bool) -> Result<Vec<u8>, Error> {
        let level = if is_compacted { NAMES_ZSTD_LEVEL } else { SEGMENT_ZSTD_LEVEL };
        let mut properties = properties(level)
            .set_max_row_group_row_count(Some(SPAN_GROUP_ROWS_MAX))
            .set_key_value_metadata(Some(vec![
                key("version", SPANS_VERSION),
                key("tenant", &self.tenant),
                key("rows", self.rows.len()),
            ]));
        for column in ["start_ns", "received_at_ns"] {
            let path = ColumnPath::from(column);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        for column in ["trace_id", "span_id", "parent_id", "duration_ns"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let ids = self.rows.len().clamp(1, SPAN_GROUP_ROWS_MAX) as u64;
        for column in ["trace_id", "span_id"] {
            let path = ColumnPath::from(column);
            properties = properties
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_PART)
                .set_column_bloom_filter_max_ndv(path, ids);
        }
        let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
        let properties = properties.build();
        for rows in self.rows.chunks(BATCH_ROWS) {
            let batch = batch(&self.tenant, rows)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let (schema, properties) = (batch.schema(), Some(properties.clone()));
                    writer.insert(ArrowWriter::try_new(Vec::new(), schema, properties)?)
                }
            };
            writer.write(&batch)?;
        }
        let writer = writer.ok_or_else(|| Error::corrupt("a segment without spans"))?;
        Ok(writer.into_inner()?)
    }
}

/// Texts by dictionary; the empty one is null where that is meant.
fn texts<'a>(
    values: impl Iterator<Item = &'a str>,
    empty_is_null: bool,
) -> Result<ArrayRef, Error> {
    let mut texts = StringDictionaryBuilder::<Int32Type>::new();
    for value in values {
        if empty_is_null && value.is_empty() {
            texts.append_null();
        } else {
            texts.append(value)?;
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn batch(tenant: &str, rows: &[(u32, SpanInfo)]) -> Result<RecordBatch, Error> {
    let spans = || rows.iter().map(|(_, info)| &info.span);
    let traces = spans().map(|span| span.trace_id.to_be_bytes());
    let traces = FixedSizeBinaryArray::try_from_iter(traces)?;
    let parents = spans().map(|span| (span.parent_id != 0).then_some(span.parent_id));
    let parents: UInt64Array = parents.collect();
    let ids = UInt64Array::from_iter_values(spans().map(|span| span.span_id));
    let entries: BooleanArray = spans().map(|span| Some(span.is_entry)).collect();
    let numbers = |values: &mut dyn Iterator<Item = i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values))
    };
    let mut attributes = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for span in spans() {
        for (name, value) in &span.attributes {
            attributes.keys().append_value(name);
            attributes.values().append_value(value);
        }
        attributes.append(true)?;
    }
    let series = UInt32Array::from_iter_values(rows.iter().map(|(series, _)| *series));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("tenant", texts(rows.iter().map(|_| tenant), false)?, false),
        ("service", texts(rows.iter().map(|(_, info)| info.service()), false)?, false),
        ("series", Arc::new(series), false),
        ("trace_id", Arc::new(traces), false),
        ("span_id", Arc::new(ids), false),
        ("parent_id", Arc::new(parents), true),
        ("is_entry", Arc::new(entries), false),
        ("kind", texts(spans().map(|span| span.kind.name()), false)?, false),
        ("status", texts(spans().map(|span| span.status.name()), false)?, false),
        ("name", texts(spans().map(|span| &*span.name), false)?, false),
        ("resource", texts(spans().map(|span| &*span.resource), false)?, false),
        ("message", texts(spans().map(|span| &*span.message), true)?, true),
        ("start_ns", numbers(&mut spans().map(|span| span.start.nanos())), false),
        ("duration_ns", numbers(&mut spans().map(|span| span.duration_nanos)), false),
        (
            "received_at_ns",
            numbers(&mut rows.iter().map(|(_, info)| info.received_at.nanos())),
            false,
        ),
        ("attributes", Arc::new(attributes.finish()), false),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
