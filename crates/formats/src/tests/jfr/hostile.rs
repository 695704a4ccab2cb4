//! Files made to cost: each is told by an issue, and stays small and quick.

use super::writer::{Chunk, SAMPLE, START_TICKS, small};
use crate::tests::{has, samples};
use crate::{Decoded, IssueKind, Limits, Options, jfr};
use profile::folded::stack_names;

fn read(bytes: &[u8]) -> Decoded {
    jfr::decode(bytes, &Options::default())
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    for is_compressed in [true, false] {
        let whole = small(is_compressed);
        for at in 0..whole.len() {
            read(&whole[..at]);
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                assert!(samples(&read(&changed)) <= 1_000);
            }
        }
    }
}

#[test]
fn types_that_hold_themselves_are_not_followed() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((40, "Self", &["inner:40", "other:40"]));
    let fields = &["startTime:12@T", "self:40", "stackTrace:22*"];
    chunk.classes.push((101, "jdk.ExecutionSample", fields));
    chunk.event(101, &[chunk.long(START_TICKS)]);
    chunk.constant(40, 1, &[]);
    let decoded = read(&chunk.bytes());
    // The time comes before what cannot be read.
    assert_eq!(samples(&decoded), 1);
    assert!(has(&decoded, IssueKind::Damage), "{:?}", decoded.issues);
}

#[test]
fn of_many_types_of_one_name_some_are_read() {
    let mut chunk = Chunk::new(true);
    for id in 101..141 {
        chunk.classes.push((id, "jdk.ExecutionSample", &["startTime:12@T"]));
        chunk.event(id, &[chunk.long(START_TICKS)]);
    }
    let decoded = read(&chunk.bytes());
    assert_eq!(samples(&decoded), crate::limits::JFR_TYPES_OF_NAME_MAX);
    assert!(has(&decoded, IssueKind::Limit), "{:?}", decoded.issues);
}

const DOUBLING: [&[&str]; 7] = [
    &["a:41", "b:41", "c:41", "d:41", "e:41"],
    &["a:42", "b:42", "c:42", "d:42", "e:42"],
    &["a:43", "b:43", "c:43", "d:43", "e:43"],
    &["a:44", "b:44", "c:44", "d:44", "e:44"],
    &["a:45", "b:45", "c:45", "d:45", "e:45"],
    &["a:46", "b:46", "c:46", "d:46", "e:46"],
    &["a:12", "b:14"],
];

#[test]
fn types_that_double_are_not_unfolded() {
    let mut chunk = Chunk::new(true);
    for (id, fields) in (40..).zip(DOUBLING) {
        chunk.classes.push((id, "Doubling", fields));
    }
    for key in 0..50 {
        chunk.constant(40, key, &[vec![0; 100]]);
    }
    assert!(has(&read(&chunk.bytes()), IssueKind::Damage));
}

#[test]
fn counts_that_lie_are_not_believed() {
    let billion = 1_000_000_000;
    let mut chunk = Chunk::new(true);
    chunk.classes.push((40, "Empty", &[]));
    chunk.classes.push((41, "Arrays", &["nothing:40[]", "numbers:12[]"]));
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    // Arrays of nothing, arrays longer than the file, pools longer than the file.
    chunk.constant(41, 1, &[chunk.int(billion), chunk.int(0)]);
    chunk.constant(41, 2, &[chunk.int(0), chunk.int(billion)]);
    chunk.pool(24, billion, vec![1, 3]);
    chunk.constant(22, 1, &[vec![0], chunk.int(billion)]);
    chunk.event(101, &[START_TICKS, 0, 1, 0].map(|number| chunk.long(number)));
    let decoded = read(&chunk.bytes());
    assert!(has(&decoded, IssueKind::Damage));
    assert_eq!(samples(&decoded), 1);
}

#[test]
fn samples_keep_to_their_limit() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    for _ in 0..30 {
        chunk.event(101, &[START_TICKS, 0, 0, 0].map(|number| chunk.long(number)));
    }
    let limits = Limits { samples_max: 10, ..Limits::default() };
    let decoded = jfr::decode(&chunk.bytes(), &Options { limits, ..Options::default() });
    assert_eq!(samples(&decoded), 10);
    assert!(has(&decoded, IssueKind::Limit));
}

#[test]
fn what_is_beyond_the_limit_of_samples_leaves_no_text() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    for key in 1..30 {
        chunk.constant(27, key, &[chunk.text(&format!("state {key}"))]);
        chunk.event(101, &[START_TICKS, 0, 0, key].map(|number| chunk.long(number)));
    }
    let limits = Limits { samples_max: 10, ..Limits::default() };
    let decoded = jfr::decode(&chunk.bytes(), &Options { limits, ..Options::default() });
    let strings = &decoded.profiles[0].profile.tables.strings;
    let states = strings.iter().filter(|text| text.starts_with("state ")).count();
    assert_eq!((samples(&decoded), states), (10, 10));
}

#[test]
fn long_names_that_all_types_share_are_not_copied_without_end() {
    let name: &'static str = "n".repeat(60_000).leak();
    let mut chunk = Chunk::new(true);
    chunk.classes.extend((1_000..3_000).map(|id| (id, name, &[] as &[&str])));
    assert!(has(&read(&chunk.bytes()), IssueKind::Limit));
}

#[test]
fn all_type_descriptions_of_a_chunk_share_one_limit() {
    let name: &'static str = "n".repeat(60_000).leak();
    let mut chunk = Chunk::new(true);
    for event in 0..60 {
        let ids = 1_000 + event * 10..1_010 + event * 10;
        chunk.descriptions(ids.map(|id| (id, name, &[] as &[&str])).collect());
    }
    let decoded = read(&chunk.bytes());
    let limit = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Limit);
    assert_eq!(limit.map(|issue| issue.count), Some(1), "what comes after it is not read");
}

