//! Recognising uploads that were sent twice: a client that got no answer sends the same again, and
//! the store has it already.
//!
//! A profile's key is a hash of everything that came: tenant, series, window and contents. Keys stand
//! in the log's records and, once those are flushed, in the catalog, so that a retry is recognised
//! across a restart. The n-th profile of one append that has the same key as others before it in the
//! same append has a key of its own: two idle instances that send the same are two.

use crate::Error;
use crate::limits::{REPEAT_WINDOW, REPEATS_MAX};
use catalog::Uploads;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use stdx::{Timestamp, Ulid};

/// Bytes of a key and an id.
const ITEM_BYTES: usize = 32;

/// What names a profile as its client sent it.
pub(super) type Key = u128;

/// When the profile of an id came, as the id says.
fn time_of(id: Ulid) -> Timestamp {
    Timestamp::from_millis(i64::try_from(id.timestamp_ms()).unwrap_or(i64::MAX))
}

pub(super) fn is_recent(id: Ulid, now: Timestamp) -> bool {
    let window = i64::try_from(REPEAT_WINDOW.as_nanos()).unwrap_or(i64::MAX);
    // A clock that was set back makes ids of the future: they count as recent.
    now.nanos().saturating_sub(time_of(id).nanos()) < window
}

/// Profiles from before this need not be remembered.
pub(super) fn oldest(now: Timestamp) -> Timestamp {
    let window = i64::try_from(REPEAT_WINDOW.as_nanos()).unwrap_or(i64::MAX);
    now.plus_nanos(-window)
}

/// As the catalog keeps them.
pub(super) fn encoded(items: &[(Key, Ulid)]) -> Uploads {
    let newest = items.iter().map(|(_, id)| time_of(*id)).max().unwrap_or_default();
    let mut keys = Vec::with_capacity(items.len() * ITEM_BYTES);
    for (key, id) in items {
        keys.extend_from_slice(&key.to_be_bytes());
        keys.extend_from_slice(&id.to_bytes());
    }
    Uploads { newest, keys }
}

/// Keys that came lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    known: FxHashMap<Key, Ulid>,
    /// In the order in which they came.
    order: VecDeque<(Key, Ulid)>,
    /// Those of the memtable.
    unflushed: Vec<(Key, Ulid)>,
    /// Forgotten before their time, because there were too many.
    pub(super) forgotten_early: u64,
}

impl Repeats {
    /// The id under which the same came before.
    pub(super) fn find(&self, key: Key, now: Timestamp) -> Option<Ulid> {
        self.known.get(&key).copied().filter(|id| is_recent(*id, now))
    }

    /// Remembers one that is in the log now and in no segment.
    pub(super) fn add(&mut self, key: Key, id: Ulid, now: Timestamp) {
        self.unflushed.push((key, id));
        self.remember(key, id, now);
    }

    /// Remembers one that is in a segment.
    pub(super) fn remember(&mut self, key: Key, id: Ulid, now: Timestamp) {
        if !is_recent(id, now) {
            return;
        }
        self.known.insert(key, id);
        self.order.push_back((key, id));
        while let Some(&(key, id)) = self.order.front() {
            let is_old = !is_recent(id, now);
            if !is_old && self.order.len() <= REPEATS_MAX {
                break;
            }
            self.order.pop_front();
            self.forgotten_early += u64::from(!is_old);
            self.forget_if(key, id);
        }
    }

    /// Takes back what could not be written.
    pub(super) fn take_back(&mut self, added: &[(Key, Ulid)]) {
        for &(key, id) in added {
            self.forget_if(key, id);
        }
        self.unflushed.retain(|have| !added.contains(have));
        self.order.retain(|have| !added.contains(have));
    }

    fn forget_if(&mut self, key: Key, id: Ulid) {
        if let Entry::Occupied(found) = self.known.entry(key)
            && *found.get() == id
        {
            found.remove();
        }
    }

    /// The keys of what is about to be flushed, for the catalog.
    pub(super) fn freeze(&mut self) -> Uploads {
        let uploads = encoded(&std::mem::take(&mut self.unflushed));
        // What an hour of load needed is not kept for quiet times.
        if self.order.len() * 4 < self.order.capacity() {
            self.order.shrink_to(self.order.len() * 2);
            self.known.shrink_to(self.order.len() * 2);
        }
        uploads
    }

    /// Remembers what the catalog has.
    pub(super) fn load(&mut self, uploads: &Uploads, now: Timestamp) -> Result<(), Error> {
        let (items, rest) = uploads.keys.as_chunks::<ITEM_BYTES>();
        if !rest.is_empty() {
            return Err(Error::corrupt("keys of uploads in the catalog"));
        }
        for item in items {
            let (mut key, mut id) = ([0; 16], [0; 16]);
            key.copy_from_slice(&item[..16]);
            id.copy_from_slice(&item[16..]);
            self.remember(Key::from_be_bytes(key), Ulid::from_bytes(id), now);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(second: u64, n: u128) -> Ulid {
        Ulid::from_parts(second * 1000, n)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn a_key_is_known_for_an_hour_and_through_the_catalogs_form() {
        let mut repeats = Repeats::default();
        repeats.add(7, id(10, 1), at(10));
        repeats.add(8, id(2000, 2), at(2000));
        let mut back = Repeats::default();
        back.load(&repeats.freeze(), at(2000)).expect("own form");
        for repeats in [&repeats, &back] {
            assert_eq!(repeats.find(7, at(10 + 3599)), Some(id(10, 1)));
            assert_eq!(repeats.find(7, at(10 + 3600)), None);
            assert_eq!(repeats.find(9, at(2000)), None);
        }
        repeats.add(9, id(3700, 3), at(3700));
        assert_eq!((repeats.len(), repeats.forgotten_early), (2, 0), "the first is too old");
        let cut = Uploads { newest: at(1), keys: vec![1; 33] };
        back.load(&cut, at(2000)).expect_err("damaged");
    }

    #[test]
    fn what_was_not_written_is_not_known() {
        let mut repeats = Repeats::default();
        repeats.add(7, id(10, 1), at(10));
        repeats.add(8, id(10, 2), at(10));
        repeats.take_back(&[(8, id(10, 2))]);
        assert_eq!((repeats.find(7, at(11)), repeats.find(8, at(11))), (Some(id(10, 1)), None));
        assert_eq!(repeats.freeze().keys.len(), ITEM_BYTES);
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..REPEATS_MAX as u128 + 50 {
            repeats.remember(n, id(10, n), at(10));
        }
        assert_eq!((repeats.len(), repeats.forgotten_early), (REPEATS_MAX, 50));
        assert_eq!(repeats.known.len(), REPEATS_MAX);
    }
}
