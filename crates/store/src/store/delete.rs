//! Deletion: what a selection names is hidden at once, and its files are gone within
//! [`crate::limits::DELETION_DEADLINE`].

use super::rewrite::Reason;
use super::{Inner, Store, count};
use crate::Error;
use crate::codec::Entry;
use crate::hidden::{Hidden, Tombstone};
use crate::limits::{DELETION_DEADLINE, DELETIONS_MAX, DELETIONS_REMEMBERED};
use crate::rules::is_useful;
use crate::segment::Segment;
use catalog::{Content, Deletion};
use profile::Labels;
use profile::labels::names::SERVICE;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use stdx::{TimeRange, Timestamp, Ulid};

/// What a selection names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// Profiles with any time in the range.
    pub profiles: u64,
    /// Their samples, those outside the range included.
    pub samples: u64,
}

impl Store {
    /// What a deletion would hide.
    pub async fn matching(
        &self,
        tenant: &str,
        selector: &str,
        range: TimeRange,
    ) -> Result<Matching, Error> {
        let stone = Tombstone::new(&self.deletion(tenant, selector, range)?)?;
        let mut found = Matching::default();
        for part in self.snapshot(tenant, range).parts {
            for row in part.profiles().await?.iter() {
                let is_meant = stone.reaches(row.received_at, row.time_bounds());
                if is_meant && !row.is_hidden() && stone.names(&row.labels) {
                    found.profiles += 1;
                    found.samples += row.samples;
                }
            }
        }
        Ok(found)
    }

    /// Deletes whole every profile of the series with any time in the range. When this returns, no
    /// query sees them; profiles that come later are not meant. Refused where a pin holds some.
    pub async fn delete(
        &self,
        tenant: &str,
        selector: &str,
        range: TimeRange,
    ) -> Result<Ulid, Error> {
        let mut row = self.deletion(tenant, selector, range)?;
        let inner = Arc::clone(&self.inner);
        let turn = Arc::clone(&inner.keeping).lock_owned().await;
        super::in_background(move || {
            let _turn = turn;
            // Whatever came until now came before; whatever comes from now on comes later.
            let floor = &inner.received_floor;
            let now = inner.clock.now().nanos().max(floor.load(Ordering::SeqCst));
            floor.store(crate::hidden::floor_after(now), Ordering::SeqCst);
            row.created_at = Timestamp::from_nanos(now);
            inner.refuse_pinned(&row)?;
            if inner.state().tombstones.len() >= DELETIONS_MAX {
                let what = format!("{DELETIONS_MAX} deletions are still being worked on");
                return Err(Error::Full { what });
            }
            let stone = Tombstone::new(&row)?;
            inner.step("before the deletion's commit")?;
            inner.catalog.add_deletion(&row)?;
            inner.step("after the deletion's commit")?;
            let stone = Arc::new(stone);
            inner.recent_deletions().push(Arc::clone(&stone));
            inner.state().tombstones.push(stone);
            inner.flush_wanted.notify_one();
            count(&inner.counters.deletions, 1);
            Ok(row.id)
        })
        .await
    }

    /// Deletions that are being worked on, and those done lately.
    pub async fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let inner = Arc::clone(&self.inner);
        super::in_background(move || Ok(inner.catalog.deletions()?)).await
    }

    fn deletion(&self, tenant: &str, selector: &str, range: TimeRange) -> Result<Deletion, Error> {
        let invalid = |what: &str| Err(Error::Invalid { what: what.to_owned() });
        if !is_useful(range) {
            return invalid("the range to delete is empty: its start must be before its end");
        }
        let row = Deletion {
            id: self.inner.new_id(),
            tenant: tenant.to_owned(),
            selector: selector.trim().to_owned(),
            range,
            created_at: Timestamp::MAX,
            done_at: None,
            profiles: 0,
        };
        if row.selector.trim_matches(['{', '}', ' ', ',']).is_empty() {
            return invalid("name what to delete, e.g. {service_name=\"shop\"}");
        }
        Tombstone::new(&row)?;
        Ok(row)
    }

    /// Rewrites the segments that hold hidden profiles, and ends deletions of which nothing is left.
    /// Returns how many segments were replaced.
    pub async fn delete_once(&self) -> Result<usize, Error> {
        let open: Vec<Ulid> = self.inner.state().tombstones.iter().map(|stone| stone.id).collect();
        if open.is_empty() {
            return Ok(0);
        }
        // From here on nothing that was meant by those is in memory only.
        self.flush().await?;
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            let _turn = turn;
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            let mut replaced = 0;
            let segments = inner.state().all_segments();
            for segment in &segments {
                let has_changed = match segment.row.content {
                    Content::Profiles => inner.rewrite_hidden(segment)?,
                    Content::Spans | Content::Events => inner.rewrite_hidden_records(segment)?,
                };
                replaced += usize::from(has_changed);
            }
            let meant = |stone: &&Arc<Tombstone>| open.contains(&stone.id);
            let stones: Vec<_> = inner.state().tombstones.iter().filter(meant).cloned().collect();
            inner.delete_from_sealed(&stones)?;
            // Files that could not be removed before must be gone before it is said so.
            inner.remove_payloads(&[])?;
            inner.end_deletions(&open)?;
            inner.delete_retired()?;
            Ok(replaced)
        })
        .await
    }
}

