//! Flame graphs: a call tree in pre-order, trimmed to a number of nodes.

use crate::calltree::Children;
use crate::limits::DEPTH_MAX;
use crate::{AnswerMeta, CallTree, Frame};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use stdx::saturate;

/// A merged call tree in pre-order: the root first (depth 0), siblings by total, largest first.
/// All columns have one entry a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlameGraph {
    /// What it was made of.
    pub meta: AnswerMeta,
    /// The frames shown, each once, in order of first use.
    pub frames: Vec<Frame>,
    /// Depth; the root has 0.
    pub depth: Vec<u16>,
    /// Index into `frames`; `u32::MAX` for the root and for trimmed nodes.
    pub frame: Vec<u32>,
    /// Value of the node with its callees.
    pub total: Vec<i64>,
    /// Value of the node itself.
    pub own: Vec<i64>,
    /// Whether the node stands for siblings that were trimmed.
    pub is_trimmed: Vec<bool>,
    /// Sum of the totals of trimmed nodes.
    pub trimmed: i64,
}

impl FlameGraph {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.depth.len()
    }

    /// Whether there is not even a root.
    pub fn is_empty(&self) -> bool {
        self.depth.is_empty()
    }

    /// The flame graph of a tree with at most `max_nodes` nodes (at least the root): the largest
    /// nodes stay; what is left out under a node becomes one trimmed node beside its callees,
    /// which is not counted in `max_nodes`.
    pub fn of(tree: &CallTree, max_nodes: usize, meta: AnswerMeta) -> Self {
        let totals = tree.totals();
        let layout = Layout::of(tree, &totals, max_nodes);
        let mut graph = Self { meta, ..Self::default() };
        let mut shown = ShownFrames::default();
        let mut trimmed = 0_i128;
        for place in &layout.places {
            match place.what {
                Shown::Node(at) => {
                    let node = tree.nodes[at as usize];
                    let frame = shown.at(tree, node.frame, &mut graph.frames);
                    let (total, own) = (saturate(totals[at as usize]), saturate(node.own));
                    graph.push(place.depth, frame, total, own, false);
                }
                Shown::Trimmed(first, last) => {
                    let left_out = &layout.left_out[first..last];
                    let add = |sum: i128, at: &u32| sum.saturating_add(totals[*at as usize]);
                    let total = left_out.iter().fold(0, add);
                    trimmed = trimmed.saturating_add(total);
                    let total = saturate(total);
                    graph.push(place.depth, u32::MAX, total, total, true);
                }
            }
        }
        graph.trimmed = saturate(trimmed);
        graph
    }

    pub(crate) fn push(&mut self, depth: u16, frame: u32, total: i64, own: i64, is_trimmed: bool) {
        self.depth.push(depth);
        self.frame.push(frame);
        self.total.push(total);
        self.own.push(own);
        self.is_trimmed.push(is_trimmed);
    }
}

/// What stands at a place of a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Node(u32),
    /// A stand-in for these of [`Layout::left_out`].
    Trimmed(usize, usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) what: Shown,
    pub(crate) depth: u16,
}

/// Which nodes of a tree a graph shows, in pre-order, siblings by weight.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) places: Vec<Place>,
    pub(crate) left_out: Vec<u32>,
}

impl Layout {
    /// The `max_nodes` nodes of largest weight; nodes without weight are not shown. What is left
    /// out under a node is one place beside its callees unless its weights cancel out.
    pub(crate) fn of(tree: &CallTree, weights: &[i128], max_nodes: usize) -> Self {
        let mut children = tree.children_where(|at| weights[at as usize] != 0);
        children.sort_by(|&a, &b| {
            let key = |at: u32| Reverse(weights[at as usize]);
            let frame = |at: u32| &tree.frames[tree.nodes[at as usize].frame as usize];
            key(a).cmp(&key(b)).then_with(|| frame(a).cmp(frame(b)))
        });
        let keep = largest(weights, &children, max_nodes);
        let mut layout = Self::default();
        let mut work = vec![Place { what: Shown::Node(CallTree::ROOT), depth: 0 }];
        while let Some(place) = work.pop() {
            layout.places.push(place);
            let Shown::Node(at) = place.what else { continue };
            let below = children.of(at);
            let shown = |child: u32| keep[child as usize] && place.depth < DEPTH_MAX;
            let first = layout.left_out.len();
            layout.left_out.extend(below.iter().filter(|&&child| !shown(child)));
            let last = layout.left_out.len();
            let left_out = layout.left_out[first..].iter();
            let weight = |sum: i128, child: &u32| sum.saturating_add(weights[*child as usize]);
            if left_out.fold(0, weight) != 0 {
                let what = Shown::Trimmed(first, last);
                work.push(Place { what, depth: place.depth.saturating_add(1) });
            }
            let next = below.iter().rev().filter(|&&child| shown(child));
            work.extend(
                next.map(|&child| Place { what: Shown::Node(child), depth: place.depth + 1 }),
            );
        }
        layout
    }
}

