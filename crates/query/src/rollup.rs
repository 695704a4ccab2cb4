//! Which hours of a question rollups answer, and which profiles those are made of.
//!
//! Rollups answer whole hours of long ranges, and all whole hours whose samples are gone; the rest of
//! the range, its *holes*, is answered from samples. Each hour has its own choice of sources.

pub(crate) mod series;
pub(crate) mod tree;

use crate::engine::Engine;
use crate::error;
use crate::limits::HOLES_MAX;
use crate::scan::Scanner;
use crate::select::{Found, Selected};
use profile::{KeyedMap, Labels};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};
use store::{HourPart, Hours, Wanted};
use views::rollup::{Counted, HOUR_MS, KindRollup, RollupUse};
use views::{
    AnswerMeta, KindTotals, ProfileInfo, ProfileTypeInfo, Selection, SourceUse, ViewError, infos,
    sources,
};

/// A piece of the range.
#[derive(Clone, Debug)]
pub(crate) enum Slice {
    /// From samples.
    Hole(TimeRange),
    /// From the rollup of the hour that starts here, in milliseconds.
    Hour(i64, HourPart),
}

/// How a question is answered: slices in order of time.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) selection: Selection,
    pub(crate) profile_type: ProfileTypeInfo,
    pub(crate) slices: Vec<Slice>,
    pub(crate) used: RollupUse,
}

/// Whether rollups know enough of what is asked.
fn fits(selection: &Selection) -> bool {
    selection.profile.is_none() && selection.filter.is_empty() && selection.shape.focus.is_none()
}

fn info(labels: &Arc<Labels>, kind: &str, samples: u64) -> ProfileInfo {
    let at = Timestamp::from_millis(0);
    let kind = kind.into();
    let kinds = Arc::new([KindTotals { kind, samples, totals: [0; 4], first: at, last: at }]);
    ProfileInfo {
        id: Ulid::nil(),
        tenant: Arc::default(),
        labels: Arc::clone(labels),
        window: TimeRange::new(at, at),
        received_at: at,
        kinds,
        metadata: Arc::default(),
    }
}

impl Plan {
    /// A plan with rollups, where they help; `keeps` says of the hours at hand which to use.
    pub(crate) fn of(
        engine: &Engine,
        selection: &Selection,
        keeps: impl FnOnce(&mut BTreeMap<i64, HourPart>, &ProfileTypeInfo),
    ) -> Option<Self> {
        let selection = selection.whole_millis();
        if !fits(&selection) {
            return None;
        }
        let Hours { mut ready } = engine.store.hours(&selection.tenant, selection.range);
        let is_long = selection.range.nanos() / 1_000_000 >= engine.settings.rollup_range_ms;
        ready.retain(|_, part| is_long || part.is_sealed());
        let kinds: BTreeSet<&str> =
            ready.values().flat_map(|part| part.kinds().iter().map(String::as_str)).collect();
        let none = Arc::new(Labels::new());
        let kinds: Vec<ProfileInfo> = kinds.iter().map(|kind| info(&none, kind, 1)).collect();
        let profile_type = infos::resolve_type(&selection, &kinds).ok()?;
        keeps(&mut ready, &profile_type);
        let slices = slices(&selection.range, &ready);
        let holes = slices.iter().filter(|slice| matches!(slice, Slice::Hole(_))).count();
        let is_needed = ready.values().any(HourPart::is_sealed);
        let (first, _) = ready.first_key_value()?;
        let (last, _) = ready.last_key_value()?;
        let used = RollupUse {
            hours: ready.len() as u64,
            from_ms: *first,
            to_ms: last.saturating_add(HOUR_MS),
            pruned: 0,
        };
        if holes > HOLES_MAX && !is_needed {
            return None;
        }
        Some(Self { selection, profile_type, slices, used })
    }

    /// A type of a client's own must occur in what was searched.
    pub(crate) fn check_type(&self, is_found: bool) -> Result<(), ViewError> {
        if is_found { Ok(()) } else { infos::resolve_type(&self.selection, []).map(drop) }
    }

    /// The selection of a hole.
    pub(crate) fn hole(&self, range: TimeRange) -> Selection {
        Selection { range, ..self.selection.clone() }
    }

