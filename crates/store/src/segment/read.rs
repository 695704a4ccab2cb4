//! Reading a segment's tables back. Rows are distinct, so each gets the handle of its position;
//! references that lead nowhere are damage and said so.

use super::Segment;
use crate::Error;
use crate::batch::column;
use crate::rows::{KindTotals, ProfileRow, Run};
use arrow::array::{
    Array, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt8Array, UInt32Array, UInt64Array,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, FrameType, Function, FunctionId, Labels, Line, Link,
    Location, LocationId, Mapping, MappingId, Metadata, StackId, StringId, Tables, Thread,
};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1 << 16;

/// A file's rows in batches.
pub(crate) fn reader(file: Bytes) -> Result<ParquetRecordBatchReader, Error> {
    Ok(ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS).build()?)
}

/// The samples in batches.
pub(crate) fn samples(
    segment: &Segment,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
    let file = segment.file("samples")?.ok_or_else(|| Error::corrupt("no samples file"))?;
    Ok(reader(file)?.map(|batch| batch.map_err(Error::from)))
}

fn each(
    segment: &Segment,
    table: &str,
    mut read: impl FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(file) = segment.file(table)? else { return Ok(()) };
    for batch in reader(file)? {
        read(&batch?)?;
    }
    Ok(())
}

/// All tables that samples point to.
pub(crate) fn tables(segment: &Segment) -> Result<Tables, Error> {
    let mut tables = Tables::default();
    names(segment, &mut tables)?;
    stacks(segment, &mut tables)?;
    sample_dictionaries(segment, &mut tables)?;
    Ok(tables)
}

fn names(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    each(segment, "functions", |batch| {
        let text = |name| column::<StringArray>(batch, name);
        let (name, system_name, file) = (text("name")?, text("system_name")?, text("file")?);
        let start_line: &UInt32Array = column(batch, "start_line")?;
        for at in 0..batch.num_rows() {
            let row = Function {
                name: tables.strings.intern(name.value(at)),
                system_name: tables.strings.intern(system_name.value(at)),
                file: tables.strings.intern(file.value(at)),
                start_line: start_line.value(at),
            };
            tables.functions.push(row);
        }
        Ok(())
    })?;
    each(segment, "mappings", |batch| {
        let file: &StringArray = column(batch, "file")?;
        let build_id: &StringArray = column(batch, "build_id")?;
        let number = |name| column::<UInt64Array>(batch, name);
        let (start, limit, offset) = (number("start")?, number("limit")?, number("offset")?);
        for at in 0..batch.num_rows() {
            let row = Mapping {
                start: start.value(at),
                limit: limit.value(at),
                offset: offset.value(at),
                file: tables.strings.intern(file.value(at)),
                build_id: tables.strings.intern(build_id.value(at)),
            };
            tables.mappings.push(row);
        }
        Ok(())
    })
}

fn lines(segment: &Segment, functions: usize) -> Result<Vec<(u32, Line)>, Error> {
    let mut lines = Vec::new();
    each(segment, "lines", |batch| {
        let number = |name| column::<UInt32Array>(batch, name);
        let (location, function) = (number("location")?, number("function")?);
        let (line, col) = (number("line")?, number("column")?);
        for at in 0..batch.num_rows() {
            if function.value(at) as usize >= functions {
                return Err(Error::corrupt("a line is of no function"));
            }
            let function = FunctionId(function.value(at));
            let row = Line { function, line: line.value(at), column: col.value(at) };
            lines.push((location.value(at), row));
        }
        Ok(())
    })?;
    Ok(lines)
}

fn stacks(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    let lines = lines(segment, tables.functions.len())?;
    let mut rest = lines.as_slice();
    each(segment, "locations", |batch| {
        let mapping: &UInt32Array = column(batch, "mapping")?;
        let address: &UInt64Array = column(batch, "address")?;
        let frame_type: &UInt8Array = column(batch, "frame_type")?;
        let is_folded: &BooleanArray = column(batch, "is_folded")?;
        for at in 0..batch.num_rows() {
            let ordinal = tables.locations.len();
            let count = rest.iter().take_while(|(of, _)| *of as usize == ordinal).count();
            let (own, after) = rest.split_at(count);
            rest = after;
            let row = Location {
                mapping: mapping.is_valid(at).then(|| MappingId(mapping.value(at))),
                address: if address.is_valid(at) { address.value(at) } else { 0 },
                lines: own.iter().map(|(_, line)| *line).collect(),
                frame_type: FrameType::from_number(frame_type.value(at)),
                is_folded: is_folded.value(at),
            };
            tables.locations.push(row);
        }
        Ok(())
    })?;
    each(segment, "nodes", |batch| nodes(batch, tables))
}

