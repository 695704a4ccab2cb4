//! A thousand power cuts: whatever was acknowledged is there exactly once afterwards, and what a
//! client sends again because it got no answer is there once, too.
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
use stdx::{ManualClock, Rng, TimeRange, Timestamp, Ulid};
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

/// What clients sent and heard.
#[derive(Default)]
struct Clients {
    acknowledged: BTreeMap<Ulid, Vec<String>>,
    /// The last upload that was answered, and with which ids.
    answered: Option<(Vec<Profile>, Vec<Ulid>)>,
    /// Uploads without an answer; their clients send them again when they can.
    unanswered: Vec<Vec<Profile>>,
    sent: u64,
    repeats: usize,
    /// Services whose deletion was asked for and not acknowledged.
    undeleted: Vec<String>,
    gone: u64,
}

impl Clients {
    /// An upload of profiles like no other.
    fn next(&mut self, rng: &mut Rng, pool: &[Profile]) -> Vec<Profile> {
        let count = 1 + rng.below(2);
        let one = |_| {
            let mut profile = pool[rng.below(pool.len() as u64) as usize].clone();
            self.sent += 1;
            profile.metadata.client = format!("upload {}", self.sent);
            profile.labels.set("service_name", format!("s{}", self.sent % 5));
            profile
        };
        (0..count).map(one).collect()
    }

    async fn send(&mut self, store: &Store, profiles: Vec<Profile>, seed: u64) {
        let Ok(appended) = store.append_once("t", profiles.clone()).await else {
            self.unanswered.push(profiles);
            return;
        };
        self.repeats += appended.iter().filter(|row| row.is_repeat).count();
        let ids: Vec<Ulid> = appended.iter().map(|row| row.id).collect();
        if let Some((_, before)) =
            self.answered.as_ref().filter(|(sent, _)| is_same(sent, &profiles))
        {
            assert_eq!(ids, *before, "seed {seed}: a retry has the first one's ids");
        }
        self.acknowledged.extend(ids.iter().copied().zip(profiles.iter().map(expected)));
        self.answered = Some((profiles, ids));
    }
}

impl Clients {
    /// Deletes everything of a service, of which nothing waits to be sent again.
    async fn delete(&mut self, store: &Store, service: String) {
        let selector = format!("{{service_name=\"{service}\"}}");
        // A retry would store anew what is gone.
        self.answered = None;
        if store.delete("t", &selector, TimeRange::ALL).await.is_err() {
            self.undeleted.push(service);
            return;
        }
        let before = self.acknowledged.len();
        let head = format!("profile Some(\"{service}\")");
        self.acknowledged.retain(|_, lines| !lines.iter().any(|line| line.starts_with(&head)));
        self.gone += (before - self.acknowledged.len()) as u64;
    }

    /// What clients do when the store is back.
    async fn try_again(&mut self, store: &Store, seed: u64) {
        for service in std::mem::take(&mut self.undeleted) {
            self.delete(store, service).await;
        }
        for profiles in std::mem::take(&mut self.unanswered) {
            self.send(store, profiles, seed).await;
        }
    }
}

fn is_same(a: &[Profile], b: &[Profile]) -> bool {
    a.iter().map(expected).eq(b.iter().map(expected))
}

/// Works until the power fails.
async fn work(
    store: &Store,
    layer: &PowerLayer,
    rng: &mut Rng,
    pool: &[Profile],
    clients: &mut Clients,
    seed: u64,
) {
    clients.try_again(store, seed).await;
    for _ in 0..60 {
        if layer.is_off() {
            return;
        }
        match rng.below(12) {
            0..5 => {
                let profiles = clients.next(rng, pool);
                clients.send(store, profiles, seed).await;
            }
            5 => {
                if let Some((profiles, _)) = clients.answered.clone() {
                    clients.send(store, profiles, seed).await;
                }
            }
            6..8 => drop(store.flush().await),
            8 => drop(store.compact_once().await),
            9 => drop(store.delete_once().await),
            10 => clients.delete(store, format!("s{}", rng.below(5))).await,
            _ => drop(store.retain_once().await),
        }
    }
}

/// Acknowledged profiles, retries among them, torn logs, deleted profiles.
async fn check_one(seed: u64, pool: &[Profile]) -> [usize; 4] {
    let mut rng = Rng::seeded(seed);
    let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
    let mut layer = PowerLayer::new(seed, 1 + rng.below(160));
    let mut clients = Clients::default();
    // Every third time the power fails again after the first recovery, perhaps during it.
    let cuts = if seed.is_multiple_of(3) { 2 } else { 1 };
    for cut in 0..cuts {
        if let Ok(store) = open(&layer, &catalog, seed * 8 + cut) {
            work(&store, &layer, &mut rng, pool, &mut clients, seed).await;
        }
        let next = if cut + 1 < cuts { 1 + rng.below(60) } else { u64::MAX };
        layer = layer.after_power_cut(next);
    }
    let store = open(&layer, &catalog, seed * 8 + 7).expect("opens after the cut");
    clients.try_again(&store, seed).await;
    let found = contents(&store, &layer, "t").await;
    for (id, lines) in &clients.acknowledged {
        assert_eq!(found.get(id), Some(lines), "seed {seed}: acknowledged profile {id}");
    }
    // Everything was acknowledged in the end, so there is nothing else.
    assert_eq!(found.len(), clients.acknowledged.len(), "seed {seed}: nothing is there twice");
    assert_eq!(found.len() as u64 + clients.gone, clients.sent, "seed {seed}");
    assert_eq!(store.stats().corrupt_records, 0, "seed {seed}");
    store.flush().await.expect("works on");
    while store.compact_once().await.expect("works on") {}
    store.delete_once().await.expect("works on");
    assert_eq!(store.stats().open_deletions, 0, "seed {seed}");
    assert_eq!(contents(&store, &layer, "t").await, found, "seed {seed}: after a flush");
    let gone = clients.gone as usize;
    [found.len() + gone, clients.repeats, store.stats().torn_logs as usize, gone]
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
                let mut sums = [0; 4];
                for seed in (worker..CUTS).step_by(THREADS as usize) {
                    let counts = runtime.block_on(check_one(seed, &pool));
                    sums = std::array::from_fn(|at| sums[at] + counts[at]);
                }
                sums
            })
        })
        .collect();
    let sums = workers.into_iter().map(|worker| worker.join().expect("no cut loses anything"));
    let [acknowledged, repeats, torn, gone] =
        sums.fold([0; 4], |a, b| std::array::from_fn(|at| a[at] + b[at]));
    assert!(acknowledged > 3_000, "the cuts come late enough to test something: {acknowledged}");
    assert!(repeats > 300, "some uploads are sent again: {repeats}");
    assert!(gone > 300, "some profiles are deleted: {gone}");
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
