//! Answers from hourly rollups: where nothing was pruned they equal the answers from samples.

use crate::agree::text;
use crate::fixture::run;
use profile::{Profile, ProfileTypeId, SampleKind};
use proptest::prelude::*;
use query::{Engine, Settings};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp};
use store::{Options, Store};
use testkit::profiles::{BASE_MS, any_profile};
use views::naive::Naive;
use views::rollup::{HOUR_MS, PRUNED, Rules};
use views::{
    AnswerMeta, FlameGraph, Pattern, Selection, SeriesQuery, Shape, TopQuery, TopSort, Views,
    parse_matchers,
};

struct World {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    engine: Engine,
    naive: Naive,
}

impl World {
    async fn new(profiles: &[Profile], options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let now = Timestamp::from_millis(BASE_MS + 3 * HOUR_MS);
        let clock = Arc::new(ManualClock::new(now));
        let given = Arc::clone(&clock);
        let store = Store::open(folder.path(), options, given, Rng::seeded(1)).await;
        let store = store.expect("a store opens");
        let mut naive = Naive::default();
        for (at, profile) in profiles.iter().enumerate() {
            let ids = store.append("t", vec![profile.clone()]).await.expect("accepted");
            naive.insert(ids[0], "t", clock.now(), profile.clone());
            if at % 4 == 3 {
                store.flush().await.expect("flushed");
            }
        }
        store.flush().await.expect("flushed");
        while store.roll_once().await.expect("rolls up") {}
        // Any range with a whole hour in it is answered from rollups.
        let settings = Settings { rollup_range_ms: 0, ..Settings::default() };
        let engine = Engine::new(Arc::clone(&store), settings);
        Self { _folder: folder, store, clock, engine, naive }
    }
}

/// A range with at least one whole hour; its ends are anywhere.
fn any_range() -> impl Strategy<Value = TimeRange> {
    let hour = HOUR_MS * 1_000_000;
    let ends = prop_oneof![
        1 => Just((0, 0)),
        3 => (0..2 * hour, 0..3 * hour),
    ];
    ends.prop_map(move |(before, after)| {
        let start = Timestamp::from_millis(BASE_MS).plus_nanos(-before);
        TimeRange::new(start, Timestamp::from_millis(BASE_MS + HOUR_MS).plus_nanos(after))
    })
}

fn any_type() -> impl Strategy<Value = ProfileTypeId> {
    let kinds = ["stack", "heap"].map(|id| SampleKind::from_id(id).expect("registered"));
    let own = SampleKind::custom("widgets", &[("made", "count")], ("", ""));
    let measures = kinds.into_iter().chain([own]).flat_map(|kind| kind.measures);
    prop::sample::select(measures.map(|measure| measure.type_id()).collect::<Vec<_>>())
}

const SELECTORS: [&str; 5] = [
    "",
    r#"{service_name="cart"}"#,
    r#"{team="blue"}"#,
    r#"{instance=~"h1:.*", service_name!="search"}"#,
    r#"{missing="x"}"#,
];

fn any_selection() -> impl Strategy<Value = Selection> {
    let drop = prop::option::weighted(0.3, Just("/function[45]/"));
    let shape = (drop, prop::bool::weighted(0.2)).prop_map(|(drop, invert)| Shape {
        drop: drop.map(|text| Pattern::parse(text).expect("a pattern")),
        invert,
        ..Shape::default()
    });
    (any_range(), 0..SELECTORS.len(), any_type(), shape).prop_map(
        |(range, selector, profile_type, shape)| Selection {
            profile_type: Some(profile_type),
            matchers: parse_matchers(SELECTORS[selector]).expect("well-formed"),
            shape,
            ..Selection::everything("t", range)
        },
    )
}

/// Profiles of one source, whose values are within their type; half are of one series.
fn any_profiles() -> impl Strategy<Value = Vec<Profile>> {
    let one = (any_profile(), any::<bool>()).prop_map(|(mut profile, is_usual)| {
        profile.labels.set("source", "agent");
        if is_usual {
            let pairs = [("service_name", "cart"), ("source", "agent"), ("instance", "h1:0")];
            profile.labels = pairs.into_iter().collect();
        }
        for sample in &mut profile.samples {
            sample.values = sample.values.map(|value| value.clamp(-1 << 40, 1 << 40));
        }
        profile
    });
    prop::collection::vec(one, 1..14)
}

/// What samples know and rollups count otherwise is left out: profiles of sources are those with
/// samples in the hour, not all that touch it.
fn comparable(mut meta: AnswerMeta) -> AnswerMeta {
    meta.rollups = None;
    meta.sources.iter_mut().for_each(|source| source.profiles = 0);
    meta.sources.retain(|source| source.used);
    meta
}

fn graph(mut graph: FlameGraph) -> FlameGraph {
    graph.meta = comparable(graph.meta);
    graph
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn where_nothing_was_pruned_rollups_answer_as_samples_do(
        profiles in any_profiles(),
        selections in prop::collection::vec((any_selection(), 1_i64..4), 6),
    ) {
        run(async {
            let share = u64::MAX;
            let rules = Rules { prefix_share: share, function_share: share, cells_max: 1 << 20 };
            let options = Options { rollup_rules: rules, ..Options::default() };
            let world = World::new(&profiles, options).await;
            let is_rolled = !world.store.hours("t", TimeRange::ALL).ready.is_empty();
            for (selection, hours) in &selections {
                check(&world, selection, *hours, is_rolled).await;
            }
        });
    }
}

