//! Deletion, retention by rules, pins: what is to go goes, once and for all, and nothing else does.

use crate::power::PowerLayer;
use crate::reading::{Contents, contents, expected};
use catalog::Catalog;
use profile::Profile;
use proptest::prelude::*;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, Rng, TimeRange, Timestamp, Ulid};
use store::limits::DELETION_DEADLINE;
use store::{ErrorKind, FileLayer, Options, RetentionRule, Store};

const HOUR_MS: i64 = 3_600_000;
const NOW_MS: i64 = 1_700_000_000_000;

struct World {
    layer: PowerLayer,
    catalog: Arc<Catalog>,
    clock: Arc<ManualClock>,
    options: Options,
    store: Arc<Store>,
    wanted: Contents,
}

fn open(
    layer: &PowerLayer,
    catalog: &Arc<Catalog>,
    clock: &Arc<ManualClock>,
    options: &Options,
) -> Arc<Store> {
    let shared: Arc<dyn FileLayer> = Arc::new(layer.clone());
    let (catalog, clock) = (Arc::clone(catalog), Arc::clone(clock));
    let store = Store::open_parts(shared, catalog, options.clone(), clock, Rng::from_entropy());
    store.expect("opens")
}

impl World {
    fn new(options: Options) -> Self {
        let options = Options { retired_grace: Duration::ZERO, ..options };
        let layer = PowerLayer::new(1, u64::MAX);
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
        let store = open(&layer, &catalog, &clock, &options);
        Self { layer, catalog, clock, options, store, wanted: Contents::new() }
    }

    fn restart(&mut self) {
        self.store = open(&self.layer, &self.catalog, &self.clock, &self.options);
    }

    async fn add(&mut self, profile: Profile) -> Ulid {
        let lines = expected(&profile);
        let id = self.store.append_once("t", vec![profile]).await.expect("appends")[0].id;
        self.wanted.insert(id, lines);
        id
    }

    async fn check(&self, when: &str) {
        assert_eq!(contents(&self.store, &self.layer, "t").await, self.wanted, "{when}");
    }

    /// All that the files of segments hold, as text to search in.
    fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for id in self.layer.list("segments").expect("lists") {
            for name in self.layer.list(&format!("segments/{id}")).expect("lists") {
                all.extend(self.layer.read(&format!("segments/{id}/{name}")).expect("reads"));
            }
        }
        all
    }
}

fn range(start_ms: i64, end_ms: i64) -> TimeRange {
    TimeRange::new(Timestamp::from_millis(start_ms), Timestamp::from_millis(end_ms))
}

fn of(service: &str, stack: &str, start_ms: i64) -> Profile {
    let mut profile = profile::folded::from_folded(&format!("{stack} 3\n"));
    profile.labels = [("service_name", service), ("env", "prod")].into_iter().collect();
    profile.window = range(start_ms, start_ms + 10_000);
    profile
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(work)
}

fn holds(all: &[u8], name: &str) -> bool {
    all.windows(name.len()).any(|window| window == name.as_bytes())
}

