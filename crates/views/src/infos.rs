//! Questions that the metadata of profiles answers: types, labels, lists. Shared by every engine.

use crate::spans::SpanSeries;
use crate::{Quality, Selection, SourceUse, ViewError, sources};
use profile::{Aggregation, Labels, Measure, Metadata, ProfileTypeId, SampleKind, VALUES_MAX};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};

/// What is known of a stored profile without reading its samples. Cheap to copy: questions look at
/// those of every profile of their range.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileInfo {
    /// Its id.
    pub id: Ulid,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Its series.
    pub labels: Arc<Labels>,
    /// Its window.
    pub window: TimeRange,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// Its kinds with their sums, in order of kind id.
    pub kinds: Arc<[KindTotals]>,
    /// The rest.
    pub metadata: Arc<Metadata>,
}

/// Sums over a profile's samples of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindTotals {
    /// Id of the [`SampleKind`].
    pub kind: Arc<str>,
    /// Number of samples.
    pub samples: u64,
    /// Sum of each value.
    pub totals: [i64; VALUES_MAX],
    /// Earliest and latest sample time (inclusive); untimed samples count at the window's start. Stored
    /// profiles have them rounded down to milliseconds.
    pub first: Timestamp,
    /// See `first`.
    pub last: Timestamp,
}

impl ProfileInfo {
    /// Number of samples of all kinds.
    pub fn samples(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.samples).sum()
    }

    /// Whether a sample of it may lie in `range`.
    pub fn touches(&self, range: &TimeRange) -> bool {
        range.contains(self.window.start)
            || self.kinds.iter().any(|kind| kind.first < range.end && range.start <= kind.last)
    }

    /// Whether it belongs to a selection, as far as metadata tells (source preference apart).
    pub fn selected(&self, selection: &Selection) -> bool {
        *self.tenant == *selection.tenant
            && selection.profile.is_none_or(|id| id == self.id)
            && self.touches(&selection.range)
            && selection.matches(&self.labels)
    }

    fn quality(&self) -> Quality {
        Quality {
            samples: self.samples(),
            lost: self.metadata.lost,
            broken: self.metadata.broken,
            unsymbolized: self.metadata.unsymbolized,
        }
    }
}

/// A profile type as users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileTypeInfo {
    /// Its id.
    pub id: ProfileTypeId,
    /// Id of the kind.
    pub kind: String,
    /// Position of the measure in the kind.
    pub measure_index: usize,
    /// The measure.
    pub measure: Measure,
}

/// A value of a label and the number of profiles that carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelValue {
    /// The value.
    pub value: String,
    /// Profiles in the selection that carry it; none where only spans do.
    pub profiles: u64,
}

/// A page of a list of profiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileList {
    /// Newest first.
    pub profiles: Vec<ProfileInfo>,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Profile types that occur in `infos`, by id.
pub fn profile_types<'a>(infos: impl IntoIterator<Item = &'a ProfileInfo>) -> Vec<ProfileTypeInfo> {
    let kinds = infos.into_iter().flat_map(|info| &*info.kinds).filter(|kind| kind.samples > 0);
    let mut seen: BTreeMap<&str, [bool; VALUES_MAX]> = BTreeMap::new();
    for kind in kinds {
        let seen = seen.entry(&*kind.kind).or_default();
        for (seen, total) in seen.iter_mut().zip(kind.totals) {
            *seen |= total != 0;
        }
    }
    let mut types = BTreeMap::new();
    for (id, seen) in seen {
        let Some(kind) = SampleKind::from_id(id) else { continue };
        for (at, measure) in kind.measures.into_iter().enumerate() {
            // A kind of one measure is shown even where all its values are zero.
            if !seen[at] && seen.iter().any(|seen| *seen) {
                continue;
            }
            let info = ProfileTypeInfo {
                id: measure.type_id(),
                kind: id.to_owned(),
                measure_index: at,
                measure,
            };
            types.entry(info.id.clone()).or_insert(info);
        }
    }
    types.into_values().collect()
}

