//! What runtimes tell goes the way of the profile it came with: durable before that is acknowledged,
//! there once, in segments of its own, gone when it is to go.

use crate::power::PowerLayer;
use crate::spans::{HOUR_MS, World, holds, open, options, run};
use catalog::{Catalog, Content};
use profile::{Profile, RuntimeEvent};
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use stdx::{ManualClock, TimeRange, Timestamp};
use store::{FileLayer, Options, RetentionRule, Store};
use testkit::events::any_telling;
use testkit::profiles::BASE_MS;

fn line(labels: &profile::Labels, event: &RuntimeEvent) -> String {
    format!("{labels:?} {event:?}")
}

async fn shown(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for part in store.event_parts("t", TimeRange::ALL) {
        let found = part.all().await.expect("reads");
        lines.extend(found.iter().map(|info| line(&info.labels, &info.event)));
    }
    lines.sort_unstable();
    lines
}

fn lines(profiles: &[Profile]) -> Vec<String> {
    let of = |profile: &Profile| -> Vec<String> {
        profile.events.iter().map(|event| line(&profile.labels, event)).collect()
    };
    let mut lines: Vec<String> = profiles.iter().flat_map(of).collect();
    lines.sort_unstable();
    lines
}

/// What makes two generated profiles the same upload.
fn is_same(a: &Profile, b: &Profile) -> bool {
    let shown = |it: &Profile| format!("{:?} {:?} {:?}", it.labels, it.samples, it.events);
    shown(a) == shown(b)
}

async fn add(store: &Store, profile: &Profile) -> bool {
    store.append_once("t", vec![profile.clone()]).await.expect("appends")[0].is_repeat
}

fn pause(name: &str, start_ms: i64) -> RuntimeEvent {
    RuntimeEvent {
        category: "gc".into(),
        name: name.into(),
        start: Timestamp::from_millis(start_ms),
        duration_nanos: 5_000_000,
        reading: None,
        attributes: vec![("cause".into(), name.into())],
    }
}

fn reading(name: &str, start_ms: i64) -> RuntimeEvent {
    let time = Timestamp::from_millis(start_ms);
    RuntimeEvent::point(name.into(), "part".into(), time, 0.25).expect("finite")
}

