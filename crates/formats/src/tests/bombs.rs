//! Small payloads that would become large, or keep a decoder busy, by referring to the same thing
//! over and over.

use crate::{Decoded, IssueKind, Limits, Options, otlp, pprof};
use wire::Message;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::common::{AnyValue, ArrayValue, KeyValue, any_value};
use wire::otlp::profiles::{self as message, ProfilesDictionary};
use wire::otlp::resource::Resource;

const LONG_BYTES: usize = 32 << 10;
const NAMES: usize = 20;
const PROFILES: usize = 200;

fn small() -> Options {
    let limits = Limits { text_bytes_max: 2 << 20, work_bytes_max: 8 << 20, ..Limits::default() };
    Options { limits, ..Options::default() }
}

fn long(at: usize, bytes: usize) -> String {
    format!("{at:06}{}", "x".repeat(bytes))
}

/// Long names of functions 1 to [`NAMES`], all of them on stack 1 and in attribute 1 to [`NAMES`].
fn dictionary(bytes: usize) -> ProfilesDictionary {
    let numbers = || 0..=NAMES as i32;
    let line = |at| message::Line { function_index: at, ..message::Line::default() };
    let attribute = |at| message::KeyValueAndUnit {
        key_strindex: at,
        value: Some(AnyValue { value: Some(any_value::Value::StringValue("v".to_owned())) }),
        ..message::KeyValueAndUnit::default()
    };
    ProfilesDictionary {
        string_table: numbers()
            .map(|at| if at == 0 { String::new() } else { long(at as usize, bytes) })
            .collect(),
        function_table: numbers()
            .map(|at| message::Function { name_strindex: at, ..message::Function::default() })
            .collect(),
        location_table: numbers()
            .map(|at| message::Location { lines: vec![line(at)], ..message::Location::default() })
            .collect(),
        stack_table: vec![
            message::Stack::default(),
            message::Stack { location_indices: numbers().skip(1).collect() },
        ],
        attribute_table: numbers().map(attribute).collect(),
        ..ProfilesDictionary::default()
    }
}

/// A request with a bit of everything, for others to damage.
pub(super) fn export() -> Vec<u8> {
    let sample = message::Sample {
        stack_index: 1,
        values: vec![1, 2],
        timestamps_unix_nano: vec![5, 6],
        attribute_indices: vec![1, 2],
        ..message::Sample::default()
    };
    request_of(4, Vec::new(), vec![profile(vec![sample; 5]); 3])
}

fn profile(samples: Vec<message::Sample>) -> message::Profile {
    let value_type = message::ValueType { type_strindex: 0, unit_strindex: 0 };
    message::Profile { sample_type: Some(value_type), samples, ..message::Profile::default() }
}

fn request(attributes: Vec<KeyValue>, profiles: Vec<message::Profile>) -> Vec<u8> {
    request_of(LONG_BYTES, attributes, profiles)
}

fn request_of(
    name_bytes: usize,
    attributes: Vec<KeyValue>,
    profiles: Vec<message::Profile>,
) -> Vec<u8> {
    let scope = message::ScopeProfiles { profiles, ..message::ScopeProfiles::default() };
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource =
        message::ResourceProfiles { resource, scope_profiles: vec![scope], ..Default::default() };
    let dictionary = Some(dictionary(name_bytes));
    ExportProfilesServiceRequest { resource_profiles: vec![resource], dictionary }.encode_to_vec()
}

/// Bytes of all text that came out.
fn text_bytes(decoded: &Decoded) -> usize {
    let profiles = decoded.profiles.iter().map(|decoded| &decoded.profile);
    profiles
        .map(|profile| {
            let strings: usize = profile.tables.strings.text_bytes();
            let pairs = profile.labels.iter().map(|(name, value)| name.len() + value.len());
            let info = profile.metadata.info.iter().map(|(key, value)| key.len() + value.len());
            strings + pairs.sum::<usize>() + info.sum::<usize>()
        })
        .sum()
}

fn is_limited(decoded: &Decoded) -> bool {
    decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit)
}

