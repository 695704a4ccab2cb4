//! The specification of rollups: from profiles in memory, written to be obviously right.

use super::{Counted, Described, HOUR_MS, Rules, SeriesRollup, Values, add, add_weight};
use crate::frame::frames_of;
use crate::{Frame, ProfileInfo, Quality};
use profile::labels::names::SERVICE;
use profile::{Labels, Profile, Sample};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid, saturate};

type Place<T> = BTreeMap<(T, Labels), (Values, Values, BTreeSet<Ulid>)>;

/// Sums before anything is pruned: of prefixes their own, of functions own and total.
#[derive(Default)]
struct Exact {
    series: BTreeMap<Labels, SeriesRollup>,
    prefixes: Place<Vec<Frame>>,
    functions: Place<Frame>,
}

/// The rollups of an hour by service and kind.
pub fn hour<'a>(
    profiles: impl IntoIterator<Item = (&'a ProfileInfo, &'a Profile)>,
    hour_ms: i64,
    rules: &Rules,
) -> BTreeMap<(String, String), Described> {
    let mut found: BTreeMap<(String, String), Exact> = BTreeMap::new();
    for (info, profile) in profiles {
        let service = profile.labels.get(SERVICE).unwrap_or("");
        for kind in &*info.kinds {
            let samples = |hour_ms: i64| -> Vec<&Sample> {
                let is_its = |sample: &&Sample| {
                    let own = profile.kinds.get(sample.kind.0 as usize);
                    own.is_some_and(|own| own.id == *kind.kind)
                        && profile.time_of(sample).millis().div_euclid(HOUR_MS) * HOUR_MS == hour_ms
                };
                profile.samples.iter().filter(is_its).collect()
            };
            let inside = samples(hour_ms);
            if !inside.is_empty() {
                let exact = found.entry((service.to_owned(), kind.kind.to_string())).or_default();
                let is_continued = !samples(hour_ms - HOUR_MS).is_empty();
                exact.add(info, profile, &inside, hour_ms, is_continued);
            }
        }
    }
    found.into_iter().map(|(key, exact)| (key, exact.pruned(rules))).collect()
}

impl Exact {
    fn add(
        &mut self,
        info: &ProfileInfo,
        profile: &Profile,
        samples: &[&Sample],
        hour_ms: i64,
        is_continued: bool,
    ) {
        let labels = &profile.labels;
        let series = self.series.entry(labels.clone()).or_default();
        series.labels = Arc::new(labels.clone());
        series.samples += samples.len() as u64;
        series.covered_ms += covered_ms(&profile.window, hour_ms);
        let meta = &profile.metadata;
        let quality = Quality {
            samples: profile.samples.len() as u64,
            lost: meta.lost,
            broken: meta.broken,
            unsymbolized: meta.unsymbolized,
        };
        let counted = Counted { profiles: 1, quality };
        series.all.add(&counted);
        if is_continued {
            series.continued.add(&counted);
        }
        for sample in samples {
            let values = sample.values.map(i128::from);
            add(&mut series.totals, &values);
            let locations: Vec<_> = profile.tables.stacks.leaf_first(sample.stack).collect();
            let locations = locations.into_iter().rev();
            let path: Vec<Frame> =
                locations.flat_map(|id| frames_of(&profile.tables, id)).collect();
            for length in 0..=path.len() {
                let key = (path[..length].to_vec(), labels.clone());
                let (own, _, profiles) = self.prefixes.entry(key).or_default();
                profiles.insert(info.id);
                if length == path.len() {
                    add(own, &values);
                }
            }
            let frames: BTreeSet<&Frame> = path.iter().collect();
            for frame in frames {
                let key = (frame.clone(), labels.clone());
                let (own, total, profiles) = self.functions.entry(key).or_default();
                profiles.insert(info.id);
                add(total, &values);
                if path.last() == Some(frame) {
                    add(own, &values);
                }
            }
        }
    }

    /// What the stacks weigh that fit.
    fn weight(&self, fits: impl Fn(&[Frame]) -> bool) -> Values {
        let mut weight = Values::default();
        for ((path, _), (own, ..)) in &self.prefixes {
            if fits(path) {
                add_weight(&mut weight, own);
            }
        }
        weight
    }

    fn pruned(self, rules: &Rules) -> Described {
        let series = self.series.iter().map(|(labels, row)| {
            (labels.clone(), SeriesRollup { totals: saturated(&row.totals), ..row.clone() })
        });
        Described {
            series: series.collect(),
            prefixes: self.kept_prefixes(rules),
            functions: self.kept_functions(rules),
        }
    }

