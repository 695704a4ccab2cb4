//! Flush, compaction, retention, limits and snapshots.

use crate::power::PowerLayer;
use crate::reading::{Contents, batches, column, contents, expected, text};
use arrow::array::{Array, Int32Array, Int64Array, UInt32Array};
use catalog::Catalog;
use profile::{KindIndex, Profile, Sample, StackId, ThreadId};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::limits::CACHE_UNUSED;
use store::{
    ErrorKind, FileLayer, LocalFiles, Options, Resolution, ResolutionRule, Store, TableSet,
};

struct World {
    store: Arc<Store>,
    layer: PowerLayer,
    clock: Arc<ManualClock>,
}

fn world(options: Options) -> World {
    let layer = PowerLayer::new(1, u64::MAX);
    let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
    let now = Timestamp::from_millis(testkit::profiles::BASE_MS + 24 * 3_600_000);
    let clock = Arc::new(ManualClock::new(now));
    let shared: Arc<dyn FileLayer> = Arc::new(layer.clone());
    let store = Store::open_parts(shared, catalog, options, clock.clone(), Rng::seeded(9));
    World { store: store.expect("opens"), layer, clock }
}

fn eager() -> Options {
    Options { retired_grace: Duration::ZERO, ..Options::default() }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("runtime")
        .block_on(work)
}

fn folded(text: &str, start_ms: i64) -> Profile {
    let mut profile = profile::folded::from_folded(text);
    profile.labels.set("service_name", "shop");
    let start = Timestamp::from_millis(start_ms);
    profile.window = TimeRange::new(start, start.plus_nanos(1_000_000_000));
    profile
}

/// Rows of every segment are sorted as the schema says.
fn assert_sorted(world: &World, tenant: &str) {
    for part in world.store.snapshot(tenant, TimeRange::ALL).parts {
        if !part.is_immutable() {
            continue;
        }
        let mut keys = Vec::new();
        for batch in batches(&part, &world.layer) {
            for at in 0..batch.num_rows() {
                keys.push((
                    text(&batch, "service", at).map(str::to_owned),
                    text(&batch, "kind", at).map(str::to_owned),
                    column::<UInt32Array>(&batch, "series").value(at),
                    column::<Int64Array>(&batch, "ts_ms").value(at),
                ));
            }
        }
        assert!(keys.is_sorted(), "segment {} is not sorted", part.id());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_sample_survives_flush_and_compaction(
        groups in prop::collection::vec(testkit::profiles::any_profiles(4), 1..6),
    ) {
        run(async {
            let world = world(eager());
            let mut wanted = Contents::new();
            for group in &groups {
                let ids = world.store.append("t", group.clone()).await.expect("appends");
                wanted.extend(ids.into_iter().zip(group.iter().map(expected)));
                assert_eq!(contents(&world.store, &world.layer, "t").await, wanted, "at once");
                world.store.flush().await.expect("flushes");
                assert_eq!(contents(&world.store, &world.layer, "t").await, wanted, "flushed");
            }
            assert_sorted(&world, "t");
            world.clock.advance(Duration::from_hours(48));
            while world.store.compact_once().await.expect("compacts") {}
            assert_eq!(contents(&world.store, &world.layer, "t").await, wanted, "compacted");
            assert_eq!(world.store.stats().segments, 1);
            assert_sorted(&world, "t");
            assert!(contents(&world.store, &world.layer, "other").await.is_empty());
        });
    }
}

#[test]
fn a_store_on_disk_reopens_with_its_log_and_its_segments() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(testkit::profiles::BASE_MS)));
    run(async {
        let profiles = [folded("a;b 1\n", 1_000), folded("a;c 2\n", 2_000)];
        let store = Store::open(dir.path(), eager(), clock.clone(), Rng::seeded(1)).await;
        let store = store.expect("opens");
        let first = store.append("t", vec![profiles[0].clone()]).await.expect("appends");
        store.flush().await.expect("flushes");
        let second = store.append("t", vec![profiles[1].clone()]).await.expect("appends");
        drop(store);
        let store = Store::open(dir.path(), eager(), clock, Rng::seeded(2)).await.expect("reopens");
        let layer = LocalFiles::open(dir.path()).expect("opens");
        let found = contents(&store, &layer, "t").await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[&first[0]], expected(&profiles[0]));
        assert_eq!(found[&second[0]], expected(&profiles[1]));
        let parts = store.snapshot("t", TimeRange::ALL).parts;
        let metadata = parts[0].parquet_metadata().await.expect("reads").expect("a segment");
        assert!(metadata.offset_index().is_some(), "pages are indexed");
    });
}