#[test]
fn names_that_every_profile_refers_to_do_not_multiply() {
    let sample = message::Sample { stack_index: 1, values: vec![1], ..Default::default() };
    let body = request(Vec::new(), vec![profile(vec![sample]); PROFILES]);
    let decoded = otlp::decode(&body, &small());
    assert!(text_bytes(&decoded) <= (2 << 20) + LONG_BYTES * 2, "{}", text_bytes(&decoded));
    assert!(is_limited(&decoded) && !decoded.profiles.is_empty());
    // What a whole host sends stays far below the limit.
    assert!(!is_limited(&otlp::decode(&body, &Options::default())));
}

#[test]
fn labels_that_every_profile_has_do_not_multiply() {
    let value =
        |at| Some(AnyValue { value: Some(any_value::Value::StringValue(long(at, LONG_BYTES))) });
    let attributes = (0..NAMES).map(|at| KeyValue {
        key: format!("key{at}"),
        value: value(at),
        ..KeyValue::default()
    });
    let sample = message::Sample { values: vec![1], ..message::Sample::default() };
    let body = request(attributes.collect(), vec![profile(vec![sample]); PROFILES]);
    let decoded = otlp::decode(&body, &small());
    assert!(text_bytes(&decoded) <= 2 << 20, "{}", text_bytes(&decoded));
    assert!(is_limited(&decoded) && !decoded.profiles.is_empty());
}

#[test]
fn metadata_and_types_that_every_profile_has_do_not_multiply() {
    let mut one = profile(vec![message::Sample { values: vec![1], ..Default::default() }]);
    one.sample_type = Some(message::ValueType { type_strindex: 1, unit_strindex: 2 });
    one.attribute_indices = (1..=NAMES as i32).collect();
    let decoded = otlp::decode(&request(Vec::new(), vec![one; PROFILES]), &small());
    assert!(text_bytes(&decoded) <= 2 << 20, "{}", text_bytes(&decoded));
    assert!(decoded.profiles.len() < PROFILES && is_limited(&decoded));
}

#[test]
fn attributes_that_every_sample_has_are_not_read_without_end() {
    let sample = message::Sample {
        values: vec![1],
        attribute_indices: (1..=NAMES as i32).collect(),
        ..message::Sample::default()
    };
    // More than 1 GB of text to read, copy and hash.
    let body = request(Vec::new(), vec![profile(vec![sample; 2000])]);
    let decoded = otlp::decode(&body, &small());
    assert!(is_limited(&decoded));
    assert_eq!(decoded.profiles[0].profile.samples.len(), 2000, "the events themselves stay");
}

#[test]
fn lists_in_lists_do_not_multiply() {
    let mut value = AnyValue { value: Some(any_value::Value::StringValueStrindex(1)) };
    for _ in 0..3 {
        let values = vec![value; 40];
        value = AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values })) };
    }
    let attribute = KeyValue { key: "list".to_owned(), value: Some(value), ..KeyValue::default() };
    let sample = message::Sample { values: vec![1], ..message::Sample::default() };
    let body = request(vec![attribute], vec![profile(vec![sample])]);
    let decoded = otlp::decode(&body, &Options::default());
    let text = decoded.profiles[0].profile.labels.get("list").expect("the list");
    let max = Limits::default().string_bytes_max;
    assert!(text.len() <= max && text.len() > max / 2, "{}", text.len());
}

#[test]
fn pprof_labels_that_every_sample_has_are_not_read_without_end() {
    let strings =
        ["", "samples", "count", &long(1, LONG_BYTES), &long(2, LONG_BYTES)].map(str::to_owned);
    let label = |str| wire::pprof::Label { key: 3, str, ..wire::pprof::Label::default() };
    let sample =
        wire::pprof::Sample { value: vec![1], label: vec![label(4); 20], ..Default::default() };
    let body = wire::pprof::Profile {
        sample_type: vec![wire::pprof::ValueType { r#type: 1, unit: 2 }],
        sample: vec![sample; 2000],
        string_table: strings.to_vec(),
        ..wire::pprof::Profile::default()
    };
    let decoded = pprof::decode(&body.encode_to_vec(), &small());
    assert!(is_limited(&decoded));
    assert_eq!(decoded.profiles[0].profile.samples.len(), 2000);
}
