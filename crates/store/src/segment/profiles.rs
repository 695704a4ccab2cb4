//! The tables of profiles and series, as files.

use super::samples::Run;
use super::table::{Column, File, Tables as Encoder};
use crate::Error;
use crate::collect::Arranged;
use arrow::array::{FixedSizeBinaryArray, Float64Array, UInt32Array};
use std::sync::Arc;

/// Encodes them.
pub(super) fn encode(
    arranged: &Arranged,
    runs: &[Run],
    to: Encoder,
) -> Result<impl Iterator<Item = File>, Error> {
    let files = [
        series(arranged, to)?,
        info(arranged, to)?,
        profiles(arranged, to)?,
        totals(arranged, to)?,
        slices(arranged, to)?,
        self::runs(arranged, runs, to)?,
    ];
    Ok(files.into_iter().flatten())
}

fn series(arranged: &Arranged, to: Encoder) -> Result<Option<File>, Error> {
    let series = || {
        let series = arranged.ordinals.series.iter().enumerate();
        series.flat_map(|(at, labels)| labels.iter().map(move |pair| (at as u32, pair)))
    };
    to.encode(
        "series",
        vec![
            Column::u32s("series", series().map(|(at, _)| at)).steps(),
            Column::texts("name", series().map(|(_, (name, _))| name)),
            Column::texts("value", series().map(|(_, (_, value))| value)),
        ],
    )
}

fn info(arranged: &Arranged, to: Encoder) -> Result<Option<File>, Error> {
    let info = || {
        let all = arranged.profiles.iter();
        all.flat_map(|row| row.metadata.info.iter().map(|pair| (row.ordinal, pair)))
    };
    to.encode(
        "info",
        vec![
            Column::u32s("profile", info().map(|(at, _)| at)).steps(),
            Column::texts("key", info().map(|(_, (key, _))| key.as_str())),
            Column::texts("value", info().map(|(_, (_, value))| value.as_str())),
        ],
    )
}

fn profiles(arranged: &Arranged, to: Encoder) -> Result<Option<File>, Error> {
    let rows = &arranged.profiles;
    if rows.is_empty() {
        return Ok(None);
    }
    let ids = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| row.id.to_bytes()))?;
    let meta = || rows.iter().map(|row| &row.metadata);
    let cpus: UInt32Array = meta().map(|meta| meta.cpu_count).collect();
    let quotas: Float64Array = meta().map(|meta| meta.cpu_quota).collect();
    to.encode(
        "profiles",
        vec![
            Column::new("id", Arc::new(ids)),
            Column::u32s("series", rows.iter().map(|row| row.series)).steps(),
            Column::i64s("start_ns", rows.iter().map(|row| row.window.start.nanos())).steps(),
            Column::i64s("end_ns", rows.iter().map(|row| row.window.end.nanos())).steps(),
            Column::i64s("received_at_ns", rows.iter().map(|row| row.received_at.nanos())).steps(),
            Column::u64s("samples", rows.iter().map(|row| row.samples)).split(),
            Column::i64s("period", meta().map(|meta| meta.period)),
            Column::texts("period_type", meta().map(|meta| meta.period_type.as_str())),
            Column::texts("period_unit", meta().map(|meta| meta.period_unit.as_str())),
            Column::new("cpu_count", Arc::new(cpus)).nullable(),
            Column::new("cpu_quota", Arc::new(quotas)).nullable(),
            Column::u64s("lost", meta().map(|meta| meta.lost)),
            Column::u64s("broken", meta().map(|meta| meta.broken)).split(),
            Column::u64s("unsymbolized", meta().map(|meta| meta.unsymbolized)).split(),
            Column::texts("client", meta().map(|meta| meta.client.as_str())),
        ],
    )
}

fn totals(arranged: &Arranged, to: Encoder) -> Result<Option<File>, Error> {
    let rows = || {
        let all = arranged.profiles.iter();
        all.flat_map(|row| row.kinds.iter().map(|kind| (row.ordinal, kind)))
    };
    let value =
        |name, at: usize| Column::i64s(name, rows().map(move |(_, kind)| kind.totals[at])).split();
    to.encode(
        "totals",
        vec![
            Column::u32s("profile", rows().map(|(at, _)| at)).steps(),
            Column::texts("kind", rows().map(|(_, kind)| &*kind.kind)),
            Column::u64s("samples", rows().map(|(_, kind)| kind.samples)).split(),
            value("v0", 0),
            value("v1", 1),
            value("v2", 2),
            value("v3", 3),
            Column::i64s("ts_min_ns", rows().map(|(_, kind)| kind.first.nanos())).steps(),
            Column::i64s("ts_max_ns", rows().map(|(_, kind)| kind.last.nanos())).steps(),
        ],
    )
}

fn slices(arranged: &Arranged, to: Encoder) -> Result<Option<File>, Error> {
    let rows = || {
        let rows = arranged.profiles.iter();
        let kinds =
            rows.flat_map(|row| row.kinds.iter().zip(&*row.slices).map(move |of| (row, of)));
        kinds.flat_map(|(row, (kind, slices))| slices.iter().map(move |one| (row, kind, one)))
    };
    let value =
        |name, at: usize| Column::i64s(name, rows().map(move |(_, _, one)| one.totals[at])).split();
    to.encode(
        "slices",
        vec![
            Column::u32s("profile", rows().map(|(row, ..)| row.ordinal)).steps(),
            Column::texts("kind", rows().map(|(_, kind, _)| &*kind.kind)),
            Column::i64s("start_ms", rows().map(|(_, _, one)| one.start_ms)).steps(),
            value("v0", 0),
            value("v1", 1),
            value("v2", 2),
            value("v3", 3),
        ],
    )
}

fn runs(arranged: &Arranged, runs: &[Run], to: Encoder) -> Result<Option<File>, Error> {
    let kind = |run: &Run| arranged.ordinals.kinds.get(run.kind as usize).map_or("", |it| it);
    to.encode(
        "runs",
        vec![
            Column::texts("kind", runs.iter().map(kind)),
            Column::u32s("series", runs.iter().map(|run| run.series)).steps(),
            Column::u64s("first_row", runs.iter().map(|run| run.first_row)).steps(),
            Column::u64s("rows", runs.iter().map(|run| run.rows)).split(),
        ],
    )
}
