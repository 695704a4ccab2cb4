//! Reading payloads again: profiles that were made of them are replaced by what today's decoders make
//! of them, all of a batch in one transaction of the catalog, so that each counts once at any time.

use super::repeats::{self, Key};
use super::rewrite::{Change, Rewrite};
use super::{Inner, Store, space};
use crate::Error;
use crate::codec::Entry;
use crate::hidden::Hidden;
use crate::limits::PAYLOAD_SERVICES_MAX;
use crate::memtable::{self, Memtable};
use crate::payload::{Origin, bounds_of, services_of, unmark};
use crate::rows::ProfileRow;
use crate::segment::{self, Segment};
use crate::wal;
use catalog::PayloadRow;
use profile::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use stdx::Ulid;

/// What a payload reads as now.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The payload.
    pub payload: Ulid,
    /// Its profiles.
    pub profiles: Vec<Profile>,
}

/// What became of a payload's profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They were replaced, or would be.
    Replaced,
    /// They are what they were.
    Same,
    /// The payload is not kept any more.
    Gone,
    /// Not all profiles that were made of it are there: some were deleted, or came before with
    /// another upload. They stay as they are.
    Incomplete,
    /// It reads as nothing now. The profiles stay.
    Empty,
    /// Retention has dropped samples of the same hours, so that their rollups, which hold these
    /// profiles, cannot be made anew. The profiles stay.
    Sealed,
}

/// A payload that was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reparsed {
    /// The payload.
    pub payload: Ulid,
    /// What became of its profiles.
    pub outcome: Outcome,
    /// Profiles and samples that were there.
    pub before: (u64, u64),
    /// Profiles and samples that it reads as now.
    pub after: (u64, u64),
}

/// A profile that was made of a payload.
struct Old {
    segment: usize,
    row: ProfileRow,
    origin: Origin,
    is_hidden: bool,
}

/// A payload with what it reads as, and what that replaces.
struct Turn {
    payload: Arc<PayloadRow>,
    profiles: Vec<Profile>,
    old: Vec<Old>,
}

impl Store {
    /// Puts what payloads read as now in the place of the profiles that were made of them before.
    /// Profiles keep their ids where the payload has as many. Either all of it happens or nothing.
    pub async fn reparse(
        &self,
        tenant: &str,
        parsed: Vec<Parsed>,
        is_dry_run: bool,
    ) -> Result<Vec<Reparsed>, Error> {
        // What was made of them is in segments from here on.
        self.flush().await?;
        let inner = Arc::clone(&self.inner);
        // Nothing is hidden meanwhile: a profile under another name must not escape its deletion.
        let keeping = Arc::clone(&inner.keeping).lock_owned().await;
        let maintenance = Arc::clone(&inner.maintenance).lock_owned().await;
        let tenant = tenant.to_owned();
        super::in_background(move || {
            let _turns = (keeping, maintenance);
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            inner.reparse(&tenant, parsed, is_dry_run)
        })
        .await
    }
}

impl Inner {
    fn reparse(
        &self,
        tenant: &str,
        parsed: Vec<Parsed>,
        is_dry_run: bool,
    ) -> Result<Vec<Reparsed>, Error> {
        let rows = self.payloads.all();
        let rows: BTreeMap<Ulid, Arc<PayloadRow>> = rows
            .into_iter()
            .filter(|row| row.tenant == tenant && parsed.iter().any(|one| one.payload == row.id))
            .map(|row| (row.id, row))
            .collect();
        let segments = self.touched_by(tenant, &rows);
        let mut old = self.made_of(&segments, &rows)?;
        let (mut found, mut turns) = (Vec::new(), Vec::new());
        for Parsed { payload, mut profiles } in parsed {
            for profile in &mut profiles {
                unmark(&mut profile.metadata);
            }
            let old = old.remove(&payload).unwrap_or_default();
            let samples = |count: u64, row: &Old| count + row.row.samples;
            let before = (old.len() as u64, old.iter().fold(0, samples));
            let after = profiles.iter().map(|profile| profile.samples.len() as u64).sum();
            let after = (profiles.len() as u64, after);
            let outcome = match rows.get(&payload) {
                None => Outcome::Gone,
                Some(row) => self.outcome(tenant, row, &old, &profiles),
            };
            found.push(Reparsed { payload, outcome, before, after });
            if let (Outcome::Replaced, Some(row)) = (outcome, rows.get(&payload)) {
                turns.push(Turn { payload: Arc::clone(row), profiles, old });
            }
        }
        if !is_dry_run && !turns.is_empty() {
            self.replace_parsed(tenant, &segments, turns)?;
        }
        Ok(found)
    }