/// A client's own type that no sample in the range is of is either not known or has nothing: samples
/// ask the profiles, rollups the samples.
fn same<T: PartialEq + std::fmt::Debug>(
    ours: Result<T, String>,
    theirs: Result<T, String>,
    is_empty: impl Fn(&T) -> bool,
) {
    let is_nothing = |one: &Result<T, String>| match one {
        Ok(found) => is_empty(found),
        Err(error) => error.starts_with("no profile type"),
    };
    if !(is_nothing(&ours) && is_nothing(&theirs)) {
        assert_eq!(ours, theirs);
    }
}

async fn check(world: &World, selection: &Selection, hours: i64, is_rolled: bool) {
    let (engine, naive) = (&world.engine, &world.naive);
    let ours = text(engine.flamegraph(selection, 100_000).await);
    if let Ok(ours) = &ours {
        let is_used = ours.meta.rollups.is_some();
        assert!(is_used || !is_rolled || ours.meta.profiles == 0, "rollups answer");
        assert_eq!(ours.meta.rollups.map_or(0, |used| used.pruned), 0);
    }
    let theirs = text(naive.flamegraph(selection, 100_000).await);
    same(ours.map(graph), theirs.map(graph), |graph| graph.meta.profiles == 0);
    for sort in [TopSort::Own, TopSort::Total] {
        let query = TopQuery { limit: 5, sort };
        let ours = text(engine.top(selection, query).await);
        let theirs = text(naive.top(selection, query).await);
        let plain = |table: views::TopTable| (comparable(table.meta), table.functions);
        same(ours.map(plain), theirs.map(plain), |(meta, _)| meta.profiles == 0);
    }
    let query = SeriesQuery { step_ms: hours * HOUR_MS, group_by: vec!["team".to_owned()] };
    let ours = text(engine.series(selection, &query).await);
    let theirs = text(naive.series(selection, &query).await);
    same(ours.map(|set| set.series), theirs.map(|set| set.series), Vec::is_empty);
    for function in ["function3", "/function[67]/", "missing"] {
        let function = Pattern::parse(function).expect("a pattern");
        let upright = Selection { shape: Shape::default(), ..selection.clone() };
        let ours = text(engine.trend(&upright, &function, &query).await);
        let theirs = text(naive.trend(&upright, &function, &query).await);
        let plain = |trend: views::Trend| (points(trend.own), points(trend.total));
        let is_empty = |(own, total): &(Vec<_>, Vec<_>)| own.is_empty() && total.is_empty();
        same(ours.map(plain), theirs.map(plain), is_empty);
    }
}

/// Lines without points of 0: a rollup does not tell a function without a value from none.
fn points(set: views::SeriesSet) -> Vec<views::Series> {
    let mut lines = set.series;
    for line in &mut lines {
        line.points.retain(|(_, value)| *value != 0);
    }
    lines.retain(|line| !line.points.is_empty());
    lines
}

fn of(stacks: &str, start_ms: i64) -> Profile {
    let mut profile = profile::folded::from_folded(stacks);
    profile.labels = [("service_name", "cart"), ("env", "prod")].into_iter().collect();
    let start = Timestamp::from_millis(start_ms);
    profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
    profile
}

#[test]
fn when_samples_are_gone_rollups_answer_and_say_so() {
    run(async {
        let retention = Duration::from_hours(24);
        let options = Options { retention, ..Options::default() };
        let hot = "main;hot 999000\nmain;a;shared 500\nmain;b;shared 500\n";
        let profiles = [of(hot, BASE_MS + 1_000), of(hot, BASE_MS + HOUR_MS + 1_000)];
        let mut world = World::new(&profiles, options).await;
        world.clock.advance(Duration::from_hours(48));
        world.store.retain_once().await.expect("drops");
        assert_eq!(world.store.stats().segments, 0);
        let settings = Settings::default();
        world.engine = Engine::new(Arc::clone(&world.store), settings);
        let profile_type = profiles[0].kinds[0].measures[0].type_id();
        let range = TimeRange::new(
            Timestamp::from_millis(BASE_MS - 1),
            Timestamp::from_millis(BASE_MS + 3 * HOUR_MS),
        );
        let selection =
            Selection { profile_type: Some(profile_type), ..Selection::everything("t", range) };
        let query = TopQuery { limit: 10, sort: TopSort::Own };
        let table = world.engine.top(&selection, query).await.expect("a table");
        let rows: Vec<_> =
            table.functions.iter().map(|row| (&*row.frame.name, row.own, row.total)).collect();
        // Each caller of it is too small for a prefix, the function itself is not for the table.
        assert!(rows.contains(&("shared", 2_000, 2_000)), "{rows:?}");
        let used = table.meta.rollups.expect("said");
        assert_eq!((used.hours, used.from_ms), (2, BASE_MS));
        assert_eq!((table.meta.total, table.meta.profiles), (2_000_000, 2));

        let flame = world.engine.flamegraph(&selection, 100).await.expect("a graph");
        assert_eq!(flame.meta.rollups.expect("said").pruned, 2_000);
        assert!(flame.frames.iter().any(|frame| &*frame.name == PRUNED));
        assert_eq!(flame.meta.total, 2_000_000);

        let query = SeriesQuery { step_ms: HOUR_MS, group_by: Vec::new() };
        let function = Pattern::parse("shared").expect("a pattern");
        let trend = world.engine.trend(&selection, &function, &query).await.expect("a trend");
        let expected = [(BASE_MS, 1_000), (BASE_MS + HOUR_MS, 1_000)];
        assert_eq!(trend.own.series[0].points, expected);
        assert_eq!(trend.total.series[0].points, expected);
        assert!(trend.total.rollups.is_some());
    });
}
