//! Writing a segment: its tables as Parquet bytes, then files and directory entries, synced.

use super::dir;
use crate::batch::to_batch;
use crate::collect::Collector;
use crate::index::RangeIndex;
use crate::layer::FileLayer;
use crate::limits::{PAGE_ROWS_MAX, ROW_GROUP_ROWS_MAX, SEGMENT_ZSTD_LEVEL};
use crate::{Error, schema};
use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, UInt8Array, UInt32Array, UInt64Array,
};
use catalog::SegmentRow;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use profile::handle::Handle;
use profile::{AttributeValue, Tables};
use stdx::{Timestamp, Ulid};

/// Rows turned into Arrow at a time, which bounds the memory beside the rows.
const BATCH_ROWS: usize = 1 << 16;

/// A table's name and file.
type File = (&'static str, Vec<u8>);

/// Sorts what was collected and encodes all tables. Returns the catalog row and the files.
pub(crate) fn encode(
    collector: &mut Collector,
    id: Ulid,
    level: u8,
    created_at: Timestamp,
) -> Result<(SegmentRow, Vec<File>), Error> {
    collector.sort();
    let raw_bytes = collector.raw_bytes();
    let mut files = vec![("samples", samples(collector)?)];
    files.extend(names(&collector.tables)?);
    files.extend(stacks(&collector.tables)?);
    files.extend(sample_dictionaries(&collector.tables)?);
    files.extend(profiles(collector)?);
    let (t_min_ns, t_max_ns) = collector.time_bounds();
    let index = RangeIndex {
        services: services(collector),
        kinds: collector.ordinals.kinds.iter().map(ToString::to_string).collect(),
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64)).collect(),
        profiles: collector.profiles.len() as u64,
        raw_bytes,
        ids: ids(collector),
    };
    let row = SegmentRow {
        id,
        level,
        tenant: collector.tenant.to_string(),
        t_min_ns,
        t_max_ns,
        rows: collector.rows.len() as u64,
        bytes: index.files.iter().map(|(_, bytes)| bytes).sum(),
        created_at,
        range_index: index.encode(),
    };
    Ok((row, files))
}

/// Puts files where readers find them; everything is durable when this returns.
pub(crate) fn put(layer: &dyn FileLayer, id: Ulid, files: &[File]) -> Result<(), Error> {
    let dir = dir(id);
    layer.create_dir(&dir).map_err(Error::io(format!("create {dir}")))?;
    for (name, bytes) in files {
        let path = format!("{dir}/{name}.parquet");
        let write = || {
            let mut file = layer.create(&path)?;
            file.append(bytes)?;
            file.sync()
        };
        write().map_err(Error::io(format!("write {path}")))?;
    }
    layer.sync_dir(&dir).map_err(Error::io(format!("sync {dir}")))?;
    layer.sync_dir(super::DIR).map_err(Error::io("sync segments"))
}

fn ids(collector: &Collector) -> Option<(Ulid, Ulid)> {
    let ids = || collector.profiles.iter().map(|row| row.id);
    ids().min().zip(ids().max())
}

fn services(collector: &Collector) -> Vec<String> {
    let service = profile::labels::names::SERVICE;
    let series = collector.ordinals.series.iter();
    let services = series.map(|labels| labels.get(service).unwrap_or(""));
    let services: std::collections::BTreeSet<&str> = services.collect();
    services.into_iter().map(str::to_owned).collect()
}

fn properties() -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(SEGMENT_ZSTD_LEVEL).unwrap_or_default();
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_created_by("vesta".to_owned())
}

fn key(name: &str, value: impl ToString) -> KeyValue {
    KeyValue::new(format!("vesta.{name}"), value.to_string())
}

fn samples(collector: &Collector) -> Result<Vec<u8>, Error> {
    let (first, last) = collector.time_bounds();
    let footer = vec![
        key("version", schema::SEGMENT_VERSION),
        key("tenant", &collector.tenant),
        key("services", services(collector).join("\n")),
        key("kinds", collector.ordinals.kinds.join("\n")),
        key("t_min_ns", first),
        key("t_max_ns", last),
        key("profiles", collector.profiles.len()),
        key("rows", collector.rows.len()),
    ];
    let (time, link) = (ColumnPath::from("ts_ms"), ColumnPath::from("link"));
    let properties = properties()
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(link.clone(), false)
        .set_column_encoding(link, Encoding::DELTA_BINARY_PACKED)
        .set_key_value_metadata(Some(footer))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema::samples(), Some(properties))?;
    for rows in collector.rows.chunks(BATCH_ROWS) {
        writer.write(&to_batch(rows, collector.ordinals.names(&collector.tenant))?)?;
    }
    Ok(writer.into_inner()?)
}

