//! Property: every view of the engine equals the oracle's.

use crate::asks::{any_filter, any_shape};
use crate::fixture::{Fixture, Layout, run};
use profile::{AttributeValue, Profile, ProfileTypeId, SampleKind};
use proptest::prelude::*;
use stdx::{TimeRange, Timestamp};
use testkit::profiles::{BASE_MS, SPAN_MS, any_profile};
use views::{Selection, SeriesQuery, TopQuery, TopSort, ViewError, Views, parse_matchers};

const SELECTORS: [&str; 8] = [
    "",
    r#"{service_name="cart"}"#,
    r#"{service_name=~"c.*", env!="prod"}"#,
    r#"{team="blue"}"#,
    r#"{team!~"gr.*", host="a"}"#,
    r#"{instance=~"h1:.*"}"#,
    r#"{missing="x"}"#,
    r#"{source="ddtrace"}"#,
];

fn types() -> Vec<ProfileTypeId> {
    let kinds = ["stack", "heap"].map(|id| SampleKind::from_id(id).expect("registered"));
    let own = SampleKind::custom("widgets", &[("made", "count")], ("", ""));
    let measures = kinds.into_iter().chain([own]).flat_map(|kind| kind.measures);
    let mut types: Vec<_> = measures.map(|measure| measure.type_id()).collect();
    types.push(ProfileTypeId("no:such:type::".to_owned()));
    types
}

fn any_range() -> impl Strategy<Value = TimeRange> {
    let all = Just(TimeRange::new(
        Timestamp::from_millis(BASE_MS - 1),
        Timestamp::from_millis(BASE_MS + 2 * SPAN_MS),
    ));
    let nanos = (SPAN_MS + 120_000) * 1_000_000;
    let part = (0..nanos, 0..nanos).prop_map(|(start, length)| {
        let start = Timestamp::from_millis(BASE_MS).plus_nanos(start);
        TimeRange::new(start, start.plus_nanos(length))
    });
    prop_oneof![1 => all, 3 => part]
}

pub(crate) fn any_selection() -> impl Strategy<Value = Selection> {
    let types = types();
    let profiles = (any_range(), 0..SELECTORS.len(), 0..types.len(), 0..5_usize, 0..2_usize);
    (profiles, any_filter(), any_shape()).prop_map(
        move |((range, selector, profile_type, source, tenant), filter, shape)| Selection {
            profile_type: Some(types[profile_type].clone()),
            matchers: parse_matchers(SELECTORS[selector]).expect("well-formed"),
            source: ["agent", "ddtrace"].get(source).map(|source| (*source).to_owned()),
            filter,
            shape,
            ..Selection::everything(TENANTS[tenant], range)
        },
    )
}

const TENANTS: [&str; 2] = ["default", "other"];

/// A tenant and a profile; half of them are of one series, as a client's uploads are.
pub(crate) fn any_tenants_profile() -> impl Strategy<Value = (String, Profile)> {
    let tenant = prop_oneof![4 => Just(0_usize), 1 => Just(1)];
    (tenant, any_profile(), any::<bool>()).prop_map(|(tenant, mut profile, is_usual)| {
        if is_usual {
            let pairs = [("service_name", "cart"), ("source", "agent"), ("instance", "h1:0")];
            profile.labels = pairs.into_iter().collect();
        }
        (TENANTS[tenant].to_owned(), profile)
    })
}

/// Begins a range within a millisecond or two of a sample, wherever there is one.
#[derive(Clone, Debug)]
struct Edge {
    profile: prop::sample::Index,
    sample: prop::sample::Index,
    nanos: i64,
}

impl Edge {
    fn any() -> impl Strategy<Value = Option<Self>> {
        let edge =
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), -1_500_000..1_500_000_i64);
        prop::option::of(edge.prop_map(|(profile, sample, nanos)| Self { profile, sample, nanos }))
    }

    fn apply(&self, profiles: &[(String, Profile)], selection: &Selection) -> Selection {
        let profile = &self.profile.get(profiles).1;
        let mut selection = selection.clone();
        if !profile.samples.is_empty() {
            let time = profile.time_of(self.sample.get(&profile.samples));
            selection.range.start = time.plus_nanos(self.nanos);
        }
        selection
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_view_agrees_with_the_oracle(
        profiles in prop::collection::vec(any_tenants_profile(), 1..14),
        selections in prop::collection::vec((any_selection(), Edge::any(), 1_i64..900_000), 6),
        layout in prop::sample::select(
            vec![Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted],
        ),
    ) {
        run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            for (selection, edge, step_ms) in &selections {
                let near = edge.as_ref().map(|edge| edge.apply(&profiles, selection));
                let selection = near.as_ref().unwrap_or(selection);
                check_metadata(&fixture, selection).await;
                check_trees(&fixture, selection).await;
                check_series(&fixture, selection, *step_ms).await;
            }
            check_profiles(&fixture).await;
        });
    }
}

