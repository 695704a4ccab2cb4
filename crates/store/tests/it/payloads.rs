//! Uploads that are kept as they came: beside their profiles, no longer than those, and read again.

use crate::fault::Faulty;
use crate::reading::{contents, expected};
use crate::rollups::{World, of, of_hour, run};
use profile::Profile;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng, TimeRange, Ulid};
use store::{
    ErrorKind, FileLayer, NewPayload, Options, Outcome, PAYLOAD_INFO, Parsed, PayloadRule,
    RetentionRule, Store, payload_of,
};
use testkit::profiles::BASE_MS;
use views::naive::info_of;
use views::rollup::HOUR_MS;

fn rule(service: &str, bytes_max: u64) -> PayloadRule {
    let keep = Duration::from_hours(24 * 365);
    PayloadRule { tenant: None, service: service.to_owned(), keep, bytes_max }
}

fn options() -> Options {
    Options { payload_rules: vec![rule("shop*", 1 << 20)], ..Options::default() }
}

fn world() -> World {
    World::new(options())
}

fn payload(world: &World, body: &str) -> NewPayload {
    let body = body.as_bytes().to_vec().into();
    NewPayload { request: "as it came".to_owned(), body, received_at: world.clock.now() }
}

/// Appends an upload; the ids of its profiles.
async fn send(world: &mut World, profiles: &[Profile], body: &str) -> Vec<Ulid> {
    // Ids of one millisecond have no order.
    world.clock.advance(Duration::from_millis(1));
    let payload = payload(world, body);
    let rows = world.store.append_with("t", profiles.to_vec(), payload).await.expect("appends");
    for (row, profile) in rows.iter().zip(profiles).filter(|(row, _)| !row.is_repeat) {
        let info = info_of(row.id, "t", world.clock.now(), profile);
        world.profiles.push((info, profile.clone()));
    }
    rows.iter().map(|row| row.id).collect()
}

fn bodies(world: &World) -> Vec<String> {
    let rows = world.store.payloads("t");
    let body = |row: &_| world.store.read_payload(row).expect("reads").to_vec();
    rows.iter().map(|row| String::from_utf8(body(row)).expect("text")).collect()
}

fn files(world: &World) -> usize {
    world.layer.list("payloads").expect("lists").len()
}

/// The payload that a stored profile names.
async fn named(store: &Store, id: Ulid) -> Option<Ulid> {
    for part in store.snapshot("t", TimeRange::ALL).parts {
        let rows = part.profiles().await.expect("reads");
        if let Some(row) = rows.iter().find(|row| row.id == id) {
            return payload_of(&row.metadata);
        }
    }
    None
}

/// What is stored is exactly this.
async fn check(world: &World, wanted: &[(Ulid, &Profile)], when: &str) {
    let wanted = wanted.iter().map(|(id, profile)| (*id, expected(profile))).collect();
    assert_eq!(contents(&world.store, &world.layer, "t").await, wanted, "{when}");
}

#[test]
fn what_a_rule_names_is_kept_and_found_from_its_profiles() {
    run(async {
        let mut world = world();
        let both = [of("bank", "main;a", BASE_MS), of("shop-eu", "main;b", BASE_MS)];
        let ids = send(&mut world, &both, "one of them is asked for").await;
        let other = [of("bank", "main;d", BASE_MS)];
        let other = send(&mut world, &other, "nobody asks for this").await;
        assert_eq!(bodies(&world), ["one of them is asked for"]);
        for when in ["in memory", "in a segment", "after a restart"] {
            let row = &world.store.payloads("t")[0];
            assert_eq!(named(&world.store, ids[0]).await, Some(row.id), "{when}");
            assert_eq!(named(&world.store, ids[1]).await, Some(row.id), "{when}");
            assert_eq!(named(&world.store, other[0]).await, None, "{when}");
            assert_eq!((row.profiles, row.request.as_str()), (2, "as it came"));
            assert!(world.store.payload("u", row.id).is_none(), "it is the tenant's");
            world.store.flush().await.expect("flushes");
            if when == "in a segment" {
                world.restart();
            }
        }
        // Nobody else says which payload is whose.
        let mut liar = of("bank", "main;c", BASE_MS);
        let row = world.store.payloads("t")[0].id;
        let said = format!("{row} 0 {:032x}", 7);
        liar.metadata.info.push((PAYLOAD_INFO.to_owned(), said));
        let liar = world.store.append("t", vec![liar]).await.expect("appends")[0];
        assert_eq!(named(&world.store, liar).await, None);
    });
}

