//! What small chunks decode to.

use super::in_words;
use super::writer::{BASE, Chunk, SAMPLE, START_TICKS, WAIT, small};
use crate::{Decoded, IssueKind, Options, decode, jfr, sniff};

fn read(bytes: &[u8]) -> Decoded {
    jfr::decode(bytes, &Options::default())
}

fn kinds(decoded: &Decoded) -> Vec<IssueKind> {
    decoded.issues.iter().map(|issue| issue.kind).collect()
}

/// All samples in words, in order.
fn words(decoded: &Decoded) -> Vec<String> {
    let profiles = decoded.profiles.iter().map(|decoded| &decoded.profile);
    profiles
        .flat_map(|profile| profile.samples.iter().map(|sample| in_words(profile, sample)))
        .collect()
}

/// Totals by the name of the payload's type.
fn total(decoded: &Decoded, sample_type: &str) -> Option<i64> {
    let profile = decoded.profiles.first()?;
    let mapped = profile.type_map.iter().find(|mapped| mapped.sample_type == sample_type)?;
    Some(profile.profile.totals(mapped.kind)[mapped.measure])
}

#[test]
fn samples_have_time_thread_stack_and_line() {
    let decoded = read(&small(true));
    let words = words(&decoded);
    assert_eq!(words.len(), 5);
    let parts = [
        "stack [20000000, 1, 0, 0]",
        // 300 ticks of half a nanosecond after the chunk's start.
        "1700000000000000150",
        "(66, \"http-2\")",
        "shop.Cart.pay",
        "(34, 0, ",
    ];
    for part in parts {
        assert!(words[1].contains(part), "{part}: {}", words[1]);
    }
    assert!(words[3].contains("\"monitor class\"=\"shop.Cart\""), "{}", words[3]);
    assert_eq!(total(&decoded, "jdk.ExecutionSample"), Some(3));
    assert_eq!(total(&decoded, "jdk.JavaMonitorEnter.duration"), Some(2_000 + 3_000), "no ticks");
    let profile = &decoded.profiles[0].profile;
    assert_eq!((profile.window.nanos(), profile.metadata.period), (1_000_000_000, 20_000_000));
}

#[test]
fn what_is_not_kept_is_counted_and_named() {
    let decoded = read(&small(true));
    assert_eq!(kinds(&decoded), [IssueKind::NotKept]);
    assert!(decoded.issues[0].example.contains("1 jdk.GCPhaseParallel"));
}

#[test]
fn compression_of_any_kind_makes_no_difference() {
    let expected = words(&read(&small(true)));
    let plain = small(false);
    assert_ne!(plain, small(true));
    let zstd = zstd::encode_all(plain.as_slice(), 3).expect("memory");
    for bytes in [plain.clone(), crate::compress::gzip(&plain), zstd] {
        assert_eq!(sniff(&bytes).map(|format| format.name), Some("jfr"));
        assert_eq!(words(&decode(&bytes, &Options::default())), expected);
    }
}

/// A chunk in which `event` has the type id that other chunks give to another one.
fn chunk_of(event: &'static str, fields: &'static [&'static str], stack: &str) -> Vec<u8> {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, event, fields));
    chunk.stack(1, stack, "run", 1).thread(5, stack, 9);
    let mut parts = vec![chunk.long(START_TICKS), chunk.long(5), chunk.long(1), chunk.long(0)];
    if fields == WAIT {
        parts.insert(1, chunk.long(10));
    }
    chunk.event(101, &parts);
    chunk.bytes()
}

#[test]
fn every_chunk_has_its_own_types_and_constants() {
    let first = chunk_of("jdk.ExecutionSample", SAMPLE, "a/A");
    let second = chunk_of("jdk.JavaMonitorEnter", WAIT, "b/B");
    let decoded = read(&[first, second].concat());
    assert_eq!((kinds(&decoded).len(), decoded.profiles.len()), (0, 1));
    let words = words(&decoded);
    assert!(words[0].starts_with("stack ") && words[0].contains("a.A.run"), "{}", words[0]);
    assert!(words[1].starts_with("lock_acquire ") && words[1].contains("b.B.run"), "{}", words[1]);
    assert!(words[1].contains("(9, \"b/B\")"), "{}", words[1]);
}

#[test]
fn a_recording_in_flight_is_read() {
    let whole = small(true);
    let expected = words(&read(&whole));
    let mut flying = whole.clone();
    flying[8..16].fill(0);
    flying[64] = 3;
    // What the file has been made ready for is still empty.
    flying.extend([0; 100]);
    let decoded = read(&flying);
    assert_eq!((words(&decoded), kinds(&decoded)), (expected, vec![IssueKind::NotKept]));
}

#[test]
fn a_cut_file_gives_its_whole_chunks_and_what_the_last_one_still_has() {
    let whole = small(true);
    let expected = words(&read(&whole));
    let two = [whole.clone(), whole.clone()].concat();
    for cut in [1, 40, 68, 200, whole.len() - 1] {
        let decoded = read(&two[..whole.len() + cut]);
        assert!(words(&decoded).len() >= expected.len(), "{cut}");
        assert_eq!(words(&decoded)[..expected.len()], expected, "{cut}");
        assert!(kinds(&decoded).contains(&IssueKind::Damage), "{cut}");
    }
}

#[test]
fn constants_beyond_damaged_events_are_found_by_the_header() {
    let mut bytes = small(true);
    let expected = words(&read(&bytes));
    // The last event before the constants says that it is longer than the file.
    let at = bytes.windows(5).position(|part| part == b"G1New").expect("the event") - 6;
    let size = bytes[at];
    bytes[at] = 0xff;
    let decoded = read(&bytes);
    assert!(kinds(&decoded).contains(&IssueKind::Damage), "{size}");
    assert_eq!(words(&decoded), expected);
}

#[test]
fn samples_without_a_stack_or_with_missing_constants_are_kept() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    for (thread, stack) in [(0, 0), (77, 78)] {
        let parts = [START_TICKS, thread, stack, 0].map(|number| chunk.long(number));
        chunk.event(101, &parts);
    }
    let decoded = read(&chunk.bytes());
    assert_eq!(total(&decoded, "jdk.ExecutionSample"), Some(2));
    assert_eq!(kinds(&decoded), [IssueKind::Reference]);
    assert_eq!(decoded.issues[0].count, 2, "a stack and a thread");
}

