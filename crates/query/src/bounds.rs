//! Where in a run the samples of some times are, by metadata alone: the rows of a run are in order of
//! time, so those of profiles that ended before a time lie before all rows of that time, and those of
//! profiles that began after it behind.

use rustc_hash::FxHashMap;
use std::ops::Range;
use store::Run;
use views::KindTotals;

/// The first millisecond that is meant, and the first after.
pub(crate) type Times = (i64, i64);

/// What lies outside of the times that are meant, for the runs of one kind; a run that it does not
/// have is meant as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    kind: Box<str>,
    by_series: FxHashMap<u32, Vec<Bound>>,
}

/// How many rows at least lie before the times that are meant, and how many behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    before: u64,
    behind: u64,
}

impl Bounds {
    /// Bounds the runs of a kind to the times `meant`, which are by series. `profiles` are all of the
    /// part that have the kind, each with its series; were one left out, more rows would be looked at.
    pub(crate) fn of<'a>(
        kind: &str,
        profiles: impl Iterator<Item = (u32, &'a KindTotals)>,
        mut meant: FxHashMap<u32, Vec<Times>>,
    ) -> Self {
        let mut ends: FxHashMap<u32, Ends> = FxHashMap::default();
        for (series, totals) in profiles {
            if meant.contains_key(&series) {
                ends.entry(series).or_default().add(totals);
            }
        }
        let bounds = ends.into_iter().map(|(series, ends)| {
            let mut times = meant.remove(&series).unwrap_or_default();
            times.sort_unstable();
            (series, ends.bounds(&times))
        });
        Self { kind: kind.into(), by_series: bounds.collect() }
    }

    /// The rows of a run that can be of the times that are meant: ascending, apart from each other.
    pub(crate) fn rows(&self, run: &Run) -> Vec<Range<u64>> {
        let Some(bounds) = self.by_series.get(&run.series).filter(|_| *run.kind == *self.kind)
        else {
            return vec![run.rows.clone()];
        };
        let mut rows: Vec<Range<u64>> = Vec::with_capacity(bounds.len());
        for bound in bounds {
            let start = run.rows.start.saturating_add(bound.before);
            let end = run.rows.end.saturating_sub(bound.behind);
            match rows.last_mut() {
                _ if start >= end => {}
                Some(last) if start <= last.end => last.end = end,
                _ => rows.push(start..end),
            }
        }
        rows
    }
}

/// When the profiles of a run begin and end, each with the number of its samples.
#[derive(Default)]
struct Ends {
    first: Vec<(i64, u64)>,
    last: Vec<(i64, u64)>,
}

impl Ends {
    fn add(&mut self, totals: &KindTotals) {
        self.first.push((totals.first.millis(), totals.samples));
        self.last.push((totals.last.millis(), totals.samples));
    }

    /// What lies outside of each of some times, which ascend by their starts. One that ends before
    /// another did is taken to end as late: together they are the same.
    fn bounds(mut self, times: &[Times]) -> Vec<Bound> {
        self.first.sort_unstable();
        self.last.sort_unstable();
        let all: u64 = self.first.iter().map(|(_, samples)| samples).sum();
        let (mut ended, mut begun) = (Before::of(&self.last), Before::of(&self.first));
        let bound = |&(from, until): &Times| Bound {
            before: ended.samples(from),
            behind: all - begun.samples(until),
        };
        times.iter().map(bound).collect()
    }
}

/// Samples of the profiles whose time is before another.
struct Before<'a> {
    rest: &'a [(i64, u64)],
    samples: u64,
}

impl<'a> Before<'a> {
    fn of(sorted: &'a [(i64, u64)]) -> Self {
        Self { rest: sorted, samples: 0 }
    }