    /// What samples of a hole answer; `None` where there are none of the type.
    pub(crate) async fn find(
        &self,
        engine: &Engine,
        range: TimeRange,
        scanner: &Scanner,
    ) -> Result<Option<Found>, ViewError> {
        let selection = self.hole(range);
        let snapshot = engine.store.snapshot(&selection.tenant, range);
        if snapshot.parts.is_empty() {
            return Ok(None);
        }
        let selected = Selected::of(snapshot, &selection).await?;
        match selected.find(&selection, engine.late_names(&selection), scanner).await {
            Err(ViewError::UnknownType(_)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The parts of an hour that answer.
    pub(crate) async fn read(
        &self,
        part: &HourPart,
        prefixes: bool,
        functions: bool,
    ) -> Result<Vec<ChosenPart>, ViewError> {
        let wanted = Wanted {
            kind: Some(self.profile_type.kind.clone()),
            matchers: self.selection.matchers.clone(),
            prefixes,
            functions,
        };
        let parts = part.read(&wanted).await.map_err(error::store)?;
        Ok(choose(parts, &self.selection))
    }
}

fn slices(range: &TimeRange, hours: &BTreeMap<i64, HourPart>) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut at = range.start;
    for (&hour_ms, part) in hours {
        let start = Timestamp::from_millis(hour_ms);
        if at < start {
            slices.push(Slice::Hole(TimeRange::new(at, start)));
        }
        slices.push(Slice::Hour(hour_ms, part.clone()));
        at = Timestamp::from_millis(hour_ms.saturating_add(HOUR_MS));
    }
    if at < range.end {
        slices.push(Slice::Hole(TimeRange::new(at, range.end)));
    }
    slices
}

/// A service and kind in an hour.
#[derive(Debug)]
pub(crate) struct ChosenPart {
    pub(crate) rollup: KindRollup,
    /// Whether each series fits the selection, and whether its source answers.
    pub(crate) series: Vec<(bool, bool)>,
}

impl ChosenPart {
    pub(crate) fn answers(&self, series: u32) -> bool {
        self.series.get(series as usize).is_some_and(|(_, answers)| *answers)
    }
}

fn choose(parts: Vec<KindRollup>, selection: &Selection) -> Vec<ChosenPart> {
    let chosen = |rollup: KindRollup| {
        let fits: Vec<bool> =
            rollup.series.iter().map(|row| selection.matches(&row.labels)).collect();
        let fitting = rollup.series.iter().zip(&fits).filter(|(_, fits)| **fits);
        let fitting: Vec<ProfileInfo> =
            fitting.map(|(row, _)| info(&row.labels, &rollup.kind, row.samples)).collect();
        let list: Vec<&ProfileInfo> = fitting.iter().collect();
        let mut answers =
            sources::choose(&list, &rollup.kind, selection.source.as_deref()).into_iter();
        let series = fits.iter().map(|fits| (*fits, *fits && answers.next().unwrap_or(false)));
        let series = series.collect();
        ChosenPart { rollup, series }
    };
    parts.into_iter().map(chosen).collect()
}

/// Profiles of a series in a slice.
#[derive(Clone, Copy, Debug, Default)]
struct InSlice {
    slice: usize,
    all: Counted,
    /// Those that have samples before the slice, too.
    before: Counted,
    /// Those that have samples after the slice, too, where that is known.
    after: Option<Counted>,
}

/// Counts profiles once that have samples in several slices.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    index: KeyedMap<Arc<Labels>, usize>,
    series: Vec<Vec<InSlice>>,
    samples: u64,
    sources: BTreeMap<String, (bool, u64)>,
}

impl Counts {
    /// The position of a series.
    pub(crate) fn series(&mut self, labels: &Arc<Labels>) -> usize {
        if let Some(&at) = self.index.get(labels) {
            return at;
        }
        self.series.push(Vec::new());
        self.index.insert(Arc::clone(labels), self.series.len() - 1);
        self.series.len() - 1
    }

    fn note_source(&mut self, labels: &Arc<Labels>, used: bool, profiles: u64) {
        let source = sources::source_of(&info(labels, "", 0)).to_owned();
        let entry = self.sources.entry(source).or_default();
        entry.0 |= used;
        entry.1 += profiles;
    }

    /// Adds an hour's part.
    pub(crate) fn add_hour(&mut self, slice: usize, part: &ChosenPart) {
        for (row, (fits, answers)) in part.rollup.series.iter().zip(&part.series) {
            if !fits {
                continue;
            }
            self.note_source(&row.labels, *answers, row.all.profiles);
            if *answers {
                self.samples += row.samples;
                let (all, before) = (row.all, row.continued);
                let at = self.series(&row.labels);
                self.series[at].push(InSlice { slice, all, before, after: None });
            }
        }
    }

    /// Adds a hole.
    pub(crate) fn add_hole(&mut self, slice: usize, found: &Found) {
        self.samples += found.meta.samples;
        for one in &found.meta.sources {
            let entry = self.sources.entry(one.source.clone()).or_default();
            entry.0 |= one.used;
            entry.1 += one.profiles;
        }
        for contributor in &found.contributors {
            let info = found.info(contributor);
            let counted = Counted { profiles: 1, quality: infos::quality([info]) };
            let totals = found.totals(contributor);
            let at = self.series(&info.labels);
            let places = &mut self.series[at];
            if places.last().is_none_or(|last| last.slice != slice) {
                let after = Some(Counted::default());
                places.push(InSlice { slice, after, ..InSlice::default() });
            }
            let Some(place) = places.last_mut() else { continue };
            place.all.add(&counted);
            if totals.is_some_and(|kind| kind.first < found.range.start) {
                place.before.add(&counted);
            }
            if let (true, Some(after)) =
                (totals.is_some_and(|kind| kind.last >= found.range.end), &mut place.after)
            {
                after.add(&counted);
            }
        }
    }

    /// Whether there is anything of the type, whether it answers or not.
    pub(crate) fn has_any(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Profiles of each series, each once.
    pub(crate) fn profiles(&self) -> Vec<Counted> {
        self.series.iter().map(|places| distinct(places)).collect()
    }

    /// What is said beside the answer.
    pub(crate) fn meta(self, plan: &Plan, total: i64, used: RollupUse) -> AnswerMeta {
        let mut all = Counted::default();
        let counted = self.profiles();
        for one in &counted {
            all.add(one);
        }
        let sources = self.sources.into_iter();
        let sources =
            sources.map(|(source, (used, profiles))| SourceUse { source, used, profiles });
        AnswerMeta {
            profile_type: Some(plan.profile_type.clone()),
            total,
            profiles: all.profiles,
            samples: self.samples,
            series: counted.iter().filter(|one| one.profiles > 0).count() as u64,
            sources: sources.collect(),
            quality: all.quality,
            rollups: Some(used),
        }
    }
}

/// Slices are in order; a profile in two that follow each other counts once.
fn distinct(places: &[InSlice]) -> Counted {
    let mut sum = Counted::default();
    let mut last: Option<&InSlice> = None;
    for place in places {
        sum.add(&place.all);
        if let Some(last) = last.filter(|last| last.slice + 1 == place.slice) {
            sum.remove(&last.after.unwrap_or(place.before));
        }
        last = Some(place);
    }
    sum
}
