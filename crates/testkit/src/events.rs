//! Strategies that make what runtimes tell, as clients send it with their profiles.

use crate::profiles::{BASE_MS, SERVICES, SPAN_MS};
use profile::labels::names;
use profile::runtime::category::{GC, METRIC, SAFEPOINT};
use profile::{Labels, Profile, Reading, RuntimeEvent};
use proptest::prelude::*;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// Names of gauges that are read.
pub const GAUGES: [&str; 3] = ["cpu", "heap", "threads"];

/// A profile of few samples and up to 30 events and readings, of one of three services.
pub fn any_telling() -> impl Strategy<Value = Profile> {
    let labels = (0..SERVICES.len(), 0..3_u8);
    (labels, any_events(), 1..9_u8).prop_map(|((service, env), events, samples)| {
        let mut profile = profile::folded::from_folded(&format!("main;run {samples}\n"));
        profile.labels = Labels::new();
        profile.labels.set(names::SERVICE, SERVICES[service]);
        profile.labels.set(names::ENV, ["", "prod", "test"][usize::from(env)]);
        let start = Timestamp::from_millis(BASE_MS);
        profile.window = TimeRange::new(start, start.plus_nanos(60_000_000_000));
        profile.events = events;
        profile
    })
}

/// Events and readings of few names; some are equal in all.
pub fn any_events() -> impl Strategy<Value = Vec<RuntimeEvent>> {
    prop::collection::vec(prop_oneof![any_event(), any_reading()], 0..30)
}

fn any_start() -> impl Strategy<Value = Timestamp> {
    let nanos =
        prop_oneof![2 => 0..SPAN_MS * 1_000_000, 1 => prop::sample::select(vec![5, 7_000_000])];
    nanos.prop_map(|nanos| Timestamp::from_millis(BASE_MS).plus_nanos(nanos))
}

fn any_attributes() -> impl Strategy<Value = Vec<(Arc<str>, Arc<str>)>> {
    let pairs = prop::collection::btree_map(0..2_u8, 0..2_u8, 0..3);
    pairs.prop_map(|pairs| {
        let pairs = pairs.into_iter();
        pairs.map(|(name, value)| (format!("k{name}").into(), format!("v{value}").into())).collect()
    })
}

fn any_event() -> impl Strategy<Value = RuntimeEvent> {
    let duration = prop_oneof![
        3 => 0..5_000_000_000_i64,
        2 => prop::sample::select(vec![0, 1_000_000]),
        1 => Just(i64::MAX),
    ];
    (0..2_usize, 0..2_usize, any_start(), duration, any_attributes()).prop_map(
        |(category, name, start, duration_nanos, attributes)| RuntimeEvent {
            category: [GC, SAFEPOINT][category].into(),
            name: ["pause", "sweep"][name].into(),
            start,
            duration_nanos,
            reading: None,
            attributes,
        },
    )
}

/// Values are quarters, so that sums are the same in any order.
fn any_reading() -> impl Strategy<Value = RuntimeEvent> {
    let value = (-4_000..40_000_i32).prop_map(|quarters| f64::from(quarters) / 4.0);
    (0..GAUGES.len(), 0..2_usize, any_start(), value, any_attributes()).prop_map(
        |(name, unit, start, value, attributes)| RuntimeEvent {
            category: METRIC.into(),
            name: GAUGES[name].into(),
            start,
            duration_nanos: 0,
            reading: Some(Reading { value, unit: ["", "bytes"][unit].into() }),
            attributes,
        },
    )
}