    /// Of a time, or of the latest that was asked for.
    fn samples(&mut self, time: i64) -> u64 {
        while let [(first, samples), rest @ ..] = self.rest
            && *first < time
        {
            self.samples += samples;
            self.rest = rest;
        }
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::VALUES_MAX;
    use proptest::prelude::*;
    use stdx::Timestamp;

    fn totals(samples: &[i64]) -> KindTotals {
        let at = |millis: Option<&i64>| Timestamp::from_millis(millis.copied().unwrap_or(0));
        KindTotals {
            kind: "wall".into(),
            samples: samples.len() as u64,
            totals: [1; VALUES_MAX],
            first: at(samples.iter().min()),
            last: at(samples.iter().max()),
        }
    }

    fn rows_of(profiles: &[Vec<i64>], meant: &[Times]) -> Vec<(u64, u64)> {
        let rows = profiles.iter().map(|profile| profile.len() as u64).sum();
        rows_of_known(profiles, meant, rows)
    }

    /// The rows of a run that starts at 100; there may be more of them than the profiles have.
    fn rows_of_known(profiles: &[Vec<i64>], meant: &[Times], rows: u64) -> Vec<(u64, u64)> {
        let totals: Vec<_> = profiles.iter().map(|profile| totals(profile)).collect();
        let meant = FxHashMap::from_iter([(7, meant.to_vec())]);
        let bounds = Bounds::of("wall", totals.iter().map(|totals| (7, totals)), meant);
        rows_in(&bounds, "wall", 7, 100..100 + rows)
    }

    fn rows_in(bounds: &Bounds, kind: &str, series: u32, rows: Range<u64>) -> Vec<(u64, u64)> {
        let rows = bounds.rows(&Run { kind: kind.into(), series, rows });
        rows.into_iter().map(|rows| (rows.start, rows.end)).collect()
    }

    #[test]
    fn profiles_one_after_the_other_are_found_exactly() {
        let profiles = [vec![0, 3, 9], vec![10, 19], vec![20, 22, 25, 29], vec![30]];
        assert_eq!(rows_of(&profiles, &[(10, 20)]), [(103, 105)]);
        assert_eq!(rows_of(&profiles, &[(30, 31), (0, 10)]), [(100, 103), (109, 110)]);
        assert_eq!(rows_of(&profiles, &[(15, 16)]), [(103, 105)], "a profile is not cut");
        assert_eq!(rows_of(&profiles, &[(i64::MIN, 15)]), [(100, 105)]);
        assert_eq!(rows_of(&profiles, &[(40, 50)]), []);
    }

    #[test]
    fn other_runs_are_meant_as_a_whole() {
        let rows = |bounds: &Bounds, kind: &str, series| rows_in(bounds, kind, series, 4..9);
        assert_eq!(rows(&Bounds::default(), "cpu", 1), [(4, 9)]);
        let meant = FxHashMap::from_iter([(1, vec![(90, 99)])]);
        let bounds = Bounds::of("wall", std::iter::once((1, &totals(&[0, 1, 2, 3, 4]))), meant);
        assert_eq!(rows(&bounds, "wall", 1), []);
        assert_eq!(rows(&bounds, "wall", 2), [(4, 9)]);
        assert_eq!(rows(&bounds, "cpu", 1), [(4, 9)]);
    }

    proptest! {
        #[test]
        fn no_row_that_is_meant_is_left_out(
            profiles in prop::collection::vec(prop::collection::vec(-5..40_i64, 0..6), 0..8),
            meant in prop::collection::vec((-8..45_i64, 0..9_i64).prop_map(|(a, b)| (a, a + b)), 0..5),
            hidden in 0..8_usize,
        ) {
            let mut times: Vec<i64> = profiles.concat();
            times.sort_unstable();
            let mut known = profiles;
            if hidden < known.len() {
                // The rows of a profile that is not known are there all the same.
                known.swap_remove(hidden);
            }
            let rows = rows_of_known(&known, &meant, times.len() as u64);
            prop_assert!(rows.windows(2).all(|pair| pair[0].1 < pair[1].0));
            for (at, time) in (100..).zip(&times) {
                let is_meant = meant.iter().any(|(from, until)| (from..until).contains(&time));
                let is_there = rows.iter().any(|rows| (rows.0..rows.1).contains(&at));
                prop_assert!(is_there || !is_meant, "row {at} of {time}: {rows:?}");
            }
        }
    }
}
