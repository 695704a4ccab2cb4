//! All forms of files say the same.

use super::writer::{FORMS, Form, START_NANOS, Trace, small};
use super::{in_words, read};
use crate::{Options, decode, sniff};
use profile::FrameType;
use stdx::Timestamp;

const ADD: &str = "0 false Some((0, 0, 0, \"/app/Shop.dll\", \"\")) [\"Shop.Cart.Add\"]";
const MAIN: &str = "0 false Some((0, 0, 0, \"/app/Shop.dll\", \"\")) [\"Shop.Program.Main\"]";

/// Kind, values, time after the start in units of 100 ns, thread, attributes.
type Row = (&'static str, [i64; 4], i64, i64, &'static [&'static str]);

const EXPECTED: &[Row] = &[
    ("stack", [0, 0, 1_000_000, 1], 100, 7, &["\"thread mode\"=\"managed\""]),
    (
        "heap",
        [106_496, 0, 0, 0],
        200,
        7,
        &["\"allocated class\"=\"System.String[]\"", "\"object heap\"=\"large objects\""],
    ),
    (
        "exception",
        [1, 0, 0, 0],
        300,
        7,
        &["\"exception message\"=\"no number\"", "\"exception type\"=\"System.FormatException\""],
    ),
    ("lock_acquire", [2_500_000, 1, 0, 0], 25_400, 7, &["\"lock kind\"=\"native\""]),
    ("lock_acquire", [100_000, 1, 0, 0], 27_000, 7, &["\"lock kind\"=\"managed\""]),
    ("synchronization", [1_000, 1, 0, 0], 28_010, 7, &["\"wait source\"=\"monitor\""]),
    ("custom|dotnet|queue_time:nanoseconds,queued:count|:", [50_000, 1, 0, 0], 29_500, 8, &[]),
    (
        "custom|dotnet|thread_pool_adjustments:count|:",
        [1, 0, 0, 0],
        30_000,
        7,
        &["\"reason\"=\"starvation\"", "\"worker threads\"=12 \"\""],
    ),
    (
        "custom|dotnet|gc_time:nanoseconds,gcs:count|:",
        [80_000, 1, 0, 0],
        31_900,
        8,
        &["\"gc generation\"=2 \"\"", "\"gc reason\"=\"induced\"", "\"gc type\"=\"blocking\""],
    ),
    ("custom|dotnet|gc_pause:nanoseconds,gc_pauses:count|:", [100_000, 1, 0, 0], 32_000, 7, &[]),
    ("stack", [0, 0, 3_500_000, 1], 35_100, 7, &["\"thread mode\"=\"external\""]),
];

#[test]
fn every_form_gives_each_event_with_its_meaning() {
    for form in FORMS {
        let decoded = read(&small(form));
        let words = in_words(&decoded);
        assert_eq!(words.len(), EXPECTED.len(), "{form:?} {words:#?}");
        for (at, (have, (kind, values, ticks, thread, attributes))) in
            words.iter().zip(EXPECTED).enumerate()
        {
            let time = Timestamp::from_nanos(START_NANOS + ticks * 100);
            let begins = format!("{kind} {values:?} {:?} Some(({thread}, \"\")) None ", Some(time));
            assert!(have.starts_with(&begins), "{form:?} {at}: {have}\nnot {begins}");
            let stack = if at == EXPECTED.len() - 1 { vec![ADD] } else { vec![ADD, MAIN] };
            for part in attributes.iter().chain(&stack) {
                assert!(have.contains(part), "{form:?} {at}: {have}\nwithout {part}");
            }
        }
    }
}

#[test]
fn what_is_said_of_the_file_is_kept() {
    for form in FORMS {
        let decoded = read(&small(form));
        let profile = &decoded.profile;
        let metadata = &profile.metadata;
        assert_eq!(profile.window.start.nanos(), START_NANOS);
        // Without the rundown, which comes when all is over.
        assert_eq!(profile.window.end.nanos(), START_NANOS + 3_510_000);
        assert_eq!((metadata.cpu_count, metadata.period), (Some(3), 1_000_000));
        assert_eq!((metadata.lost, metadata.unsymbolized), (0, 0));
        let info = metadata.info.iter().map(|(key, text)| (key.as_str(), text.as_str()));
        let info: Vec<_> = info.collect();
        assert!(info.contains(&("runtime version", "8.0.11")), "{info:?}");
        assert!(info.contains(&("process id", "42")), "{info:?}");
        assert!(info.contains(&("nettrace events not kept", "1 My-Source/Hello")), "{info:?}");
        let locations = profile.tables.locations.rows();
        assert!(locations.iter().all(|one| one.frame_type == FrameType::Dotnet));
        assert_eq!(profile.tables.functions.len(), 2, "only what is used");
        let events = profile.events.iter().map(|event| {
            let since = event.start.nanos() - START_NANOS;
            (&*event.name, &*event.category, since, event.duration_nanos, event.attributes.len())
        });
        let expected =
            [("GC", "gc", 3_110_000, 80_000, 3), ("GCPause", "gc", 3_100_000, 100_000, 0)];
        assert_eq!(events.collect::<Vec<_>>(), expected, "{form:?}");
    }
}

#[test]
fn files_are_recognised_compressed_or_not() {
    for form in FORMS {
        let bytes = small(form);
        assert_eq!(sniff(&bytes).map(|format| format.name), Some("nettrace"));
        let packed = crate::compress::gzip(&bytes);
        assert_eq!(sniff(&packed).map(|format| format.name), Some("nettrace"));
        assert_eq!(in_words(&read(&packed)), in_words(&read(&bytes)));
    }
    let empty = decode(&Trace::new(Form::Plain).end(), &Options::default());
    assert!(empty.profiles.is_empty() && empty.issues.is_empty());
}

#[test]
fn the_documentation_says_what_the_table_says() {
    let page = include_str!("../../../../../docs/formats/nettrace.md");
    for row in crate::nettrace::table::in_markdown() {
        assert!(page.contains(&row), "docs/formats/nettrace.md has no row\n{row}");
    }
}
