//! Property: questions about spans are answered as the oracle does.

use crate::fixture::run;
use profile::{Profile, SpanBatch, SpanKind};
use proptest::prelude::*;
use query::{Engine, Settings};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp};
use store::{Options, Store};
use testkit::profiles::{BASE_MS, SPAN_MS, any_profile};
use testkit::spans::{TRACES, any_batch};
use views::naive::Naive;
use views::{
    EndpointQuery, Pattern, Selection, SpanFilter, SpanOrder, SpanPage, Views, parse_matchers,
};

const TENANTS: [&str; 2] = ["t", "u"];
const SELECTORS: [&str; 5] = [
    "",
    r#"{service_name="cart"}"#,
    r#"{service_name=~"c.*", env!="prod"}"#,
    r#"{service_name="nobody"}"#,
    r#"{env="test"}"#,
];

pub(crate) fn any_filter() -> impl Strategy<Value = SpanFilter> {
    let nanos = SPAN_MS * 1_000_000;
    let range = prop_oneof![
        2 => Just(TimeRange::ALL),
        1 => (0..nanos, 0..nanos).prop_map(|(start, length)| {
            let start = Timestamp::from_millis(BASE_MS).plus_nanos(start);
            TimeRange::new(start, start.plus_nanos(length))
        }),
    ];
    let texts = (0..SELECTORS.len(), 0..5_usize, 0..4_usize, 0..4_usize);
    let rest = (0..9_usize, any::<(bool, bool)>(), prop_oneof![Just(0), 0..3_000_000_000_i64]);
    (range, texts, rest, 0..2_usize).prop_map(|(range, texts, rest, tenant)| {
        let (selector, resource, name, attributes) = texts;
        let (kind, (only_errors, only_entries), duration_nanos_min) = rest;
        let pattern = |list: &[&str], at: usize| {
            list.get(at).map(|text| Pattern::parse(text).expect("well-formed"))
        };
        let attributes = [r#"{k0="a"}"#, r#"{k1!="b"}"#, r#"{k2=~"a|b", k0=""}"#, ""][attributes];
        SpanFilter {
            matchers: parse_matchers(SELECTORS[selector]).expect("well-formed"),
            resource: pattern(&["GET /", "/items/", "SELECT 1"], resource),
            name: pattern(&["GET", "/^q/"], name),
            kind: (kind < 3).then(|| SpanKind::ALL[kind + 1]),
            only_errors,
            only_entries,
            duration_nanos_min,
            attributes: parse_matchers(attributes).expect("well-formed"),
            ..SpanFilter::everything(TENANTS[tenant], range)
        }
    })
}

pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Engine,
    pub(crate) naive: Naive,
}

