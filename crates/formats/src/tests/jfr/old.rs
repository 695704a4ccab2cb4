//! Chunks of version 0.9, written here.

use super::in_words;
use crate::{Decoded, IssueKind, Limits, Options, decode, jfr};

const START_MILLIS: i64 = 1_500_000_000_000;
const START_TICKS: i64 = 1_000_000;
/// Positions of basic types.
const BOOLEAN: u8 = 0;
const INT: u8 = 6;
const LONG: u8 = 7;
const KEY: u8 = 8;
const UTF8: u8 = 11;
const WIDE: u8 = 12;
const ROW: u8 = 15;

/// A value of a structure: name, kind, content, structure.
type Value = (&'static str, u8, i32, i32);

/// Structures, the constants' ones first.
const PARTS: &[&[Value]] = &[
    &[("name", UTF8, 0, 0)],
    &[("loaderClass", KEY, 10, 0), ("name", KEY, 33, 0), ("modifiers", 3, 0, 0)],
    &[("class", KEY, 10, 0), ("name", KEY, 33, 0), ("signature", KEY, 33, 0), ("hidden", 0, 0, 0)],
    &[("utf8", UTF8, 0, 0)],
    &[("method", KEY, 32, 0), ("line", INT, 0, 0), ("bci", INT, 0, 0), ("type", 2, 47, 0)],
    &[("truncated", BOOLEAN, 0, 0), ("frames", ROW, 0, 4)],
    &[("desc", UTF8, 0, 0)],
    &[("sampledThread", INT, 7, 0), ("stackTrace", KEY, 9, 0)],
    &[("klass", KEY, 10, 0), ("address", KEY, 6, 0)],
    &[("thrownClass", KEY, 10, 0), ("message", WIDE, 0, 0)],
    &[("period", LONG, 3, 0), ("enabled", BOOLEAN, 0, 0), ("name", WIDE, 0, 0), ("id", 5, 0, 0)],
];

/// Constants: id, name, kind of the key, structure.
const CONTENTS: &[(i32, &str, u8, i32)] = &[
    (7, "Thread", INT, 0),
    (10, "Class", KEY, 1),
    (32, "Method", KEY, 2),
    (33, "UTFConstant", KEY, 3),
    (9, "StackTrace", KEY, 5),
    (47, "FrameType", 2, 6),
];

/// Events: id, address, whether they have a start, a thread and a stack, structure.
const EVENTS: &[(i32, &str, [u8; 3], i32)] = &[
    (59, "jvm/vm/prof/execution_sample", [0, 0, 0], 7),
    (7, "jvm/java/monitor_enter", [1, 1, 1], 8),
    (60, "jdk/java/exception_throw", [0, 1, 1], 9),
    (61, "jfr-info/recordings/recording_setting", [0, 0, 0], 10),
    (62, "jvm/java/statistics/threads", [0, 0, 0], 0),
];

fn int(number: i32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn long(number: i64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn utf8(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn wide(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    [int(text.encode_utf16().count() as i32), units].concat()
}

/// An event of its parts after the size.
fn event(kind: i32, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = [int(kind), parts.concat()].concat();
    [int(body.len() as i32 + 4), body].concat()
}

fn at(ticks: i64) -> Vec<u8> {
    long(START_TICKS + ticks)
}

fn constants() -> Vec<u8> {
    let pool = |content: i32, entries: &[Vec<u8>]| {
        [int(content), int(entries.len() as i32), entries.concat()].concat()
    };
    let text = |key: i64, text: &str| [long(key), utf8(text)].concat();
    let frame = |method: i64, line: i32| [long(method), int(line), int(0), vec![1]].concat();
    let class = |key: i64, name: i64| [long(key), long(0), long(name), vec![0, 0]].concat();
    let method = |key: i64, name: i64| [long(key), long(1), long(name), long(4), vec![0]].concat();
    event(
        1,
        &[
            at(900),
            long(0),
            pool(7, &[[int(4711), utf8("http-1")].concat()]),
            pool(33, &[text(1, "shop/Cart"), text(2, "pay"), text(3, "run"), text(4, "()V")]),
            pool(10, &[class(1, 1)]),
            pool(32, &[method(1, 2), method(2, 3)]),
            pool(47, &[[vec![1], utf8("JIT compiled")].concat()]),
            pool(9, &[[long(5), vec![0], int(2), frame(1, 12), frame(2, 34)].concat()]),
        ],
    )
}

fn types() -> Vec<u8> {
    let values = |part: &&[Value]| {
        let each = part.iter().flat_map(|(name, kind, content, of)| {
            let texts = [utf8(name), utf8("label"), utf8("what it is")].concat();
            [texts, vec![0, *kind], int(*content), int(*of), int(0)].concat()
        });
        [int(part.len() as i32), each.collect()].concat()
    };
    let parts: Vec<u8> = PARTS.iter().flat_map(values).collect();
    let events = EVENTS.iter().flat_map(|(id, address, flags, part)| {
        let texts = [utf8("label"), utf8("what it is"), utf8(address)].concat();
        [int(*id), texts, flags.to_vec(), vec![0], int(*part), int(0)].concat()
    });
    let contents = CONTENTS.iter().flat_map(|(id, name, key, part)| {
        [int(*id), utf8(name), utf8("what it is"), vec![*key], int(*part)].concat()
    });
    event(
        0,
        &[
            int(1),
            int(1),
            utf8("HotSpot"),
            utf8("what it is"),
            utf8("http://www.oracle.com/hotspot/"),
            [int(1), utf8("relation")].concat(),
            [int(PARTS.len() as i32), parts].concat(),
            [int(EVENTS.len() as i32), events.collect()].concat(),
            [int(CONTENTS.len() as i32), contents.collect()].concat(),
            [long(START_MILLIS), long(START_MILLIS + 2_000)].concat(),
            [long(START_TICKS), long(2_000_000_000), long(0)].concat(),
            utf8("en_US"),
        ],
    )
}

/// A chunk with two samples, a wait, an exception and an event that is not kept.
pub(crate) fn chunk() -> Vec<u8> {
    let events = [
        event(61, &[at(0), long(20), vec![1], wide("Sampling"), int(59)]),
        event(61, &[at(0), long(0), vec![1], wide("Other"), int(7)]),
        event(59, &[at(200), int(4711), long(5)]),
        event(59, &[at(400), int(4711), long(5)]),
        event(7, &[at(3_000), at(1_000), int(4711), long(5), long(1), long(0xdead)]),
        event(60, &[at(4_000), int(4711), long(5), long(1), wide("zu früh")]),
        event(62, &[at(5_000), utf8("not kept")]),
        constants(),
    ]
    .concat();
    let types_at = 16 + events.len() as i64;
    [b"FLR\0\0\0\0\x09".to_vec(), long(types_at), events, types()].concat()
}

fn read(bytes: &[u8]) -> Decoded {
    decode(bytes, &Options::default())
}

fn words(decoded: &Decoded) -> Vec<String> {
    let profile = &decoded.profiles[0].profile;
    profile.samples.iter().map(|sample| in_words(profile, sample)).collect()
}

#[test]
fn events_mean_what_they_mean_today() {
    let decoded = read(&chunk());
    let kinds: Vec<_> = decoded.issues.iter().map(|issue| issue.kind).collect();
    assert_eq!(kinds, [IssueKind::NotKept], "{:?}", decoded.issues);
    assert!(decoded.issues[0].example.contains("1 jvm/java/statistics/threads"));
    let words = words(&decoded);
    let expected: [(&str, i64, &[&str]); 4] = [
        ("stack [20000000, 1, 0, 0]", 100, &[]),
        ("stack [20000000, 1, 0, 0]", 200, &[]),
        ("lock_acquire [1000, 1, 0, 0]", 500, &["\"monitor class\"=\"shop.Cart\""]),
        (
            "exception [1, 0, 0, 0]",
            2_000,
            &["\"exception message\"=\"zu früh\"", "\"exception type\"=\"shop.Cart\""],
        ),
    ];
    assert_eq!(words.len(), expected.len(), "{words:#?}");
    for (have, (begins, nanos, parts)) in words.iter().zip(expected) {
        assert!(have.starts_with(begins), "{have}");
        let time = (START_MILLIS * 1_000_000 + nanos).to_string();
        let stack = ["[\"shop.Cart.pay\"] [(12,", "[\"shop.Cart.run\"] [(34,"];
        let common = [time.as_str(), "Some((4711, \"http-1\"))", stack[0], stack[1]];
        for part in parts.iter().chain(&common) {
            assert!(have.contains(part), "{have}\nwithout {part}");
        }
    }
    let profile = &decoded.profiles[0].profile;
    assert_eq!((profile.window.nanos(), profile.metadata.period), (2_000_000_000, 20_000_000));
}

#[test]
fn chunks_of_all_versions_stand_in_one_file() {
    let new = super::writer::small(true);
    let both = [chunk(), new.clone(), chunk()].concat();
    assert_eq!(words(&read(&both)).len(), 4 + words(&read(&new)).len() + 4);
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    let whole = chunk();
    for at in 0..whole.len() {
        jfr::decode(&whole[..at], &Options::default());
        for value in [0, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            let decoded = jfr::decode(&changed, &Options::default());
            let samples = decoded.profiles.iter().map(|one| one.profile.samples.len());
            assert!(samples.sum::<usize>() <= 100);
        }
    }
}

#[test]
fn many_types_of_one_large_structure_are_not_all_kept() {
    let value = [utf8("v"), utf8(""), utf8(""), vec![0, LONG], int(0), int(0), int(0)].concat();
    let part = [int(1_000), value.repeat(1_000)].concat();
    let kind = |id: i32| {
        let texts = [utf8(""), utf8(""), utf8("jvm/x")].concat();
        [int(id), texts, vec![0; 4], int(0), int(0)].concat()
    };
    let kinds: Vec<u8> = (2..2_002).flat_map(kind).collect();
    let head = [int(1), int(1), utf8(""), utf8(""), utf8("")].concat();
    let events = [int(2_000), kinds].concat();
    let tail = [vec![0; 4], vec![0; 40]].concat();
    let types = event(0, &[head, int(0), int(1), part, events, tail]);
    let bytes = [b"FLR\0\0\0\0\x09".to_vec(), long(16), types].concat();
    let decoded = jfr::decode(&bytes, &Options::default());
    let limit = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Limit);
    let limit = &limit.expect("an issue").example;
    assert!(limit.starts_with("of a chunk of version 0 only 500000 parts"), "{limit}");
}

#[test]
fn what_is_rewritten_stays_within_the_limit() {
    let options = Options {
        limits: Limits { decompressed_bytes_max: 3_000, ..Limits::default() },
        ..Options::default()
    };
    let whole = chunk();
    assert!(whole.len() < 3_000);
    let many = event(59, &[at(200), int(4711), long(5)]).repeat(60);
    let mut bytes = whole.clone();
    bytes.splice(16..16, many.clone());
    let types_at = i64::from_be_bytes(whole[8..16].try_into().expect("eight")) + many.len() as i64;
    bytes[8..16].copy_from_slice(&long(types_at));
    let decoded = jfr::decode(&bytes, &options);
    assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit), "{decoded:?}");
    assert_eq!(words(&read(&bytes)).len(), 64);
}
