//! Hourly rollups: they are what the specification says, stay so when late data comes, and outlive
//! the samples.

use crate::power::PowerLayer;
use catalog::Catalog;
use profile::Profile;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp, Ulid};
use store::{FileLayer, Options, Store, Wanted};
use testkit::profiles::{BASE_MS, any_profile};
use views::naive::info_of;
use views::rollup::{Described, HOUR_MS, Rules, naive};
use views::{Matcher, ProfileInfo};

pub(crate) struct World {
    pub(crate) layer: PowerLayer,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: Options,
    pub(crate) store: Arc<Store>,
    /// What was accepted and not deleted.
    pub(crate) profiles: Vec<(ProfileInfo, Profile)>,
}

pub(crate) type Hour = BTreeMap<(String, String), Described>;

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(work)
}

pub(crate) fn open(
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
    pub(crate) fn new(options: Options) -> Self {
        let options = Options { retired_grace: Duration::ZERO, ..options };
        let layer = PowerLayer::new(1, u64::MAX);
        let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BASE_MS + 3 * HOUR_MS)));
        let store = open(&layer, &catalog, &clock, &options);
        Self { layer, catalog, clock, options, store, profiles: Vec::new() }
    }

    fn at(self, ms: i64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(ms)));
        let store = open(&self.layer, &self.catalog, &clock, &self.options);
        Self { clock, store, ..self }
    }

    pub(crate) fn restart(&mut self) {
        self.store = open(&self.layer, &self.catalog, &self.clock, &self.options);
    }

    pub(crate) async fn add(&mut self, profile: &Profile) -> Ulid {
        let ids = self.store.append("t", vec![profile.clone()]).await.expect("appends");
        let info = info_of(ids[0], "t", self.clock.now(), profile);
        self.profiles.push((info, profile.clone()));
        ids[0]
    }

    /// Flushes and rolls up whatever has settled.
    pub(crate) async fn roll(&self) {
        self.store.flush().await.expect("flushes");
        self.clock.advance(Duration::from_mins(6));
        while self.store.roll_once().await.expect("rolls up") {}
    }

    pub(crate) fn expected(&self, hour_ms: i64) -> Hour {
        let profiles = self.profiles.iter().map(|(info, profile)| (info, profile));
        naive::hour(profiles, hour_ms, &self.options.rollup_rules)
    }

    /// The rollup of an hour, when it is complete.
    pub(crate) async fn found(&self, hour_ms: i64) -> Option<Hour> {
        let hours = self.store.hours("t", of_hour(hour_ms));
        let part = hours.ready.get(&hour_ms)?;
        let wanted = Wanted { prefixes: true, functions: true, ..Wanted::default() };
        let parts = part.read(&wanted).await.expect("reads");
        let named =
            parts.iter().map(|part| ((part.service.clone(), part.kind.clone()), part.described()));
        Some(named.collect())
    }

    pub(crate) async fn check(&self, when: &str) {
        for hour in -1..3 {
            let hour_ms = BASE_MS + hour * HOUR_MS;
            let expected = self.expected(hour_ms);
            let found = self.found(hour_ms).await.unwrap_or_default();
            assert_eq!(found, expected, "{when}, hour {hour}");
        }
    }
}

pub(crate) fn of_hour(hour_ms: i64) -> TimeRange {
    let end = Timestamp::from_millis(hour_ms + HOUR_MS);
    TimeRange::new(Timestamp::from_millis(hour_ms), end)
}

