//! Charts from slices of the clock equal those from samples, and read none.

use crate::fixture::{Fixture, Layout, run};
use crate::reads::{everything, recorded_of, segments};
use profile::{Profile, ProfileTypeId, Sample, SampleKind};
use proptest::prelude::*;
use query::Settings;
use stdx::{TimeRange, Timestamp};
use store::limits::{SLICE_MS, SLICE_SAMPLES_MIN};
use testkit::profiles::BASE_MS;
use views::{Selection, SeriesQuery, Views};

/// A time in ms after the window's start, if there is one, and values.
type Event = (Option<i64>, [i64; 2]);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(BASE_MS + millis)
}

fn kinds() -> [SampleKind; 2] {
    ["stack", "heap"].map(|id| SampleKind::from_id(id).expect("registered"))
}

fn profile(series: usize, start_ms: i64, events: [&[Event]; 2]) -> Profile {
    let mut profile = profile::folded::from_folded("main;work 1\n");
    profile.samples.clear();
    profile.kinds.clear();
    let labels = [("service_name", ["cart", "shop"][series % 2]), ("instance", "1")];
    profile.labels = labels.into_iter().collect();
    profile.window = TimeRange::new(at(start_ms), at(start_ms + 20_000));
    for (kind, events) in kinds().iter().zip(events) {
        let kind = profile.intern_kind(kind);
        for (time, values) in events {
            let time = time.map(|time| at(start_ms + time));
            let values = [values[0], values[1], values[0], values[1]];
            profile.samples.push(Sample { kind, time, values, ..Sample::default() });
        }
    }
    profile
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let value = prop_oneof![400 => -3..1_000_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    // Most times are in a few slices, so that they are kept; few profiles have far more.
    let time = prop_oneof![400 => 0..25_000_i64, 1 => -60_000..300_000_i64];
    let event = (prop::option::weighted(0.9, time), [value.clone(), value]);
    prop_oneof![prop::collection::vec(event.clone(), 0..8), prop::collection::vec(event, 70..160)]
}

fn any_profile() -> impl Strategy<Value = Profile> {
    (0..2_usize, 0..60_000_i64, any_events(), any_events())
        .prop_map(|(series, start, first, second)| profile(series, start, [&first, &second]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn charts_of_whole_slices_are_those_of_samples(
        profiles in prop::collection::vec(any_profile(), 1..7),
        kind in 0..2_usize,
        measure in 0..4_usize,
        range in prop_oneof![Just((-100_000, 600_000)), (-1..70_000_i64, 0..120_000_i64)],
        step_ms in prop_oneof![Just(SLICE_MS), Just(2 * SLICE_MS), Just(60_000), Just(7_000)],
        layout in prop_oneof![Just(Layout::Memory), Just(Layout::Mixed), Just(Layout::Compacted)],
    ) {
        let profiles: Vec<_> = profiles.into_iter().map(|one| ("default".to_owned(), one)).collect();
        let (start, length) = range;
        let types: Vec<ProfileTypeId> =
            kinds()[kind].measures.iter().map(profile::Measure::type_id).collect();
        let selection = Selection {
            profile_type: Some(types[measure % types.len()].clone()),
            ..Selection::everything("default", TimeRange::new(at(start), at(start + length)))
        };
        let query = SeriesQuery { step_ms, group_by: vec!["service_name".to_owned()] };
        run(async {
            let fixture = Fixture::with(&profiles, layout).await;
            let found = fixture.engine.series(&selection, &query).await.expect("answers");
            let expected = fixture.naive.series(&selection, &query).await.expect("answers");
            prop_assert_eq!(found, expected);
            Ok(())
        })?;
    }
}

/// Twice as many samples a slice as are needed, over three slices.
fn dense() -> Profile {
    let count = (SLICE_SAMPLES_MIN * 6) as i64;
    let events: Vec<Event> = (0..count).map(|n| (Some(n * 3 * SLICE_MS / count), [1, 2])).collect();
    profile(0, 0, [&events, &[]])
}

#[test]
fn a_chart_of_whole_slices_reads_no_samples() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, record) = recorded_of(folder.path(), Settings::default(), vec![dense()]).await;
        let query = |step_ms| SeriesQuery { step_ms, group_by: Vec::new() };
        let points = |step_ms| {
            let (engine, query) = (&engine, query(step_ms));
            async move {
                let set = engine.series(&everything(), &query).await.expect("a chart");
                set.series[0].points.iter().map(|(_, value)| *value).collect::<Vec<_>>()
            }
        };
        let slice = 2 * SLICE_SAMPLES_MIN as i64;
        assert_eq!(points(SLICE_MS).await, [slice; 3]);
        assert_eq!(points(2 * SLICE_MS).await.iter().sum::<i64>(), 3 * slice);
        assert_eq!(segments(&record.take(), "samples"), 0);
        assert_eq!(points(SLICE_MS / 2).await, [slice / 2; 6]);
        assert_eq!(segments(&record.take(), "samples"), 1, "half slices are not kept");
    });
}
