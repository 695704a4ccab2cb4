//! What requests took, of a few spans and samples.

use super::*;
use crate::spans::cpu::EndpointCpu;
use crate::spans::naive::endpoints;
use profile::{Span, SpanKind, SpanStatus};
use stdx::Timestamp;

const MS: i64 = 1_000_000;

/// A span of trace 7 that began at a millisecond; a request where it has no parent.
fn span(service: &str, (id, parent): (u64, u64), at: i64, resource: &str) -> (String, SpanInfo) {
    let span = Span {
        trace_id: 7,
        span_id: id,
        parent_id: parent,
        is_entry: parent == 0,
        kind: SpanKind::Unspecified,
        status: SpanStatus::Unset,
        name: "n".into(),
        resource: resource.into(),
        message: "".into(),
        start: Timestamp::from_millis(at),
        duration_nanos: 5 * MS,
        attributes: Vec::new(),
    };
    let labels: Labels = [("service_name", service)].into_iter().collect();
    let received_at = Timestamp::default();
    ("t".to_owned(), SpanInfo { labels: Arc::new(labels), received_at, span })
}

fn of_instance(mut span: (String, SpanInfo), instance: &str) -> (String, SpanInfo) {
    let mut labels = (*span.1.labels).clone();
    labels.set(INSTANCE, instance);
    span.1.labels = Arc::new(labels);
    span
}

const INSTANCE: &str = profile::labels::names::INSTANCE;

/// A profile of a service, and perhaps instance, with links: trace, span, root, milliseconds.
fn profile(
    (service, instance): (&str, &str),
    (from, to): (i64, i64),
    linked: &[(u128, u64, u64, i64)],
) -> Profiled {
    let mut labels: Labels = [("service_name", service)].into_iter().collect();
    labels.set(INSTANCE, instance);
    let link = |&(trace_id, span_id, root_span_id, millis): &(u128, u64, u64, i64)| {
        (Link { trace_id, span_id, root_span_id }, millis * MS)
    };
    Profiled {
        labels: Arc::new(labels),
        window: TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to)),
        linked: linked.iter().map(link).collect(),
    }
}

/// Service, resource, and CPU milliseconds with the number of profiled requests.
type Row = (String, String, Option<(i64, u64)>);

fn found(all: &Stored, filter: &SpanFilter, profiles: &[Profiled]) -> Vec<Row> {
    let cpu = |one: EndpointCpu| (one.nanos / MS, one.profiled);
    let mut found: Vec<_> = endpoints(all, filter, profiles, 99)
        .endpoints
        .into_iter()
        .map(|one| (one.service, one.resource, one.cpu.map(cpu)))
        .collect();
    found.sort();
    found
}

fn everything() -> SpanFilter {
    SpanFilter::everything("t", TimeRange::ALL)
}

#[test]
fn samples_belong_to_the_request_of_their_root_or_of_an_ancestor() {
    let all = vec![
        span("a", (1, 0), 10, "GET /"),
        span("a", (2, 1), 11, "query"),
        span("a", (3, 2), 12, "lock"),
        span("a", (4, 0), 20, "PUT /"),
        span("b", (5, 3), 13, "GET /b"),
    ];
    let linked = [
        (0, 9, 1, 1),   // by its root, whatever its span is
        (7, 3, 0, 2),   // two calls up
        (0, 2, 0, 4),   // without a trace, too
        (7, 4, 1, 8),   // the root comes first
        (7, 4, 99, 16), // a root that is not stored: by the span
        (8, 1, 1, 32),  // another trace
        (0, 5, 5, 64),  // a span of another service
        (0, 0, 0, 128), // nothing
    ];
    let profiles = [profile(("a", ""), (0, 100), &linked)];
    let cpu = found(&all, &everything(), &profiles);
    let of = |resource: &str| cpu.iter().find(|one| one.1 == resource).expect("it is there").2;
    assert_eq!(of("GET /"), Some((1 + 2 + 4 + 8, 1)));
    assert_eq!(of("PUT /"), Some((16, 1)));
    assert_eq!(
        (of("query"), of("lock"), of("GET /b")),
        (None, None, None),
        "not profiled requests"
    );
}

