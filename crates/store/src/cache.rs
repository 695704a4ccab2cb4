//! Tables, profile lists and footers that queries asked for, least recently used first out.

use crate::limits::NAMES_BYTES_A_STACK;
use crate::part::TableSet;
use crate::segment::Segment;
use crate::{Error, ProfileRow, Run};
use parquet::file::metadata::ParquetMetaData;
use profile::{StackId, Tables};
use std::sync::{Arc, Mutex, PoisonError};
use stdx::Ulid;

#[derive(Debug)]
struct Entry<T> {
    id: Ulid,
    bytes: usize,
    value: Arc<T>,
    /// Since unused ones were dropped last.
    is_used: bool,
}

/// A cache of things of segments, bounded in bytes. The newest entry stays even when it alone is
/// larger.
#[derive(Debug)]
struct Lru<T> {
    entries: Mutex<Vec<Entry<T>>>,
}

impl<T> Lru<T> {
    fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()) }
    }

    fn get(&self, id: Ulid) -> Option<Arc<T>> {
        self.get_where(id, |_| true)
    }

    fn get_where(&self, id: Ulid, fits: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|entry| entry.id == id && fits(&entry.value))?;
        let mut entry = entries.remove(at);
        entry.is_used = true;
        let value = Arc::clone(&entry.value);
        entries.push(entry);
        Some(value)
    }

    fn put(&self, id: Ulid, value: T, bytes: usize, bytes_max: usize) -> Arc<T> {
        self.put_for(id, value, bytes, bytes_max, |_| true)
    }

    /// As [`Self::put`], beside those of the same segment that it does not stand for.
    fn put_for(
        &self,
        id: Ulid,
        value: T,
        bytes: usize,
        bytes_max: usize,
        stands_for: impl Fn(&T) -> bool,
    ) -> Arc<T> {
        let value = Arc::new(value);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.id != id || !stands_for(&entry.value));
        entries.push(Entry { id, bytes, value: Arc::clone(&value), is_used: true });
        let mut total: usize = entries.iter().map(|entry| entry.bytes).sum();
        while total > bytes_max && entries.len() > 1 {
            total -= entries.remove(0).bytes;
        }
        value
    }

    /// Drops what was not used since this was called last.
    fn drop_unused(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain_mut(|entry| std::mem::take(&mut entry.is_used));
        entries.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.bytes).sum()
    }

    fn forget(&self, ids: &[Ulid]) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| !ids.contains(&entry.id));
    }
}

/// Stacks with the tables that name them.
#[derive(Clone, Debug)]
pub struct Named {
    /// Tables that have at least these stacks, with their locations, functions and mappings; nothing
    /// else may be looked for in them.
    pub tables: Arc<Tables>,
    /// The handles of the stacks asked for, in their order.
    pub stacks: Arc<[StackId]>,
}

/// A set of a segment's tables.
#[derive(Debug)]
struct Set {
    set: TableSet,
    tables: Arc<Tables>,
}

/// What was asked of a segment, and the answer.
#[derive(Debug)]
struct Pick {
    asked: Vec<StackId>,
    named: Named,
}

/// The store's caches.
#[derive(Debug)]
pub(crate) struct Caches {
    tables: Lru<Set>,
    profiles: Lru<Vec<ProfileRow>>,
    picks: Lru<Pick>,
    runs: Lru<Vec<Run>>,
    footers: Lru<ParquetMetaData>,
    /// A quarter is for profile lists, a sixteenth for runs, an eighth for footers, an eighth for picks;
    /// tables have what those leave.
    bytes_max: usize,
    /// Tables of fewer estimated bytes are always read whole.
    picked_from_bytes: u64,
}

impl Caches {
    pub(crate) fn new(bytes_max: usize, picked_from_bytes: u64) -> Self {
        Self {
            tables: Lru::new(),
            profiles: Lru::new(),
            picks: Lru::new(),
            runs: Lru::new(),
            footers: Lru::new(),
            bytes_max,
            picked_from_bytes,
        }
    }

    /// Footer and page index of a segment's samples.
    pub(crate) async fn footer(
        &self,
        segment: &Arc<Segment>,
    ) -> Result<Arc<ParquetMetaData>, Error> {
        if let Some(have) = self.footers.get(segment.id) {
            return Ok(have);
        }
        let footer = segment.read_in_background(Segment::read_footer).await?;
        let bytes = footer.memory_size();
        Ok(self.footers.put(segment.id, footer, bytes, self.bytes_max / 8))
    }

    pub(crate) async fn tables(
        &self,
        segment: &Arc<Segment>,
        set: TableSet,
    ) -> Result<Arc<Tables>, Error> {
        if let Some(have) = self.tables_in_memory(segment.id, set) {
            return Ok(have);
        }
        let read = move |segment: &Segment| segment.read_tables(set);
        let tables = Arc::new(segment.read_in_background(read).await?);
        let bytes = tables.estimated_bytes();
        let others = [self.profiles.bytes(), self.runs.bytes(), self.footers.bytes()];
        let others = others.iter().sum::<usize>() + self.picks.bytes();
        let bytes_max = self.bytes_max.saturating_sub(others);
        let have = Set { set, tables: Arc::clone(&tables) };
        self.tables.put_for(segment.id, have, bytes, bytes_max, |other| other.set == set);
        Ok(tables)
    }

