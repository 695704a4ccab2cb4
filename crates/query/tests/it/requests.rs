//! Property: the CPU time of endpoints is what the oracle says, and limits leave it out.

use crate::fixture::run;
use crate::spans::{World, any_filter, world};
use profile::labels::names::{INSTANCE, SOURCE};
use profile::{Labels, Link, Profile, Sample, SampleKind, Span, SpanBatch, SpanKind, SpanStatus};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use query::{Engine, Settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::{TimeRange, Timestamp};
use testkit::profiles::{BASE_MS, any_profile};
use testkit::spans::any_batch;
use views::{EndpointQuery, SpanFilter, Views};

const INSTANCES: [&str; 3] = ["", "h0:0", "h1:1"];
/// Few ids, so that links, spans and parents meet.
const IDS: u64 = 6;
const QUERY: EndpointQuery = EndpointQuery { limit: 1_000, with_cpu: true };

fn any_link() -> impl Strategy<Value = Link> {
    (0..3_u128, 0..=IDS, 0..=IDS).prop_map(|(trace_id, span_id, root_span_id)| Link {
        trace_id,
        span_id,
        // Some clients do not say it.
        root_span_id: if root_span_id < IDS / 2 { 0 } else { root_span_id },
    })
}

fn spans_that_meet() -> impl Strategy<Value = SpanBatch> {
    (any_batch(), 0..INSTANCES.len()).prop_map(|(mut batch, instance)| {
        batch.labels.set(INSTANCE, INSTANCES[instance]);
        for span in &mut batch.spans {
            span.trace_id = u128::from(span.trace_id > 100) + 1;
            span.span_id = span.span_id % IDS + 1;
            span.parent_id %= IDS + 1;
        }
        batch
    })
}

fn linked_profile() -> impl Strategy<Value = Profile> {
    let links = prop::collection::vec(prop::option::of(any_link()), 1..6);
    let length = 1_i64..3_600_000_000_000;
    (any_profile(), links, length, 0..INSTANCES.len()).prop_map(
        |(mut profile, links, length, instance)| {
            profile.labels.set(INSTANCE, INSTANCES[instance]);
            // Another source would answer for all of the instance.
            profile.labels.set(SOURCE, "ddtrace");
            profile.window.end = profile.window.start.plus_nanos(length);
            for (sample, link) in profile.samples.iter_mut().zip(links.iter().cycle()) {
                sample.link = link.map(|link| profile.tables.links.intern(link));
            }
            profile
        },
    )
}

#[test]
fn the_cpu_time_of_endpoints_equals_the_oracles() {
    let batches = prop::collection::vec((0..2_usize, spans_that_meet()), 0..7);
    let profiles = prop::collection::vec((0..2_usize, linked_profile()), 0..7);
    let filters = prop::collection::vec(any_filter(), 3);
    let (profiled, with_time) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
    let done = runner.run(
        &(batches, profiles, 0..3_u8, filters),
        |(batches, profiles, layout, mut filters)| {
            run(async {
                let World { engine, naive, .. } = &world(&batches, &profiles, layout).await;
                filters.extend(["t", "u"].map(|one| SpanFilter::everything(one, TimeRange::ALL)));
                for filter in &filters {
                    let found = engine.endpoints(filter, QUERY).await.expect("answers");
                    let wanted = naive.endpoints(filter, QUERY).await.expect("answers");
                    assert_eq!(found, wanted, "{filter:?}");
                    for cpu in found.endpoints.iter().filter_map(|one| one.cpu) {
                        profiled.fetch_add(1, Ordering::Relaxed);
                        with_time.fetch_add(u64::from(cpu.nanos != 0), Ordering::Relaxed);
                    }
                }
            });
            Ok(())
        },
    );
    done.expect("equal");
    // Or nothing was compared.
    let counts = (profiled.into_inner(), with_time.into_inner());
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
}

/// A request a millisecond, and a sample of 10 ms in each of them.
async fn busy() -> World {
    let start = Timestamp::from_millis(BASE_MS);
    let labels: Labels = [("service_name", "cart")].into_iter().collect();
    let window = TimeRange::new(start, start.plus_nanos(1_000_000_000));
    let mut profile = Profile { labels: labels.clone(), window, ..Profile::default() };
    let kind = profile.intern_kind(&SampleKind::from_id("stack").expect("a registered kind"));
    let mut spans = Vec::new();
    for at in 1..=20_u64 {
        let link = Link { trace_id: 0, span_id: at, root_span_id: at };
        let link = Some(profile.tables.links.intern(link));
        profile.samples.push(Sample {
            kind,
            link,
            values: [10_000_000, 1, 0, 0],
            ..Sample::default()
        });
        spans.push(Span {
            trace_id: 1,
            span_id: at,
            parent_id: 0,
            is_entry: true,
            kind: SpanKind::Server,
            status: SpanStatus::Unset,
            name: "GET".into(),
            resource: "GET /".into(),
            message: "".into(),
            start: start.plus_nanos(at.cast_signed() * 1_000_000),
            duration_nanos: 1,
            attributes: Vec::new(),
        });
    }
    world(&[(0, SpanBatch { labels, spans })], &[(0, profile)], 2).await
}

#[test]
fn beyond_a_limit_endpoints_come_without_cpu_time_and_say_why() {
    run(async {
        let World { engine, store, .. } = &busy().await;
        let filter = SpanFilter::everything("t", TimeRange::ALL);
        let found = engine.endpoints(&filter, QUERY).await.expect("answers");
        let cpu = found.endpoints[0].cpu.expect("it was profiled");
        assert_eq!((cpu.nanos, cpu.profiled), (200_000_000, 20));
        let without = EndpointQuery { with_cpu: false, ..QUERY };
        let plain = engine.endpoints(&filter, without).await.expect("answers");
        assert!(plain.without_cpu.is_none() && plain.endpoints[0].cpu.is_none());
        let default = Settings::default;
        for (settings, name) in [
            (Settings { cpu_links_max: 19, ..default() }, "cpu_links_max"),
            (Settings { cpu_spans_max: 19, ..default() }, "cpu_spans_max"),
            (Settings { groups_max: 19, ..default() }, "groups_max"),
        ] {
            let engine = Engine::new(Arc::clone(store), settings);
            let found = engine.endpoints(&filter, QUERY).await.expect(name);
            assert!(found.without_cpu.as_ref().is_some_and(|why| why.contains(name)), "{found:?}");
            assert_eq!(found.endpoints, plain.endpoints, "{name}");
        }
    });
}
