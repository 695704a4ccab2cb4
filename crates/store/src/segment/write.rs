//! Writing a segment: its tables as Parquet bytes, then files and directory entries, synced.

use super::samples::{SamplesWriter, Written};
use super::table::{File, Tables};
use super::{profiles, tables};
use crate::collect::Arranged;
use crate::index::RangeIndex;
use crate::rows::Row;
use crate::{Error, schema};
use catalog::{Content, SegmentRow};
use parquet::file::metadata::KeyValue;
use stdx::{Timestamp, Ulid};

/// Encodes all tables; `rows` are sorted. Returns the catalog row and the files.
pub(crate) fn encode(
    arranged: &Arranged,
    rows: impl Iterator<Item = Result<Row, Error>>,
    id: Ulid,
    level: u8,
    created_at: Timestamp,
) -> Result<(SegmentRow, Vec<File>), Error> {
    let written = samples(arranged, rows)?;
    let mut files = vec![("samples", written.file)];
    let to = Tables::new(level > 0);
    files.extend(tables::encode(arranged, to)?);
    files.extend(profiles::encode(arranged, &written.runs, to)?);
    let (t_min_ns, t_max_ns) = arranged.time_bounds();
    let index = RangeIndex {
        services: services(arranged),
        kinds: arranged.ordinals.kinds.iter().map(ToString::to_string).collect(),
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64)).collect(),
        profiles: arranged.profiles.len() as u64,
        raw_bytes: arranged.raw_bytes(),
        ids: ids(arranged),
    };
    let row = SegmentRow {
        id,
        content: Content::Profiles,
        level,
        tenant: arranged.tenant.to_string(),
        t_min_ns,
        t_max_ns,
        rows: written.rows,
        bytes: index.files.iter().map(|(_, bytes)| bytes).sum(),
        created_at,
        range_index: index.encode(),
    };
    Ok((row, files))
}

fn ids(arranged: &Arranged) -> Option<(Ulid, Ulid)> {
    let ids = || arranged.profiles.iter().map(|row| row.id);
    ids().min().zip(ids().max())
}

fn services(arranged: &Arranged) -> Vec<String> {
    let service = profile::labels::names::SERVICE;
    let series = arranged.ordinals.series.iter();
    let services = series.map(|labels| labels.get(service).unwrap_or(""));
    let services: std::collections::BTreeSet<&str> = services.collect();
    services.into_iter().map(str::to_owned).collect()
}

fn samples(
    arranged: &Arranged,
    rows: impl Iterator<Item = Result<Row, Error>>,
) -> Result<Written, Error> {
    let mut writer = SamplesWriter::new(arranged.ordinals.names(&arranged.tenant));
    for row in rows {
        writer.push(row?)?;
    }
    let (first, last) = arranged.time_bounds();
    let rows = writer.rows();
    writer.finish(vec![
        key("version", schema::SEGMENT_VERSION),
        key("tenant", &arranged.tenant),
        key("services", services(arranged).join("\n")),
        key("kinds", arranged.ordinals.kinds.join("\n")),
        key("t_min_ns", first),
        key("t_max_ns", last),
        key("profiles", arranged.profiles.len()),
        key("rows", rows),
    ])
}

pub(crate) fn key(name: &str, value: impl ToString) -> KeyValue {
    KeyValue::new(format!("vesta.{name}"), value.to_string())
}
