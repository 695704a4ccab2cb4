//! Stores written by earlier versions open. `tests/golden/store-vN` is a store of version N with
//! one segment and one log, `store.expected.txt` what each of them holds. `UPDATE_GOLDEN=1` writes
//! the newest anew, which is only right while its version is not yet published.

use crate::reading::contents;
use profile::{Link, Profile, RuntimeEvent, Span, SpanBatch, SpanKind, SpanStatus, Thread};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::{ManualClock, Rng, TimeRange, Timestamp, Ulid};
use store::codec::Entry;
use store::{LocalFiles, Options, Store, events, spans, wal};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn profile(text: &str) -> Profile {
    let mut profile = profile::folded::from_folded(text);
    profile.labels =
        [("service_name", "shop"), ("env", "prod"), ("team", "blue")].into_iter().collect();
    let start = Timestamp::from_millis(1_700_000_000_000);
    profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
    "golden 1".clone_into(&mut profile.metadata.client);
    profile.metadata.info.push(("os".to_owned(), "linux".to_owned()));
    let name = profile.tables.strings.intern("main");
    let thread = profile.tables.threads.intern(Thread { id: 7, name });
    let link =
        profile.tables.links.intern(Link { trace_id: 1 << 100, span_id: 2, root_span_id: 3 });
    for sample in &mut profile.samples {
        sample.thread = Some(thread);
        sample.link = Some(link);
        sample.time = Some(start.plus_nanos(1_234_567_890));
    }
    profile
}

fn span_batch(resource: &str) -> SpanBatch {
    let span = Span {
        trace_id: 1 << 100,
        span_id: 2,
        parent_id: 3,
        is_entry: true,
        kind: SpanKind::Client,
        status: SpanStatus::Error,
        name: "query".into(),
        resource: resource.into(),
        message: "no such table".into(),
        start: Timestamp::from_nanos(1_700_000_000_123_456_789),
        duration_nanos: 1_500_000,
        attributes: vec![("db.system".into(), "sqlite".into())],
    };
    let labels = [("service_name", "shop"), ("team", "blue")].into_iter().collect();
    let other = Span { parent_id: 0, attributes: Vec::new(), message: "".into(), ..span.clone() };
    SpanBatch { labels, spans: vec![span, other] }
}

/// A profile with an event and a reading.
fn telling(cause: &str) -> Profile {
    let mut profile = profile("a;b 5\n");
    let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
    let pause = RuntimeEvent {
        category: "gc".into(),
        name: "jdk.GarbageCollection".into(),
        start: time,
        duration_nanos: 1_500_000,
        reading: None,
        attributes: vec![("gc cause".into(), cause.into())],
    };
    let used = RuntimeEvent::point("heap".into(), "bytes".into(), time, 0.1);
    profile.events.extend(used.into_iter().chain([pause]));
    profile
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("golden files") {
        let entry = entry.expect("golden files");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("golden files").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

async fn open(root: &Path) -> Arc<Store> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_100_000)));
    Store::open(root, Options::default(), clock, Rng::seeded(4)).await.expect("opens")
}

/// The newest version, which is written; the earlier ones are read.
const NEWEST: u32 = 4;

fn write_newest(folder: &Path) {
    // Nothing to remove the first time.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("creates");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let store = open(folder).await;
        store.append("t", vec![profile("a;b 5\na;c 7\n")]).await.expect("appends");
        store.flush().await.expect("flushes");
        store.append("t", vec![profile("a;d 9\n")]).await.expect("appends");
    });
}

/// Stores with spans: `spans-vN` has a segment of them and a log.
fn write_spans(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("creates");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let store = open(folder).await;
        store.append_spans("t", vec![span_batch("SELECT 1")]).await.expect("appends");
        store.flush().await.expect("flushes");
        store.append_spans("t", vec![span_batch("SELECT 2")]).await.expect("appends");
    });
}

#[test]
fn spans_of_every_version_open_and_are_the_same() {
    let newest = golden().join(format!("spans-v{}", spans::SPANS_VERSION));
    if option_env!("UPDATE_GOLDEN").is_some() {
        write_spans(&newest);
    }
    for version in 1..=spans::SPANS_VERSION {
        let dir = tempfile::tempdir().expect("temporary directory");
        copy(&golden().join(format!("spans-v{version}")), dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let found = runtime.block_on(async {
            let store = open(dir.path()).await;
            let mut found = Vec::new();
            for part in store.span_parts("t", TimeRange::ALL) {
                found.extend(part.all().await.expect("reads"));
            }
            found
        });
        let wanted = ["SELECT 1", "SELECT 2"].map(span_batch);
        let labels: Vec<_> = found.iter().map(|info| (*info.labels).clone()).collect();
        assert!(labels.iter().all(|have| *have == wanted[0].labels), "{labels:?}");
        let found: Vec<_> = found.into_iter().map(|info| info.span).collect();
        let wanted: Vec<_> = wanted.into_iter().flat_map(|batch| batch.spans).collect();
        assert_eq!(found, wanted, "version {version}");
    }
}

/// Stores with events: `events-vN` has a segment of them and a log.
fn write_events(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("creates");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let store = open(folder).await;
        store.append("t", vec![telling("System.gc()")]).await.expect("appends");
        store.flush().await.expect("flushes");
        store.append("t", vec![telling("G1 Evacuation Pause")]).await.expect("appends");
    });
}

