//! Profiles in OTLP logs: what Splunk's agent for Node sent, and what its agent for Java writes.

use super::{has, total};
use crate::traces::Form;
use crate::{Decoded, IssueKind, Options, logs};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use profile::folded::stack_names;
use std::collections::BTreeSet;
use wire::Message;
use wire::pprof;

const CPU: &[u8] = include_bytes!("../../../../fixtures/otlp/splunk-node-cpu.pb");
const ALLOCATION: &[u8] = include_bytes!("../../../../fixtures/otlp/splunk-node-allocation.pb");

fn read(bytes: &[u8]) -> Decoded {
    logs::decode(bytes, Form::Protobuf, &Options::default())
}

/// The numbers are those of a plain walk over the protobuf.
#[test]
fn what_splunks_agent_for_node_sends_is_wall_and_cpu_time() {
    let decoded = read(CPU);
    assert_eq!((&decoded.issues[..], decoded.ignored), (&[][..], 0));
    let one = &decoded.profiles[0];
    assert_eq!(total(one, "wall-samples"), 1463);
    assert_eq!(total(one, "wall"), 1463 * 20_000_000, "one each 20 ms, idle ones included");
    assert_eq!(total(one, "cpu-samples"), 1463 - 1344, "1344 are idle");
    assert_eq!(total(one, "cpu"), (1463 - 1344) * 20_000_000, "12 rounds of 200 ms");
    let profile = &one.profile;
    assert_eq!(profile.labels.get("service.name"), Some("shelf"));
    assert_eq!(profile.labels.get("telemetry.sdk.language"), Some("node"));
    assert!((29_000_000_000..31_000_000_000).contains(&profile.window.nanos()));
    let links = profile.samples.iter().filter_map(|sample| sample.link);
    let links: Vec<_> = links.filter_map(|id| profile.tables.links.get(id)).collect();
    assert_eq!(links.len(), 56);
    assert!(links.iter().all(|link| link.trace_id != 0 && link.span_id != 0));
    let spans: BTreeSet<u64> = links.iter().map(|link| link.span_id).collect();
    assert_eq!(spans.len(), 12, "the program makes as many");
    let has_attribute = |name| profile.tables.strings.iter().any(|text| text == name);
    assert!(!has_attribute("source.event.period"), "it is in the values");
}

#[test]
fn what_it_allocates_is_allocated_memory() {
    let decoded = read(ALLOCATION);
    assert_eq!((&decoded.issues[..], decoded.ignored), (&[][..], 0));
    let one = &decoded.profiles[0];
    assert_eq!((total(one, "alloc_space"), one.profile.samples.len()), (19_170_448, 144));
    let id = &one.type_map[0].profile_type.0;
    assert_eq!(id, "memory:alloc_space:bytes:space:bytes");
    let info = &one.profile.metadata.info;
    assert!(info.contains(&("profiling.data.type".to_owned(), "allocation".to_owned())));
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [&out, bytes].concat()
}

fn attribute(number: u8, name: &str, value: &str) -> Vec<u8> {
    let value = field(2, &field(1, value.as_bytes()));
    field(number, &[field(1, name.as_bytes()), value].concat())
}

/// A record with a text and attributes.
fn record(body: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let attributes = attributes.iter().flat_map(|(name, value)| attribute(6, name, value));
    field(2, &[field(5, &field(1, body.as_bytes())), attributes.collect()].concat())
}

/// A request of a process of that language.
fn request(language: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let attributes = [("service.name", "shop"), ("telemetry.sdk.language", language)];
    let attributes = attributes.iter().flat_map(|(name, value)| attribute(1, name, value));
    let resource = field(1, &attributes.collect::<Vec<u8>>());
    let scope = field(1, &field(1, b"otel.profiling"));
    field(1, &[resource, field(2, &[scope, records.concat()].concat())].concat())
}

/// Stacks of threads as the agent for Java writes them: no types, no values, all in labels.
fn threads(states: &[(&str, i64)]) -> String {
    let mut texts = vec![String::new()];
    let mut text = |text: &str| {
        let at = texts.iter().position(|have| have == text).unwrap_or(texts.len());
        if at == texts.len() {
            texts.push(text.to_owned());
        }
        at as i64
    };
    let mut samples = Vec::new();
    for (at, (state, period)) in states.iter().enumerate() {
        let trace = "0102030405060708090a0b0c0d0e0f10";
        let mut label = |key: &str, value: &str, num: i64| {
            let str = if value.is_empty() { 0 } else { text(value) };
            pprof::Label { key: text(key), str, num, ..pprof::Label::default() }
        };
        samples.push(pprof::Sample {
            location_id: vec![1],
            label: vec![
                label("source.event.name", "jdk.ThreadDump", 0),
                label("source.event.period", "", *period),
                label("source.event.time", "", 1_760_000_000_000 + at as i64),
                label("thread.id", "", 7),
                label("thread.name", "http-7", 0),
                label("thread.state", state, 0),
                label("trace_id", trace, 0),
                label("span_id", "2122232425262728", 0),
            ],
            ..pprof::Sample::default()
        });
    }
    let line = pprof::Line { function_id: 1, line: 12, ..pprof::Line::default() };
    let location = pprof::Location { id: 1, line: vec![line], ..pprof::Location::default() };
    let name = text("shop.Cart.total");
    let function = pprof::Function { id: 1, name, ..pprof::Function::default() };
    let profile = pprof::Profile {
        sample: samples,
        location: vec![location],
        function: vec![function],
        string_table: texts,
        ..pprof::Profile::default()
    };
    STANDARD.encode(crate::compress::gzip(&profile.encode_to_vec()))
}