#[test]
fn requests_count_that_no_sample_hit_but_none_that_nobody_looked_at() {
    let all: Stored =
        (0..10).map(|at| span("a", (at + 1, 0), at.cast_signed() * 10, "GET /")).collect();
    let of = |profiles: &[Profiled]| found(&all, &everything(), profiles)[0].2;
    // Requests began at 0, 10, … 90.
    let one = profile(("a", ""), (10, 30), &[(0, 2, 2, 6)]);
    assert_eq!(of(std::slice::from_ref(&one)), Some((6, 2)));
    let idle = profile(("a", ""), (50, 80), &[]);
    assert_eq!(of(&[one.clone(), idle.clone()]), Some((6, 5)), "of the same series");
    let other = Profiled { labels: profile(("a", "z"), (0, 1), &[]).labels, ..idle.clone() };
    assert_eq!(of(&[one.clone(), other]), Some((6, 2)), "a series that never names a span");
    assert_eq!(of(&[idle]), None);
    // Twice the same time is no more.
    assert_eq!(of(&[one.clone(), profile(("a", ""), (20, 30), &[])]), Some((6, 2)));
    let sample_of_another_time = profile(("a", ""), (10, 30), &[(0, 9, 9, 6)]);
    assert_eq!(of(&[sample_of_another_time]), Some((0, 2)), "its request is not counted, either");
    assert_eq!(of(&[profile(("b", ""), (0, 100), &[(0, 2, 2, 6)])]), None, "another service");
    let mean = EndpointCpu { nanos: 6, profiled: 4 }.per_request_nanos();
    assert!((mean - 1.5).abs() < f64::EPSILON);
}

#[test]
fn profiles_of_an_instance_speak_for_its_requests_only() {
    let all = vec![
        of_instance(span("a", (1, 0), 10, "GET /"), "x"),
        of_instance(span("a", (2, 0), 11, "GET /"), "y"),
        span("a", (3, 0), 12, "GET /"),
    ];
    let of = |instance| {
        found(&all, &everything(), &[profile(("a", instance), (0, 100), &[(0, 1, 1, 6)])])[0].2
    };
    assert_eq!(of("x"), Some((6, 2)), "its own, and one that may be");
    assert_eq!(of("z"), Some((0, 1)));
    assert_eq!(of(""), Some((6, 3)));
}

#[test]
fn what_a_filter_leaves_out_has_no_cpu_time_but_still_leads_to_requests() {
    let mut all = vec![span("a", (1, 0), 10, "GET /"), span("a", (2, 1), 11, "query")];
    all[1].1.span.duration_nanos = 1;
    let profiles = [profile(("a", ""), (0, 100), &[(7, 2, 0, 6)])];
    let long = SpanFilter { duration_nanos_min: 2, ..everything() };
    assert_eq!(found(&all, &long, &profiles)[0].2, Some((6, 1)));
    let failed = SpanFilter { only_errors: true, ..everything() };
    assert_eq!(found(&all, &failed, &profiles), []);
    let late = TimeRange::new(Timestamp::from_millis(11), Timestamp::MAX);
    let late = SpanFilter::everything("t", late);
    assert_eq!(found(&all, &late, &profiles)[0].2, None, "its request began before");
    assert_eq!(found(&all, &SpanFilter::everything("u", TimeRange::ALL), &profiles), []);
}

#[test]
fn ids_that_mean_nothing_or_several_things_lead_nowhere() {
    let mut all = vec![span("a", (1, 0), 10, "GET /"), span("a", (1, 0), 11, "PUT /")];
    let linked = [(0, 1, 1, 6)];
    let of = |all: &Stored, linked| {
        let cpu = found(all, &everything(), &[profile(("a", ""), (0, 100), linked)]);
        cpu.into_iter().map(|one| one.2.map(|cpu| cpu.0)).collect::<Vec<_>>()
    };
    assert_eq!(of(&all, &linked), [Some(6), Some(0)], "the first that began");
    all[1].1.span.trace_id = 8;
    assert_eq!(of(&all, &linked), [Some(0), Some(0)], "two traces have it");
    assert_eq!(of(&all, &[(8, 1, 1, 6)]), [Some(0), Some(6)], "and the link says which");
    // Spans that are each other's parents.
    let round = vec![
        span("a", (1, 2), 10, "one"),
        span("a", (2, 1), 11, "two"),
        span("a", (3, 0), 12, "GET /"),
    ];
    assert_eq!(of(&round, &[(7, 1, 0, 6)]), [Some(0), None, None]);
}
