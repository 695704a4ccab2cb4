//! Uploads that are sent again are counted once, those that only look alike are not.

use crate::power::PowerLayer;
use catalog::Catalog;
use profile::Profile;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp};
use store::{Appended, FileLayer, Options, Store};

struct World {
    layer: PowerLayer,
    catalog: Arc<Catalog>,
    clock: Arc<ManualClock>,
    store: Arc<Store>,
}

fn open(layer: &PowerLayer, catalog: &Arc<Catalog>, clock: &Arc<ManualClock>) -> Arc<Store> {
    let shared: Arc<dyn FileLayer> = Arc::new(layer.clone());
    let clock = Arc::clone(clock);
    let rng = Rng::from_entropy();
    Store::open_parts(shared, Arc::clone(catalog), Options::default(), clock, rng).expect("opens")
}

impl World {
    fn new() -> Self {
        let layer = PowerLayer::new(1, u64::MAX);
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let store = open(&layer, &catalog, &clock);
        Self { layer, catalog, clock, store }
    }

    fn restart(&mut self) {
        self.store = open(&self.layer, &self.catalog, &self.clock);
    }

    async fn send(&self, tenant: &str, profiles: &[Profile]) -> Vec<Appended> {
        self.store.append_once(tenant, profiles.to_vec()).await.expect("appends")
    }

    async fn count(&self) -> usize {
        let mut count = 0;
        for part in self.store.snapshot("t", TimeRange::ALL).parts {
            count += part.profiles().await.expect("reads").len();
        }
        count
    }
}

fn idle(instance: &str, second: i64) -> Profile {
    let mut profile = profile::folded::from_folded("main;wait 1\n");
    profile.labels = [("service_name", "shop"), ("instance", instance)].into_iter().collect();
    let start = Timestamp::from_millis(1_699_999_000_000 + second * 1000);
    profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
    profile
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(work)
}

#[test]
fn a_retry_is_counted_once_before_and_after_restarts_and_for_an_hour() {
    run(async {
        let mut world = World::new();
        let upload = [idle("a", 0)];
        let first = world.send("t", &upload).await;
        assert!(!first[0].is_repeat);
        for flushes in [false, true] {
            for restarts in [false, true] {
                if flushes {
                    world.store.flush().await.expect("flushes");
                }
                if restarts {
                    world.restart();
                }
                world.clock.advance(Duration::from_mins(10));
                let again = world.send("t", &upload).await;
                assert_eq!(again, [Appended { is_repeat: true, ..first[0] }]);
                assert_eq!(world.count().await, 1, "flushed {flushes}, restarted {restarts}");
            }
        }
        assert_eq!(world.store.stats().repeats, 1, "since the last restart");
        world.clock.advance(Duration::from_mins(21));
        let later = world.send("t", &upload).await;
        assert!(!later[0].is_repeat, "an hour later it is another");
        assert_eq!(world.count().await, 2);
        // What is old is not kept for ever.
        world.store.flush().await.expect("flushes");
        assert_eq!(world.catalog.uploads().expect("reads").len(), 1);
    });
}

#[test]
fn what_differs_in_tenant_labels_or_window_is_another() {
    run(async {
        let world = World::new();
        let first = [idle("a", 0)];
        world.send("t", &first).await;
        for other in [[idle("b", 0)], [idle("a", 10)]] {
            assert!(!world.send("t", &other).await[0].is_repeat);
        }
        assert!(!world.send("other", &first).await[0].is_repeat);
        assert_eq!(world.count().await, 3);
    });
}

#[test]
fn instances_that_cannot_be_told_apart_are_still_two_within_an_upload() {
    run(async {
        let mut world = World::new();
        let upload = [idle("", 0), idle("", 0)];
        let first = world.send("t", &upload).await;
        assert!(first.iter().all(|row| !row.is_repeat) && first[0].id != first[1].id);
        world.restart();
        let again = world.send("t", &upload).await;
        let ids = |rows: &[Appended]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&first));
        assert!(again.iter().all(|row| row.is_repeat));
        assert_eq!(world.count().await, 2);
    });
}

#[test]
fn two_that_wait_for_the_same_commit_are_one() {
    run(async {
        let world = World::new();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&world.store);
            tasks.spawn(async move { store.append_once("t", vec![idle("a", 0)]).await });
        }
        let mut repeats = 0;
        while let Some(result) = tasks.join_next().await {
            repeats += usize::from(result.expect("no panic").expect("appends")[0].is_repeat);
        }
        assert_eq!((repeats, world.count().await), (7, 1));
    });
}
