//! How stacks are read: frames left out, recursion folded, one function in focus, callers first.

use crate::limits::{INVERTED_NODES_MAX, INVERTED_STEPS_MAX};
use crate::{CallTree, Frame};
use crate::{Pattern, ViewError};

/// Changes of a call tree, made in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Frames that fit are taken out; their values go to their callers.
    pub drop: Option<Pattern>,
    /// Only frames that fit stay; the values of others go to their callers.
    pub keep: Option<Pattern>,
    /// A function that calls itself directly becomes one frame.
    pub collapse_recursion: bool,
    /// Only what this function did, wherever it was called, outermost call first: its callees
    /// merged under the root. Stacks without it are left out of the answer.
    pub focus: Option<Pattern>,
    /// Callers below their callees: the root's children are the functions with values of their own.
    /// A path's value stands at its end, the outermost caller.
    pub invert: bool,
}

impl Shape {
    /// Whether it leaves a tree as it is.
    pub fn is_plain(&self) -> bool {
        self.is_straight() && !self.invert
    }

    fn is_straight(&self) -> bool {
        self.drop.is_none()
            && self.keep.is_none()
            && !self.collapse_recursion
            && self.focus.is_none()
    }

    /// The same without turning round: what functions cost does not depend on the direction.
    #[must_use]
    pub fn upright(&self) -> Self {
        Self { invert: false, ..self.clone() }
    }

    /// The tree in this shape.
    pub fn apply(&self, tree: CallTree) -> Result<CallTree, ViewError> {
        let mut tree = tree;
        if self.drop.is_some() || self.keep.is_some() || self.collapse_recursion {
            tree = self.thinned(&tree);
        }
        if let Some(focus) = &self.focus {
            tree = callees(&tree, focus);
        }
        if self.invert { inverted(&tree) } else { Ok(tree) }
    }

    fn stays(&self, frame: &Frame) -> bool {
        let fits = |pattern: &Pattern| pattern.matches(&frame.name);
        !self.drop.as_ref().is_some_and(fits) && self.keep.as_ref().is_none_or(fits)
    }

    fn thinned(&self, tree: &CallTree) -> CallTree {
        let mut result = CallTree::default();
        let stays: Vec<bool> = tree.frames.iter().map(|frame| self.stays(frame)).collect();
        let frames = result.take_frames(tree, |at| stays[at as usize]);
        let mut places = vec![CallTree::ROOT; tree.nodes.len()];
        for (at, node) in tree.nodes.iter().enumerate() {
            if at != CallTree::ROOT as usize {
                let caller = places[node.parent as usize];
                let frame = frames[node.frame as usize];
                let is_repeated = self.collapse_recursion
                    && caller != CallTree::ROOT
                    && result.nodes[caller as usize].frame == frame;
                let stays = stays[node.frame as usize] && !is_repeated;
                places[at] = if stays { result.child(caller, frame) } else { caller };
            }
            result.add(places[at], node.own);
        }
        result
    }
}

