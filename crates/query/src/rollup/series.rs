//! Values over time from rollups, of everything or of a function; samples answer the rest.
//!
//! A step of whole hours is answered as it is. Where samples are gone, a shorter step shows an hour's
//! value at its beginning. Levels are means, which do not mix: a step is answered from rollups or from
//! samples as a whole.

use super::{ChosenPart, Plan, Slice};
use crate::engine::Engine;
use crate::scan::Scanner;
use std::collections::BTreeMap;
use stdx::Timestamp;
use store::HourPart;
use views::rollup::{Counted, HOUR_MS, KindRollup};
use views::series::Buckets;
use views::{Pattern, ProfileTypeInfo, Selection, Series, SeriesQuery, SeriesSet, ViewError};

/// Which values of an hour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// All.
    Everything,
    /// Of stacks that end in a function.
    Own(&'a Pattern),
    /// Of stacks that hold a function.
    Total(&'a Pattern),
}

impl Of<'_> {
    /// The same question to samples.
    pub(crate) fn narrow(&self, mut selection: Selection) -> Selection {
        match self {
            Self::Everything => {}
            Self::Own(function) => selection.filter.leaf = Some((*function).clone()),
            Self::Total(function) => selection.filter.functions.push((*function).clone()),
        }
        selection
    }
}

/// A plan for a chart, where rollups can answer one.
pub(crate) fn plan(engine: &Engine, selection: &Selection, query: &SeriesQuery) -> Option<Plan> {
    let step_ms = query.step_ms;
    let is_whole = step_ms > 0 && step_ms % HOUR_MS == 0;
    let range = selection.range.whole_millis();
    Plan::of(engine, selection, |hours, profile_type| {
        hours.retain(|_, part| is_whole || part.is_sealed());
        if profile_type.is_gauge() && is_whole {
            keep_whole_steps(hours, query, (range.start.millis(), range.end.millis()));
        }
    })
}

/// Drops hours of steps that rollups answer only in part, unless samples are gone there.
fn keep_whole_steps(
    hours: &mut BTreeMap<i64, HourPart>,
    query: &SeriesQuery,
    (start, end): (i64, i64),
) {
    let mut steps: BTreeMap<i64, (i64, bool)> = BTreeMap::new();
    let step_of = |hour: i64| query.bucket(Timestamp::from_millis(hour));
    for (&hour, part) in &*hours {
        let step = steps.entry(step_of(hour)).or_default();
        step.0 += HOUR_MS;
        step.1 |= part.is_sealed();
    }
    hours.retain(|hour, _| {
        let at = step_of(*hour);
        let length = at.saturating_add(query.step_ms).min(end) - at.max(start);
        steps.get(&at).is_some_and(|(have, is_sealed)| *is_sealed || *have >= length)
    });
}

/// The lines of a chart.
pub(crate) async fn series(
    engine: &Engine,
    plan: &Plan,
    query: &SeriesQuery,
    of: Of<'_>,
    scanner: &Scanner,
) -> Result<SeriesSet, ViewError> {
    let is_gauge = plan.profile_type.is_gauge();
    let mut lines = Lines { buckets: Buckets::new(query), last: BTreeMap::new() };
    let mut taken: Vec<i64> = Vec::new();
    let mut holes = Vec::new();
    let mut is_found = false;
    for slice in &plan.slices {
        match slice {
            Slice::Hole(range) => holes.push(*range),
            Slice::Hour(hour_ms, hour) => {
                let bucket = query.bucket(Timestamp::from_millis(*hour_ms));
                taken.push(bucket);
                let functions = !matches!(of, Of::Everything);
                for part in plan.read(hour, matches!(of, Of::Total(_)), functions).await? {
                    is_found = true;
                    lines.add(*hour_ms, bucket, &part, of, &plan.profile_type);
                }
            }
        }
    }
    let mut found = lines.buckets.finish(plan.profile_type.clone());
    for range in holes {
        let selection = of.narrow(plan.hole(range));
        let more = match crate::series::of_samples(engine, &selection, query, scanner).await {
            Err(ViewError::UnknownType(_)) => continue,
            other => other?,
        };
        is_found = true;
        merge(&mut found, more, |bucket| !is_gauge || !taken.contains(&bucket));
    }
    plan.check_type(is_found)?;
    found.rollups = Some(plan.used);
    Ok(found)
}

