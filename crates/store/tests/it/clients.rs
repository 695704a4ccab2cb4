//! What clients sent, heard and may therefore expect: the model that power cuts and faults are
//! checked against.

use crate::reading::{Contents, expected};
use crate::tracers::Tracers;
use profile::Profile;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, ManualClock, Rng, TimeRange, Timestamp, Ulid};
use store::{ErrorKind, NewPayload, Options, Outcome, Parsed, PayloadRule, RetentionRule, Store};

/// Whose profiles they are.
pub(crate) const TENANT: &str = "t";
/// Kept for so short a time that retention may drop it whenever it runs.
const BRIEF: &str = "brief";
/// The same, but pinned before the first of it is sent.
const KEPT: &str = "kept";
const PIN: &str = "everything of it";
/// Uploads with some of this are kept as they came.
const UPLOADS: &str = "s1";
/// Services that are sent, and deleted now and then.
const SERVICES: u64 = 5;

/// Settings under which what is brief is always due, and nothing else ever.
pub(crate) fn options() -> Options {
    let rule = |service: &str| RetentionRule {
        service: Some(service.to_owned()),
        keep: Duration::from_hours(1),
        ..RetentionRule::default()
    };
    let uploads = PayloadRule {
        tenant: None,
        service: UPLOADS.to_owned(),
        keep: Duration::from_hours(24 * 365),
        bytes_max: 1 << 30,
    };
    Options {
        retired_grace: Duration::ZERO,
        payload_rules: vec![uploads],
        retention_rules: vec![rule(BRIEF), rule(KEPT)],
        ..Options::default()
    }
}

/// Two days after the profiles, so that any two segments are worth compacting.
pub(crate) fn clock() -> Arc<ManualClock> {
    let now = testkit::profiles::BASE_MS + 2 * 24 * 3_600_000;
    Arc::new(ManualClock::new(Timestamp::from_millis(now)))
}

/// A pool of small profiles.
pub(crate) fn pool() -> Vec<Profile> {
    let mut runner = TestRunner::deterministic();
    let any = |_| testkit::profiles::any_profile().new_tree(&mut runner).expect("one").current();
    let mut pool: Vec<Profile> = (0..24).map(any).collect();
    for profile in &mut pool {
        profile.samples.truncate(3);
    }
    pool
}

/// What clients sent and heard.
#[derive(Default)]
pub(crate) struct Clients {
    acknowledged: Contents,
    /// What is there or dropped by retention.
    brief: Contents,
    /// The last upload that was answered, and with which ids.
    answered: Option<(Vec<Profile>, Vec<Ulid>)>,
    /// Uploads without an answer; their clients send them again when they can.
    unanswered: Vec<Vec<Profile>>,
    sent: u64,
    pub(crate) repeats: u64,
    /// Services whose deletion was asked for and not acknowledged.
    undeleted: Vec<String>,
    pub(crate) gone: u64,
    /// Acknowledged uploads that are to be kept, by their bodies.
    kept: BTreeMap<Vec<u8>, (Vec<Profile>, Vec<Ulid>)>,
    /// What was read again without an answer: all of one is so, or nothing of it.
    reread: Vec<Contents>,
    rereads: u64,
    /// Uploads that were read again.
    pub(crate) reparsed: u64,
    is_pinned: bool,
    /// Pins of which it is known whether they are there.
    pins: BTreeMap<String, bool>,
    pub(crate) tracers: Tracers,
}

fn is_same(a: &[Profile], b: &[Profile]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.metadata.client == b.metadata.client)
}

/// What is sent with profiles that are to be kept as they came.
fn body_of(profiles: &[Profile]) -> Option<Vec<u8>> {
    let is_asked_for = |one: &Profile| one.labels.get("service_name") == Some(UPLOADS);
    let first = profiles.first().filter(|_| profiles.iter().any(is_asked_for))?;
    Some(format!("the body of {}", first.metadata.client).into_bytes())
}

impl Clients {
    /// Profiles that were acknowledged, those deleted since included.
    pub(crate) fn known(&self) -> u64 {
        (self.acknowledged.len() + self.brief.len()) as u64 + self.gone
    }

    /// An upload of profiles like no other.
    fn next(&mut self, rng: &mut Rng, pool: &[Profile]) -> Vec<Profile> {
        let count = 1 + rng.below(2);
        let one = |_| {
            let mut profile = pool[rng.below(pool.len() as u64) as usize].clone();
            self.sent += 1;
            profile.metadata.client = format!("upload {}", self.sent);
            let service = match self.sent % 8 {
                5 => BRIEF.to_owned(),
                6 if self.is_pinned => KEPT.to_owned(),
                other => format!("s{}", other % SERVICES),
            };
            profile.labels.set("service_name", service);
            profile
        };
        (0..count).map(one).collect()
    }