/// Columns of a small table: name, values, whether nulls are allowed.
type Columns = Vec<(&'static str, ArrayRef, bool)>;

/// Encodes a table; an empty one gives no file. `delta` names columns that grow row by row or have
/// few equal values, for which a dictionary would be wasted.
fn table(name: &'static str, columns: Columns, delta: &[&str]) -> Result<Option<File>, Error> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    if batch.num_rows() == 0 {
        return Ok(None);
    }
    let mut properties = properties()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![key("version", schema::SEGMENT_VERSION)]));
    for column in delta {
        let path = ColumnPath::from(*column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    Ok(Some((name, writer.into_inner()?)))
}

fn u32s(values: impl Iterator<Item = u32>) -> ArrayRef {
    std::sync::Arc::new(UInt32Array::from_iter_values(values))
}

fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    std::sync::Arc::new(UInt64Array::from_iter_values(values))
}

fn i64s(values: impl Iterator<Item = i64>) -> ArrayRef {
    std::sync::Arc::new(Int64Array::from_iter_values(values))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    std::sync::Arc::new(values.map(Some).collect::<StringArray>())
}

fn names(tables: &Tables) -> Result<impl Iterator<Item = File>, Error> {
    let functions = tables.functions.rows();
    let text = |id| tables.text(id);
    let functions = table(
        "functions",
        vec![
            ("name", texts(functions.iter().map(|row| text(row.name))), false),
            ("system_name", texts(functions.iter().map(|row| text(row.system_name))), false),
            ("file", texts(functions.iter().map(|row| text(row.file))), false),
            ("start_line", u32s(functions.iter().map(|row| row.start_line)), false),
        ],
        &["start_line"],
    )?;
    let mappings = tables.mappings.rows();
    let mappings = table(
        "mappings",
        vec![
            ("file", texts(mappings.iter().map(|row| text(row.file))), false),
            ("build_id", texts(mappings.iter().map(|row| text(row.build_id))), false),
            ("start", u64s(mappings.iter().map(|row| row.start)), false),
            ("limit", u64s(mappings.iter().map(|row| row.limit)), false),
            ("offset", u64s(mappings.iter().map(|row| row.offset)), false),
        ],
        &[],
    )?;
    Ok(functions.into_iter().chain(mappings))
}

fn stacks(tables: &Tables) -> Result<impl Iterator<Item = File>, Error> {
    let nodes = || tables.stacks.iter();
    let nodes = table(
        "nodes",
        vec![
            ("parent", u32s(nodes().map(|(_, parent, _)| parent.0)), false),
            ("location", u32s(nodes().map(|(_, _, location)| location.0)), false),
        ],
        &["parent", "location"],
    )?;
    let rows = tables.locations.rows();
    let mapping: UInt32Array = rows.iter().map(|row| row.mapping.map(|id| id.0)).collect();
    let address = rows.iter().map(|row| (row.address != 0).then_some(row.address));
    let frame_type = UInt8Array::from_iter_values(rows.iter().map(|row| row.frame_type as u8));
    let is_folded: BooleanArray = rows.iter().map(|row| Some(row.is_folded)).collect();
    let locations = table(
        "locations",
        vec![
            ("mapping", std::sync::Arc::new(mapping), true),
            ("address", std::sync::Arc::new(address.collect::<UInt64Array>()), true),
            ("frame_type", std::sync::Arc::new(frame_type), false),
            ("is_folded", std::sync::Arc::new(is_folded), false),
        ],
        &["address"],
    )?;
    let lines = || {
        let rows = tables.locations.iter();
        rows.flat_map(|(id, row)| row.lines.iter().map(move |line| (id, line)))
    };
    let lines = table(
        "lines",
        vec![
            ("location", u32s(lines().map(|(id, _)| id.0)), false),
            ("function", u32s(lines().map(|(_, line)| line.function.0)), false),
            ("line", u32s(lines().map(|(_, line)| line.line)), false),
            ("column", u32s(lines().map(|(_, line)| line.column)), false),
        ],
        &["location", "function", "line"],
    )?;
    Ok(nodes.into_iter().chain(locations).chain(lines))
}

fn sample_dictionaries(tables: &Tables) -> Result<impl Iterator<Item = File>, Error> {
    let threads = tables.threads.rows();
    let threads = table(
        "threads",
        vec![
            ("id", i64s(threads.iter().map(|row| row.id)), false),
            ("name", texts(threads.iter().map(|row| tables.text(row.name))), false),
        ],
        &[],
    )?;
    let links = tables.links.rows();
    let trace_ids = links.iter().map(|row| row.trace_id.to_be_bytes());
    let links = if links.is_empty() {
        None
    } else {
        let trace_ids = FixedSizeBinaryArray::try_from_iter(trace_ids)?;
        table(
            "links",
            vec![
                ("trace_id", std::sync::Arc::new(trace_ids), false),
                ("span_id", u64s(links.iter().map(|row| row.span_id)), false),
                ("root_span_id", u64s(links.iter().map(|row| row.root_span_id)), false),
            ],
            &["span_id"],
        )?
    };
    let rows = || {
        let sets = tables.attributes.iter();
        sets.flat_map(|(id, set)| set.iter().map(move |row| (id, row)))
    };
    let value = |text: bool| {
        rows().map(move |(_, row)| match row.value {
            AttributeValue::Text(id) => text.then(|| tables.text(id)),
            AttributeValue::Number(_, unit) => (!text).then(|| tables.text(unit)),
        })
    };
    let numbers = rows().map(|(_, row)| match row.value {
        AttributeValue::Text(_) => None,
        AttributeValue::Number(number, _) => Some(number),
    });
    let attributes = table(
        "attributes",
        vec![
            ("set", u32s(rows().map(|(id, _)| id.index() as u32)), false),
            ("key", texts(rows().map(|(_, row)| tables.text(row.key))), false),
            ("text", std::sync::Arc::new(value(true).collect::<StringArray>()), true),
            ("number", std::sync::Arc::new(numbers.collect::<Int64Array>()), true),
            ("unit", std::sync::Arc::new(value(false).collect::<StringArray>()), true),
        ],
        &["set"],
    )?;
    Ok(threads.into_iter().chain(links).chain(attributes))
}

