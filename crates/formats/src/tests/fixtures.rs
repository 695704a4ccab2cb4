//! Payloads captured from real tools decode to the totals that the tools themselves give.

use super::{single, total};
use crate::{Options, decode, pprof, sniff};
use profile::folded::stack_names;

const CPU: &[u8] = include_bytes!("../../../../fixtures/go-pprof/cpu.pb.gz");
const HEAP: &[u8] = include_bytes!("../../../../fixtures/go-pprof/heap.pb.gz");

/// As `go tool pprof -raw` prints them.
const CPU_SAMPLES: i64 = 51;
const HEAP_TOTALS: [(&str, i64); 4] = [
    ("alloc_objects", 4428),
    ("alloc_space", 64946081),
    ("inuse_objects", 57),
    ("inuse_space", 60634832),
];

fn plain(gzip: &[u8]) -> Vec<u8> {
    let mut issues = crate::decoded::Issues::default();
    crate::compress::decompress(gzip, &crate::Limits::default(), &mut issues).into_owned()
}

#[test]
fn go_cpu_profile_has_the_totals_of_go_tool_pprof() {
    let decoded = single(decode(CPU, &Options::default()));
    assert_eq!(total(&decoded, "samples"), CPU_SAMPLES);
    assert_eq!(total(&decoded, "cpu"), CPU_SAMPLES * 10_000_000);
    let ids: Vec<_> =
        decoded.type_map.iter().map(|mapped| mapped.profile_type.0.as_str()).collect();
    let expected = [
        "process_cpu:samples:count:cpu:nanoseconds",
        "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
    ];
    assert_eq!(ids, expected);
    let profile = &decoded.profile;
    assert_eq!(profile.metadata.period, 10_000_000);
    assert!(profile.window.nanos() > 700_000_000);
    let has_endpoint = |sample: &profile::Sample| {
        let attributes = sample.attributes.and_then(|id| profile.tables.attributes.get(id));
        attributes.is_some_and(|set| {
            set.iter().any(|attribute| profile.tables.text(attribute.key) == "endpoint")
        })
    };
    let checkout = profile.samples.iter().find(|sample| {
        stack_names(&profile.tables, sample.stack).iter().any(|name| name == "main.checkout")
    });
    assert!(has_endpoint(checkout.expect("the busiest function")));
}

#[test]
fn go_heap_profile_has_the_totals_of_go_tool_pprof() {
    let decoded = single(decode(HEAP, &Options::default()));
    for (name, expected) in HEAP_TOTALS {
        assert_eq!(total(&decoded, name), expected, "{name}");
    }
    assert_eq!(decoded.profile.kinds.len(), 1, "four values of one event");
}

#[test]
fn compression_makes_no_difference() {
    let raw = plain(CPU);
    let (front, back) = raw.split_at(raw.len() / 2);
    let members = [crate::compress::gzip(front), crate::compress::gzip(back)].concat();
    let zstd = zstd::encode_all(raw.as_slice(), 3).expect("memory");
    let twice = crate::compress::gzip(CPU);
    for variant in [raw.as_slice(), &members, &zstd, &twice] {
        assert_eq!(sniff(variant).map(|format| format.name), Some("pprof"));
        assert_eq!(total(&single(decode(variant, &Options::default())), "samples"), CPU_SAMPLES);
    }
}

#[test]
fn a_cut_gives_what_came_before_and_an_issue() {
    let cut = pprof::decode(&CPU[..CPU.len() - 200], &Options::default());
    assert!(!cut.issues.is_empty());
    let raw = plain(CPU);
    let samples = raw.len() / 4;
    let decoded = pprof::decode(&raw[..samples], &Options::default());
    assert!(!decoded.issues.is_empty());
    assert!(decoded.profiles.len() <= 1);
}

#[test]
fn a_bomb_is_stopped() {
    let bomb = crate::compress::gzip(&vec![0; 64 << 20]);
    let mut issues = crate::decoded::Issues::default();
    let plain = crate::compress::decompress(&bomb, &crate::Limits::default(), &mut issues);
    assert!(
        plain.len() <= crate::limits::RATIO_FREE_BYTES.max(bomb.len() * crate::limits::RATIO_MAX)
    );
    assert_eq!(issues.into_vec()[0].kind, crate::IssueKind::Limit);
}

#[test]
fn what_is_nothing_is_named_so() {
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"<html>", b"{\"a\": 1}"] {
        let decoded = decode(bytes, &Options::default());
        assert_eq!(decoded.profiles.len(), 0);
        assert_eq!(decoded.issues[0].kind, crate::IssueKind::UnknownFormat, "{bytes:?}");
    }
}