#[test]
fn a_deletion_hides_at_once_and_leaves_no_name_behind() {
    run(async {
        let mut world = World::new(Options::default());
        world.add(of("shop", "main;visible_a", NOW_MS)).await;
        let flushed = world.add(of("bank", "main;secret_b", NOW_MS)).await;
        world.store.flush().await.expect("flushes");
        let fresh = world.add(of("bank", "main;secret_c", NOW_MS + 5_000)).await;
        world.add(of("bank", "main;later_d", NOW_MS + 20_000)).await;
        world.check("before").await;
        let selector = "{service_name=~\"ba.k\", env=\"prod\"}";
        let meant = range(NOW_MS + 9_000, NOW_MS + 20_000);
        let found = world.store.matching("t", selector, meant).await.expect("looks");
        assert_eq!((found.profiles, found.samples), (2, 2));

        let id = world.store.delete("t", selector, meant).await.expect("deletes");
        world.wanted.remove(&flushed);
        world.wanted.remove(&fresh);
        world.check("hidden at once").await;
        assert_eq!(world.store.matching("t", selector, meant).await.expect("looks").profiles, 0);
        world.restart();
        world.check("hidden after a restart").await;
        world.store.flush().await.expect("flushes");
        world.check("hidden after a flush").await;
        assert!(holds(&world.files(), "secret_b") && holds(&world.files(), "secret_c"));
        // What comes later is not meant.
        world.add(of("bank", "main;again_e", NOW_MS + 5_000)).await;
        world.check("added after").await;

        let overdue = || world.store.stats().overdue_deletions;
        world.clock.advance(DELETION_DEADLINE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(overdue(), 0);
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(overdue(), 1);
        assert_eq!(world.store.delete_once().await.expect("rewrites"), 2);
        assert_eq!(overdue(), 0);
        world.check("rewritten").await;
        world.store.retain_once().await.expect("deletes files");
        let files = world.files();
        assert!(!holds(&files, "secret_b") && !holds(&files, "secret_c"), "no name is left");
        assert!(holds(&files, "visible_a") && holds(&files, "later_d"), "the others are");
        assert_eq!(world.store.stats().open_deletions, 0);
        let done = &world.store.deletions().await.expect("lists")[0];
        assert_eq!((done.id, done.profiles, done.done_at.is_some()), (id, 2, true));
        world.restart();
        world.check("at the end").await;
        assert_eq!(world.store.delete_once().await.expect("nothing left"), 0);
    });
}

#[test]
fn what_was_deleted_may_be_sent_again() {
    run(async {
        let mut world = World::new(Options::default());
        let profile = of("shop", "main;a", NOW_MS);
        let first = world.add(profile.clone()).await;
        world.store.delete("t", "service_name=\"shop\"", TimeRange::ALL).await.expect("deletes");
        world.wanted.clear();
        let second = world.add(profile.clone()).await;
        assert_ne!(first, second, "it is not a repeat of what is gone");
        world.check("hidden and there again").await;
        world.store.delete_once().await.expect("rewrites");
        world.restart();
        world.check("rewritten").await;
        let again = world.store.append_once("t", vec![profile]).await.expect("appends");
        assert!(again[0].is_repeat && again[0].id == second);
    });
}

#[test]
fn mistakes_in_deletions_are_refused_with_what_to_do() {
    run(async {
        let mut world = World::new(Options::default());
        world.add(of("shop", "main;a", NOW_MS)).await;
        let all = TimeRange::ALL;
        let minute = range(NOW_MS, NOW_MS + 60_000);
        world.store.pin("t", "the incident", "shop", minute).await.expect("pins");
        let again = world.store.pin("t", "the incident", "bank", minute).await;
        assert!(again.expect_err("one name").to_string().contains("choose another name"));
        for (selector, range, advice) in [
            ("{}", all, "name what to delete"),
            ("{a=}", all, "expected a value"),
            ("{service_name=\"shop\"}", range(5, 5), "start must be before"),
            ("{service_name=\"shop\"}", all, "remove the pin first"),
            ("{env=\"prod\"}", all, "remove the pin first"),
        ] {
            let error = world.store.delete("t", selector, range).await.expect_err(selector);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(advice), "{selector}: {error}");
        }
        world.check("nothing is hidden").await;
        world.store.delete("t", "{service_name=\"bank\"}", all).await.expect("another service");
        assert!(world.store.unpin("t", "the incident").await.expect("unpins"));
        world.store.delete("t", "{env=\"prod\"}", all).await.expect("not pinned any more");
        world.wanted.clear();
        world.check("hidden").await;
    });
}

