//! OTLP profiles in every layout that they had: the same content gives the same profiles.

use super::{describe, has};
use crate::{Decoded, IssueKind, Options, otlp, sniff};
use profile::KindIndex;
use wire::Message;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::profiles::{
    KeyValueAndUnit, Link, Location, Mapping, Profile, ProfilesDictionary, ResourceProfiles,
    Sample, ScopeProfiles, Stack, ValueType,
};

/// Written by `fixtures/otlp/make.py`, which says what is in them.
const LAYOUTS: [(&str, &[u8]); 5] = [
    ("v1.5", include_bytes!("../../../../fixtures/otlp/v1.5.pb")),
    ("v1.7", include_bytes!("../../../../fixtures/otlp/v1.7.pb")),
    ("v1.8", include_bytes!("../../../../fixtures/otlp/v1.8.pb")),
    ("v1.9", include_bytes!("../../../../fixtures/otlp/v1.9.pb")),
    ("v1.10", include_bytes!("../../../../fixtures/otlp/v1.10.pb")),
];
const V1_6: &[u8] = include_bytes!("../../../../fixtures/otlp/v1.6.pb");
const JSON: &[u8] = include_bytes!("../../../../fixtures/otlp/v1.10.json");
const START: i64 = 1_760_000_000_000_000_000;
const LINK: &str = "link 0102030405060708090a0b0c0d0e0f10 2122232425262728";

fn read(bytes: &[u8]) -> Decoded {
    otlp::decode(bytes, &Options::default())
}

/// Time in milliseconds, thread, values, names of the stack, link; sorted.
fn samples(decoded: &Decoded) -> Vec<String> {
    let mut found = Vec::new();
    for profile in decoded.profiles.iter().map(|one| &one.profile) {
        let tables = &profile.tables;
        found.extend(profile.samples.iter().map(|sample| {
            let time = sample.time.map(|time| (time.nanos() - START) / 1_000_000);
            let thread = sample.thread.and_then(|id| tables.threads.get(id));
            let thread = thread.map(|thread| (thread.id, tables.text(thread.name)));
            let link = sample.link.and_then(|id| tables.links.get(id));
            let link =
                link.map(|link| format!("link {:032x} {:016x}", link.trace_id, link.span_id));
            let stack = profile::folded::stack_names(tables, sample.stack).join(";");
            let kind = &profile.kinds[sample.kind.0 as usize];
            let values = &sample.values[..kind.measures.len()];
            format!("{time:?} {thread:?} {stack} {values:?} {}", link.unwrap_or_default())
        }));
    }
    found.sort();
    found
}

#[test]
fn cpu_samples_are_the_same_in_every_layout() {
    let cpu = |bytes| {
        let mut decoded = read(bytes);
        assert_eq!(decoded.issues, []);
        decoded.profiles.truncate(1);
        decoded
    };
    let mut expected: Vec<String> = [(10, 7), (20, 7), (30, 7), (15, 8), (25, 8)]
        .map(|(time, thread)| {
            let link = if thread == 7 { LINK } else { "" };
            let stack = "main;handle;work [10000000, 1, 0, 0]";
            format!("Some({time}) Some(({thread}, \"pool-{thread}\")) {stack} {link}")
        })
        .to_vec();
    let parse = "Some(40) Some((7, \"pool-7\")) main;handle;parse [10000000, 1, 0, 0] ";
    expected.push(parse.to_owned());
    expected.sort();
    let newest = cpu(LAYOUTS[4].1);
    let in_full = |decoded: &Decoded| {
        let profile = &decoded.profiles[0].profile;
        let mut all: Vec<_> = profile.samples.iter().map(|one| describe(profile, one)).collect();
        all.sort();
        (all, profile.metadata.clone(), profile.window, profile.labels.clone())
    };
    for (tag, bytes) in LAYOUTS {
        assert_eq!(sniff(bytes).map(|format| format.name), Some("otlp"), "{tag}");
        let decoded = cpu(bytes);
        assert_eq!(samples(&decoded), expected, "{tag}");
        // Mappings, build ids, lines, units of attributes and what else there is.
        assert_eq!(in_full(&decoded), in_full(&newest), "{tag}");
        assert_eq!(decoded.profiles[0].profile.labels.get("service.name"), Some("shop"));
        let info = &decoded.profiles[0].profile.metadata.info;
        assert_eq!(info[..], [("build".to_owned(), "green".to_owned())], "{tag}");
    }
    let (all, ..) = in_full(&newest);
    assert!(all[0].contains("a1b2c3") && all[0].contains("widgets"), "{}", all[0]);
}

