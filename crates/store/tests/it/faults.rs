//! A catalog that does not say whether it has committed: trying again writes nothing twice.

use crate::fault::Faulty;
use crate::power::PowerLayer;
use crate::reading::{Contents, contents, expected};
use catalog::Catalog;
use profile::Profile;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{ErrorKind, FileLayer, Options, Store};

struct World {
    clock: Arc<ManualClock>,
    store: Arc<Store>,
    layer: Faulty,
    catalog: Arc<Catalog>,
    wanted: Contents,
}

fn clock() -> Arc<ManualClock> {
    let now = testkit::profiles::BASE_MS + 2 * 24 * 3_600_000;
    Arc::new(ManualClock::new(Timestamp::from_millis(now)))
}

fn open(layer: &Faulty, catalog: &Arc<Catalog>, seed: u64) -> Arc<Store> {
    open_at(layer, catalog, seed, clock())
}

fn open_at(
    layer: &Faulty,
    catalog: &Arc<Catalog>,
    seed: u64,
    clock: Arc<ManualClock>,
) -> Arc<Store> {
    let shared: Arc<dyn FileLayer> = Arc::new(layer.clone());
    let options = Options { retired_grace: Duration::ZERO, ..Options::default() };
    Store::open_parts(shared, Arc::clone(catalog), options, clock, Rng::seeded(seed))
        .expect("opens")
}

impl World {
    fn new() -> Self {
        Self::with(Catalog::open_in_memory().expect("opens"))
    }

    fn with(catalog: Catalog) -> Self {
        let layer = Faulty::over(PowerLayer::new(5, u64::MAX));
        let catalog = Arc::new(catalog);
        let clock = clock();
        let store = open_at(&layer, &catalog, 1, Arc::clone(&clock));
        Self { clock, store, layer, catalog, wanted: Contents::new() }
    }

    async fn append(&mut self, tenant: &str) {
        let mut profile: Profile = profile::folded::from_folded("main;a 3\nmain;b 4\n");
        profile.labels.set("service_name", "shop");
        let start = Timestamp::from_millis(testkit::profiles::BASE_MS);
        profile.window = TimeRange::new(start, start.plus_nanos(1_000_000_000));
        let ids = self.store.append(tenant, vec![profile.clone()]).await.expect("appends");
        if tenant == "t" {
            self.wanted.insert(ids[0], expected(&profile));
        }
    }

    /// An append that the full disk refuses.
    async fn refused(&self) {
        let profile = profile::folded::from_folded("main;refused 1\n");
        let error = self.store.append("t", vec![profile]).await.expect_err("the disk is full");
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
        assert!(error.is_disk_full());
    }

    async fn check(&self, when: &str) {
        assert_eq!(contents(&self.store, &self.layer, "t").await, self.wanted, "{when}");
    }

    /// The store as a new process finds it.
    async fn reopened(&self) {
        let store = open(&self.layer, &self.catalog, 2);
        assert_eq!(contents(&store, &self.layer, "t").await, self.wanted, "opened anew");
    }

    fn folders(&self) -> usize {
        self.layer.list("segments").expect("lists").len()
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(work)
}

#[test]
fn a_flush_that_may_have_been_committed_is_not_made_twice() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.append("other").await;
        world.layer.fail("after the flush's commit", 3);
        for _ in 0..3 {
            world.store.flush().await.expect_err("the catalog does not answer");
            world.check("in doubt").await;
            world.append("t").await;
        }
        world.store.flush().await.expect("the catalog answers again");
        world.check("settled").await;
        let stats = world.store.stats();
        assert_eq!((stats.flushes, stats.flush_failures, stats.wal_bytes), (2, 3, 0));
        assert_eq!(
            world.catalog.live().expect("lists").len(),
            3,
            "what came later is another flush"
        );
        assert!(world.layer.list("wal").expect("lists").is_empty());
        world.reopened().await;
    });
}

