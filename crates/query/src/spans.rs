//! Questions about spans: they are read without attributes first, and only those that are shown are
//! read whole.

mod cpu;
pub(crate) mod series;

use crate::engine::Engine;
use crate::error;
use crate::records::{Ask, Columns, File, Row, Wanted, parts_of, service_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::TimeRange;
use store::{RecordPart, Records, Texts};
use views::limits::TRACE_SPANS_MAX;
use views::spans::{EndpointSums, Place, trace_place};
use views::{EndpointQuery, Endpoints, SpanFilter, SpanInfo, SpanList, SpanPage, Trace, ViewError};

/// Spans that agree in all that a list is ordered by, of which the least is shown.
const ALIKE_MAX: usize = 8;

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

impl Engine {
    fn span_parts(&self, filter: &SpanFilter) -> Vec<RecordPart<SpanInfo>> {
        parts_of(self.store.span_parts(&filter.tenant, filter.range), &filter.matchers)
    }

    /// Hands over the spans that a filter keeps, and that are of the trace where one is asked for.
    async fn each_span(
        &self,
        parts: &[RecordPart<SpanInfo>],
        (filter, trace): (&SpanFilter, Option<u128>),
        take: &mut (dyn FnMut(Candidate) -> Result<(), ViewError> + Send),
    ) -> Result<(), ViewError> {
        let is_all = !filter.attributes.is_empty();
        let service = service_of(&filter.matchers).map(|service| ("service", vec![service]));
        let ask = Ask {
            wanted: Wanted {
                range: filter.range,
                duration_nanos_min: filter.duration_nanos_min,
                trace,
                texts: service.into_iter().collect(),
            },
            matchers: &filter.matchers,
            columns: if is_all { Columns::All } else { Columns::WithoutAttributes },
            keeps: &|info: &SpanInfo| {
                filter.keeps(&info.span) && trace.is_none_or(|trace| info.span.trace_id == trace)
            },
        };
        self.each_record(parts, &ask, &mut |info, row| take(Candidate { info, row })).await
    }

    /// The least of each key, whole, in order.
    async fn whole<K: Ord>(
        &self,
        parts: &[RecordPart<SpanInfo>],
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
                let Records::Parquet { path, size } = parts[at].records() else { continue };
                let file = File::open(self.store.object_store(), path, size).await?;
                let series = parts[at].series().await.map_err(error::store)?;
                open = Some((at, file, series));
            }
            let Some((_, file, series)) = &open else { continue };
            rows.sort_unstable();
            let numbers: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
            let mut batches = file.read(group, Columns::All, &numbers)?;
            let (mut texts, mut places) = (Texts::default(), rows.iter().map(|(_, place)| *place));
            while let Some(batch) = batches.next().await? {
                let infos = store::records::read::decode(&batch, series, &mut texts);
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
        let parts = self.span_parts(&filter);
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
        let parts = self.span_parts(filter);
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
        query: EndpointQuery,
    ) -> Result<Endpoints, ViewError> {
        let parts = self.span_parts(filter);
        let mut without_cpu = None;
        if query.with_cpu {
            match self.endpoints_with_cpu(&parts, filter, query.limit).await {
                Ok(Some(endpoints)) => return Ok(endpoints),
                Ok(None) => {}
                // What was answered before samples were asked for is answered still.
                Err(ViewError::TooLarge(why)) => without_cpu = Some(why),
                Err(other) => return Err(other),
            }
        }
        let (mut sums, mut services) = (EndpointSums::default(), Texts::default());
        let mut take = |candidate: Candidate| {
            let service = services.share(candidate.info.service());
            sums.add(&service, &candidate.info.span, false)
        };
        self.each_span(&parts, (filter, None), &mut take).await?;
        Ok(Endpoints { without_cpu, ..sums.finish(query.limit) })
    }
}