fn nodes(batch: &RecordBatch, tables: &mut Tables) -> Result<(), Error> {
    // Version 1 says the parent, later ones how many rows above it is.
    let is_first_version = batch.column_by_name("up").is_none();
    let parent: &UInt32Array = column(batch, if is_first_version { "parent" } else { "up" })?;
    let location: &UInt32Array = column(batch, "location")?;
    for (parent, location) in parent.values().iter().zip(location.values()) {
        if *location as usize >= tables.locations.len() {
            return Err(Error::corrupt("a stack is of no location"));
        }
        let row = tables.stacks.len() as u32 - 1;
        let parent = if is_first_version { Some(*parent) } else { row.checked_sub(*parent) };
        let added =
            parent.and_then(|parent| tables.stacks.push(StackId(parent), LocationId(*location)));
        added.ok_or_else(|| Error::corrupt("a stack comes before its caller"))?;
    }
    Ok(())
}

fn sample_dictionaries(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    each(segment, "threads", |batch| {
        let id: &Int64Array = column(batch, "id")?;
        let name: &StringArray = column(batch, "name")?;
        for at in 0..batch.num_rows() {
            let row = Thread { id: id.value(at), name: tables.strings.intern(name.value(at)) };
            tables.threads.push(row);
        }
        Ok(())
    })?;
    each(segment, "links", |batch| {
        let trace_id: &FixedSizeBinaryArray = column(batch, "trace_id")?;
        let span_id: &UInt64Array = column(batch, "span_id")?;
        let root_span_id: &UInt64Array = column(batch, "root_span_id")?;
        for at in 0..batch.num_rows() {
            let own = span_id.value(at);
            let is_root = root_span_id.is_null(at);
            let row = Link {
                trace_id: u128::from_be_bytes(sixteen(trace_id, at)?),
                span_id: own,
                root_span_id: if is_root { own } else { root_span_id.value(at) },
            };
            tables.links.push(row);
        }
        Ok(())
    })?;
    attributes(segment, tables)
}

fn sixteen(column: &FixedSizeBinaryArray, at: usize) -> Result<[u8; 16], Error> {
    column.value(at).try_into().map_err(|_| Error::corrupt("an id is not 16 bytes long"))
}

fn attributes(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    let mut sets: Vec<(u32, Vec<Attribute>)> = Vec::new();
    each(segment, "attributes", |batch| {
        let set: &UInt32Array = column(batch, "set")?;
        let key: &StringArray = column(batch, "key")?;
        let text: &StringArray = column(batch, "text")?;
        let number: &Int64Array = column(batch, "number")?;
        let unit: &StringArray = column(batch, "unit")?;
        for at in 0..batch.num_rows() {
            let key = tables.strings.intern(key.value(at));
            let value = if number.is_valid(at) {
                let unit = if unit.is_valid(at) { unit.value(at) } else { "" };
                AttributeValue::Number(number.value(at), tables.strings.intern(unit))
            } else {
                AttributeValue::Text(tables.strings.intern(text.value(at)))
            };
            let row = Attribute { key, value };
            match sets.last_mut() {
                Some((of, rows)) if *of == set.value(at) => rows.push(row),
                _ => sets.push((set.value(at), vec![row])),
            }
        }
        Ok(())
    })?;
    for (ordinal, mut set) in sets {
        set.sort_unstable();
        let id: AttributesId = tables.attributes.push(set);
        if id.index() != ordinal as usize {
            return Err(Error::corrupt("table attributes has a gap"));
        }
    }
    debug_assert_eq!(tables.text(StringId(0)), "", "the empty string comes first");
    Ok(())
}

fn series(segment: &Segment) -> Result<Vec<Labels>, Error> {
    let mut series: Vec<Labels> = Vec::new();
    each(segment, "series", |batch| {
        let ordinal: &UInt32Array = column(batch, "series")?;
        let name: &StringArray = column(batch, "name")?;
        let value: &StringArray = column(batch, "value")?;
        for at in 0..batch.num_rows() {
            let ordinal = ordinal.value(at) as usize;
            // A series without labels has no row: at most one, and labels are sorted.
            if ordinal > series.len() + 1 {
                return Err(Error::corrupt("table series has a gap"));
            }
            while series.len() <= ordinal {
                series.push(Labels::new());
            }
            series[ordinal].set(name.value(at), value.value(at));
        }
        Ok(())
    })?;
    Ok(series)
}

