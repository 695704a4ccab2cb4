//! What events of recordings become: samples of a registered kind, or of one of their own. Which,
//! is known when all of a file's events have been seen.

use crate::decoded::{IssueKind, Issues, MappedType};
use profile::{KindIndex, Profile, SampleKind};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many event types that are not kept are named.
const NOT_KEPT_NAMED: usize = 12;

/// What events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Samples of the registered kind.
    Kind(&'static str),
    /// Samples of a kind of its own, with these measures and units.
    Own(&'static [(&'static str, &'static str)]),
}

impl Becomes {
    /// The kind and its measures, as documentation shows them.
    pub(crate) fn in_words(self) -> (&'static str, Vec<String>) {
        match self {
            Self::Kind(id) => {
                let kind = SampleKind::from_id(id);
                let names = kind.iter().flat_map(|kind| &kind.measures);
                (id, names.map(|measure| measure.name.to_string()).collect())
            }
            Self::Own(types) => {
                ("its own", types.iter().map(|(name, unit)| format!("{name} ({unit})")).collect())
            }
        }
    }
}

/// An entry of a format's table: an event type and what its events are.
pub(crate) trait Entry {
    /// Family of the kinds that only this format has.
    const FAMILY: &'static str;

    fn becomes(&self) -> Becomes;

    /// The event type's name.
    fn name(&self) -> &'static str;

    /// What a file may tell by several event types, and how well this one tells it: 0 best. Where a
    /// file has a better one, this one's events keep a kind of their own, so that nothing is counted
    /// twice.
    fn told(&self) -> Option<(&'static str, u8)>;

    /// Measures of the registered kind that such a kind of its own has.
    fn own_measures(&self) -> usize;

    /// What each value is called in receipts; `None` for what the event does not measure.
    fn values(&self) -> Vec<Option<String>>;
}

/// Gives every sample its kind; until then that is the position of its entry in the table. Returns
/// what each value of each event type became.
pub(crate) fn settle<E: Entry>(entries: &[E], profile: &mut Profile) -> Vec<MappedType> {
    let mut is_seen = vec![false; entries.len()];
    for sample in &profile.samples {
        is_seen[sample.kind.0 as usize] = true;
    }
    let seen = || entries.iter().enumerate().filter(|(at, _)| is_seen[*at]);
    let best = |group: &str| {
        let told = seen().filter_map(|(_, entry)| entry.told());
        told.filter(|(name, _)| *name == group).map(|(_, rank)| rank).min()
    };
    let mut indexes = vec![KindIndex::default(); entries.len()];
    let mut mapped = Vec::new();
    for (at, entry) in seen() {
        let is_best = entry.told().is_none_or(|(group, rank)| best(group) == Some(rank));
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
fn kind<E: Entry>(entry: &E, is_best: bool) -> SampleKind {
    let own = |types: &[(&str, &str)]| SampleKind::custom(E::FAMILY, types, ("", ""));
    let id = match entry.becomes() {
        Becomes::Own(types) => return own(types),
        Becomes::Kind(id) => id,
    };
    let kind = SampleKind::from_id(id).expect("the table names registered kinds");
    if is_best {
        return kind;
    }
    let measures = kind.measures.iter().take(entry.own_measures());
    let names = measures.map(|one| format!("{}.{}", one.sample_type, entry.name()));
    let names: Vec<String> = names.collect();
    let types = names.iter().zip(kind.measures.iter());
    let types = types.map(|(name, one)| (name.as_str(), one.unit.as_ref()));
    own(&types.collect::<Vec<_>>())
}

fn types<E: Entry>(entry: &E, kind: &SampleKind, index: KindIndex) -> Vec<MappedType> {
    let values = entry.values().into_iter().enumerate();
    values
        .filter_map(|(measure, name)| {
            Some(MappedType {
                sample_type: name?,
                unit: kind.measures[measure].unit.clone().into_owned(),
                profile_type: kind.measures[measure].type_id(),
                kind: index,
                measure,
            })
        })
        .collect()
}

/// Says in the profile and among the issues which events of a file are not kept, by name of their
/// type.
pub(crate) fn tell_not_kept(
    format: &str,
    counts: &BTreeMap<String, u64>,
    profile: &mut Profile,
    issues: &mut Issues,
) {
    let Some(text) = in_words(counts) else { return };
    issues.add(IssueKind::NotKept, || format!("events that are no samples are not kept: {text}"));
    profile.metadata.info.push((format!("{format} events not kept"), text));
}

/// The most frequent ones by name, and how many more.
fn in_words(counts: &BTreeMap<String, u64>) -> Option<String> {
    let mut sorted: Vec<_> = counts.iter().map(|(name, count)| (*count, name.as_str())).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let named = sorted.iter().take(NOT_KEPT_NAMED).map(|(count, name)| format!("{count} {name}"));
    let mut text = named.collect::<Vec<_>>().join(", ");
    let rest = sorted.get(NOT_KEPT_NAMED..).unwrap_or_default();
    let more: u64 = rest.iter().map(|(count, _)| count).sum();
    if more > 0 {
        write!(text, ", and {more} of {} other types", rest.len())
            .expect("writing to memory does not fail");
    }
    (!text.is_empty()).then_some(text)
}

/// Every entry fits the kinds it may become.
#[cfg(test)]
pub(crate) fn assert_fits<E: Entry>(entries: &[E]) {
    for entry in entries {
        for is_best in [true, false] {
            let (kind, values) = (kind(entry, is_best), entry.values().len());
            let room = kind.measures.len().min(profile::VALUES_MAX);
            assert!(values <= room, "{}: {values} values, room for {room}", entry.name());
            assert_eq!(SampleKind::from_id(&kind.id).as_ref(), Some(&kind));
        }
    }
}
