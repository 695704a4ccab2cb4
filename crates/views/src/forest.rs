//! Trees of stacks of several tables side by side, as numbers: what is shown of them is merged by
//! name, the rest is only added up. A question about all services has millions of stacks and shows
//! thousands.

use crate::flamegraph::{DEPTH_MAX, FlameGraph};
use crate::frames::{FrameNames, Frames};
use crate::top::{self, TopFunction, TopSort};
use crate::{AnswerMeta, Frame, NamedTables};
use profile::handle::Handle;
use profile::{LocationId, StackId, Tables};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Call trees that are not merged. It answers as the [`crate::CallTree`] of the same stacks does,
/// at a third of its memory, as far as it [`Forest::fits`].
#[derive(Debug, Default)]
pub struct Forest {
    trees: Vec<Tree>,
    frames: Frames,
}

/// The stacks of one set of tables that have a value. Stack 0 is the root; a stack comes before its
/// callees.
#[derive(Debug)]
struct Tree {
    /// By stack: its value with that of its callees.
    totals: Vec<i64>,
    /// By stack: its place in `names`.
    locations: Vec<u32>,
    /// By stack and one: where its callees begin in `callees`.
    starts: Vec<u32>,
    callees: Vec<u32>,
    names: Names,
}

/// Frames of locations, one location's after the other's, outermost first. Location 0 is the root's,
/// which has none.
#[derive(Debug)]
struct Names {
    starts: Vec<u32>,
    frames: Vec<u32>,
}

