//! Call trees: sums by stack of each part, resolved and merged by name.

use crate::error;
use crate::plan::Group;
use crate::scan::{Cell, Scanner};
use crate::select::Found;
use std::collections::BTreeMap;
use views::gauge::Levels;
use views::{AnswerMeta, CallTree, ViewError};

/// The merged call tree of what was found, in its shape.
pub(crate) async fn tree(
    mut found: Found,
    scanner: &Scanner,
) -> Result<(CallTree, AnswerMeta), ViewError> {
    let is_gauge = found.profile_type.is_gauge();
    let group = if is_gauge { Group::StackSeries } else { Group::Stack };
    let answers = found.stack_sums(group, scanner).await?;
    let most = scanner.limits.tree_nodes_max;
    let tree =
        if is_gauge { gauges(&found, answers).await? } else { sums(&found, answers, most).await? };
    if tree.node_count() > most {
        return Err(error::tree_nodes(most));
    }
    let tree = found.shape.apply(tree)?;
    let mut meta = found.meta;
    meta.total = tree.total();
    Ok((tree, meta))
}

async fn sums(
    found: &Found,
    answers: Vec<(usize, Vec<Cell>)>,
    nodes_max: usize,
) -> Result<CallTree, ViewError> {
    let mut tree = CallTree::default();
    for (at, cells) in by_part(answers) {
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

/// The pieces of each part together and in order, so that its names are looked for once and the same
/// question is known again.
fn by_part(answers: Vec<(usize, Vec<Cell>)>) -> BTreeMap<usize, Vec<Cell>> {
    let mut parts: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
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
async fn gauges(found: &Found, answers: Vec<(usize, Vec<Cell>)>) -> Result<CallTree, ViewError> {
    let series = found.series();
    let mut levels = Levels::default();
    for (part, cells) in by_part(answers) {
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
