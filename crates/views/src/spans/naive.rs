//! The specification of questions about spans.

pub mod cpu;

use super::cpu::EndpointCpu;
use super::durations::rounded;
use super::{
    Endpoint, Endpoints, Place, SpanFilter, SpanInfo, SpanList, SpanPage, SpanSeries, Trace,
    trace_place,
};
use crate::limits::TRACE_SPANS_MAX;
use cpu::Profiled;
use profile::{Labels, SpanStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::Timestamp;

/// Spans of all tenants.
pub type Stored = Vec<(String, SpanInfo)>;

fn chosen(all: &Stored, filter: &SpanFilter) -> Vec<SpanInfo> {
    let found = all.iter().filter(|(tenant, info)| {
        *tenant == filter.tenant && filter.keeps_labels(&info.labels) && filter.keeps(&info.span)
    });
    found.map(|(_, info)| info.clone()).collect()
}

/// A trace; nothing where there is none.
pub fn trace(all: &Stored, tenant: &str, id: u128) -> Trace {
    let found = all.iter().filter(|(whose, info)| whose == tenant && info.span.trace_id == id);
    let mut spans: Vec<SpanInfo> = found.map(|(_, info)| info.clone()).collect();
    spans.sort_by(|a, b| {
        let places = trace_place(&a.span).cmp(&trace_place(&b.span));
        places.then_with(|| a.tie().cmp(&b.tie()))
    });
    spans.dedup_by(|a, b| trace_place(&a.span) == trace_place(&b.span));
    let left_out = spans.len().saturating_sub(TRACE_SPANS_MAX) as u64;
    spans.truncate(TRACE_SPANS_MAX);
    Trace { spans, left_out }
}

/// A page of a list.
pub fn spans(all: &Stored, filter: &SpanFilter, page: SpanPage) -> SpanList {
    let place = |info: &SpanInfo| Place::of(&info.span, page.order);
    let mut spans = chosen(all, filter);
    spans.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.tie().cmp(&b.tie())));
    spans.dedup_by(|a, b| place(a) == place(b));
    spans.retain(|info| page.after.is_none_or(|after| place(info) > after));
    let has_more = spans.len() > page.limit;
    spans.truncate(page.limit);
    let next = spans.last().filter(|_| has_more).map(place);
    SpanList { spans, next }
}

/// The series with spans that a filter keeps.
pub fn series(all: &Stored, filter: &SpanFilter) -> Vec<SpanSeries> {
    let mut last: BTreeMap<Arc<Labels>, Timestamp> = BTreeMap::new();
    for info in chosen(all, filter) {
        let known = last.entry(info.labels).or_insert(info.span.start);
        *known = info.span.start.max(*known);
    }
    last.into_iter().map(|(labels, last)| SpanSeries { labels, last }).collect()
}

/// What endpoints did, with profiles that may tell their CPU time.
pub fn endpoints(
    all: &Stored,
    filter: &SpanFilter,
    profiles: &[Profiled],
    limit: usize,
) -> Endpoints {
    let cpu = cpu::by_endpoint(all, filter, profiles);
    let mut by_endpoint: BTreeMap<(String, String), Vec<SpanInfo>> = BTreeMap::new();
    for info in chosen(all, filter) {
        let key = (info.service().to_owned(), info.span.resource.to_string());
        by_endpoint.entry(key).or_default().push(info);
    }
    let endpoints = by_endpoint.into_iter().map(|((service, resource), infos)| {
        let mut durations: Vec<i64> = infos.iter().map(|info| info.span.duration_nanos).collect();
        durations.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100);
            rounded(durations[rank - 1])
        };
        let errors = infos.iter().filter(|info| info.span.status == SpanStatus::Error);
        let (nanos, profiled) = cpu.get(&(service.clone(), resource.clone())).unwrap_or(&(0, 0));
        Endpoint {
            service,
            resource,
            count: infos.len() as u64,
            errors: errors.count() as u64,
            total_nanos: stdx::saturate(durations.iter().map(|nanos| i128::from(*nanos)).sum()),
            max_nanos: durations[durations.len() - 1],
            p50_nanos: percentile(50),
            p95_nanos: percentile(95),
            p99_nanos: percentile(99),
            cpu: EndpointCpu::of(*nanos, *profiled),
        }
    });
    Endpoints::of(endpoints.collect(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::{SpanOrder, Trace};
    use profile::{Span, SpanKind};
    use stdx::TimeRange;

    fn info(service: &str, span_id: u64, start: i64, duration_nanos: i64) -> (String, SpanInfo) {
        let span = Span {
            trace_id: 7,
            span_id,
            parent_id: 0,
            is_entry: true,
            kind: SpanKind::Server,
            status: if duration_nanos > 100 { SpanStatus::Error } else { SpanStatus::Unset },
            name: "GET".into(),
            resource: "GET /".into(),
            message: "".into(),
            start: Timestamp::from_nanos(start),
            duration_nanos,
            attributes: Vec::new(),
        };
        let labels: Labels = [("service_name", service)].into_iter().collect();
        let received_at = Timestamp::from_nanos(0);
        ("t".to_owned(), SpanInfo { labels: Arc::new(labels), received_at, span })
    }

    fn ids(spans: &[SpanInfo]) -> Vec<u64> {
        spans.iter().map(|info| info.span.span_id).collect()
    }

    #[test]
    fn lists_are_ordered_paged_and_have_a_span_once() {
        let all = vec![
            info("a", 1, 10, 5),
            info("a", 2, 20, 500),
            info("a", 2, 20, 500),
            info("b", 3, 30, 50),
        ];
        let filter = SpanFilter::everything("t", TimeRange::ALL);
        let mut page = SpanPage { order: SpanOrder::Slowest, limit: 2, after: None };
        let first = spans(&all, &filter, page);
        assert_eq!(ids(&first.spans), [2, 3]);
        page.after = first.next;
        let text = first.next.expect("there is more").to_string();
        assert_eq!(Place::parse(&text).ok(), first.next);
        let second = spans(&all, &filter, page);
        assert_eq!((ids(&second.spans), second.next), (vec![1], None));
        let newest = SpanPage { order: SpanOrder::Newest, limit: 9, after: None };
        assert_eq!(ids(&spans(&all, &filter, newest).spans), [3, 2, 1]);
        assert_eq!(ids(&trace(&all, "t", 7).spans), [1, 2, 3]);
        assert_eq!(trace(&all, "u", 7), Trace::default());
        assert!(Place::parse("1.2.3").is_err() && Place::parse("").is_err());
    }

    #[test]
    fn endpoints_say_how_long_and_how_often() {
        let mut all: Vec<_> = (1..=100).map(|at| info("a", at, 10, at.cast_signed())).collect();
        all.push(info("b", 1, 10, 1_000));
        let filter = SpanFilter::everything("t", TimeRange::ALL);
        let found = endpoints(&all, &filter, &[], 1);
        assert_eq!((found.spans, found.left_out), (101, 1));
        let one = &found.endpoints[0];
        assert_eq!((one.service.as_str(), one.count, one.errors), ("a", 100, 0));
        assert_eq!((one.p50_nanos, one.p95_nanos, one.p99_nanos), (50, 95, 99));
        assert_eq!((one.max_nanos, one.total_nanos), (100, 5050));
    }
}
