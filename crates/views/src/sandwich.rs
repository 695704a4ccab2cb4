//! One function in the middle: who calls it above, what it calls below.

use crate::calltree::CallTree;
use crate::{AnswerMeta, FlameGraph, Pattern, ViewError, shape};

/// Callers and callees of a function. In both graphs the root's children are the function (or the
/// functions that the pattern fits), and both have the same total: each stack counts once, from its
/// outermost call of the function on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandwich {
    /// Below each frame the ones that called it.
    pub callers: FlameGraph,
    /// Below each frame the ones that it called.
    pub callees: FlameGraph,
}

impl Sandwich {
    /// Of a tree, each graph trimmed to `max_nodes` nodes.
    pub fn of(
        tree: &CallTree,
        function: &Pattern,
        max_nodes: usize,
        mut meta: AnswerMeta,
    ) -> Result<Self, ViewError> {
        let callees = shape::callees(tree, function);
        let callers = shape::callers(tree, function)?;
        meta.total = callees.total();
        let callers = FlameGraph::of(&callers, max_nodes, meta.clone());
        Ok(Self { callers, callees: FlameGraph::of(&callees, max_nodes, meta) })
    }
}