/// The frames that a graph shows, in order of first use.
#[derive(Debug, Default)]
pub(crate) struct ShownFrames {
    index: FxHashMap<u32, u32>,
}

impl ShownFrames {
    /// The position among the frames shown of a frame of the tree.
    pub(crate) fn at(&mut self, tree: &CallTree, frame: u32, shown: &mut Vec<Frame>) -> u32 {
        let Some(found) = tree.frames.get(frame as usize) else { return u32::MAX };
        *self.index.entry(frame).or_insert_with(|| {
            shown.push(found.clone());
            (shown.len() - 1) as u32
        })
    }
}

/// Marks the `max_nodes` nodes of largest total that hang together from the root. Of equal ones the
/// callees of what was marked first go first, among siblings by their order: the order in which
/// nodes came to be does not matter.
fn largest(totals: &[i128], children: &Children, max_nodes: usize) -> Vec<bool> {
    let mut keep = vec![false; totals.len()];
    let mut heap = BinaryHeap::from([(i128::MAX, Reverse(0), CallTree::ROOT)]);
    let mut seen = 0;
    for _ in 0..max_nodes.max(1) {
        let Some((_, _, at)) = heap.pop() else { break };
        keep[at as usize] = true;
        heap.extend(children.of(at).iter().map(|&child| {
            seen += 1;
            (totals[child as usize], Reverse(seen), child)
        }));
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;
    use proptest::prelude::*;

    fn graph(text: &str, max_nodes: usize) -> FlameGraph {
        let profile = from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        FlameGraph::of(&tree, max_nodes, AnswerMeta::default())
    }

    proptest! {
        #[test]
        fn children_and_self_make_the_total_whatever_is_trimmed(
            rows in prop::collection::vec(("[a-d](;[a-d]){0,5}", 1i64..100), 1..40),
            max_nodes in 1usize..30,
        ) {
            let text: String = rows.iter().map(|(stack, value)| format!("{stack} {value}\n")).collect();
            let graph = graph(&text, max_nodes);
            prop_assert_eq!(graph.total[0], rows.iter().map(|(_, value)| value).sum::<i64>());
            for at in 0..graph.len() {
                if graph.is_trimmed[at] { continue; }
                let mut sum = graph.own[at];
                let mut last = i64::MAX;
                for child in at + 1..graph.len() {
                    if graph.depth[child] <= graph.depth[at] { break; }
                    if graph.depth[child] == graph.depth[at] + 1 {
                        sum += graph.total[child];
                        prop_assert!(graph.is_trimmed[child] || graph.total[child] <= last);
                        last = graph.total[child];
                    }
                }
                prop_assert_eq!(sum, graph.total[at]);
            }
            let shown = graph.is_trimmed.iter().filter(|trimmed| !**trimmed).count();
            prop_assert!(shown <= max_nodes);
        }

        #[test]
        fn what_is_trimmed_does_not_depend_on_the_order_of_arrival(
            rows in prop::collection::vec(("[a-d](;[a-d]){0,4}", 1i64..3), 1..30)
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            max_nodes in 1usize..20,
        ) {
            let text = |rows: &[(String, i64)]| -> String {
                rows.iter().map(|(stack, value)| format!("{stack} {value}\n")).collect()
            };
            prop_assert_eq!(graph(&text(&rows.0), max_nodes), graph(&text(&rows.1), max_nodes));
        }
    }
}