/// What a function did: from its outermost call in each stack on, merged under the root.
pub fn callees(tree: &CallTree, function: &Pattern) -> CallTree {
    let mut result = CallTree::default();
    let fits: Vec<bool> = tree.frames.iter().map(|frame| function.matches(&frame.name)).collect();
    let frames = result.take_frames(tree, |_| true);
    // The root stands for "not inside".
    let mut places = vec![CallTree::ROOT; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().skip(1) {
        let caller = places[node.parent as usize];
        if caller != CallTree::ROOT || fits[node.frame as usize] {
            places[at] = result.child(caller, frames[node.frame as usize]);
            result.add(places[at], node.own);
        }
    }
    result
}

/// Who called a function: from its outermost call in each stack upwards, under the root. A path's
/// value, that of the call with its callees, stands at its end.
pub fn callers(tree: &CallTree, function: &Pattern) -> Result<CallTree, ViewError> {
    let fits: Vec<bool> = tree.frames.iter().map(|frame| function.matches(&frame.name)).collect();
    let totals = tree.totals();
    let mut is_inside = vec![false; tree.nodes.len()];
    let mut values = vec![0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().skip(1) {
        let outside = !is_inside[node.parent as usize];
        is_inside[at] = !outside || fits[node.frame as usize];
        if outside && is_inside[at] {
            values[at] = totals[at];
        }
    }
    turned(tree, &values)
}

/// The tree with callers below their callees.
pub fn inverted(tree: &CallTree) -> Result<CallTree, ViewError> {
    let values: Vec<i128> = tree.nodes.iter().map(|node| node.own).collect();
    turned(tree, &values)
}

/// The paths from nodes with a value up to the root.
fn turned(tree: &CallTree, values: &[i128]) -> Result<CallTree, ViewError> {
    let mut result = CallTree::default();
    let frames = result.take_frames(tree, |_| true);
    let mut steps = 0;
    for (at, &value) in values.iter().enumerate().filter(|(_, value)| **value != 0) {
        let (mut from, mut place) = (at as u32, CallTree::ROOT);
        while from != CallTree::ROOT {
            let node = tree.nodes[from as usize];
            place = result.child(place, frames[node.frame as usize]);
            from = node.parent;
            steps += 1;
        }
        result.add(place, value);
        if result.nodes.len() > INVERTED_NODES_MAX || steps > INVERTED_STEPS_MAX {
            let problem = format!(
                "a tree with callers first would have more than {INVERTED_NODES_MAX} nodes: \
                 narrow the range, or focus on a function"
            );
            return Err(ViewError::TooLarge(problem));
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;
    use std::collections::BTreeMap;

    fn tree(text: &str) -> CallTree {
        let profile = from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        tree
    }

    fn folded(tree: &CallTree) -> String {
        let mut lines: BTreeMap<String, i128> = BTreeMap::new();
        for node in tree.nodes.iter().filter(|node| node.own != 0) {
            let (mut at, mut path) = (*node, Vec::new());
            while at.parent != u32::MAX {
                path.push(tree.frames[at.frame as usize].name.to_string());
                at = tree.nodes[at.parent as usize];
            }
            path.reverse();
            *lines.entry(path.join(";")).or_default() += node.own;
        }
        lines.iter().map(|(path, value)| format!("{path} {value}\n")).collect()
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    fn shaped(shape: &Shape, text: &str) -> String {
        folded(&shape.apply(tree(text)).expect("a tree"))
    }

    #[test]
    fn dropped_frames_leave_their_values_to_their_callers() {
        let text = "main;lib1;a 1\nmain;lib2;a 2\nlib1 4\nmain;lib1 8\n";
        let drop = Shape { drop: Some(pattern("/^lib/")), ..Shape::default() };
        assert_eq!(shaped(&drop, text), " 4\nmain 8\nmain;a 3\n");
        let keep = Shape { keep: Some(pattern("/^lib/")), ..Shape::default() };
        assert_eq!(shaped(&keep, text), "lib1 13\nlib2 2\n");
    }

    #[test]
    fn direct_recursion_becomes_one_frame_also_when_frames_between_are_dropped() {
        let text = "f;f;f;g 1\nf;g;f 2\nf;x;f 4\n";
        let shape = Shape { collapse_recursion: true, ..Shape::default() };
        assert_eq!(shaped(&shape, text), "f;g 1\nf;g;f 2\nf;x;f 4\n");
        let shape = Shape { drop: Some(pattern("x")), ..shape };
        assert_eq!(shaped(&shape, text), "f 4\nf;g 1\nf;g;f 2\n");
    }

    #[test]
    fn focus_merges_what_a_function_did_wherever_it_was_called() {
        let shape = Shape { focus: Some(pattern("f")), ..Shape::default() };
        assert_eq!(shaped(&shape, "a;f;b 1\nc;d;f;b 2\nf;f;b 4\ne 8\n"), "f;b 3\nf;f;b 4\n");
    }

    #[test]
    fn inverted_trees_begin_with_the_leaves() {
        let shape = Shape { invert: true, ..Shape::default() };
        assert_eq!(shaped(&shape, "a;b 1\nc;b 2\na 4\n"), "a 4\nb;a 1\nb;c 2\n");
        let callers = callers(&tree("a;f;x 1\nb;f;y;f 2\nc 4\n"), &pattern("f"));
        assert_eq!(folded(&callers.expect("a tree")), "f;a 1\nf;b 2\n");
    }

    #[test]
    fn turning_round_very_deep_stacks_is_refused_before_it_takes_all_memory() {
        let mut deep = CallTree::default();
        let mut at = CallTree::ROOT;
        for depth in 0..10_000 {
            let frame =
                deep.intern(&Frame { name: format!("f{depth}").into(), ..Frame::default() });
            at = deep.child(at, frame);
            deep.add(at, 1);
        }
        let error = inverted(&deep).expect_err("50 million nodes");
        assert!(error.to_string().contains("4000000"), "{error}");
    }
}
