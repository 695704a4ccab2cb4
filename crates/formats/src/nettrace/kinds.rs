//! The kinds of a file's events.

use super::table::{Becomes, EVENTS, Event, EventEntry};
use crate::decoded::MappedType;
use crate::kinds::{self, Entry};
use profile::{KindIndex, Profile};

/// Until [`settle`], the kind of a sample is the position of its entry in the table.
pub(super) fn provisional(event: Event) -> KindIndex {
    let at = EVENTS.iter().position(|entry| entry.event == event);
    KindIndex(at.expect("the table has an entry for each event") as u32)
}

/// Gives every sample its kind.
pub(super) fn settle(profile: &mut Profile) -> Vec<MappedType> {
    kinds::settle(EVENTS, profile)
}

impl Entry for EventEntry {
    const FAMILY: &'static str = "dotnet";

    fn becomes(&self) -> Becomes {
        self.becomes
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn told(&self) -> Option<(&'static str, u8)> {
        match self.event {
            Event::AllocationSampled => Some(("allocations", 0)),
            Event::AllocationTick => Some(("allocations", 1)),
            _ => None,
        }
    }

    fn own_measures(&self) -> usize {
        self.values.len()
    }

    fn values(&self) -> Vec<Option<String>> {
        let name = |(suffix, from): &(&str, &str)| {
            (!from.is_empty()).then(|| format!("{}{suffix}", self.name))
        };
        self.values.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::Sample;

    #[test]
    fn every_entry_fits_its_kind() {
        kinds::assert_fits(EVENTS);
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
