//! Property: what is made of trees, sums by thread or attribute, and samples' own times equals the
//! oracle's, too, under every filter and shape.

use crate::agree::{any_selection, any_tenants_profile, text};
use crate::asks::any_function;
use crate::fixture::{Fixture, Layout, run};
use proptest::prelude::*;
use views::{
    GroupBy, GroupQuery, HeatmapQuery, MomentsQuery, Normalise, Pattern, Selection, SeriesQuery,
    TimelineQuery, TopSort, UsageQuery, Views,
};

/// Parameters of a round of questions.
#[derive(Clone, Debug)]
struct Ask {
    selection: Selection,
    other: Selection,
    function: Pattern,
    step_ms: i64,
    limit: usize,
}

fn any_ask() -> impl Strategy<Value = Ask> {
    (any_selection(), any_selection(), any_function(), 1_i64..900_000, 1_usize..6).prop_map(
        |(selection, mut other, function, step_ms, limit)| {
            other.profile_type.clone_from(&selection.profile_type);
            Ask { selection, other, function, step_ms, limit }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_made_of_samples_agrees_with_the_oracle(
        profiles in prop::collection::vec(any_tenants_profile(), 1..14),
        asks in prop::collection::vec(any_ask(), 5),
        layout in prop::sample::select(
            vec![Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted],
        ),
    ) {
        run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            for ask in &asks {
                check_trees(&fixture, ask).await;
                check_groups(&fixture, ask).await;
                check_times(&fixture, ask).await;
            }
        });
    }
}

async fn check_trees(fixture: &Fixture, ask: &Ask) {
    let (engine, naive) = (&fixture.engine, &fixture.naive);
    let (one, other) = (&ask.selection, &ask.other);
    for (normalise, max_nodes) in [(Normalise::Total, 12), (Normalise::None, 1000)] {
        let ours = text(engine.diff(one, other, normalise, max_nodes).await);
        assert_eq!(ours, text(naive.diff(one, other, normalise, max_nodes).await));
    }
    for max_nodes in [3, 1000] {
        let ours = text(engine.sandwich(one, &ask.function, max_nodes).await);
        assert_eq!(ours, text(naive.sandwich(one, &ask.function, max_nodes).await));
    }
    for by in ["service_name", "team"] {
        let (function, by, limit) = (ask.function.clone(), by.to_owned(), ask.limit);
        let query = UsageQuery { function, by, limit, callers_max: 2 };
        let ours = text(engine.usage(one, &query).await);
        assert_eq!(ours, text(naive.usage(one, &query).await));
    }
}

async fn check_groups(fixture: &Fixture, ask: &Ask) {
    let attribute = |name: &str| GroupBy::Attribute(name.to_owned());
    let all = [
        GroupBy::Function,
        GroupBy::File,
        GroupBy::Library,
        GroupBy::Package,
        GroupBy::Thread,
        attribute("endpoint"),
        attribute("size"),
    ];
    for by in all {
        for sort in [TopSort::Own, TopSort::Total] {
            let query = GroupQuery { by: by.clone(), limit: ask.limit, sort };
            let ours = text(fixture.engine.groups(&ask.selection, &query).await);
            assert_eq!(ours, text(fixture.naive.groups(&ask.selection, &query).await), "{by:?}");
        }
    }
}

async fn check_times(fixture: &Fixture, ask: &Ask) {
    let (engine, naive, selection) = (&fixture.engine, &fixture.naive, &ask.selection);
    for by_thread in [false, true] {
        let query = MomentsQuery { step_ms: Some(ask.step_ms), by_thread, steps_max: 1 << 20 };
        let ours = text(engine.moments(selection, query).await);
        assert_eq!(ours, text(naive.moments(selection, query).await));
    }
    let query = HeatmapQuery { column_ms: 1000, rows: 50, cells_max: 400_000 };
    let ours = text(engine.heatmap(selection, query).await);
    assert_eq!(ours, text(naive.heatmap(selection, query).await));
    let query = TimelineQuery { step_ms: None, threads_max: ask.limit, steps_max: 1000 };
    let ours = text(engine.timeline(selection, query).await);
    assert_eq!(ours, text(naive.timeline(selection, query).await));
    let query = SeriesQuery { step_ms: ask.step_ms, group_by: vec!["env".to_owned()] };
    let ours = text(engine.trend(selection, &ask.function, &query).await);
    assert_eq!(ours, text(naive.trend(selection, &ask.function, &query).await));
    let ours = text(engine.facets(selection, ask.limit).await);
    assert_eq!(ours, text(naive.facets(selection, ask.limit).await));
}