    /// Segments that may hold profiles of these payloads.
    fn touched_by(
        &self,
        tenant: &str,
        rows: &BTreeMap<Ulid, Arc<PayloadRow>>,
    ) -> Vec<Arc<Segment>> {
        let mut segments = self.state().segments.clone();
        segments.retain(|segment| {
            let overlaps = |row: &Arc<PayloadRow>| {
                segment.row.t_min_ns <= row.t_max_ns && segment.row.t_max_ns >= row.t_min_ns
            };
            segment.row.tenant == tenant && rows.values().any(overlaps)
        });
        segments
    }

    /// By payload, the profiles that were made of it.
    fn made_of(
        &self,
        segments: &[Arc<Segment>],
        rows: &BTreeMap<Ulid, Arc<PayloadRow>>,
    ) -> Result<BTreeMap<Ulid, Vec<Old>>, Error> {
        let mut found: BTreeMap<Ulid, Vec<Old>> = BTreeMap::new();
        for (at, segment) in segments.iter().enumerate() {
            let profiles = segment.read_profiles()?;
            let bounds = (segment.row.t_min_ns, segment.row.t_max_ns);
            let hidden = Hidden::of(&self.state().tombstones, &segment.row.tenant, bounds);
            let hidden = hidden.map(|hidden| hidden.by_profile(&profiles));
            for (place, row) in profiles.into_iter().enumerate() {
                let Some(origin) = Origin::of(&row.metadata) else { continue };
                if rows.contains_key(&origin.payload) {
                    let by = hidden.as_ref().and_then(|by| by.get(place).copied().flatten());
                    let old = Old { segment: at, row, origin, is_hidden: by.is_some() };
                    found.entry(origin.payload).or_default().push(old);
                }
            }
        }
        Ok(found)
    }

    fn outcome(
        &self,
        tenant: &str,
        payload: &PayloadRow,
        old: &[Old],
        profiles: &[Profile],
    ) -> Outcome {
        let is_whole = old.len() as u64 == payload.profiles && old.iter().all(|it| !it.is_hidden);
        if !is_whole {
            return Outcome::Incomplete;
        }
        let services = services_of(profiles);
        if profiles.is_empty() || services.len() > PAYLOAD_SERVICES_MAX {
            return Outcome::Empty;
        }
        let is_as_before = |(at, profile): (usize, &Profile)| {
            let digest = wal::digest(tenant, profile);
            old.iter().any(|it| it.origin.at as usize == at && it.origin.digest == digest)
        };
        if old.len() == profiles.len() && profiles.iter().enumerate().all(is_as_before) {
            return Outcome::Same;
        }
        if self.is_sealed_for(tenant, old.iter().map(|it| &it.row)) {
            return Outcome::Sealed;
        }
        Outcome::Replaced
    }

