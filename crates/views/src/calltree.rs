//! The merged call tree: what flame graphs and tables of functions are made of.

use crate::frame::{Frame, Origin};
use crate::frames::{FrameNames, Frames};
use crate::{NamedTables, TopFunction, TopSort, top};
use profile::StackId;
use profile::handle::Handle;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use stdx::saturate;

/// A node: its frame, its caller and the value of its own, exact whatever the order of additions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) frame: u32,
    pub(crate) parent: u32,
    pub(crate) own: i128,
}

/// A binary of which some addresses have no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnnamedBinary {
    /// Its build id; empty when no profile says it.
    pub build_id: Arc<str>,
    /// Its path.
    pub path: Arc<str>,
    /// The values of stacks that end in such an address.
    pub own: i64,
    /// Number of such addresses.
    pub addresses: u64,
}

/// A tree of frames; node 0 is the root. Children always come after their parents.
#[derive(Clone, Debug)]
pub struct CallTree {
    pub(crate) frames: Frames,
    pub(crate) nodes: Vec<Node>,
    /// By caller and frame, in the upper and lower half.
    children: FxHashMap<u64, u32>,
}

impl Default for CallTree {
    fn default() -> Self {
        let root = Node { frame: u32::MAX, parent: u32::MAX, own: 0 };
        Self { frames: Frames::default(), nodes: vec![root], children: FxHashMap::default() }
    }
}

impl CallTree {
    /// The root node.
    pub const ROOT: u32 = 0;

    /// The handle of a frame.
    pub fn intern(&mut self, frame: &Frame) -> u32 {
        self.frames.intern(frame)
    }

    /// Takes over those frames of another tree that are wanted; gives their new handles, by their
    /// old ones.
    pub(crate) fn take_frames(&mut self, from: &Self, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let frames = from.frames.iter().zip(0..);
        frames.map(|(frame, at)| if wanted(at) { self.intern(frame) } else { u32::MAX }).collect()
    }

    /// The node of `frame` (from [`CallTree::intern`]) called from `parent`.
    pub fn child(&mut self, parent: u32, frame: u32) -> u32 {
        // A first callee is mostly the node after its caller: seen without the look-up, which
        // waits for memory.
        let next = parent.wrapping_add(1);
        if self.nodes.get(next as usize).is_some_and(|it| (it.parent, it.frame) == (parent, frame))
        {
            return next;
        }
        let nodes = &mut self.nodes;
        let key = (u64::from(parent) << 32) | u64::from(frame);
        *self.children.entry(key).or_insert_with(|| {
            nodes.push(Node { frame, parent, own: 0 });
            (nodes.len() - 1) as u32
        })
    }