#[test]
fn a_snapshot_keeps_its_files_until_it_is_dropped() {
    run(async {
        let world = world(eager());
        // A day that is over, but not old enough to be dropped.
        let start = testkit::profiles::BASE_MS - 24 * 3_600_000;
        for at in 0..2 {
            world.store.append("t", vec![folded("a 1\n", start + at)]).await.expect("appends");
            world.store.flush().await.expect("flushes");
        }
        let snapshot = world.store.snapshot("t", TimeRange::ALL);
        assert!(world.store.compact_once().await.expect("compacts"));
        assert_eq!(world.store.stats().retired_segments, 2);
        snapshot.parts.iter().for_each(|part| assert_eq!(batches(part, &world.layer).len(), 1));
        drop(snapshot);
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.store.stats().retired_segments, 0);
        assert_eq!(world.layer.list("segments").expect("lists").len(), 1);
    });
}

#[test]
fn old_segments_go_first_by_age_and_then_by_budget() {
    run(async {
        let day = 24 * 3_600_000;
        let base = testkit::profiles::BASE_MS;
        let world = world(Options { disk_budget_bytes: Some(1), ..eager() });
        for start in [base - 10 * day, base] {
            world.store.append("t", vec![folded("a 1\n", start)]).await.expect("appends");
            world.store.flush().await.expect("flushes");
        }
        assert_eq!(world.store.retain_once().await.expect("retains"), 2);
        let stats = world.store.stats();
        assert_eq!((stats.dropped_by_retention, stats.dropped_by_budget), (1, 1));
        assert_eq!((stats.segments, stats.segment_bytes), (0, 0));
    });
}

#[test]
fn a_time_in_the_far_future_does_not_keep_a_segment_for_ever() {
    run(async {
        let world = world(eager());
        world.store.append("t", vec![folded("a 1\n", i64::MAX / 2)]).await.expect("appends");
        world.store.flush().await.expect("flushes");
        world.clock.advance(Duration::from_hours(8 * 24));
        assert_eq!(world.store.retain_once().await.expect("retains"), 1);
    });
}

#[test]
fn strange_profiles_are_kept_without_a_panic() {
    run(async {
        let world = world(Options { resolution: Resolution::Nanos, ..eager() });
        let mut strange = folded("a 1\n", 5);
        strange.window = TimeRange::new(Timestamp::MAX, Timestamp::MIN);
        strange.samples.push(Sample {
            kind: KindIndex(77),
            stack: StackId(1_000_000),
            time: Some(Timestamp::MIN),
            thread: Some(ThreadId(9)),
            values: [i64::MIN, i64::MAX, 0, -1],
            ..Sample::default()
        });
        strange.samples.extend([strange.samples[1]; 3]);
        let profiles = vec![Profile::default(), strange];
        world.store.append("t", profiles).await.expect("appends");
        world.store.flush().await.expect("flushes");
        let found = contents(&world.store, &world.layer, "t").await;
        assert_eq!(found.values().map(Vec::len).sum::<usize>(), 2 + 5);
    });
}