/// How many deletions are still worked on at `now` that should be done.
pub(super) fn overdue(open: &[Arc<Tombstone>], now: Timestamp) -> u64 {
    let deadline = i64::try_from(DELETION_DEADLINE.as_nanos()).unwrap_or(i64::MAX);
    let since = now.plus_nanos(-deadline);
    open.iter().filter(|stone| !stone.is_newer_than(since)).count() as u64
}

impl Inner {
    /// Deletions of the last day, done or not.
    pub(super) fn recent_deletions(&self) -> MutexGuard<'_, Vec<Arc<Tombstone>>> {
        self.recent_deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A profile that is pinned is not deleted by a selection that happens to name it.
    fn refuse_pinned(&self, row: &Deletion) -> Result<(), Error> {
        let stone = Tombstone::new(row)?;
        for pin in &*self.pins() {
            let labels: Labels = [(SERVICE, pin.service.as_str())].into_iter().collect();
            let overlaps = pin.tenant == row.tenant && pin.range.overlaps(&row.range);
            if overlaps && stone.may_name(&labels, SERVICE) {
                let what = format!(
                    "the pin {:?} keeps {} in this range: remove the pin first",
                    pin.name, pin.service
                );
                return Err(Error::Invalid { what });
            }
        }
        Ok(())
    }

    /// Whether the profile that came first was deleted since, so that a repeat of it is not one.
    pub(super) fn is_deleted(&self, entry: &Entry, first: Ulid) -> bool {
        let profile = &*entry.profile;
        let times = || profile.samples.iter().filter_map(|sample| sample.time);
        let start = times().min().unwrap_or(profile.window.start).min(profile.window.start);
        let end = times().max().unwrap_or(profile.window.end).max(profile.window.end);
        let bounds = (start.nanos(), end.nanos());
        let came_at = i64::try_from(first.timestamp_ms()).unwrap_or(i64::MAX);
        self.recent_deletions().iter().any(|stone| {
            stone.touches(&entry.tenant, bounds)
                && stone.reaches(Timestamp::from_millis(came_at), bounds)
                && stone.names(&profile.labels)
        })
    }

    /// Rewrites a segment without what deletions hide; says whether there was any.
    fn rewrite_hidden(&self, segment: &Arc<Segment>) -> Result<bool, Error> {
        let row = &segment.row;
        let bounds = (row.t_min_ns, row.t_max_ns);
        let hidden = Hidden::of(&self.state().tombstones, &row.tenant, bounds);
        let Some(hidden) = hidden else { return Ok(false) };
        let profiles = segment.read_profiles()?;
        let by = hidden.by_profile(&profiles);
        let mut deleted: BTreeMap<Ulid, u64> = BTreeMap::new();
        for id in by.iter().flatten() {
            *deleted.entry(*id).or_default() += 1;
        }
        if deleted.is_empty() {
            return Ok(false);
        }
        let meant = profiles.iter().zip(&by).filter(|(_, by)| by.is_some());
        let meant: Vec<_> = meant.map(|(row, _)| row).collect();
        self.open_for_deletion(segment, &meant)?;
        let is_kept = |ordinal: u32| by.get(ordinal as usize).is_none_or(Option::is_none);
        let deleted = deleted.into_iter().collect();
        let keep = &mut |row: &crate::ProfileRow, _: &str| is_kept(row.ordinal);
        self.rewrite(segment, Reason::Deletion, deleted, keep)?;
        Ok(true)
    }

    /// Ends those of `open` of which nothing is left, and forgets the old ones.
    fn end_deletions(&self, open: &[Ulid]) -> Result<(), Error> {
        let now = self.clock.now();
        let kept = i64::try_from(DELETIONS_REMEMBERED.as_nanos()).unwrap_or(i64::MAX);
        let in_memory = self.hidden_in_memory();
        let done: Vec<Ulid> = open.iter().copied().filter(|id| !in_memory.contains(id)).collect();
        self.step("before the deletions' end")?;
        self.catalog.finish_deletions(&done, now, now.plus_nanos(-kept))?;
        self.step("after the deletions' end")?;
        self.recent_deletions().retain(|stone| stone.is_newer_than(now.plus_nanos(-kept)));
        self.state().tombstones.retain(|stone| !done.contains(&stone.id));
        Ok(())
    }

    /// Deletions that hide something which is in no segment yet.
    fn hidden_in_memory(&self) -> Vec<Ulid> {
        let state = self.state();
        let frozen = state.flushing.iter().flat_map(|frozen| &frozen.chunks);
        let frozen = frozen.flat_map(|(tenant, chunks)| chunks.iter().map(move |c| (tenant, c)));
        let growing = state.memtable.tenants();
        let growing =
            growing.flat_map(|tenant| state.memtable.views(tenant).map(move |c| (tenant, c)));
        let mut found = Vec::new();
        for (tenant, chunk) in frozen.chain(growing) {
            let hidden = Hidden::of(&state.tombstones, tenant, chunk.time_bounds);
            found.extend(hidden.iter().flat_map(|h| h.by_profile(&chunk.profiles)).flatten());
        }
        found.extend(super::records::hidden_in_memory(&state));
        found
    }
}
