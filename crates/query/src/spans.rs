//! Questions about spans: row groups that cannot hold an answer are passed over by statistics and
//! bloom filters; the rest is read without attributes first, and only spans that are shown are read
//! whole.

mod file;
pub(crate) mod series;

use crate::engine::Engine;
use crate::error;
use file::File;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::TimeRange;
use store::spans::Texts;
use store::{SpanPart, Spans};
use views::spans::{EndpointSums, Place, TRACE_SPANS_MAX, trace_place};
use views::{Endpoints, MatcherOp, SpanFilter, SpanInfo, SpanList, SpanPage, Trace, ViewError};

/// Spans that agree in all that a list is ordered by, of which the least is shown.
const ALIKE_MAX: usize = 8;

/// Where a row is: its part, row group, and row of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    part: usize,
    group: usize,
    number: usize,
}

/// A span that may be in the answer; with its place in a file it has no attributes yet.
#[derive(Debug)]
struct Candidate {
    info: SpanInfo,
    row: Option<Row>,
}

/// The first so many by a key, each key once.
struct First<K> {
    limit: usize,
    kept: BTreeMap<K, Vec<Candidate>>,
    left_out: u64,
}

impl<K: Ord> First<K> {
    fn new(limit: usize) -> Self {
        Self { limit, kept: BTreeMap::new(), left_out: 0 }
    }

    fn add(&mut self, key: K, candidate: Candidate) {
        let last = self.kept.last_key_value();
        if self.kept.len() >= self.limit && last.is_none_or(|(last, _)| key > *last) {
            self.left_out += 1;
            return;
        }
        let alike = self.kept.entry(key).or_default();
        alike.push(candidate);
        if alike.len() > ALIKE_MAX {
            alike.sort_by(|a, b| a.info.tie().cmp(&b.info.tie()));
            alike.truncate(ALIKE_MAX);
        }
        if self.kept.len() > self.limit {
            self.left_out += self.kept.pop_last().map_or(0, |(_, alike)| alike.len() as u64);
        }
    }
}

/// The one service that is asked for, where that is plain.
fn service_of(filter: &SpanFilter) -> Option<&str> {
    filter.matchers.iter().find_map(|matcher| match &matcher.op {
        MatcherOp::Equal(value) if matcher.name == profile::labels::names::SERVICE => {
            Some(value.as_str())
        }
        _ => None,
    })
}

/// Remembers which series are meant.
struct Meant<'a> {
    filter: &'a SpanFilter,
    known: FxHashMap<usize, bool>,
}

impl Meant<'_> {
    fn keeps(&mut self, info: &SpanInfo) -> bool {
        let address = Arc::as_ptr(&info.labels).addr();
        let filter = self.filter;
        *self.known.entry(address).or_insert_with(|| filter.keeps_labels(&info.labels))
    }
}

/// What takes the spans that are found.
type Take<'a> = &'a mut (dyn FnMut(Candidate) -> Result<(), ViewError> + Send);

impl Engine {
    fn span_parts(&self, tenant: &str, range: TimeRange, service: Option<&str>) -> Vec<SpanPart> {
        let mut parts = self.store.span_parts(tenant, range);
        parts.retain(|part| {
            let known = part.services().zip(service);
            known.is_none_or(|(have, wanted)| have.iter().any(|one| one == wanted))
        });
        parts
    }

