//! OTLP export requests.

use super::{describe, total};
use crate::{IssueKind, Options, decode, otlp, sniff};
use profile::FrameType;
use stdx::Timestamp;
use wire::Message;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::common::{AnyValue, KeyValue, any_value::Value};
use wire::otlp::profiles::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, Profile, ProfilesDictionary,
    ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
};
use wire::otlp::resource::Resource;

const STRINGS: [&str; 12] = [
    "",
    "samples",
    "count",
    "cpu",
    "nanoseconds",
    "work",
    "libc.so",
    "thread.id",
    "thread.name",
    "profile.frame.type",
    "process.executable.build_id.gnu",
    "vesta.samples.lost",
];

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

fn number(number: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(number)) }
}

fn dictionary() -> ProfilesDictionary {
    let attribute = |key_strindex, value| KeyValueAndUnit {
        key_strindex,
        value: Some(value),
        unit_strindex: 0,
    };
    ProfilesDictionary {
        mapping_table: vec![
            Mapping::default(),
            Mapping { filename_strindex: 6, attribute_indices: vec![4], ..Mapping::default() },
        ],
        location_table: vec![
            Location::default(),
            Location {
                lines: vec![Line { function_index: 1, line: 7, column: 0 }],
                ..Location::default()
            },
            Location {
                mapping_index: 1,
                address: 0xbeef,
                attribute_indices: vec![3],
                ..Location::default()
            },
        ],
        function_table: vec![
            Function::default(),
            Function { name_strindex: 5, ..Function::default() },
        ],
        link_table: vec![
            Link::default(),
            Link { trace_id: 5_u128.to_be_bytes().to_vec(), span_id: 6_u64.to_be_bytes().to_vec() },
        ],
        string_table: STRINGS.map(String::from).to_vec(),
        attribute_table: vec![
            KeyValueAndUnit::default(),
            attribute(7, number(42)),
            attribute(8, text("main")),
            attribute(9, text("native")),
            attribute(10, text("abc123")),
            attribute(11, number(3)),
        ],
        stack_table: vec![Stack::default(), Stack { location_indices: vec![2, 1] }],
    }
}

fn request(samples: Vec<Sample>) -> ExportProfilesServiceRequest {
    let value_type =
        |type_strindex, unit_strindex| Some(ValueType { type_strindex, unit_strindex });
    let profile = Profile {
        sample_type: value_type(1, 2),
        period_type: value_type(3, 4),
        period: 10,
        time_unix_nano: 1000,
        duration_nano: 500,
        samples,
        attribute_indices: vec![5],
        ..Profile::default()
    };
    let key_value =
        |key: &str, value| KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 };
    let attributes =
        vec![key_value("service.name", text("shop")), key_value("vesta.cpu.count", number(4))];
    ExportProfilesServiceRequest {
        resource_profiles: vec![ResourceProfiles {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_profiles: vec![ScopeProfiles {
                profiles: vec![profile],
                ..ScopeProfiles::default()
            }],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(dictionary()),
    }
}

fn sample(values: Vec<i64>, timestamps_unix_nano: Vec<u64>) -> Sample {
    Sample {
        stack_index: 1,
        attribute_indices: vec![1, 2],
        link_index: 1,
        values,
        timestamps_unix_nano,
    }
}

#[test]
fn the_three_shapes_of_samples_are_read() {
    let samples = vec![
        sample(vec![], vec![1001, 1002]),
        sample(vec![5], vec![]),
        sample(vec![2, 3], vec![1003, 1004]),
    ];
    let bytes = request(samples).encode_to_vec();
    assert_eq!(sniff(&bytes).map(|format| format.name), Some("otlp"));
    let decoded = super::single(decode(&bytes, &Options::default()));
    let profile = &decoded.profile;
    assert_eq!(profile.samples.len(), 5);
    assert_eq!(total(&decoded, "samples"), 12);
    assert_eq!(total(&decoded, "cpu"), 120, "period times count");
    let times: Vec<_> = profile.samples.iter().map(|sample| sample.time).collect();
    let at = |nanos| Some(Timestamp::from_nanos(nanos));
    assert_eq!(times, [at(1001), at(1002), None, at(1003), at(1004)]);
    assert_eq!(profile.labels.get("service.name"), Some("shop"));
    assert_eq!((profile.metadata.cpu_count, profile.metadata.lost), (Some(4), 3));
}

#[test]
fn what_a_sample_points_to_is_taken_over() {
    let bytes = request(vec![sample(vec![], vec![1001])]).encode_to_vec();
    let decoded = super::single(otlp::decode(&bytes, &Options::default()));
    let tables = &decoded.profile.tables;
    let words = describe(&decoded.profile, &decoded.profile.samples[0]);
    assert!(words.contains("(42, \"main\")"), "{words}");
    assert!(words.contains("trace_id: 5, span_id: 6"), "{words}");
    assert!(words.contains("work"), "{words}");
    let native = tables.locations.rows().iter().find(|row| row.address == 0xbeef);
    let native = native.expect("the unsymbolized frame");
    assert_eq!(native.frame_type, FrameType::Native);
    let mapping = native.mapping.and_then(|id| tables.mappings.get(id)).expect("its binary");
    assert_eq!((tables.text(mapping.file), tables.text(mapping.build_id)), ("libc.so", "abc123"));
}

#[test]
fn other_signals_are_not_taken_for_profiles() {
    // TracesData { ResourceSpans { resource, ScopeSpans { scope, Span { trace_id, … } } } }
    let span = [&[0x0a, 16][..], &[1; 16], &[0x12, 8], &[2; 8]].concat();
    let wrap = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8], inner].concat();
    let traces = wrap(0x0a, &wrap(0x12, &wrap(0x12, &span)));
    assert!(sniff(&traces).is_none());
    // A Pyroscope push: series of label pairs and raw profiles.
    let labels = wrap(0x0a, b"\x0a\x08__name__\x12\x06memory");
    let push = wrap(0x0a, &[labels, wrap(0x12, &wrap(0x0a, b"\x0a\x04\x08\x01\x10\x02"))].concat());
    assert!(sniff(&push).is_none());
}

#[test]
fn broken_references_and_counts_are_issues() {
    let mut bad = sample(vec![1, 2, 3], vec![1001]);
    bad.stack_index = 99;
    bad.link_index = -1;
    let decoded = otlp::decode(&request(vec![bad]).encode_to_vec(), &Options::default());
    let kinds: Vec<_> = decoded.issues.iter().map(|issue| (issue.kind, issue.count)).collect();
    assert_eq!(kinds, [(IssueKind::Reference, 2), (IssueKind::ValueCount, 1)]);
    assert_eq!(total(&decoded.profiles[0], "samples"), 6);
}