    async fn send(&mut self, store: &Store, profiles: Vec<Profile>) {
        let body = body_of(&profiles);
        let sent = match &body {
            None => store.append_once(TENANT, profiles.clone()).await,
            Some(body) => {
                let (body, received_at) = (body.clone().into(), clock().now());
                let payload = NewPayload { request: String::new(), body, received_at };
                store.append_with(TENANT, profiles.clone(), payload).await
            }
        };
        let Ok(appended) = sent else {
            // Who has an answer already does not mind.
            if self.answered.as_ref().is_none_or(|(sent, _)| !is_same(sent, &profiles)) {
                self.unanswered.push(profiles);
            }
            return;
        };
        self.repeats += appended.iter().filter(|row| row.is_repeat).count() as u64;
        let ids: Vec<Ulid> = appended.iter().map(|row| row.id).collect();
        let before = self.answered.as_ref().filter(|(sent, _)| is_same(sent, &profiles));
        if let Some((_, before)) = before {
            assert_eq!(ids, *before, "a retry has the first one's ids");
        } else {
            for (id, profile) in ids.iter().zip(&profiles) {
                let is_brief = profile.labels.get("service_name") == Some(BRIEF);
                let to = if is_brief { &mut self.brief } else { &mut self.acknowledged };
                // One that was sent before may have been read again since.
                to.entry(*id).or_insert_with(|| expected(profile));
            }
            if let Some(body) = body {
                self.kept.insert(body, (profiles.clone(), ids.clone()));
            }
        }
        self.answered = Some((profiles, ids));
    }

    /// Deletes everything of a service.
    async fn delete(&mut self, store: &Store, service: String) {
        let selector = format!("{{service_name=\"{service}\"}}");
        // A retry would store anew what is gone.
        self.answered = None;
        if store.delete(TENANT, &selector, TimeRange::ALL).await.is_err() {
            self.undeleted.push(service);
            return;
        }
        let before = self.acknowledged.len();
        let head = format!("profile Some(\"{service}\")");
        self.acknowledged.retain(|_, lines| !lines.iter().any(|line| line.starts_with(&head)));
        self.gone += (before - self.acknowledged.len()) as u64;
    }

    /// Reads an upload again, with a decoder that finds less in it.
    async fn reparse(&mut self, store: &Store, rng: &mut Rng) {
        let rows = store.payloads(TENANT);
        let Some(row) = rows.get(rng.below(rows.len().max(1) as u64) as usize) else { return };
        let Ok(body) = store.read_payload(row) else { return };
        let Some((profiles, ids)) = self.kept.get(&body[..]).cloned() else { return };
        self.rereads += 1;
        let again = |profile: &Profile| {
            let mut profile = profile.clone();
            profile.metadata.client =
                format!("{}, read again {}", profile.metadata.client, self.rereads);
            profile.samples.truncate(1);
            profile
        };
        let profiles: Vec<Profile> = profiles.iter().map(again).collect();
        let read: Contents = ids.iter().copied().zip(profiles.iter().map(expected)).collect();
        let parsed = vec![Parsed { payload: row.id, profiles }];
        match store.reparse(TENANT, parsed, false).await {
            Ok(found) if found[0].outcome == Outcome::Replaced => {
                self.reread.retain(|other| other.keys().all(|id| !read.contains_key(id)));
                self.acknowledged = known_as(&self.acknowledged, &read);
                self.brief = known_as(&self.brief, &read);
                self.reparsed += 1;
            }
            Ok(_) => {}
            Err(_) => self.reread.push(read),
        }
    }

    /// What is to be there, after what was read again without an answer and is there.
    fn resolved(&self, found: &Contents) -> [Contents; 2] {
        let mut wanted = [self.acknowledged.clone(), self.brief.clone()];
        for read in &self.reread {
            if read.iter().any(|(id, lines)| found.get(id) == Some(lines)) {
                wanted = wanted.map(|wanted| known_as(&wanted, read));
            }
        }
        wanted
    }

