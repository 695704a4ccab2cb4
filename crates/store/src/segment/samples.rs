//! Writing a segment's samples, in pieces.

use crate::batch::{Names, to_batch};
use crate::limits::{
    ENCODING_TRIAL_ROWS_MAX, PAGE_ROWS_MAX, ROW_GROUP_ROWS_MAX, SEGMENT_ZSTD_LEVEL,
};
use crate::rows::Row;
use crate::{Error, schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::metadata::KeyValue;
use parquet::schema::types::ColumnPath;

/// Rows turned into Arrow at a time, which bounds the memory beside the encoded file.
const BATCH_ROWS: usize = 1 << 16;

/// Rows of one kind and series that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) kind: u32,
    pub(crate) series: u32,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
}

/// Takes sorted rows, gives a Parquet file.
pub(crate) struct SamplesWriter<'a> {
    names: Names<'a>,
    writer: Option<ArrowWriter<Vec<u8>>>,
    buffer: Vec<Row>,
    rows: u64,
    runs: Vec<Run>,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) file: Vec<u8>,
    pub(crate) rows: u64,
    pub(crate) runs: Vec<Run>,
}

impl<'a> SamplesWriter<'a> {
    pub(crate) fn new(names: Names<'a>) -> Self {
        Self { names, writer: None, buffer: Vec::new(), rows: 0, runs: Vec::new() }
    }

    /// How many there are so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn push(&mut self, row: Row) -> Result<(), Error> {
        match self.runs.last_mut() {
            Some(run) if (run.kind, run.series) == (row.kind, row.series) => run.rows += 1,
            _ => {
                let Row { kind, series, .. } = row;
                self.runs.push(Run { kind, series, first_row: self.rows, rows: 1 });
            }
        }
        self.rows += 1;
        self.buffer.push(row);
        if self.buffer.len() >= BATCH_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        let batch = to_batch(&self.buffer, self.names)?;
        if self.writer.is_none() {
            self.writer = Some(open(&self.buffer)?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Ends the file with what `footer` says of it.
    pub(crate) fn finish(mut self, footer: Vec<KeyValue>) -> Result<Written, Error> {
        if !self.buffer.is_empty() || self.writer.is_none() {
            self.write()?;
        }
        let mut file = Vec::new();
        if let Some(mut writer) = self.writer {
            for pair in footer {
                writer.append_key_value_metadata(pair);
            }
            file = writer.into_inner()?;
        }
        Ok(Written { file, rows: self.rows, runs: self.runs })
    }
}

/// Ordinals in sorted order are small steps; times too. Stacks, threads and values are not, and a
/// dictionary's packed bits hide from zstd what repeats.
fn open(sample: &[Row]) -> Result<ArrowWriter<Vec<u8>>, Error> {
    let mut properties = super::table::properties(SEGMENT_ZSTD_LEVEL, sample.len())
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX));
    let some = &sample[..sample.len().min(ENCODING_TRIAL_ROWS_MAX)];
    let stack = better_encoding(some.iter().map(|row| row.stack.to_le_bytes()));
    let [v0, v1, v2, v3] = std::array::from_fn(|at| {
        let values = some.iter().map(|row| row.values[at]);
        better_encoding(values.filter(|value| *value != 0).map(i64::to_le_bytes))
    });
    let encodings = [
        ("series", Encoding::DELTA_BINARY_PACKED),
        ("profile", Encoding::DELTA_BINARY_PACKED),
        ("ts_ms", Encoding::DELTA_BINARY_PACKED),
        ("link", Encoding::DELTA_BINARY_PACKED),
        ("stack", stack),
        ("thread", Encoding::BYTE_STREAM_SPLIT),
        ("attributes", Encoding::BYTE_STREAM_SPLIT),
        ("v0", v0),
        ("v1", v1),
        ("v2", v2),
        ("v3", v3),
    ];
    for (column, encoding) in encodings {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding);
    }
    Ok(ArrowWriter::try_new(Vec::new(), schema::samples(), Some(properties.build()))?)
}

/// How a column becomes smaller, tried on some of it: where whole runs repeat (the stacks of a
/// client that samples all threads at once, a few values) the bytes are best left together, else
/// split by significance (times that were measured, whose lower bytes are noise).
fn better_encoding<const N: usize>(some: impl Iterator<Item = [u8; N]>) -> Encoding {
    let rows: Vec<[u8; N]> = some.collect();
    let split: Vec<u8> = (0..N).flat_map(|at| rows.iter().map(move |row| row[at])).collect();
    let size = |bytes: &[u8]| {
        zstd::bulk::compress(bytes, SEGMENT_ZSTD_LEVEL).map_or(usize::MAX, |z| z.len())
    };
    if size(rows.as_flattened()) <= size(&split) {
        Encoding::PLAIN
    } else {
        Encoding::BYTE_STREAM_SPLIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_are_split_and_what_repeats_is_left_together() {
        let mut rng = stdx::Rng::seeded(7);
        let times: Vec<i64> =
            (0..10_000).map(|_| 9_000_000 + rng.below(2_500_000).cast_signed()).collect();
        let bytes =
            |values: &[i64]| better_encoding(values.iter().map(|value| value.to_le_bytes()));
        assert_eq!(bytes(&times), Encoding::BYTE_STREAM_SPLIT);
        let runs: Vec<&[i64]> = times.chunks(64).take(10).collect();
        let repeated = (0..150).flat_map(|_| runs[rng.below(10) as usize].iter().copied());
        let repeated: Vec<i64> = repeated.collect();
        assert_eq!(bytes(&repeated), Encoding::PLAIN);
        assert_eq!(bytes(&[]), Encoding::PLAIN);
    }
}
