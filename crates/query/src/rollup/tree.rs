//! Call trees and tables of functions from rollups and, for the rest of the range, samples.

use super::{ChosenPart, Counts, Plan, Slice};
use crate::cells::Cells;
use crate::engine::Engine;
use crate::error;
use crate::plan::Group;
use crate::scan::Scanner;
use crate::select::Found;
use profile::KeyedMap;
use rustc_hash::FxHashMap;
use stdx::saturate;
use store::TableSet;
use views::gauge::Levels;
use views::rollup::{PrefixCell, RollupUse};
use views::{AnswerMeta, CallTree, Frame, TopFunction, TopQuery, TopSort, TopTable, ViewError};

/// Sums of each part of a snapshot.
type SumsByPart = Vec<(usize, Cells)>;

/// A tree being put together.
#[derive(Default)]
struct Collected {
    counts: Counts,
    /// Frames and own values of sums.
    tree: CallTree,
    /// Own values of levels by node and series.
    levels: Levels,
    cells: FxHashMap<(u32, usize), i128>,
    /// Sums by stack and series of holes, where values are levels.
    holes: Vec<(Found, SumsByPart)>,
    pruned: i128,
}

impl Collected {
    fn add_hour(&mut self, slice: usize, part: &ChosenPart, plan: &Plan) {
        self.counts.add_hour(slice, part);
        let (rollup, measure) = (&part.rollup, plan.profile_type.measure_index);
        let is_gauge = plan.profile_type.is_gauge();
        let mut places = vec![CallTree::ROOT; rollup.prefixes.len()];
        let tree = if is_gauge { self.levels.tree_mut() } else { &mut self.tree };
        // Kinds of one hour share their frames: only those in use are looked up.
        let mut frames: Vec<Option<u32>> = vec![None; rollup.frames.len()];
        for (at, prefix) in rollup.prefixes.iter().enumerate().skip(1) {
            let parent = places[prefix.parent as usize];
            let frame = prefix.frame as usize;
            let frame = *frames[frame].get_or_insert_with(|| tree.intern(&rollup.frames[frame]));
            places[at] = tree.child(parent, frame);
        }
        let series: Vec<usize> =
            rollup.series.iter().map(|row| self.counts.series(&row.labels)).collect();
        let answering = |cell: &&PrefixCell| part.answers(cell.series) && cell.own[measure] != 0;
        for cell in rollup.cells.iter().filter(answering) {
            let (node, value) = (places[cell.prefix as usize], cell.own[measure]);
            let is_rest = cell.prefix != 0 && rollup.prefixes[cell.prefix as usize].frame == 0;
            if is_rest {
                self.pruned = self.pruned.saturating_add(value);
            }
            if is_gauge {
                let sum = self.cells.entry((node, series[cell.series as usize])).or_default();
                *sum = sum.saturating_add(value);
            } else {
                self.tree.add(node, value);
            }
        }
    }

    async fn add_hole(
        &mut self,
        slice: usize,
        mut found: Found,
        scanner: &Scanner,
    ) -> Result<(), ViewError> {
        self.counts.add_hole(slice, &found);
        let is_gauge = found.profile_type.is_gauge();
        let group = if is_gauge { Group::StackSeries } else { Group::Stack };
        let answers = found.stack_sums(group, scanner).await?;
        if is_gauge {
            self.holes.push((found, answers));
            return Ok(());
        }
        for (at, cells) in answers {
            let tables = found.selected.parts[at]
                .part
                .tables(TableSet::Names)
                .await
                .map_err(error::store)?;
            let values = cells.iter().map(|cell| (cell.stack(), cell.value));
            self.tree.add_stacks(&tables, values);
        }
        Ok(())
    }

    /// Levels know the number of their series' profiles only at the end.
    async fn levels(&mut self) -> Result<CallTree, ViewError> {
        let mut levels = std::mem::take(&mut self.levels);
        let profiles = self.counts.profiles();
        for ((node, series), value) in std::mem::take(&mut self.cells) {
            levels.add(node, profiles[series].profiles, value);
        }
        for (found, answers) in std::mem::take(&mut self.holes) {
            let mut of_series: FxHashMap<(usize, u32), u64> = FxHashMap::default();
            for one in &found.contributors {
                let at = self.counts.series(&found.info(one).labels);
                let rows = &found.selected.parts[one.part].profiles;
                if let Some(row) = rows.get(one.ordinal as usize) {
                    of_series.insert((one.part, row.series), profiles[at].profiles);
                }
            }
            for (part, cells) in answers {
                let tables = found.selected.parts[part]
                    .part
                    .tables(TableSet::Names)
                    .await
                    .map_err(error::store)?;
                let values = cells.iter().filter_map(|cell| {
                    let profiles = *of_series.get(&(part, cell.key.1))?;
                    Some((cell.stack(), profiles, cell.value))
                });
                levels.add_stacks(&tables, values);
            }
        }
        Ok(levels.finish())
    }
}