pub(crate) fn of(service: &str, stack: &str, start_ms: i64) -> Profile {
    let mut profile = profile::folded::from_folded(&format!("{stack} 3\n"));
    profile.labels = [("service_name", service), ("env", "prod")].into_iter().collect();
    let start = Timestamp::from_millis(start_ms);
    profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
    profile
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rollups_are_what_the_specification_says(
        profiles in prop::collection::vec(any_profile(), 1..10),
        prefix_share in prop::sample::select(vec![3, 20, 1_000, u64::MAX]),
        cells_max in prop::sample::select(vec![5, 60, 1 << 16]),
        layout in 0..3_u8,
    ) {
        run(async {
            let rollup_rules = Rules { prefix_share, function_share: 50, cells_max };
            let mut world = World::new(Options { rollup_rules, ..Options::default() });
            let half = profiles.len() / 2;
            for (at, profile) in profiles.iter().enumerate() {
                world.add(profile).await;
                if layout > 0 && at % 2 == 0 {
                    world.store.flush().await.expect("flushes");
                }
                if layout == 2 && at == half {
                    world.roll().await;
                    world.check("before late data").await;
                }
            }
            world.clock.advance(Duration::from_hours(48));
            while layout == 1 && world.store.compact_once().await.expect("compacts") {}
            world.roll().await;
            world.check("at the end").await;
            world.restart();
            world.check("after a restart").await;
            let checked = world.store.fsck().await.expect("checks");
            prop_assert_eq!(checked.problems, Vec::<String>::new());
            Ok(())
        })?;
    }

    #[test]
    fn what_is_pruned_early_for_its_size_adds_up_where_all_is_kept(
        profiles in prop::collection::vec(any_profile(), 2..10),
        rollup_cells_max in 0..30_usize,
        flushed in any::<bool>(),
    ) {
        run(async {
            let all = u64::MAX;
            let rollup_rules =
                Rules { prefix_share: all, function_share: all, cells_max: 1 << 16 };
            let mut world =
                World::new(Options { rollup_rules, rollup_cells_max, ..Options::default() });
            for mut profile in profiles {
                // What weighs nothing so far is nothing that is kept.
                for sample in &mut profile.samples {
                    sample.values = sample.values.map(|value| 1 + (value & 0xff));
                }
                world.add(&profile).await;
                if flushed {
                    world.store.flush().await.expect("flushes");
                }
            }
            world.roll().await;
            world.check("pruned early").await;
        });
    }
}

#[test]
fn an_hour_is_rolled_up_when_it_has_settled_and_opened_by_late_data() {
    run(async {
        let mut world = World::new(Options::default()).at(BASE_MS + HOUR_MS + 60_000);
        world.add(&of("shop", "main;a", BASE_MS + 1_000)).await;
        world.store.flush().await.expect("flushes");
        assert!(!world.store.roll_once().await.expect("looks"), "it may not be complete yet");
        world.clock.advance(Duration::from_mins(5));
        assert!(world.store.roll_once().await.expect("rolls up"));
        assert!(!world.store.roll_once().await.expect("looks"), "once is enough");
        world.check("settled").await;

        world.add(&of("shop", "main;late", BASE_MS + 5_000)).await;
        assert!(world.found(BASE_MS).await.is_none(), "samples must answer");
        world.store.flush().await.expect("flushes");
        world.restart();
        assert!(world.found(BASE_MS).await.is_none(), "still, after a restart");
        assert!(!world.store.roll_once().await.expect("looks"), "not all the time");
        world.roll().await;
        world.check("with the late data").await;
        assert_eq!(world.layer.list("rollups").expect("lists").len(), 1, "the old one is gone");
    });
}

#[test]
fn rollups_outlive_samples_and_late_data_is_added_to_them() {
    run(async {
        let retention = Duration::from_hours(24);
        let mut world = World::new(Options { retention, ..Options::default() });
        world.add(&of("shop", "main;a", BASE_MS + 1_000)).await;
        world.add(&of("bank", "main;b", BASE_MS + 2_000)).await;
        world.store.flush().await.expect("flushes");
        world.clock.advance(Duration::from_hours(48));
        // Not rolled up yet: that comes before anything is dropped.
        assert_eq!(world.store.retain_once().await.expect("drops"), 1);
        assert_eq!(world.store.stats().segments, 0);
        world.check("without samples").await;
        world.restart();
        world.check("after a restart").await;

        for (at, stack) in ["main;a", "main;c"].iter().enumerate() {
            world.add(&of("shop", stack, BASE_MS + 3_000 + at as i64)).await;
            world.store.flush().await.expect("flushes");
        }
        while world.store.compact_once().await.expect("compacts") {}
        world.roll().await;
        world.check("with late data").await;
        // Dropped again: what was added is not added twice.
        world.store.retain_once().await.expect("drops");
        assert_eq!(world.store.stats().segments, 0);
        world.roll().await;
        world.check("at the end").await;

        world.clock.advance(Duration::from_hours(91 * 24));
        world.store.pin("t", "kept", "bank", of_hour(BASE_MS)).await.expect("pins");
        world.store.roll_once().await.expect("looks");
        world.check("pinned").await;
        world.store.unpin("t", "kept").await.expect("removes");
        world.store.roll_once().await.expect("drops");
        assert!(world.found(BASE_MS).await.is_none());
        world.store.roll_once().await.expect("removes files");
        assert!(world.layer.list("rollups").expect("lists").is_empty());
    });
}