/// A profile with one event.
fn telling(service: &str, event: RuntimeEvent) -> Profile {
    let mut profile = profile::folded::from_folded("main;run 3\n");
    profile.labels = [("service_name", service), ("env", "prod")].into_iter().collect();
    let end = event.start.plus_nanos(10_000_000);
    profile.window = TimeRange::new(event.start, end);
    profile.events = vec![event];
    profile
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_event_survives_flush_compaction_and_restart(
        profiles in prop::collection::vec(any_telling(), 1..12),
    ) {
        run(async {
            let mut world = World::new(options());
            let mut stored: Vec<Profile> = Vec::new();
            for (at, profile) in profiles.iter().enumerate() {
                let known = stored.iter().any(|one| is_same(one, profile));
                assert_eq!(add(&world.store, profile).await, known, "the same is a repeat");
                if !known {
                    stored.push(profile.clone());
                }
                assert_eq!(shown(&world.store).await, lines(&stored), "at once");
                if at % 3 == 1 {
                    world.store.flush().await.expect("flushes");
                }
                if at % 4 == 3 {
                    world.restart();
                    assert!(add(&world.store, profile).await, "a repeat after a restart");
                }
            }
            world.restart();
            assert_eq!(shown(&world.store).await, lines(&stored), "from the log");
            world.store.flush().await.expect("flushes");
            while world.store.compact_once().await.expect("compacts") {}
            assert_eq!(shown(&world.store).await, lines(&stored), "compacted");
            let has_events = !lines(&stored).is_empty();
            let segments = world.segments();
            let of_events = segments.iter().filter(|content| **content == Content::Events);
            assert_eq!(of_events.count(), usize::from(has_events), "{segments:?}");
            world.restart();
            assert_eq!(shown(&world.store).await, lines(&stored), "after all");
            let found = world.store.fsck().await.expect("checks");
            assert!(found.problems.is_empty() && found.unknown.is_empty(), "{found:?}");
            assert_eq!(found.events as usize, lines(&stored).len());
            assert_eq!(found.profiles as usize, stored.len());
        });
    }

    #[test]
    fn what_was_acknowledged_survives_a_power_cut_once(
        seed in any::<u64>(), cut in 1..120_u64,
        profiles in prop::collection::vec(any_telling(), 1..10),
    ) {
        run(async {
            let layer = PowerLayer::new(seed, cut);
            let catalog = Arc::new(Catalog::open_in_memory().expect("opens"));
            let now = Timestamp::from_millis(BASE_MS + 30 * HOUR_MS);
            let clock = Arc::new(ManualClock::new(now));
            let mut known: Vec<Profile> = Vec::new();
            let learn = |known: &mut Vec<Profile>, profile: &Profile| {
                if !known.iter().any(|one| is_same(one, profile)) {
                    known.push(profile.clone());
                }
            };
            if let Ok(store) = open(&layer, &catalog, &clock, &options()) {
                for (at, profile) in profiles.iter().enumerate() {
                    match store.append_once("t", vec![profile.clone()]).await {
                        Ok(_) => learn(&mut known, profile),
                        Err(_) => break,
                    }
                    if at % 3 == 2 && store.flush().await.is_err() {
                        break;
                    }
                    if at % 5 == 4 && store.compact_once().await.is_err() {
                        break;
                    }
                }
            }
            let layer = layer.after_power_cut(u64::MAX);
            let store = open(&layer, &catalog, &clock, &options()).expect("opens after the cut");
            let found = shown(&store).await;
            for wanted in lines(&known) {
                assert!(found.contains(&wanted), "acknowledged and gone: {wanted}");
            }
            // What got no answer may be there; its client sends it again.
            for profile in &profiles {
                add(&store, profile).await;
                learn(&mut known, profile);
            }
            assert_eq!(shown(&store).await, lines(&known));
            store.flush().await.expect("flushes");
            assert_eq!(shown(&store).await, lines(&known), "flushed");
        });
    }
}

#[test]
fn events_lie_in_segments_of_their_own_and_are_counted() {
    run(async {
        let world = World::new(options());
        let mut profile = telling("shop", pause("young", BASE_MS));
        profile.events.push(reading("cpu", BASE_MS));
        add(&world.store, &profile).await;
        world.store.flush().await.expect("flushes");
        assert_eq!(world.segments(), [Content::Events, Content::Profiles]);
        let stats = world.store.stats();
        assert_eq!((stats.events, stats.event_segments, stats.event_rows), (2, 1, 2));
        assert_eq!((stats.segments, stats.segment_profiles, stats.wal_bytes), (1, 1, 0));
        assert!(world.layer.list("wal").expect("lists").is_empty());
    });
}

#[test]
fn a_deletion_hides_events_at_once_and_leaves_no_name_behind() {
    run(async {
        let mut world = World::new(options());
        let keep = [
            telling("shop", pause("visible_a", BASE_MS)),
            telling("bank", pause("later_d", BASE_MS + HOUR_MS)),
        ];
        add(&world.store, &keep[0]).await;
        add(&world.store, &telling("bank", pause("secret_b", BASE_MS))).await;
        world.store.flush().await.expect("flushes");
        add(&world.store, &keep[1]).await;
        add(&world.store, &telling("bank", pause("secret_c", BASE_MS + 1))).await;
        let end = Timestamp::from_millis(BASE_MS + 60_000);
        let range = TimeRange::new(Timestamp::from_millis(BASE_MS), end);
        world.store.delete("t", "{service_name=\"bank\"}", range).await.expect("deletes");
        assert_eq!(shown(&world.store).await, lines(&keep), "hidden at once");
        world.restart();
        assert_eq!(shown(&world.store).await, lines(&keep), "hidden after a restart");
        while world.store.delete_once().await.expect("rewrites") > 0 {}
        assert_eq!(shown(&world.store).await, lines(&keep), "rewritten");
        world.store.retain_once().await.expect("removes files");
        let files = world.files();
        assert!(holds(&files, "visible_a") && !holds(&files, "secret_"));
        assert!(world.store.deletions().await.expect("lists")[0].done_at.is_some());
        // The same again is meant to be there again.
        let again = telling("bank", pause("secret_b", BASE_MS));
        assert!(!add(&world.store, &again).await, "not a repeat of what was deleted");
    });
}

