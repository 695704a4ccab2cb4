//! The kinds of a file's events, known when all of them have been seen.

use super::table::{Becomes, EVENTS, EventEntry, Source, When};
use crate::decoded::MappedType;
use profile::{KindIndex, Profile, SampleKind};

/// Family of the kinds that only JFR has.
const FAMILY: &str = "jfr";

/// Until [`settle`], the kind of a sample is the position of its entry in the table.
pub(super) fn provisional(entry: usize) -> KindIndex {
    KindIndex(entry as u32)
}

/// Gives every sample its kind. Of several event types that tell the same only those that tell it
/// best keep the registered kind. Returns what each value of each event type became.
pub(super) fn settle(profile: &mut Profile) -> Vec<MappedType> {
    let mut counts = vec![0_u64; EVENTS.len()];
    for sample in &profile.samples {
        counts[sample.kind.0 as usize] += 1;
    }
    let is_seen = |entry: &usize| counts[*entry] > 0;
    let best = |group: &str| {
        let told = (0..EVENTS.len()).filter(is_seen).filter_map(|at| EVENTS[at].told);
        told.filter(|(name, _)| *name == group).map(|(_, rank)| rank).min()
    };
    let mut indexes = vec![KindIndex::default(); EVENTS.len()];
    let mut mapped = Vec::new();
    for at in (0..EVENTS.len()).filter(is_seen) {
        let entry = &EVENTS[at];
        let is_best = entry.told.is_none_or(|(group, rank)| best(group) == Some(rank));
        let kind = kind(entry, is_best);
        indexes[at] = profile.intern_kind(&kind);
        mapped.extend(types(entry, &kind, indexes[at]));
    }
    for sample in &mut profile.samples {
        sample.kind = indexes[sample.kind.0 as usize];
    }
    mapped
}

/// The kind of an entry's events. Measures of its own keep the registered one's names in front, so
/// that levels stay levels.
fn kind(entry: &EventEntry, is_best: bool) -> SampleKind {
    let own = |types: &[(String, &str)]| {
        let types: Vec<_> = types.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
        SampleKind::custom(FAMILY, &types, ("", ""))
    };
    match entry.becomes {
        Becomes::Own(types) => {
            own(&types.iter().map(|(name, unit)| ((*name).to_owned(), *unit)).collect::<Vec<_>>())
        }
        Becomes::Kind(id) => {
            let kind = SampleKind::from_id(id).expect("the table names registered kinds");
            if is_best {
                return kind;
            }
            let measures = kind.measures.iter();
            let types: Vec<_> = measures
                .map(|one| (format!("{}.{}", one.sample_type, entry.event), one.unit.as_ref()))
                .collect();
            own(&types)
        }
    }
}

fn types(entry: &EventEntry, kind: &SampleKind, index: KindIndex) -> Vec<MappedType> {
    let values = entry.values.iter().enumerate();
    let values = values.filter(|(_, source)| **source != Source::Nothing);
    let suffix = if entry.when == When::WallClock { " by the wall clock" } else { "" };
    values
        .map(|(measure, source)| MappedType {
            sample_type: format!("{}{}{suffix}", entry.event, source.name()),
            unit: kind.measures[measure].unit.clone().into_owned(),
            profile_type: kind.measures[measure].type_id(),
            kind: index,
            measure,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Sample, VALUES_MAX};

    fn settled(events: &[&str]) -> (Profile, Vec<MappedType>) {
        let mut profile = Profile::default();
        for event in events {
            let at = EVENTS.iter().position(|entry| entry.event == *event).expect("in the table");
            profile.samples.push(Sample { kind: provisional(at), ..Sample::default() });
        }
        let mapped = settle(&mut profile);
        (profile, mapped)
    }

    #[test]
    fn every_entry_fits_its_kind() {
        for entry in EVENTS {
            for is_best in [true, false] {
                let kind = kind(entry, is_best);
                assert!(entry.values.len() <= kind.measures.len().min(VALUES_MAX), "{entry:?}");
                assert_eq!(SampleKind::from_id(&kind.id).as_ref(), Some(&kind));
            }
        }
    }

    #[test]
    fn what_two_event_types_tell_is_counted_once() {
        let (profile, mapped) = settled(&[
            "jdk.ObjectAllocationInNewTLAB",
            "jdk.ObjectAllocationSample",
            "jdk.ObjectAllocationOutsideTLAB",
            "jdk.JavaMonitorEnter",
        ]);
        let kind = |at: usize| profile.kinds[profile.samples[at].kind.0 as usize].id.as_ref();
        assert_eq!((kind(1), kind(3)), ("heap", "lock_acquire"));
        assert!(kind(0).starts_with("custom|jfr|alloc_space.jdk.ObjectAllocationInNewTLAB"));
        assert!(kind(2).starts_with("custom|jfr|alloc_space.jdk.ObjectAllocationOutsideTLAB"));
        assert_eq!(mapped.len(), 8);
        let (profile, _) = settled(&["jdk.ObjectAllocationOutsideTLAB"]);
        assert_eq!(profile.kinds[0].id, "heap");
    }

    #[test]
    fn a_level_stays_a_level() {
        let (profile, _) = settled(&["profiler.LiveObject", "datadog.HeapLiveObject"]);
        let own = profile.kinds.iter().find(|kind| kind.id != "heap").expect("the lesser one");
        assert_eq!(own.measures[2].aggregation, profile::Aggregation::Gauge);
        assert_eq!(own.measures[0].aggregation, profile::Aggregation::Sum);
    }
}
