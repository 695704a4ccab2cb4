//! Operations that fail at random, of every sort and in every way: nothing acknowledged is lost,
//! answers are right or errors, and when the faults are over everything works without a restart.

use crate::clients::{Clients, TENANT, clock, options, pool};
use crate::fault::{Fault, Faulty};
use crate::power::PowerLayer;
use crate::reading::{contents, expected, try_contents};
use catalog::Catalog;
use profile::Profile;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::task::{Context, Waker};
use stdx::{Rng, TimeRange};
use store::{Error, Store};

const CASES: u64 = 120;
const THREADS: u64 = 2;
const STEPS: u64 = 60;
/// One operation in so many goes wrong.
const ONE_IN: u64 = 9;

/// How often each operation went wrong in each way.
type Hits = BTreeMap<(&'static str, Fault), u64>;

fn open(layer: &Faulty, catalog: &Arc<Catalog>, seed: u64) -> Result<Arc<Store>, Error> {
    let layer = Arc::new(layer.clone());
    Store::open_parts(layer, Arc::clone(catalog), options(), clock(), Rng::seeded(seed))
}

async fn check_one(seed: u64, pool: &[Profile], hits: &mut Hits) -> [u64; 3] {
    let when = format!("seed {seed}");
    let mut rng = Rng::seeded(seed);
    let layer = Faulty::over(PowerLayer::new(seed, u64::MAX));
    let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
    let mut clients = Clients::default();
    let mut answers = [0; 3];
    for run in 0..2 {
        layer.chaos(seed * 2 + run, ONE_IN);
        let opened = open(&layer, &catalog, seed * 8 + run);
        layer.chaos(0, 0);
        // Opening under faults fails or works, and the next attempt finds everything.
        answers[0] += u64::from(opened.is_err());
        drop(opened);
        let store = open(&layer, &catalog, seed * 8 + run + 2).expect("opens without faults");
        clients.try_again(&store).await;
        layer.chaos(seed * 2 + run, ONE_IN);
        for _ in 0..STEPS {
            clients.step(&store, &mut rng, pool).await;
            if rng.chance(1, 6) {
                match try_contents(&store, &layer, TENANT).await {
                    Ok(found) => clients.check(&found, &when),
                    Err(_) => answers[1] += 1,
                }
            }
        }
        layer.chaos(0, 0);
        // Over: everything answers and works, in the same process.
        clients.check(&contents(&store, &layer, TENANT).await, &when);
        clients.try_again(&store).await;
        let found = contents(&store, &layer, TENANT).await;
        clients.check_all(&store, &found, &when);
        clients.check_payloads(&store, false, &when);
        clients.tracers.check_all(&store, &when).await;
        store.flush().await.expect("works again");
        while store.compact_once().await.expect("works again") {}
        store.delete_once().await.expect("works again");
        store.retain_once().await.expect("works again");
        clients.check_retained(&contents(&store, &layer, TENANT).await, &when);
        clients.tracers.check_all(&store, &when).await;
        assert_eq!(store.stats().wal_bytes, 0, "{when}: all of it is in segments");
    }
    for (what, count) in layer.hits() {
        *hits.entry(what).or_default() += count;
    }
    answers[2] = clients.known();
    answers
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_and_answers_are_right_or_errors() {
    let work = |worker: u64| {
        let pool = pool();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let (mut sums, mut hits) = ([0; 3], Hits::new());
        for seed in (worker..CASES).step_by(THREADS as usize) {
            let answers = runtime.block_on(check_one(seed, &pool, &mut hits));
            sums = std::array::from_fn(|at| sums[at] + answers[at]);
        }
        (sums, hits)
    };
    let workers: Vec<_> =
        (0..THREADS).map(|worker| std::thread::spawn(move || work(worker))).collect();
    let (mut sums, mut hits) = ([0; 3], Hits::new());
    for worker in workers {
        let (more, its) = worker.join().expect("no fault loses anything");
        sums = std::array::from_fn(|at| sums[at] + more[at]);
        for (what, count) in its {
            *hits.entry(what).or_default() += count;
        }
    }
    let [unopened, unanswered, known] = sums;
    println!("{unopened} not opened, {unanswered} not answered, {known} profiles, {hits:?}");
    assert!(unopened > 20 && unanswered > 20 && known > 1_500, "{sums:?}");
    for what in ["create", "append", "sync", "sync_dir", "create_dir", "remove_file", "remove_dir"]
    {
        let ways = hits.keys().filter(|(operation, _)| *operation == what).count();
        assert!(ways >= 4, "{what} went wrong in {ways} ways: {hits:?}");
    }
    for what in [("read", Fault::Half), ("read", Fault::Fails), ("list", Fault::Fails)] {
        assert!(hits.contains_key(&what), "{what:?}: {hits:?}");
    }
    assert!(hits.keys().any(|(operation, _)| *operation == "rename"), "{hits:?}");
}

fn shop() -> Profile {
    let mut profile = profile::folded::from_folded("main;a 3\nmain;b 4\n");
    profile.labels.set("service_name", "shop");
    profile
}

/// Restores under faults: all of it or nothing, in this process and in the next.
#[test]
fn a_restore_under_faults_leaves_all_of_it_or_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let layer = Faulty::over(PowerLayer::new(1, u64::MAX));
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let store = open(&layer, &catalog, 1).expect("opens");
        let id = store.append(TENANT, vec![shop()]).await.expect("appends")[0];
        store.pin(TENANT, "p", "shop", TimeRange::ALL).await.expect("pins");
        let backup = store.backup(None).await.expect("begins");
        let mut bytes = Vec::new();
        let mut put = |piece: bytes::Bytes| {
            bytes.extend_from_slice(&piece);
            true
        };
        backup.write(&mut put).expect("writes");
        let wanted = contents(&store, &layer, TENANT).await;
        assert_eq!(wanted[&id], expected(&shop()));
        let (mut failed, mut half) = (0, 0);
        for seed in 0..200 {
            let layer = Faulty::over(PowerLayer::new(seed, u64::MAX));
            let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
            let target = open(&layer, &catalog, seed).expect("opens");
            if seed.is_multiple_of(4) {
                layer.fail("after the restore's commit", 1);
            } else {
                layer.chaos(seed, 30);
            }
            let done = target.restore(Cursor::new(bytes.clone())).await;
            layer.chaos(0, 0);
            let target = open(&layer, &catalog, seed).expect("opens again");
            let found = contents(&target, &layer, TENANT).await;
            failed += usize::from(done.is_err());
            half += usize::from(done.is_err() && !found.is_empty());
            assert!(
                found == wanted || (done.is_err() && found.is_empty()),
                "seed {seed}: {done:?}"
            );
            target.restore(Cursor::new(bytes.clone())).await.expect("restores");
            assert_eq!(contents(&target, &layer, TENANT).await, wanted, "seed {seed}");
            assert_eq!(target.pins(TENANT).len(), 1);
            assert!(target.fsck().await.expect("checks").problems.is_empty(), "seed {seed}");
        }
        assert!(failed > 60 && half > 10, "{failed} failed, {half} of them after the commit");
    });
}