/// Collects hours. Levels need the number of profiles of each series in a bucket, each once.
struct Lines<'a> {
    buckets: Buckets<'a>,
    /// The last hour and bucket of each series.
    last: BTreeMap<profile::Labels, (i64, i64)>,
}

impl Lines<'_> {
    fn add(
        &mut self,
        hour_ms: i64,
        bucket: i64,
        part: &ChosenPart,
        of: Of<'_>,
        profile_type: &ProfileTypeInfo,
    ) {
        let rollup = &part.rollup;
        let values = values(rollup, of, profile_type.measure_index);
        for (at, row) in rollup.series.iter().enumerate() {
            if !part.answers(at as u32) {
                continue;
            }
            let here = (hour_ms, bucket);
            let last = self.last.insert(profile::Labels::clone(&row.labels), here);
            let is_next = last == Some((hour_ms - HOUR_MS, bucket));
            let mut counted: Counted = row.all;
            if is_next {
                counted.remove(&row.continued);
            }
            let value = values[at];
            // A function that is not there has no sum, but a level of 0.
            if value.is_some() || profile_type.is_gauge() {
                let value = value.unwrap_or(0);
                self.buckets.add_many(&row.labels, bucket, value, counted.profiles);
            }
        }
    }
}

/// Values of each series; none where there is nothing.
fn values(rollup: &KindRollup, of: Of<'_>, measure: usize) -> Vec<Option<i128>> {
    let mut values: Vec<Option<i128>> = vec![None; rollup.series.len()];
    let mut add = |series: u32, value: i128| {
        let sum = values[series as usize].get_or_insert(0);
        *sum = sum.saturating_add(value);
    };
    let fitting = |function: &Pattern| -> Vec<bool> {
        let frames = rollup.frames.iter().enumerate();
        frames.map(|(at, frame)| at != 0 && function.matches(&frame.name)).collect()
    };
    match of {
        Of::Everything => {
            for (at, row) in rollup.series.iter().enumerate() {
                add(at as u32, row.totals[measure]);
            }
        }
        Of::Own(function) => {
            let fits = fitting(function);
            for cell in rollup.functions.iter().filter(|cell| fits[cell.frame as usize]) {
                if cell.own[measure] != 0 {
                    add(cell.series, cell.own[measure]);
                }
            }
        }
        Of::Total(function) => {
            let fits = fitting(function);
            let mut frames: Vec<u32> = rollup.functions.iter().map(|cell| cell.frame).collect();
            frames.retain(|frame| fits[*frame as usize]);
            frames.dedup();
            if frames.len() <= 1 {
                let cells = rollup.functions.iter();
                for cell in cells.filter(|cell| frames.contains(&cell.frame)) {
                    add(cell.series, cell.total[measure]);
                }
                return values;
            }
            // Several functions fit and may call each other: the stacks know.
            let mut holds = vec![false; rollup.prefixes.len()];
            for (at, prefix) in rollup.prefixes.iter().enumerate().skip(1) {
                holds[at] = holds[prefix.parent as usize] || fits[prefix.frame as usize];
            }
            for cell in rollup.cells.iter().filter(|cell| holds[cell.prefix as usize]) {
                add(cell.series, cell.own[measure]);
            }
        }
    }
    values
}

/// Adds lines to lines, those points that are wanted.
fn merge(found: &mut SeriesSet, more: SeriesSet, wanted: impl Fn(i64) -> bool) {
    let lines = std::mem::take(&mut found.series);
    let mut lines: BTreeMap<_, BTreeMap<i64, i64>> =
        lines.into_iter().map(|line| (line.labels, line.points.into_iter().collect())).collect();
    for line in more.series {
        let points = lines.entry(line.labels).or_default();
        for (at, value) in line.points.into_iter().filter(|(at, _)| wanted(*at)) {
            let sum = points.entry(at).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    lines.retain(|_, points| !points.is_empty());
    let lines = lines.into_iter();
    let line = |(labels, points): (_, BTreeMap<i64, i64>)| Series {
        labels,
        points: points.into_iter().collect(),
    };
    found.series = lines.map(line).collect();
}
