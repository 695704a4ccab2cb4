//! Stacks as a prefix tree: a stack is a node, its parent is the caller's stack.
//!
//! Whole-host captures share most of every stack; a node costs two numbers where a list of
//! locations costs its depth.

use crate::handle::Handle;
use crate::index::{INDEX_BYTES, Index, hash_of};
use crate::{LocationId, StackId};

/// The tree. Node 0 is the root (the empty stack); a parent always comes before its children.
#[derive(Clone, Debug)]
pub struct StackTable {
    nodes: Vec<(StackId, LocationId)>,
    /// The first `indexed` nodes.
    index: Index,
    indexed: usize,
    /// The stack interned last, from its root on: the next one mostly begins alike.
    last: Vec<(LocationId, StackId)>,
}

impl Default for StackTable {
    fn default() -> Self {
        let root = (StackId(0), LocationId(u32::MAX));
        Self { nodes: vec![root], index: Index::default(), indexed: 1, last: Vec::new() }
    }
}

impl StackTable {
    /// The empty stack.
    pub const ROOT: StackId = StackId(0);

    /// The stack of `location` called from `parent`, added if it is new.
    pub fn intern(&mut self, parent: StackId, location: LocationId) -> StackId {
        debug_assert!(parent.index() < self.nodes.len(), "a parent comes before its children");
        if self.indexed < self.nodes.len() {
            self.index_rest();
        }
        let (nodes, node) = (&self.nodes, (parent, location));
        let at = self.index.find_or_add(hash_of(&node), nodes.len(), |have| nodes[have] == node);
        if at as usize == nodes.len() {
            self.nodes.push(node);
            self.indexed += 1;
        }
        StackId(at)
    }

    /// Adds a stack that is known to be new, as one read back from a tree is: trees that are only
    /// read need no index, so it is made when something is interned. `None` when the parent is
    /// not there.
    pub fn push(&mut self, parent: StackId, location: LocationId) -> Option<StackId> {
        if parent.index() >= self.nodes.len() {
            return None;
        }
        self.nodes.push((parent, location));
        Some(StackId::from_index(self.nodes.len() - 1))
    }

    fn index_rest(&mut self) {
        let nodes = &self.nodes;
        for (at, node) in nodes.iter().enumerate().skip(self.indexed) {
            self.index.find_or_add(hash_of(node), at, |have| nodes[have] == *node);
        }
        self.indexed = self.nodes.len();
    }

    /// The stack of the given locations, leaf first as in pprof and OTLP.
    pub fn intern_leaf_first(&mut self, locations: &[LocationId]) -> StackId {
        let mut last = std::mem::take(&mut self.last);
        let pairs = last.iter().zip(locations.iter().rev());
        last.truncate(pairs.take_while(|(have, location)| have.0 == **location).count());
        let mut stack = last.last().map_or(Self::ROOT, |have| have.1);
        for &location in locations.iter().rev().skip(last.len()) {
            stack = self.intern(stack, location);
            last.push((location, stack));
        }
        self.last = last;
        stack
    }

    /// Parent and location of a node; `None` for the root and for foreign handles.
    #[inline]
    pub fn node(&self, stack: StackId) -> Option<(StackId, LocationId)> {
        if stack == Self::ROOT {
            return None;
        }
        self.nodes.get(stack.index()).copied()
    }

    /// The locations of a stack, leaf first.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let (parent, location) = self.node(at)?;
            at = parent;
            Some(location)
        })
    }

    /// Nodes in handle order without the root: handle, parent, location.
    pub fn iter(&self) -> impl Iterator<Item = (StackId, StackId, LocationId)> {
        let numbered = self.nodes.iter().enumerate().skip(1);
        numbered.map(|(at, &(parent, location))| (StackId::from_index(at), parent, location))
    }

    /// Bytes in memory, about; those of the index where there is one.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<(StackId, LocationId)>() + self.indexed * INDEX_BYTES
    }

    /// Number of nodes, the root included.
    #[expect(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stacks_come_back_as_they_went_in(
            stacks in prop::collection::vec(prop::collection::vec(0u32..20, 0..12), 1..40),
        ) {
            let mut table = StackTable::default();
            let locations = |stack: &[u32]| stack.iter().map(|&l| LocationId(l)).collect::<Vec<_>>();
            let ids: Vec<_> =
                stacks.iter().map(|stack| table.intern_leaf_first(&locations(stack))).collect();
            for (stack, &id) in stacks.iter().zip(&ids) {
                prop_assert_eq!(table.leaf_first(id).collect::<Vec<_>>(), locations(stack));
                prop_assert_eq!(table.intern_leaf_first(&locations(stack)), id);
            }
            for (node, parent, _) in table.iter() {
                prop_assert!(parent < node);
            }
            let mut again = StackTable::default();
            for (node, parent, location) in table.iter() {
                prop_assert_eq!(again.push(parent, location), Some(node));
            }
            for (stack, &id) in stacks.iter().zip(&ids) {
                prop_assert_eq!(again.intern_leaf_first(&locations(stack)), id);
            }
            prop_assert_eq!(again.len(), table.len());
        }
    }
}
