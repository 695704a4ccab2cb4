//! Flame graphs as rows of numbers, as Pyroscope and Grafana draw them.
//!
//! A row holds the nodes of one depth from left to right: the distance from the end of the node
//! before, the total, the own value, and the position of the name; in a graph of two sides, the first
//! three for each side. A node's callees begin after its own value.

use std::collections::HashMap;
use views::{DiffGraph, FlameGraph, Frame};
use wire::pyroscope as message;

/// Name of what was left out.
pub(super) const OTHER: &str = "other";
/// Name of the root.
const TOTAL: &str = "total";

#[derive(Default)]
struct Names<'a> {
    rows: Vec<String>,
    index: HashMap<&'a str, i64>,
}

impl<'a> Names<'a> {
    fn at(&mut self, name: &'a str) -> i64 {
        let rows = &mut self.rows;
        *self.index.entry(name).or_insert_with(|| {
            rows.push(name.to_owned());
            rows.len() as i64 - 1
        })
    }
}

/// One side's place in each row.
#[derive(Default)]
struct Side {
    /// Where the next node of each depth begins.
    next: Vec<i64>,
    /// Where the last node of each depth ended.
    ends: Vec<i64>,
}

impl Side {
    /// Places a node; its distance from the one before in its row.
    fn place(&mut self, depth: usize, total: i64, own: i64) -> i64 {
        if self.next.len() < depth + 2 {
            self.next.resize(depth + 2, 0);
            self.ends.resize(depth + 2, 0);
        }
        let start = self.next[depth];
        let distance = start.saturating_sub(self.ends[depth]);
        let end = start.saturating_add(total);
        self.next[depth] = end;
        self.ends[depth] = end;
        self.next[depth + 1] = start.saturating_add(own);
        distance
    }
}

/// The name of a node.
pub(super) fn name(frames: &[Frame], frame: u32, is_trimmed: bool) -> &str {
    match frames.get(frame as usize) {
        Some(frame) => &frame.name,
        None if is_trimmed => OTHER,
        None => TOTAL,
    }
}

fn row(levels: &mut Vec<message::Level>, depth: usize) -> &mut Vec<i64> {
    if levels.len() <= depth {
        levels.resize_with(depth + 1, message::Level::default);
    }
    &mut levels[depth].values
}

/// A graph of one side.
pub(super) fn single(graph: &FlameGraph) -> message::FlameGraph {
    let (mut names, mut side) = (Names::default(), Side::default());
    let mut flame = message::FlameGraph::default();
    for at in 0..graph.len() {
        let depth = usize::from(graph.depth[at]);
        let (total, own) = (graph.total[at], graph.own[at]);
        let name = names.at(name(&graph.frames, graph.frame[at], graph.is_trimmed[at]));
        let distance = side.place(depth, total, own);
        row(&mut flame.levels, depth).extend([distance, total, own, name]);
        flame.max_self = flame.max_self.max(own);
    }
    flame.total = graph.total.first().copied().unwrap_or_default();
    flame.names = names.rows;
    flame
}

/// A graph of two sides.
pub(super) fn double(graph: &DiffGraph) -> message::FlameGraphDiff {
    let mut names = Names::default();
    let (mut left, mut right) = (Side::default(), Side::default());
    let mut flame = message::FlameGraphDiff::default();
    for at in 0..graph.len() {
        let depth = usize::from(graph.depth[at]);
        let (total_left, own_left) = (graph.total_before[at], graph.own_before[at]);
        let (total_right, own_right) = (graph.total_after[at], graph.own_after[at]);
        let name = names.at(name(&graph.frames, graph.frame[at], graph.is_trimmed[at]));
        let from_left = left.place(depth, total_left, own_left);
        let from_right = right.place(depth, total_right, own_right);
        let values = [from_left, total_left, own_left, from_right, total_right, own_right, name];
        row(&mut flame.levels, depth).extend(values);
        flame.max_self = flame.max_self.max(own_left).max(own_right);
    }
    flame.left_ticks = graph.total_before.first().copied().unwrap_or_default();
    flame.right_ticks = graph.total_after.first().copied().unwrap_or_default();
    flame.total = flame.left_ticks.saturating_add(flame.right_ticks);
    flame.names = names.rows;
    flame
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;
    use std::collections::BTreeMap;
    use views::{AnswerMeta, CallTree, Normalise};

    pub(crate) fn tree(text: &str) -> CallTree {
        let profile = from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        tree
    }

    /// Reads rows as a viewer does: a node's caller is the one above it that spans its place.
    fn folded(
        names: &[String],
        levels: &[message::Level],
        (width, side): (usize, usize),
    ) -> BTreeMap<String, i64> {
        let mut above: Vec<(i64, i64, String)> = Vec::new();
        let mut stacks = BTreeMap::new();
        for (depth, level) in levels.iter().enumerate() {
            let (mut at, mut here) = (0, Vec::new());
            for node in level.values.chunks(width) {
                let (total, own) = (node[side + 1], node[side + 2]);
                let start = at + node[side];
                at = start + total;
                if total == 0 {
                    continue;
                }
                let name = &names[node[width - 1] as usize];
                let callers: Vec<_> =
                    above.iter().filter(|one| one.0 <= start && at <= one.1).collect();
                assert_eq!(callers.len(), usize::from(depth > 0), "{name}");
                let path = callers.first().map_or(String::new(), |one| format!("{};{name}", one.2));
                if own != 0 {
                    stacks.insert(path.trim_start_matches(';').to_owned(), own);
                }
                here.push((start, at, path));
            }
            above = here;
        }
        stacks
    }

    fn wanted(text: &str) -> BTreeMap<String, i64> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(stack, value)| (stack.to_owned(), value.parse().unwrap())).collect()
    }

    #[test]
    fn rows_read_back_as_the_stacks_they_were_made_of() {
        let text = "a;b 3\na;b;c 2\na;d 7\na 1\ne 4\nf;b 5\n";
        let graph = FlameGraph::of(&tree(text), 100, AnswerMeta::default());
        let flame = single(&graph);
        assert_eq!(folded(&flame.names, &flame.levels, (4, 0)), wanted(text));
        assert_eq!((flame.total, flame.max_self), (22, 7));
        assert_eq!(flame.names[0], "total");
        assert_eq!(flame.levels[0].values, [0, 22, 0, 0]);
    }

    #[test]
    fn what_is_left_out_is_called_other() {
        let graph = FlameGraph::of(&tree("a;b 3\na;c 2\na;d 7\n"), 3, AnswerMeta::default());
        let flame = single(&graph);
        let stacks = folded(&flame.names, &flame.levels, (4, 0));
        assert_eq!(stacks, wanted("a;d 7\na;other 5\n"));
    }

    #[test]
    fn both_sides_of_a_difference_read_back() {
        let (before, after) = ("a;b 3\na;c 4\nd 1\n", "a;b 5\ne;c 2\n");
        let sides = [before, after].map(|text| (tree(text), AnswerMeta::default()));
        let [left, right] = sides;
        let graph = DiffGraph::of(left, right, Normalise::None, 100).unwrap();
        let flame = double(&graph);
        assert_eq!(folded(&flame.names, &flame.levels, (7, 0)), wanted(before));
        assert_eq!(folded(&flame.names, &flame.levels, (7, 3)), wanted(after));
        assert_eq!((flame.left_ticks, flame.right_ticks, flame.total), (8, 7, 15));
        assert_eq!(flame.max_self, 5);
    }
}