#[test]
fn old_versions_are_refused_in_words_and_old_names_are_known() {
    let mut chunk = Chunk::new(true);
    chunk.version = 0;
    let decoded = read(&chunk.bytes());
    assert_eq!(kinds(&decoded), [IssueKind::UnknownFormat]);
    assert!(decoded.issues[0].example.contains("version 0.0"), "{}", decoded.issues[0]);
    let mut chunk = Chunk::new(true);
    chunk.version = 1;
    chunk.classes.push((101, "com.oracle.jdk.ExecutionSample", SAMPLE));
    chunk.event(101, &[START_TICKS, 0, 0, 0].map(|number| chunk.long(number)));
    assert_eq!(total(&read(&chunk.bytes()), "jdk.ExecutionSample"), Some(1));
}

#[test]
fn spans_endpoints_and_weights_of_datadog_s_profiler_are_kept() {
    let mut chunk = Chunk::new(true);
    let fields = &[
        "startTime:12@T",
        "eventThread:21*",
        "stackTrace:22*",
        "objectClass:20*",
        "size:12",
        "weight:13",
        "spanId:12",
        "localRootSpanId:12",
    ];
    chunk.classes.push((101, "datadog.ObjectSample", fields));
    chunk.classes.push((
        102,
        "datadog.Endpoint",
        &["startTime:12@T", "endpoint:14", "localRootSpanId:12"],
    ));
    chunk.stack(1, "[B", "x", 1);
    let numbers = |chunk: &Chunk, numbers: &[u64]| -> Vec<u8> {
        numbers.iter().flat_map(|number| chunk.long(*number)).collect()
    };
    let root = u64::MAX - 5;
    let before = numbers(&chunk, &[START_TICKS, 0, 1, 1, 100]);
    let parts = [before, 2.5_f32.to_be_bytes().to_vec(), numbers(&chunk, &[8, root])];
    chunk.event(101, &parts);
    let parts = [chunk.long(START_TICKS), chunk.text("GET /pay"), chunk.long(root)];
    chunk.event(102, &parts);
    let decoded = read(&chunk.bytes());
    assert_eq!(kinds(&decoded), []);
    let words = words(&decoded);
    assert!(words[0].starts_with("heap [250, 3, 0, 0]"), "{}", words[0]);
    let link = format!("span_id: 8, root_span_id: {root}");
    for part in [link.as_str(), "\"trace endpoint\"=\"GET /pay\"", "\"allocated class\"=\"byte[]\""]
    {
        assert!(words[0].contains(part), "{part}: {}", words[0]);
    }
}