#[test]
fn a_deletion_hides_in_rollups_at_once_and_is_rewritten() {
    run(async {
        let retention = Duration::from_hours(24);
        let mut world = World::new(Options { retention, ..Options::default() });
        for (service, at) in [("shop", 0), ("bank", 1), ("bank", 2)] {
            world.add(&of(service, "main;a", BASE_MS + at * 20_000)).await;
        }
        world.roll().await;
        world.check("before").await;
        let selector = r#"{service_name="bank"}"#;
        let some = TimeRange::new(
            Timestamp::from_millis(BASE_MS + 40_000),
            Timestamp::from_millis(BASE_MS + 45_000),
        );
        world.store.delete("t", selector, some).await.expect("deletes");
        assert!(world.found(BASE_MS).await.is_none(), "samples must answer");
        world.store.delete_once().await.expect("rewrites");
        assert!(world.found(BASE_MS).await.is_none(), "still");
        world.restart();
        world.profiles.pop();
        world.roll().await;
        world.check("made anew").await;

        // Without samples, the whole hour of the series goes.
        world.clock.advance(Duration::from_hours(48));
        world.store.retain_once().await.expect("drops");
        assert_eq!(world.store.stats().segments, 0);
        world.check("sealed").await;
        world.store.delete("t", selector, of_hour(BASE_MS)).await.expect("deletes");
        world.profiles.pop();
        world.check("hidden at once").await;
        world.restart();
        world.check("after a restart").await;
        world.store.delete_once().await.expect("rewrites");
        world.check("rewritten").await;
        assert_eq!(world.store.stats().open_deletions, 0);
        let fits = Matcher::equal("service_name", "bank");
        let wanted = Wanted { matchers: vec![fits], ..Wanted::default() };
        let hours = world.store.hours("t", of_hour(BASE_MS));
        assert!(hours.ready[&BASE_MS].read(&wanted).await.expect("reads").is_empty());
    });
}

#[test]
fn backups_carry_rollups_and_what_is_still_to_be_rolled_up() {
    run(async {
        let retention = Duration::from_hours(24);
        let mut world = World::new(Options { retention, ..Options::default() });
        world.add(&of("shop", "main;a", BASE_MS + 1_000)).await;
        world.add(&of("shop", "main;b", BASE_MS + HOUR_MS + 1_000)).await;
        world.clock.advance(Duration::from_hours(48));
        world.store.flush().await.expect("flushes");
        world.store.retain_once().await.expect("drops");
        // One hour has a rollup only, one got late data, one is not rolled up yet.
        world.add(&of("shop", "main;late", BASE_MS + HOUR_MS + 2_000)).await;
        world.add(&of("shop", "main;c", BASE_MS + 2 * HOUR_MS)).await;
        let backup = world.store.backup(Some("t")).await.expect("starts");
        let mut archive = Vec::new();
        let mut put = |piece: bytes::Bytes| {
            archive.extend_from_slice(&piece);
            true
        };
        backup.write(&mut put).expect("writes");
        drop(backup);

        let mut other = World::new(world.options.clone());
        other.clock.advance(Duration::from_hours(48));
        other.profiles = world.profiles.clone();
        for _ in 0..2 {
            let archive = std::io::Cursor::new(archive.clone());
            other.store.restore(archive).await.expect("restores");
        }
        other.roll().await;
        other.check("restored").await;
        other.restart();
        other.check("after a restart").await;
        assert_eq!(other.store.fsck().await.expect("checks").problems, Vec::<String>::new());
    });
}