    /// Of every upload to be kept of which nothing was deleted or dropped, its body is there; when all
    /// that was to be done is done, no other is.
    pub(crate) fn check_payloads(&self, store: &Store, is_settled: bool, when: &str) {
        let read = |row: &_| store.read_payload(row).expect("its file is there").to_vec();
        let there: BTreeSet<Vec<u8>> = store.payloads(TENANT).iter().map(|row| read(row)).collect();
        let mut whole = 0;
        for (body, (_, ids)) in &self.kept {
            let is_whole = ids.iter().all(|id| self.acknowledged.contains_key(id));
            whole += usize::from(is_whole);
            let text = String::from_utf8_lossy(body);
            assert!(!is_whole || there.contains(body), "{when}: {text} is not there");
        }
        assert!(!is_settled || there.len() == whole, "{when}: {} of {whole}", there.len());
    }

    /// Pins what is to be kept, or learns that it is pinned.
    async fn pin_kept(&mut self, store: &Store) {
        if !self.is_pinned {
            self.is_pinned = pin(store, PIN).await == Some(true);
        }
    }

    async fn change_pin(&mut self, store: &Store, rng: &mut Rng) {
        let name = format!("pin {}", rng.below(3));
        let is_there = if rng.chance(1, 2) {
            pin(store, &name).await
        } else {
            store.unpin(TENANT, &name).await.ok().map(|_| false)
        };
        match is_there {
            Some(is_there) => drop(self.pins.insert(name, is_there)),
            None => drop(self.pins.remove(&name)),
        }
    }

    /// What clients do when the store is back.
    pub(crate) async fn try_again(&mut self, store: &Store) {
        self.pin_kept(store).await;
        for service in std::mem::take(&mut self.undeleted) {
            self.delete(store, service).await;
        }
        for profiles in std::mem::take(&mut self.unanswered) {
            self.send(store, profiles).await;
        }
        self.tracers.try_again(store).await;
    }

    /// One thing that clients or the store itself do.
    pub(crate) async fn step(&mut self, store: &Store, rng: &mut Rng, pool: &[Profile]) {
        match rng.below(19) {
            0..5 => {
                let profiles = self.next(rng, pool);
                self.send(store, profiles).await;
            }
            5 => {
                if let Some((profiles, _)) = self.answered.clone() {
                    self.send(store, profiles).await;
                }
            }
            6..8 => drop(store.flush().await),
            8..11 => drop(store.compact_once().await),
            11 => drop(store.delete_once().await),
            12 => self.delete(store, format!("s{}", rng.below(SERVICES))).await,
            13 => self.change_pin(store, rng).await,
            14..16 => self.reparse(store, rng).await,
            16..18 => self.tracers.step(store, rng).await,
            _ => drop(store.retain_once().await),
        }
    }

    /// Everything acknowledged is there once as it was sent, and nothing else is but, perhaps, what
    /// is brief and what was sent without an answer.
    pub(crate) fn check(&self, found: &Contents, when: &str) {
        let [acknowledged, brief] = self.resolved(found);
        for (id, lines) in &acknowledged {
            assert_eq!(found.get(id), Some(lines), "{when}: acknowledged profile {id}");
        }
        for (id, lines) in found.iter().filter(|(id, _)| !acknowledged.contains_key(id)) {
            assert_eq!(brief.get(id), Some(lines), "{when}: profile {id} is nobody's");
        }
    }

    /// The same when every upload, deletion and pin was acknowledged in the end.
    pub(crate) fn check_all(&self, store: &Store, found: &Contents, when: &str) {
        assert!(self.unanswered.is_empty() && self.undeleted.is_empty() && self.is_pinned);
        self.check(found, when);
        assert_eq!(self.known(), self.sent, "{when}: all that was sent is accounted for");
        let pins = store.pins(TENANT);
        let is_there = |name: &str| pins.iter().filter(|pin| pin.name == name).count();
        assert_eq!(is_there(PIN), 1, "{when}");
        for (name, wanted) in &self.pins {
            assert_eq!(is_there(name), usize::from(*wanted), "{when}: {name}");
        }
    }

    /// Nothing of what is brief outlives a retention that works.
    pub(crate) fn check_retained(&self, found: &Contents, when: &str) {
        let [acknowledged, _] = self.resolved(found);
        assert_eq!(*found, acknowledged, "{when}: what is brief is gone, nothing else is");
    }
}

/// Profiles, those that were read again as they are now.
fn known_as(before: &Contents, read: &Contents) -> Contents {
    let now = |(id, lines): (&Ulid, &Vec<String>)| (*id, read.get(id).unwrap_or(lines).clone());
    before.iter().map(now).collect()
}

/// Pins all of a service: whether it is pinned, when that is known.
async fn pin(store: &Store, name: &str) -> Option<bool> {
    match store.pin(TENANT, name, KEPT, TimeRange::ALL).await {
        Ok(_) => Some(true),
        Err(error) if error.kind() == ErrorKind::Invalid => Some(true),
        Err(_) => None,
    }
}
