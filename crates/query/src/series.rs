//! Values over time. A profile whose samples all lie in one bucket gives its totals from metadata;
//! samples are read only of those that a bucket's edge cuts through.

use crate::plan::{Group, Sum};
use crate::scan::Scanner;
use crate::select::{Contributor, Found};
use profile::Labels;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::Ulid;
use views::series::Buckets;
use views::{SeriesQuery, SeriesSet, ViewError};

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
            Some((bucket, value)) => lines.add(contributor, bucket, value),
            None => cut.push(contributor),
        }
    }
    let earliest = cut.iter().filter_map(|one| found.totals(one)).map(|kind| kind.first).min();
    let anchor_ms = query.bucket(earliest.unwrap_or_default().max(found.range.start));
    let by_ordinal: FxHashMap<(usize, u32), &Contributor> =
        cut.iter().map(|one| ((one.part, one.ordinal), *one)).collect();
    let group = Group::Bucket { anchor_ms, step_ms: query.step_ms, by: "profile" };
    let sum = Sum::Value(found.profile_type.measure_index);
    for (part, cells) in scanner.sums(found.jobs(cut), group, sum).await? {
        for cell in cells {
            let Some(contributor) = by_ordinal.get(&(part, cell.key.1)) else { continue };
            let bucket = cell.key.0.saturating_mul(query.step_ms).saturating_add(anchor_ms);
            lines.add(contributor, bucket, cell.value);
        }
    }
    Ok(lines.finish())
}

/// Bucket and sum of a profile whose samples lie within the range and in one bucket. A sum at the
/// edge of its type may have been cut there, so the samples must say.
fn single_bucket(
    found: &Found,
    contributor: &Contributor,
    query: &SeriesQuery,
) -> Option<(i64, i128)> {
    let kind = found.totals(contributor)?;
    let is_inside = found.range.start <= kind.first && kind.last < found.range.end;
    let bucket = query.bucket(kind.first);
    let value = kind.totals[found.profile_type.measure_index];
    let is_exact = value != i64::MAX && value != i64::MIN;
    let is_single = is_inside && is_exact && bucket == query.bucket(kind.last);
    is_single.then_some((bucket, value.into()))
}

/// Collects values. Sums are collected by group at once; levels need every series and profile.
struct Lines<'a> {
    found: &'a Found,
    query: &'a SeriesQuery,
    buckets: Buckets<'a>,
    groups: FxHashMap<&'a Arc<Labels>, u32>,
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
        let group = match self.groups.get(&info.labels) {
            Some(&group) => group,
            None => {
                let group = self.group(&info.labels);
                self.groups.insert(&info.labels, group);
                group
            }
        };
        let sum = self.sums.entry((group, bucket)).or_default();
        *sum = sum.saturating_add(value);
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
