//! The tables that samples point to, as files.

use super::layout::Layout;
use super::table::{Column, File, Tables as Encoder};
use crate::Error;
use crate::collect::Arranged;
use arrow::array::{
    BooleanArray, FixedSizeBinaryArray, Int64Array, StringArray, UInt8Array, UInt32Array,
    UInt64Array,
};
use profile::handle::Handle;
use profile::{AttributeValue, Function, Line, Link, Location, Tables};
use std::sync::Arc;

/// Encodes them in the order of `layout`.
pub(super) fn encode(
    arranged: &Arranged,
    to: Encoder,
) -> Result<impl Iterator<Item = File>, Error> {
    let (tables, layout) = (&*arranged.tables, &arranged.layout);
    let files = [
        functions(tables, layout, to)?,
        mappings(tables, to)?,
        nodes(layout, to)?,
        locations(tables, layout, to)?,
        lines(tables, layout, to)?,
        threads(tables, to)?,
        links(arranged.links(), to)?,
        attributes(tables, to)?,
    ];
    Ok(files.into_iter().flatten())
}

fn functions(tables: &Tables, layout: &Layout, to: Encoder) -> Result<Option<File>, Error> {
    let rows = layout.functions.iter().filter_map(|&at| tables.functions.get(at));
    let rows: Vec<&Function> = rows.collect();
    let text = |id| tables.text(id);
    to.encode(
        "functions",
        vec![
            Column::texts("name", rows.iter().map(|row| text(row.name))).sorted(),
            Column::texts("system_name", rows.iter().map(|row| text(row.system_name))),
            Column::texts("file", rows.iter().map(|row| text(row.file))),
            Column::u32s("start_line", rows.iter().map(|row| row.start_line)).split(),
        ],
    )
}

fn mappings(tables: &Tables, to: Encoder) -> Result<Option<File>, Error> {
    let rows = tables.mappings.rows();
    let text = |id| tables.text(id);
    to.encode(
        "mappings",
        vec![
            Column::texts("file", rows.iter().map(|row| text(row.file))),
            Column::texts("build_id", rows.iter().map(|row| text(row.build_id))),
            Column::u64s("start", rows.iter().map(|row| row.start)),
            Column::u64s("limit", rows.iter().map(|row| row.limit)),
            Column::u64s("offset", rows.iter().map(|row| row.offset)),
        ],
    )
}

fn nodes(layout: &Layout, to: Encoder) -> Result<Option<File>, Error> {
    let nodes = || layout.nodes.iter().enumerate();
    to.encode(
        "nodes",
        vec![
            Column::u32s("up", nodes().map(|(row, (parent, _))| row as u32 - parent)).split(),
            Column::u32s("location", nodes().map(|(_, (_, location))| *location)).split(),
        ],
    )
}

fn locations(tables: &Tables, layout: &Layout, to: Encoder) -> Result<Option<File>, Error> {
    let rows: Vec<&Location> = rows_of(tables, layout).collect();
    let rows = || rows.iter();
    let mapping: UInt32Array = rows().map(|row| row.mapping.map(|id| id.0)).collect();
    let address: UInt64Array = rows().map(|row| Some(row.address).filter(|at| *at != 0)).collect();
    let frame_type = UInt8Array::from_iter_values(rows().map(|row| row.frame_type as u8));
    let is_folded: BooleanArray = rows().map(|row| Some(row.is_folded)).collect();
    to.encode(
        "locations",
        vec![
            Column::new("mapping", Arc::new(mapping)).nullable(),
            Column::new("address", Arc::new(address)).nullable().split(),
            Column::new("frame_type", Arc::new(frame_type)),
            Column::new("is_folded", Arc::new(is_folded)),
        ],
    )
}

fn rows_of<'a>(tables: &'a Tables, layout: &'a Layout) -> impl Iterator<Item = &'a Location> {
    layout.locations.iter().filter_map(|&at| tables.locations.get(at))
}

fn lines(tables: &Tables, layout: &Layout, to: Encoder) -> Result<Option<File>, Error> {
    // Locations lie all over memory: they are gone through once.
    let mut lines: Vec<(u32, Line)> = Vec::with_capacity(layout.locations.len());
    for (at, row) in rows_of(tables, layout).enumerate() {
        lines.extend(row.lines.iter().map(|line| (at as u32, *line)));
    }
    let function = |line: &Line| layout.function_ranks.get(line.function.index()).copied();
    to.encode(
        "lines",
        vec![
            Column::u32s("location", lines.iter().map(|(at, _)| *at)).steps(),
            Column::u32s("function", lines.iter().map(|(_, line)| function(line).unwrap_or(0)))
                .split(),
            Column::u32s("line", lines.iter().map(|(_, line)| line.line)).split(),
            Column::u32s("column", lines.iter().map(|(_, line)| line.column)),
        ],
    )
}

fn threads(tables: &Tables, to: Encoder) -> Result<Option<File>, Error> {
    let rows = tables.threads.rows();
    to.encode(
        "threads",
        vec![
            Column::i64s("id", rows.iter().map(|row| row.id)).split(),
            Column::texts("name", rows.iter().map(|row| tables.text(row.name))),
        ],
    )
}

fn links(rows: &[Link], to: Encoder) -> Result<Option<File>, Error> {
    if rows.is_empty() {
        return Ok(None);
    }
    let trace_ids = rows.iter().map(|row| row.trace_id.to_be_bytes());
    let trace_ids = FixedSizeBinaryArray::try_from_iter(trace_ids)?;
    // Most spans that profilers name are their own local roots.
    let roots =
        rows.iter().map(|row| (row.root_span_id != row.span_id).then_some(row.root_span_id));
    let roots: UInt64Array = roots.collect();
    to.encode(
        "links",
        vec![
            Column::new("trace_id", Arc::new(trace_ids)).looked_up(),
            Column::u64s("span_id", rows.iter().map(|row| row.span_id)).steps().looked_up(),
            Column::new("root_span_id", Arc::new(roots)).nullable().looked_up(),
        ],
    )
}

fn attributes(tables: &Tables, to: Encoder) -> Result<Option<File>, Error> {
    let rows = || {
        let sets = tables.attributes.iter();
        sets.flat_map(|(id, set)| set.iter().map(move |row| (id, row)))
    };
    let value = |text: bool| -> StringArray {
        let values = rows().map(|(_, row)| match row.value {
            AttributeValue::Text(id) => text.then(|| tables.text(id)),
            AttributeValue::Number(_, unit) => (!text).then(|| tables.text(unit)),
        });
        values.collect()
    };
    let numbers = rows().map(|(_, row)| match row.value {
        AttributeValue::Text(_) => None,
        AttributeValue::Number(number, _) => Some(number),
    });
    to.encode(
        "attributes",
        vec![
            Column::u32s("set", rows().map(|(id, _)| id.index() as u32)).steps(),
            Column::texts("key", rows().map(|(_, row)| tables.text(row.key))),
            Column::new("text", Arc::new(value(true))).nullable(),
            Column::new("number", Arc::new(numbers.collect::<Int64Array>())).nullable(),
            Column::new("unit", Arc::new(value(false))).nullable(),
        ],
    )
}
