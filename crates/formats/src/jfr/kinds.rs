//! The kinds of a file's events.

use super::table::{Becomes, EVENTS, EventEntry, Source, When};
use crate::decoded::MappedType;
use crate::kinds::{self, Entry};
use profile::{KindIndex, Profile, VALUES_MAX};

/// Until [`settle`], the kind of a sample is the position of its entry in the table.
pub(super) fn provisional(entry: usize) -> KindIndex {
    KindIndex(entry as u32)
}

/// Gives every sample its kind.
pub(super) fn settle(profile: &mut Profile) -> Vec<MappedType> {
    kinds::settle(EVENTS, profile)
}

impl Entry for EventEntry {
    const FAMILY: &'static str = "jfr";

    fn becomes(&self) -> Becomes {
        self.becomes
    }

    fn name(&self) -> &'static str {
        self.event
    }

    fn told(&self) -> Option<(&'static str, u8)> {
        self.told
    }

    fn own_measures(&self) -> usize {
        VALUES_MAX
    }

    fn values(&self) -> Vec<Option<String>> {
        let suffix = if self.when == When::WallClock { " by the wall clock" } else { "" };
        let name = |source: &Source| {
            let is_measured = *source != Source::Nothing;
            is_measured.then(|| format!("{}{}{suffix}", self.event, source.name()))
        };
        self.values.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Sample;

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
        kinds::assert_fits(EVENTS);
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
