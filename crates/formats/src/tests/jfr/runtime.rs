//! Events that are kept beside samples, and readings of gauges.

use super::writer::{Chunk, START_TICKS};
use crate::{Decoded, IssueKind, Options, jfr};
use profile::RuntimeEvent;

const GARBAGE: &[u8] = include_bytes!("../../../../../fixtures/jfr/garbage.jfr.gz");

/// As `jfr print --json` of OpenJDK 17.0.15 gives them: events of each type and the sum of their
/// durations in nanoseconds.
const HAPPENED: [(&str, usize, i64); 4] = [
    ("jdk.GarbageCollection", 91, 107_756_051),
    ("jdk.GCPhasePause", 91, 107_756_051),
    ("jdk.SafepointBegin", 92, 1_004_815),
    ("jdk.ExecuteVMOperation", 91, 109_514_633),
];

/// The same of readings: gauge, attribute, how many, their sum.
const READ: [(&str, &str, usize, f64); 6] = [
    ("jdk.GCHeapSummary.heapUsed", "Before GC", 91, 3_742_816_280.0),
    ("jdk.GCHeapSummary.heapUsed", "After GC", 91, 436_795_176.0),
    ("jdk.CPULoad.machineTotal", "", 11, 10.0),
    ("jdk.CPULoad.jvmUser", "", 11, f64::NAN),
    ("jdk.CPULoad.jvmSystem", "", 11, f64::NAN),
    ("jdk.JavaThreadStatistics.activeCount", "", 11, 88.0),
];

const START: i64 = 1_700_000_000_000_000_000;

fn read(chunk: &Chunk) -> Decoded {
    jfr::decode(&chunk.bytes(), &Options::default())
}

/// Name, nanoseconds since the chunk's start, duration, reading, attributes.
fn shown(event: &RuntimeEvent) -> String {
    let RuntimeEvent { category, name, start, duration_nanos, reading, attributes } = event;
    let since = start.nanos() - START;
    let reading = reading.as_ref().map(|it| format!(" = {} {}", it.value, it.unit));
    let reading = reading.unwrap_or_default();
    let attributes: Vec<String> =
        attributes.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let attributes = attributes.join(", ");
    format!("{category} {name} at {since} for {duration_nanos}{reading} ({attributes})")
}

#[test]
fn a_recording_has_the_collections_and_gauges_that_the_jdk_s_tool_prints() {
    let mut decoded = crate::decode(GARBAGE, &Options::default());
    assert!(decoded.issues.is_empty(), "{:?}", decoded.issues);
    let profile = decoded.profiles.remove(0).profile;
    assert!(profile.samples.is_empty(), "there are none in it");
    let of = |name: &'static str| profile.events.iter().filter(move |event| *event.name == *name);
    for (name, count, nanos) in HAPPENED {
        let sum: i64 = of(name).map(|event| event.duration_nanos).sum();
        assert_eq!((of(name).count(), sum), (count, nanos), "{name}");
    }
    for (name, attribute, count, sum) in READ {
        let is_meant = |event: &&RuntimeEvent| {
            event.attributes.first().map_or("", |(_, value)| value) == attribute
        };
        let values = of(name).filter(is_meant).filter_map(|event| event.reading.as_ref());
        let values: Vec<f64> = values.map(|reading| reading.value).collect();
        assert_eq!(values.len(), count, "{name} {attribute}");
        let found = values.iter().sum::<f64>();
        assert!(sum.is_nan() || (found - sum).abs() < 1e-6, "{name} {attribute}: {found}");
    }
    let window = profile.window;
    assert!(profile.events.iter().all(|event| window.contains(event.start)));
    let causes = of("jdk.GarbageCollection").map(|event| {
        let find = |name: &str| event.attributes.iter().find(|(have, _)| **have == *name);
        (find("collector").map(|it| &*it.1), find("gc cause").map(|it| &*it.1))
    });
    let full = (Some("G1Full"), Some("System.gc()"));
    assert_eq!(causes.filter(|cause| *cause == full).count(), 1);
}