#[test]
fn the_oldest_go_for_room_and_what_is_too_large_is_not_kept() {
    run(async {
        let payload_rules = vec![rule("shop", 100), rule("cart", 100)];
        let mut world =
            World::new(Options { payload_rules, payload_bytes_max: 150, ..Options::default() });
        for at in 0..4 {
            let service = if at == 3 { "cart" } else { "shop" };
            let profile = of(service, "main;a", BASE_MS + at);
            send(&mut world, &[profile], &format!("{at}").repeat(45)).await;
        }
        let found: Vec<char> = bodies(&world).iter().filter_map(|it| it.chars().next()).collect();
        assert_eq!(found, ['1', '2', '3'], "the bound of its rule");
        send(&mut world, &[of("cart", "main;a", BASE_MS)], &"4".repeat(45)).await;
        let found: Vec<char> = bodies(&world).iter().filter_map(|it| it.chars().next()).collect();
        assert_eq!(found, ['2', '3', '4'], "the bound of all");
        send(&mut world, &[of("shop", "main;b", BASE_MS)], &"x".repeat(101)).await;
        let stats = world.store.stats();
        assert_eq!((stats.payloads, stats.payload_bytes, files(&world)), (3, 135, 3));
        let counted = (stats.payloads_kept, stats.payloads_dropped, stats.payloads_too_large);
        assert_eq!(counted, (5, 2, 1));
        let request = "x".repeat(store::limits::PAYLOAD_REQUEST_BYTES_MAX);
        let wordy = NewPayload { request, ..payload(&world, "5") };
        let profile = of("cart", "main;b", BASE_MS);
        world.store.append_with("t", vec![profile], wordy).await.expect("appends");
        assert_eq!(world.store.stats().payloads_too_large, 2, "what came beside counts as well");
    });
}

#[test]
fn a_retry_is_kept_once_however_it_was_packed() {
    run(async {
        let mut world = world();
        let profile = [of("shop", "main;a", BASE_MS)];
        let first = send(&mut world, &profile, "packed").await;
        for body in ["packed", "packed in another way"] {
            assert_eq!(send(&mut world, &profile, body).await, first);
            assert_eq!((bodies(&world), files(&world)), (vec!["packed".to_owned()], 1));
        }
        world.restart();
        assert_eq!(send(&mut world, &profile, "packed").await, first);
        // The same bytes of another time are two uploads and one file.
        let later = [of("shop", "main;a", BASE_MS + 60_000)];
        let second = send(&mut world, &later, "packed").await;
        assert_eq!((bodies(&world).len(), files(&world)), (2, 1));
        let selector = "{service_name=\"shop\"}";
        let minute = TimeRange::new(later[0].window.start, later[0].window.end);
        world.store.delete("t", selector, minute).await.expect("deletes");
        world.store.delete_once().await.expect("rewrites");
        assert_eq!((bodies(&world).len(), files(&world)), (1, 1), "the other one needs it");
        assert_ne!(first, second);
    });
}

#[test]
fn uploads_that_were_cut_off_leave_nothing() {
    run(async {
        let mut world = world();
        let ids = send(&mut world, &[of("shop", "main;a", BASE_MS)], "acknowledged").await;
        // As a power cut between the payload and its profiles leaves it, and one before its row.
        let mut row = world.catalog.payloads().expect("lists")[0].clone();
        row.id = Ulid::from(99 << 70);
        world.catalog.add_payloads(&[row]).expect("adds");
        let stray = format!("payloads/{}", "ab".repeat(32));
        world.layer.create(&stray).expect("creates").append(b"x").expect("appends");
        world.layer.create("payloads/notes.txt").expect("creates").append(b"x").expect("appends");
        world.restart();
        assert_eq!(bodies(&world), ["acknowledged"]);
        assert_eq!(files(&world), 2, "what is not named like a payload is left alone");
        assert!(named(&world.store, ids[0]).await.is_some());
        world.store.flush().await.expect("flushes");
        for _ in 0..2 {
            world.restart();
            assert_eq!(bodies(&world), ["acknowledged"]);
            world.store.retain_once().await.expect("settles");
        }
        assert!(world.catalog.payloads().expect("lists")[0].is_settled);
    });
}