#[test]
fn several_values_of_one_sample_are_read_by_type() {
    let total = |decoded: &Decoded, name: &str| {
        let found = decoded.profiles.iter().find_map(|one| {
            let mapped = one.type_map.iter().find(|mapped| mapped.sample_type == name)?;
            Some(one.profile.totals(mapped.kind)[mapped.measure])
        });
        found.expect("a type")
    };
    for (tag, bytes) in LAYOUTS {
        let decoded = read(bytes);
        assert_eq!(total(&decoded, "alloc_objects"), 4, "{tag}");
        assert_eq!(total(&decoded, "alloc_space"), 4160, "{tag}");
    }
    assert_eq!(read(LAYOUTS[1].1).profiles.len(), 2);
    assert_eq!(read(LAYOUTS[2].1).profiles.len(), 3);
}

#[test]
fn what_lost_its_tables_on_the_way_is_refused() {
    let decoded = read(V1_6);
    assert!(decoded.profiles.is_empty());
    assert!(has(&decoded, IssueKind::UnknownFormat));
    assert!(decoded.issues[0].example.contains("v1.6"), "{:?}", decoded.issues);
}

/// A request of v1.10 messages with these samples; the attribute 1 is one of the mapping, where
/// `is_used`. As v1.9 reads it, the second field holds values and the fourth is a link.
fn request(samples: Vec<Sample>, is_used: bool, period: i64) -> Vec<u8> {
    let attribute = KeyValueAndUnit { key_strindex: 3, ..KeyValueAndUnit::default() };
    let used = if is_used { vec![1] } else { vec![] };
    let dictionary = ProfilesDictionary {
        mapping_table: vec![
            Mapping::default(),
            Mapping { memory_start: 1, attribute_indices: used, ..Mapping::default() },
        ],
        location_table: vec![Location::default(), Location { address: 7, ..Location::default() }],
        link_table: vec![Link::default(), Link { trace_id: vec![1; 16], span_id: vec![1; 8] }],
        string_table: ["", "samples", "count", "color"].map(str::to_owned).to_vec(),
        attribute_table: vec![KeyValueAndUnit::default(), attribute],
        stack_table: vec![Stack::default(), Stack { location_indices: vec![1] }],
        ..ProfilesDictionary::default()
    };
    let profile = Profile {
        sample_type: Some(ValueType { type_strindex: 1, unit_strindex: 2 }),
        samples,
        time_unix_nano: START as u64,
        period,
        ..Profile::default()
    };
    let scope = ScopeProfiles { profiles: vec![profile], ..ScopeProfiles::default() };
    let resource = ResourceProfiles { scope_profiles: vec![scope], ..ResourceProfiles::default() };
    let request = ExportProfilesServiceRequest {
        resource_profiles: vec![resource],
        dictionary: Some(dictionary),
    };
    request.encode_to_vec()
}

/// Fields as v1.10 names them.
fn sample(attributes: &[i32], link: i32, values: &[i64], times: &[u64]) -> Sample {
    Sample {
        stack_index: 1,
        attribute_indices: attributes.to_vec(),
        link_index: link,
        values: values.to_vec(),
        timestamps_unix_nano: times.iter().map(|time| START as u64 + time).collect(),
    }
}

/// The sum of all samples, and whether the layout was certain.
fn sum(samples: Vec<Sample>, is_used: bool) -> (i64, bool) {
    let decoded = read(&request(samples, is_used, 0));
    let profile = &decoded.profiles[0].profile;
    (profile.totals(KindIndex(0))[0], !has(&decoded, IssueKind::Uncertain))
}

#[test]
fn samples_tell_values_from_attributes() {
    // As many numbers as times, every one an index of an attribute.
    let alike = || sample(&[1], 0, &[], &[5]);
    assert_eq!(sum(vec![alike()], false), (1, true), "an attribute that only samples can have");
    assert_eq!(sum(vec![alike(), sample(&[1], 0, &[], &[5, 6])], true), (3, true), "two times");
    assert_eq!(sum(vec![alike()], true), (1, false), "one value, likely");
    let two = sample(&[1, 1], 0, &[], &[5, 6]);
    assert_eq!(sum(vec![two.clone()], true), (2, false), "two values, likely");
    let beyond = sample(&[40], 0, &[], &[5]);
    assert_eq!(sum(vec![beyond, two], true), (42, true), "there is no attribute 40");
    assert_eq!(sum(vec![sample(&[30], 0, &[], &[])], false), (30, true), "a value, no time");
    assert_eq!(sum(vec![sample(&[], 0, &[30], &[])], false), (30, true), "v1.10's value");
    assert_eq!(sum(vec![sample(&[], 1, &[30], &[])], false), (30, true), "with a link");
    // Neither has what differs.
    assert_eq!(sum(vec![sample(&[], 0, &[], &[5, 6])], false), (2, true));
}