    /// Hands over the spans that a filter keeps, and that are of the trace where one is asked for.
    async fn each_span(
        &self,
        parts: &[SpanPart],
        (filter, trace): (&SpanFilter, Option<u128>),
        take: Take<'_>,
    ) -> Result<(), ViewError> {
        let _permit = self.permits.acquire().await;
        let mut searched = 0_u64;
        for (at, part) in parts.iter().enumerate() {
            // Addresses of labels are those of one part.
            let mut meant = Meant { filter, known: FxHashMap::default() };
            let (path, size) = match part.spans() {
                Spans::Memory(entries) => {
                    for entry in entries {
                        for info in entry.infos() {
                            // Each entry has labels of its own.
                            if filter.keeps_labels(&info.labels)
                                && keeps(part, filter, trace, &info)
                            {
                                take(Candidate { info, row: None })?;
                            }
                        }
                    }
                    continue;
                }
                Spans::Parquet { path, size } => (path, size),
            };
            let file = File::open(self.store.object_store(), path, size).await?;
            let series = part.series().await.map_err(error::store)?;
            let groups = file.groups(filter, service_of(filter), trace).await?;
            for group in groups {
                let mut texts = Texts::default();
                let mut batches = file.read(group, file::Columns::of(filter), &[])?;
                let mut row = 0;
                while let Some(batch) = batches.next().await? {
                    searched += batch.num_rows() as u64;
                    if searched > self.settings.query_rows_max {
                        return Err(error::rows(self.settings.query_rows_max));
                    }
                    let infos = store::spans::read::decode(&batch, &series, &mut texts);
                    for info in infos.map_err(error::store)? {
                        let place = Row { part: at, group, number: row };
                        row += 1;
                        if meant.keeps(&info) && keeps(part, filter, trace, &info) {
                            take(Candidate { info, row: Some(place) })?;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// The least of each key, whole, in order.
    async fn whole<K: Ord>(
        &self,
        parts: &[SpanPart],
        first: First<K>,
    ) -> Result<Vec<SpanInfo>, ViewError> {
        let mut alike: Vec<Vec<SpanInfo>> = Vec::with_capacity(first.kept.len());
        let mut wanted: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (at, candidates) in first.kept.into_values().enumerate() {
            let mut here = Vec::new();
            for Candidate { info, row } in candidates {
                match row {
                    None => here.push(info),
                    Some(row) => {
                        wanted.entry((row.part, row.group)).or_default().push((row.number, at));
                    }
                }
            }
            alike.push(here);
        }
        let mut open: Option<(usize, File, Vec<Arc<profile::Labels>>)> = None;
        for ((at, group), mut rows) in wanted {
            if open.as_ref().is_none_or(|(have, ..)| *have != at) {
                let Spans::Parquet { path, size } = parts[at].spans() else { continue };
                let file = File::open(self.store.object_store(), path, size).await?;
                let series = parts[at].series().await.map_err(error::store)?;
                open = Some((at, file, series));
            }
            let Some((_, file, series)) = &open else { continue };
            rows.sort_unstable();
            let numbers: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
            let mut batches = file.read(group, file::Columns::All, &numbers)?;
            let (mut texts, mut places) = (Texts::default(), rows.iter().map(|(_, place)| *place));
            while let Some(batch) = batches.next().await? {
                let infos = store::spans::read::decode(&batch, series, &mut texts);
                for (info, place) in infos.map_err(error::store)?.into_iter().zip(&mut places) {
                    alike[place].push(info);
                }
            }
        }
        let least = |infos: Vec<SpanInfo>| infos.into_iter().min_by(|a, b| a.tie().cmp(&b.tie()));
        Ok(alike.into_iter().filter_map(least).collect())
    }

    pub(crate) async fn trace_of(&self, tenant: &str, id: u128) -> Result<Trace, ViewError> {
        let filter = SpanFilter::everything(tenant, TimeRange::ALL);
        let parts = self.span_parts(tenant, filter.range, None);
        let mut first = First::new(TRACE_SPANS_MAX);
        let mut take = |candidate: Candidate| {
            first.add(trace_place(&candidate.info.span), candidate);
            Ok(())
        };
        self.each_span(&parts, (&filter, Some(id)), &mut take).await?;
        let left_out = first.left_out;
        Ok(Trace { spans: self.whole(&parts, first).await?, left_out })
    }

    pub(crate) async fn span_list(
        &self,
        filter: &SpanFilter,
        page: SpanPage,
    ) -> Result<SpanList, ViewError> {
        let parts = self.span_parts(&filter.tenant, filter.range, service_of(filter));
        // One more says whether there is a next page.
        let mut first = First::new(page.limit.saturating_add(1));
        let mut take = |candidate: Candidate| {
            let place = Place::of(&candidate.info.span, page.order);
            if page.after.is_none_or(|after| place > after) {
                first.add(place, candidate);
            }
            Ok(())
        };
        self.each_span(&parts, (filter, None), &mut take).await?;
        let has_more = first.kept.len() > page.limit;
        if has_more {
            first.kept.pop_last();
        }
        let next = first.kept.last_key_value().filter(|_| has_more).map(|(place, _)| *place);
        Ok(SpanList { spans: self.whole(&parts, first).await?, next })
    }

    pub(crate) async fn endpoint_sums(
        &self,
        filter: &SpanFilter,
        limit: usize,
    ) -> Result<Endpoints, ViewError> {
        let parts = self.span_parts(&filter.tenant, filter.range, service_of(filter));
        let (mut sums, mut services) = (EndpointSums::default(), Texts::default());
        let mut take = |candidate: Candidate| {
            let service = services.share(candidate.info.service());
            sums.add(&service, &candidate.info.span)
        };
        self.each_span(&parts, (filter, None), &mut take).await?;
        Ok(sums.finish(limit))
    }
}

/// Whether a span of a series that is meant is in the answer.
fn keeps(part: &SpanPart, filter: &SpanFilter, trace: Option<u128>, info: &SpanInfo) -> bool {
    filter.keeps(&info.span)
        && trace.is_none_or(|trace| info.span.trace_id == trace)
        && !part.is_hidden(info)
}