/// The profiles with labels, totals and information.
pub(crate) fn profiles(segment: &Segment) -> Result<Vec<ProfileRow>, Error> {
    let series: Vec<Arc<Labels>> = series(segment)?.into_iter().map(Arc::new).collect();
    let none = Arc::new(Labels::new());
    let labels_of = |at: u32| Arc::clone(series.get(at as usize).unwrap_or(&none));
    let tenant: Arc<str> = segment.row.tenant.as_str().into();
    let mut rows: Vec<ProfileRow> = Vec::new();
    each(segment, "profiles", |batch| {
        let id: &FixedSizeBinaryArray = column(batch, "id")?;
        let series: &UInt32Array = column(batch, "series")?;
        let time = |name| column::<Int64Array>(batch, name);
        let (start, end, received) = (time("start_ns")?, time("end_ns")?, time("received_at_ns")?);
        let samples: &UInt64Array = column(batch, "samples")?;
        let instant = |column: &Int64Array, at| Timestamp::from_nanos(column.value(at));
        let metadata = metadata(batch)?;
        for (at, metadata) in metadata.into_iter().enumerate() {
            rows.push(ProfileRow {
                ordinal: rows.len() as u32,
                id: Ulid::from_bytes(sixteen(id, at)?),
                tenant: Arc::clone(&tenant),
                series: series.value(at),
                labels: labels_of(series.value(at)),
                window: TimeRange::new(instant(start, at), instant(end, at)),
                received_at: instant(received, at),
                samples: samples.value(at),
                kinds: Vec::new(),
                metadata,
            });
        }
        Ok(())
    })?;
    totals(segment, &mut rows)?;
    info(segment, &mut rows)?;
    Ok(rows)
}

fn metadata(batch: &RecordBatch) -> Result<Vec<Metadata>, Error> {
    let text = |name| column::<StringArray>(batch, name);
    let (period_type, period_unit) = (text("period_type")?, text("period_unit")?);
    let client = text("client")?;
    let period: &Int64Array = column(batch, "period")?;
    let cpus: &UInt32Array = column(batch, "cpu_count")?;
    let quota: &Float64Array = column(batch, "cpu_quota")?;
    let number = |name| column::<UInt64Array>(batch, name);
    let (lost, broken) = (number("lost")?, number("broken")?);
    let unsymbolized = number("unsymbolized")?;
    let row = |at: usize| Metadata {
        period: period.value(at),
        period_type: period_type.value(at).to_owned(),
        period_unit: period_unit.value(at).to_owned(),
        cpu_count: cpus.is_valid(at).then(|| cpus.value(at)),
        cpu_quota: quota.is_valid(at).then(|| quota.value(at)),
        lost: lost.value(at),
        broken: broken.value(at),
        unsymbolized: unsymbolized.value(at),
        client: client.value(at).to_owned(),
        info: Vec::new(),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn totals(segment: &Segment, rows: &mut [ProfileRow]) -> Result<(), Error> {
    each(segment, "totals", |batch| {
        let profile: &UInt32Array = column(batch, "profile")?;
        let kind: &StringArray = column(batch, "kind")?;
        let samples: &UInt64Array = column(batch, "samples")?;
        let number = |name| column::<Int64Array>(batch, name);
        let values = [number("v0")?, number("v1")?, number("v2")?, number("v3")?];
        let (first, last) = (number("ts_min_ns")?, number("ts_max_ns")?);
        for at in 0..batch.num_rows() {
            let row = rows.get_mut(profile.value(at) as usize);
            let row = row.ok_or_else(|| Error::corrupt("totals of no profile"))?;
            row.kinds.push(KindTotals {
                kind: kind.value(at).to_owned(),
                samples: samples.value(at),
                totals: values.map(|column| column.value(at)),
                ts_min: Timestamp::from_nanos(first.value(at)),
                ts_max: Timestamp::from_nanos(last.value(at)),
            });
        }
        Ok(())
    })
}

fn info(segment: &Segment, rows: &mut [ProfileRow]) -> Result<(), Error> {
    each(segment, "info", |batch| {
        let profile: &UInt32Array = column(batch, "profile")?;
        let key: &StringArray = column(batch, "key")?;
        let value: &StringArray = column(batch, "value")?;
        for at in 0..batch.num_rows() {
            let row = rows.get_mut(profile.value(at) as usize);
            let row = row.ok_or_else(|| Error::corrupt("information on no profile"))?;
            row.metadata.info.push((key.value(at).to_owned(), value.value(at).to_owned()));
        }
        Ok(())
    })
}

/// Where samples of a kind and series are; empty in version 1.
pub(crate) fn runs(segment: &Segment) -> Result<Vec<Run>, Error> {
    let mut runs: Vec<Run> = Vec::new();
    each(segment, "runs", |batch| {
        let kind: &StringArray = column(batch, "kind")?;
        let series: &UInt32Array = column(batch, "series")?;
        let first: &UInt64Array = column(batch, "first_row")?;
        let rows: &UInt64Array = column(batch, "rows")?;
        for at in 0..batch.num_rows() {
            let known = runs.last().map(|run| &run.kind).filter(|last| &***last == kind.value(at));
            let kind = known.map_or_else(|| kind.value(at).into(), Arc::clone);
            let first = first.value(at);
            let rows = first..first.saturating_add(rows.value(at));
            runs.push(Run { kind, series: series.value(at), rows });
        }
        Ok(())
    })?;
    Ok(runs)
}