/// The upload that a profile came with first goes with it; no other that holds it may be left.
#[test]
fn an_upload_that_is_new_only_in_part_is_not_kept() {
    run(async {
        let mut world = world();
        let secret = of("shop", "main;secret", BASE_MS);
        send(&mut world, std::slice::from_ref(&secret), "main;secret").await;
        let both = [secret, of("bank", "main;a", BASE_MS)];
        let ids = send(&mut world, &both, "main;secret main;a").await;
        assert_eq!((bodies(&world), files(&world)), (vec!["main;secret".to_owned()], 1));
        assert!(named(&world.store, ids[1]).await.is_some(), "it names what is not there");
        world.restart();
        world.store.delete("t", "{service_name=\"shop\"}", TimeRange::ALL).await.expect("deletes");
        world.store.flush().await.expect("flushes");
        world.store.delete_once().await.expect("rewrites");
        assert_eq!((bodies(&world).len(), files(&world)), (0, 0));
    });
}

#[test]
fn a_payload_goes_with_the_first_of_its_profiles() {
    run(async {
        let mut world = world();
        let both = [of("shop", "main;a", BASE_MS), of("bank", "main;secret", BASE_MS)];
        let ids = send(&mut world, &both, "main;a main;secret").await;
        send(&mut world, &[of("shop", "main;c", BASE_MS)], "another").await;
        let selector = "{service_name=\"bank\"}";
        let rows = world.store.payloads("t");
        world.store.delete("t", selector, TimeRange::ALL).await.expect("deletes");
        assert!(world.store.payload("t", rows[0].id).is_none(), "not shown from now on");
        assert!(world.store.payload("t", rows[1].id).is_some(), "it holds nothing of that");
        world.store.delete_once().await.expect("rewrites");
        assert_eq!((bodies(&world), files(&world)), (vec!["another".to_owned()], 1));
        let left = named(&world.store, ids[0]).await.expect("its sibling names it");
        assert!(world.store.payload("t", left).is_none(), "and it is gone");
        world.restart();
        assert_eq!(bodies(&world), ["another"]);
        assert!(world.store.fsck().await.expect("checks").problems.is_empty());
    });
}

#[test]
fn age_and_budget_take_payloads_too() {
    run(async {
        let brief = RetentionRule {
            service: Some("brief".to_owned()),
            keep: Duration::from_hours(5),
            ..RetentionRule::default()
        };
        let short = PayloadRule { keep: Duration::from_hours(1), ..rule("shop-s", 1 << 20) };
        let mut world = World::new(Options {
            payload_rules: vec![short, rule("*", 1 << 20)],
            retention_rules: vec![brief],
            ..Options::default()
        });
        send(&mut world, &[of("shop-s", "main;a", BASE_MS)], "short").await;
        let mixed = [of("shop", "main;b", BASE_MS), of("brief", "main;b", BASE_MS)];
        send(&mut world, &mixed, "mixed").await;
        send(&mut world, &[of("shop", "main;c", BASE_MS)], "long").await;
        world.store.flush().await.expect("flushes");
        world.clock.advance(Duration::from_hours(2));
        world.store.retain_once().await.expect("drops");
        assert_eq!(bodies(&world), ["mixed", "long"], "too old itself");
        world.clock.advance(Duration::from_hours(6));
        world.store.retain_once().await.expect("drops");
        assert_eq!(bodies(&world), ["long"], "one of its profiles is too old");
        let stats = world.store.stats();
        let budget = stats.segment_bytes + stats.rollup_bytes + stats.wal_bytes;
        world.options.disk_budget_bytes = Some(budget);
        world.restart();
        world.store.retain_once().await.expect("drops");
        assert_eq!(bodies(&world), [""; 0]);
        assert_eq!(world.store.stats().segment_profiles, 3, "profiles are worth more");

        send(&mut world, &[of("shop", "main;d", BASE_MS)], "new").await;
        world.options.payload_rules.clear();
        world.options.disk_budget_bytes = None;
        world.restart();
        assert_eq!(bodies(&world), ["new"]);
        world.store.retain_once().await.expect("drops");
        assert_eq!(bodies(&world), [""; 0], "no rule asks for it any more");
    });
}

