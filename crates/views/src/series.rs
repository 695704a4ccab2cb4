//! Values over time.

use crate::gauge;
use crate::limits::BUCKETS_MAX;
use profile::{Aggregation, Labels};
use std::collections::{BTreeMap, BTreeSet};
use stdx::{TimeRange, Timestamp, Ulid, saturate};

use crate::{ProfileTypeInfo, RollupUse, ViewError};

/// How to cut time, and what to split by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesQuery {
    /// Length of a bucket in milliseconds; buckets start at multiples of it.
    pub step_ms: i64,
    /// Labels to split by; a missing label reads as empty.
    pub group_by: Vec<String>,
}

impl SeriesQuery {
    /// Checks the step against the range.
    pub fn check(&self, range: &TimeRange) -> Result<(), ViewError> {
        if self.step_ms <= 0 {
            let problem = format!("step_ms is {}: give a positive step", self.step_ms);
            return Err(ViewError::Invalid(problem));
        }
        let buckets = range.nanos() / 1_000_000 / self.step_ms;
        if buckets > BUCKETS_MAX {
            let problem = format!(
                "{buckets} buckets of {} ms are too many: ask for at most {BUCKETS_MAX}",
                self.step_ms
            );
            return Err(ViewError::TooLarge(problem));
        }
        Ok(())
    }

    /// Start of the bucket of a time, in milliseconds.
    pub fn bucket(&self, at: Timestamp) -> i64 {
        at.millis().div_euclid(self.step_ms) * self.step_ms
    }

    /// The group of a label set.
    pub fn group(&self, labels: &Labels) -> Labels {
        let pairs = self.group_by.iter().map(|name| (name.clone(), labels.get(name).unwrap_or("")));
        pairs.map(|(name, value)| (name, value.to_owned())).collect()
    }
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The group's labels.
    pub labels: Labels,
    /// Bucket starts in milliseconds and values, by time; buckets without data are left out.
    pub points: Vec<(i64, i64)>,
}

/// Lines of a chart, by labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSet {
    /// The type shown.
    pub profile_type: ProfileTypeInfo,
    /// Bucket length.
    pub step_ms: i64,
    /// The lines.
    pub series: Vec<Series>,
    /// What part of them came from hourly rollups; none where all is made of samples.
    pub rollups: Option<RollupUse>,
}

/// What one function costs over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trend {
    /// Values of the function itself.
    pub own: SeriesSet,
    /// With its callees, counted once a stack.
    pub total: SeriesSet,
}

/// Sums values into buckets and groups, gauges as gauges: within a bucket, the mean over each
/// series' profiles that have samples there, then the sum over series.
#[derive(Debug)]
pub struct Buckets<'a> {
    query: &'a SeriesQuery,
    cells: BTreeMap<(Labels, i64), BTreeMap<Labels, Cell>>,
}

#[derive(Debug, Default)]
struct Cell {
    sum: i128,
    profiles: BTreeSet<Ulid>,
    /// Profiles that are not named.
    more: u64,
}

impl<'a> Buckets<'a> {
    /// No values yet.
    pub fn new(query: &'a SeriesQuery) -> Self {
        Self { query, cells: BTreeMap::new() }
    }

    /// Adds a value of a profile's samples in one bucket (its start in ms).
    pub fn add(&mut self, labels: &Labels, profile: Ulid, bucket: i64, value: i128) {
        let group = self.query.group(labels);
        let cells = self.cells.entry((group, bucket)).or_default();
        if !cells.contains_key(labels) {
            cells.insert(labels.clone(), Cell::default());
        }
        if let Some(cell) = cells.get_mut(labels) {
            cell.sum = cell.sum.saturating_add(value);
            cell.profiles.insert(profile);
        }
    }

    /// Adds the sum of several profiles' samples in one bucket, profiles that were not added before.
    pub fn add_many(&mut self, labels: &Labels, bucket: i64, value: i128, profiles: u64) {
        let cells = self.cells.entry((self.query.group(labels), bucket)).or_default();
        let cell = cells.entry(labels.clone()).or_default();
        cell.sum = cell.sum.saturating_add(value);
        cell.more += profiles;
    }

    /// The lines.
    pub fn finish(self, profile_type: ProfileTypeInfo) -> SeriesSet {
        let is_gauge = profile_type.measure.aggregation == Aggregation::Gauge;
        let mut lines: BTreeMap<Labels, Vec<(i64, i64)>> = BTreeMap::new();
        for ((group, bucket), cells) in self.cells {
            let value = if is_gauge {
                let means =
                    cells.values().map(|c| gauge::mean(c.sum, c.profiles.len() as u64 + c.more));
                gauge::round(means.sum())
            } else {
                cells.values().fold(0_i128, |sum, cell| sum.saturating_add(cell.sum))
            };
            lines.entry(group).or_default().push((bucket, saturate(value)));
        }
        let series = lines.into_iter().map(|(labels, points)| Series { labels, points }).collect();
        SeriesSet { profile_type, step_ms: self.query.step_ms, series, rollups: None }
    }
}
