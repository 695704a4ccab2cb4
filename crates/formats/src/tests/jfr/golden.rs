//! A recording of `fixtures/jfr/Shelf.java` has what the program did and the JDK's `jfr` prints.

use super::in_words;
use crate::{DecodedProfile, Options, decode, jfr};
use profile::folded::stack_names;

const SHELF: &[u8] = include_bytes!("../../../../../fixtures/jfr/shelf.jfr.gz");

/// As `jfr print --json` of OpenJDK 17.0.15 gives them, durations in nanoseconds.
const TOTALS: &[(&str, i64)] = &[
    ("jdk.ExecutionSample", 14),
    ("jdk.ExecutionSample.time", 14 * 10_000_000),
    ("jdk.ObjectAllocationSample", 17),
    ("jdk.ObjectAllocationSample.weight", 56_575_408),
    ("jdk.JavaExceptionThrow", 7),
    ("jdk.JavaMonitorEnter", 1),
    ("jdk.JavaMonitorEnter.duration", 118_177_135),
    ("jdk.ThreadPark", 1),
    ("jdk.ThreadPark.duration", 19_467_708),
    ("jdk.ThreadSleep", 1),
    ("jdk.ThreadSleep.duration", 25_640_587),
    ("jdk.FileRead.bytesRead", 2_356),
    ("jdk.FileRead.duration", 29_745),
    ("jdk.FileWrite.bytesWritten", 5_000),
    ("jdk.FileWrite.duration", 50_985),
    ("jdk.SocketRead.bytesRead", 64),
    ("jdk.SocketRead.duration", 106_739),
    ("jdk.SocketWrite.bytesWritten", 64),
    ("jdk.SocketWrite.duration", 205_832),
];

fn shelf() -> DecodedProfile {
    let mut decoded = decode(SHELF, &Options::default());
    assert!(decoded.issues.is_empty(), "{:?}", decoded.issues);
    let decoded = decoded.profiles.remove(0);
    let [collection] = &*decoded.profile.events else { panic!("one collection") };
    assert_eq!(collection.duration_nanos, 73_078_706);
    decoded
}

#[test]
fn totals_are_those_of_the_jdk_s_tool() {
    let decoded = shelf();
    for (name, expected) in TOTALS {
        assert_eq!(crate::tests::total(&decoded, name), *expected, "{name}");
    }
    assert_eq!(decoded.type_map.len(), TOTALS.len());
}

#[test]
fn stacks_threads_times_and_attributes_are_those_of_the_program() {
    let DecodedProfile { profile, .. } = shelf();
    let of_kind = |id: &str| {
        let at = profile.kinds.iter().position(|kind| kind.id == id).expect("the kind");
        profile.samples.iter().filter(move |sample| sample.kind.0 as usize == at)
    };
    let names = |sample: &profile::Sample| stack_names(&profile.tables, sample.stack);
    let burning = of_kind("stack").filter(|sample| names(sample).iter().any(|n| n == "Shelf.burn"));
    assert_eq!(burning.count(), 13);
    let thrown: Vec<String> = of_kind("exception").map(|one| in_words(&profile, one)).collect();
    let messages = |text: &str| thrown.iter().filter(|words| words.contains(text)).count();
    assert_eq!((messages("\"book 0\""), messages("\"book 1\"")), (4, 3));
    assert_eq!(messages("\"exception type\"=\"Shelf$ShelfException\""), 7);
    let lock = in_words(&profile, of_kind("lock_acquire").next().expect("one"));
    // Its line in the source.
    assert!(lock.contains("Shelf.contend") && lock.contains("(41, 0, "), "{lock}");
    let reads = of_kind("socket_io").map(|one| in_words(&profile, one));
    assert_eq!(reads.filter(|words| words.contains("\"peer\"")).count(), 2);
    assert!(profile.samples.iter().all(|sample| {
        sample.time.is_some_and(|time| profile.window.contains(time)) && sample.thread.is_some()
    }));
    assert_eq!((profile.metadata.cpu_count, profile.metadata.period), (Some(2), 10_000_000));
}

#[test]
fn the_page_has_the_table_of_the_code() {
    let page = include_str!("../../../../../docs/formats/jfr.md");
    for row in jfr::table::in_markdown() {
        assert!(page.contains(&row), "docs/formats/jfr.md lacks:\n{row}");
    }
    for row in jfr::table::runtime_in_markdown() {
        assert!(page.contains(&row), "docs/formats/jfr.md lacks:\n{row}");
    }
    for (event, what) in jfr::table::INFORMATION {
        let row = format!("| `{event}` | {what} |");
        assert!(page.contains(&row), "docs/formats/jfr.md lacks:\n{row}");
    }
}
