//! Call trees: sums by stack of each part, resolved and merged by name.

use crate::error;
use crate::plan::{Group, Sum};
use crate::scan::{Cell, Scanner};
use crate::select::Found;
use crate::transplant::Transplant;
use profile::{Labels, StackId, Tables};
use rustc_hash::FxHashMap;
use views::{AnswerMeta, CallTree, ViewError, gauge};

/// The merged call tree of what was found.
pub(crate) async fn tree(
    found: Found,
    scanner: &Scanner,
) -> Result<(CallTree, AnswerMeta), ViewError> {
    let is_gauge = found.profile_type.is_gauge();
    let group = if is_gauge { Group::StackSeries } else { Group::Stack };
    let sum = Sum::Value(found.profile_type.measure_index);
    let answers = scanner.sums(found.jobs(&found.contributors), group, sum).await?;
    let tree =
        if is_gauge { gauges(&found, answers).await? } else { sums(&found, answers).await? };
    let mut meta = found.meta;
    meta.total = tree.totals()[0];
    Ok((tree, meta))
}

fn stack_of(cell: &Cell) -> StackId {
    // An ordinal that is none leads nowhere, so its value stays at the root.
    StackId(u32::try_from(cell.key.0).unwrap_or(u32::MAX))
}

async fn sums(found: &Found, answers: Vec<(usize, Vec<Cell>)>) -> Result<CallTree, ViewError> {
    let mut tree = CallTree::default();
    for (at, cells) in answers {
        let tables = found.selected.parts[at].part.tables().await.map_err(error::store)?;
        tree.add_stacks(&tables, cells.iter().map(|cell| (stack_of(cell), cell.value)));
    }
    Ok(tree)
}

/// Levels: per stack the mean over each series' profiles, then the sum over series. A series may
/// lie in many parts, so its sums by stack are brought into one set of tables first.
async fn gauges(found: &Found, answers: Vec<(usize, Vec<Cell>)>) -> Result<CallTree, ViewError> {
    let mut series: FxHashMap<&Labels, usize> = FxHashMap::default();
    let mut profiles: Vec<u64> = Vec::new();
    let mut of_part: FxHashMap<(usize, u32), usize> = FxHashMap::default();
    for contributor in &found.contributors {
        let labels = found.info(contributor).labels.as_ref();
        let at = *series.entry(labels).or_insert(profiles.len());
        if at == profiles.len() {
            profiles.push(0);
        }
        profiles[at] += 1;
        let rows = &found.selected.parts[contributor.part].profiles;
        if let Some(row) = rows.get(contributor.ordinal as usize) {
            of_part.insert((contributor.part, row.series), at);
        }
    }
    let mut tables = Tables::default();
    let mut sums: FxHashMap<(usize, StackId), i64> = FxHashMap::default();
    for (part, cells) in answers {
        let source = found.selected.parts[part].part.tables().await.map_err(error::store)?;
        let mut transplant = Transplant::of(&source);
        for cell in cells {
            let Some(&series) = of_part.get(&(part, cell.key.1)) else { continue };
            let stack = transplant.stack(&mut tables, stack_of(&cell));
            let sum = sums.entry((series, stack)).or_default();
            *sum = sum.saturating_add(cell.value);
        }
    }
    let mut levels: FxHashMap<StackId, i128> = FxHashMap::default();
    for ((series, stack), sum) in sums {
        *levels.entry(stack).or_default() += gauge::mean(sum, profiles[series]);
    }
    let mut tree = CallTree::default();
    tree.add_stacks(&tables, levels.into_iter().map(|(stack, level)| (stack, gauge::round(level))));
    Ok(tree)
}