/// A field with bytes, fewer than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// A request of one profile whose dictionary holds texts and a stack.
fn around(profile: &[u8]) -> Vec<u8> {
    let texts = ["", "samples", "count"].map(|text| field(5, text.as_bytes()));
    let stacks = [field(7, &[]), field(7, &[])].concat();
    let dictionary = [texts.concat(), stacks].concat();
    [field(1, &field(2, &field(2, profile))), field(2, &dictionary)].concat()
}

#[test]
fn a_single_value_may_be_written_unpacked_as_async_profiler_does() {
    // Field 4 is a number, which v1.9 would read as a link: there is none.
    let sample = field(2, &[8, 1, 0x20, 30]);
    let profile = [field(1, &[8, 1, 0x10, 2]), sample, vec![0x30, 10]].concat();
    let decoded = read(&around(&profile));
    assert_eq!(decoded.issues, []);
    assert_eq!(decoded.profiles[0].profile.totals(KindIndex(0))[0], 30);
}

#[test]
fn running_totals_are_said_to_be_some() {
    for (temporality, is_certain) in [(1, true), (2, false)] {
        let kind = field(1, &[8, 1, 0x10, 2, 0x18, temporality]);
        let profile = [kind, field(2, &[8, 1, 0x12, 1, 30]), vec![0x30, 10]].concat();
        let decoded = read(&around(&profile));
        assert_eq!(decoded.profiles[0].profile.totals(KindIndex(0))[0], 30);
        assert_eq!(!has(&decoded, IssueKind::Uncertain), is_certain);
    }
}

#[test]
fn json_says_what_protobuf_says() {
    let json = otlp::decode_json(JSON, &Options::default());
    let [_, _, _, _, (_, protobuf)] = LAYOUTS;
    let expected = read(protobuf);
    assert_eq!((&json.issues, &expected.issues), (&vec![], &vec![]));
    let all = |decoded: &Decoded| {
        let profiles = decoded.profiles.iter().map(|one| &one.profile);
        let describe = |it: &profile::Profile| {
            let samples = it.samples.iter().map(|sample| describe(it, sample));
            let samples: Vec<String> = samples.collect();
            format!("{:?} {:?} {:?} {samples:?}", it.labels, it.metadata, it.kinds)
        };
        profiles.map(describe).collect::<Vec<_>>()
    };
    assert_eq!(all(&json), all(&expected));
    assert_eq!(samples(&json), samples(&expected));
    assert!(samples(&json).iter().any(|line| line.contains(LINK)), "ids are hexadecimal digits");
}

#[test]
fn json_may_be_in_snake_case_with_numbers_as_numbers() {
    let text = String::from_utf8(JSON.to_vec()).expect("text");
    let mut snake = String::new();
    let mut is_name = false;
    for line in text.lines() {
        let (name, rest) = line.split_once(':').unwrap_or(("", line));
        for letter in name.chars() {
            is_name |= letter == '"';
            if is_name && letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        let number: Option<i64> = rest.trim_matches([' ', ',', '"']).parse().ok();
        let end = if rest.ends_with(',') { "," } else { "" };
        let is_id = name.ends_with("Id\"");
        let rest = number.filter(|_| !is_id).map_or(rest.to_owned(), |it| format!("{it}{end}"));
        snake.push_str(if name.is_empty() { "" } else { ":" });
        snake.push_str(&rest);
    }
    assert!(snake.contains("\"stack_index\":1"), "{snake}");
    let decoded = otlp::decode_json(snake.as_bytes(), &Options::default());
    assert_eq!(decoded.issues, []);
    let expected = otlp::decode_json(JSON, &Options::default());
    assert_eq!(samples(&decoded), samples(&expected));
}

#[test]
fn json_that_is_cut_off_or_of_old_layouts_says_so() {
    for at in (0..JSON.len()).step_by(7) {
        let decoded = otlp::decode_json(&JSON[..at], &Options::default());
        assert!(!decoded.issues.is_empty(), "cut at {at}");
    }
    let old =
        br#"{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"locationIndices":[1]}]}]}]}"#;
    assert!(has(&otlp::decode_json(old, &Options::default()), IssueKind::NotKept));
    let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(200), "]}}".repeat(200));
    let nested = format!(r#"{{"dictionary":{{"attributeTable":[{{"value":{open}{close}}}]}}}}"#);
    let nested = otlp::decode_json(nested.as_bytes(), &Options::default());
    assert!(has(&nested, IssueKind::Limit), "{:?}", nested.issues);
    for odd in ["[]", "7", "\"x\"", r#"{"dictionary":{"linkTable":[{"spanId":"xy\u00e9"}]}}"#] {
        let decoded = otlp::decode_json(odd.as_bytes(), &Options::default());
        assert!(!decoded.issues.is_empty(), "{odd}");
    }
}