#[test]
fn what_happened_and_what_was_read_is_kept_without_a_sample() {
    let mut chunk = Chunk::new(true);
    let collection: &[&str] = &[
        "startTime:12@T",
        "duration:12@T",
        "gcId:11",
        "name:27*",
        "cause:14",
        "sumOfPauses:12@T",
        "longestPause:12@T",
    ];
    chunk.classes.push((101, "jdk.GarbageCollection", collection));
    let load: &[&str] = &["startTime:12@T", "jvmUser:13", "jvmSystem:13", "machineTotal:13"];
    chunk.classes.push((102, "jdk.CPULoad", load));
    let heap: &[&str] = &["startTime:12@T", "gcId:11", "when:27*", "heapUsed:12"];
    chunk.classes.push((103, "jdk.GCHeapSummary", heap));
    let pinned: &[&str] = &["startTime:12@T", "duration:12@T", "eventThread:21*"];
    chunk.classes.push((104, "jdk.VirtualThreadPinned", pinned));
    let texts = [chunk.text("G1New"), chunk.text("After GC")];
    for (key, text) in (1..).zip(texts) {
        chunk.constant(27, key, &[text]);
    }
    chunk.thread(5, "http-1", 55);
    let at = |chunk: &Chunk, ticks| chunk.long(START_TICKS + ticks);
    let ticks = |chunk: &Chunk, ticks| chunk.long(ticks);
    let parts = [
        at(&chunk, 200),
        ticks(&chunk, 4_000),
        chunk.int(7),
        chunk.long(1),
        chunk.text("System.gc()"),
        ticks(&chunk, 3_000),
        ticks(&chunk, 2_000),
    ];
    chunk.event(101, &parts);
    let float = |value: f32| value.to_be_bytes().to_vec();
    chunk.event(102, &[at(&chunk, 400), float(0.5), float(0.25), float(f32::NAN)]);
    chunk.event(103, &[at(&chunk, 600), chunk.int(7), chunk.long(2), chunk.long(1 << 20)]);
    let decoded = read(&chunk);
    assert!(decoded.issues.is_empty(), "{:?}", decoded.issues);
    let profile = &decoded.profiles[0].profile;
    assert!(profile.samples.is_empty() && profile.window.nanos() == 1_000_000_000);
    let events: Vec<String> = profile.events.iter().map(shown).collect();
    let expected = [
        "gc jdk.GarbageCollection at 100 for 2000 (gc id: 7, collector: G1New, gc cause: \
         System.gc(), pauses ns: 1500, longest pause ns: 1000)",
        "metric jdk.CPULoad.jvmUser at 200 for 0 = 0.5 part ()",
        "metric jdk.CPULoad.jvmSystem at 200 for 0 = 0.25 part ()",
        "metric jdk.GCHeapSummary.heapUsed at 300 for 0 = 1048576 bytes (when: After GC)",
    ];
    assert_eq!(events, expected, "what is no number is no reading");
    chunk.event(104, &[at(&chunk, 800), ticks(&chunk, 10), chunk.long(5)]);
    let decoded = read(&chunk);
    let profile = &decoded.profiles[0].profile;
    let last = shown(&profile.events[4]);
    assert_eq!(last, "thread jdk.VirtualThreadPinned at 400 for 5 (thread: http-1)");
    assert_eq!(profile.samples.len(), 1, "a sample, too");
}

#[test]
fn events_and_their_texts_are_limited() {
    let mut chunk = Chunk::new(true);
    let fields: &[&str] = &["startTime:12@T", "operation:14"];
    chunk.classes.push((101, "jdk.ExecuteVMOperation", fields));
    let long = "a".repeat(crate::limits::RUNTIME_TEXT_BYTES_MAX - 1) + "\u{fc}";
    let parts = [chunk.long(START_TICKS), chunk.text(&long)];
    for _ in 0..=crate::limits::RUNTIME_EVENTS_MAX {
        chunk.event(101, &parts);
    }
    let decoded = read(&chunk);
    let kinds: Vec<_> = decoded.issues.iter().map(|issue| (issue.kind, issue.count)).collect();
    assert_eq!(kinds, [(IssueKind::Limit, 1)], "{:?}", decoded.issues);
    let events = &decoded.profiles[0].profile.events;
    assert_eq!(events.len(), crate::limits::RUNTIME_EVENTS_MAX);
    assert_eq!(&*events[0].attributes[0].1, &long[..long.len() - 2], "no half of a letter");
}
