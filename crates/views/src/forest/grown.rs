//! As much of the merged tree of a forest as is shown.

use super::{Forest, Tree, callees};
use crate::AnswerMeta;
use crate::flamegraph::FlameGraph;
use crate::limits::DEPTH_MAX;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

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
pub(super) struct Grown<'a> {
    forest: &'a mut Forest,
    branches: Vec<Branch>,
    members: Vec<Member>,
}

impl<'a> Grown<'a> {
    /// Grown to so many nodes, the largest first.
    pub(super) fn of(forest: &'a mut Forest, max_nodes: usize) -> Self {
        let mut grown = Self::root(forest);
        let mut heap = BinaryHeap::from([(i64::MAX, Reverse(0))]);
        for _ in 0..max_nodes.max(1) {
            let Some((_, Reverse(at))) = heap.pop() else { break };
            let callees = grown.grow(at);
            heap.extend(callees.map(|at| (grown.branches[at].total, Reverse(at))));
        }
        grown
    }

    fn root(forest: &'a mut Forest) -> Self {
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

    pub(super) fn flamegraph(&self, meta: AnswerMeta) -> FlameGraph {
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
    fn below(&mut self, member: Member, found: &mut Vec<(u32, Member)>) {
        let Self { trees, frames, .. } = self;
        let tree = &mut trees[member.tree as usize];
        let next = member.frame + 1;
        if let Some(&frame) = tree.frames(member.stack, frames).get(next as usize) {
            found.push((frame, Member { frame: next, ..member }));
            return;
        }
        // A stack without a frame of its own is what called it.
        let mut work = vec![member.stack];
        let Tree { ends, locations, names, .. } = tree;
        while let Some(stack) = work.pop() {
            for stack in callees(ends, stack) {
                match names.of_location(locations[stack as usize], frames).first() {
                    Some(&frame) => found.push((frame, Member { stack, frame: 0, ..member })),
                    None => work.push(stack),
                }
            }
        }
    }
}
