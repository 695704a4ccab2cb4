//! Pyroscope's table of labels beside a recording.

use super::in_words;
use super::writer::{Chunk, START_TICKS};
use crate::{Decoded, IssueKind, Limits, Options, jfr};

/// A field of bytes.
fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// A map's entry of small numbers.
fn pair(key: u8, value: u8) -> Vec<u8> {
    part(1, &[8, key, 16, value])
}

/// Contexts of pairs of strings' keys, and strings by keys from 1.
fn table(contexts: &[(u8, &[(u8, u8)])], strings: &[&str]) -> Vec<u8> {
    let contexts = contexts.iter().flat_map(|(key, pairs)| {
        let pairs: Vec<u8> = pairs.iter().flat_map(|(key, value)| pair(*key, *value)).collect();
        part(1, &[vec![8, *key], part(2, &pairs)].concat())
    });
    let strings = (1..)
        .zip(strings)
        .flat_map(|(key, text)| part(2, &[vec![8, key], part(2, text.as_bytes())].concat()));
    contexts.chain(strings).collect()
}

fn recording() -> Vec<u8> {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", &["startTime:12@T", "contextId:12"]));
    for context in 0..4 {
        chunk.event(101, &[chunk.long(START_TICKS), chunk.long(context)]);
    }
    chunk.bytes()
}

fn words(decoded: &Decoded) -> Vec<String> {
    let profile = &decoded.profiles[0].profile;
    profile.samples.iter().map(|sample| in_words(profile, sample)).collect()
}

const STRINGS: [&str; 6] = ["action", "order", "search", "profile_id", "ff", ""];

#[test]
fn samples_have_the_labels_of_their_context() {
    let contexts: &[(u8, &[(u8, u8)])] = &[(1, &[(1, 2)]), (2, &[(1, 3), (4, 5), (6, 1)])];
    let plain = table(contexts, &STRINGS);
    for table in [crate::compress::gzip(&plain), plain] {
        let decoded = jfr::decode_labelled(&recording(), &table, &Options::default());
        let words = words(&decoded);
        assert!(words[0].contains("None []"), "{}", words[0]);
        assert!(words[1].contains("None [\"\"action\"=\"order\"\"]"), "{}", words[1]);
        assert!(words[2].contains("[\"\"action\"=\"search\"\"]"), "{}", words[2]);
        assert!(words[2].contains("span_id: 255"), "{}", words[2]);
        let missing = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Reference);
        assert!(missing.expect("an issue").example.contains("no context 3"));
    }
    let without = jfr::decode(&recording(), &Options::default());
    assert!(without.issues.is_empty() && words(&without).len() == 4);
}

#[test]
fn damaged_and_large_tables_are_told_and_bounded() {
    let whole = table(&[(1, &[(1, 2)]), (2, &[(1, 3)])], &STRINGS);
    for at in 0..whole.len() {
        let decoded = jfr::decode_labelled(&recording(), &whole[..at], &Options::default());
        assert_eq!(decoded.profiles[0].profile.samples.len(), 4);
        for value in [0, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            jfr::decode_labelled(&recording(), &changed, &Options::default());
        }
    }
    let limits = Limits { labels_max: 1, strings_max: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let decoded = jfr::decode_labelled(&recording(), &whole, &options);
    let limit = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Limit);
    assert_eq!(limit.expect("an issue").count, 5, "a context and four strings");
}