#[test]
fn rules_and_the_budget_drop_events_and_readings_and_pins_keep_them() {
    run(async {
        let rule = |kind: &str, hours| RetentionRule {
            kind: Some(kind.to_owned()),
            keep: Duration::from_hours(hours),
            ..RetentionRule::default()
        };
        let retention_rules = vec![rule("events", 40), rule("metrics", 2)];
        let mut world = World::new(Options { retention_rules, ..options() });
        let mut both = telling("shop", pause("stays", BASE_MS));
        both.events.push(reading("goes", BASE_MS));
        add(&world.store, &both).await;
        world.store.flush().await.expect("flushes");
        let stays = [telling("shop", pause("stays", BASE_MS))];
        world.store.retain_once().await.expect("retains");
        assert_eq!(shown(&world.store).await, lines(&stays), "readings have a rule of their own");
        world.restart();
        assert_eq!(shown(&world.store).await, lines(&stays));
        let start = Timestamp::from_millis(BASE_MS);
        let range = TimeRange::new(start, start.plus_nanos(1_000_000));
        world.store.pin("t", "incident", "shop", range).await.expect("pins");
        world.clock.advance(Duration::from_hours(20));
        world.options.disk_budget_bytes = Some(1);
        world.restart();
        world.store.retain_once().await.expect("retains");
        assert_eq!(shown(&world.store).await, lines(&stays), "pinned, whatever the budget");
        world.store.unpin("t", "incident").await.expect("unpins");
        world.store.retain_once().await.expect("retains");
        assert!(shown(&world.store).await.is_empty() && world.segments().is_empty());
    });
}

#[test]
fn a_backup_brings_events_to_another_store() {
    run(async {
        let world = World::new(options());
        let all = [telling("shop", pause("a", BASE_MS)), telling("bank", reading("b", BASE_MS))];
        for profile in &all {
            add(&world.store, profile).await;
        }
        let mut archive = Vec::new();
        let backup = world.store.backup(None).await.expect("backs up");
        let put = &mut |piece: bytes::Bytes| {
            archive.extend_from_slice(&piece);
            true
        };
        backup.write(put).expect("writes");
        let mut other = World::new(options());
        for known in [0, 2] {
            let restored = other.store.restore(Cursor::new(archive.clone())).await;
            let restored = restored.expect("restores");
            assert_eq!((restored.segments, restored.known), (2, known));
            assert_eq!(shown(&other.store).await, lines(&all));
        }
        other.restart();
        assert_eq!(shown(&other.store).await, lines(&all));
    });
}

#[test]
fn damage_of_a_file_of_events_is_found() {
    run(async {
        let world = World::new(options());
        add(&world.store, &telling("shop", pause("a", BASE_MS))).await;
        world.store.flush().await.expect("flushes");
        let rows = world.catalog.live().expect("lists");
        let events = rows.iter().find(|row| row.content == Content::Events).expect("a segment");
        let path = format!("segments/{}/events.parquet", events.id);
        let file = world.layer.read(&path).expect("reads").to_vec();
        world.layer.remove_file(&path).expect("removes");
        let mut new = world.layer.create(&path).expect("creates");
        new.append(&file[..file.len() / 2]).expect("writes");
        let found = world.store.fsck().await.expect("checks");
        assert!(!found.problems.is_empty());
    });
}