/// A chunk with a sample for each of so many methods, whose classes all have a symbol:
/// 1 a name behind `padding`, 2 none behind it.
fn of_methods(count: u64, symbol: u64, padding: &[u8]) -> Chunk {
    let mut chunk = Chunk::new(true);
    chunk.classes.retain(|(id, ..)| *id != 24);
    chunk.classes.push((24, "jdk.types.Symbol", &["padding:14", "numbers:12[]", "string:14"]));
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    let named = [padding.to_vec(), chunk.text("a/Large")].concat();
    let missing = [padding.to_vec(), vec![2], chunk.long(9_999)].concat();
    let small = [vec![0], chunk.int(0), chunk.text("small")].concat();
    chunk.constant(24, 1, &[named]).constant(24, 2, &[missing]).constant(24, 3, &[small]);
    for key in 1..=count {
        chunk.constant(20, key, &[chunk.long(0), chunk.long(symbol)]);
        let method = [key, 3, 3].map(|number| chunk.long(number)).concat();
        chunk.constant(25, key, &[method, chunk.int(1)]);
        let frame = [chunk.long(key), chunk.int(0), chunk.int(0), chunk.long(1)].concat();
        chunk.constant(22, key, &[vec![0], chunk.int(1), frame]);
        chunk.event(101, &[START_TICKS, 0, key, 0].map(|number| chunk.long(number)));
    }
    chunk
}

fn with_work(chunk: &Chunk, work_bytes_max: usize) -> (Decoded, Vec<String>) {
    let limits = Limits { work_bytes_max, ..Limits::default() };
    let decoded = jfr::decode(&chunk.bytes(), &Options { limits, ..Options::default() });
    let profile = &decoded.profiles[0].profile;
    let stacks = profile.samples.iter();
    let names = stacks.map(|one| stack_names(&profile.tables, one.stack).concat()).collect();
    (decoded, names)
}

const MIB: usize = 1 << 20;

/// A mebibyte before a name, in two ways.
fn paddings() -> [Vec<u8>; 2] {
    let count = Chunk::new(true).int(MIB as u64);
    let chars = [&[4], count.as_slice(), &vec![b'x'; MIB], &[0]].concat();
    let numbers = [&[0], count.as_slice(), &vec![7; MIB]].concat();
    [chars, numbers]
}

#[test]
fn a_large_constant_that_much_refers_to_is_walked_once() {
    for padding in paddings() {
        let (decoded, names) = with_work(&of_methods(1_000, 1, &padding), 2 * MIB);
        assert!(!has(&decoded, IssueKind::Limit), "{:?}", decoded.issues);
        assert!(names.len() == 1_000 && names.iter().all(|name| name == "a.Large.small"));
    }
}

#[test]
fn what_is_walked_in_vain_is_paid_for_and_ends_the_reading() {
    for padding in paddings() {
        // The third costs more than there is; nothing that comes after it is read.
        let (decoded, names) = with_work(&of_methods(1_000, 2, &padding), 5 * MIB / 2);
        assert!(has(&decoded, IssueKind::Limit) && !has(&decoded, IssueKind::Reference));
        assert_eq!((names[2].as_str(), names.len()), ("small", 1_000));
        assert!(names[3..].iter().all(String::is_empty), "{names:?}");
    }
}

#[test]
fn what_stacks_walk_is_paid_for() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    chunk.stack(1, "a/A", "f", 1);
    let frame = [chunk.long(1), chunk.int(1), chunk.int(0), chunk.long(1)].concat();
    for key in 2..100 {
        chunk.constant(22, key, &[vec![0], chunk.int(500), frame.repeat(500)]);
        chunk.event(101, &[START_TICKS, 0, key, 0].map(|number| chunk.long(number)));
    }
    let (decoded, names) = with_work(&chunk, 100_000);
    assert!(has(&decoded, IssueKind::Limit) && names.len() == 98);
    assert!(!names[10].is_empty() && names[60].is_empty());
}

#[test]
fn deep_stacks_are_cut_to_what_is_nearest_the_leaf() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    chunk.stack(1, "a/A", "f", 1);
    let frames: Vec<u8> = (0..5_000_u64)
        .flat_map(|line| [chunk.long(1), chunk.int(line), chunk.int(0), chunk.long(1)].concat())
        .collect();
    chunk.constant(22, 9, &[vec![0], chunk.int(5_000), frames]);
    chunk.event(101, &[START_TICKS, 0, 9, 0].map(|number| chunk.long(number)));
    let decoded = read(&chunk.bytes());
    assert!(has(&decoded, IssueKind::Limit));
    let profile = &decoded.profiles[0].profile;
    let stack = profile.tables.stacks.leaf_first(profile.samples[0].stack);
    assert_eq!(stack.count(), Limits::default().stack_depth_max);
}

#[test]
fn many_types_of_events_and_many_small_chunks_stay_within_limits() {
    let mut chunk = Chunk::new(true);
    for kind in 1_000..61_000 {
        chunk.event(kind, &[]);
    }
    assert!(has(&read(&chunk.bytes()), IssueKind::Limit));
    // Headers only.
    let mut header = small(true)[..68].to_vec();
    header[8..16].copy_from_slice(&68_u64.to_be_bytes());
    let decoded = read(&header.repeat(20_000));
    assert!(has(&decoded, IssueKind::Limit) && decoded.profiles.is_empty());
}