#[test]
fn rules_keep_each_kind_of_each_service_for_its_own_time() {
    run(async {
        let rule = |service: Option<&str>, kind: &str, hours| RetentionRule {
            service: service.map(str::to_owned),
            kind: Some(kind.to_owned()),
            keep: Duration::from_hours(hours),
            ..RetentionRule::default()
        };
        let options = Options {
            retention: Duration::from_hours(10),
            retention_rules: vec![rule(None, "heap", 2), rule(Some("bank"), "heap", 40)],
            ..Options::default()
        };
        let mut world = World::new(options);
        let both = |service: &str| {
            let mut profile = of(service, "main;kept_cpu", NOW_MS);
            let heap = profile::SampleKind::from_id("heap").expect("registered");
            let stack = profile::SampleKind::from_id("stack").expect("registered");
            profile.kinds = vec![stack, heap];
            let location = profile.tables.named_location("old_heap");
            let mut sample = profile.samples[0];
            sample.kind = profile::KindIndex(1);
            sample.stack = profile.tables.stacks.intern(profile::StackId(0), location);
            profile.samples.push(sample);
            profile
        };
        let shop = world.add(both("shop")).await;
        let bank = world.add(both("bank")).await;
        world.store.flush().await.expect("flushes");
        world.clock.advance(Duration::from_millis((2 * HOUR_MS + 60_000) as u64));
        assert_eq!(world.store.retain_once().await.expect("retains"), 0, "not worth it yet");
        world.clock.advance(Duration::from_hours(1));
        assert_eq!(world.store.retain_once().await.expect("retains"), 1);
        let mut left = both("shop");
        left.samples.pop();
        left.kinds.pop();
        world.wanted.insert(shop, expected(&left));
        world.check("the heap of one service is gone").await;
        assert_eq!(world.store.retain_once().await.expect("retains"), 0, "and stays so");
        world.clock.advance(Duration::from_hours(9));
        world.store.retain_once().await.expect("retains");
        let mut left = both("bank");
        left.samples.remove(0);
        left.kinds.remove(0);
        left.samples[0].kind = profile::KindIndex(0);
        world.wanted = std::iter::once((bank, expected(&left))).collect();
        world.check("the heap of the other stays").await;
        assert!(!holds(&world.files(), "kept_cpu"));
        world.clock.advance(Duration::from_hours(30));
        world.store.retain_once().await.expect("retains");
        assert_eq!(world.store.stats().segments, 0);
        let status = world.store.retention_status().await.expect("says");
        assert_eq!(status.drops.len(), 3);
        assert!(status.drops.iter().all(|row| row.reason == "age") && status.drops[0].bytes > 0);
        assert_eq!(status.drops.iter().map(|row| row.profiles).sum::<u64>(), 2);
    });
}

#[test]
fn a_pin_outlives_retention_and_budget_until_it_is_removed() {
    run(async {
        let retention = Duration::from_hours(10);
        let options = Options { retention, disk_budget_bytes: Some(1 << 30), ..Options::default() };
        let mut world = World::new(options);
        let pinned = world.add(of("shop", "main;pinned", NOW_MS)).await;
        world.add(of("shop", "main;before", NOW_MS - 60_000)).await;
        world.add(of("bank", "main;other", NOW_MS)).await;
        world.store.flush().await.expect("flushes");
        let minute = range(NOW_MS + 9_000, NOW_MS + 60_000);
        world.store.pin("t", "incident", "shop", minute).await.expect("pins");
        world.restart();
        assert_eq!(world.store.pins("t")[0].name, "incident");
        world.clock.advance(Duration::from_hours(12));
        assert_eq!(world.store.retain_once().await.expect("retains"), 1);
        world.wanted.retain(|id, _| *id == pinned);
        world.check("only the pinned range is left").await;
        world.options.disk_budget_bytes = Some(1);
        world.restart();
        assert_eq!(world.store.retain_once().await.expect("retains"), 0);
        world.check("whatever the budget is").await;
        world.store.unpin("t", "incident").await.expect("unpins");
        assert_eq!(world.store.retain_once().await.expect("retains"), 1);
        world.wanted.clear();
        world.check("unpinned").await;
    });
}

