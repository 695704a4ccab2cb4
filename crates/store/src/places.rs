//! Where rows are, by the hash of their content.
//!
//! A memtable's tables do not fit into the processor's caches, and nearly every look-up waits for
//! memory. So all of a row's entry lies in one place, and what many look-ups are going to read is
//! fetched ahead, when the processor can wait for all of it at once.

use crate::content::Content;
use crate::rows::NONE;

/// What is kept of a hash. Of 96 bits, the chance that any two of a million stacks are taken for one
/// is about 10^-17.
pub(crate) type Short = [u32; 3];

/// Look-ups whose slots are fetched together.
const AHEAD: usize = 64;
/// Fewest slots.
const SLOTS_MIN: usize = 64;

/// Places by content: an open table of slots.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// None, or a power of two; more than a quarter are free. A free one has no place.
    slots: Vec<(Short, u32)>,
    used: usize,
}

impl Places {
    /// Of rows that are all there, in their order.
    pub(crate) fn of(all: &[Content]) -> Self {
        let mut places = Self::default();
        for (content, at) in all.iter().zip(0..) {
            places.insert(*content, at);
        }
        places
    }

    /// The slot of a hash, or the free one where it belongs.
    #[inline]
    fn slot(&self, hash: Short) -> usize {
        let last = self.slots.len() - 1;
        let mut at = hash[0] as usize & last;
        while self.slots[at].1 != NONE && self.slots[at].0 != hash {
            at = (at + 1) & last;
        }
        at
    }

    /// The place of a content; [`NONE`] when it has none.
    #[inline]
    pub(crate) fn get(&self, content: Content) -> u32 {
        if self.slots.is_empty() { NONE } else { self.slots[self.slot(content.short())].1 }
    }

    /// Gives a content a place.
    pub(crate) fn insert(&mut self, content: Content, place: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let at = self.slot(content.short());
        self.used += usize::from(self.slots[at].1 == NONE);
        self.slots[at] = (content.short(), place);
    }

    fn grow(&mut self) {
        let slots = vec![([0; 3], NONE); (self.slots.len() * 2).max(SLOTS_MIN)];
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot.1 != NONE {
                let at = self.slot(slot.0);
                self.slots[at] = slot;
            }
        }
    }

    /// The places of contents, as [`Self::get`] gives them.
    pub(crate) fn get_all(&self, all: &[Content]) -> Vec<u32> {
        let Some(last) = self.slots.len().checked_sub(1) else { return vec![NONE; all.len()] };
        let mut found = Vec::with_capacity(all.len());
        for some in all.chunks(AHEAD) {
            let mut read = 0;
            for content in some {
                read ^= self.slots[content.short()[0] as usize & last].1;
            }
            std::hint::black_box(read);
            found.extend(some.iter().map(|content| self.get(*content)));
        }
        found
    }

    /// How many have a place.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<(Short, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Contents;
    use profile::{StackId, Tables};

    /// The contents of so many stacks.
    fn contents(count: usize) -> Vec<Content> {
        let mut tables = Tables::default();
        let location = tables.named_location("a");
        for at in 0..count {
            tables.stacks.push(StackId(at as u32), location);
        }
        Contents::of(&tables, true).stacks
    }

    #[test]
    fn every_content_keeps_its_place_while_others_come() {
        let all = contents(5_000);
        let mut places = Places::default();
        assert_eq!((places.get(all[0]), places.get_all(&all[..2])), (NONE, vec![NONE; 2]));
        for (at, content) in all.iter().enumerate() {
            assert_eq!(places.get(*content), NONE);
            places.insert(*content, at as u32);
            let checked = [0, at / 2, at];
            assert_eq!(checked.map(|at| places.get(all[at]) as usize), checked);
        }
        assert!(all.iter().zip(0..).all(|(content, at)| places.get(*content) == at));
        assert!(places.get_all(&all).into_iter().eq(0..all.len() as u32));
        assert_eq!(Places::of(&all[..100]).get_all(&all[99..102]), [99, NONE, NONE]);
        places.insert(all[7], 9);
        assert_eq!((places.get(all[7]), places.len()), (9, all.len()));
        assert!(places.bytes() >= all.len() * 16 && places.bytes() < all.len() * 50);
    }
}