#[test]
fn backups_and_checks_know_payloads() {
    run(async {
        let mut world = world();
        let ids = send(&mut world, &[of("shop", "main;a", BASE_MS)], "as it came").await;
        let backup = world.store.backup(Some("t")).await.expect("begins");
        let mut bytes = Vec::new();
        let mut put = |piece: bytes::Bytes| {
            bytes.extend_from_slice(&piece);
            true
        };
        backup.write(&mut put).expect("writes");
        let target = World::new(options());
        for added in [1, 0] {
            let done = target.store.restore(Cursor::new(bytes.clone())).await.expect("restores");
            assert_eq!(done.payloads, added);
        }
        assert_eq!(bodies(&target), ["as it came"]);
        assert_eq!(target.store.payloads("t")[0].id, named(&target.store, ids[0]).await.unwrap());
        assert!(target.store.fsck().await.expect("checks").problems.is_empty());

        let path = format!("payloads/{}", target.layer.list("payloads").expect("lists")[0]);
        target.layer.remove_file(&path).expect("removes");
        let mut file = target.layer.create(&path).expect("creates");
        file.append(b"as it was").expect("appends");
        let row = &target.store.payloads("t")[0];
        assert!(target.store.read_payload(row).is_err(), "damage is not handed out");
        let problems = target.store.fsck().await.expect("checks").problems;
        assert!(problems[0].contains("not those that came"), "{problems:?}");
        target.layer.remove_file(&path).expect("removes");
        let problems = target.store.fsck().await.expect("checks").problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        // A damaged archive is refused whole.
        let at = bytes.windows(10).position(|it| it == b"as it came").expect("the body");
        bytes[at] ^= 1;
        let empty = World::new(options());
        empty.store.restore(Cursor::new(bytes)).await.expect_err("is damaged");
        assert!(empty.store.payloads("t").is_empty());
    });
}

/// Reads the only payload again.
async fn reparse(world: &World, profiles: Vec<Profile>, is_dry_run: bool) -> Outcome {
    let payload = world.store.payloads("t")[0].id;
    let parsed = vec![Parsed { payload, profiles }];
    let found = world.store.reparse("t", parsed, is_dry_run).await.expect("reads again");
    found[0].outcome
}

#[test]
fn reading_again_replaces_profiles_under_their_ids() {
    run(async {
        let mut world = world();
        let old = [of("shop", "main;a", BASE_MS), of("shop", "main;b", BASE_MS + 1_000)];
        let beside = of("bank", "main;z", BASE_MS);
        let other = world.add(&beside).await;
        let ids = send(&mut world, &old, "two").await;
        assert_eq!(reparse(&world, old.to_vec(), false).await, Outcome::Same);
        assert_eq!(world.store.stats().rewrites, 0, "nothing is written for nothing");
        assert_eq!(reparse(&world, Vec::new(), false).await, Outcome::Empty);

        let new: Vec<Profile> = ["main;a;x", "main;b;y", "main;c"]
            .iter()
            .map(|stack| of("shop", stack, BASE_MS + 2_000))
            .collect();
        assert_eq!(reparse(&world, new.clone(), true).await, Outcome::Replaced);
        check(&world, &[(other, &beside), (ids[0], &old[0]), (ids[1], &old[1])], "dry").await;
        assert_eq!(reparse(&world, new.clone(), false).await, Outcome::Replaced);
        let found = contents(&world.store, &world.layer, "t").await;
        let fresh = *found.keys().find(|id| **id != other && !ids.contains(id)).expect("a third");
        let wanted = [(other, &beside), (ids[0], &new[0]), (ids[1], &new[1]), (fresh, &new[2])];
        check(&world, &wanted, "replaced").await;
        world.restart();
        check(&world, &wanted, "after a restart").await;
        assert_eq!(world.store.payloads("t")[0].profiles, 3);
        assert_eq!(reparse(&world, new.clone(), false).await, Outcome::Same);
        // What a client repeats is what the store has now.
        assert_eq!(reparse(&world, new[..1].to_vec(), false).await, Outcome::Replaced);
        check(&world, &[(other, &beside), (ids[0], &new[0])], "fewer").await;
        let again = world.store.append_once("t", new[..1].to_vec()).await.expect("appends");
        assert!(again[0].is_repeat && again[0].id == ids[0]);
        world.restart();
        let again = world.store.append_once("t", new[..1].to_vec()).await.expect("appends");
        assert!(again[0].is_repeat && again[0].id == ids[0], "not even after a restart");
        assert!(world.store.fsck().await.expect("checks").problems.is_empty());
    });
}