#[test]
fn events_of_every_version_open_and_are_the_same() {
    let newest = golden().join(format!("events-v{}", events::EVENTS_VERSION));
    if option_env!("UPDATE_GOLDEN").is_some() {
        write_events(&newest);
    }
    for version in 1..=events::EVENTS_VERSION {
        let dir = tempfile::tempdir().expect("temporary directory");
        copy(&golden().join(format!("events-v{version}")), dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let found = runtime.block_on(async {
            let store = open(dir.path()).await;
            let mut found = Vec::new();
            for part in store.event_parts("t", TimeRange::ALL) {
                found.extend(part.all().await.expect("reads"));
            }
            found
        });
        let wanted = ["System.gc()", "G1 Evacuation Pause"].map(telling);
        assert!(found.iter().all(|info| *info.labels == wanted[0].labels), "{found:?}");
        // In a file, those of one category and name stand together.
        let wanted = wanted.iter().enumerate().flat_map(|(at, profile)| {
            let [reading, pause] = &*profile.events else { panic!("both") };
            if at == 0 { [pause, reading] } else { [reading, pause] }
        });
        let found: Vec<_> = found.iter().map(|info| &info.event).collect();
        assert_eq!(found, wanted.collect::<Vec<_>>(), "version {version}");
    }
}

/// What a store holds, opened in a copy.
fn described(folder: &Path) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    copy(folder, dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let found = runtime.block_on(async {
        let store = open(dir.path()).await;
        contents(&store, &LocalFiles::open(dir.path()).expect("opens"), "t").await
    });
    let mut text = String::new();
    for (id, lines) in found {
        writeln!(text, "{id}").expect("a string");
        for line in lines {
            writeln!(text, "  {line}").expect("a string");
        }
    }
    text
}

#[test]
fn stores_of_every_version_open_and_hold_the_same() {
    if option_env!("UPDATE_GOLDEN").is_some() {
        write_newest(&golden().join(format!("store-v{NEWEST}")));
    }
    let expected = fs::read_to_string(golden().join("store.expected.txt")).expect("golden file");
    for version in 1..=NEWEST {
        let folder = golden().join(format!("store-v{version}"));
        assert_eq!(described(&folder), expected, "version {version}");
    }
}

#[test]
fn logs_of_every_version_are_read_and_the_newest_written_byte_by_byte() {
    let entry = Entry {
        id: Ulid::from(5_u128 << 80),
        tenant: "t".into(),
        received_at: Timestamp::from_millis(1_700_000_000_001),
        profile: Arc::new(profile("a;b 5\n")),
    };
    let mut bytes = wal::header(3);
    bytes.extend(wal::record(&entry).expect("small"));
    let spans = spans::Entry {
        id: Ulid::from(6_u128 << 80),
        tenant: "t".into(),
        received_at: Timestamp::from_millis(1_700_000_000_002),
        batch: Arc::new(span_batch("SELECT 1")),
    };
    bytes.extend(wal::spans_record(&spans, &mut |key| key).expect("small").1);
    let told = Entry { profile: Arc::new(telling("System.gc()")), ..entry };
    bytes.extend(wal::record(&told).expect("small"));
    for (name, spans) in [("v1.wal", 0), ("v2.wal", 1)] {
        let old = wal::replay(&fs::read(golden().join(name)).expect("golden file"));
        let found = (old.entries.len(), old.spans.len(), old.damaged, old.torn);
        assert_eq!(found, (1, spans, 0, false), "{name}");
    }
    let file = golden().join("v3.wal");
    if option_env!("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &bytes).expect("writes");
    }
    let golden = fs::read(&file).expect("golden file");
    assert_eq!(golden, bytes);
    let replay = wal::replay(&golden);
    assert_eq!((replay.entries.len(), replay.damaged, replay.torn), (2, 0, false));
    assert_eq!(*replay.spans[0].0.batch, span_batch("SELECT 1"));
    let events = replay.entries.iter().map(|(entry, _)| &entry.profile.events);
    assert!(events.eq([&Vec::new(), &told.profile.events]));
    let torn = wal::replay(&golden[..golden.len() - 1]);
    let counts = (torn.entries.len(), torn.spans.len(), torn.damaged, torn.torn);
    assert_eq!(counts, (1, 1, 0, true));
}