/// The profile type a selection asks for: registered ones always exist, clients' own must occur.
pub fn resolve_type<'a>(
    selection: &Selection,
    infos: impl IntoIterator<Item = &'a ProfileInfo>,
) -> Result<ProfileTypeInfo, ViewError> {
    let Some(wanted) = &selection.profile_type else {
        return Err(ViewError::Invalid("the selection names no profile type".to_owned()));
    };
    let registered = profile::kind_table::KINDS.iter().find_map(|entry| {
        let kind = SampleKind::from_id(entry.id)?;
        let at = kind.measure_of(wanted)?;
        let measure = kind.measures.get(at)?.clone();
        Some(ProfileTypeInfo {
            id: wanted.clone(),
            kind: entry.id.to_owned(),
            measure_index: at,
            measure,
        })
    });
    if let Some(found) = registered {
        return Ok(found);
    }
    let ids: BTreeSet<&str> =
        infos.into_iter().flat_map(|info| &*info.kinds).map(|kind| &*kind.kind).collect();
    let own = ids.into_iter().find_map(|id| {
        let kind = SampleKind::from_id(id)?;
        let at = kind.measure_of(wanted)?;
        let measure = kind.measures.get(at)?.clone();
        Some(ProfileTypeInfo {
            id: wanted.clone(),
            kind: id.to_owned(),
            measure_index: at,
            measure,
        })
    });
    own.ok_or_else(|| ViewError::UnknownType(wanted.0.clone()))
}

impl ProfileTypeInfo {
    /// Whether its values are levels.
    pub fn is_gauge(&self) -> bool {
        self.measure.aggregation == Aggregation::Gauge
    }
}

/// Labels and the number of profiles that have them. Most profiles share theirs with others in
/// memory; equal ones that do not may come more than once.
pub fn by_labels<'a>(infos: impl IntoIterator<Item = &'a ProfileInfo>) -> Vec<(&'a Labels, u64)> {
    let mut places: FxHashMap<*const Labels, usize> = FxHashMap::default();
    let mut counts: Vec<(&Labels, u64)> = Vec::new();
    for info in infos {
        let at = *places.entry(Arc::as_ptr(&info.labels)).or_insert(counts.len());
        match counts.get_mut(at) {
            Some((_, profiles)) => *profiles += 1,
            None => counts.push((&info.labels, 1)),
        }
    }
    counts
}

/// The labels of profiles; equal ones may come more than once.
pub fn labels_of<'a>(
    infos: impl IntoIterator<Item = &'a ProfileInfo>,
) -> impl Iterator<Item = &'a Labels> {
    by_labels(infos).into_iter().map(|(labels, _)| labels)
}

/// The labels of both profiles and spans, with the number of profiles.
fn of_all<'a>(
    profiles: impl IntoIterator<Item = (&'a Labels, u64)>,
    spans: &'a [SpanSeries],
) -> impl Iterator<Item = (&'a Labels, u64)> {
    profiles.into_iter().chain(spans.iter().map(|series| (&*series.labels, 0)))
}

/// Names of the labels of profiles (from [`by_labels`]) and spans.
pub fn label_names<'a>(
    profiles: impl IntoIterator<Item = (&'a Labels, u64)>,
    spans: &'a [SpanSeries],
) -> Vec<String> {
    let labels = of_all(profiles, spans);
    let names: BTreeSet<&str> =
        labels.flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Values of one label of profiles (from [`by_labels`]) and spans, by value.
pub fn label_values<'a>(
    profiles: impl IntoIterator<Item = (&'a Labels, u64)>,
    spans: &'a [SpanSeries],
    name: &str,
) -> Vec<LabelValue> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (labels, profiles) in of_all(profiles, spans) {
        if let Some(value) = labels.get(name) {
            *counts.entry(value).or_default() += profiles;
        }
    }
    let values = counts.into_iter();
    values.map(|(value, profiles)| LabelValue { value: value.to_owned(), profiles }).collect()
}

/// A label with its commonest values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The label's name.
    pub name: String,
    /// Its values, those of most profiles first.
    pub values: Vec<LabelValue>,
    /// Number of its values, those not listed included.
    pub distinct: u64,
}

/// All labels with at most `values_max` values each, in one pass over the series.
pub fn facets<'a>(
    profiles: impl IntoIterator<Item = (&'a Labels, u64)>,
    spans: &'a [SpanSeries],
    values_max: usize,
) -> Vec<Facet> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (labels, profiles) in of_all(profiles, spans) {
        for (name, value) in labels.iter() {
            *counts.entry(name).or_default().entry(value).or_default() += profiles;
        }
    }
    let facet = |(name, counts): (&str, BTreeMap<&str, u64>)| {
        let distinct = counts.len() as u64;
        let mut counts: Vec<_> = counts.into_iter().collect();
        // Stable: ties stay in order of value.
        counts.sort_by_key(|(_, profiles)| std::cmp::Reverse(*profiles));
        counts.truncate(values_max);
        let value = |(value, profiles): (&str, u64)| LabelValue { value: value.into(), profiles };
        Facet { name: name.to_owned(), values: counts.into_iter().map(value).collect(), distinct }
    };
    counts.into_iter().map(facet).collect()
}