#[test]
fn a_process_that_ends_in_doubt_finds_everything_once() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.layer.fail("after the flush's commit", 1);
        world.store.flush().await.expect_err("the catalog does not answer");
        world.append("t").await;
        world.reopened().await;
    });
}

#[test]
fn flushes_that_fail_leave_one_set_of_files_however_often_they_are_tried() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.layer.fail("before the flush's commit", 20);
        for _ in 0..20 {
            world.store.flush().await.expect_err("the catalog refuses");
            assert_eq!(world.folders(), 1);
        }
        world.store.flush().await.expect("the catalog answers again");
        world.check("flushed").await;
        assert_eq!(world.folders(), 1);
    });
}

#[test]
fn a_compaction_that_may_have_been_committed_is_not_made_twice() {
    run(async {
        let mut world = World::new();
        for _ in 0..3 {
            world.append("t").await;
            world.store.flush().await.expect("flushes");
        }
        world.layer.fail("after the compaction's commit", 2);
        world.store.compact_once().await.expect_err("the catalog does not answer");
        world.check("in doubt").await;
        world.reopened().await;
        world.store.retain_once().await.expect_err("nothing is dropped while in doubt");
        while world.store.compact_once().await.expect("the catalog answers again") {}
        world.check("settled").await;
        assert_eq!((world.store.stats().segments, world.store.stats().compactions), (1, 1));
        assert_eq!(world.catalog.live().expect("lists").len(), 1);
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.folders(), 1);
        world.reopened().await;
    });
}

#[test]
fn a_log_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.layer.fill(Some("wal"));
        for _ in 0..20 {
            world.refused().await;
            world.check("queries go on").await;
        }
        let logs = world.layer.list("wal").expect("lists").len();
        assert!(logs <= 2, "refused appends leave no files behind: {logs}");
        world.layer.fill(None);
        world.append("t").await;
        world.check("room again").await;
        world.reopened().await;
        world.store.flush().await.expect("flushes");
        world.check("flushed").await;
        world.reopened().await;
    });
}

#[test]
fn segments_on_a_full_disk_wait_in_the_log_and_a_full_memory_says_why() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.layer.fill(Some("segments"));
        for _ in 0..3 {
            let error = world.store.flush().await.expect_err("the disk is full");
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
            assert_eq!(world.folders(), 0, "what was begun is removed");
            world.append("t").await;
            world.check("queries go on").await;
        }
        // As much as memory may hold, and then no more.
        let large: String = (0..20_000).map(|at| format!("main;step{at:05};leaf 1\n")).collect();
        let error = loop {
            let profile = profile::folded::from_folded(&large);
            match world.store.append("other", vec![profile]).await {
                Ok(_) => assert!(world.store.stats().memtable_bytes < 200 << 20, "is bounded"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
        assert!(world.store.stats().rejected_disk_full > 0);
        world.layer.fill(None);
        world.store.flush().await.expect("room again");
        world.append("t").await;
        world.check("flushed").await;
        world.reopened().await;
    });
}

#[test]
fn a_catalog_on_a_full_disk_loses_nothing_and_is_tried_again() {
    run(async {
        let mut world = World::new();
        world.append("t").await;
        world.layer.fail("before the flush's commit", 2);
        for _ in 0..2 {
            world.store.flush().await.expect_err("the catalog has no room");
            world.append("t").await;
            world.check("queries go on").await;
        }
        world.store.flush().await.expect("room again");
        world.check("flushed").await;
        world.reopened().await;
    });
}

#[test]
fn appends_stop_before_the_disk_is_full() {
    run(async {
        let mut world = World::new();
        world.layer.set_free(Some(store::limits::DISK_RESERVE_BYTES));
        world.append("t").await;
        world.layer.set_free(Some(store::limits::DISK_RESERVE_BYTES - 1));
        world.clock.advance(Duration::from_secs(2));
        world.refused().await;
        world.store.flush().await.expect("what is left is for flushes");
        world.check("queries go on").await;
        world.layer.set_free(None);
        world.clock.advance(Duration::from_secs(2));
        world.append("t").await;
        world.check("room again").await;
    });
}

