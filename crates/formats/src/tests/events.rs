//! What samples become: rows, threads, links, times.

use super::{describe, single, total};
use crate::{IssueKind, Options, folded, pprof};
use profile::Link;
use stdx::Timestamp;
use wire::Message;
use wire::pprof::{Label, Location, Profile, Sample, ValueType};

const STRINGS: [&str; 14] = [
    "",
    "cpu-time",
    "nanoseconds",
    "cpu-samples",
    "count",
    "wall-time",
    "alloc-space",
    "bytes",
    "span id",
    "thread id",
    "end_timestamp_ns",
    "1234",
    "trace id",
    "000102030405060708090a0b0c0d0e0f",
];

fn ddtrace() -> Profile {
    let types = [(1, 2), (3, 4), (5, 2), (6, 7)];
    Profile {
        sample_type: types.map(|(r#type, unit)| ValueType { r#type, unit }).to_vec(),
        sample: vec![Sample {
            location_id: vec![1],
            value: vec![5, 1, 7, 0],
            label: vec![
                Label { key: 8, str: 11, ..Label::default() },
                Label { key: 9, num: 42, ..Label::default() },
                Label { key: 10, num: 99, ..Label::default() },
                Label { key: 12, str: 13, ..Label::default() },
            ],
        }],
        location: vec![Location { id: 1, address: 0x10, ..Location::default() }],
        string_table: STRINGS.map(String::from).to_vec(),
        ..Profile::default()
    }
}

#[test]
fn several_values_of_one_kind_are_one_row() {
    let decoded = single(pprof::decode(&ddtrace().encode_to_vec(), &Options::default()));
    let profile = &decoded.profile;
    assert_eq!(profile.samples.len(), 1);
    assert_eq!(profile.samples[0].values, [5, 1, 7, 0]);
    assert_eq!(
        profile.kinds.iter().map(|kind| kind.id.as_ref()).collect::<Vec<_>>(),
        ["stack", "heap"]
    );
    assert_eq!(total(&decoded, "alloc-space"), 0);
}

#[test]
fn labels_become_thread_link_and_time() {
    let decoded = single(pprof::decode(&ddtrace().encode_to_vec(), &Options::default()));
    let profile = &decoded.profile;
    let sample = &profile.samples[0];
    assert_eq!(sample.time, Some(Timestamp::from_nanos(99)));
    let thread = sample.thread.and_then(|id| profile.tables.threads.get(id)).expect("a thread");
    assert_eq!(thread.id, 42);
    let trace_id = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
    let link = sample.link.and_then(|id| profile.tables.links.get(id)).expect("a link");
    assert_eq!(*link, Link { trace_id, span_id: 1234, root_span_id: 0 });
    assert_eq!(sample.attributes, None, "{}", describe(profile, sample));
}

#[test]
fn broken_references_cost_only_themselves() {
    let mut message = ddtrace();
    message.sample[0].location_id = vec![1, 77, 1];
    message.sample.push(Sample { value: vec![1], ..Sample::default() });
    message.location[0].mapping_id = 9;
    let decoded = pprof::decode(&message.encode_to_vec(), &Options::default());
    let kinds: Vec<_> = decoded.issues.iter().map(|issue| (issue.kind, issue.count)).collect();
    assert_eq!(kinds, [(IssueKind::Reference, 2), (IssueKind::ValueCount, 1)]);
    let totals = ["cpu-time", "cpu-samples", "wall-time"].map(|of| total(&decoded.profiles[0], of));
    assert_eq!(totals, [6, 1, 7], "what a sample lacks is not its predecessor's");
}

#[test]
fn deep_stacks_are_cut_at_the_root_end() {
    let mut message = ddtrace();
    message.sample[0].location_id = vec![1; 5000];
    let decoded = pprof::decode(&message.encode_to_vec(), &Options::default());
    assert_eq!(decoded.issues[0].kind, IssueKind::Limit);
    let profile = &decoded.profiles[0].profile;
    let depth = profile.tables.stacks.leaf_first(profile.samples[0].stack).count();
    assert_eq!(depth, Options::default().limits.stack_depth_max);
}

#[test]
fn limits_hold_and_are_told() {
    let mut message = ddtrace();
    message.sample = vec![message.sample[0].clone(); 10];
    let limits = crate::Limits { samples_max: 4, ..crate::Limits::default() };
    let decoded =
        pprof::decode(&message.encode_to_vec(), &Options { limits, ..Options::default() });
    assert_eq!(decoded.profiles[0].profile.samples.len(), 4);
    assert_eq!((decoded.issues[0].kind, decoded.issues[0].count), (IssueKind::Limit, 6));
}

#[test]
fn folded_text_keeps_what_it_can() {
    let text = b"# total 12\nmain;a b;c 3\n\nmain;x 1.6\nno value\nmain;y z\n";
    let decoded = folded::decode(text, &folded::Shape::default(), &Options::default());
    assert_eq!(decoded.issues[0].kind, IssueKind::Malformed);
    let decoded = &decoded.profiles[0];
    let kind = decoded.type_map[0].kind;
    assert_eq!(folded::encode(&decoded.profile, kind, 0), "main;a b;c 3\nmain;x 2\n");
    let shape = folded::Shape {
        sample_type: "cpu".into(),
        unit: "nanoseconds".into(),
        factor: 10,
        ..folded::Shape::default()
    };
    let decoded = single(folded::decode(b"a;b 4\n", &shape, &Options::default()));
    assert_eq!(decoded.type_map[0].profile_type.0, "process_cpu:cpu:nanoseconds:cpu:nanoseconds");
    assert_eq!(total(&decoded, "cpu"), 40);
}