    /// Writes what the payloads read as to a segment, and the segments that held what they read as
    /// before without that, and commits all of it.
    fn replace_parsed(
        &self,
        tenant: &str,
        segments: &[Arc<Segment>],
        turns: Vec<Turn>,
    ) -> Result<(), Error> {
        let payloads: BTreeSet<Ulid> = turns.iter().map(|turn| turn.payload.id).collect();
        let held: BTreeSet<usize> =
            turns.iter().flat_map(|turn| &turn.old).map(|old| old.segment).collect();
        let inputs: Vec<&Arc<Segment>> = held.iter().filter_map(|at| segments.get(*at)).collect();
        for (segment, at) in inputs.iter().zip(&held) {
            let old = turns.iter().flat_map(|turn| &turn.old).filter(|old| old.segment == *at);
            let rows: Vec<&ProfileRow> = old.map(|old| &old.row).collect();
            self.open_for_deletion(segment, &rows)?;
        }
        // Until the commit, the disk holds both.
        let bytes = inputs.iter().map(|segment| segment.row.bytes).sum();
        space::check_for(&*self.layer, bytes)?;
        let (entries, updated) = self.entries_of(tenant, turns);
        let keys = self.keys_of(&entries);
        let mut outputs = Vec::new();
        let mut write = || {
            outputs.push(self.write_parsed(tenant, &entries)?);
            for segment in &inputs {
                let keep = &mut |row: &ProfileRow, _: &str| {
                    Origin::of(&row.metadata).is_none_or(|it| !payloads.contains(&it.payload))
                };
                outputs.extend(self.write_without(segment, keep)?);
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = write() {
            for segment in outputs {
                // What stays behind is moved aside when the store is opened.
                let _ = self.layer.remove_dir(&segment::dir(segment.id));
            }
            return Err(error);
        }
        let inputs = inputs.iter().map(|segment| segment.id).collect();
        let change = Change::Reparsed(updated, repeats::encoded(&keys));
        self.begin_rewrite(Rewrite { inputs, outputs, change })?;
        let (mut repeats, now) = (self.repeats(), self.clock.now());
        for (key, id) in keys {
            repeats.remember(key, id, now);
        }
        Ok(())
    }

    /// The profiles as they are to be stored, and the payloads' rows as they then are.
    fn entries_of(&self, tenant: &str, turns: Vec<Turn>) -> (Vec<Entry>, Vec<PayloadRow>) {
        let tenant: Arc<str> = tenant.into();
        let (mut entries, mut updated) = (Vec::new(), Vec::new());
        for Turn { payload, profiles, old } in turns {
            let bounds = bounds_of(&profiles);
            // The body still holds what is not read from it any more: a deletion must find it.
            let mut services = services_of(&profiles);
            services.extend(payload.services.iter().cloned());
            services.sort_unstable();
            services.dedup();
            updated.push(PayloadRow {
                services,
                profiles: profiles.len() as u64,
                t_min_ns: bounds.0.min(payload.t_min_ns),
                t_max_ns: bounds.1.max(payload.t_max_ns),
                ..PayloadRow::clone(&payload)
            });
            for (at, mut profile) in profiles.into_iter().enumerate() {
                let at = at as u32;
                let before = old.iter().find(|old| old.origin.at == at).map(|old| &old.row);
                let digest = wal::digest(&tenant, &profile);
                Origin { payload: payload.id, at, digest }.mark(&mut profile.metadata);
                let first = || old.iter().map(|old| old.row.received_at).min();
                let received_at = before.map(|row| row.received_at).or_else(first);
                let received_at = received_at.unwrap_or(payload.received_at);
                entries.push(Entry {
                    id: before.map_or_else(|| self.id_at(received_at), |row| row.id),
                    tenant: Arc::clone(&tenant),
                    received_at,
                    profile: Arc::new(profile),
                });
            }
        }
        (entries, updated)
    }

    fn write_parsed(&self, tenant: &str, entries: &[Entry]) -> Result<Arc<Segment>, Error> {
        let mut memtable = Memtable::default();
        {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            memtable.add(entries, &self.options, self.clock.now(), &mut rng)?;
        }
        let chunks: Vec<_> = memtable.views(tenant).cloned().collect();
        let tenant: Arc<str> = tenant.into();
        let collected = memtable::collect(&tenant, &chunks, self.options.keep_addresses)?;
        let (arranged, rows) = collected;
        let hours = self.hours_of(&rows);
        let segment = self.write_segment(&arranged, rows.into_iter().map(Ok), 0)?;
        self.open_hours_of(&segment, &hours).map(|()| segment)
    }

    /// The keys of profiles that came within the hour: a client that repeats one of their uploads
    /// sends what the store has now.
    fn keys_of(&self, entries: &[Entry]) -> Vec<(Key, Ulid)> {
        let now = self.clock.now();
        let mut alike: BTreeMap<(Ulid, u128), u128> = BTreeMap::new();
        let mut keys = Vec::new();
        for entry in entries.iter().filter(|entry| repeats::is_recent(entry.id, now)) {
            let Some(origin) = Origin::of(&entry.profile.metadata) else { continue };
            let count = alike.entry((origin.payload, origin.digest)).or_default();
            keys.push((origin.digest.wrapping_add(*count), entry.id));
            *count += 1;
        }
        keys
    }
}
