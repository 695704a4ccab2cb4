//! Finds the rows of a table by their contents without holding them a second time.

use crate::hasher::BuildKeyed;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, Hash};

/// Places of rows by hash. Eight bytes a row: the hash is kept, so that growing touches no row.
#[derive(Clone, Debug, Default)]
pub struct Index {
    places: HashTable<(u32, u32)>,
}

/// Bytes of a row in an index, about: eight and a tag, in a table that is half to seven eighths full.
pub(crate) const INDEX_BYTES: usize = 16;

/// What rows are found by: 32 bits of a keyed hash.
pub fn hash_of<T: Hash + ?Sized>(row: &T) -> u32 {
    let hash = BuildKeyed::default().hash_one(row);
    // Both halves matter: the table takes its bucket from the lower bits and a tag from the upper.
    (hash ^ (hash >> 32)) as u32
}

/// The same 32 bits where the table looks for its bucket and where it looks for its tag.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Index {
    /// Sets memory aside for so many rows more.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.places.reserve(rows, |row| spread(row.0));
    }

    /// The place of the row with that hash for which `is_it` holds.
    pub fn find(&self, hash: u32, is_it: impl Fn(usize) -> bool) -> Option<u32> {
        let found = self.places.find(spread(hash), |row| row.0 == hash && is_it(row.1 as usize));
        found.map(|row| row.1)
    }

    /// The place of the row with that hash for which `is_it` holds; `next`, from now on, when there
    /// is none.
    pub fn find_or_add(&mut self, hash: u32, next: usize, is_it: impl Fn(usize) -> bool) -> u32 {
        let is_it = |row: &(u32, u32)| row.0 == hash && is_it(row.1 as usize);
        match self.places.entry(spread(hash), is_it, |row| spread(row.0)) {
            Entry::Occupied(found) => found.get().1,
            Entry::Vacant(place) => place.insert((hash, next as u32)).get().1,
        }
    }
}
