//! Rollups as Parquet files. Format page: `docs/formats/rollup.md`.

use super::ROLLUP_VERSION;
use crate::Error;
use crate::limits::{NAMES_ZSTD_LEVEL, ROLLUP_PAGE_ROWS_MAX};
use crate::segment::table::compression;
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array, UInt32Array,
    UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Encoding;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use profile::VALUES_MAX;
use std::sync::Arc;
use stdx::saturate;
use views::Frame;
use views::rollup::{Counted, KindRollup, SeriesRollup, Values};

/// A table's name and file.
pub(crate) type File = (&'static str, Vec<u8>);

struct Column(&'static str, ArrayRef, Option<Encoding>);

fn u32s(name: &'static str, values: impl Iterator<Item = u32>) -> Column {
    let array = UInt32Array::from_iter_values(values);
    Column(name, Arc::new(array), Some(Encoding::BYTE_STREAM_SPLIT))
}

fn steps(name: &'static str, values: impl Iterator<Item = u32>) -> Column {
    let array = UInt32Array::from_iter_values(values);
    Column(name, Arc::new(array), Some(Encoding::DELTA_BINARY_PACKED))
}

fn u64s(name: &'static str, values: impl Iterator<Item = u64>) -> Column {
    let array = UInt64Array::from_iter_values(values);
    Column(name, Arc::new(array), Some(Encoding::BYTE_STREAM_SPLIT))
}

fn texts<'a>(name: &'static str, values: impl Iterator<Item = &'a str>) -> Column {
    Column(name, Arc::new(values.map(Some).collect::<StringArray>()), None)
}

/// A column for each measure.
fn measures<'a>(
    names: [&'static str; VALUES_MAX],
    values: impl Iterator<Item = &'a Values> + Clone,
) -> impl Iterator<Item = Column> {
    names.into_iter().enumerate().map(move |(at, name)| {
        let array = Int64Array::from_iter_values(values.clone().map(|row| saturate(row[at])));
        Column(name, Arc::new(array), Some(Encoding::BYTE_STREAM_SPLIT))
    })
}

fn encode(name: &'static str, columns: Vec<Column>) -> Result<File, Error> {
    let rows = columns.first().map_or(0, |Column(_, values, _)| values.len());
    let version = KeyValue::new("vesta.version".to_owned(), ROLLUP_VERSION.to_string());
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(compression(NAMES_ZSTD_LEVEL, rows))
        .set_created_by("vesta".to_owned())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_row_count_limit(ROLLUP_PAGE_ROWS_MAX)
        .set_write_batch_size(ROLLUP_PAGE_ROWS_MAX)
        .set_key_value_metadata(Some(vec![version]));
    for Column(column, _, encoding) in &columns {
        if let Some(encoding) = encoding {
            let path = ColumnPath::from(*column);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, *encoding);
        }
    }
    let columns = columns.into_iter().map(|Column(name, values, _)| (name, values, false));
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    Ok((name, writer.into_inner()?))
}

/// All files of an hour; the parts' frames are positions in `frames`.
pub(crate) fn files(parts: &[KindRollup], frames: &[Frame]) -> Result<Vec<File>, Error> {
    let (ranks, used) = used_frames(parts, frames);
    Ok(vec![
        kinds(parts)?,
        series(parts)?,
        frames_table(&used)?,
        prefixes(parts, &ranks)?,
        functions(parts, &ranks)?,
    ])
}

/// New positions of frames, in order of their names, and the frames that parts use. The first stays
/// the first.
fn used_frames<'a>(parts: &[KindRollup], frames: &'a [Frame]) -> (Vec<u32>, Vec<&'a Frame>) {
    let mut is_used = vec![false; frames.len()];
    for part in parts {
        let prefixes = part.prefixes.iter().skip(1).map(|prefix| prefix.frame);
        for frame in prefixes.chain(part.functions.iter().map(|cell| cell.frame)) {
            is_used[frame as usize] = true;
        }
    }
    let mut used: Vec<usize> = (1..frames.len()).filter(|at| is_used[*at]).collect();
    used.sort_by(|a, b| frames[*a].cmp(&frames[*b]));
    let mut ranks = vec![0; frames.len()];
    for (at, frame) in used.iter().enumerate() {
        ranks[*frame] = at as u32 + 1;
    }
    let first = frames.first().into_iter();
    (ranks, first.chain(used.iter().map(|at| &frames[*at])).collect())
}

