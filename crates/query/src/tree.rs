//! Call trees: sums by stack of each part, resolved and merged by name.

use crate::error;
use crate::limits::STACKS_PER_NODE;
use crate::plan::Group;
use crate::scan::{Cell, Scanner};
use crate::select::Found;
use std::collections::BTreeMap;
use stdx::saturate;
use views::gauge::Levels;
use views::{
    AnswerMeta, CallTree, FlameGraph, Forest, GroupQuery, GroupTable, TopQuery, TopTable, ViewError,
};

/// What stacks add up to.
#[derive(Debug)]
pub(crate) enum Stacks {
    /// As they are stored, merged where they are shown.
    Apart(Forest),
    /// In one tree: for levels, other shapes, and sums that are too large.
    Merged(CallTree),
}

impl Stacks {
    pub(crate) fn flamegraph(&self, max_nodes: usize, meta: AnswerMeta) -> FlameGraph {
        match self {
            Self::Apart(forest) => forest.flamegraph(max_nodes, meta),
            Self::Merged(tree) => FlameGraph::of(tree, max_nodes, meta),
        }
    }

    pub(crate) fn top(&self, query: TopQuery, meta: AnswerMeta) -> TopTable {
        let functions = match self {
            Self::Apart(forest) => forest.top(query.limit, query.sort),
            Self::Merged(tree) => tree.top(query.limit, query.sort),
        };
        TopTable { meta, functions }
    }

    pub(crate) fn groups(&self, query: &GroupQuery, meta: AnswerMeta) -> GroupTable {
        match self {
            Self::Apart(forest) => GroupTable::of_forest(forest, query, meta),
            Self::Merged(tree) => GroupTable::of_tree(tree, query, meta),
        }
    }
}

/// The stacks of what was found, in the quickest form.
pub(crate) async fn stacks(
    mut found: Found,
    scanner: &Scanner,
) -> Result<(Stacks, AnswerMeta), ViewError> {
    if found.profile_type.is_gauge() || !found.shape.is_plain() {
        let (tree, meta) = tree(found, scanner).await?;
        return Ok((Stacks::Merged(tree), meta));
    }
    let parts = by_part(found.stack_sums(Group::Stack, scanner).await?);
    let most = scanner.limits.tree_nodes_max;
    if !Forest::fits(parts.values().flatten().map(|cell| cell.value)) {
        let tree = sums(&found, parts, most).await?;
        let total = tree.total();
        return Ok((Stacks::Merged(tree), AnswerMeta { total, ..found.meta }));
    }
    let forest = forest(&found, parts, most).await?;
    let total = forest.total();
    Ok((Stacks::Apart(forest), AnswerMeta { total, ..found.meta }))
}

/// The merged call tree of what was found, in its shape.
pub(crate) async fn tree(
    mut found: Found,
    scanner: &Scanner,
) -> Result<(CallTree, AnswerMeta), ViewError> {
    let is_gauge = found.profile_type.is_gauge();
    let group = if is_gauge { Group::StackSeries } else { Group::Stack };
    let parts = by_part(found.stack_sums(group, scanner).await?);
    let most = scanner.limits.tree_nodes_max;
    let tree =
        if is_gauge { gauges(&found, parts).await? } else { sums(&found, parts, most).await? };
    if tree.node_count() > most {
        return Err(error::tree_nodes(most));
    }
    let tree = found.shape.apply(tree)?;
    let mut meta = found.meta;
    meta.total = tree.total();
    Ok((tree, meta))
}

async fn sums(found: &Found, parts: Parts, nodes_max: usize) -> Result<CallTree, ViewError> {
    let mut tree = CallTree::default();
    for (at, cells) in parts {
        let named = found.named(at, &cells).await?;
        let values = cells.iter().map(|cell| cell.value);
        tree.add_stacks(found.names.over(&named.tables), named.stacks.iter().copied().zip(values));
        if tree.node_count() > nodes_max {
            return Err(error::tree_nodes(nodes_max));
        }
        // Whoever went away is noticed between two parts.
        tokio::task::yield_now().await;
    }
    Ok(tree)
}

/// Values that fit in a forest.
async fn forest(found: &Found, parts: Parts, nodes_max: usize) -> Result<Forest, ViewError> {
    let mut forest = Forest::default();
    for (at, cells) in parts {
        let named = found.named(at, &cells).await?;
        let values = cells.iter().map(|cell| saturate(cell.value));
        forest.add(found.names.over(&named.tables), named.stacks.iter().copied().zip(values));
        if forest.stacks() / STACKS_PER_NODE > nodes_max {
            return Err(error::tree_nodes(nodes_max));
        }
        tokio::task::yield_now().await;
    }
    Ok(forest)
}

/// Sums by part.
type Parts = BTreeMap<usize, Vec<Cell>>;

/// The pieces of each part together and in order, so that its names are looked for once and the same
/// question is known again.
fn by_part(answers: Vec<(usize, Vec<Cell>)>) -> Parts {
    let mut parts = Parts::new();
    for (part, mut cells) in answers.into_iter().filter(|(_, cells)| !cells.is_empty()) {
        let have = parts.entry(part).or_default();
        if have.is_empty() {
            *have = cells;
        } else {
            have.append(&mut cells);
        }
    }
    for cells in parts.values_mut() {
        cells.sort_unstable_by_key(|cell| cell.key);
    }
    parts
}

/// Levels: the mean over each series' profiles, then the sum over series. A series may lie in many
/// parts; how many profiles it has in all of them is known before.
async fn gauges(found: &Found, parts: Parts) -> Result<CallTree, ViewError> {
    let series = found.series();
    let mut levels = Levels::default();
    for (part, cells) in parts {
        let named = found.named(part, &cells).await?;
        let values = cells.iter().zip(&*named.stacks).filter_map(|(cell, &stack)| {
            let (_, profiles) = series.get(&(part, cell.key.1))?;
            Some((stack, (*profiles)?, cell.value))
        });
        levels.add_stacks(found.names.over(&named.tables), values);
    }
    Ok(levels.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_part_are_put_together_in_order() {
        let cell = |stack| Cell { key: (stack, 0), value: 1, rows: 1 };
        let answers = vec![
            (1, vec![cell(4)]),
            (0, vec![cell(9)]),
            (2, Vec::new()),
            (1, vec![cell(2), cell(4)]),
        ];
        let parts: Vec<(usize, Vec<i64>)> = by_part(answers)
            .into_iter()
            .map(|(part, cells)| (part, cells.iter().map(|cell| cell.key.0).collect()))
            .collect();
        assert_eq!(parts, [(0, vec![9]), (1, vec![2, 4, 4])]);
    }
}