    fn kept_prefixes(&self, rules: &Rules) -> BTreeMap<(Vec<Frame>, Labels), (Values, u64)> {
        let all = self.weight(|_| true);
        let paths: BTreeSet<&Vec<Frame>> = self.prefixes.keys().map(|(path, _)| path).collect();
        let weigh = |path: &[Frame]| self.weight(|stack| stack.starts_with(path));
        let weights: BTreeMap<&[Frame], Values> =
            paths.into_iter().map(|path| (path.as_slice(), weigh(path))).collect();
        let is_kept =
            |path: &[Frame], share| path.is_empty() || Rules::keeps(share, &weights[path], &all);
        let kept = |share| self.prefixes.keys().filter(|(path, _)| is_kept(path, share)).count();
        let share = fitting(rules.prefix_share, rules.cells_max, kept);
        let mut prefixes: BTreeMap<(Vec<Frame>, Labels), (Values, u64)> = BTreeMap::new();
        for ((path, labels), (own, _, profiles)) in &self.prefixes {
            let length = (0..=path.len()).rev().find(|at| is_kept(&path[..*at], share));
            let length = length.unwrap_or(0);
            let mut place = path[..length].to_vec();
            if length < path.len() {
                place.push(super::pruned_frame());
            }
            let (sum, count) = prefixes.entry((place, labels.clone())).or_default();
            add(sum, own);
            *count = (profiles.len() as u64).max(*count);
        }
        let prefixes = prefixes.into_iter();
        prefixes.map(|(key, (own, profiles))| (key, (saturated(&own), profiles))).collect()
    }

    fn kept_functions(&self, rules: &Rules) -> BTreeMap<(Frame, Labels), (Values, Values, u64)> {
        let all = self.weight(|_| true);
        let frames: BTreeSet<&Frame> = self.functions.keys().map(|(frame, _)| frame).collect();
        let weigh = |frame: &Frame| self.weight(|stack| stack.contains(frame));
        let weights: BTreeMap<_, _> = frames.into_iter().map(|one| (one, weigh(one))).collect();
        let is_kept = |frame: &Frame, share| Rules::keeps(share, &weights[frame], &all);
        let kept = |share| self.functions.keys().filter(|(frame, _)| is_kept(frame, share)).count();
        let share = fitting(rules.function_share, rules.cells_max, kept);
        let functions = self.functions.iter().filter(|((frame, _), _)| is_kept(frame, share));
        let functions = functions.map(|(key, (own, total, profiles))| {
            (key.clone(), (saturated(own), saturated(total), profiles.len() as u64))
        });
        functions.collect()
    }
}

/// The largest share of `share`, half of it and so on for which there are at most `most`.
fn fitting(share: u64, most: usize, kept: impl Fn(u64) -> usize) -> u64 {
    let mut share = share;
    while share > 0 && kept(share) > most {
        share /= 2;
    }
    share
}

fn saturated(values: &Values) -> Values {
    values.map(|value| saturate(value).into())
}

/// What a window covers of an hour.
fn covered_ms(window: &TimeRange, hour_ms: i64) -> u64 {
    let hour = (Timestamp::from_millis(hour_ms), Timestamp::from_millis(hour_ms + HOUR_MS));
    let (start, end) = (window.start.max(hour.0), window.end.min(hour.1));
    (end.millis() - start.millis()).max(0).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::info_of;
    use crate::rollup::PRUNED;
    use profile::folded::from_folded;

    const BASE_MS: i64 = 1_795_219_200_000;

    fn rollup(text: &str, rules: &Rules) -> Described {
        let mut profile = from_folded(text);
        let start = Timestamp::from_millis(BASE_MS + 1_000);
        profile.window = TimeRange::new(start, start.plus_nanos(10_000_000_000));
        let info = info_of(Ulid::from(1), "t", start, &profile);
        let mut found = hour([(&info, &profile)], BASE_MS, rules);
        assert!(hour([(&info, &profile)], BASE_MS + HOUR_MS, rules).is_empty());
        found.pop_first().expect("one kind").1
    }

    fn rows(found: &Described) -> Vec<(String, i128)> {
        let name = |path: &[Frame]| {
            path.iter().map(|frame| frame.name.to_string()).collect::<Vec<_>>().join(";")
        };
        found.prefixes.iter().map(|((path, _), (own, _))| (name(path), own[0])).collect()
    }

    #[test]
    fn small_prefixes_leave_their_weight_below_their_caller_and_functions_stay_exact() {
        let text = "main;big 90\nmain;s1;x 4\nmain;s2;x 4\nmain 2\n";
        let found = rollup(text, &Rules { prefix_share: 10, ..Rules::default() });
        let expected = [("", 0), ("main", 2), ("main;[pruned]", 8), ("main;big", 90)];
        assert_eq!(rows(&found), expected.map(|(path, value)| (path.to_owned(), value)));
        let x = found.functions.iter().find(|((frame, _), _)| &*frame.name == "x").expect("kept");
        assert_eq!((x.1.0[0], x.1.1[0], x.1.2), (8, 8, 1));
        let series = found.series.values().next().expect("one");
        assert_eq!((series.all.profiles, series.covered_ms, series.totals[0]), (1, 10_000, 100));
    }

    #[test]
    fn where_there_are_too_many_cells_shares_are_halved() {
        let text: String = (0..64).map(|at| format!("main;f{at:02} {}\n", at + 1)).collect();
        let rules = Rules { cells_max: 10, ..Rules::default() };
        let found = rollup(&text, &rules);
        assert!(found.prefixes.len() <= 11 && found.functions.len() <= 10);
        let own: i128 = rows(&found).iter().map(|(_, own)| own).sum();
        assert_eq!(own, 64 * 65 / 2, "the pruned weight stays visible");
        assert!(rows(&found).iter().any(|(path, _)| path.ends_with(PRUNED)));
    }
}
