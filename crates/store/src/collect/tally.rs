//! What a profile holds of each kind, altogether and by slices of the clock.

use super::Ordinals;
use crate::limits::{SLICE_MS, SLICE_SAMPLES_MIN};
use crate::rows::{Row, Slice, Slices};
use profile::{Profile, VALUES_MAX};
use std::sync::Arc;
use stdx::Timestamp;
use views::KindTotals;

type Sums = [i128; VALUES_MAX];

/// Of one kind, while its rows are counted.
struct Count {
    kind: u32,
    samples: u64,
    /// First and last time in milliseconds.
    bounds: Option<(i64, i64)>,
    sums: Sums,
    slices: Cuts,
}

/// Sums by slice, by time.
#[derive(Default)]
struct Cuts {
    sums: Vec<(i64, Sums)>,
    /// Where the last row went: the next mostly goes there, too.
    last: usize,
    /// Whether there turned out to be more of them than are worth being kept.
    are_many: bool,
}

/// Totals of the kinds that the profile names, even of those without samples, and of others that rows
/// have; by kind id. `start` is where its window starts.
pub(super) fn tally(
    profile: &Profile,
    start: Timestamp,
    rows: &[Row],
    ordinals: &mut Ordinals,
) -> (Arc<[KindTotals]>, Slices) {
    let mut counts: Vec<Count> = Vec::new();
    for kind in &profile.kinds {
        count_of(&mut counts, ordinals.kind(&kind.id));
    }
    let slices_max = rows.len() / SLICE_SAMPLES_MIN;
    for row in rows {
        count_of(&mut counts, row.kind).add(row, slices_max);
    }
    let name = |count: &Count| &ordinals.kinds[count.kind as usize];
    counts.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    let slices: Vec<Box<[Slice]>> = counts.iter().map(Count::kept_slices).collect();
    let has_slices = slices.iter().any(|slices| !slices.is_empty());
    let slices = if has_slices { slices.into() } else { Arc::default() };
    let totals = counts.iter().map(|count| count.totals(Arc::clone(name(count)), start.millis()));
    (totals.collect(), slices)
}

/// The count of a kind; there are few.
fn count_of(counts: &mut Vec<Count>, kind: u32) -> &mut Count {
    let at = counts.iter().position(|count| count.kind == kind).unwrap_or_else(|| {
        let (bounds, sums) = (None, Sums::default());
        counts.push(Count { kind, samples: 0, bounds, sums, slices: Cuts::default() });
        counts.len() - 1
    });
    &mut counts[at]
}

impl Count {
    fn add(&mut self, row: &Row, slices_max: usize) {
        self.samples += 1;
        let (first, last) = self.bounds.unwrap_or((row.ts_ms, row.ts_ms));
        self.bounds = Some((first.min(row.ts_ms), last.max(row.ts_ms)));
        add(&mut self.sums, row);
        self.slices.add(row, slices_max);
    }

    fn totals(&self, kind: Arc<str>, start_ms: i64) -> KindTotals {
        let (first, last) = self.bounds.unwrap_or((start_ms, start_ms));
        KindTotals {
            kind,
            samples: self.samples,
            totals: self.sums.map(stdx::saturate),
            first: Timestamp::from_millis(first),
            last: Timestamp::from_millis(last),
        }
    }

    /// The slices, where they are worth being kept: more than one, few beside the samples, and each
    /// sum exact.
    fn kept_slices(&self) -> Box<[Slice]> {
        let Cuts { sums, are_many, .. } = &self.slices;
        if *are_many || sums.len() < 2 || self.samples < (sums.len() * SLICE_SAMPLES_MIN) as u64 {
            return Box::default();
        }
        let is_exact = |sum: &i128| i64::try_from(*sum).is_ok();
        if !sums.iter().flat_map(|(_, sums)| sums).all(is_exact) {
            return Box::default();
        }
        let slice = |(start_ms, sums): &(i64, Sums)| Slice {
            start_ms: *start_ms,
            totals: sums.map(stdx::saturate),
        };
        sums.iter().map(slice).collect()
    }
}

impl Cuts {
    fn add(&mut self, row: &Row, most: usize) {
        if self.are_many {
            return;
        }
        let start_ms = row.ts_ms.div_euclid(SLICE_MS) * SLICE_MS;
        if self.sums.get(self.last).is_none_or(|(start, _)| *start != start_ms) {
            let at = self.sums.binary_search_by_key(&start_ms, |(start, _)| *start);
            self.last = at.unwrap_or_else(|at| {
                self.sums.insert(at, (start_ms, Sums::default()));
                at
            });
        }
        add(&mut self.sums[self.last].1, row);
        self.are_many = self.sums.len() > most.max(1);
    }
}

fn add(sums: &mut Sums, row: &Row) {
    for (sum, value) in sums.iter_mut().zip(row.values) {
        *sum += i128::from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::SampleKind;

    /// The slices kept of one kind's samples at these times, each of the value 1 but the last. Samples
    /// of another kind are with them.
    fn kept(times: impl IntoIterator<Item = i64>, last: i64) -> Vec<(i64, i64)> {
        let mut profile = Profile::default();
        let kind = SampleKind::from_id("stack").expect("registered");
        profile.intern_kind(&kind);
        let mut ordinals = Ordinals::default();
        ordinals.kind(&kind.id);
        let row = |ts_ms, value| Row { ts_ms, values: [value, 0, 0, 0], ..Row::default() };
        let mut rows: Vec<Row> = times.into_iter().map(|at| row(at, 1)).collect();
        rows.last_mut().expect("some").values[0] = last;
        let other = ordinals.kind("unknown");
        rows.extend((0..1_000).map(|_| Row { kind: other, ..Row::default() }));
        let (totals, slices) = tally(&profile, Timestamp::from_millis(0), &rows, &mut ordinals);
        assert_eq!(totals[0].samples, rows.len() as u64 - 1_000);
        let slices = slices.first().map_or(&[][..], |slices| slices);
        slices.iter().map(|slice| (slice.start_ms, slice.totals[0])).collect()
    }

    #[test]
    fn slices_are_kept_where_they_are_few_beside_the_samples() {
        let few = SLICE_SAMPLES_MIN as i64;
        let times = |count: i64| (0..count).map(|at| (at % 2 * 2 - 1) * SLICE_MS + 3);
        let both = [(-SLICE_MS, few), (SLICE_MS, few)];
        assert_eq!(kept(times(2 * few), 1), both, "in whatever order they come");
        assert_eq!(kept(times(2 * few - 1), 1), [], "one too few");
        assert_eq!(kept((0..100).map(|_| SLICE_MS + 3), 1), [], "one slice is the total");
        assert_eq!(kept((0..1_000).map(|at| at * SLICE_MS), 1), [], "as many as samples");
        assert_eq!(kept(times(2 * few), i64::MAX), [], "a sum that does not fit");
    }
}