fn profiles(collector: &Collector) -> Result<impl Iterator<Item = File>, Error> {
    let series = || {
        let series = collector.ordinals.series.iter().enumerate();
        series.flat_map(|(at, labels)| labels.iter().map(move |pair| (at as u32, pair)))
    };
    let series = table(
        "series",
        vec![
            ("series", u32s(series().map(|(at, _)| at)), false),
            ("name", texts(series().map(|(_, (name, _))| name)), false),
            ("value", texts(series().map(|(_, (_, value))| value)), false),
        ],
        &["series"],
    )?;
    let rows = &collector.profiles;
    let info = || {
        let all = rows.iter();
        all.flat_map(|row| row.metadata.info.iter().map(|pair| (row.ordinal, pair)))
    };
    let info = table(
        "info",
        vec![
            ("profile", u32s(info().map(|(at, _)| at)), false),
            ("key", texts(info().map(|(_, (key, _))| key.as_str())), false),
            ("value", texts(info().map(|(_, (_, value))| value.as_str())), false),
        ],
        &["profile"],
    )?;
    let profiles = profile_table(collector)?;
    let totals = totals(collector)?;
    Ok(series.into_iter().chain(info).chain(profiles).chain(totals))
}

fn profile_table(collector: &Collector) -> Result<Option<File>, Error> {
    let rows = &collector.profiles;
    if rows.is_empty() {
        return Ok(None);
    }
    let ids = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| row.id.to_bytes()))?;
    let meta = || rows.iter().map(|row| &row.metadata);
    let cpus: UInt32Array = meta().map(|meta| meta.cpu_count).collect();
    let quotas: Float64Array = meta().map(|meta| meta.cpu_quota).collect();
    let columns: Columns = vec![
        ("id", std::sync::Arc::new(ids), false),
        ("series", u32s(rows.iter().map(|row| row.series)), false),
        ("start_ns", i64s(rows.iter().map(|row| row.window.start.nanos())), false),
        ("end_ns", i64s(rows.iter().map(|row| row.window.end.nanos())), false),
        ("received_at_ns", i64s(rows.iter().map(|row| row.received_at.nanos())), false),
        ("samples", u64s(rows.iter().map(|row| row.samples)), false),
        ("period", i64s(meta().map(|meta| meta.period)), false),
        ("period_type", texts(meta().map(|meta| meta.period_type.as_str())), false),
        ("period_unit", texts(meta().map(|meta| meta.period_unit.as_str())), false),
        ("cpu_count", std::sync::Arc::new(cpus), true),
        ("cpu_quota", std::sync::Arc::new(quotas), true),
        ("lost", u64s(meta().map(|meta| meta.lost)), false),
        ("broken", u64s(meta().map(|meta| meta.broken)), false),
        ("unsymbolized", u64s(meta().map(|meta| meta.unsymbolized)), false),
        ("client", texts(meta().map(|meta| meta.client.as_str())), false),
    ];
    table("profiles", columns, &["start_ns", "end_ns", "received_at_ns"])
}

fn totals(collector: &Collector) -> Result<Option<File>, Error> {
    let rows = || {
        let all = collector.profiles.iter();
        all.flat_map(|row| row.kinds.iter().map(|kind| (row.ordinal, kind)))
    };
    let value = |at: usize| i64s(rows().map(move |(_, kind)| kind.totals[at]));
    table(
        "totals",
        vec![
            ("profile", u32s(rows().map(|(at, _)| at)), false),
            ("kind", texts(rows().map(|(_, kind)| kind.kind.as_str())), false),
            ("samples", u64s(rows().map(|(_, kind)| kind.samples)), false),
            ("v0", value(0), false),
            ("v1", value(1), false),
            ("v2", value(2), false),
            ("v3", value(3), false),
            ("ts_min_ns", i64s(rows().map(|(_, kind)| kind.ts_min.nanos())), false),
            ("ts_max_ns", i64s(rows().map(|(_, kind)| kind.ts_max.nanos())), false),
        ],
        &["profile", "ts_min_ns", "ts_max_ns"],
    )
}
