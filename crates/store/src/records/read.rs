//! Reading a segment of records back.

use super::{OwnBase, Record, Texts};
use crate::Error;
use crate::batch::column;
use crate::segment::Segment;
use crate::segment::read::reader;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::Int32Type;
use profile::Labels;
use std::sync::Arc;
use stdx::Timestamp;

/// A column of texts, each shared.
#[derive(Debug)]
pub struct Column {
    texts: Vec<Arc<str>>,
    /// Places in it; none for null.
    rows: Vec<Option<u32>>,
}

impl Column {
    /// `None` when the batch does not have the column: it was not asked for.
    pub(crate) fn of(
        batch: &RecordBatch,
        name: &str,
        shared: &mut Texts,
    ) -> Result<Option<Self>, Error> {
        let Some(values) = batch.column_by_name(name) else { return Ok(None) };
        let wrong = || Error::corrupt(format!("column {name} is of another type"));
        let values = values.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
        let texts: &StringArray = values.values().as_string_opt::<i32>().ok_or_else(wrong)?;
        let texts = texts.iter().map(|text| shared.share(text.unwrap_or_default())).collect();
        let rows = values.keys().iter().map(|key| key.and_then(|key| u32::try_from(key).ok()));
        Ok(Some(Self { texts, rows: rows.collect() }))
    }

    pub(crate) fn get(&self, row: usize) -> Option<&Arc<str>> {
        self.texts.get((*self.rows.get(row)?)? as usize)
    }
}

/// Reads the labels of a segment's series.
pub(crate) fn series(segment: &Segment) -> Result<Vec<Arc<Labels>>, Error> {
    let mut series: Vec<Labels> = Vec::new();
    let file = segment.file("series")?;
    for batch in file.map(reader).transpose()?.into_iter().flatten() {
        let batch = batch?;
        let at: &UInt32Array = column(&batch, "series")?;
        let name: &StringArray = column(&batch, "name")?;
        let value: &StringArray = column(&batch, "value")?;
        for row in 0..batch.num_rows() {
            let at = at.value(row) as usize;
            // The series without labels comes first, and has no row.
            if series.is_empty() && at == 1 {
                series.push(Labels::new());
            }
            if at > series.len() {
                return Err(Error::corrupt("a label is of no series"));
            }
            if at == series.len() {
                series.push(Labels::new());
            }
            series[at].set(name.value(row), value.value(row));
        }
    }
    if series.is_empty() {
        series.push(Labels::new());
    }
    Ok(series.into_iter().map(Arc::new).collect())
}

/// All records of a segment.
pub(crate) fn all<R: Record>(segment: &Segment) -> Result<Vec<R>, Error> {
    let series = series(segment)?;
    let table = R::CONTENT.name();
    let file = segment.file(table)?.ok_or_else(|| Error::corrupt(format!("no {table} file")))?;
    let (mut texts, mut rows) = (Texts::default(), Vec::new());
    for batch in reader(file)? {
        rows.extend(decode(&batch?, &series, &mut texts)?);
    }
    Ok(rows)
}

/// A column that may not have been read.
pub(crate) fn absent<T: Array + Clone + 'static>(
    batch: &RecordBatch,
    name: &str,
) -> Result<Option<T>, Error> {
    batch.column_by_name(name).map(|_| column(batch, name).cloned()).transpose()
}

/// The records of a batch of the file. Columns that were not read give empty texts and zeros;
/// `series` is always needed.
pub fn decode<R: Record>(
    batch: &RecordBatch,
    series: &[Arc<Labels>],
    texts: &mut Texts,
) -> Result<Vec<R>, Error> {
    let at: &UInt32Array = column(batch, "series")?;
    let number = |name| absent::<Int64Array>(batch, name);
    let (start, duration) = (number("start_ns")?, number("duration_ns")?);
    let received_at = number("received_at_ns")?;
    let attributes = batch.column_by_name("attributes");
    let mut attributes = attributes.map(Attributes::of).transpose()?;
    let columns = R::columns(batch, texts)?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let labels = series.get(at.value(row) as usize);
        let labels = labels.ok_or_else(|| Error::corrupt("a record is of no series"))?;
        let number = |column: &Option<Int64Array>| column.as_ref().map_or(0, |it| it.value(row));
        let base = OwnBase {
            labels: Arc::clone(labels),
            received_at: Timestamp::from_nanos(number(&received_at)),
            start: Timestamp::from_nanos(number(&start)),
            duration_nanos: number(&duration).max(0),
            attributes: attributes.as_mut().map_or_else(Vec::new, |map| map.of_row(row, texts)),
        };
        rows.push(R::of_row(&columns, row, base));
    }
    Ok(rows)
}

/// The column of attributes.
struct Attributes<'a> {
    ends: &'a [i32],
    names: &'a StringArray,
    values: &'a StringArray,
}

impl<'a> Attributes<'a> {
    fn of(map: &'a ArrayRef) -> Result<Self, Error> {
        let wrong = || Error::corrupt("column attributes is of another type");
        let map = map.as_map_opt().ok_or_else(wrong)?;
        let names = map.keys().as_string_opt::<i32>().ok_or_else(wrong)?;
        let values = map.values().as_string_opt::<i32>().ok_or_else(wrong)?;
        Ok(Self { ends: map.value_offsets(), names, values })
    }

    fn of_row(&mut self, row: usize, texts: &mut Texts) -> Vec<(Arc<str>, Arc<str>)> {
        let (Some(first), Some(end)) = (self.ends.get(row), self.ends.get(row + 1)) else {
            return Vec::new();
        };
        let places = (*first).max(0) as usize..(*end).max(0) as usize;
        let mut pair = |at| {
            let value = if self.values.is_valid(at) { self.values.value(at) } else { "" };
            (texts.share(self.names.value(at)), texts.share(value))
        };
        places.map(&mut pair).collect()
    }
}
