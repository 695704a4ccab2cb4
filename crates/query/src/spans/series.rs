//! Which series have spans. Spans are read only of parts with a series that tells something new, and
//! of those no more than times.

use crate::engine::Engine;
use crate::error;
use crate::records::{Columns, File, Wanted, service_of};
use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use object_store::path::Path;
use profile::Labels;
use profile::labels::names::SERVICE;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};
use store::{RecordPart, Records, Texts};
use views::{Selection, SpanFilter, SpanInfo, SpanSeries, ViewError};

/// What series are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Their labels: each series is looked for until it is found.
    Labels,
    /// When they were seen last; whether a series is new follows from its service.
    Services,
}

/// The series that were found, and when the last of their spans began.
#[derive(Debug, Default)]
struct Seen(BTreeMap<Arc<Labels>, Timestamp>);

impl Seen {
    fn add(&mut self, labels: &Arc<Labels>, start: Timestamp) {
        match self.0.get_mut(labels) {
            Some(last) => *last = start.max(*last),
            None => drop(self.0.insert(Arc::clone(labels), start)),
        }
    }
}

impl Engine {
    /// The series with spans of the selection that are new, as far as a question needs them.
    /// `known` is asked for what says so only where there are spans.
    pub(crate) async fn span_series<New: Fn(&Labels) -> bool + Send + Sync>(
        &self,
        selection: &Selection,
        what: For,
        known: impl FnOnce() -> New + Send,
    ) -> Result<Vec<SpanSeries>, ViewError> {
        let Some(filter) = SpanFilter::of_series(selection) else { return Ok(Vec::new()) };
        let parts = self.span_parts(&filter);
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let is_new = known();
        let (mut seen, mut searched) = (Seen::default(), 0_u64);
        for part in parts {
            let is_known = |service: &String| {
                let labels: Labels = [(SERVICE, service.as_str())].into_iter().collect();
                !is_new(&labels)
            };
            let services = part.services().filter(|_| what == For::Services);
            if services.is_some_and(|services| services.iter().all(is_known)) {
                continue;
            }
            let wants = |labels: &Labels, seen: &Seen| {
                let is_found = what == For::Labels && seen.0.contains_key(labels);
                !is_found && filter.keeps_labels(labels) && is_new(labels)
            };
            match part.records() {
                Records::Memory(groups) => {
                    let spans = groups.iter().flat_map(|group| &group.rows);
                    // Spans that came together share their labels.
                    let mut last: Option<(&Arc<Labels>, bool)> = None;
                    for info in spans.filter(|info| filter.range.contains(info.span.start)) {
                        let labels = &info.labels;
                        let known = last.filter(|(last, _)| Arc::ptr_eq(last, labels));
                        let is_wanted = known.map_or_else(|| wants(labels, &seen), |it| it.1);
                        last = Some((labels, is_wanted));
                        if is_wanted && !part.is_hidden(info) {
                            seen.add(labels, info.span.start);
                        }
                    }
                }
                Records::Parquet { path, size } => {
                    let series = part.series().await.map_err(error::store)?;
                    let wanted: Vec<bool> =
                        series.iter().map(|labels| wants(labels, &seen)).collect();
                    if !wanted.contains(&true) {
                        continue;
                    }
                    let wanted = (&*series, &*wanted);
                    let file = (&part, path, size);
                    searched += self.in_file(file, &filter, wanted, (&mut seen, searched)).await?;
                }
            }
        }
        Ok(seen.0.into_iter().map(|(labels, last)| SpanSeries { labels, last }).collect())
    }

    /// Looks through a file after so many rows of others; the number of its rows.
    async fn in_file(
        &self,
        (part, path, size): (&RecordPart<SpanInfo>, Path, u64),
        filter: &SpanFilter,
        wanted: (&[Arc<Labels>], &[bool]),
        (seen, searched): (&mut Seen, u64),
    ) -> Result<u64, ViewError> {
        let _permit = self.permits.acquire().await;
        let file = File::open(self.store.object_store(), path, size).await?;
        let mut rows = 0;
        let service = service_of(&filter.matchers).map(|service| ("service", vec![service]));
        let asked = Wanted {
            range: filter.range,
            duration_nanos_min: filter.duration_nanos_min,
            trace: None,
            texts: service.into_iter().collect(),
        };
        for group in file.groups(&asked).await? {
            let mut batches = file.read(group, Columns::Times, &[])?;
            while let Some(batch) = batches.next().await? {
                rows += batch.num_rows() as u64;
                if searched + rows > self.settings.query_rows_max {
                    return Err(error::rows(self.settings.query_rows_max));
                }
                read(part, &batch, filter.range, wanted, seen)?;
                tokio::task::yield_now().await;
            }
        }
        Ok(rows)
    }
}

/// The spans of a batch in a range and of the series that are wanted.
fn read(
    part: &RecordPart<SpanInfo>,
    batch: &RecordBatch,
    range: TimeRange,
    (series, wanted): (&[Arc<Labels>], &[bool]),
    seen: &mut Seen,
) -> Result<(), ViewError> {
    let ordinals: &UInt32Array = column(batch, "series")?;
    let starts: &Int64Array = column(batch, "start_ns")?;
    let infos = if part.may_be_hidden() {
        store::records::read::decode(batch, series, &mut Texts::default()).map_err(error::store)?
    } else {
        Vec::<SpanInfo>::new()
    };
    for row in 0..batch.num_rows() {
        let (at, start) = (ordinals.value(row) as usize, Timestamp::from_nanos(starts.value(row)));
        let is_wanted = wanted.get(at).copied().unwrap_or(false) && range.contains(start);
        if is_wanted && !infos.get(row).is_some_and(|info| part.is_hidden(info)) {
            seen.add(&series[at], start);
        }
    }
    Ok(())
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, ViewError> {
    let found = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    found.ok_or_else(|| ViewError::Store(format!("spans without a column {name}")))
}
