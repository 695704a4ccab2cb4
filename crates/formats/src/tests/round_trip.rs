//! A profile that is written as pprof and read again is the same.

use super::{describe, single};
use crate::{Options, pprof};
use profile::{
    Attribute, AttributeValue, Function, KindIndex, Line, Link, Location, Mapping, Profile, Sample,
    SampleKind, Thread,
};
use proptest::prelude::*;
use stdx::{TimeRange, Timestamp};

type Frame = (u64, Option<u8>, Vec<(String, u32)>, bool);

#[derive(Clone, Debug)]
struct Event {
    kind: usize,
    values: [i64; 4],
    frames: Vec<Frame>,
    time: Option<i64>,
    thread: Option<(i64, String)>,
    link: Option<(u128, u64, u64)>,
    labels: Vec<(u8, Option<String>, i64)>,
}

fn frame() -> impl Strategy<Value = Frame> {
    let lines = prop::collection::vec(("[a-z]{1,3}", 0u32..1000), 0..3);
    (any::<u64>(), prop::option::of(0u8..3), lines, any::<bool>())
}

fn event() -> impl Strategy<Value = Event> {
    (
        (0usize..4, any::<[i64; 4]>()),
        prop::collection::vec(frame(), 0..6),
        prop::option::of(1i64..i64::MAX),
        prop::option::of((1i64..i64::MAX, "[a-z]{0,4}")),
        prop::option::of((any::<u128>(), 1u64.., any::<u64>())),
        prop::collection::vec((0u8..5, prop::option::of("\\PC{1,6}"), 1i64..), 0..4),
    )
        .prop_map(|((kind, values), frames, time, thread, link, labels)| Event {
            kind,
            values,
            frames,
            time,
            thread,
            link,
            labels,
        })
}

fn kinds() -> Vec<SampleKind> {
    let registered = ["stack", "heap", "file_io"].map(|id| SampleKind::from_id(id).expect("known"));
    let own = SampleKind::custom("app", &[("strange", "widgets")], ("", ""));
    registered.into_iter().chain([own]).collect()
}

fn build(events: &[Event]) -> Profile {
    let mut profile = Profile {
        window: TimeRange::new(Timestamp::from_nanos(5), Timestamp::from_nanos(9)),
        ..Profile::default()
    };
    profile.metadata.period = 10;
    profile.metadata.info.push(("comment".to_owned(), "hello".to_owned()));
    for kind in kinds() {
        profile.intern_kind(&kind);
    }
    for event in events {
        let sample = sample(event, &mut profile);
        profile.samples.push(sample);
    }
    profile
}

fn sample(event: &Event, profile: &mut Profile) -> Sample {
    let measures = profile.kinds[event.kind].measures.len();
    let mut values = [0; 4];
    values[..measures].copy_from_slice(&event.values[..measures]);
    let tables = &mut profile.tables;
    let locations: Vec<_> = event
        .frames
        .iter()
        .map(|(address, mapping, lines, is_folded)| {
            let mapping = mapping.map(|number| {
                let file = tables.strings.intern(&format!("lib{number}.so"));
                let start = u64::from(number);
                let build_id = tables.strings.intern("c0ffee");
                tables.mappings.intern(Mapping { start, file, build_id, ..Mapping::default() })
            });
            let mut line = |(name, line): &(String, u32)| {
                let (name, system_name) =
                    (tables.strings.intern(name), tables.strings.intern(&format!("_Z{name}")));
                let function =
                    Function { name, system_name, start_line: *line, ..Function::default() };
                Line { function: tables.functions.intern(function), line: *line, column: 1 }
            };
            let lines = lines.iter().map(&mut line).collect();
            let location = Location {
                mapping,
                address: *address,
                lines,
                is_folded: *is_folded,
                ..Location::default()
            };
            tables.locations.intern(location)
        })
        .collect();
    let thread = event.thread.as_ref().map(|(id, name)| {
        let name = tables.strings.intern(name);
        tables.threads.intern(Thread { id: *id, name })
    });
    let mut attributes: Vec<Attribute> = Vec::new();
    for (key, text, number) in &event.labels {
        let key = tables.strings.intern(&format!("key{key}"));
        let value = match text {
            Some(text) => AttributeValue::Text(tables.strings.intern(text)),
            None => AttributeValue::Number(*number, tables.strings.intern("ms")),
        };
        attributes.push(Attribute { key, value });
    }
    attributes.sort_unstable();
    attributes.dedup();
    Sample {
        kind: KindIndex(event.kind as u32),
        stack: tables.stacks.intern_leaf_first(&locations),
        time: event.time.map(Timestamp::from_nanos),
        thread,
        link: event.link.map(|(trace_id, span_id, root_span_id)| {
            tables.links.intern(Link { trace_id, span_id, root_span_id })
        }),
        attributes: (!attributes.is_empty()).then(|| tables.attributes.intern(attributes)),
        values,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(event(), 1..12)) {
        let mut before = build(&events);
        // A sample that measured nothing is no event.
        before.samples.retain(|sample| sample.values != [0; 4]);
        prop_assume!(!before.samples.is_empty());
        let options = Options { family: "app".to_owned(), ..Options::default() };
        let after = single(pprof::decode(&pprof::encode_gzip(&before), &options)).profile;
        let words = |profile: &Profile| {
            profile.samples.iter().map(|sample| describe(profile, sample)).collect::<Vec<_>>()
        };
        prop_assert_eq!(words(&after), words(&before));
        prop_assert_eq!(after.window, before.window);
        prop_assert_eq!(after.metadata, before.metadata);
    }
}