const AS_CPU: [(&str, &str); 3] = [
    ("com.splunk.sourcetype", "otel.profiling"),
    ("profiling.data.format", "pprof-gzip-base64"),
    ("profiling.data.type", "cpu"),
];

#[test]
fn threads_of_java_that_wait_are_no_cpu_time() {
    let body = threads(&[("RUNNABLE", 10), ("TIMED_WAITING", 10), ("RUNNABLE", 10)]);
    let decoded = read(&request("java", &[record(&body, &AS_CPU)]));
    assert_eq!((&decoded.issues[..], decoded.ignored), (&[][..], 0));
    let one = &decoded.profiles[0];
    assert_eq!((total(one, "wall"), total(one, "wall-samples")), (30_000_000, 3));
    assert_eq!((total(one, "cpu"), total(one, "cpu-samples")), (20_000_000, 2));
    let profile = &one.profile;
    let sample = &profile.samples[1];
    let thread = profile.tables.threads.get(sample.thread.expect("a thread")).expect("its own");
    assert_eq!((thread.id, profile.tables.text(thread.name)), (7, "http-7"));
    assert_eq!(sample.time.map(stdx::Timestamp::nanos), Some(1_760_000_000_001_000_000));
    let link = profile.tables.links.get(sample.link.expect("a span")).expect("its own");
    assert_eq!(link.trace_id, 0x0102030405060708090a0b0c0d0e0f10);
    assert_eq!(link.span_id, 0x2122232425262728);
    assert_eq!(stack_names(&profile.tables, sample.stack), ["shop.Cart.total"]);
    let said = super::describe(profile, sample);
    assert!(said.contains("TIMED_WAITING") && said.contains("jdk.ThreadDump"), "{said}");
}

#[test]
fn stacks_of_which_nobody_knows_whether_they_ran_are_wall_time_only() {
    let body = threads(&[("RUNNABLE", 10)]);
    let one = read(&request("dotnet", &[record(&body, &AS_CPU)])).profiles.remove(0);
    assert_eq!(total(&one, "wall"), 10_000_000);
    assert_eq!(one.type_map.len(), 2);
}

#[test]
fn snapshots_of_traces_are_not_added_to_what_is_sampled_all_the_time() {
    let body = threads(&[("RUNNABLE", 10)]);
    let source = ("profiling.instrumentation.source", "snapshot");
    let attributes = [&AS_CPU[..], &[source]].concat();
    let one = read(&request("java", &[record(&body, &attributes)])).profiles.remove(0);
    let ids: Vec<_> = one.type_map.iter().map(|mapped| &mapped.profile_type.0).collect();
    assert!(ids.iter().all(|id| id.starts_with("splunk:snapshot")), "{ids:?}");
    assert_eq!(total(&one, "snapshot"), 10_000_000);
}

#[test]
fn other_records_are_counted() {
    let body = threads(&[("RUNNABLE", 10)]);
    let records = [
        record("a line", &[("level", "info")]),
        record(&body, &AS_CPU),
        record("", &[]),
        record("at a", &[("profiling.data.format", "text"), ("profiling.data.type", "cpu")]),
        record("%%%", &AS_CPU),
    ];
    let decoded = read(&request("java", &records));
    assert_eq!((decoded.profiles.len(), decoded.ignored), (1, 4));
    assert!(has(&decoded, IssueKind::NotKept) && has(&decoded, IssueKind::Damage));
    let nothing = read(&[]);
    assert_eq!((nothing.profiles.len(), nothing.ignored, nothing.issues.len()), (0, 0, 0));
}

#[test]
fn json_says_the_same() {
    let body = threads(&[("RUNNABLE", 10), ("WAITING", 10)]);
    let pair = |(name, value): &(&str, &str)| {
        format!(r#"{{"key":"{name}","value":{{"stringValue":"{value}"}}}}"#)
    };
    let attributes = AS_CPU.iter().map(pair).collect::<Vec<_>>().join(",");
    let resource = [("service.name", "shop"), ("telemetry.sdk.language", "java")];
    let resource = resource.iter().map(pair).collect::<Vec<_>>().join(",");
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{resource}]}},"scopeLogs":[{{
        "logRecords":[{{"body":{{"stringValue":"{body}"}},"attributes":[{attributes}]}},
        {{"body":{{"stringValue":"a line"}}}}]}}]}}]}}"#
    );
    let decoded = logs::decode(json.as_bytes(), Form::Json, &Options::default());
    assert_eq!((&decoded.issues[..], decoded.ignored), (&[][..], 1));
    let one = &decoded.profiles[0];
    assert_eq!((total(one, "wall"), total(one, "cpu")), (20_000_000, 10_000_000));
    assert_eq!(one.profile.labels.get("service.name"), Some("shop"));
    let cut = &json.as_bytes()[..json.len() - 20];
    let cut = logs::decode(cut, Form::Json, &Options::default());
    assert!(has(&cut, IssueKind::Damage));
}

#[test]
fn all_profiles_of_a_request_cost_no_more_than_one_payload() {
    let long = STANDARD.encode(crate::compress::gzip(&vec![b'a'; 100_000]));
    let records = vec![record(&long, &AS_CPU); 300];
    let limits = crate::Limits { decompressed_bytes_max: 3_000_000, ..crate::Limits::default() };
    let options = Options { limits, ..Options::default() };
    let decoded = logs::decode(&request("java", &records), Form::Protobuf, &options);
    assert!(has(&decoded, IssueKind::Limit));
    assert_eq!(decoded.ignored, 300 - crate::limits::LOG_PROFILES_MAX as u64);
}
