//! Stacks as a prefix tree: a stack is a node, its parent is the caller's stack.
//!
//! Whole-host captures share most of every stack; a node costs two numbers where a list of
//! locations costs its depth.

use crate::handle::Handle;
use crate::hasher::KeyedMap;
use crate::{LocationId, StackId};

/// The tree. Node 0 is the root (the empty stack); a parent always comes before its children.
#[derive(Clone, Debug)]
pub struct StackTable {
    nodes: Vec<(StackId, LocationId)>,
    /// The first `indexed` nodes.
    index: KeyedMap<(StackId, LocationId), StackId>,
    indexed: usize,
}

impl Default for StackTable {
    fn default() -> Self {
        let root = (StackId(0), LocationId(u32::MAX));
        Self { nodes: vec![root], index: KeyedMap::default(), indexed: 1 }
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
        let nodes = &mut self.nodes;
        let stack = *self.index.entry((parent, location)).or_insert_with(|| {
            nodes.push((parent, location));
            StackId::from_index(nodes.len() - 1)
        });
        self.indexed = self.nodes.len();
        stack
    }

    /// Adds a stack that is known to be new, as one read back from a tree is: trees that are only
    /// read need no index, so it is made when something is interned. `None` when the parent is
    /// not there.
    pub fn push_distinct(&mut self, parent: StackId, location: LocationId) -> Option<StackId> {
        if parent.index() >= self.nodes.len() {
            return None;
        }
        self.nodes.push((parent, location));
        Some(StackId::from_index(self.nodes.len() - 1))
    }

    fn index_rest(&mut self) {
        for (at, &node) in self.nodes.iter().enumerate().skip(self.indexed) {
            self.index.entry(node).or_insert(StackId::from_index(at));
        }
        self.indexed = self.nodes.len();
    }

    /// The stack of the given locations, leaf first as in pprof and OTLP.
    pub fn intern_leaf_first(&mut self, locations: &[LocationId]) -> StackId {
        locations.iter().rev().fold(Self::ROOT, |parent, &location| self.intern(parent, location))
    }

    /// Parent and location of a node; `None` for the root and for foreign handles.
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
                prop_assert_eq!(again.push_distinct(parent, location), Some(node));
            }
            for (stack, &id) in stacks.iter().zip(&ids) {
                prop_assert_eq!(again.intern_leaf_first(&locations(stack)), id);
            }
            prop_assert_eq!(again.len(), table.len());
        }
    }
}