#[test]
fn fsck_finds_what_is_wrong_with_a_rollup() {
    run(async {
        let mut world = World::new(Options::default());
        world.add(&of("shop", "main;a", BASE_MS + 1_000)).await;
        world.roll().await;
        let checked = world.store.fsck().await.expect("checks");
        assert_eq!((checked.rollups, checked.problems.len()), (1, 0));
        let id = world.layer.list("rollups").expect("lists").remove(0);
        let path = format!("rollups/{id}/prefixes.parquet");
        world.layer.remove_file(&path).expect("removes");
        let mut file = world.layer.create(&path).expect("creates");
        file.append(b"PAR1").expect("writes");
        drop(file);
        let checked = world.store.fsck().await.expect("checks");
        assert!(checked.problems.iter().any(|text| text.contains("the catalog says")));
        assert!(checked.problems.iter().all(|text| text.contains(&id)), "{:?}", checked.problems);
    });
}

#[test]
fn a_store_that_was_made_before_there_were_rollups_gets_them() {
    run(async {
        let mut world =
            World::new(Options { rollup_retention: Duration::ZERO, ..Options::default() });
        world.add(&of("shop", "main;a", BASE_MS + 1_000)).await;
        world.roll().await;
        assert!(world.layer.list("rollups").expect("lists").is_empty(), "none are wanted");
        world.options.rollup_retention = Options::default().rollup_retention;
        world.restart();
        world.roll().await;
        world.check("afterwards").await;
    });
}

/// Cuts the power everywhere in the life of an hour. What is found afterwards is rolled up to the same.
#[test]
fn a_power_cut_anywhere_leaves_each_profile_in_its_hour_once() {
    let mut cuts = 0;
    for cut in 1.. {
        let is_over = run(async {
            let retention = Duration::from_hours(24);
            let mut world = World::new(Options { retention, ..Options::default() });
            world.layer = PowerLayer::new(cut, cut);
            let Ok(store) = try_open(&world) else { return false };
            world.store = store;
            let acknowledged = live(&mut world).await;
            let is_over = !world.layer.is_off();
            world.layer = world.layer.after_power_cut(u64::MAX);
            world.restart();
            world.roll().await;
            // An upload that was not acknowledged may be there or not.
            let mut all = acknowledged.clone();
            world.profiles.clone_from(&acknowledged);
            if !agrees(&world).await {
                all.extend(next_of(&acknowledged));
                world.profiles = all;
                world.check(&format!("cut {cut}")).await;
            }
            is_over
        });
        cuts += 1;
        if is_over {
            break;
        }
    }
    assert!(cuts > 60, "{cuts} places");
}

fn try_open(world: &World) -> Result<Arc<Store>, store::Error> {
    let shared: Arc<dyn FileLayer> = Arc::new(world.layer.clone());
    let (catalog, clock) = (Arc::clone(&world.catalog), Arc::clone(&world.clock));
    Store::open_parts(shared, catalog, world.options.clone(), clock, Rng::seeded(1))
}

/// The uploads of a life, in order.
fn uploads() -> Vec<Profile> {
    let stacks = ["main;a", "main;b", "main;a;c"];
    let one = |(at, stack): (usize, &&str)| of("shop", stack, BASE_MS + 1_000 * at as i64);
    stacks.iter().enumerate().map(one).collect()
}

/// The upload that comes after these.
fn next_of(acknowledged: &[(ProfileInfo, Profile)]) -> Option<(ProfileInfo, Profile)> {
    let profile = uploads().into_iter().nth(acknowledged.len())?;
    let at = Timestamp::from_millis(BASE_MS);
    Some((info_of(Ulid::from(99), "t", at, &profile), profile))
}

/// Rolled up, opened by late data, dropped by retention, late again. Gives what was acknowledged.
async fn live(world: &mut World) -> Vec<(ProfileInfo, Profile)> {
    let (store, clock) = (Arc::clone(&world.store), Arc::clone(&world.clock));
    let mut acknowledged = Vec::new();
    for (at, profile) in uploads().into_iter().enumerate() {
        if at == 2 {
            clock.advance(Duration::from_hours(48));
            let _ = store.retain_once().await;
        }
        let Ok(ids) = store.append("t", vec![profile.clone()]).await else { break };
        acknowledged.push((info_of(ids[0], "t", clock.now(), &profile), profile));
        let _ = store.flush().await;
        clock.advance(Duration::from_mins(6));
        let _ = store.roll_once().await;
    }
    let _ = store.retain_once().await;
    let _ = store.roll_once().await;
    acknowledged
}

async fn agrees(world: &World) -> bool {
    world.found(BASE_MS).await.unwrap_or_default() == world.expected(BASE_MS)
}