impl Names {
    fn of(&self, location: u32) -> &[u32] {
        let at = location as usize;
        &self.frames[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

impl Tree {
    fn frames(&self, stack: u32) -> &[u32] {
        self.names.of(self.locations[stack as usize])
    }

    fn callees(&self, stack: u32) -> &[u32] {
        let at = stack as usize;
        &self.callees[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    fn total(&self, stack: u32) -> i64 {
        self.totals[stack as usize]
    }

    fn own(&self, stack: u32) -> i64 {
        let callees = self.callees(stack).iter().map(|at| self.total(*at));
        self.total(stack) - callees.sum::<i64>()
    }
}

impl Forest {
    /// Whether it can hold values: none is negative and their sum fits in 64 bits.
    pub fn fits(values: impl IntoIterator<Item = i128>) -> bool {
        let mut values = values.into_iter();
        let sum = values.try_fold(0_i64, |sum, value| {
            let value = i64::try_from(value).ok().filter(|value| *value >= 0)?;
            sum.checked_add(value)
        });
        sum.is_some()
    }

    /// Number of its stacks, over all tables: about 24 bytes each.
    pub fn stacks(&self) -> usize {
        self.trees.iter().map(|tree| tree.totals.len()).sum()
    }

    /// The sum of all values.
    pub fn total(&self) -> i64 {
        self.trees.iter().map(|tree| tree.total(0)).sum()
    }

    /// Adds values by stack of one set of tables. All values of a forest together must
    /// [`Forest::fits`]. Stacks that the tables do not have are the root.
    pub fn add<'a>(
        &mut self,
        tables: impl Into<NamedTables<'a>>,
        values: impl IntoIterator<Item = (StackId, i64)>,
    ) {
        let named = tables.into();
        let values: Vec<_> = values.into_iter().filter(|(_, value)| *value != 0).collect();
        let kept = Kept::of(named.tables, &values);
        let mut names = NamesMaker::new(named);
        let count = kept.stacks.len();
        let mut starts = vec![0; count + 1];
        let (mut callers, mut locations) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for &stack in &kept.stacks {
            let (caller, location) = node(named.tables, stack);
            let caller = kept.places[caller as usize];
            callers.push(caller);
            locations.push(names.place(&mut self.frames, location));
            starts[caller as usize + 1] += u32::from(stack != 0);
        }
        let totals = kept.totals(&values, &callers);
        let callees = callees(&mut starts, &callers);
        self.trees.push(Tree { totals, locations, starts, callees, names: names.names });
    }

    /// The flame graph of all trees merged by name: what [`FlameGraph::of`] makes of their
    /// [`crate::CallTree`].
    pub fn flamegraph(&self, max_nodes: usize, meta: AnswerMeta) -> FlameGraph {
        let mut grown = Grown::new(self);
        let mut heap = BinaryHeap::from([(i64::MAX, Reverse(0))]);
        for _ in 0..max_nodes.max(1) {
            let Some((_, Reverse(at))) = heap.pop() else { break };
            let callees = grown.grow(at);
            heap.extend(callees.map(|at| (grown.branches[at].total, Reverse(at))));
        }
        grown.flamegraph(meta)
    }

    /// The `limit` first functions in the order asked for, as [`crate::CallTree::top`].
    pub fn top(&self, limit: usize, sort: TopSort) -> Vec<TopFunction> {
        let keys: Vec<u32> = (0..self.frames.len() as u32).collect();
        let rows = self.frames.iter().zip(self.sums_by(&keys, keys.len()));
        let row = |(frame, (own, total))| TopFunction { frame: Clone::clone(frame), own, total };
        top::first(rows.map(row).collect(), limit, sort)
    }

    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Own values and totals by key, of which each frame has one; a total counts once however often
    /// its key is on the path.
    pub(crate) fn sums_by(&self, keys: &[u32], count: usize) -> Vec<(i64, i64)> {
        let mut sums = Sums {
            keys,
            rows: vec![(0, 0); count],
            is_on_path: vec![false; count],
            path: Vec::new(),
        };
        for tree in &self.trees {
            sums.add(tree);
        }
        sums.rows
    }
}

/// The callees of stacks, one stack's after the other's. `starts` has the number of each stack's, one
/// place further on, and then where they begin.
fn callees(starts: &mut [u32], callers: &[u32]) -> Vec<u32> {
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.to_vec();
    let mut callees = vec![0; callers.len() - 1];
    for (at, &caller) in callers.iter().enumerate().skip(1) {
        let place = &mut next[caller as usize];
        callees[*place as usize] = at as u32;
        *place += 1;
    }
    callees
}

/// Caller and location of a stack of tables; the root is its own caller.
fn node(tables: &Tables, stack: u32) -> (u32, Option<LocationId>) {
    let node = tables.stacks.node(StackId(stack));
    node.map_or((0, None), |(caller, location)| (caller.0, Some(location)))
}

/// Stacks of tables that have a value, and their callers.
struct Kept {
    /// In the order of the tables, the root first: callers come before their callees.
    stacks: Vec<u32>,
    /// By stack of the tables: its place in `stacks`, 0 for those that are not kept. Memory is only
    /// taken where some are.
    places: Vec<u32>,
}

impl Kept {
    fn of(tables: &Tables, values: &[(StackId, i64)]) -> Self {
        let all = tables.stacks.len();
        let mut places = vec![0; all];
        let mut stacks = vec![0];
        for (stack, _) in values.iter().filter(|(stack, _)| stack.index() < all) {
            let mut at = stack.0;
            while at != 0 && places[at as usize] == 0 {
                places[at as usize] = 1;
                stacks.push(at);
                at = node(tables, at).0;
            }
        }
        if stacks.len() > all / 8 {
            stacks.clear();
            stacks.extend((0..all as u32).filter(|&at| at == 0 || places[at as usize] != 0));
        } else {
            stacks.sort_unstable();
        }
        for (place, &stack) in stacks.iter().enumerate() {
            places[stack as usize] = place as u32;
        }
        Self { stacks, places }
    }

    /// By place: the value with that of the callees.
    fn totals(&self, values: &[(StackId, i64)], callers: &[u32]) -> Vec<i64> {
        let mut totals = vec![0; self.stacks.len()];
        for (stack, value) in values {
            // A stack that the tables do not have is the root.
            let place = self.places.get(stack.index()).copied().unwrap_or(0);
            totals[place as usize] += value;
        }
        for at in (1..totals.len()).rev() {
            totals[callers[at] as usize] += totals[at];
        }
        totals
    }
}

/// Finds the frames of locations, each once.
struct NamesMaker<'a> {
    frame_names: FrameNames<'a>,
    /// By location of the tables: its place in `names`, or 0.
    places: Vec<u32>,
    names: Names,
}

impl<'a> NamesMaker<'a> {
    fn new(named: NamedTables<'a>) -> Self {
        Self {
            frame_names: FrameNames::of(named),
            places: vec![0; named.tables.locations.len()],
            names: Names { starts: vec![0, 0], frames: Vec::new() },
        }
    }

    fn place(&mut self, frames: &mut Frames, location: Option<LocationId>) -> u32 {
        let Some(location) = location else { return 0 };
        let Some(place) = self.places.get_mut(location.index()) else { return 0 };
        if *place == 0 {
            *place = self.names.starts.len() as u32 - 1;
            self.frame_names.extend(&mut self.names.frames, frames, location);
            self.names.starts.push(self.names.frames.len() as u32);
        }
        *place
    }
}

/// A frame of a stack of a tree.
#[derive(Clone, Copy, Debug)]
struct Member {
    tree: u32,
    stack: u32,
    /// Which of the frames of its location.
    frame: u32,
}

/// A node of the merged tree: one path of frames in all trees that have it.
#[derive(Debug)]
struct Branch {
    frame: u32,
    depth: u16,
    total: i64,
    members: Range<usize>,
    /// Its callees among the branches, largest first; none before it is shown.
    callees: Option<Range<usize>>,
}

/// What comes next in a flame graph.
enum Piece {
    Branch(usize),
    /// Depth and total of siblings that are not shown.
    LeftOut(u16, i64),
}

/// As much of the merged tree as is shown, and its next callees.
struct Grown<'a> {
    forest: &'a Forest,
    branches: Vec<Branch>,
    members: Vec<Member>,
}

impl<'a> Grown<'a> {
    fn new(forest: &'a Forest) -> Self {
        let members =
            (0..forest.trees.len() as u32).map(|tree| Member { tree, stack: 0, frame: 0 });
        let members: Vec<Member> = members.collect();
        let root = Branch {
            frame: u32::MAX,
            depth: 0,
            total: forest.total(),
            members: 0..members.len(),
            callees: None,
        };
        Self { forest, branches: vec![root], members }
    }

    /// Finds the callees of a branch.
    fn grow(&mut self, at: usize) -> Range<usize> {
        let mut found = Vec::new();
        for &member in &self.members[self.branches[at].members.clone()] {
            self.forest.below(member, &mut found);
        }
        found.sort_unstable_by_key(|(frame, _)| *frame);
        let total = |members: &[(u32, Member)]| -> i64 {
            members.iter().map(|(_, member)| self.forest.total_of(*member)).sum()
        };
        let groups = found.chunk_by(|a, b| a.0 == b.0);
        let mut groups: Vec<_> = groups.map(|group| (total(group), group)).collect();
        let frame = |group: &[(u32, Member)]| &self.forest.frames[group[0].0 as usize];
        groups.sort_unstable_by(|(a, ours), (b, theirs)| {
            b.cmp(a).then_with(|| frame(ours).cmp(frame(theirs)))
        });
        let (depth, first) = (self.branches[at].depth.saturating_add(1), self.branches.len());
        for (total, group) in groups {
            let start = self.members.len();
            self.members.extend(group.iter().map(|(_, member)| *member));
            let members = start..self.members.len();
            self.branches.push(Branch { frame: group[0].0, depth, total, members, callees: None });
        }
        let callees = first..self.branches.len();
        self.branches[at].callees = Some(callees.clone());
        callees
    }

    fn flamegraph(&self, meta: AnswerMeta) -> FlameGraph {
        let mut graph = FlameGraph { meta, ..FlameGraph::default() };
        let mut shown = vec![u32::MAX; self.forest.frames.len()];
        let mut trimmed = 0;
        let mut work = vec![Piece::Branch(0)];
        while let Some(piece) = work.pop() {
            let at = match piece {
                Piece::Branch(at) => at,
                Piece::LeftOut(depth, total) => {
                    trimmed += total;
                    graph.push(depth, u32::MAX, total, total, true);
                    continue;
                }
            };
            let branch: &Branch = &self.branches[at];
            let frame = branch.frame as usize;
            if let Some(place) = shown.get_mut(frame).filter(|place| **place == u32::MAX) {
                *place = graph.frames.len() as u32;
                graph.frames.push(self.forest.frames[frame].clone());
            }
            let frame = shown.get(frame).copied().unwrap_or(u32::MAX);
            let callees = branch.callees.clone().unwrap_or_default();
            let below: i64 = self.branches[callees.clone()].iter().map(|it| it.total).sum();
            graph.push(branch.depth, frame, branch.total, branch.total - below, false);
            let is_shown =
                |at: &usize| branch.depth < DEPTH_MAX && self.branches[*at].callees.is_some();
            let left_out = callees.clone().filter(|at| !is_shown(at));
            let left_out: i64 = left_out.map(|at| self.branches[at].total).sum();
            if left_out != 0 {
                work.push(Piece::LeftOut(branch.depth.saturating_add(1), left_out));
            }
            work.extend(callees.rev().filter(is_shown).map(Piece::Branch));
        }
        graph.trimmed = trimmed;
        graph
    }
}

impl Forest {
    fn total_of(&self, member: Member) -> i64 {
        self.trees[member.tree as usize].total(member.stack)
    }

    /// The frames that a frame calls in its tree.
    fn below(&self, member: Member, found: &mut Vec<(u32, Member)>) {
        let tree = &self.trees[member.tree as usize];
        let next = member.frame + 1;
        if let Some(&frame) = tree.frames(member.stack).get(next as usize) {
            found.push((frame, Member { frame: next, ..member }));
            return;
        }
        // A stack without a frame of its own is what called it.
        let mut work = vec![member.stack];
        while let Some(stack) = work.pop() {
            for &stack in tree.callees(stack) {
                match tree.frames(stack).first() {
                    Some(&frame) => found.push((frame, Member { stack, frame: 0, ..member })),
                    None => work.push(stack),
                }
            }
        }
    }
}

/// Sums by key; one that is on a path more than once counts once.
struct Sums<'a> {
    /// By frame.
    keys: &'a [u32],
    /// By key: its own value and its total.
    rows: Vec<(i64, i64)>,
    is_on_path: Vec<bool>,
    /// The keys that are, in the order of the path.
    path: Vec<u32>,
}

enum Step {
    /// To a stack, from the key that calls it.
    Enter(u32, u32),
    /// Back to a path of so many keys.
    Leave(usize),
}

impl Sums<'_> {
    fn add(&mut self, tree: &Tree) {
        let mut work = vec![Step::Enter(0, u32::MAX)];
        while let Some(step) = work.pop() {
            let (stack, caller) = match step {
                Step::Enter(stack, caller) => (stack, caller),
                Step::Leave(length) => {
                    for key in self.path.drain(length..) {
                        self.is_on_path[key as usize] = false;
                    }
                    continue;
                }
            };
            work.push(Step::Leave(self.path.len()));
            let frames = tree.frames(stack);
            self.enter(frames, tree.total(stack));
            let here = frames.last().map_or(caller, |frame| self.keys[*frame as usize]);
            if let Some((own, _)) = self.rows.get_mut(here as usize) {
                *own += tree.own(stack);
            }
            work.extend(tree.callees(stack).iter().map(|&callee| Step::Enter(callee, here)));
        }
    }

    fn enter(&mut self, frames: &[u32], total: i64) {
        for &frame in frames {
            let key = self.keys[frame as usize];
            if !std::mem::replace(&mut self.is_on_path[key as usize], true) {
                self.path.push(key);
                self.rows[key as usize].1 += total;
            }
        }
    }
}

#[cfg(test)]
mod tests;
