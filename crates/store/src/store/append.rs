//! Appending: whoever gets hold of the log commits for all that wait, with one sync.

use super::{Inner, Store, count};
use crate::Error;
use crate::codec::Entry;
use crate::limits::{APPEND_PROFILES_MAX, TENANT_BYTES_MAX};
use crate::wal::{self, WalWriter};
use profile::Profile;
use std::sync::{Arc, PoisonError};
use stdx::Ulid;
use tokio::sync::{OwnedMutexGuard, oneshot};

/// Appends that wait for a commit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    groups: Vec<Group>,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    entries: Vec<Entry>,
    records: Vec<u8>,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Store {
    /// Appends profiles. When this returns `Ok` they are durable and visible; the ids are in the
    /// profiles' order. On an error none is acknowledged.
    pub async fn append(&self, tenant: &str, profiles: Vec<Profile>) -> Result<Vec<Ulid>, Error> {
        let inner = &self.inner;
        check(tenant, &profiles)?;
        inner.check_room()?;
        if profiles.is_empty() {
            return Ok(Vec::new());
        }
        let (entries, records) = inner.prepare(tenant, profiles)?;
        let ids = entries.iter().map(|entry| entry.id).collect();
        let (done, mut waiting) = oneshot::channel();
        {
            let mut pending = inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.bytes += records.len();
            pending.groups.push(Group { entries, records, done });
        }
        let wal = Arc::clone(&inner.wal).lock_owned().await;
        if let Ok(result) = waiting.try_recv() {
            return result.map(|()| ids);
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
        waiting.await.unwrap_or_else(gone).map(|()| ids)
    }
}

fn check(tenant: &str, profiles: &[Profile]) -> Result<(), Error> {
    if tenant.is_empty() || tenant.len() > TENANT_BYTES_MAX {
        let what = format!("a tenant's name has 1 to {TENANT_BYTES_MAX} bytes");
        return Err(Error::Invalid { what });
    }
    if profiles.len() > APPEND_PROFILES_MAX {
        let what = format!("{} profiles at once, at most {APPEND_PROFILES_MAX}", profiles.len());
        return Err(Error::Invalid { what });
    }
    Ok(())
}

impl Inner {
    fn check_room(&self) -> Result<(), Error> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        let state = self.state();
        let growing = state.memtable.bytes();
        if growing >= self.options.memtable_bytes_max {
            self.flush_wanted.notify_one();
        }
        let used = state.bytes() + pending;
        if used < self.options.memtable_bytes_max.saturating_mul(2) {
            return Ok(());
        }
        count(&self.counters.rejected_full, 1);
        Err(Error::Full { what: format!("{used} bytes wait to be written to segments") })
    }

    fn prepare(
        &self,
        tenant: &str,
        profiles: Vec<Profile>,
    ) -> Result<(Vec<Entry>, Vec<u8>), Error> {
        let tenant: Arc<str> = tenant.into();
        let received_at = self.clock.now();
        let mut records = Vec::new();
        let mut entries = Vec::with_capacity(profiles.len());
        for profile in profiles {
            let entry = Entry {
                id: self.new_id(),
                tenant: Arc::clone(&tenant),
                received_at,
                profile: Arc::new(profile),
            };
            let record = wal::record(&entry);
            let too_large = || Error::Invalid { what: "a profile too large to store".to_owned() };
            records.extend_from_slice(&record.ok_or_else(too_large)?);
            entries.push(entry);
        }
        Ok((entries, records))
    }

    /// Writes everything that waits, syncs once, makes it visible and answers.
    fn commit(&self, mut wal: OwnedMutexGuard<WalWriter>) {
        let pending =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.groups.is_empty() {
            return;
        }
        let mut records = Vec::with_capacity(pending.bytes);
        pending.groups.iter().for_each(|group| records.extend_from_slice(&group.records));
        let result = wal.commit(&records).map_err(Error::io("commit the log"));
        count(&self.counters.wal_commits, 1);
        count(&self.counters.wal_bytes_written, records.len() as u64);
        count(&self.counters.wal_bytes, records.len() as u64);
        for group in pending.groups {
            let answer = match &result {
                Ok(()) => self.show(&group.entries),
                Err(error) => Err(error.for_waiter()),
            };
            // A waiter that went away does not need the answer.
            let _ = group.done.send(answer);
        }
    }

    fn show(&self, entries: &[Entry]) -> Result<(), Error> {
        let now = self.clock.now();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.state().memtable.add(entries, &self.options, now, &mut rng);
        drop(rng);
        let samples: usize = entries.iter().map(|entry| entry.profile.samples.len()).sum();
        count(&self.counters.profiles, entries.len() as u64);
        count(&self.counters.samples, samples as u64);
        result
    }
}