/// The merged call tree of a plan, in its shape.
pub(crate) async fn tree(
    engine: &Engine,
    plan: &Plan,
    scanner: &Scanner,
) -> Result<(CallTree, AnswerMeta), ViewError> {
    let mut collected = Collected::default();
    for (at, slice) in plan.slices.iter().enumerate() {
        match slice {
            Slice::Hour(_, hour) => {
                for part in plan.read(hour, true, false).await? {
                    collected.add_hour(at, &part, plan);
                }
            }
            Slice::Hole(range) => {
                if let Some(found) = plan.find(engine, *range, scanner).await? {
                    collected.add_hole(at, found, scanner).await?;
                }
            }
        }
    }
    plan.check_type(collected.counts.has_any())?;
    let is_gauge = plan.profile_type.is_gauge();
    let tree =
        if is_gauge { collected.levels().await? } else { std::mem::take(&mut collected.tree) };
    let tree = plan.selection.shape.apply(tree)?;
    let used = RollupUse { pruned: saturate(collected.pruned), ..plan.used };
    let meta = collected.counts.meta(plan, tree.total(), used);
    Ok((tree, meta))
}

/// A table of functions: sums that are not shaped come from the rollups' own tables, which hold what
/// is too small for a prefix; everything else from the tree.
pub(crate) async fn top(
    engine: &Engine,
    plan: &Plan,
    query: TopQuery,
    scanner: &Scanner,
) -> Result<TopTable, ViewError> {
    if plan.profile_type.is_gauge() || !plan.selection.shape.is_plain() {
        let (tree, meta) = tree(engine, plan, scanner).await?;
        return Ok(TopTable { meta, functions: tree.top(query.limit, query.sort) });
    }
    let measure = plan.profile_type.measure_index;
    let mut counts = Counts::default();
    let mut rest = CallTree::default();
    let mut total = 0_i128;
    let mut rows: KeyedMap<Frame, (i128, i128)> = KeyedMap::default();
    for (at, slice) in plan.slices.iter().enumerate() {
        match slice {
            Slice::Hour(_, hour) => {
                for part in plan.read(hour, false, true).await? {
                    counts.add_hour(at, &part);
                    let answering = part.rollup.series.iter().zip(&part.series);
                    let answering = answering.filter(|(_, (_, answers))| *answers);
                    total = answering.fold(total, |sum, (row, _)| sum + row.totals[measure]);
                    add_functions(&mut rows, &part, measure);
                }
            }
            Slice::Hole(range) => {
                let Some(mut found) = plan.find(engine, *range, scanner).await? else { continue };
                counts.add_hole(at, &found);
                for (part, cells) in found.stack_sums(Group::Stack, scanner).await? {
                    let part = &found.selected.parts[part].part;
                    let tables = part.tables(TableSet::Names).await.map_err(error::store)?;
                    rest.add_stacks(&tables, cells.iter().map(|one| (one.stack(), one.value)));
                }
            }
        }
    }
    for row in rest.functions() {
        let (own, sum) = rows.entry(row.frame).or_default();
        *own = own.saturating_add(row.own.into());
        *sum = sum.saturating_add(row.total.into());
    }
    plan.check_type(counts.has_any())?;
    let total = saturate(total.saturating_add(rest.total().into()));
    let meta = counts.meta(plan, total, plan.used);
    Ok(TopTable { meta, functions: sorted(rows, query) })
}

fn add_functions(rows: &mut KeyedMap<Frame, (i128, i128)>, part: &ChosenPart, measure: usize) {
    for cell in part.rollup.functions.iter().filter(|cell| part.answers(cell.series)) {
        let frame = &part.rollup.frames[cell.frame as usize];
        if !rows.contains_key(frame) {
            rows.insert(frame.clone(), (0, 0));
        }
        if let Some((own, total)) = rows.get_mut(frame) {
            *own = own.saturating_add(cell.own[measure]);
            *total = total.saturating_add(cell.total[measure]);
        }
    }
}

fn sorted(rows: KeyedMap<Frame, (i128, i128)>, query: TopQuery) -> Vec<TopFunction> {
    let rows = rows.into_iter();
    let rows = rows.map(|(frame, (own, total))| TopFunction {
        frame,
        own: saturate(own),
        total: saturate(total),
    });
    let mut rows: Vec<TopFunction> = rows.filter(|row| row.own != 0 || row.total != 0).collect();
    rows.sort_unstable_by(|a, b| {
        let key = |row: &TopFunction| match query.sort {
            TopSort::Own => (row.own, row.total),
            TopSort::Total => (row.total, row.own),
        };
        key(b).cmp(&key(a)).then_with(|| a.frame.cmp(&b.frame))
    });
    rows.truncate(query.limit);
    rows
}
