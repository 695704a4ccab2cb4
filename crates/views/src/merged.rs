//! Several profiles as one, summed by stack, with all that is known of where a frame is: lines, first
//! lines of functions, binaries. Call trees know functions by name only.

use crate::{ProfileTypeInfo, Selection, ViewError, Views, infos};
use profile::{Aggregation, KindIndex, Profile, Sample, SampleKind, StackId, Table, VALUES_MAX};
use rustc_hash::FxHashMap;
use stdx::{Ulid, saturate};

/// How much is merged.
#[derive(Clone, Copy, Debug)]
pub struct MergeLimits {
    /// Profiles that are read. Of more, those that are read are spread evenly over the time.
    pub profiles: usize,
    /// Estimated bytes in memory of what is made of them; a merge that needs more fails.
    pub bytes: usize,
}

/// What a merge gives.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The profile, of one kind: that of the type asked for. Its values are sums of those measures
    /// of the kind that can be added up.
    pub profile: Profile,
    /// The type asked for.
    pub profile_type: ProfileTypeInfo,
    /// Profiles that are in it.
    pub merged: usize,
    /// Profiles with samples of the kind in the selection.
    pub found: usize,
}

/// Merges the profiles of a selection. Its filter and its range hold for single samples; its shape,
/// which is one of names, does not.
pub async fn merged(
    views: &dyn Views,
    selection: &Selection,
    limits: MergeLimits,
) -> Result<Merged, ViewError> {
    let selection = selection.whole_millis();
    let list = views.profiles(&selection, usize::MAX, None).await?;
    let profile_type = infos::resolve_type(&selection, &list.profiles)?;
    let (found, _) = infos::contributors(&list.profiles, &selection, &profile_type.kind);
    let ids: Vec<Ulid> = found.iter().map(|info| info.id).collect();
    let Some(kind) = SampleKind::from_id(&profile_type.kind) else {
        return Err(ViewError::UnknownType(profile_type.id.0));
    };
    let mut sums = Sums::of(kind);
    let mut count = 0;
    for id in spread(&ids, limits.profiles) {
        // It may have been deleted meanwhile.
        let Some((_, profile)) = views.profile(&selection.tenant, id).await? else { continue };
        sums.add(profile, &selection);
        count += 1;
        if sums.profile.tables.estimated_bytes() > limits.bytes {
            let detail = format!(
                "{count} of {} profiles take more than {} bytes when merged",
                ids.len(),
                limits.bytes
            );
            return Err(ViewError::TooLarge(detail));
        }
    }
    let mut profile = sums.finish();
    profile.window = selection.range;
    Ok(Merged { profile, profile_type, merged: count, found: ids.len() })
}

/// At most `count` of the ids, evenly spread.
fn spread(ids: &[Ulid], count: usize) -> impl Iterator<Item = Ulid> {
    let count = count.min(ids.len());
    (0..count).filter_map(move |at| ids.get(at * ids.len() / count).copied())
}

/// A profile that grows.
struct Sums {
    profile: Profile,
    /// Which of the kind's values are added up.
    is_sum: [bool; VALUES_MAX],
    values: FxHashMap<StackId, [i128; VALUES_MAX]>,
}

impl Sums {
    fn of(kind: SampleKind) -> Self {
        let mut is_sum = [false; VALUES_MAX];
        for (is_sum, measure) in is_sum.iter_mut().zip(&kind.measures) {
            *is_sum = measure.aggregation == Aggregation::Sum;
        }
        let profile = Profile { kinds: vec![kind], ..Profile::default() };
        Self { profile, is_sum, values: FxHashMap::default() }
    }

    fn add(&mut self, mut profile: Profile, selection: &Selection) {
        let wanted = &self.profile.kinds[0].id;
        let at = profile.kinds.iter().position(|kind| kind.id == *wanted);
        let Some(at) = at.map(|at| KindIndex(at as u32)) else { return };
        let keeps = |sample: &Sample| {
            sample.kind == at
                && selection.range.contains(profile.time_of(sample))
                && selection.filter.keeps(&profile.tables, sample)
        };
        let samples: Vec<Sample> =
            profile.samples.iter().filter(|one| keeps(one)).copied().collect();
        if self.profile.metadata.period == 0 {
            let metadata = &mut self.profile.metadata;
            metadata.period = profile.metadata.period;
            metadata.period_type = profile.metadata.period_type;
            metadata.period_unit = profile.metadata.period_unit;
        }
        // What tells single samples apart is added up here.
        profile.tables.threads = Table::default();
        profile.tables.links = Table::default();
        profile.tables.attributes = Table::default();
        let remap = self.profile.tables.absorb(&profile.tables);
        for sample in samples {
            let sums = self.values.entry(remap.stack(sample.stack)).or_default();
            for (sum, value) in sums.iter_mut().zip(sample.values) {
                *sum = sum.saturating_add(value.into());
            }
        }
    }