    fn tables_in_memory(&self, id: Ulid, set: TableSet) -> Option<Arc<Tables>> {
        let have = self.tables.get_where(id, |have| have.set == set)?;
        Some(Arc::clone(&have.tables))
    }

    /// Names for some stacks: of the whole segment's where they are in memory, or few, or where most
    /// of them are asked for.
    pub(crate) async fn names_of(
        &self,
        segment: &Arc<Segment>,
        stacks: Vec<StackId>,
    ) -> Result<Named, Error> {
        if let Some(tables) = self.tables_in_memory(segment.id, TableSet::Names) {
            return Ok(Named { tables, stacks: stacks.into() });
        }
        if let Some(pick) = self.picks.get_where(segment.id, |pick| pick.asked == stacks) {
            return Ok(pick.named.clone());
        }
        let raw_bytes = segment.index.raw_bytes;
        let asked_bytes = (stacks.len() as u64).saturating_mul(NAMES_BYTES_A_STACK);
        if raw_bytes < self.picked_from_bytes || asked_bytes > raw_bytes {
            let tables = self.tables(segment, TableSet::Names).await?;
            return Ok(Named { tables, stacks: stacks.into() });
        }
        let pick = move |segment: &Segment| Ok((segment.pick(&stacks)?, stacks));
        let (picked, asked) = segment.read_in_background(pick).await?;
        let bytes = picked.tables.estimated_bytes() + asked.len() * 2 * size_of::<StackId>();
        let named = Named { tables: Arc::new(picked.tables), stacks: picked.stacks.into() };
        let pick = Pick { asked, named: named.clone() };
        self.picks.put_for(segment.id, pick, bytes, self.bytes_max / 8, |_| false);
        Ok(named)
    }

    pub(crate) async fn profiles(
        &self,
        segment: &Arc<Segment>,
    ) -> Result<Arc<Vec<ProfileRow>>, Error> {
        if let Some(have) = self.profiles.get(segment.id) {
            return Ok(have);
        }
        let profiles = segment.read_in_background(Segment::read_profiles).await?;
        let bytes = profiles.iter().map(ProfileRow::bytes).sum();
        Ok(self.profiles.put(segment.id, profiles, bytes, self.bytes_max / 4))
    }

    pub(crate) async fn runs(&self, segment: &Arc<Segment>) -> Result<Arc<Vec<Run>>, Error> {
        if let Some(have) = self.runs.get(segment.id) {
            return Ok(have);
        }
        let runs = segment.read_in_background(Segment::read_runs).await?;
        let bytes = size_of::<Run>() * runs.len();
        Ok(self.runs.put(segment.id, runs, bytes, self.bytes_max / 16))
    }

    /// Drops what no question has used since this was called last.
    pub(crate) fn drop_unused(&self) {
        self.tables.drop_unused();
        self.picks.drop_unused();
        self.runs.drop_unused();
        self.profiles.drop_unused();
        self.footers.drop_unused();
    }

    /// Bytes of everything in them.
    pub(crate) fn bytes(&self) -> usize {
        let Self { tables, picks, profiles, runs, footers, .. } = self;
        tables.bytes() + picks.bytes() + profiles.bytes() + runs.bytes() + footers.bytes()
    }

    pub(crate) fn forget(&self, ids: &[Ulid]) {
        self.tables.forget(ids);
        self.picks.forget(ids);
        self.runs.forget(ids);
        self.profiles.forget(ids);
        self.footers.forget(ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_unused_after_a_while() {
        let cache = Lru::new();
        let id = |n: u128| Ulid::from(n);
        cache.put(id(1), 'a', 4, 10);
        cache.put(id(2), 'b', 4, 10);
        assert!(cache.get(id(1)).is_some());
        cache.put(id(3), 'c', 4, 10);
        assert!(cache.get(id(2)).is_none() && cache.get(id(1)).is_some());
        cache.drop_unused();
        assert!(cache.get(id(3)).is_some());
        cache.drop_unused();
        assert!(cache.get(id(1)).is_none() && cache.get(id(3)).is_some());
        cache.put(id(4), 'd', 100, 10);
        assert!(cache.get(id(4)).is_some() && cache.get(id(3)).is_none());
    }

    #[test]
    fn several_of_one_segment_lie_side_by_side_and_each_is_there_once() {
        let cache = Lru::new();
        let id = Ulid::from(1);
        for value in ["a1", "b1", "a2"] {
            cache.put_for(id, value, 3, 10, |have: &&str| have[..1] == value[..1]);
        }
        let get = |first: char| cache.get_where(id, |have| have.starts_with(first));
        assert_eq!((get('a').as_deref(), get('b').as_deref()), (Some(&"a2"), Some(&"b1")));
        assert_eq!(cache.bytes(), 6);
        cache.forget(&[id]);
        assert_eq!(cache.bytes(), 0);
    }
}