fn kinds(parts: &[KindRollup]) -> Result<File, Error> {
    let rows = || {
        let mut firsts = (0_usize, 0_usize);
        let parts = parts.iter().enumerate().map(move |(at, part)| {
            let here = firsts;
            firsts = (here.0 + part.cells.len(), here.1 + part.functions.len());
            (at as u32, part, here)
        });
        let rows = parts.flat_map(|(at, part, firsts)| {
            part.series
                .iter()
                .enumerate()
                .map(move |(ordinal, row)| (at, part, firsts, ordinal, row))
        });
        rows.collect::<Vec<_>>()
    };
    let rows = rows();
    let number = |of: fn(&SeriesRollup) -> u64| rows.iter().map(move |row| of(row.4));
    let part = |of: fn(&KindRollup) -> &str| rows.iter().map(move |row| of(row.1));
    let mut columns = vec![
        steps("part", rows.iter().map(|row| row.0)),
        texts("service", part(|part| &part.service)),
        texts("kind", part(|part| &part.kind)),
        steps("series", rows.iter().map(|row| row.3 as u32)),
        u32s("first_prefix", rows.iter().map(|row| row.2.0 as u32)),
        u32s("prefixes", rows.iter().map(|row| row.1.cells.len() as u32)),
        u32s("first_function", rows.iter().map(|row| row.2.1 as u32)),
        u32s("functions", rows.iter().map(|row| row.1.functions.len() as u32)),
        u64s("samples", number(|row| row.samples)),
        u64s("covered_ms", number(|row| row.covered_ms)),
    ];
    columns.extend(measures(["v0", "v1", "v2", "v3"], rows.iter().map(|row| &row.4.totals)));
    let names = ["profiles", "profile_samples", "lost", "broken", "unsymbolized"];
    columns.extend(counted(names, rows.iter().map(|row| &row.4.all)));
    let names = [
        "continued_profiles",
        "continued_samples",
        "continued_lost",
        "continued_broken",
        "continued_unsymbolized",
    ];
    columns.extend(counted(names, rows.iter().map(|row| &row.4.continued)));
    encode("kinds", columns)
}

fn counted<'a>(
    names: [&'static str; 5],
    rows: impl Iterator<Item = &'a Counted> + Clone,
) -> Vec<Column> {
    let [profiles, samples, lost, broken, unsymbolized] = names;
    vec![
        u64s(profiles, rows.clone().map(|row| row.profiles)),
        u64s(samples, rows.clone().map(|row| row.quality.samples)),
        u64s(lost, rows.clone().map(|row| row.quality.lost)),
        u64s(broken, rows.clone().map(|row| row.quality.broken)),
        u64s(unsymbolized, rows.map(|row| row.quality.unsymbolized)),
    ]
}

fn series(parts: &[KindRollup]) -> Result<File, Error> {
    let rows = || {
        parts.iter().enumerate().flat_map(|(part, of)| {
            of.series.iter().enumerate().flat_map(move |(series, row)| {
                row.labels.iter().map(move |pair| (part as u32, series as u32, pair))
            })
        })
    };
    encode(
        "series",
        vec![
            steps("part", rows().map(|row| row.0)),
            steps("series", rows().map(|row| row.1)),
            texts("name", rows().map(|row| row.2.0)),
            texts("value", rows().map(|row| row.2.1)),
        ],
    )
}

fn frames_table(frames: &[&Frame]) -> Result<File, Error> {
    let text = |name, of: fn(&Frame) -> &str| texts(name, frames.iter().map(move |row| of(row)));
    let frame_type = frames.iter().map(|row| row.origin.frame_type as u8);
    let unsymbolized: BooleanArray = frames.iter().map(|row| Some(row.unsymbolized)).collect();
    let names = texts("name", frames.iter().map(|row| &*row.name));
    encode(
        "frames",
        vec![
            Column(names.0, names.1, Some(Encoding::DELTA_BYTE_ARRAY)),
            text("system_name", |row| &row.origin.system_name),
            text("binary", |row| &row.origin.path),
            text("file", |row| &row.file),
            text("build_id", |row| &row.origin.build_id),
            Column("frame_type", Arc::new(UInt8Array::from_iter_values(frame_type)), None),
            Column("unsymbolized", Arc::new(unsymbolized), None),
        ],
    )
}

fn prefixes(parts: &[KindRollup], ranks: &[u32]) -> Result<File, Error> {
    let rows = || {
        parts.iter().enumerate().flat_map(|(part, of)| {
            of.cells.iter().map(move |cell| (part as u32, cell, of.prefixes[cell.prefix as usize]))
        })
    };
    let up = |cell: u32, parent: u32| cell - parent;
    let mut columns = vec![
        steps("part", rows().map(|row| row.0)),
        steps("prefix", rows().map(|row| row.1.prefix)),
        u32s("up", rows().map(|row| up(row.1.prefix, row.2.parent))),
        u32s("frame", rows().map(|row| ranks[row.2.frame as usize])),
        u32s("series", rows().map(|row| row.1.series)),
        u64s("profiles", rows().map(|row| row.1.profiles)),
    ];
    columns.extend(measures(["v0", "v1", "v2", "v3"], rows().map(|row| &row.1.own)));
    encode("prefixes", columns)
}

fn functions(parts: &[KindRollup], ranks: &[u32]) -> Result<File, Error> {
    let rows = || {
        parts
            .iter()
            .enumerate()
            .flat_map(|(part, of)| of.functions.iter().map(move |cell| (part as u32, cell)))
    };
    let mut columns = vec![
        steps("part", rows().map(|row| row.0)),
        u32s("frame", rows().map(|row| ranks[row.1.frame as usize])),
        u32s("series", rows().map(|row| row.1.series)),
        u64s("profiles", rows().map(|row| row.1.profiles)),
    ];
    columns.extend(measures(["v0", "v1", "v2", "v3"], rows().map(|row| &row.1.own)));
    columns.extend(measures(["t0", "t1", "t2", "t3"], rows().map(|row| &row.1.total)));
    encode("functions", columns)
}