pub(crate) fn text<T>(answer: Result<T, ViewError>) -> Result<T, String> {
    answer.map_err(|error| error.to_string())
}

async fn check_metadata(fixture: &Fixture, selection: &Selection) {
    let (engine, naive) = (&fixture.engine, &fixture.naive);
    let types = text(naive.profile_types(selection).await);
    assert_eq!(text(engine.profile_types(selection).await), types);
    let names = text(naive.label_names(selection).await);
    assert_eq!(text(engine.label_names(selection).await), names);
    for name in ["service_name", "team", "missing"] {
        let ours = text(engine.label_values(selection, name).await);
        assert_eq!(ours, text(naive.label_values(selection, name).await));
    }
    assert_eq!(text(engine.services(selection, 7).await), text(naive.services(selection, 7).await));
    let mut cursor: Option<String> = None;
    loop {
        let ours = engine.profiles(selection, 3, cursor.as_deref()).await.expect("listed");
        let theirs = naive.profiles(selection, 3, cursor.as_deref()).await.expect("listed");
        assert_eq!(ours, theirs);
        cursor = ours.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
}

pub(crate) async fn check_trees(fixture: &Fixture, selection: &Selection) {
    for max_nodes in [1, 4, 9, 25, 100_000] {
        let ours = text(fixture.engine.flamegraph(selection, max_nodes).await);
        assert_eq!(ours, text(fixture.naive.flamegraph(selection, max_nodes).await));
    }
    for sort in [TopSort::Own, TopSort::Total] {
        let query = TopQuery { limit: 5, sort };
        let ours = text(fixture.engine.top(selection, query).await);
        assert_eq!(ours, text(fixture.naive.top(selection, query).await));
    }
}

pub(crate) async fn check_series(fixture: &Fixture, selection: &Selection, step_ms: i64) {
    for group_by in [&[][..], &["service_name", "team"]] {
        let group_by = group_by.iter().map(|name| (*name).to_owned()).collect();
        let query = SeriesQuery { step_ms, group_by };
        let ours = text(fixture.engine.series(selection, &query).await);
        assert_eq!(ours, text(fixture.naive.series(selection, &query).await));
    }
}

async fn check_profiles(fixture: &Fixture) {
    for (tenant, id) in &fixture.ids {
        let ours = fixture.engine.profile(tenant, *id).await.expect("read").expect("there");
        let theirs = fixture.naive.profile(tenant, *id).await.expect("read").expect("there");
        assert_eq!(ours.0, theirs.0);
        assert_eq!(written_out(&ours.1), written_out(&theirs.1));
        assert!(fixture.engine.profile("nobody", *id).await.expect("read").is_none());
    }
}

/// Everything about a profile without handles, samples in no order. The store drops addresses of
/// locations whose lines all have names.
fn written_out(profile: &Profile) -> (String, Vec<String>) {
    let tables = &profile.tables;
    let sample = |sample: &profile::Sample| {
        let location = |id| {
            let row = tables.locations.get(id).expect("a location");
            let mapping = row.mapping.and_then(|id| tables.mappings.get(id));
            let is_named = |line: &profile::Line| {
                let function = tables.functions.get(line.function).expect("a function");
                !tables.text(function.name).is_empty()
            };
            let drops = !row.lines.is_empty() && row.lines.iter().all(is_named);
            let address = |address: u64| if drops { 0 } else { address };
            let mapping = mapping.map(|row| (address(row.start), tables.text(row.file).to_owned()));
            let line = |line: &profile::Line| {
                let row = tables.functions.get(line.function).expect("a function");
                format!("{}@{}:{}", tables.text(row.name), tables.text(row.file), line.line)
            };
            let lines: Vec<String> = row.lines.iter().map(line).collect();
            format!("{mapping:?} {:x} {lines:?} {:?}", address(row.address), row.frame_type)
        };
        let stack: Vec<String> = tables.stacks.leaf_first(sample.stack).map(location).collect();
        let thread = sample.thread.and_then(|id| tables.threads.get(id));
        let thread = thread.map(|row| (row.id, tables.text(row.name)));
        let link = sample.link.and_then(|id| tables.links.get(id));
        let set = sample.attributes.and_then(|id| tables.attributes.get(id));
        let mut set: Vec<String> = set
            .into_iter()
            .flatten()
            .map(|row| match row.value {
                AttributeValue::Text(id) => format!("{}={}", tables.text(row.key), tables.text(id)),
                AttributeValue::Number(number, unit) => {
                    format!("{}={number}{}", tables.text(row.key), tables.text(unit))
                }
            })
            .collect();
        set.sort_unstable();
        let kind = &profile.kinds[sample.kind.0 as usize].id;
        let (time, values) = (sample.time, sample.values);
        format!("{kind} {time:?} {stack:?} {thread:?} {link:?} {set:?} {values:?}")
    };
    let mut samples: Vec<String> = profile.samples.iter().map(sample).collect();
    samples.sort_unstable();
    (format!("{:?} {:?} {:?}", profile.labels, profile.window, profile.metadata), samples)
}