#[test]
fn a_rewriting_that_may_have_been_committed_brings_nothing_back() {
    run(async {
        let mut world = World::new();
        for _ in 0..3 {
            world.append("t").await;
            world.store.flush().await.expect("flushes");
        }
        let selector = "{service_name=\"shop\"}";
        world.store.delete("t", selector, TimeRange::ALL).await.expect("deletes");
        world.wanted.clear();
        world.append("t").await;
        world.layer.fail("after the rewrite's commit", 2);
        world.store.delete_once().await.expect_err("the catalog does not answer");
        world.check("in doubt").await;
        world.reopened().await;
        world.store.compact_once().await.expect_err("nothing is merged while in doubt");
        while world.store.compact_once().await.expect("the catalog answers again") {}
        world.check("compacted").await;
        world.store.delete_once().await.expect("rewrites");
        world.check("settled").await;
        let deletions = world.store.deletions().await.expect("lists");
        assert_eq!((deletions[0].profiles, deletions[0].done_at.is_some()), (3, true));
        world.reopened().await;
    });
}

#[test]
fn folders_that_the_catalog_has_forgotten_are_not_deleted() {
    run(async {
        let mut world = World::new();
        for _ in 0..3 {
            world.append("t").await;
            world.store.flush().await.expect("flushes");
        }
        // A catalog without its log knows nothing of them.
        let empty = Arc::new(Catalog::open_in_memory().expect("opens"));
        let store = open(&world.layer, &empty, 3);
        assert!(contents(&store, &world.layer, "t").await.is_empty());
        assert_eq!(store.stats().orphans_removed, 3);
        assert_eq!(world.layer.list("trash").expect("lists").len(), 3);
        store.retain_once().await.expect("retains");
        let files = world.layer.list("trash").expect("lists");
        let first = world.layer.list(&format!("trash/{}", files[0])).expect("lists");
        assert!(first.contains(&"samples.parquet".to_owned()), "moved whole: {first:?}");
    });
}

/// A store over a catalog in a file, and its path.
fn on_disk() -> (World, tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("catalog.sqlite");
    (World::with(Catalog::open(&path).expect("opens")), dir, path)
}

#[test]
fn sqlite_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    run(async {
        let (mut world, _dir, _) = on_disk();
        world.append("t").await;
        world.catalog.limit_pages(1).expect("limits");
        // The keys of these need more pages than there are.
        let profile = |at: u64| {
            let mut profile = profile::folded::from_folded("main;many 1\n");
            profile.metadata.client = format!("{at}");
            profile
        };
        let many = (0..2_000).map(profile).collect();
        world.store.append_once("other", many).await.expect("the log has room");
        for _ in 0..3 {
            let error = world.store.flush().await.expect_err("the catalog has no room");
            assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
            world.append("t").await;
            world.check("queries go on").await;
        }
        let range = TimeRange::ALL;
        world.catalog.limit_pages(1 << 20).expect("room again");
        world.store.flush().await.expect("flushes");
        world.store.delete("other", "{service_name=\"none\"}", range).await.expect("deletes");
        world.check("flushed").await;
        world.reopened().await;
        assert!(world.layer.list("wal").expect("lists").is_empty());
    });
}

#[test]
fn sqlite_that_another_program_holds_is_an_error_and_everything_is_tried_again() {
    run(async {
        let (mut world, _dir, path) = on_disk();
        world.append("t").await;
        let other = Catalog::open(&path).expect("opens");
        let store = Arc::clone(&world.store);
        let held = tokio::task::spawn_blocking(move || {
            other.while_locked(|| run(async { store.flush().await })).expect("locks")
        });
        let error = held.await.expect("no panic").expect_err("it is held");
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        world.append("t").await;
        world.check("queries go on").await;
        world.store.flush().await.expect("it is free again");
        world.check("flushed").await;
        world.reopened().await;
        assert_eq!(world.folders(), 2, "what was written once is not written again");
    });
}