#[test]
fn without_room_for_both_nothing_is_read_again() {
    run(async {
        let mut world = world();
        let old = of("shop", "main;a", BASE_MS);
        let ids = send(&mut world, std::slice::from_ref(&old), "one").await;
        world.store.flush().await.expect("flushes");
        let full = Faulty::over(world.layer.clone());
        let layer: Arc<dyn FileLayer> = Arc::new(full.clone());
        let (catalog, clock) = (Arc::clone(&world.catalog), Arc::clone(&world.clock));
        let options = world.options.clone();
        world.store =
            Store::open_parts(layer, catalog, options, clock, Rng::seeded(1)).expect("opens");
        full.set_free(Some(store::limits::DISK_RESERVE_BYTES));
        let new = vec![of("shop", "main;a;x", BASE_MS)];
        let parsed =
            || vec![Parsed { payload: world.store.payloads("t")[0].id, profiles: new.clone() }];
        let error = world.store.reparse("t", parsed(), false).await.expect_err("no room");
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
        check(&world, &[(ids[0], &old)], "as before").await;
        full.set_free(None);
        world.store.reparse("t", parsed(), false).await.expect("room again");
        check(&world, &[(ids[0], &new[0])], "with room").await;
    });
}

#[test]
fn what_is_not_whole_any_more_stays_as_it_is() {
    run(async {
        let mut world = world();
        let old = [of("shop", "main;a", BASE_MS), of("bank", "main;b", BASE_MS)];
        let ids = send(&mut world, &old, "two").await;
        let payload = world.store.payloads("t")[0].id;
        let new = vec![of("shop", "main;a;x", BASE_MS), of("other", "main;b", BASE_MS)];
        let parsed = || vec![Parsed { payload, profiles: new.clone() }];
        let outcome = async |world: &World, tenant: &str| {
            let found = world.store.reparse(tenant, parsed(), false).await.expect("reads again");
            found[0].outcome
        };
        assert_eq!(outcome(&world, "u").await, Outcome::Gone, "another tenant's");
        let selector = "{service_name=\"bank\"}";
        world.store.delete("t", selector, TimeRange::ALL).await.expect("deletes");
        assert_eq!(outcome(&world, "t").await, Outcome::Incomplete, "one is hidden");
        check(&world, &[(ids[0], &old[0])], "it does not come back under another name").await;
        world.store.delete_once().await.expect("rewrites");
        assert_eq!(outcome(&world, "t").await, Outcome::Gone);
        check(&world, &[(ids[0], &old[0])], "at the end").await;
    });
}

#[test]
fn hours_are_rolled_up_again_and_sealed_ones_left_alone() {
    run(async {
        let brief = RetentionRule {
            service: Some("brief".to_owned()),
            keep: Duration::from_hours(12),
            ..RetentionRule::default()
        };
        let mut world = World::new(Options { retention_rules: vec![brief], ..options() });
        world.add(&of("brief", "main;z", BASE_MS)).await;
        send(&mut world, &[of("shop", "main;a", BASE_MS)], "one").await;
        world.roll().await;
        world.check("before").await;
        // To the next hour, and back.
        for start_ms in [BASE_MS + HOUR_MS + 1_000, BASE_MS + 1_000] {
            let new = of("shop", "main;a;x", start_ms);
            assert_eq!(reparse(&world, vec![new.clone()], false).await, Outcome::Replaced);
            assert!(world.found(BASE_MS).await.is_none(), "its hour is open again");
            let at = world.profiles.len() - 1;
            let id = world.profiles[at].0.id;
            world.profiles[at] = (info_of(id, "t", world.clock.now(), &new), new);
            world.roll().await;
            world.check("rolled up again").await;
        }

        world.clock.advance(Duration::from_hours(24));
        world.store.retain_once().await.expect("drops what is brief");
        world.check("without some samples").await;
        let newer = of("shop", "main;a;y", BASE_MS + 1_000);
        assert_eq!(reparse(&world, vec![newer], false).await, Outcome::Sealed);
        world.roll().await;
        world.check("as it was").await;
        assert!(world.store.hours("t", of_hour(BASE_MS)).ready.contains_key(&BASE_MS));
    });
}