/// Times below the millisecond, by what is configured for the service; compacted like the rest.
#[test]
fn times_are_kept_as_exactly_as_configured() {
    run(async {
        let rule = |service: &str, resolution| ResolutionRule {
            matchers: views::parse_matchers(&format!("{{service_name=\"{service}\"}}"))
                .expect("a selector"),
            resolution,
            ..ResolutionRule::default()
        };
        let world = world(Options {
            resolution_rules: vec![
                rule("shop", Resolution::Micros),
                rule("bank", Resolution::Nanos),
            ],
            ..eager()
        });
        let start = testkit::profiles::BASE_MS - 24 * 3_600_000;
        for service in ["shop", "bank", "other"] {
            let mut profile = folded("a 1\n", start);
            profile.labels.set("service_name", service);
            let time = Timestamp::from_millis(start).plus_nanos(1_234_567);
            profile.samples[0].time = Some(time);
            world.store.append("t", vec![profile]).await.expect("appends");
            world.store.flush().await.expect("flushes");
        }
        while world.store.compact_once().await.expect("compacts") {}
        let snapshot = world.store.snapshot("t", TimeRange::ALL);
        let mut found = Vec::new();
        for batch in snapshot.parts.iter().flat_map(|part| batches(part, &world.layer)) {
            let rest = column::<Int32Array>(&batch, "ts_rest_ns");
            let rests = (0..batch.num_rows()).map(|at| {
                let service = text(&batch, "service", at).map(str::to_owned);
                (service, (!rest.is_null(at)).then(|| rest.value(at)))
            });
            found.extend(rests);
        }
        let expected = [("bank", Some(234_567)), ("other", None), ("shop", Some(234_000))];
        let expected = expected.map(|(service, rest)| (Some(service.to_owned()), rest));
        found.sort();
        assert_eq!(found, expected);
    });
}

#[test]
fn a_full_memtable_refuses_until_it_is_flushed() {
    run(async {
        let world = world(Options { memtable_bytes_max: 4_000, ..eager() });
        let error = loop {
            if let Err(error) = world.store.append("t", vec![folded("a;b 1\n", 1)]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Full);
        world.store.flush().await.expect("flushes");
        world.store.append("t", vec![folded("a 1\n", 1)]).await.expect("has room again");
        let error = world.store.append("", Vec::new()).await.expect_err("no tenant");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

#[test]
fn maintenance_flushes_by_age_and_at_the_end() {
    run(async {
        let world = world(Options { flush_interval: Duration::from_mins(1), ..eager() });
        world.store.append("t", vec![folded("a 1\n", 1)]).await.expect("appends");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(Arc::clone(&world.store).run_maintenance(async {
            let _ = stopped.await;
        }));
        tokio::task::yield_now().await;
        assert_eq!(world.store.stats().flushes, 0);
        world.clock.advance(Duration::from_secs(61));
        for _ in 0..500 {
            if world.store.stats().flushes == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.store.append("t", vec![folded("a 1\n", 1)]).await.expect("appends");
        stop.send(()).expect("still running");
        task.await.expect("ends");
        assert_eq!(world.store.stats().flushes, 2);
    });
}

#[test]
fn what_no_question_asks_for_any_more_leaves_memory() {
    run(async {
        let options = Options { flush_interval: Duration::from_millis(1), ..eager() };
        let world = world(options);
        let store = &world.store;
        let profile = folded("main;work 3\n", testkit::profiles::BASE_MS);
        store.append("t", vec![profile]).await.expect("appends");
        store.flush().await.expect("flushes");
        let ask = || async {
            for part in store.snapshot("t", TimeRange::ALL).parts {
                for set in TableSet::ALL {
                    part.tables(set).await.expect("reads");
                }
                part.profiles().await.expect("reads");
            }
        };
        assert_eq!(store.stats().cache_bytes, 0);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { stopped.await.expect("is told") };
        let maintenance = Arc::clone(store).run_maintenance(stopped);
        let idle = async {
            ask().await;
            assert!(store.stats().cache_bytes > 0);
            for _ in 0..2_000 {
                if store.stats().cache_bytes == 0 {
                    break;
                }
                world.clock.advance(CACHE_UNUSED);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(store.stats().cache_bytes, 0, "still there after 2,000 tries");
            stop.send(()).expect("maintenance runs");
        };
        tokio::join!(maintenance, idle);
    });
}
