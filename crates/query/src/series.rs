//! Values over time, from metadata: a profile whose samples all lie in one bucket gives its totals,
//! others their slices where buckets are made of whole ones. Samples are read only of profiles that an
//! edge cuts otherwise, and of all where a filter keeps only some.

use crate::cells::Cells;
use crate::engine::Engine;
use crate::plan::{Group, Sum};
use crate::scan::Scanner;
use crate::select::{Contributor, Found};
use profile::Labels;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::{Timestamp, Ulid};
use store::limits::SLICE_MS;
use views::series::Buckets;
use views::{Selection, SeriesQuery, SeriesSet, ViewError};

/// The lines of a chart from samples.
pub(crate) async fn of_samples(
    engine: &Engine,
    selection: &Selection,
    query: &SeriesQuery,
    scanner: &Scanner,
) -> Result<SeriesSet, ViewError> {
    let (selected, selection) = engine.selected(selection).await?;
    let names = engine.late_names(&selection);
    series(selected.find(&selection, names, scanner).await?, query, scanner).await
}

/// The lines of a chart of what was found.
pub(crate) async fn series(
    found: Found,
    query: &SeriesQuery,
    scanner: &Scanner,
) -> Result<SeriesSet, ViewError> {
    let mut lines = Lines::new(&found, query);
    let mut cut: Vec<&Contributor> = Vec::new();
    for contributor in &found.contributors {
        match single_bucket(&found, contributor, query) {
            Some((bucket, value)) if !found.is_filtered() => lines.add(contributor, bucket, value),
            None if !found.is_filtered() && lines.add_slices(contributor) => {}
            _ => cut.push(contributor),
        }
    }
    let earliest = cut.iter().filter_map(|one| found.totals(one)).map(|kind| kind.first).min();
    let anchor_ms = query.bucket(earliest.unwrap_or_default().max(found.range.start));
    let group = Group::Bucket { anchor_ms, step_ms: query.step_ms, by: "profile" };
    let jobs = found.kept_jobs(cut.iter().copied(), false);
    let sum = Sum::Value(found.profile_type.measure_index);
    lines.add_cells(&cut, scanner.sums(jobs, group, sum).await?, anchor_ms);
    if found.is_filtered() && found.profile_type.is_gauge() {
        // Where a profile has samples but none that is kept, its level is 0.
        let mut unknown = Vec::new();
        for &one in &cut {
            match single_bucket(&found, one, query) {
                Some((bucket, _)) => lines.add(one, bucket, 0),
                None => unknown.push(one),
            }
        }
        let mut answers = scanner.sums(found.jobs(unknown), group, Sum::Rows).await?;
        for (_, cells) in &mut answers {
            cells.forget_values();
        }
        lines.add_cells(&cut, answers, anchor_ms);
    }
    Ok(lines.finish())
}

/// Bucket and sum of a profile whose samples lie within the range and in one bucket.
fn single_bucket(
    found: &Found,
    contributor: &Contributor,
    query: &SeriesQuery,
) -> Option<(i64, i128)> {
    let kind = found.totals(contributor)?;
    let bucket = query.bucket(kind.first);
    let value = found.whole_sum(contributor)?;
    (bucket == query.bucket(kind.last)).then_some((bucket, value))
}

/// Collects values. Sums are collected by group at once; levels need every series and profile.
struct Lines<'a> {
    found: &'a Found,
    query: &'a SeriesQuery,
    buckets: Buckets<'a>,
    /// By where the labels are in memory: profiles of one series in one part share them.
    groups: FxHashMap<usize, u32>,
    labels: Vec<Labels>,
    index: FxHashMap<Labels, u32>,
    sums: FxHashMap<(u32, i64), i128>,
}

impl<'a> Lines<'a> {
    fn new(found: &'a Found, query: &'a SeriesQuery) -> Self {
        Self {
            found,
            query,
            buckets: Buckets::new(query),
            groups: FxHashMap::default(),
            labels: Vec::new(),
            index: FxHashMap::default(),
            sums: FxHashMap::default(),
        }
    }

    fn add(&mut self, contributor: &Contributor, bucket: i64, value: i128) {
        let info = &self.found.selected.infos[contributor.info];
        if self.found.profile_type.is_gauge() {
            self.buckets.add(&info.labels, info.id, bucket, value);
            return;
        }
        let labels = Arc::as_ptr(&info.labels).addr();
        let group = match self.groups.get(&labels) {
            Some(&group) => group,
            None => {
                let group = self.group(&info.labels);
                self.groups.insert(labels, group);
                group
            }
        };
        let sum = self.sums.entry((group, bucket)).or_default();
        *sum = sum.saturating_add(value);
    }

    /// Adds a profile by its slices of the clock, where they are known and buckets are made of whole
    /// ones.
    fn add_slices(&mut self, contributor: &Contributor) -> bool {
        let slices = self.found.slices(contributor);
        if slices.is_empty() || self.query.step_ms % SLICE_MS != 0 || self.found.is_cut(contributor)
        {
            return false;
        }
        for slice in slices {
            let bucket = self.query.bucket(Timestamp::from_millis(slice.start_ms));
            let value = slice.totals[self.found.profile_type.measure_index];
            self.add(contributor, bucket, value.into());
        }
        true
    }

    /// Adds sums by bucket and profile of some contributors.
    fn add_cells(&mut self, of: &[&Contributor], answers: Vec<(usize, Cells)>, anchor_ms: i64) {
        let by_ordinal: FxHashMap<(usize, u32), &Contributor> =
            of.iter().map(|one| ((one.part, one.ordinal), *one)).collect();
        for (part, cells) in answers {
            for cell in cells.iter() {
                let Some(contributor) = by_ordinal.get(&(part, cell.key.1)) else { continue };
                let bucket = cell.key.0.saturating_mul(self.query.step_ms);
                self.add(contributor, bucket.saturating_add(anchor_ms), cell.value);
            }
        }
    }

    fn group(&mut self, labels: &Labels) -> u32 {
        let group = self.query.group(labels);
        let next = self.labels.len() as u32;
        let at = *self.index.entry(group.clone()).or_insert(next);
        if at == next {
            self.labels.push(group);
        }
        at
    }

    fn finish(mut self) -> SeriesSet {
        for ((group, bucket), value) in &self.sums {
            // A group's labels are their own group, and sums do not ask for profiles.
            self.buckets.add(&self.labels[*group as usize], Ulid::nil(), *bucket, *value);
        }
        self.buckets.finish(self.found.profile_type.clone())
    }
}
