//! What happened when, from the samples' own times: heat maps finer than a second and a line for
//! each thread. Samples without a time of their own are left out, and counted apart.

use crate::infos::ProfileInfo;
use crate::limits::STEPS_MAX;
use crate::{AnswerMeta, ViewError};
use profile::KeyedMap;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use stdx::{TimeRange, Timestamp, saturate};

/// Steps of a timeline that names no length.
const STEPS_DEFAULT: i64 = 120;

/// A thread: threads of different processes with the same id and name are one.
pub type ThreadKey = (i64, String);

/// How to cut time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MomentsQuery {
    /// Length of a step in milliseconds; steps start at multiples of it. About 120 steps when
    /// absent.
    pub step_ms: Option<i64>,
    /// Whether threads are told apart.
    pub by_thread: bool,
    /// Most steps between the first and the last sample.
    pub steps_max: i64,
}

/// What happened in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Start of the step in milliseconds.
    pub start_ms: i64,
    /// The thread, when threads are told apart and it is known.
    pub thread: Option<ThreadKey>,
    /// Number of samples.
    pub samples: u64,
    /// Sum of their values.
    pub value: i128,
}

/// Steps with samples, by start and thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// What it was made of; its total and its samples are of timed samples only.
    pub meta: AnswerMeta,
    /// Where the profiles' samples lie within the range.
    pub extent: TimeRange,
    /// Length of a step.
    pub step_ms: i64,
    /// The steps.
    pub cells: Vec<Moment>,
}

/// The part of a range in which profiles have samples of a kind, in whole milliseconds; empty where
/// there are none.
pub fn extent<'a>(
    infos: impl IntoIterator<Item = &'a ProfileInfo>,
    kind: &str,
    range: &TimeRange,
) -> TimeRange {
    let kinds = infos.into_iter().flat_map(|info| &*info.kinds).filter(|have| *have.kind == *kind);
    let within = |time: Timestamp| time.max(range.start).min(range.end);
    let ends = kinds.map(|kind| (within(kind.first), within(kind.last.plus_nanos(1_000_000))));
    let ends = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    ends.map_or(TimeRange::new(range.start, range.start), |(start, end)| TimeRange::new(start, end))
}

impl MomentsQuery {
    /// The length of a step in milliseconds for samples within `extent`.
    pub fn step(&self, extent: &TimeRange) -> Result<i64, ViewError> {
        let millis = extent.nanos() / 1_000_000;
        let step = self.step_ms.unwrap_or((millis / STEPS_DEFAULT).max(1));
        if step <= 0 {
            return Err(ViewError::Invalid(format!("a step of {step} ms: give a positive one")));
        }
        let steps = millis / step;
        if steps > self.steps_max {
            let problem = format!(
                "{steps} steps of {step} ms are too many: ask for at most {}",
                self.steps_max
            );
            return Err(ViewError::TooLarge(problem));
        }
        Ok(step)
    }
}

/// Collects moments.
#[derive(Debug, Default)]
pub struct MomentSums {
    sums: FxHashMap<(i64, Option<u32>), (u64, i128)>,
    threads: Vec<ThreadKey>,
    index: KeyedMap<ThreadKey, u32>,
}

impl MomentSums {
    /// The handle of a thread.
    pub fn thread(&mut self, id: i64, name: &str) -> u32 {
        let threads = &mut self.threads;
        *self.index.entry((id, name.to_owned())).or_insert_with_key(|key| {
            threads.push(key.clone());
            (threads.len() - 1) as u32
        })
    }

    /// Adds samples of a step.
    pub fn add(&mut self, start_ms: i64, thread: Option<u32>, samples: u64, value: i128) {
        let sums = self.sums.entry((start_ms, thread)).or_default();
        sums.0 += samples;
        sums.1 = sums.1.saturating_add(value);
    }

    /// The answer.
    pub fn finish(self, mut meta: AnswerMeta, extent: TimeRange, step_ms: i64) -> Moments {
        let cell = |((start_ms, thread), (samples, value)): ((i64, Option<u32>), (u64, i128))| {
            let thread = thread.and_then(|at: u32| self.threads.get(at as usize)).cloned();
            Moment { start_ms, thread, samples, value }
        };
        let mut cells: Vec<Moment> = self.sums.into_iter().map(cell).collect();
        cells.sort_unstable_by(|a, b| (a.start_ms, &a.thread).cmp(&(b.start_ms, &b.thread)));
        meta.samples = cells.iter().map(|cell| cell.samples).sum();
        meta.total = saturate(cells.iter().fold(0, |sum, cell| cell.value.saturating_add(sum)));
        Moments { meta, extent, step_ms, cells }
    }
}

/// Shape of a heat map: columns of time from left to right, and in each the time within the column
/// from bottom to top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatmapQuery {
    /// Length of a column in milliseconds; columns start at multiples of it.
    pub column_ms: i64,
    /// Rows of a column; a multiple of it must be `column_ms`.
    pub rows: i64,
    /// Most cells between the first and the last sample.
    pub cells_max: i64,
}

/// A heat map.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// What it was made of, timed samples only.
    pub meta: AnswerMeta,
    /// Where samples lie.
    pub extent: TimeRange,
    /// Length of a column.
    pub column_ms: i64,
    /// Rows of a column.
    pub rows: i64,
    /// Cells with samples: start of the column in milliseconds, row from 0, number of samples, sum
    /// of values.
    pub cells: Vec<HeatCell>,
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatCell {
    /// Start of its column in milliseconds.
    pub column_ms: i64,
    /// Its row; row 0 begins with the column.
    pub row: i64,
    /// Samples.
    pub samples: u64,
    /// Sum of their values.
    pub value: i64,
}

