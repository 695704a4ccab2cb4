//! The kinds of a file's events, known when all of them have been seen.

use super::table::{Becomes, EVENTS, Event, EventEntry};
use crate::decoded::MappedType;
use profile::{KindIndex, Profile, SampleKind};

/// Family of the kinds that only .NET has.
const FAMILY: &str = "dotnet";

/// Until [`settle`], the kind of a sample is the position of its entry in the table.
pub(super) fn provisional(event: Event) -> KindIndex {
    let at = EVENTS.iter().position(|entry| entry.event == event);
    KindIndex(at.expect("the table has an entry for each event") as u32)
}

/// Gives every sample its kind. What a file tells twice keeps the registered kind once. Returns what
/// each value of each event type became.
pub(super) fn settle(profile: &mut Profile) -> Vec<MappedType> {
    let mut is_seen = vec![false; EVENTS.len()];
    for sample in &profile.samples {
        is_seen[sample.kind.0 as usize] = true;
    }
    let has_sampled = is_seen[provisional(Event::AllocationSampled).0 as usize];
    let mut indexes = vec![KindIndex::default(); EVENTS.len()];
    let mut mapped = Vec::new();
    for at in (0..EVENTS.len()).filter(|at| is_seen[*at]) {
        let entry = &EVENTS[at];
        let is_best = entry.event != Event::AllocationTick || !has_sampled;
        let kind = kind(entry, is_best);
        indexes[at] = profile.intern_kind(&kind);
        mapped.extend(types(entry, &kind, indexes[at]));
    }
    for sample in &mut profile.samples {
        sample.kind = indexes[sample.kind.0 as usize];
    }
    mapped
}

fn kind(entry: &EventEntry, is_best: bool) -> SampleKind {
    match entry.becomes {
        Becomes::Own(types) => SampleKind::custom(FAMILY, types, ("", "")),
        Becomes::Kind(id) => {
            let kind = SampleKind::from_id(id).expect("the table names registered kinds");
            if is_best {
                return kind;
            }
            let measures = kind.measures.iter().take(entry.values.len());
            let types: Vec<_> = measures
                .map(|one| (format!("{}.{}", one.sample_type, entry.name), one.unit.as_ref()))
                .collect();
            let types: Vec<_> = types.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
            SampleKind::custom(FAMILY, &types, ("", ""))
        }
    }
}

fn types(entry: &EventEntry, kind: &SampleKind, index: KindIndex) -> Vec<MappedType> {
    let values = entry.values.iter().enumerate().filter(|(_, (_, from))| !from.is_empty());
    values
        .map(|(measure, (suffix, _))| MappedType {
            sample_type: format!("{}{suffix}", entry.name),
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
        let settled = |events: &[Event]| {
            let mut profile = Profile::default();
            for event in events {
                let kind = provisional(*event);
                profile.samples.push(Sample { kind, ..Sample::default() });
            }
            settle(&mut profile);
            profile.kinds.iter().map(|kind| kind.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(settled(&[Event::AllocationTick]), ["heap"]);
        let both = settled(&[Event::AllocationTick, Event::AllocationSampled]);
        assert_eq!(both[0], "heap");
        assert!(both[1].starts_with("custom|dotnet|alloc_space.AllocationTick"), "{both:?}");
    }
}
