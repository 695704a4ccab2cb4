//! Property: questions about what runtimes tell are answered as the oracle does.

use crate::fixture::run;
use profile::Profile;
use proptest::prelude::*;
use query::{Engine, Settings};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp, Ulid};
use store::{Options, Store};
use testkit::events::any_telling;
use testkit::profiles::{BASE_MS, SPAN_MS};
use views::naive::Naive;
use views::{EventFilter, EventPage, MetricQuery, Pattern, Views, parse_matchers};

const SELECTORS: [&str; 5] = [
    "",
    r#"{service_name="cart"}"#,
    r#"{service_name=~"c.*", env!="prod"}"#,
    r#"{service_name="nobody"}"#,
    r#"{env="test"}"#,
];

fn any_range() -> impl Strategy<Value = TimeRange> {
    let nanos = SPAN_MS * 1_000_000;
    prop_oneof![
        2 => Just(TimeRange::ALL),
        1 => (0..nanos, 0..nanos).prop_map(|(start, length)| {
            let start = Timestamp::from_millis(BASE_MS).plus_nanos(start);
            TimeRange::new(start, start.plus_nanos(length))
        }),
    ]
}

fn any_filter() -> impl Strategy<Value = EventFilter> {
    let duration = prop_oneof![Just(0), 0..3_000_000_000_i64];
    let texts = (0..SELECTORS.len(), 0..4_usize, 0..4_usize);
    (any_range(), texts, duration, 0..2_usize).prop_map(
        |(range, (selector, categories, name), duration_nanos_min, tenant)| {
            let categories: &[&str] =
                [&[][..], &["gc"], &["gc", "safepoint"], &["nothing"]][categories];
            let name = ["pause", "/^s/"].get(name);
            EventFilter {
                matchers: parse_matchers(SELECTORS[selector]).expect("well-formed"),
                categories: categories.iter().map(|text| (*text).to_owned()).collect(),
                name: name.map(|text| Pattern::parse(text).expect("well-formed")),
                duration_nanos_min,
                ..EventFilter::everything(["t", "u"][tenant], range)
            }
        },
    )
}

fn any_query() -> impl Strategy<Value = MetricQuery> {
    let names = prop::sample::subsequence(vec!["cpu", "heap", "none"], 0..3);
    let step = prop::sample::select(vec![0, 1, 1_000, 7_777, 3_600_000]);
    (any_range(), 0..SELECTORS.len(), names, step).prop_map(|(range, selector, names, step_ms)| {
        MetricQuery {
            tenant: "t".to_owned(),
            range,
            matchers: parse_matchers(SELECTORS[selector]).expect("well-formed"),
            names: names.into_iter().map(str::to_owned).collect(),
            step_ms,
        }
    })
}

struct World {
    _folder: tempfile::TempDir,
    engine: Engine,
    naive: Naive,
}

/// Takes profiles in; what is flushed and merged when is in `layout`.
async fn world(profiles: &[(usize, Profile)], layout: u8) -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let now = Timestamp::from_millis(BASE_MS + 30 * 3_600_000);
    let clock = Arc::new(ManualClock::new(now));
    let shared = Arc::clone(&clock);
    let store = Store::open(folder.path(), Options::default(), shared, Rng::seeded(1)).await;
    let store = store.expect("a store opens");
    let mut naive = Naive::default();
    for (at, (tenant, profile)) in profiles.iter().enumerate() {
        clock.advance(Duration::from_secs(1));
        let tenant = ["t", "u"][*tenant];
        let kept = store.append_once(tenant, vec![profile.clone()]).await.expect("accepted");
        if !kept[0].is_repeat {
            naive.insert(Ulid::from(at as u128), tenant, clock.now(), profile.clone());
        }
        if layout > 0 && at % 3 == 2 {
            store.flush().await.expect("flushed");
        }
    }
    if layout > 1 {
        store.flush().await.expect("flushed");
        while store.compact_once().await.expect("compacted") {}
    }
    let engine = Engine::new(store, Settings::default());
    World { _folder: folder, engine, naive }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn events_and_gauges_equal_the_oracles(
        profiles in prop::collection::vec((0..2_usize, any_telling()), 0..12),
        layout in 0..3_u8,
        filters in prop::collection::vec(any_filter(), 4),
        queries in prop::collection::vec(any_query(), 4),
        limit in 1..40_usize,
    ) {
        run(async {
            let World { engine, naive, .. } = &world(&profiles, layout).await;
            for filter in &filters {
                let mut page = EventPage { limit, after: None };
                loop {
                    let found = engine.events(filter, page).await.expect("answers");
                    let wanted = naive.events(filter, page).await.expect("answers");
                    assert_eq!(found, wanted, "{filter:?} {page:?}");
                    page.after = found.next;
                    if found.next.is_none() {
                        break;
                    }
                }
            }
            for query in &queries {
                let found = engine.metrics(query).await.expect("answers");
                let wanted = naive.metrics(query).await.expect("answers");
                assert_eq!(found, wanted, "{query:?}");
            }
        });
    }
}

#[test]
fn too_many_rows_or_points_are_refused_with_the_limits_name() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS)));
        let store = Store::open(folder.path(), Options::default(), clock, Rng::seeded(1)).await;
        let store = store.expect("a store opens");
        let mut profile = profile::folded::from_folded("a 1\n");
        let points = 0..views::limits::METRIC_POINTS_MAX as i64 + 1;
        profile.events = points
            .filter_map(|at| {
                let time = Timestamp::from_millis(BASE_MS - at);
                profile::RuntimeEvent::point("cpu".into(), "part".into(), time, 0.5)
            })
            .collect();
        store.append("t", vec![profile]).await.expect("accepted");
        store.flush().await.expect("flushed");
        let mut query = MetricQuery {
            tenant: "t".to_owned(),
            range: TimeRange::ALL,
            matchers: Vec::new(),
            names: Vec::new(),
            step_ms: 1,
        };
        let engine = Engine::new(Arc::clone(&store), Settings::default());
        let error = engine.metrics(&query).await.expect_err("is too large");
        assert!(error.to_string().contains("points"), "{error}");
        query.step_ms = 1_000;
        assert_eq!(engine.metrics(&query).await.expect("answers").len(), 1);
        let settings = Settings { query_rows_max: 10, ..Settings::default() };
        let error = Engine::new(store, settings).metrics(&query).await.expect_err("is too large");
        assert!(error.to_string().contains("query_rows_max"), "{error}");
    });
}