impl HeatmapQuery {
    /// The moments that it is made of.
    pub fn moments(&self) -> Result<MomentsQuery, ViewError> {
        let Self { column_ms, rows, cells_max } = *self;
        if column_ms <= 0 || rows <= 0 || column_ms % rows != 0 {
            let problem = format!(
                "columns of {column_ms} ms in {rows} rows: a row must be a whole number of \
                 milliseconds"
            );
            return Err(ViewError::Invalid(problem));
        }
        let steps_max = cells_max.min(STEPS_MAX);
        Ok(MomentsQuery { step_ms: Some(column_ms / rows), by_thread: false, steps_max })
    }

    /// The heat map of these moments.
    pub fn finish(&self, moments: Moments) -> Heatmap {
        let cell = |moment: &Moment| HeatCell {
            column_ms: moment.start_ms.div_euclid(self.column_ms) * self.column_ms,
            row: moment.start_ms.rem_euclid(self.column_ms) / moments.step_ms,
            samples: moment.samples,
            value: saturate(moment.value),
        };
        Heatmap {
            column_ms: self.column_ms,
            rows: self.rows,
            cells: moments.cells.iter().map(cell).collect(),
            meta: moments.meta,
            extent: moments.extent,
        }
    }
}

/// Which timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineQuery {
    /// Length of a step in milliseconds; about 120 steps when absent.
    pub step_ms: Option<i64>,
    /// At most so many threads, those with the largest sums.
    pub threads_max: usize,
    /// Most steps between the first and the last sample.
    pub steps_max: i64,
}

/// What threads did when.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What it was made of, timed samples only.
    pub meta: AnswerMeta,
    /// Where samples lie.
    pub extent: TimeRange,
    /// Length of a step.
    pub step_ms: i64,
    /// The threads, the largest sum first.
    pub threads: Vec<ThreadLine>,
    /// Threads beyond the limit.
    pub left_out: u64,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadLine {
    /// Its id and name; `None` stands for samples without a thread.
    pub thread: Option<ThreadKey>,
    /// Its samples.
    pub samples: u64,
    /// Sum of their values.
    pub total: i64,
    /// Start of a step in milliseconds, samples and sum; steps without samples are left out.
    pub points: Vec<(i64, u64, i64)>,
}

impl TimelineQuery {
    /// The moments that it is made of.
    pub fn moments(&self) -> MomentsQuery {
        let steps_max = self.steps_max.min(STEPS_MAX);
        MomentsQuery { step_ms: self.step_ms, by_thread: true, steps_max }
    }

    /// The timeline of these moments.
    pub fn finish(&self, moments: Moments) -> Timeline {
        let mut lines: BTreeMap<Option<ThreadKey>, (i128, ThreadLine)> = BTreeMap::new();
        for moment in moments.cells {
            let (total, line) = lines.entry(moment.thread.clone()).or_insert_with(|| {
                let thread = moment.thread.clone();
                (0, ThreadLine { thread, samples: 0, total: 0, points: Vec::new() })
            });
            *total = total.saturating_add(moment.value);
            line.samples += moment.samples;
            line.points.push((moment.start_ms, moment.samples, saturate(moment.value)));
        }
        let mut lines: Vec<_> = lines.into_values().collect();
        // Stable: ties stay in order of thread.
        lines.sort_by_key(|(total, line)| Reverse((*total, line.samples)));
        let left_out = lines.len().saturating_sub(self.threads_max) as u64;
        lines.truncate(self.threads_max);
        let lines = lines.into_iter();
        let threads = lines.map(|(total, line)| ThreadLine { total: saturate(total), ..line });
        Timeline {
            threads: threads.collect(),
            meta: moments.meta,
            extent: moments.extent,
            step_ms: moments.step_ms,
            left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    #[test]
    fn a_heat_map_has_the_time_within_a_column_as_its_row() {
        let query = HeatmapQuery { column_ms: 1000, rows: 50, cells_max: 1000 };
        let moments = query.moments().expect("20 ms rows");
        assert_eq!(moments.step(&range(0, 20_000)).expect("few"), 20);
        assert!(matches!(moments.step(&range(0, 21_000)), Err(ViewError::TooLarge(_))));
        let mut sums = MomentSums::default();
        sums.add(1980, None, 2, 7);
        sums.add(-20, None, 1, 1);
        let heat = query.finish(sums.finish(AnswerMeta::default(), range(0, 2000), 20));
        let cells: Vec<_> =
            heat.cells.iter().map(|c| (c.column_ms, c.row, c.samples, c.value)).collect();
        assert_eq!(cells, [(-1000, 49, 1, 1), (1000, 49, 2, 7)]);
        assert!(HeatmapQuery { rows: 30, ..query }.moments().is_err());
        assert!(HeatmapQuery { column_ms: i64::MIN, rows: -1, ..query }.moments().is_err());
    }

    #[test]
    fn a_timeline_keeps_the_largest_threads() {
        let query = TimelineQuery { step_ms: None, threads_max: 1, steps_max: 500 };
        assert_eq!(query.moments().step(&range(0, 1_200)).expect("few"), 10);
        let mut sums = MomentSums::default();
        let (a, b) = (sums.thread(1, "a"), sums.thread(2, "b"));
        for (at, thread, value) in [(10, a, 1), (0, a, 2), (0, b, 4), (0, a, 3)] {
            sums.add(at, Some(thread), 1, value);
        }
        let line = query.finish(sums.finish(AnswerMeta::default(), range(0, 20), 10));
        assert_eq!((line.left_out, line.meta.total), (1, 10));
        assert_eq!(line.threads[0].thread, Some((1, "a".to_owned())));
        assert_eq!(line.threads[0].points, [(0, 2, 5), (10, 1, 1)]);
    }
}