#[test]
fn the_budget_drops_the_oldest_first_but_for_what_is_pinned_among_them() {
    run(async {
        let mut world = World::new(Options::default());
        let old = world.add(of("shop", "main;oldest", NOW_MS - 3 * HOUR_MS)).await;
        world.add(of("bank", "main;goes", NOW_MS - 3 * HOUR_MS)).await;
        world.store.flush().await.expect("flushes");
        let new = world.add(of("shop", "main;new", NOW_MS)).await;
        world.store.flush().await.expect("flushes");
        let bytes = world.store.stats().segment_bytes;
        let past = range(NOW_MS - 4 * HOUR_MS, NOW_MS - HOUR_MS);
        world.store.pin("t", "p", "shop", past).await.expect("pins");
        world.options.disk_budget_bytes = Some(bytes - 1);
        world.restart();
        assert_eq!(world.store.retain_once().await.expect("retains"), 1);
        world.wanted.retain(|id, _| *id == old || *id == new);
        world.check("what is neither pinned nor new is gone").await;
        let drops = world.store.retention_status().await.expect("says").drops;
        assert_eq!((drops[0].reason.as_str(), drops[0].profiles), ("budget", 1));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_deletion_takes_what_it_names_and_nothing_else(
        groups in prop::collection::vec(testkit::profiles::any_profiles(4), 1..5),
        flushes in any::<u8>(),
        wanted in 0..4_usize,
    ) {
        run(async {
            let mut world = World::new(Options::default());
            let mut services = Vec::new();
            for (at, group) in groups.iter().enumerate() {
                for (n, profile) in group.iter().enumerate() {
                    let mut profile = profile.clone();
                    let service = format!("s{}", (at + n) % 4);
                    profile.labels.set("service_name", service.clone());
                    services.push((world.add(profile).await, service));
                }
                if flushes >> at & 1 == 1 {
                    world.store.flush().await.expect("flushes");
                }
            }
            let wanted = format!("s{wanted}");
            let selector = format!("{{service_name=\"{wanted}\"}}");
            world.store.delete("t", &selector, TimeRange::ALL).await.expect("deletes");
            let gone = services.iter().filter(|(_, service)| *service == wanted);
            gone.for_each(|(id, _)| drop(world.wanted.remove(id)));
            world.check("hidden").await;
            world.clock.advance(Duration::from_hours(48));
            world.store.flush().await.expect("flushes");
            while world.store.compact_once().await.expect("compacts") {}
            world.check("compacted").await;
            world.store.delete_once().await.expect("rewrites");
            world.check("rewritten").await;
            assert_eq!(world.store.stats().open_deletions, 0);
            world.restart();
            world.check("opened anew").await;
        });
    }
}

/// A backup in memory.
async fn backup(store: &Store, tenant: Option<&str>) -> Vec<u8> {
    let backup = store.backup(tenant).await.expect("begins");
    let mut bytes = Vec::new();
    let mut put = |piece: bytes::Bytes| {
        bytes.extend_from_slice(&piece);
        true
    };
    backup.write(&mut put).expect("writes");
    bytes
}

#[test]
fn a_backup_of_a_running_store_restores_into_an_empty_one() {
    run(async {
        let mut world = World::new(Options::default());
        let gone = world.add(of("bank", "main;secret", NOW_MS)).await;
        world.add(of("shop", "main;a", NOW_MS)).await;
        world.store.flush().await.expect("flushes");
        world.add(of("shop", "main;b", NOW_MS)).await;
        world.store.append("u", vec![of("other", "main;theirs", 5)]).await.expect("appends");
        let range = range(NOW_MS, NOW_MS + 1);
        world.store.pin("t", "p", "shop", range).await.expect("pins");
        world.store.delete("t", "{service_name=\"bank\"}", range).await.expect("deletes");
        world.wanted.remove(&gone);
        let own = backup(&world.store, Some("t")).await;
        let all = backup(&world.store, None).await;
        assert!(!holds(&own, "secret") && !holds(&own, "theirs") && holds(&all, "theirs"));

        for (bytes, tenants) in [(&own, vec!["t"]), (&all, vec!["t", "u"])] {
            let target = World::new(Options::default());
            let done = target.store.restore(io::Cursor::new(bytes.clone())).await;
            let done = done.expect("restores");
            assert_eq!((done.known, done.pins), (0, 1));
            assert_eq!(target.store.tenants(), tenants);
            assert_eq!(contents(&target.store, &target.layer, "t").await, world.wanted);
            assert_eq!(target.store.pins("t"), world.store.pins("t"));
            let again = target.store.restore(io::Cursor::new(bytes.clone())).await.expect("again");
            assert_eq!(again.known, again.segments, "nothing is there twice");
            let opened = open(&target.layer, &target.catalog, &target.clock, &target.options);
            assert_eq!(contents(&opened, &target.layer, "t").await, world.wanted);
            let checked = opened.fsck().await.expect("checks");
            assert_eq!((checked.problems.len(), checked.unknown.len()), (0, 0), "{checked:?}");
        }
    });
}

#[test]
fn a_damaged_backup_leaves_nothing_behind() {
    run(async {
        let mut world = World::new(Options::default());
        world.add(of("shop", "main;a", NOW_MS)).await;
        let whole = backup(&world.store, None).await;
        let mut rng = Rng::seeded(7);
        for at in 0..60 {
            let target = World::new(Options::default());
            let mut bytes = whole.clone();
            let place = rng.below(bytes.len() as u64 - 1024) as usize;
            if at % 2 == 0 {
                bytes.truncate(place);
            } else {
                bytes[place] ^= 0x55;
            }
            match target.store.restore(io::Cursor::new(bytes)).await {
                // Padding and heads have bytes that nobody needs.
                Ok(_) => {
                    let found = contents(&target.store, &target.layer, "t").await;
                    assert!(at % 2 == 1 && found == world.wanted, "byte {place}");
                }
                Err(_) => {
                    assert!(target.store.tenants().is_empty());
                    assert_eq!(target.layer.list("segments").expect("lists").len(), 0);
                }
            }
        }
    });
}

#[test]
fn a_check_finds_what_is_damaged_or_missing() {
    run(async {
        let mut world = World::new(Options::default());
        for second in 0..3 {
            world.add(of("shop", "main;a", NOW_MS + second)).await;
            world.store.flush().await.expect("flushes");
        }
        let checked = world.store.fsck().await.expect("checks");
        assert_eq!((checked.segments, checked.profiles, checked.rows), (3, 3, 3));
        assert!(checked.problems.is_empty() && checked.files > 9, "{checked:?}");
        let dirs = world.layer.list("segments").expect("lists");
        world.layer.remove_file(&format!("segments/{}/nodes.parquet", dirs[0])).expect("removes");
        let path = format!("segments/{}/samples.parquet", dirs[1]);
        let bytes = world.layer.read(&path).expect("reads");
        world.layer.remove_file(&path).expect("removes");
        let mut file = world.layer.create(&path).expect("creates");
        file.append(&bytes[..bytes.len() - 9]).expect("writes");
        world.layer.create_dir("segments/01HF7YDVN0SAWSCCSCC1VQ9SF1").expect("creates");
        let checked = world.store.fsck().await.expect("checks");
        let of = |dir: &str| checked.problems.iter().filter(|text| text.contains(dir)).count();
        assert!(of(&dirs[0]) > 0 && of(&dirs[1]) > 0 && of(&dirs[2]) == 0, "{checked:?}");
        assert_eq!(checked.unknown, ["01HF7YDVN0SAWSCCSCC1VQ9SF1"]);
    });
}
