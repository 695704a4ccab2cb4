//! The CPU time of endpoints: samples by link first, then one pass over the spans, of which those
//! are kept in memory that links may lead to.

mod covered;
mod requests;

use crate::engine::Engine;
use crate::error;
use crate::plan::{Group, Sum};
use crate::predicate::RowSet;
use crate::records::{Ask, Columns, Wanted, service_of};
use covered::Covered;
use profile::labels::names::SERVICE;
use profile::{Labels, LinkId, Tables};
use requests::Requests;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{RecordPart, TableSet, Texts};
use views::spans::EndpointSums;
use views::spans::cpu::{names_a_span, selection};
use views::{Endpoints, SpanFilter, SpanInfo, ViewError};

/// What samples say of spans.
struct Linked {
    covered: Covered,
    requests: Requests,
}

impl Engine {
    /// Endpoints with the CPU time of their requests; none where no sample names a span.
    pub(crate) async fn endpoints_with_cpu(
        &self,
        parts: &[RecordPart<SpanInfo>],
        filter: &SpanFilter,
        limit: usize,
    ) -> Result<Option<Endpoints>, ViewError> {
        if parts.is_empty() {
            return Ok(None);
        }
        let Some(linked) = self.linked(filter).await? else { return Ok(None) };
        let Linked { covered, mut requests } = linked;
        let (mut sums, mut services) = (EndpointSums::default(), Texts::default());
        let mut take = |info: SpanInfo| {
            let keeps = filter.keeps(&info.span);
            let is_profiled = keeps && info.span.is_entry && covered.covers(&info);
            if keeps {
                sums.add(&services.share(info.service()), &info.span, is_profiled)?;
            }
            requests.offer(&info, is_profiled)
        };
        self.each_span_of_series(parts, filter, &mut take).await?;
        if requests.look_for_parents() {
            let mut take = |info: SpanInfo| {
                let is_request = info.span.is_entry && filter.keeps(&info.span);
                requests.offer(&info, is_request && covered.covers(&info))
            };
            self.each_span_of_series(parts, filter, &mut take).await?;
        }
        for (service, resource, nanos) in requests.finish() {
            sums.add_cpu(&service, &resource, nanos);
        }
        Ok(Some(sums.finish(limit)))
    }

    /// Hands over all spans of the series and range of a filter. They have attributes where the
    /// filter asks for some.
    async fn each_span_of_series(
        &self,
        parts: &[RecordPart<SpanInfo>],
        filter: &SpanFilter,
        take: &mut (dyn FnMut(SpanInfo) -> Result<(), ViewError> + Send),
    ) -> Result<(), ViewError> {
        let is_all = !filter.attributes.is_empty();
        let service = service_of(&filter.matchers).map(|service| ("service", vec![service]));
        let texts = service.into_iter().collect();
        let ask = Ask {
            wanted: Wanted { range: filter.range, duration_nanos_min: 0, trace: None, texts },
            matchers: &filter.matchers,
            columns: if is_all { Columns::All } else { Columns::WithoutAttributes },
            keeps: &|info: &SpanInfo| filter.range.contains(info.span.start),
        };
        self.each_record(parts, &ask, &mut |info, _| take(info)).await
    }

    /// What the samples beside the spans say of them; none where they name no span.
    async fn linked(&self, filter: &SpanFilter) -> Result<Option<Linked>, ViewError> {
        let (found, scanner) = self.found(&selection(filter)).await?;
        let parts: BTreeSet<usize> = found.contributors.iter().map(|one| one.part).collect();
        let mut tables: BTreeMap<usize, Arc<Tables>> = BTreeMap::new();
        for at in parts {
            let part = &found.selected.parts[at].part;
            let of_part = part.tables(TableSet::Links).await.map_err(error::store)?;
            if of_part.links.rows().iter().any(names_a_span) {
                tables.insert(at, of_part);
            }
        }
        let mut jobs = found.jobs(&found.contributors);
        jobs.retain_mut(|job| {
            let Some(tables) = tables.get(&job.at) else { return false };
            let named = tables.links.rows().iter().map(names_a_span).collect();
            job.predicate.rows.extend(RowSet::of("link", named, false));
            true
        });
        let sum = Sum::Value(found.profile_type.measure_index);
        let answers = scanner.sums(jobs, Group::ColumnSeries("link"), sum).await?;
        let mut requests = Requests::new(&self.settings);
        let mut series: FxHashSet<&Labels> = FxHashSet::default();
        let of_series = found.series();
        for (part, cells) in answers {
            let Some(tables) = tables.get(&part) else { continue };
            for cell in cells.iter() {
                let link = tables.links.get(LinkId(cell.ordinal()));
                let labels = of_series.get(&(part, cell.key.1)).map(|(labels, _)| *labels);
                if let (Some(link), Some(labels)) = (link, labels) {
                    series.insert(labels);
                    requests.add(labels.get(SERVICE).unwrap_or(""), *link, cell.value)?;
                }
            }
        }
        let profiles = found.contributors.iter().map(|one| found.info(one));
        let covered = Covered::of(profiles.filter(|info| series.contains(&*info.labels)));
        Ok((!series.is_empty()).then_some(Linked { covered, requests }))
    }
}
