//! Call trees: sums by stack of each part, resolved and merged by name.

use crate::cells::Cells;
use crate::error;
use crate::limits::STACKS_PER_NODE;
use crate::plan::Group;
use crate::scan::Scanner;
use crate::select::Found;
use futures::TryStreamExt;
use std::pin::pin;
use stdx::saturate;
use store::Named;
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
    pub(crate) fn flamegraph(&mut self, max_nodes: usize, meta: AnswerMeta) -> FlameGraph {
        match self {
            Self::Apart(forest) => forest.flamegraph(max_nodes, meta),
            Self::Merged(tree) => FlameGraph::of(tree, max_nodes, meta),
        }
    }

    pub(crate) fn top(&mut self, query: TopQuery, meta: AnswerMeta) -> TopTable {
        let functions = match self {
            Self::Apart(forest) => forest.top(query.limit, query.sort),
            Self::Merged(tree) => tree.top(query.limit, query.sort),
        };
        TopTable { meta, functions }
    }

    pub(crate) fn groups(&mut self, query: &GroupQuery, meta: AnswerMeta) -> GroupTable {
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
    let is_plain = !found.profile_type.is_gauge() && found.shape.is_plain();
    if is_plain && let Some((forest, rows)) = forest(&found, scanner).await? {
        found.count(rows);
        let total = forest.total();
        return Ok((Stacks::Apart(forest), AnswerMeta { total, ..found.meta }));
    }
    let (tree, meta) = tree(found, scanner).await?;
    Ok((Stacks::Merged(tree), meta))
}

/// The merged call tree of what was found, in its shape.
pub(crate) async fn tree(
    mut found: Found,
    scanner: &Scanner,
) -> Result<(CallTree, AnswerMeta), ViewError> {
    let is_gauge = found.profile_type.is_gauge();
    let (tree, rows) =
        if is_gauge { gauges(&found, scanner).await? } else { sums(&found, scanner).await? };
    found.count(rows);
    let tree = found.shape.apply(tree)?;
    let mut meta = found.meta;
    meta.total = tree.total();
    Ok((tree, meta))
}

/// A tree of sums, and the rows in it.
async fn sums(found: &Found, scanner: &Scanner) -> Result<(CallTree, u64), ViewError> {
    let (mut tree, mut rows) = (CallTree::default(), 0);
    let mut parts = pin!(found.each_stack_sums(Group::Stack, scanner).await?);
    while let Some((part, cells)) = parts.try_next().await? {
        let (named, cells) = named(found, part, cells).await?;
        rows += cells.rows();
        let values = cells.values();
        tree.add_stacks(found.names.over(&named.tables), named.stacks.iter().copied().zip(values));
        check_nodes(tree.node_count(), scanner)?;
    }
    Ok((tree, rows))
}

/// Trees side by side, and the rows in them; `None` where values do not fit.
async fn forest(found: &Found, scanner: &Scanner) -> Result<Option<(Forest, u64)>, ViewError> {
    let (mut forest, mut rows) = (Forest::default(), 0);
    let mut parts = pin!(found.each_stack_sums(Group::Stack, scanner).await?);
    while let Some((part, cells)) = parts.try_next().await? {
        if !forest.fits(cells.values()) {
            return Ok(None);
        }
        let (named, cells) = named(found, part, cells).await?;
        rows += cells.rows();
        let values = cells.values().map(saturate);
        forest.add(&named.tables, &found.names, named.stacks.iter().copied().zip(values));
        check_nodes(forest.stacks() / STACKS_PER_NODE, scanner)?;
    }
    Ok(Some((forest, rows)))
}

/// A tree of levels, and the rows in it: the mean over each series' profiles, then the sum over
/// series. A series may lie in many parts; how many profiles it has in all of them is known before.
async fn gauges(found: &Found, scanner: &Scanner) -> Result<(CallTree, u64), ViewError> {
    let series = found.series();
    let (mut levels, mut rows) = (Levels::default(), 0);
    let mut parts = pin!(found.each_stack_sums(Group::StackSeries, scanner).await?);
    while let Some((part, cells)) = parts.try_next().await? {
        let (named, cells) = named(found, part, cells).await?;
        rows += cells.rows();
        let values = cells.iter().zip(&*named.stacks).filter_map(|(cell, &stack)| {
            let (_, profiles) = series.get(&(part, cell.key.1))?;
            Some((stack, (*profiles)?, cell.value))
        });
        levels.add_stacks(found.names.over(&named.tables), values);
    }
    let tree = levels.finish();
    check_nodes(tree.node_count(), scanner)?;
    Ok((tree, rows))
}

/// What names the stacks of a part's sums, which are put in order, so that the same question is known
/// again.
async fn named(found: &Found, part: usize, mut cells: Cells) -> Result<(Named, Cells), ViewError> {
    cells.sort();
    // Whoever went away is noticed between two parts.
    tokio::task::yield_now().await;
    Ok((found.named(part, &cells).await?, cells))
}

fn check_nodes(nodes: usize, scanner: &Scanner) -> Result<(), ViewError> {
    let most = scanner.limits.tree_nodes_max;
    if nodes > most { Err(error::tree_nodes(most)) } else { Ok(()) }
}
