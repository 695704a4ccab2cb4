//! Appending: whoever gets hold of the log commits for all that wait, with one sync.

use super::repeats::Key;
use super::{Inner, Store, count};
use crate::Error;
use crate::codec::Entry;
use crate::limits::{APPEND_PROFILES_MAX, TENANT_BYTES_MAX, TIME_NANOS_MAX, TIME_NANOS_MIN};
use crate::payload::{Origin, unmark};
use crate::spans;
use crate::wal::{self, WalWriter};
use profile::Profile;
use rustc_hash::FxHashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use stdx::{Timestamp, Ulid};
use tokio::sync::{OwnedMutexGuard, oneshot};

/// A profile that the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its id; that of the first time when it is a repeat.
    pub id: Ulid,
    /// Whether the same came before and is counted once.
    pub is_repeat: bool,
}

pub(super) type Answer = Result<Vec<Appended>, Error>;

/// Appends that wait for a commit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    groups: Vec<Group>,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    waiting: Vec<Waiting>,
    done: oneshot::Sender<Answer>,
}

/// A profile, or spans, that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Logged,
    pub(super) record: Vec<u8>,
    pub(super) key: Option<Key>,
}

/// What a record of the log holds.
#[derive(Debug)]
pub(super) enum Logged {
    Profile(Entry),
    Spans(spans::Entry),
}

impl Logged {
    fn id(&self) -> Ulid {
        match self {
            Self::Profile(entry) => entry.id,
            Self::Spans(entry) => entry.id,
        }
    }
}

impl Store {
    /// Appends profiles. When this returns `Ok` they are durable and visible; the ids are in the
    /// profiles' order. On an error none is acknowledged.
    pub async fn append(&self, tenant: &str, profiles: Vec<Profile>) -> Result<Vec<Ulid>, Error> {
        let appended = self.append_group(tenant, profiles, false, None).await?;
        Ok(appended.into_iter().map(|row| row.id).collect())
    }

    /// As [`Self::append`], but a profile that came within the last hour already (the same tenant,
    /// labels, window and contents) is not stored again: a client that got no answer may repeat the
    /// whole, before or after a restart of the store.
    pub async fn append_once(
        &self,
        tenant: &str,
        profiles: Vec<Profile>,
    ) -> Result<Vec<Appended>, Error> {
        self.append_group(tenant, profiles, true, None).await
    }

    /// The profiles name the payload that they were made of.
    pub(super) async fn append_group(
        &self,
        tenant: &str,
        profiles: Vec<Profile>,
        once: bool,
        payload: Option<Ulid>,
    ) -> Answer {
        let inner = &self.inner;
        check(tenant, &profiles)?;
        inner.check_room()?;
        if profiles.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = inner.prepare(tenant, profiles, once, payload)?;
        self.commit(waiting).await
    }

    /// Has what waits committed, together with what others wait for.
    pub(super) async fn commit(&self, waiting: Vec<Waiting>) -> Answer {
        let inner = &self.inner;
        let (done, mut answer) = oneshot::channel();
        {
            let mut pending = inner.pending();
            pending.bytes += waiting.iter().map(|row| row.record.len()).sum::<usize>();
            pending.groups.push(Group { waiting, done });
        }
        let wal = Arc::clone(&inner.wal).lock_owned().await;
        if let Ok(result) = answer.try_recv() {
            return result;
        }
        let leader = Arc::clone(inner);
        super::in_background(move || {
            leader.commit(wal);
            Ok(())
        })
        .await?;
        let gone = |_| {
            Err(Error::Io {
                what: "commit of the log".to_owned(),
                source: std::io::Error::other("it ended without an answer"),
            })
        };
        answer.await.unwrap_or_else(gone)
    }
}

pub(super) fn check(tenant: &str, profiles: &[Profile]) -> Result<(), Error> {
    check_count(tenant, profiles.len())
}

/// Checks the tenant's name and how many profiles, or batches of spans, come at once.
pub(super) fn check_count(tenant: &str, count: usize) -> Result<(), Error> {
    if tenant.is_empty() || tenant.len() > TENANT_BYTES_MAX {
        let what = format!("a tenant's name has 1 to {TENANT_BYTES_MAX} bytes");
        return Err(Error::Invalid { what });
    }
    if count > APPEND_PROFILES_MAX {
        let what = format!("{count} profiles or series at once, at most {APPEND_PROFILES_MAX}");
        return Err(Error::Invalid { what });
    }
    Ok(())
}

impl Inner {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_room(&self) -> Result<(), Error> {
        self.space.check(&*self.layer, &*self.clock).inspect_err(|_| {
            count(&self.counters.rejected_disk_full, 1);
        })?;
        let pending = self.pending().bytes;
        let state = self.state();
        let growing = state.memtable.bytes();
        if growing >= self.options.memtable_bytes_max {
            self.flush_wanted.notify_one();
        }
        let used = state.bytes() + pending;
        if used < self.options.memtable_bytes_max.saturating_mul(2) {
            return Ok(());
        }
        if self.space.is_flush_stuck() {
            count(&self.counters.rejected_disk_full, 1);
            let what = format!("{used} bytes cannot be written to segments");
            return Err(Error::DiskFull { what });
        }
        count(&self.counters.rejected_full, 1);
        Err(Error::Full { what: format!("{used} bytes wait to be written to segments") })
    }