#[test]
fn native_frames_keep_their_library() {
    let mut chunk = Chunk::new(true);
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    for (key, text) in [(1, "libc.so.6"), (2, "read"), (3, "()L;"), (4, "")] {
        chunk.constant(24, key, &[chunk.text(text)]);
    }
    chunk.constant(20, 1, &[chunk.long(0), chunk.long(1)]);
    chunk.constant(20, 2, &[chunk.long(0), chunk.long(4)]);
    for (key, text) in [(1, "Native"), (2, "Kernel")] {
        chunk.constant(26, key, &[chunk.text(text)]);
    }
    for (key, class) in [(1, 1), (2, 2)] {
        let parts = [chunk.long(class), chunk.long(2), chunk.long(3), chunk.int(0)];
        chunk.constant(25, key, &parts);
    }
    let frame = |chunk: &Chunk, key| {
        [chunk.long(key), chunk.int(0), chunk.int(0), chunk.long(key)].concat()
    };
    let frames = [frame(&chunk, 1), frame(&chunk, 2)].concat();
    chunk.constant(22, 1, &[vec![1], chunk.int(2), frames]);
    chunk.event(101, &[START_TICKS, 0, 1, 0].map(|number| chunk.long(number)));
    let decoded = read(&chunk.bytes());
    let profile = &decoded.profiles[0].profile;
    let types: Vec<_> = profile.tables.locations.rows().iter().map(|row| row.frame_type).collect();
    assert_eq!(types, [profile::FrameType::Native, profile::FrameType::Kernel]);
    let words = words(&decoded);
    assert!(words[0].contains("libc.so.6.read") && words[0].contains("[\"read\"]"), "{}", words[0]);
    assert_eq!(profile.tables.mappings.len(), 1);
    assert_eq!(profile.metadata.broken, 1, "the stack is cut");
}

#[test]
fn frames_are_found_behind_constants_and_arrays() {
    let mut chunk = Chunk::new(true);
    let frame = [chunk.long(1), chunk.int(7), chunk.int(0), chunk.long(1)].concat();
    chunk.classes.retain(|(id, ..)| *id != 22);
    let fields = &["truncated:10", "owner:20*", "marks:12[]", "frames:23[]"];
    chunk.classes.push((22, "jdk.types.StackTrace", fields));
    chunk.classes.push((101, "jdk.ExecutionSample", SAMPLE));
    let marks = [chunk.int(2), chunk.long(300), chunk.long(2)].concat();
    for (key, text) in [(1, "a/A"), (2, "f")] {
        chunk.constant(24, key, &[chunk.text(text)]);
    }
    chunk.constant(20, 1, &[chunk.long(0), chunk.long(1)]);
    chunk.constant(25, 1, &[chunk.long(1), chunk.long(2), chunk.long(2), chunk.int(1)]);
    chunk.constant(22, 1, &[vec![1], chunk.long(1), marks, chunk.int(1), frame]);
    chunk.event(101, &[START_TICKS, 0, 1, 0].map(|number| chunk.long(number)));
    let decoded = read(&chunk.bytes());
    assert_eq!(kinds(&decoded), []);
    let words = words(&decoded);
    assert!(words[0].contains("a.A.f") && words[0].contains("(7, 0, "), "{}", words[0]);
    assert_eq!(decoded.profiles[0].profile.metadata.broken, 1, "the stack is cut");
}

#[test]
fn texts_stand_in_the_order_of_type_ids_whatever_a_process_hashes_with() {
    let events: [(&str, &str); 7] = [
        ("jdk.ThreadPark", "parked class"),
        ("jdk.FileRead", "file path"),
        ("jdk.SocketRead", "peer host"),
        ("jdk.JavaMonitorEnter", "monitor class"),
        ("jdk.JavaExceptionThrow", "exception type"),
        ("jdk.ObjectAllocationSample", "allocated class"),
        ("datadog.QueueTime", "task class"),
    ];
    let mut chunk = Chunk::new(true);
    for (id, (event, _)) in (200..).zip(events) {
        chunk.classes.push((id, event, &["startTime:12@T"]));
    }
    for id in [203, 206, 201, 204, 200, 205, 202] {
        chunk.event(id, &[chunk.long(START_TICKS)]);
    }
    let decoded = read(&chunk.bytes());
    let strings = &decoded.profiles[0].profile.tables.strings;
    let found: Vec<_> = strings
        .iter()
        .filter_map(|text| events.iter().map(|(_, name)| *name).find(|name| *name == text))
        .collect();
    assert_eq!(found, events.map(|(_, name)| name));
}

#[test]
fn what_is_named_of_too_many_types_does_not_depend_on_hashes() {
    let mut chunk = Chunk::new(true);
    let names: Vec<&'static str> = (0..3_000).map(|at| &*format!("e.{at}").leak()).collect();
    for (id, name) in (1_000..).zip(&names) {
        chunk.classes.push((id, name, &[]));
        chunk.event(id, &[]);
    }
    let decoded = read(&chunk.bytes());
    assert!(decoded.issues[0].example.contains("1000 of other types"), "{}", decoded.issues[0]);
    assert!(
        decoded.issues[0]
            .example
            .contains("1 e.0, 1 e.1, 1 e.10, 1 e.100, 1 e.1000, 1 e.1001, 1 e.1002")
    );
}

#[test]
fn base_types_have_distinct_ids() {
    let ids: std::collections::BTreeSet<_> = BASE.iter().map(|class| class.0).collect();
    assert_eq!(ids.len(), BASE.len());
}