#[test]
fn a_slow_disk_holds_up_flushes_and_nothing_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("runtime").block_on(async {
        let layer = Faulty::over(PowerLayer::new(1, u64::MAX));
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let store = open(&layer, &catalog, 1).expect("opens");
        store.append(TENANT, vec![shop()]).await.expect("appends");
        layer.hold(Some("segments"));
        let flushing = Arc::clone(&store);
        let flush = tokio::spawn(async move { flushing.flush().await });
        while layer.waiting() == 0 {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            store.append(TENANT, vec![shop()]).await.expect("appends meanwhile");
        }
        assert_eq!(contents(&store, &layer, TENANT).await.len(), 21, "and answers");
        assert!(!flush.is_finished());
        layer.hold(None);
        flush.await.expect("no panic").expect("flushes");
        assert_eq!(contents(&store, &layer, TENANT).await.len(), 21);
    });
}

/// While one append is being synced, 63 more come: all of them share the next sync.
#[test]
fn appends_that_wait_share_a_sync() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("runtime").block_on(async {
        let layer = Faulty::over(PowerLayer::new(1, u64::MAX));
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let store = open(&layer, &catalog, 1).expect("opens");
        let syncs = layer.power().file_syncs();
        layer.hold(Some("wal"));
        let first = Arc::clone(&store);
        let first = tokio::spawn(async move { first.append(TENANT, vec![shop()]).await });
        while layer.waiting() == 0 {
            std::thread::yield_now();
        }
        let append = |_| Box::pin(store.append(TENANT, vec![shop()]));
        let mut waiting: Vec<_> = (1..64).map(append).collect();
        let mut context = Context::from_waker(Waker::noop());
        for one in &mut waiting {
            // It waits from its first poll on.
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        layer.hold(None);
        first.await.expect("no panic").expect("appends");
        for one in waiting {
            one.await.expect("appends");
        }
        assert_eq!(contents(&store, &layer, TENANT).await.len(), 64);
        assert_eq!(layer.power().file_syncs() - syncs, 2);
        assert_eq!(store.stats().wal_commits, 2);
    });
}