    fn finish(self) -> Profile {
        let Self { mut profile, is_sum, values } = self;
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by_key(|(stack, _)| *stack);
        for (stack, sums) in values {
            let mut row = [0; VALUES_MAX];
            for (at, value) in row.iter_mut().enumerate().filter(|(at, _)| is_sum[*at]) {
                *value = saturate(sums[at]);
            }
            if row != [0; VALUES_MAX] {
                let sample = Sample { stack, values: row, ..Sample::default() };
                profile.samples.push(sample);
            }
        }
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::Naive;
    use profile::{Function, Line, Location, ProfileTypeId, Thread};
    use stdx::{TimeRange, Timestamp};

    const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    const ALL: MergeLimits = MergeLimits { profiles: 1_000, bytes: 1 << 20 };

    /// A CPU profile of one second that `work`, a function from line 10 on, had at two of its lines.
    fn profile(second: i64) -> Profile {
        let mut profile = Profile::default();
        profile.labels.set("service_name", "shop");
        let start = Timestamp::from_millis(second * 1_000);
        profile.window = TimeRange::new(start, start.plus_nanos(1_000_000_000));
        let kind = profile.intern_kind(&SampleKind::from_id("stack").expect("registered"));
        let tables = &mut profile.tables;
        let [name, file] = ["work", "work.go"].map(|text| tables.strings.intern(text));
        let function = Function { name, file, start_line: 10, ..Function::default() };
        let function = tables.functions.intern(function);
        let thread = Some(tables.threads.intern(Thread { id: second, name }));
        for (line, value) in [(12, 30), (17, 5), (12, 1)] {
            let lines = [Line { function, line, column: 0 }].into_iter().collect();
            let location = tables.locations.intern(Location { lines, ..Location::default() });
            let stack = tables.stacks.intern_leaf_first(&[location]);
            let values = [value * 1_000, value, 0, 0];
            let sample = Sample { kind, stack, thread, values, ..Sample::default() };
            profile.samples.push(sample);
        }
        profile
    }

    fn ask(naive: &Naive, range: TimeRange, limits: MergeLimits) -> Result<Merged, ViewError> {
        let mut selection = Selection::everything("default", range);
        selection.profile_type = Some(ProfileTypeId(CPU.to_owned()));
        futures::executor::block_on(merged(naive, &selection, limits))
    }

    fn stored(seconds: std::ops::Range<i64>) -> Naive {
        let mut naive = Naive::default();
        for second in seconds {
            let id = Ulid::from_parts(second.unsigned_abs(), 1);
            naive.insert(id, "default", Timestamp::default(), profile(second));
        }
        naive
    }

    #[test]
    fn stacks_are_told_apart_by_line_and_summed_over_profiles_and_threads() {
        let merged = ask(&stored(0..20), TimeRange::ALL, ALL).expect("merges");
        assert_eq!((merged.merged, merged.found), (20, 20));
        let profile = &merged.profile;
        let tables = &profile.tables;
        let mut rows = Vec::new();
        for sample in &profile.samples {
            let location = tables.stacks.leaf_first(sample.stack).next().expect("a leaf");
            let line = tables.locations.get(location).expect("is there").lines[0];
            let function = tables.functions.get(line.function).expect("is there");
            rows.push((line.line, function.start_line, sample.values));
        }
        assert_eq!(rows, [(12, 10, [620_000, 620, 0, 0]), (17, 10, [100_000, 100, 0, 0])]);
        assert!(
            tables.threads.is_empty() && profile.samples.iter().all(|one| one.thread.is_none())
        );
    }

    #[test]
    fn of_too_many_profiles_some_from_all_over_the_range_are_merged() {
        let ids: Vec<Ulid> = (0..10).map(|at| Ulid::from_parts(at, 0)).collect();
        let of = |count| -> Vec<usize> {
            let place = |id| ids.iter().position(|have| *have == id).expect("one of them");
            spread(&ids, count).map(place).collect()
        };
        assert_eq!(of(3), [0, 3, 6]);
        assert_eq!(of(100), (0..10).collect::<Vec<_>>());
        assert!(of(0).is_empty() && spread(&[], 3).next().is_none());
        let merged = ask(&stored(0..20), TimeRange::ALL, MergeLimits { profiles: 7, ..ALL });
        let merged = merged.expect("merges");
        assert_eq!((merged.merged, merged.found), (7, 20));
        assert_eq!(merged.profile.totals(KindIndex(0))[1], 7 * 36);
    }

    #[test]
    fn ranges_and_limits_hold() {
        let range = TimeRange::new(Timestamp::from_millis(5_000), Timestamp::from_millis(8_000));
        assert_eq!(ask(&stored(0..20), range, ALL).expect("merges").merged, 3);
        let small = MergeLimits { bytes: 10, ..ALL };
        assert!(matches!(ask(&stored(0..20), range, small), Err(ViewError::TooLarge(_))));
        let nothing = ask(&stored(0..0), TimeRange::ALL, ALL).expect("answers");
        assert_eq!((nothing.found, nothing.profile.samples.len()), (0, 0));
    }
}
