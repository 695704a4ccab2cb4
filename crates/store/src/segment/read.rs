//! Reading a segment's tables back. Rows are distinct, so each gets the handle of its position;
//! references that lead nowhere are damage and said so.

mod profiles;

pub(crate) use profiles::profiles;

use super::Segment;
use crate::Error;
use crate::batch::column;
use crate::part::TableSet;
use crate::rows::Run;
use arrow::array::{
    Array, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use profile::handle::Handle;
use profile::{
    Attribute, AttributeValue, AttributesId, FrameType, Function, FunctionId, Line, Lines, Link,
    Location, LocationId, Mapping, MappingId, StackId, StringId, Strings, Tables, Thread,
};
use std::sync::Arc;

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

/// Adds one set of the tables that samples point to.
pub(crate) fn tables(segment: &Segment, set: TableSet, tables: &mut Tables) -> Result<(), Error> {
    match set {
        TableSet::Names => {
            names(segment, tables)?;
            stacks(segment, tables)
        }
        TableSet::Threads => threads(segment, tables),
        TableSet::Links => links(segment, tables),
        TableSet::Attributes => attributes(segment, tables),
    }
}

fn names(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    each(segment, "functions", |batch| {
        let names = Names::of(batch)?;
        for at in 0..batch.num_rows() {
            tables.functions.push(names.row(at, &mut tables.strings));
        }
        Ok(())
    })?;
    mappings(segment, tables)
}

/// The columns of functions.
pub(super) struct Names<'a> {
    name: &'a StringArray,
    system_name: &'a StringArray,
    file: &'a StringArray,
    start_line: &'a UInt32Array,
}

impl<'a> Names<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
        let text = |name| column::<StringArray>(batch, name);
        let (name, system_name, file) = (text("name")?, text("system_name")?, text("file")?);
        Ok(Self { name, system_name, file, start_line: column(batch, "start_line")? })
    }

    pub(super) fn row(&self, at: usize, strings: &mut Strings) -> Function {
        let (name, system_name) = (self.name.value(at), self.system_name.value(at));
        let id = strings.intern(name);
        Function {
            name: id,
            // Most are one name.
            system_name: if system_name == name { id } else { strings.intern(system_name) },
            file: strings.intern(self.file.value(at)),
            start_line: self.start_line.value(at),
        }
    }
}

pub(super) fn mappings(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
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
        let places = Places::of(batch)?;
        for at in 0..batch.num_rows() {
            let ordinal = tables.locations.len();
            let count = rest.iter().take_while(|(of, _)| *of as usize == ordinal).count();
            let (own, after) = rest.split_at(count);
            rest = after;
            tables.locations.push(places.row(at, own.iter().map(|(_, line)| *line).collect()));
        }
        Ok(())
    })?;
    each(segment, "nodes", |batch| nodes(batch, tables))
}

/// The columns of locations.
pub(super) struct Places<'a> {
    mapping: &'a UInt32Array,
    address: &'a UInt64Array,
    frame_type: &'a UInt8Array,
    is_folded: &'a BooleanArray,
}

impl<'a> Places<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
        Ok(Self {
            mapping: column(batch, "mapping")?,
            address: column(batch, "address")?,
            frame_type: column(batch, "frame_type")?,
            is_folded: column(batch, "is_folded")?,
        })
    }

    pub(super) fn row(&self, at: usize, lines: Lines) -> Location {
        let Self { mapping, address, .. } = self;
        Location {
            mapping: mapping.is_valid(at).then(|| MappingId(mapping.value(at))),
            address: if address.is_valid(at) { address.value(at) } else { 0 },
            lines,
            frame_type: FrameType::from_number(self.frame_type.value(at)),
            is_folded: self.is_folded.value(at),
        }
    }
}

/// Whether stacks name their callers rather than how far above they are.
pub(super) fn is_first_version(batch: &RecordBatch) -> bool {
    batch.column_by_name("up").is_none()
}

fn nodes(batch: &RecordBatch, tables: &mut Tables) -> Result<(), Error> {
    // Version 1 says the parent, later ones how many rows above it is.
    let is_first_version = is_first_version(batch);
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

fn threads(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
    each(segment, "threads", |batch| {
        let id: &Int64Array = column(batch, "id")?;
        let name: &StringArray = column(batch, "name")?;
        for at in 0..batch.num_rows() {
            let row = Thread { id: id.value(at), name: tables.strings.intern(name.value(at)) };
            tables.threads.push(row);
        }
        Ok(())
    })
}

fn links(segment: &Segment, tables: &mut Tables) -> Result<(), Error> {
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
    })
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
