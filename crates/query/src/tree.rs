//! Call trees: sums by stack of each part, resolved and merged by name.

use crate::error;
use crate::plan::{Group, Sum};
use crate::scan::{Cell, Scanner};
use crate::select::Found;
use profile::{Labels, StackId};
use rustc_hash::FxHashMap;
use views::gauge::Levels;
use views::{AnswerMeta, CallTree, ViewError};

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
    meta.total = tree.total();
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

/// Levels: the mean over each series' profiles, then the sum over series. A series may lie in many
/// parts; how many profiles it has in all of them is known before.
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
    let mut levels = Levels::default();
    for (part, cells) in answers {
        let tables = found.selected.parts[part].part.tables().await.map_err(error::store)?;
        let values = cells.iter().filter_map(|cell| {
            let series = of_part.get(&(part, cell.key.1))?;
            Some((stack_of(cell), profiles[*series], cell.value))
        });
        levels.add_stacks(&tables, values);
    }
    Ok(levels.finish())
}
