//! A catalog that does not say whether it has committed: trying again writes nothing twice.

use crate::power::PowerLayer;
use crate::reading::{Contents, contents, expected};
use bytes::Bytes;
use catalog::Catalog;
use object_store::ObjectStore;
use profile::Profile;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{FileLayer, LayerFile, Options, Store};

/// Fails at steps as often as it was told to.
#[derive(Debug)]
struct Faulty {
    layer: PowerLayer,
    failures: Mutex<BTreeMap<&'static str, u32>>,
}

impl Faulty {
    fn fail(&self, step: &'static str, times: u32) {
        self.failures.lock().expect("no test thread panicked").insert(step, times);
    }
}

impl FileLayer for Faulty {
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        self.layer.create(path)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        self.layer.read(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.layer.list(dir)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.layer.create_dir(path)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.layer.remove_file(path)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.layer.remove_dir(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.layer.sync_dir(path)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.layer.object_store()
    }

    fn step(&self, what: &'static str) -> io::Result<()> {
        let mut failures = self.failures.lock().expect("no test thread panicked");
        let Some(left) = failures.get_mut(what).filter(|left| **left > 0) else { return Ok(()) };
        *left -= 1;
        Err(io::Error::other("disk I/O error"))
    }
}

struct World {
    store: Arc<Store>,
    layer: Arc<Faulty>,
    catalog: Arc<Catalog>,
    wanted: Contents,
}

fn open(layer: &Arc<Faulty>, catalog: &Arc<Catalog>, seed: u64) -> Arc<Store> {
    let now = Timestamp::from_millis(testkit::profiles::BASE_MS + 2 * 24 * 3_600_000);
    let shared: Arc<dyn FileLayer> = Arc::clone(layer) as _;
    let options = Options { retired_grace: Duration::ZERO, ..Options::default() };
    let clock = Arc::new(ManualClock::new(now));
    Store::open_parts(shared, Arc::clone(catalog), options, clock, Rng::seeded(seed))
        .expect("opens")
}

impl World {
    fn new() -> Self {
        let layer = PowerLayer::new(5, u64::MAX);
        let layer = Arc::new(Faulty { layer, failures: Mutex::default() });
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let store = open(&layer, &catalog, 1);
        Self { store, layer, catalog, wanted: Contents::new() }
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

    async fn check(&self, when: &str) {
        assert_eq!(contents(&self.store, &*self.layer, "t").await, self.wanted, "{when}");
    }

    /// The store as a new process finds it.
    async fn reopened(&self) {
        let store = open(&self.layer, &self.catalog, 2);
        assert_eq!(contents(&store, &*self.layer, "t").await, self.wanted, "opened anew");
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
