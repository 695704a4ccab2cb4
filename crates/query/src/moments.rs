//! Sums by time, and by thread, of the samples that have a time of their own.

use crate::error;
use crate::plan::{Group, Sum};
use crate::scan::Scanner;
use crate::select::Found;
use profile::ThreadId;
use rustc_hash::FxHashMap;
use store::TableSet;
use views::moments::{MomentSums, extent};
use views::{Moments, MomentsQuery, ViewError};

/// What happened when.
pub(crate) async fn moments(
    found: Found,
    query: MomentsQuery,
    scanner: &Scanner,
) -> Result<Moments, ViewError> {
    let infos = found.contributors.iter().map(|one| found.info(one));
    let extent = extent(infos, &found.profile_type.kind, &found.range);
    let step_ms = query.step(&extent)?;
    let anchor_ms = extent.start.millis().div_euclid(step_ms) * step_ms;
    let group = if query.by_thread {
        Group::Bucket { anchor_ms, step_ms, by: "thread" }
    } else {
        Group::Time { anchor_ms, step_ms }
    };
    let mut jobs = found.kept_jobs(&found.contributors, false);
    for job in &mut jobs {
        job.predicate.timed = true;
    }
    let sum = Sum::ValueAndRows(found.profile_type.measure_index);
    let mut sums = MomentSums::default();
    for (part, cells) in scanner.sums(jobs, group, sum).await? {
        let tables = found.selected.parts[part]
            .part
            .tables(TableSet::Threads)
            .await
            .map_err(error::store)?;
        let mut threads: FxHashMap<u32, Option<u32>> = FxHashMap::default();
        for cell in cells.iter() {
            let start = cell.key.0.saturating_mul(step_ms).saturating_add(anchor_ms);
            let thread = *threads.entry(cell.key.1).or_insert_with(|| {
                let row = tables.threads.get(ThreadId(cell.key.1)).filter(|_| query.by_thread);
                row.map(|row| sums.thread(row.id, tables.text(row.name)))
            });
            sums.add(start, thread, cell.rows, cell.value);
        }
    }
    Ok(sums.finish(found.meta, extent, step_ms))
}
