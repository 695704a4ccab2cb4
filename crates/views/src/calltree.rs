//! The merged call tree: what flame graphs and tables of functions are made of.

use crate::classify::{Class, Facts, Overrides, classify};
use crate::{TopFunction, TopSort};
use profile::handle::Handle;
use profile::{FrameType, Function, LocationId, StackId, StringId, Tables};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::HashMap;
use std::sync::Arc;
use stdx::saturate;

/// A frame as people see it; trees of different profiles merge where frames are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// Function name; an address in hex where there is no name.
    pub name: Arc<str>,
    /// File name of the binary, without its folder.
    pub library: Arc<str>,
    /// Source file.
    pub file: Arc<str>,
    /// Whether the name is an address.
    pub unsymbolized: bool,
    /// Whether the kernel ran it.
    pub kernel: bool,
    /// Whose code it is.
    pub class: Class,
}

impl Frame {
    /// Whose code it is where the user's rules come first.
    pub fn class_with(&self, rules: &Overrides) -> Class {
        rules.class_of(&self.name, &self.file, &self.library, self.class)
    }
}

/// The frames of a location, outermost first.
pub fn frames_of(tables: &Tables, location: LocationId) -> Vec<Frame> {
    let Some(location) = tables.locations.get(location) else { return Vec::new() };
    let mapping = location.mapping.and_then(|id| tables.mappings.get(id));
    let path = mapping.map_or("", |mapping| tables.text(mapping.file));
    let library: Arc<str> = path.rsplit('/').next().unwrap_or(path).into();
    let kernel = location.frame_type == FrameType::Kernel;
    let names = profile::folded::frame_names(tables, location);
    let mut frames = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let function = location.lines.get(at).and_then(|line| tables.functions.get(line.function));
        let file = function.map_or("", |function| tables.text(function.file)).into();
        let unsymbolized = function.is_none_or(|function| !tables.is_named(function));
        frames.push(Frame {
            name: name.into(),
            library: Arc::clone(&library),
            file,
            unsymbolized,
            kernel,
            class: class_of(tables, path, function, location.frame_type),
        });
    }
    frames.reverse();
    frames
}

fn class_of(tables: &Tables, mapping: &str, function: Option<&Function>, kind: FrameType) -> Class {
    let text = |of: fn(&Function) -> StringId| function.map_or("", |it| tables.text(of(it)));
    let (name, system_name, file) =
        (text(|it| it.name), text(|it| it.system_name), text(|it| it.file));
    classify(&Facts { name, system_name, file, mapping, frame_type: kind, runtime: "" }).class
}

/// A node: its frame, its caller and the value of its own, exact whatever the order of additions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) frame: u32,
    pub(crate) parent: u32,
    pub(crate) own: i128,
}

/// A tree of frames; node 0 is the root. Children always come after their parents.
#[derive(Clone, Debug)]
pub struct CallTree {
    pub(crate) frames: Vec<Frame>,
    frame_index: HashMap<Frame, u32, FxBuildHasher>,
    pub(crate) nodes: Vec<Node>,
    children: FxHashMap<(u32, u32), u32>,
}

impl Default for CallTree {
    fn default() -> Self {
        let root = Node { frame: u32::MAX, parent: u32::MAX, own: 0 };
        Self {
            frames: Vec::new(),
            frame_index: HashMap::default(),
            nodes: vec![root],
            children: FxHashMap::default(),
        }
    }
}

impl CallTree {
    /// The root node.
    pub const ROOT: u32 = 0;

    /// The handle of a frame.
    pub fn intern(&mut self, frame: &Frame) -> u32 {
        if let Some(&at) = self.frame_index.get(frame) {
            return at;
        }
        let at = self.frames.len() as u32;
        self.frames.push(frame.clone());
        self.frame_index.insert(frame.clone(), at);
        at
    }

    /// Takes over those frames of another tree that are wanted; gives their new handles, by their
    /// old ones.
    pub(crate) fn take_frames(&mut self, from: &Self, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let frames = from.frames.iter().zip(0..);
        frames.map(|(frame, at)| if wanted(at) { self.intern(frame) } else { u32::MAX }).collect()
    }

    /// The node of `frame` (from [`CallTree::intern`]) called from `parent`.
    pub fn child(&mut self, parent: u32, frame: u32) -> u32 {
        let nodes = &mut self.nodes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            nodes.push(Node { frame, parent, own: 0 });
            (nodes.len() - 1) as u32
        })
    }

    /// Adds to a node's own value.
    pub fn add(&mut self, node: u32, value: i128) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.own = node.own.saturating_add(value);
        }
    }

    /// Adds values by stack of one set of tables: only the stacks named are resolved.
    pub fn add_stacks<V: Into<i128>>(
        &mut self,
        tables: &Tables,
        values: impl IntoIterator<Item = (StackId, V)>,
    ) {
        let mut resolver = Resolver::new(tables);
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
            work.extend(children[at as usize].iter().map(|&child| (child, true, false)));
        }
        sums
    }

    /// The `limit` first functions in the order asked for; ties go by frame.
    pub fn top(&self, limit: usize, sort: TopSort) -> Vec<TopFunction> {
        let mut rows = self.functions();
        rows.retain(|row| row.own != 0 || row.total != 0);
        rows.sort_unstable_by(|a, b| {
            let key = |row: &TopFunction| match sort {
                TopSort::Own => (row.own, row.total),
                TopSort::Total => (row.total, row.own),
            };
            key(b).cmp(&key(a)).then_with(|| a.frame.cmp(&b.frame))
        });
        rows.truncate(limit);
        rows
    }

    pub(crate) fn children_of(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(at as u32);
        }
        children
    }
}

/// Stands for "not looked at yet" in a [`Resolver`].
const UNKNOWN: u32 = u32::MAX;

/// Finds the nodes of stacks of one set of tables, each stack and location once.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    tables: &'a Tables,
    /// Node of each stack of the tables.
    stacks: Vec<u32>,
    /// Frames of each location of the tables.
    locations: Vec<Option<Box<[u32]>>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(tables: &'a Tables) -> Self {
        let stacks = vec![UNKNOWN; tables.stacks.len()];
        Self { tables, stacks, locations: vec![None; tables.locations.len()] }
    }

    /// The node of a stack, added if it is new; always of the same tree. A stack that the tables do
    /// not have is the root.
    pub(crate) fn node(&mut self, tree: &mut CallTree, stack: StackId) -> u32 {
        let mut path = Vec::new();
        let mut here = stack;
        let mut node = loop {
            let known = self.stacks.get(here.index()).copied().unwrap_or(UNKNOWN);
            if known != UNKNOWN {
                break known;
            }
            let Some((parent, location)) = self.tables.stacks.node(here) else {
                break CallTree::ROOT;
            };
            path.push((here, location));
            here = parent;
        };
        while let Some((stack, location)) = path.pop() {
            if let Some(place) = self.locations.get_mut(location.index()) {
                let frames = place.get_or_insert_with(|| {
                    let frames = frames_of(self.tables, location);
                    frames.iter().map(|frame| tree.intern(frame)).collect()
                });
                node = frames.iter().fold(node, |node, &frame| tree.child(node, frame));
            }
            self.stacks[stack.index()] = node;
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