/// Keeps the profiles with values of the selection's type, where it names one.
pub fn keep_type(infos: &mut Vec<ProfileInfo>, selection: &Selection) {
    if let Some(wanted) = &selection.profile_type {
        infos.retain(|info| profile_types([info]).iter().any(|have| have.id == *wanted));
    }
}

/// A page of profiles, newest first. The cursor is the last id of the page before; ids sort like
/// times of acceptance, ties in start are broken by id.
pub fn list(
    mut infos: Vec<ProfileInfo>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<ProfileList, ViewError> {
    let key = |info: &ProfileInfo| (info.window.start, info.id);
    infos.sort_unstable_by_key(|info| std::cmp::Reverse(key(info)));
    if let Some(cursor) = cursor {
        let after = parse_cursor(cursor)?;
        infos.retain(|info| key(info) < after);
    }
    let more = infos.len() > limit;
    infos.truncate(limit);
    let last = infos.last().filter(|_| more);
    let next_cursor = last.map(|last| format!("{}-{}", last.window.start.nanos(), last.id));
    Ok(ProfileList { profiles: infos, next_cursor })
}

fn parse_cursor(cursor: &str) -> Result<(Timestamp, Ulid), ViewError> {
    let parsed = cursor.rsplit_once('-').and_then(|(start, id)| {
        Some((Timestamp::from_nanos(start.parse().ok()?), Ulid::from_string(id).ok()?))
    });
    parsed.ok_or_else(|| {
        ViewError::Invalid(format!("{cursor:?} is no cursor: take it from next_cursor"))
    })
}

/// The profiles that answer a question about one kind: selected ones with samples of that kind,
/// of the preferred source; and which sources there are.
pub fn contributors<'a>(
    infos: &'a [ProfileInfo],
    selection: &Selection,
    kind: &str,
) -> (Vec<&'a ProfileInfo>, Vec<SourceUse>) {
    let has_kind = |info: &ProfileInfo| info.kinds.iter().any(|have| *have.kind == *kind);
    let selected: Vec<&ProfileInfo> =
        infos.iter().filter(|info| info.selected(selection) && has_kind(info)).collect();
    let chosen = sources::choose(&selected, kind, selection.source.as_deref());
    let mut uses: BTreeMap<&str, (bool, u64)> = BTreeMap::new();
    for (info, used) in selected.iter().zip(&chosen) {
        let entry = uses.entry(sources::source_of(info)).or_default();
        entry.0 |= *used;
        entry.1 += 1;
    }
    let kept = selected.into_iter().zip(chosen).filter(|(_, used)| *used).map(|(info, _)| info);
    let uses = uses.into_iter();
    let uses = uses
        .map(|(source, (used, profiles))| SourceUse { source: source.to_owned(), used, profiles })
        .collect();
    (kept.collect(), uses)
}

/// Quality summed over profiles.
pub fn quality<'a>(infos: impl IntoIterator<Item = &'a ProfileInfo>) -> Quality {
    let add = |mut sum: Quality, info: &ProfileInfo| {
        let one = info.quality();
        sum.samples += one.samples;
        sum.lost = sum.lost.saturating_add(one.lost);
        sum.broken = sum.broken.saturating_add(one.broken);
        sum.unsymbolized = sum.unsymbolized.saturating_add(one.unsymbolized);
        sum
    };
    infos.into_iter().fold(Quality::default(), add)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn info(labels: &[(&str, &str)], kind: &str) -> ProfileInfo {
        let at = Timestamp::from_millis(1_000);
        ProfileInfo {
            id: Ulid::from_parts(1, 1),
            tenant: "default".into(),
            labels: Arc::new(labels.iter().copied().collect()),
            window: TimeRange::new(at, at.plus_nanos(1)),
            received_at: at,
            kinds: Arc::new([KindTotals {
                kind: kind.into(),
                samples: 1,
                totals: [1, 0, 0, 0],
                first: at,
                last: at,
            }]),
            metadata: Arc::default(),
        }
    }

    #[test]
    fn only_measured_types_are_shown() {
        let types = profile_types(&[info(&[], "heap"), info(&[], "exception")]);
        let ids: Vec<_> = types.iter().map(|info| info.id.0.as_str()).collect();
        assert_eq!(ids, ["exceptions:exceptions:count::", "memory:alloc_space:bytes:space:bytes"]);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let mut infos = Vec::new();
        for at in 0..7 {
            let mut one = info(&[], "stack");
            one.id = Ulid::from_parts(at, 0);
            one.window.start = Timestamp::from_millis(at as i64 / 2);
            infos.push(one);
        }
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(infos.clone(), 3, cursor.as_deref()).expect("own cursor");
            seen.extend(page.profiles.iter().map(|info| info.id.timestamp_ms()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
        assert!(list(infos, 3, Some("rubbish")).is_err());
    }
}
