//! A small table as a Parquet file.

use super::write::key;
use crate::limits::{BLOOM_FALSE_PART, NAMES_ZSTD_LEVEL, PLAIN_ROWS_MAX, SEGMENT_ZSTD_LEVEL};
use crate::{Error, schema};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// A table's name and file.
pub(crate) type File = (&'static str, Vec<u8>);

/// What every file of a segment has that many rows.
pub(crate) fn properties(zstd_level: i32, rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(compression(zstd_level, rows))
        .set_created_by("vesta".to_owned())
}

/// How so many rows are compressed: few are not. Parquet makes a compressor and a decompressor for
/// each column, when it writes as when it reads, which takes longer than all else of a small table.
pub(crate) fn compression(zstd_level: i32, rows: usize) -> Compression {
    if rows <= PLAIN_ROWS_MAX {
        return Compression::UNCOMPRESSED;
    }
    Compression::ZSTD(ZstdLevel::try_new(zstd_level).unwrap_or_default())
}

/// A column: its name, values, whether it may hold nulls, and how its values are written when not
/// by dictionary.
pub(crate) struct Column {
    name: &'static str,
    values: ArrayRef,
    nullable: bool,
    encoding: Option<Encoding>,
    is_looked_up: bool,
}

impl Column {
    pub(crate) fn new(name: &'static str, values: ArrayRef) -> Self {
        Self { name, values, nullable: false, encoding: None, is_looked_up: false }
    }

    pub(crate) fn u32s(name: &'static str, values: impl Iterator<Item = u32>) -> Self {
        Self::new(name, Arc::new(UInt32Array::from_iter_values(values)))
    }

    pub(crate) fn u64s(name: &'static str, values: impl Iterator<Item = u64>) -> Self {
        Self::new(name, Arc::new(UInt64Array::from_iter_values(values)))
    }

    pub(crate) fn i64s(name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        Self::new(name, Arc::new(Int64Array::from_iter_values(values)))
    }

    pub(crate) fn texts<'a>(name: &'static str, values: impl Iterator<Item = &'a str>) -> Self {
        Self::new(name, Arc::new(values.map(Some).collect::<StringArray>()))
    }

    pub(crate) fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// No fewer than its distinct values.
    fn values_max(&self) -> u64 {
        (self.values.len() - self.values.null_count()).max(1) as u64
    }

    /// Values that are searched for in many files: a bloom filter says which may hold one.
    pub(crate) fn looked_up(self) -> Self {
        Self { is_looked_up: true, ..self }
    }

    /// Values that grow row by row.
    pub(crate) fn steps(self) -> Self {
        Self { encoding: Some(Encoding::DELTA_BINARY_PACKED), ..self }
    }

    /// Numbers with few high bytes, in no order.
    pub(crate) fn split(self) -> Self {
        Self { encoding: Some(Encoding::BYTE_STREAM_SPLIT), ..self }
    }

    /// Distinct texts in order.
    pub(crate) fn sorted(self) -> Self {
        Self { encoding: Some(Encoding::DELTA_BYTE_ARRAY), ..self }
    }
}

/// Encodes tables.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    zstd_level: i32,
}

impl Tables {
    /// `is_compacted`: written to stay, so that more time may go into it.
    pub(crate) fn new(is_compacted: bool) -> Self {
        Self { zstd_level: if is_compacted { NAMES_ZSTD_LEVEL } else { SEGMENT_ZSTD_LEVEL } }
    }

    /// Encodes a table; an empty one gives no file.
    pub(crate) fn encode(
        self,
        name: &'static str,
        columns: Vec<Column>,
    ) -> Result<Option<File>, Error> {
        let rows = columns.first().map_or(0, |column| column.values.len());
        let mut properties = properties(self.zstd_level, rows)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(vec![key("version", schema::SEGMENT_VERSION)]));
        for (column, encoding) in columns.iter().filter_map(|it| Some((it.name, it.encoding?))) {
            let path = ColumnPath::from(column);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, encoding);
        }
        for column in columns.iter().filter(|it| it.is_looked_up) {
            let path = ColumnPath::from(column.name);
            properties = properties
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_PART)
                .set_column_bloom_filter_max_ndv(path, column.values_max());
        }
        let columns = columns.into_iter().map(|it| (it.name, it.values, it.nullable));
        let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
        writer.write(&batch)?;
        Ok(Some((name, writer.into_inner()?)))
    }
}