    fn prepare(
        &self,
        tenant: &str,
        profiles: Vec<Profile>,
        once: bool,
        payload: Option<Ulid>,
    ) -> Result<Vec<Waiting>, Error> {
        let tenant: Arc<str> = tenant.into();
        let floor = Timestamp::from_nanos(self.received_floor.load(Ordering::SeqCst));
        let received_at = self.clock.now().max(floor);
        let mut alike: FxHashMap<Key, Key> = FxHashMap::default();
        let mut again = |key: Key| {
            let count = alike.entry(key).or_default();
            *count += 1;
            key.wrapping_add(*count - 1)
        };
        let mut waiting = Vec::with_capacity(profiles.len());
        for (at, mut profile) in profiles.into_iter().enumerate() {
            unmark(&mut profile.metadata);
            for event in &mut profile.events {
                let start = event.start.nanos().clamp(TIME_NANOS_MIN, TIME_NANOS_MAX);
                event.start = Timestamp::from_nanos(start);
                event.duration_nanos = event.duration_nanos.max(0);
            }
            let mut entry = Entry {
                id: self.id_at(received_at),
                tenant: Arc::clone(&tenant),
                received_at,
                profile: Arc::new(profile),
            };
            let record = if let Some(payload) = payload {
                // Its key is that of what was sent: how it was packed does not count.
                let digest = wal::digest(&entry.tenant, &entry.profile);
                let profile = Arc::make_mut(&mut entry.profile);
                Origin { payload, at: at as u32, digest }.mark(&mut profile.metadata);
                let key = again(digest);
                wal::record_with_key(&entry, key).map(|record| (Some(key), record))
            } else if once {
                wal::keyed_record(&entry, &mut again).map(|(key, record)| (Some(key), record))
            } else {
                wal::record(&entry).map(|record| (None, record))
            };
            let too_large = || Error::Invalid { what: "a profile too large to store".to_owned() };
            let (key, record) = record.ok_or_else(too_large)?;
            waiting.push(Waiting { entry: Logged::Profile(entry), record, key });
        }
        Ok(waiting)
    }

    /// Writes everything that waits, syncs once, makes it visible and answers.
    fn commit(&self, mut wal: OwnedMutexGuard<WalWriter>) {
        let pending = std::mem::take(&mut *self.pending());
        if pending.groups.is_empty() {
            return;
        }
        let mut batch = Batch { records: Vec::with_capacity(pending.bytes), ..Batch::default() };
        let mut answers = Vec::with_capacity(pending.groups.len());
        for Group { waiting, done } in pending.groups {
            let appended: Vec<Appended> =
                waiting.into_iter().map(|row| self.take_in(row, &mut batch)).collect();
            answers.push((done, appended));
        }
        let result = self.write(&mut wal, &batch);
        if result.is_err() {
            self.repeats().take_back(&batch.added);
        }
        for (done, appended) in answers {
            let answer = match &result {
                Ok(()) => Ok(appended),
                Err(error) => Err(error.for_waiter()),
            };
            // A waiter that went away does not need the answer.
            let _ = done.send(answer);
        }
    }

    /// Adds one that waits to the batch, unless the same came before.
    fn take_in(&self, row: Waiting, batch: &mut Batch) -> Appended {
        let Waiting { entry, record, key } = row;
        let id = entry.id();
        if let Some(key) = key {
            let now = self.clock.now();
            let before = self.repeats().find(key, now);
            // What was deleted since and comes again is meant to be there again.
            let before = before.filter(|first| !self.was_deleted(&entry, *first));
            if let Some(id) = before {
                count(&self.counters.repeats, 1);
                return Appended { id, is_repeat: true };
            }
            self.repeats().add(key, id, now);
            batch.added.push((key, id));
        }
        batch.records.extend_from_slice(&record);
        match entry {
            Logged::Profile(entry) => batch.entries.push(entry),
            Logged::Spans(entry) => batch.spans.push(entry),
        }
        Appended { id, is_repeat: false }
    }

    fn was_deleted(&self, entry: &Logged, first: Ulid) -> bool {
        match entry {
            Logged::Profile(entry) => self.is_deleted(entry, first),
            Logged::Spans(entry) => self.are_deleted(entry, first),
        }
    }

    fn write(&self, wal: &mut WalWriter, batch: &Batch) -> Result<(), Error> {
        let records = &batch.records;
        if records.is_empty() {
            return Ok(());
        }
        let written = wal.commit(records).map_err(Error::io("commit the log"));
        written.inspect_err(|error| self.space.note(error))?;
        count(&self.counters.wal_commits, 1);
        count(&self.counters.wal_bytes_written, records.len() as u64);
        count(&self.counters.wal_bytes, records.len() as u64);
        self.show(batch)
    }

    fn show(&self, Batch { entries, spans, .. }: &Batch) -> Result<(), Error> {
        let now = self.clock.now();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let result = {
            let mut state = self.state();
            for entry in spans {
                state.memtable.add_spans(entry, now);
            }
            state.memtable.add_all(entries, &self.options, now, &mut rng)
        };
        drop(rng);
        let spans: usize = spans.iter().map(|entry| entry.batch.spans.len()).sum();
        count(&self.counters.spans, spans as u64);
        let samples: usize = entries.iter().map(|entry| entry.profile.samples.len()).sum();
        let events: usize = entries.iter().map(|entry| entry.profile.events.len()).sum();
        count(&self.counters.events, events as u64);
        count(&self.counters.profiles, entries.len() as u64);
        count(&self.counters.samples, samples as u64);
        result
    }
}

/// What is committed together.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    spans: Vec<spans::Entry>,
    records: Vec<u8>,
    /// Keys that are known from now on, unless the commit fails.
    added: Vec<(Key, Ulid)>,
}