    /// Number of its nodes, the root among them.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Adds to a node's own value.
    pub fn add(&mut self, node: u32, value: i128) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.own = node.own.saturating_add(value);
        }
    }

    /// Adds values by stack of one set of tables: only the stacks named are resolved.
    pub fn add_stacks<'a, V: Into<i128>>(
        &mut self,
        tables: impl Into<NamedTables<'a>>,
        values: impl IntoIterator<Item = (StackId, V)>,
    ) {
        let mut resolver = Resolver::new(tables.into());
        // In the order of the tables, which is mostly that of the nodes made of them.
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by_key(|(stack, _)| *stack);
        for (stack, value) in values {
            let node = resolver.node(self, stack);
            self.add(node, value.into());
        }
    }

    /// The whole tree's value, saturating.
    pub fn total(&self) -> i64 {
        saturate(self.nodes.iter().fold(0, |sum, node| node.own.saturating_add(sum)))
    }

    /// Each node's value with all its callees', exact.
    pub(crate) fn totals(&self) -> Vec<i128> {
        let own: Vec<i128> = self.nodes.iter().map(|node| node.own).collect();
        self.totals_of(&own)
    }

    /// Totals of other own values, one a node.
    pub(crate) fn totals_of(&self, own: &[i128]) -> Vec<i128> {
        let mut totals = own.to_vec();
        for at in (1..self.nodes.len()).rev() {
            let parent = self.nodes[at].parent as usize;
            totals[parent] = totals[parent].saturating_add(totals[at]);
        }
        totals
    }

    /// Self and total of each function; a function that calls itself counts once.
    pub fn functions(&self) -> Vec<TopFunction> {
        let keys: Vec<u32> = (0..self.frames.len() as u32).collect();
        let row = |(frame, (own, total)): (&Frame, (i128, i128))| TopFunction {
            frame: frame.clone(),
            own: saturate(own),
            total: saturate(total),
        };
        self.frames.iter().zip(self.sums_by(&keys, self.frames.len())).map(row).collect()
    }

    /// Own values and totals by key, of which each frame has one; a total counts once however often
    /// its key is on the path.
    pub(crate) fn sums_by(&self, keys: &[u32], count: usize) -> Vec<(i128, i128)> {
        let totals = self.totals();
        let mut sums = vec![(0_i128, 0_i128); count];
        let mut on_path = vec![false; count];
        let children = self.children_of();
        let mut work: Vec<(u32, bool, bool)> = vec![(Self::ROOT, true, false)];
        while let Some((at, entering, outermost)) = work.pop() {
            let node = self.nodes[at as usize];
            let key = keys.get(node.frame as usize).map(|key| *key as usize);
            if !entering {
                if let Some(key) = key.filter(|_| outermost) {
                    on_path[key] = false;
                }
                continue;
            }
            let mut outermost = false;
            if let Some(key) = key {
                outermost = !std::mem::replace(&mut on_path[key], true);
                let (own, total) = &mut sums[key];
                *own = own.saturating_add(node.own);
                if outermost {
                    *total = total.saturating_add(totals[at as usize]);
                }
            }
            work.push((at, false, outermost));
            work.extend(children.of(at).iter().map(|&child| (child, true, false)));
        }
        sums
    }

    /// The `limit` first functions in the order asked for; ties go by frame.
    pub fn top(&self, limit: usize, sort: TopSort) -> Vec<TopFunction> {
        top::first(self.functions(), limit, sort)
    }

    /// What has no name: binaries by build id and path, with their own values and how many
    /// addresses they have, the largest first.
    pub fn unnamed(&self) -> Vec<UnnamedBinary> {
        let mut binaries: HashMap<(&str, &str), UnnamedBinary, FxBuildHasher> = HashMap::default();
        let mut own = vec![0_i128; self.frames.len()];
        for node in &self.nodes {
            if let Some(sum) = own.get_mut(node.frame as usize) {
                *sum = sum.saturating_add(node.own);
            }
        }
        for (frame, own) in self.frames.iter().zip(own).filter(|(frame, _)| frame.unsymbolized) {
            let Origin { build_id, path, .. } = &frame.origin;
            let binary = binaries.entry((build_id, path)).or_insert_with(|| UnnamedBinary {
                build_id: Arc::clone(build_id),
                path: Arc::clone(path),
                own: 0,
                addresses: 0,
            });
            binary.own = saturate(i128::from(binary.own) + own);
            binary.addresses += 1;
        }
        let mut rows: Vec<UnnamedBinary> = binaries.into_values().collect();
        rows.sort_unstable_by(|a, b| {
            let key = |row: &UnnamedBinary| (row.own, row.addresses);
            key(b).cmp(&key(a)).then_with(|| (&a.build_id, &a.path).cmp(&(&b.build_id, &b.path)))
        });
        rows
    }

    pub(crate) fn children_of(&self) -> Children {
        self.children_where(|_| true)
    }

    /// The children of each node that are wanted.
    pub(crate) fn children_where(&self, wanted: impl Fn(u32) -> bool) -> Children {
        let mut starts = vec![0_u32; self.nodes.len() + 1];
        let wanted = || (1..self.nodes.len() as u32).filter(|at| wanted(*at));
        for at in wanted() {
            starts[self.nodes[at as usize].parent as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut list = vec![0; starts.last().map_or(0, |count| *count as usize)];
        let mut next = starts.clone();
        for at in wanted() {
            let place = &mut next[self.nodes[at as usize].parent as usize];
            list[*place as usize] = at;
            *place += 1;
        }
        Children { starts, list }
    }
}

/// Children of all nodes, one node's after the other's.
#[derive(Debug)]
pub(crate) struct Children {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    fn range(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    /// The children of a node.
    pub(crate) fn of(&self, node: u32) -> &[u32] {
        &self.list[self.range(node)]
    }

    /// Sorts the children of each node.
    pub(crate) fn sort_by(&mut self, mut compare: impl FnMut(&u32, &u32) -> Ordering) {
        for node in 0..self.starts.len() as u32 - 1 {
            let range = self.range(node);
            if range.len() > 1 {
                self.list[range].sort_unstable_by(&mut compare);
            }
        }
    }
}

/// Finds the nodes of stacks of one set of tables, each stack, location and function once.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    names: FrameNames,
    named: NamedTables<'a>,
    /// Node of each stack of the tables and one; zero where it was not looked for yet, so that
    /// memory is only taken where stacks are asked for: a segment of fifty services has millions.
    stacks: Vec<u32>,
    /// Frames of each location of the tables.
    locations: Vec<Option<Box<[u32]>>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(named: NamedTables<'a>) -> Self {
        let tables = named.tables;
        Self {
            names: FrameNames::default(),
            named,
            stacks: vec![0; tables.stacks.len()],
            locations: vec![None; tables.locations.len()],
        }
    }

    /// The node of a stack, added if it is new; always of the same tree. A stack that the tables do
    /// not have is the root.
    pub(crate) fn node(&mut self, tree: &mut CallTree, stack: StackId) -> u32 {
        let mut path = Vec::new();
        let mut here = stack;
        let mut node = loop {
            let known = self.stacks.get(here.index()).and_then(|known| known.checked_sub(1));
            if let Some(known) = known {
                break known;
            }
            let Some((parent, location)) = self.named.tables.stacks.node(here) else {
                break CallTree::ROOT;
            };
            path.push((here, location));
            here = parent;
        };
        while let Some((stack, location)) = path.pop() {
            if self.locations.get(location.index()).is_some_and(Option::is_none) {
                let mut frames = Vec::new();
                self.names.extend(&mut frames, &mut tree.frames, self.named, location);
                self.locations[location.index()] = Some(frames.into());
            }
            if let Some(Some(frames)) = self.locations.get(location.index()) {
                node = frames.iter().fold(node, |node, &frame| tree.child(node, frame));
            }
            self.stacks[stack.index()] = node + 1;
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;

    fn tree(text: &str) -> CallTree {
        let profile = from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        tree
    }

    #[test]
    fn recursion_counts_once_in_totals() {
        let tree = tree("a;b;a;c 3\na;b 2\nb 1\n");
        let rows = tree.top(10, TopSort::Total);
        let rows: Vec<_> = rows.iter().map(|r| (r.frame.name.as_ref(), r.own, r.total)).collect();
        assert_eq!(rows, [("b", 3, 6), ("a", 0, 5), ("c", 3, 3)]);
    }

    #[test]
    fn a_place_instead_of_a_name_is_no_name() {
        let tree = tree("main;[function at 0x1f0] 3\n[kernel] 1\n");
        let unnamed = tree.frames.iter().filter(|frame| frame.unsymbolized);
        let unnamed: Vec<&str> = unnamed.map(|frame| frame.name.as_ref()).collect();
        assert_eq!(unnamed, ["[function at 0x1f0]"]);
    }

    #[test]
    fn the_root_holds_everything() {
        let tree = tree("a;b 3\nc 2\n");
        assert_eq!((tree.total(), tree.totals()[0]), (5, 5));
        assert_eq!(tree.top(1, TopSort::Own)[0].frame.name.as_ref(), "b");
    }

    #[test]
    fn sums_beyond_64_bits_do_not_depend_on_order() {
        for values in [[i64::MAX, 1, -1], [-1, i64::MAX, 1], [1, -1, i64::MAX]] {
            let mut tree = tree("a;b 0\n");
            for value in values {
                tree.add(2, value.into());
            }
            assert_eq!(tree.total(), i64::MAX);
            tree.add(1, 5);
            let rows = tree.top(2, TopSort::Total);
            let rows: Vec<_> = rows.iter().map(|row| (row.own, row.total)).collect();
            assert_eq!(rows, [(i64::MAX, i64::MAX), (5, i64::MAX)]);
            tree.add(1, -6);
            assert_eq!(tree.total(), i64::MAX - 1, "the excess was not lost");
        }
    }
}
