//! Two selections side by side: each node carries the values of both.

use crate::flamegraph::{Layout, Shown, ShownFrames};
use crate::{AnswerMeta, ViewError};
use crate::{CallTree, Frame};
use stdx::saturate;

/// How the two sides are made comparable. Values are never changed; this says which nodes are the
/// largest, and so which are shown, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalise {
    /// Each side as a part of its own total: for sides of different length or load.
    #[default]
    Total,
    /// As they are.
    None,
}

/// A merged call tree of two sides in pre-order, one entry a node, the root first; siblings by the
/// larger of their two weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiffGraph {
    /// What the side before was made of.
    pub before: AnswerMeta,
    /// What the side after was made of.
    pub after: AnswerMeta,
    /// How nodes were weighed.
    pub normalise: Normalise,
    /// The frames shown.
    pub frames: Vec<Frame>,
    /// Depth; the root has 0.
    pub depth: Vec<u16>,
    /// Index into `frames`; `u32::MAX` for the root and for trimmed nodes.
    pub frame: Vec<u32>,
    /// Values before, with callees.
    pub total_before: Vec<i64>,
    /// Own values before.
    pub own_before: Vec<i64>,
    /// Values after, with callees.
    pub total_after: Vec<i64>,
    /// Own values after.
    pub own_after: Vec<i64>,
    /// Whether the node stands for siblings that were trimmed.
    pub is_trimmed: Vec<bool>,
}

impl DiffGraph {
    /// Both trees in one of at most `max_nodes` nodes.
    pub fn of(
        before: (CallTree, AnswerMeta),
        after: (CallTree, AnswerMeta),
        normalise: Normalise,
        max_nodes: usize,
    ) -> Result<Self, ViewError> {
        let ((mut tree, before), (other, after)) = (before, after);
        if before.profile_type != after.profile_type {
            let problem = "the two sides have different profile types: give both the same";
            return Err(ViewError::Invalid(problem.to_owned()));
        }
        let (own_before, own_after) = join(&mut tree, &other);
        let (before_totals, after_totals) =
            (tree.totals_of(&own_before), tree.totals_of(&own_after));
        let wholes = match normalise {
            Normalise::Total => (whole(&before_totals), whole(&after_totals)),
            Normalise::None => (1, 1),
        };
        let weigh = |(a, b): (&i128, &i128)| {
            let part = |value: &i128, other: i128| i128::from(saturate(*value)).abs() * other;
            part(a, wholes.1).max(part(b, wholes.0))
        };
        let weights: Vec<i128> = before_totals.iter().zip(&after_totals).map(weigh).collect();
        let layout = Layout::of(&tree, &weights, max_nodes);
        let mut graph = Self { before, after, normalise, ..Self::default() };
        let mut shown = ShownFrames::default();
        for place in &layout.places {
            graph.depth.push(place.depth);
            graph.is_trimmed.push(matches!(place.what, Shown::Trimmed(..)));
            let (frame, values) = match place.what {
                Shown::Node(at) => {
                    let frame = tree.nodes[at as usize].frame;
                    let at = at as usize;
                    let values =
                        [before_totals[at], own_before[at], after_totals[at], own_after[at]];
                    (shown.at(&tree, frame, &mut graph.frames), values)
                }
                Shown::Trimmed(first, last) => {
                    let sum = |totals: &[i128]| {
                        let add = |sum: i128, at: &u32| sum.saturating_add(totals[*at as usize]);
                        layout.left_out[first..last].iter().fold(0, add)
                    };
                    let (before, after) = (sum(&before_totals), sum(&after_totals));
                    (u32::MAX, [before, before, after, after])
                }
            };
            graph.frame.push(frame);
            let [total_before, own_before, total_after, own_after] = values.map(saturate);
            graph.total_before.push(total_before);
            graph.own_before.push(own_before);
            graph.total_after.push(total_after);
            graph.own_after.push(own_after);
        }
        Ok(graph)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.depth.len()
    }

    /// Whether there is not even a root.
    pub fn is_empty(&self) -> bool {
        self.depth.is_empty()
    }
}

/// A side's whole as a weight: at least 1, so that an empty side does not hide the other.
fn whole(totals: &[i128]) -> i128 {
    i128::from(saturate(totals.first().copied().unwrap_or(0))).abs().max(1)
}

/// Adds the nodes of `other` to `tree`; own values of both, by node.
fn join(tree: &mut CallTree, other: &CallTree) -> (Vec<i128>, Vec<i128>) {
    let mut own_before: Vec<i128> = tree.nodes.iter().map(|node| node.own).collect();
    let frames = tree.take_frames(other, |_| true);
    let mut places = vec![CallTree::ROOT; other.nodes.len()];
    for (at, node) in other.nodes.iter().enumerate().skip(1) {
        places[at] = tree.child(places[node.parent as usize], frames[node.frame as usize]);
    }
    own_before.resize(tree.nodes.len(), 0);
    let mut own_after = vec![0; tree.nodes.len()];
    for (node, place) in other.nodes.iter().zip(places) {
        own_after[place as usize] = node.own;
    }
    (own_before, own_after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;

    fn side(text: &str) -> (CallTree, AnswerMeta) {
        let profile = from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        (tree, AnswerMeta::default())
    }

    fn rows(graph: &DiffGraph) -> Vec<(String, i64, i64)> {
        let name = |at: usize| graph.frames.get(graph.frame[at] as usize).map(|f| f.name.as_ref());
        let row = |at: usize| {
            let name = name(at).unwrap_or(if graph.is_trimmed[at] { "…" } else { "" });
            (name.to_owned(), graph.total_before[at], graph.total_after[at])
        };
        (0..graph.len()).map(row).collect()
    }

    #[test]
    fn each_node_carries_both_sides_and_the_largest_of_either_come_first() {
        let (before, after) = ("m;a 60\nm;b 40\n", "m;c 7\nm;a 2\nm;b 1\n");
        let diff = |normalise, max| {
            let graph = DiffGraph::of(side(before), side(after), normalise, max);
            rows(&graph.expect("of one type"))
        };
        let row = |name: &str, a, b| (name.to_owned(), a, b);
        let all = [row("", 100, 10), row("m", 100, 10)];
        let by_part = [row("c", 0, 7), row("a", 60, 2), row("b", 40, 1)];
        assert_eq!(diff(Normalise::Total, 9), [&all[..], &by_part].concat());
        let by_value = [row("a", 60, 2), row("b", 40, 1), row("c", 0, 7)];
        assert_eq!(diff(Normalise::None, 9), [&all[..], &by_value].concat());
        let cut = [row("a", 60, 2), row("…", 40, 8)];
        assert_eq!(diff(Normalise::None, 3), [&all[..], &cut].concat());
    }

    #[test]
    fn an_empty_side_is_shown_beside_the_other() {
        let graph = DiffGraph::of(side(""), side("m 3\n"), Normalise::Total, 9);
        assert_eq!(rows(&graph.expect("of one type"))[1], ("m".to_owned(), 0, 3));
    }
}
