//! Rows to record batches of the samples schema and back.

use crate::rows::{NONE, Row};
use crate::{Error, schema};
use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt32Array,
};
use arrow::datatypes::Int32Type;
use profile::{Labels, VALUES_MAX};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What ordinals in rows stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) kinds: &'a [Arc<str>],
    pub(crate) series: &'a [Arc<Labels>],
}

/// Builds a batch; its order is the rows' order.
pub(crate) fn to_batch(rows: &[Row], names: Names<'_>) -> Result<RecordBatch, Error> {
    let ordinals = |value: fn(&Row) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(value)))
    };
    let optional = |value: fn(&Row) -> u32| -> ArrayRef {
        let values = rows.iter().map(value);
        Arc::new(values.map(|at| (at != NONE).then_some(at)).collect::<UInt32Array>())
    };
    let tenant = dictionary(rows.iter().map(|_| Some(0)), [names.tenant].into_iter())?;
    let mut columns: Vec<ArrayRef> = vec![tenant];
    let mut labels = schema::HOT_LABELS.iter();
    if let Some((label, _)) = labels.next() {
        columns.push(label_column(rows, names.series, label, Some(""))?);
    }
    let kinds = rows.iter().map(|row| Some(row.kind.cast_signed()));
    columns.push(dictionary(kinds, names.kinds.iter().map(|kind| &**kind))?);
    for (label, _) in labels {
        columns.push(label_column(rows, names.series, label, None)?);
    }
    columns.push(ordinals(|row| row.series));
    columns.push(ordinals(|row| row.profile));
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.ts_ms))));
    columns.push(Arc::new(rows.iter().map(|row| Some(row.timed)).collect::<BooleanArray>()));
    let rests = rows.iter().map(|row| (row.rest_ns >= 0).then_some(row.rest_ns));
    columns.push(Arc::new(rests.collect::<Int32Array>()));
    columns.push(ordinals(|row| row.stack));
    for at in 0..VALUES_MAX {
        let values = rows.iter().map(|row| (row.values[at] != 0).then_some(row.values[at]));
        columns.push(Arc::new(values.collect::<Int64Array>()));
    }
    columns.push(optional(|row| row.thread));
    columns.push(optional(|row| row.link));
    columns.push(optional(|row| row.attributes));
    Ok(RecordBatch::try_new(schema::samples(), columns)?)
}

fn dictionary<'a>(
    keys: impl Iterator<Item = Option<i32>>,
    values: impl Iterator<Item = &'a str>,
) -> Result<ArrayRef, Error> {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys.collect(), values)?))
}

fn label_column(
    rows: &[Row],
    series: &[Arc<Labels>],
    label: &str,
    absent: Option<&str>,
) -> Result<ArrayRef, Error> {
    let mut values: Vec<&str> = Vec::new();
    let mut index: FxHashMap<&str, i32> = FxHashMap::default();
    let mut key = |ordinal: u32| {
        let labels = series.get(ordinal as usize)?;
        let value = labels.get(label).or(absent)?;
        Some(*index.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as i32 - 1
        }))
    };
    // Rows of a series come together: of many series, only those of the rows are looked at.
    let runs = rows.chunk_by(|a, b| a.series == b.series);
    let keys = runs.flat_map(|run| std::iter::repeat_n(key(run[0].series), run.len()));
    let keys: Vec<Option<i32>> = keys.collect();
    dictionary(keys.into_iter(), values.into_iter())
}

/// A column of a batch by name and type.
pub(crate) fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a A, Error> {
    let column = batch.column_by_name(name);
    let typed = column.and_then(|column| column.as_any().downcast_ref::<A>());
    typed.ok_or_else(|| Error::corrupt(format!("column {name} is absent or of another type")))
}

/// Reads a batch's rows; kinds become ordinals of `kind_of`.
pub(crate) fn from_batch(
    batch: &RecordBatch,
    kind_of: &mut dyn FnMut(&str) -> u32,
    rows: &mut Vec<Row>,
) -> Result<(), Error> {
    let kinds: &DictionaryArray<Int32Type> = column(batch, "kind")?;
    let kind_names = kinds.values().as_any().downcast_ref::<StringArray>();
    let kind_names = kind_names.ok_or_else(|| Error::corrupt("column kind is not text"))?;
    let kind_ordinals: Vec<u32> =
        kind_names.iter().map(|kind| kind_of(kind.unwrap_or(""))).collect();
    let number = |name| column::<UInt32Array>(batch, name);
    let (series, profile, stack) = (number("series")?, number("profile")?, number("stack")?);
    let optional = [number("thread")?, number("link")?, number("attributes")?];
    let ts_ms: &Int64Array = column(batch, "ts_ms")?;
    let timed: &BooleanArray = column(batch, "timed")?;
    let rest: &Int32Array = column(batch, "ts_rest_ns")?;
    let values: [&Int64Array; VALUES_MAX] =
        [column(batch, "v0")?, column(batch, "v1")?, column(batch, "v2")?, column(batch, "v3")?];
    let or_none = |column: &UInt32Array, at| {
        if column.is_null(at) { NONE } else { column.value(at) }
    };
    rows.reserve(batch.num_rows());
    for at in 0..batch.num_rows() {
        let kind = kinds.key(at).and_then(|key| kind_ordinals.get(key).copied());
        rows.push(Row {
            ts_ms: ts_ms.value(at),
            values: values.map(|column| if column.is_null(at) { 0 } else { column.value(at) }),
            kind: kind.ok_or_else(|| Error::corrupt("a sample has no kind"))?,
            series: series.value(at),
            profile: profile.value(at),
            stack: stack.value(at),
            thread: or_none(optional[0], at),
            link: or_none(optional[1], at),
            attributes: or_none(optional[2], at),
            rest_ns: if rest.is_null(at) { -1 } else { rest.value(at) },
            timed: timed.value(at),
        });
    }
    Ok(())
}
