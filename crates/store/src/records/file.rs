//! A segment of records as files: the records, sorted by service and in their own order, and
//! `series`, their labels.

use super::{Field, Group, Record, bounds_of};
use crate::Error;
use crate::index::RangeIndex;
use crate::limits::{NAMES_ZSTD_LEVEL, RECORD_GROUP_ROWS_MAX, SEGMENT_ZSTD_LEVEL};
use crate::segment::table::{Column, File, Tables as Encoder, properties};
use crate::segment::write::key;
use arrow::array::{
    ArrayRef, Int64Array, MapBuilder, RecordBatch, StringBuilder, StringDictionaryBuilder,
    UInt32Array,
};
use arrow::datatypes::Int32Type;
use catalog::SegmentRow;
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;
use profile::Labels;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

/// Rows turned into Arrow at a time.
const BATCH_ROWS: usize = 1 << 13;

/// Records of one tenant, sorted.
pub(crate) struct Sorted<R> {
    tenant: String,
    series: Vec<Arc<Labels>>,
    /// Ordinals of their series.
    rows: Vec<(u32, R)>,
}

impl<R: Record> Sorted<R> {
    /// Sorts records by service, then in their own order.
    pub(crate) fn new(tenant: &str, rows: Vec<R>) -> Self {
        let sets: BTreeSet<(&str, &Labels)> =
            rows.iter().map(|row| (row.base().service(), &**row.base().labels)).collect();
        let series: Vec<Arc<Labels>> =
            sets.into_iter().map(|(_, labels)| Arc::new(labels.clone())).collect();
        let ordinals: BTreeMap<&Labels, u32> =
            series.iter().zip(0..).map(|(labels, at)| (&**labels, at)).collect();
        let ranks: Vec<u32> = rows
            .iter()
            .map(|row| ordinals.get(&**row.base().labels).copied().unwrap_or(0))
            .collect();
        let mut rows: Vec<(u32, R)> = ranks.into_iter().zip(rows).collect();
        rows.sort_by(|(_, a), (_, b)| {
            a.base().service().cmp(b.base().service()).then_with(|| a.order(b))
        });
        Self { tenant: tenant.to_owned(), series, rows }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The records of groups of one tenant.
    pub(crate) fn of_groups(tenant: &str, groups: &[Arc<Group<R>>]) -> Self {
        Self::new(tenant, groups.iter().flat_map(|group| group.rows.iter().cloned()).collect())
    }

    /// Different texts, sorted.
    fn distinct<'a>(&'a self, text: impl Fn(&'a R) -> &'a str) -> Vec<String> {
        let texts: BTreeSet<&str> = self.rows.iter().map(|(_, row)| text(row)).collect();
        texts.into_iter().map(str::to_owned).collect()
    }

    /// The catalog row and the files.
    pub(crate) fn encode(
        &self,
        id: Ulid,
        level: u8,
        created_at: Timestamp,
    ) -> Result<(SegmentRow, Vec<File>), Error> {
        let mut files = vec![(R::CONTENT.name(), self.records(level > 0)?)];
        files.extend(self.series_table(level > 0)?);
        let (t_min_ns, t_max_ns) = bounds_of(self.rows.iter().map(|(_, row)| row));
        let sizes = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64));
        let index = RangeIndex {
            services: self.distinct(|row| row.base().service()),
            kinds: self.distinct(|row| row.kind()),
            files: sizes.collect(),
            profiles: 0,
            raw_bytes: self.rows.iter().map(|(_, row)| row.bytes() as u64).sum(),
            ids: None,
        };
        let row = SegmentRow {
            id,
            content: R::CONTENT,
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

    fn records(&self, is_compacted: bool) -> Result<Vec<u8>, Error> {
        let level = if is_compacted { NAMES_ZSTD_LEVEL } else { SEGMENT_ZSTD_LEVEL };
        let mut properties = properties(level, self.rows.len())
            .set_max_row_group_row_count(Some(RECORD_GROUP_ROWS_MAX))
            .set_key_value_metadata(Some(vec![
                key("version", R::VERSION),
                key("tenant", &self.tenant),
                key("rows", self.rows.len()),
            ]));
        for column in ["start_ns", "received_at_ns"] {
            let path = ColumnPath::from(column);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let path = ColumnPath::from("duration_ns");
        let properties = properties.set_column_dictionary_enabled(path, false);
        let properties = R::properties(properties, self.rows.len()).build();
        let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
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
        let writer = writer.ok_or_else(|| Error::corrupt("a segment without records"))?;
        Ok(writer.into_inner()?)
    }
}

/// Texts by dictionary; the empty one is null where that is meant.
pub(crate) fn texts<'a>(
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

fn batch<R: Record>(tenant: &str, rows: &[(u32, R)]) -> Result<RecordBatch, Error> {
    let series = UInt32Array::from_iter_values(rows.iter().map(|(series, _)| *series));
    let rows: Vec<&R> = rows.iter().map(|(_, row)| row).collect();
    let bases = || rows.iter().map(|row| row.base());
    let numbers = |values: &mut dyn Iterator<Item = i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values))
    };
    let mut attributes = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for base in bases() {
        for (name, value) in base.attributes {
            attributes.keys().append_value(name);
            attributes.values().append_value(value);
        }
        attributes.append(true)?;
    }
    let mut fields: Vec<Field> = vec![
        ("tenant", texts(rows.iter().map(|_| tenant), false)?, false),
        ("service", texts(bases().map(|base| base.service()), false)?, false),
        ("series", Arc::new(series), false),
    ];
    fields.extend(R::fields(&rows)?);
    fields.extend([
        ("start_ns", numbers(&mut bases().map(|base| base.start.nanos())), false),
        ("duration_ns", numbers(&mut bases().map(|base| base.duration_nanos)), false),
        ("received_at_ns", numbers(&mut bases().map(|base| base.received_at.nanos())), false),
        ("attributes", Arc::new(attributes.finish()) as ArrayRef, false),
    ]);
    Ok(RecordBatch::try_from_iter_with_nullable(fields)?)
}
