//! What the ids of a message stand for.

use profile::KeyedMap;

/// Ids up to this many times their number of entries are taken for counted ones.
const GAPS_MAX: u64 = 4;

/// Entries by id. Nearly all writers count from one, so such ids index a list; others, addresses
/// for instance, go into a map.
#[derive(Debug)]
pub(super) struct Ids<T> {
    counted: Vec<Option<T>>,
    others: KeyedMap<u64, T>,
    entries: u64,
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Self { counted: Vec::new(), others: KeyedMap::default(), entries: 0 }
    }
}

impl<T: Copy> Ids<T> {
    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<T> {
        let counted = usize::try_from(id).ok().and_then(|at| self.counted.get(at).copied()?);
        if counted.is_some() || self.others.is_empty() {
            return counted;
        }
        self.others.get(&id).copied()
    }

    /// Later entries with the same id replace earlier ones.
    pub(super) fn insert(&mut self, id: u64, entry: T) {
        self.entries += 1;
        if id > self.entries.saturating_mul(GAPS_MAX) && id >= self.counted.len() as u64 {
            self.others.insert(id, entry);
            return;
        }
        let at = id as usize;
        if at >= self.counted.len() {
            self.counted.resize(at + 1, None);
        }
        self.counted[at] = Some(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_entry_of_an_id_is_found_in_little_memory(
            ids in prop::collection::vec(prop_oneof![0u64..20, 0u64..2_000, any::<u64>()], 0..200),
        ) {
            let (mut found, mut expected) = (Ids::default(), std::collections::HashMap::new());
            for (at, &id) in ids.iter().enumerate() {
                found.insert(id, at);
                expected.insert(id, at);
                prop_assert!(found.counted.len() <= 1 + GAPS_MAX as usize * (at + 1));
            }
            for id in ids.iter().flat_map(|&id| [id, id.wrapping_add(1)]) {
                prop_assert_eq!(found.get(id), expected.get(&id).copied());
            }
        }
    }
}
