//! A thousand power cuts: whatever was acknowledged is there exactly once afterwards.
//!
//! The catalog is a real SQLite in memory that survives the cut; the power fails between its
//! transactions (the layer's steps before and after each) and between and inside file operations,
//! but not inside SQLite: cuts there are `catalog_cut`'s.

use crate::power::PowerLayer;
use crate::reading::{contents, expected};
use catalog::Catalog;
use profile::Profile;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, Timestamp, Ulid};
use store::{Error, Options, Store};

const CUTS: u64 = 1000;
const THREADS: u64 = 2;

fn options() -> Options {
    Options { retired_grace: Duration::ZERO, ..Options::default() }
}

fn open(layer: &PowerLayer, catalog: &Arc<Catalog>, seed: u64) -> Result<Arc<Store>, Error> {
    // Two days after the profiles, so that any two segments are worth compacting.
    let now = Timestamp::from_millis(testkit::profiles::BASE_MS + 2 * 24 * 3_600_000);
    let clock = Arc::new(ManualClock::new(now));
    let layer = Arc::new(layer.clone());
    Store::open_parts(layer, Arc::clone(catalog), options(), clock, Rng::seeded(seed))
}

/// Works until the power fails; acknowledged profiles are added to `acknowledged`.
async fn work(
    store: &Store,
    layer: &PowerLayer,
    rng: &mut Rng,
    pool: &[Profile],
    acknowledged: &mut BTreeMap<Ulid, Vec<String>>,
) {
    for _ in 0..60 {
        if layer.is_off() {
            return;
        }
        match rng.below(10) {
            0..6 => {
                let count = 1 + rng.below(2);
                let profiles: Vec<Profile> = (0..count)
                    .map(|_| pool[rng.below(pool.len() as u64) as usize].clone())
                    .collect();
                if let Ok(ids) = store.append("t", profiles.clone()).await {
                    acknowledged.extend(ids.into_iter().zip(profiles.iter().map(expected)));
                }
            }
            6..8 => drop(store.flush().await),
            8 => drop(store.compact_once().await),
            _ => drop(store.retain_once().await),
        }
    }
}

async fn check_one(seed: u64, pool: &[Profile]) -> (usize, u64) {
    let mut rng = Rng::seeded(seed);
    let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
    let mut layer = PowerLayer::new(seed, 1 + rng.below(160));
    let mut acknowledged = BTreeMap::new();
    // Every third time the power fails again after the first recovery, perhaps during it.
    let cuts = if seed.is_multiple_of(3) { 2 } else { 1 };
    for cut in 0..cuts {
        if let Ok(store) = open(&layer, &catalog, seed * 8 + cut) {
            work(&store, &layer, &mut rng, pool, &mut acknowledged).await;
        }
        let next = if cut + 1 < cuts { 1 + rng.below(60) } else { u64::MAX };
        layer = layer.after_power_cut(next);
    }
    let store = open(&layer, &catalog, seed * 8 + 7).expect("opens after the cut");
    let found = contents(&store, &layer, "t").await;
    for (id, lines) in &acknowledged {
        assert_eq!(found.get(id), Some(lines), "seed {seed}: acknowledged profile {id}");
    }
    assert_eq!(store.stats().corrupt_records, 0, "seed {seed}");
    store.flush().await.expect("works on");
    while store.compact_once().await.expect("works on") {}
    assert_eq!(contents(&store, &layer, "t").await, found, "seed {seed}: after a flush");
    (acknowledged.len(), store.stats().torn_logs)
}

/// A pool of small profiles.
fn pool() -> Vec<Profile> {
    let mut runner = TestRunner::deterministic();
    let mut pool: Vec<Profile> = (0..24)
        .map(|_| {
            testkit::profiles::any_profile().new_tree(&mut runner).expect("a profile").current()
        })
        .collect();
    for profile in &mut pool {
        profile.samples.truncate(6);
    }
    pool
}

#[test]
fn a_thousand_power_cuts_lose_nothing_acknowledged() {
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            std::thread::spawn(move || {
                let pool = pool();
                let runtime =
                    tokio::runtime::Builder::new_current_thread().build().expect("runtime");
                let (mut acknowledged, mut torn) = (0, 0);
                for seed in (worker..CUTS).step_by(THREADS as usize) {
                    let (some, logs) = runtime.block_on(check_one(seed, &pool));
                    acknowledged += some;
                    torn += logs;
                }
                (acknowledged, torn)
            })
        })
        .collect();
    let sums = workers.into_iter().map(|worker| worker.join().expect("no cut loses anything"));
    let (acknowledged, torn) = sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(acknowledged > 3_000, "the cuts come late enough to test something: {acknowledged}");
    assert!(torn > 10, "some cuts tear a record: {torn}");
}

/// The test can fail: a layer that acknowledges without the directory's sync loses the log.
#[test]
fn the_layer_forgets_what_is_not_synced() {
    use store::FileLayer;
    let mut lost = 0;
    for seed in 0..32 {
        let layer = PowerLayer::new(seed, u64::MAX);
        layer.create_dir("d").expect("creates");
        layer.sync_dir("").expect("syncs");
        let mut file = layer.create("d/f").expect("creates");
        file.append(b"abc").expect("appends");
        file.sync().expect("syncs");
        lost += u64::from(layer.after_power_cut(9).read("d/f").is_err());
        layer.sync_dir("d").expect("syncs");
        assert_eq!(layer.after_power_cut(9).read("d/f").expect("durable"), "abc");
    }
    assert!((4..=28).contains(&lost), "an entry without its sync is lost half the time: {lost}");
}
