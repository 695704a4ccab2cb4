//! The profiles of a segment, with labels, totals and information.

use super::{each, sixteen};
use crate::Error;
use crate::batch::column;
use crate::rows::{ProfileRow, Slice};
use crate::segment::Segment;
use arrow::array::{
    Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use profile::{Labels, Metadata};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};
use views::KindTotals;

/// A profile while its tables are read.
struct Draft {
    row: ProfileRow,
    metadata: Metadata,
    kinds: Vec<KindTotals>,
    slices: Vec<(Arc<str>, Slice)>,
}

/// Texts that come again and again, each once.
#[derive(Default)]
struct Texts(FxHashSet<Arc<str>>);

impl Texts {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(have) = self.0.get(text) {
            return Arc::clone(have);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}

/// The profiles with labels, totals and information.
pub(crate) fn profiles(segment: &Segment) -> Result<Vec<ProfileRow>, Error> {
    let mut drafts = drafts(segment)?;
    totals(segment, &mut drafts)?;
    slices(segment, &mut drafts)?;
    info(segment, &mut drafts)?;
    Ok(drafts.into_iter().map(Draft::finish).collect())
}

impl Draft {
    fn finish(self) -> ProfileRow {
        let Self { row, metadata, kinds, slices } = self;
        let of_kind = |kind: &KindTotals| {
            let own = slices.iter().filter(|(of, _)| *of == kind.kind);
            own.map(|(_, slice)| *slice).collect()
        };
        let slices =
            if slices.is_empty() { Arc::default() } else { kinds.iter().map(of_kind).collect() };
        ProfileRow { slices, kinds: kinds.into(), metadata: Arc::new(metadata), ..row }
    }
}

fn drafts(segment: &Segment) -> Result<Vec<Draft>, Error> {
    let series: Vec<Arc<Labels>> = series(segment)?.into_iter().map(Arc::new).collect();
    let none = Arc::new(Labels::new());
    let labels_of = |at: u32| Arc::clone(series.get(at as usize).unwrap_or(&none));
    let tenant: Arc<str> = segment.row.tenant.as_str().into();
    let mut drafts: Vec<Draft> = Vec::new();
    each(segment, "profiles", |batch| {
        let id: &FixedSizeBinaryArray = column(batch, "id")?;
        let series: &UInt32Array = column(batch, "series")?;
        let time = |name| column::<Int64Array>(batch, name);
        let (start, end, received) = (time("start_ns")?, time("end_ns")?, time("received_at_ns")?);
        let samples: &UInt64Array = column(batch, "samples")?;
        let instant = |column: &Int64Array, at| Timestamp::from_nanos(column.value(at));
        for (at, metadata) in metadata(batch)?.into_iter().enumerate() {
            let row = ProfileRow {
                ordinal: drafts.len() as u32,
                id: Ulid::from_bytes(sixteen(id, at)?),
                tenant: Arc::clone(&tenant),
                series: series.value(at),
                labels: labels_of(series.value(at)),
                window: TimeRange::new(instant(start, at), instant(end, at)),
                received_at: instant(received, at),
                samples: samples.value(at),
                kinds: Arc::default(),
                slices: Arc::default(),
                metadata: Arc::default(),
            };
            drafts.push(Draft { row, metadata, kinds: Vec::new(), slices: Vec::new() });
        }
        Ok(())
    })?;
    Ok(drafts)
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

fn totals(segment: &Segment, drafts: &mut [Draft]) -> Result<(), Error> {
    let mut texts = Texts::default();
    each(segment, "totals", |batch| {
        let profile: &UInt32Array = column(batch, "profile")?;
        let kind: &StringArray = column(batch, "kind")?;
        let samples: &UInt64Array = column(batch, "samples")?;
        let number = |name| column::<Int64Array>(batch, name);
        let values = [number("v0")?, number("v1")?, number("v2")?, number("v3")?];
        let (first, last) = (number("ts_min_ns")?, number("ts_max_ns")?);
        for at in 0..batch.num_rows() {
            let draft = drafts.get_mut(profile.value(at) as usize);
            let draft = draft.ok_or_else(|| Error::corrupt("totals of no profile"))?;
            draft.kinds.push(KindTotals {
                kind: texts.of(kind.value(at)),
                samples: samples.value(at),
                totals: values.map(|column| column.value(at)),
                first: Timestamp::from_nanos(first.value(at)),
                last: Timestamp::from_nanos(last.value(at)),
            });
        }
        Ok(())
    })
}

fn slices(segment: &Segment, drafts: &mut [Draft]) -> Result<(), Error> {
    let mut texts = Texts::default();
    each(segment, "slices", |batch| {
        let profile: &UInt32Array = column(batch, "profile")?;
        let kind: &StringArray = column(batch, "kind")?;
        let number = |name| column::<Int64Array>(batch, name);
        let start_ms = number("start_ms")?;
        let values = [number("v0")?, number("v1")?, number("v2")?, number("v3")?];
        for at in 0..batch.num_rows() {
            let draft = drafts.get_mut(profile.value(at) as usize);
            let draft = draft.ok_or_else(|| Error::corrupt("slices of no profile"))?;
            let start_ms = start_ms.value(at);
            let slice = Slice { start_ms, totals: values.map(|column| column.value(at)) };
            draft.slices.push((texts.of(kind.value(at)), slice));
        }
        Ok(())
    })
}

fn info(segment: &Segment, drafts: &mut [Draft]) -> Result<(), Error> {
    each(segment, "info", |batch| {
        let profile: &UInt32Array = column(batch, "profile")?;
        let key: &StringArray = column(batch, "key")?;
        let value: &StringArray = column(batch, "value")?;
        for at in 0..batch.num_rows() {
            let draft = drafts.get_mut(profile.value(at) as usize);
            let draft = draft.ok_or_else(|| Error::corrupt("information on no profile"))?;
            draft.metadata.info.push((key.value(at).to_owned(), value.value(at).to_owned()));
        }
        Ok(())
    })
}