/// Takes batches and profiles in; what is flushed and merged when is in `layout`.
pub(crate) async fn world(
    batches: &[(usize, SpanBatch)],
    profiles: &[(usize, Profile)],
    layout: u8,
) -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let now = Timestamp::from_millis(BASE_MS + 30 * 3_600_000);
    let clock = Arc::new(ManualClock::new(now));
    let shared = Arc::clone(&clock);
    let store = Store::open(folder.path(), Options::default(), shared, Rng::seeded(1)).await;
    let store = store.expect("a store opens");
    let mut naive = Naive::default();
    for (tenant, profile) in profiles {
        let tenant = TENANTS[*tenant];
        let ids = store.append(tenant, vec![profile.clone()]).await.expect("accepted");
        naive.insert(ids[0], tenant, clock.now(), profile.clone());
    }
    for (at, (tenant, batch)) in batches.iter().enumerate() {
        clock.advance(Duration::from_secs(1));
        let tenant = TENANTS[*tenant];
        let kept = store.append_spans(tenant, vec![batch.clone()]).await.expect("accepted");
        if !kept[0].is_repeat {
            naive.add_spans(tenant, clock.now(), batch.clone());
        }
        if layout > 0 && at % 3 == 2 {
            store.flush().await.expect("flushed");
        }
    }
    if layout > 1 {
        store.flush().await.expect("flushed");
        while store.compact_once().await.expect("compacted") {}
    }
    let engine = Engine::new(Arc::clone(&store), Settings::default());
    World { _folder: folder, store, engine, naive }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lists_traces_and_endpoints_equal_the_oracles(
        batches in prop::collection::vec((0..2_usize, any_batch()), 0..9),
        layout in 0..3_u8,
        filters in prop::collection::vec(any_filter(), 4),
        limit in 1..40_usize,
    ) {
        run(async {
            let World { engine, naive, .. } = &world(&batches, &[], layout).await;
            for filter in &filters {
                for order in [SpanOrder::Newest, SpanOrder::Slowest] {
                    let mut page = SpanPage { order, limit, after: None };
                    loop {
                        let found = engine.spans(filter, page).await.expect("answers");
                        let wanted = naive.spans(filter, page).await.expect("answers");
                        assert_eq!(found, wanted, "{filter:?} {page:?}");
                        page.after = found.next;
                        if found.next.is_none() {
                            break;
                        }
                    }
                }
                let query = EndpointQuery { limit, with_cpu: false };
                let found = engine.endpoints(filter, query).await.expect("answers");
                let wanted = naive.endpoints(filter, query).await.expect("answers");
                assert_eq!(found, wanted, "{filter:?}");
            }
            for at in 0..=TRACES {
                let id = if at % 2 == 0 { u128::from(at) } else { u128::from(at) << 100 };
                let found = engine.trace("t", id).await.expect("answers");
                assert_eq!(found, naive.trace("t", id).await.expect("answers"), "{id}");
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn labels_and_services_of_spans_and_profiles_equal_the_oracles(
        batches in prop::collection::vec((0..2_usize, any_batch()), 0..7),
        profiles in prop::collection::vec((0..2_usize, any_profile()), 0..3),
        layout in 0..3_u8,
        filters in prop::collection::vec(any_filter(), 4),
        hides in any::<bool>(),
        values_max in 1..3_usize,
    ) {
        run(async {
            let world = &world(&batches, &profiles, layout).await;
            let World { engine, naive, .. } = world;
            for SpanFilter { tenant, range, matchers, .. } in &filters {
                let all = Selection::everything(tenant.as_str(), *range);
                let selection = &Selection { matchers: matchers.clone(), ..all };
                let found = engine.label_names(selection).await.expect("answers");
                assert_eq!(found, naive.label_names(selection).await.expect("answers"));
                for name in ["service_name", "env", "team", "missing"] {
                    let found = engine.label_values(selection, name).await.expect("answers");
                    let wanted = naive.label_values(selection, name).await.expect("answers");
                    assert_eq!(found, wanted, "{name} {selection:?}");
                }
                let found = engine.facets(selection, values_max).await.expect("answers");
                assert_eq!(found, naive.facets(selection, values_max).await.expect("answers"));
                let found = engine.services(selection, 3).await.expect("answers");
                assert_eq!(found, naive.services(selection, 3).await.expect("answers"));
            }
            if hides {
                let everything = Selection::everything("t", TimeRange::ALL);
                let selector = r#"{service_name="cart"}"#;
                world.store.delete("t", selector, TimeRange::ALL).await.expect("hides");
                let values = engine.label_values(&everything, "service_name").await;
                assert!(values.expect("answers").iter().all(|one| one.value != "cart"));
                let services = engine.services(&everything, 3).await.expect("answers").services;
                assert!(services.iter().all(|one| one.service != "cart"));
            }
        });
    }
}

#[test]
fn too_many_rows_are_refused_with_the_limits_name() {
    run(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS)));
        let store = Store::open(folder.path(), Options::default(), clock, Rng::seeded(1)).await;
        let store = store.expect("a store opens");
        let span = profile::Span {
            trace_id: 1,
            span_id: 1,
            parent_id: 0,
            is_entry: true,
            kind: SpanKind::Server,
            status: profile::SpanStatus::Ok,
            name: "a".into(),
            resource: "a".into(),
            message: "".into(),
            start: Timestamp::from_millis(BASE_MS),
            duration_nanos: 1,
            attributes: Vec::new(),
        };
        let batch = SpanBatch { spans: vec![span; 20], ..SpanBatch::default() };
        store.append_spans("t", vec![batch]).await.expect("accepted");
        store.flush().await.expect("flushed");
        let settings = Settings { query_rows_max: 10, ..Settings::default() };
        let engine = Engine::new(store, settings);
        let query = EndpointQuery { limit: 5, with_cpu: true };
        let error = engine.endpoints(&SpanFilter::everything("t", TimeRange::ALL), query).await;
        assert!(error.expect_err("is too large").to_string().contains("query_rows_max"));
    });
}
