//! Cases where two right-looking implementations differ: edges of milliseconds, parts of a unit, ends
//! of a number's type. Engine and oracle give the one right answer, wherever the data lies.

use crate::fixture::{Fixture, Layout, run};
use profile::{
    Function, Labels, Line, Location, Mapping, Profile, ProfileTypeId, Sample, SampleKind, StackId,
};
use stdx::{TimeRange, Timestamp};
use testkit::profiles::BASE_MS;
use views::{Selection, SeriesQuery, Views};

const LAYOUTS: [Layout; 4] = [Layout::Memory, Layout::Mixed, Layout::Flushed, Layout::Compacted];

fn at(millis: i64, nanos: i64) -> Timestamp {
    Timestamp::from_millis(BASE_MS + millis).plus_nanos(nanos)
}

fn empty() -> Profile {
    Profile {
        labels: [("service_name", "cart")].into_iter().collect::<Labels>(),
        window: TimeRange::new(at(0, 0), at(10_000, 0)),
        ..Profile::default()
    }
}

/// Adds a sample in function `name` at `address`.
fn add(profile: &mut Profile, kind: &SampleKind, name: &str, address: u64, values: [i64; 4]) {
    let kind = profile.intern_kind(kind);
    let tables = &mut profile.tables;
    let name = tables.strings.intern(name);
    let function = tables.functions.intern(Function { name, ..Function::default() });
    let file = tables.strings.intern("/usr/bin/cart");
    let mapping = Some(tables.mappings.intern(Mapping { file, ..Mapping::default() }));
    let lines = [Line { function, ..Line::default() }].into();
    let location = Location { mapping, address, lines, ..Location::default() };
    let location = tables.locations.intern(location);
    let stack = tables.stacks.intern(StackId(0), location);
    profile.samples.push(Sample { kind, stack, values, ..Sample::default() });
}

fn selection(profile_type: &ProfileTypeId, range: TimeRange) -> Selection {
    let profile_type = Some(profile_type.clone());
    Selection { profile_type, ..Selection::everything("default", range) }
}

/// Both answers, which must be equal: the root's total, each top function's own value, and the sum
/// of a chart of one line.
fn answers(profiles: &[Profile], selection: &Selection) -> (i64, Vec<(String, i64)>, i64) {
    let profiles: Vec<_> = profiles.iter().map(|one| ("default".to_owned(), one.clone())).collect();
    let mut found = Vec::new();
    for layout in LAYOUTS {
        found.push(run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            let naive = answer(&fixture.naive, selection).await;
            assert_eq!(answer(&fixture.engine, selection).await, naive, "{layout:?}");
            naive
        }));
    }
    found.swap_remove(0)
}

async fn answer(views: &impl Views, selection: &Selection) -> (i64, Vec<(String, i64)>, i64) {
    let graph = views.flamegraph(selection, 100).await.expect("a graph");
    let query = views::TopQuery { limit: 10, sort: views::TopSort::Own };
    let table = views.top(selection, query).await.expect("a table");
    let functions = table.functions.iter().map(|row| (row.frame.name.to_string(), row.own));
    let query = SeriesQuery { step_ms: 60_000, group_by: Vec::new() };
    let series = views.series(selection, &query).await.expect("a chart");
    let line = series.series.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    (graph.meta.total, functions.collect(), line.sum())
}

#[test]
fn a_range_begins_and_ends_with_the_millisecond_it_names() {
    let kind = SampleKind::custom("widgets", &[("made", "count")], ("", ""));
    let mut profile = empty();
    for (value, time) in
        [(1, at(5, 999_999)), (2, at(6, 400_000)), (4, at(8, 100)), (8, at(8, 900))]
    {
        add(&mut profile, &kind, "f", 1, [value, 0, 0, 0]);
        profile.samples.last_mut().expect("just added").time = Some(time);
    }
    let id = kind.measures[0].type_id();
    let total = |range| answers(&[profile.clone()], &selection(&id, range)).0;
    assert_eq!(total(TimeRange::new(at(6, 700_000), at(9, 0))), 14, "6 ms is inside as a whole");
    assert_eq!(total(TimeRange::new(at(0, 0), at(8, 500))), 3, "8 ms is outside as a whole");
}

#[test]
fn levels_do_not_depend_on_addresses_that_the_store_drops() {
    let kind = SampleKind::from_id("heap").expect("registered");
    let gauge = kind.measures.iter().position(|one| one.aggregation == profile::Aggregation::Gauge);
    let gauge = gauge.expect("live memory is a level");
    let of = |value: i64| std::array::from_fn(|at| if at == gauge { value } else { 0 });
    let (mut first, mut second) = (empty(), empty());
    for address in 1..=3 {
        add(&mut first, &kind, "f", address, of(1));
    }
    add(&mut second, &kind, "g", 9, of(10));
    second.window = TimeRange::new(at(10_000, 0), at(20_000, 0));
    let selection =
        selection(&kind.measures[gauge].type_id(), TimeRange::new(at(0, 0), at(60_000, 0)));
    // Means over two profiles: 1.5 and 5. Each of the three addresses alone would be 0.5.
    let (total, functions, line) = answers(&[first, second], &selection);
    assert_eq!((total, line), (7, 7), "6.5, rounded once");
    let own: i64 = functions.iter().map(|(_, own)| own).sum();
    assert_eq!(own, total);
}

#[test]
fn sums_beyond_their_type_saturate_only_when_they_are_shown() {
    let kind = SampleKind::custom("widgets", &[("made", "count")], ("", ""));
    let id = kind.measures[0].type_id();
    let everything = selection(&id, TimeRange::new(at(-1, 0), at(60_000, 0)));
    let profile = |values: &[i64]| {
        let mut profile = empty();
        for value in values {
            add(&mut profile, &kind, "f", 1, [*value, 0, 0, 0]);
        }
        profile
    };
    let f = |value| vec![("f".to_owned(), value)];
    let most = [profile(&[i64::MAX, i64::MAX, 3])];
    assert_eq!(answers(&most, &everything), (i64::MAX, f(i64::MAX), i64::MAX));
    let least = [profile(&[i64::MIN, -1])];
    assert_eq!(answers(&least, &everything), (i64::MIN, f(i64::MIN), i64::MIN));
    // What went over the end in one profile is not lost when another brings the sum back.
    let back = [profile(&[i64::MAX, 7]), profile(&[-i64::MAX])];
    assert_eq!(answers(&back, &everything), (7, f(7), 7));
    let within = [profile(&[i64::MAX, 5, -10])];
    assert_eq!(answers(&within, &everything).0, i64::MAX - 5);
}
