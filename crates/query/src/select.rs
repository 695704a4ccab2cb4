//! From a selection to the profiles that answer it, by metadata alone.

use crate::cells::{Cell, Cells};
use crate::error;
use crate::filter::PartFilter;
use crate::plan::{Group, Sum};
use crate::predicate::Predicate;
use crate::scan::{Job, PartSums, Scanner};
use futures::{Stream, TryStreamExt, future};
use profile::{Labels, StackId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::TimeRange;
use store::{Named, Part, ProfileRow, Slice, Snapshot, SpanKey};
use views::{
    AnswerMeta, KindTotals, LateNames, ProfileInfo, ProfileTypeInfo, Selection, Shape, SourceUse,
    ViewError, infos,
};

/// A part with its profiles.
#[derive(Debug)]
pub(crate) struct PartView {
    pub(crate) part: Part,
    pub(crate) profiles: Arc<Vec<ProfileRow>>,
}

/// The profiles of a snapshot that a selection names.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    pub(crate) parts: Vec<PartView>,
    pub(crate) infos: Vec<ProfileInfo>,
    /// Part and ordinal of each of `infos`.
    origins: Vec<(usize, u32)>,
}

/// A profile that answers.
#[derive(Debug)]
pub(crate) struct Contributor {
    pub(crate) part: usize,
    pub(crate) ordinal: u32,
    /// Position in [`Selected::infos`].
    pub(crate) info: usize,
}

/// The profiles that answer a question about samples: each has at least one sample in the range,
/// whether a filter keeps it or not.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) selected: Selected,
    pub(crate) range: TimeRange,
    pub(crate) shape: Shape,
    /// The filter in the ordinals of each part that has contributors; none where all samples are
    /// kept.
    filters: Option<FxHashMap<usize, PartFilter>>,
    pub(crate) profile_type: ProfileTypeInfo,
    pub(crate) contributors: Vec<Contributor>,
    /// Names of addresses that came without one.
    pub(crate) names: LateNames,
    pub(crate) meta: AnswerMeta,
}

/// The metadata of a stored profile in the words of the views.
pub(crate) fn info_of(row: &ProfileRow) -> ProfileInfo {
    ProfileInfo {
        id: row.id,
        tenant: Arc::clone(&row.tenant),
        labels: Arc::clone(&row.labels),
        window: row.window,
        received_at: row.received_at,
        kinds: Arc::clone(&row.kinds),
        metadata: Arc::clone(&row.metadata),
    }
}

impl Selected {
    /// The profiles of `snapshot` that `selection` names.
    pub(crate) async fn of(snapshot: Snapshot, selection: &Selection) -> Result<Self, ViewError> {
        let mut selected = Self::default();
        for part in snapshot.parts {
            let profiles = part.profiles().await.map_err(error::store)?;
            let at = selected.parts.len();
            let mut matches: FxHashMap<u32, bool> = FxHashMap::default();
            let mut is_used = false;
            for row in profiles.iter().filter(|row| touches(row, selection)) {
                let fits = matches.entry(row.series);
                if *fits.or_insert_with(|| selection.matches(&row.labels)) {
                    selected.infos.push(info_of(row));
                    selected.origins.push((at, row.ordinal));
                    is_used = true;
                }
            }
            if is_used {
                selected.parts.push(PartView { part, profiles });
            }
        }
        Ok(selected)
    }

    /// What answers a question about the selection's profile type. Reads samples only of profiles
    /// that the range cuts through, to know how many of theirs lie inside.
    pub(crate) async fn find(
        self,
        selection: &Selection,
        names: LateNames,
        scanner: &Scanner,
    ) -> Result<Found, ViewError> {
        selection.filter.check()?;
        let profile_type = infos::resolve_type(selection, &self.infos)?;
        let (contributors, sources) = self.contributors(selection, &profile_type.kind);
        let mut found = Found {
            selected: self,
            range: selection.range,
            shape: selection.shape.clone(),
            filters: None,
            profile_type,
            contributors,
            names,
            meta: AnswerMeta::default(),
        };
        let counts = found.count_cut(scanner).await?;
        found.finish(&counts, sources);
        if !selection.filter.is_empty() {
            found.filters = Some(found.resolve(&selection.filter).await?);
        }
        Ok(found)
    }

    fn contributors(
        &self,
        selection: &Selection,
        kind: &str,
    ) -> (Vec<Contributor>, Vec<SourceUse>) {
        // The matchers were looked at once a series already.
        let mut rest = selection.clone();
        rest.matchers.clear();
        let (chosen, sources) = infos::contributors(&self.infos, &rest, kind);
        let mut contributors = Vec::with_capacity(chosen.len());
        let mut chosen = chosen.into_iter().peekable();
        for (at, info) in self.infos.iter().enumerate() {
            if chosen.next_if(|next| std::ptr::eq(*next, info)).is_some() {
                let (part, ordinal) = self.origins[at];
                contributors.push(Contributor { part, ordinal, info: at });
            }
        }
        (contributors, sources)
    }
}

/// The labels of the profiles that a selection names, with their number: for questions that need
/// nothing else of them. Equal labels may come more than once.
#[derive(Debug, Default)]
pub(crate) struct LabelCounts(Vec<(Arc<Labels>, u64)>);

impl LabelCounts {
    pub(crate) async fn of(snapshot: Snapshot, selection: &Selection) -> Result<Self, ViewError> {
        let mut counts = Vec::new();
        for part in snapshot.parts {
            let profiles = part.profiles().await.map_err(error::store)?;
            // By series: where its labels are counted, if they are meant.
            let mut places: FxHashMap<u32, Option<usize>> = FxHashMap::default();
            for row in profiles.iter().filter(|row| touches(row, selection)) {
                let place = *places.entry(row.series).or_insert_with(|| {
                    selection.matches(&row.labels).then(|| {
                        counts.push((Arc::clone(&row.labels), 0));
                        counts.len() - 1
                    })
                });
                if let Some((_, profiles)) = place.and_then(|at| counts.get_mut(at)) {
                    *profiles += 1;
                }
            }
        }
        Ok(Self(counts))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, u64)> {
        self.0.iter().map(|(labels, profiles)| (&**labels, *profiles))
    }
}

fn touches(row: &ProfileRow, selection: &Selection) -> bool {
    let range = &selection.range;
    let within = |kind: &KindTotals| kind.first < range.end && range.start <= kind.last;
    *row.tenant == *selection.tenant
        && selection.profile.is_none_or(|id| id == row.id)
        && (range.contains(row.window.start) || row.kinds.iter().any(within))
}

impl Found {
    /// The info of a contributor.
    pub(crate) fn info(&self, contributor: &Contributor) -> &ProfileInfo {
        &self.selected.infos[contributor.info]
    }

    /// Its totals of the kind asked for.
    pub(crate) fn totals(&self, contributor: &Contributor) -> Option<&KindTotals> {
        self.info(contributor).kinds.iter().find(|kind| *kind.kind == *self.profile_type.kind)
    }

    /// Its sum over all samples, where the range does not cut through them. A sum at the edge of its
    /// type may have been cut there, so the samples must say.
    pub(crate) fn whole_sum(&self, contributor: &Contributor) -> Option<i128> {
        let value = self.totals(contributor)?.totals[self.profile_type.measure_index];
        let is_exact = value != i64::MAX && value != i64::MIN;
        (is_exact && !self.is_cut(contributor)).then_some(value.into())
    }

    /// Its totals of the kind asked for by slices of the clock; none where they are not kept.
    pub(crate) fn slices(&self, contributor: &Contributor) -> &[Slice] {
        let rows = &self.selected.parts[contributor.part].profiles;
        let Some(row) = rows.get(contributor.ordinal as usize) else { return &[] };
        let at = row.kinds.iter().position(|kind| *kind.kind == *self.profile_type.kind);
        at.map_or(&[], |at| row.slices_of(at))
    }

    async fn resolve(
        &self,
        filter: &views::Filter,
    ) -> Result<FxHashMap<usize, PartFilter>, ViewError> {
        let parts: BTreeSet<usize> = self.contributors.iter().map(|one| one.part).collect();
        let mut filters = FxHashMap::default();
        for at in parts {
            let part = &self.selected.parts[at].part;
            let key = SpanKey { trace: filter.trace, span: filter.span };
            let asks = key != SpanKey::default();
            if asks && !part.may_hold_span(key).await.map_err(error::store)? {
                filters.insert(at, PartFilter::nothing());
                continue;
            }
            filters.insert(at, PartFilter::of(filter, part, &self.names).await?);
        }
        Ok(filters)
    }

    /// Whether only some of the contributors' samples are kept.
    pub(crate) fn is_filtered(&self) -> bool {
        self.filters.is_some()
    }

    /// Whether a filter keeps a stack of a part.
    pub(crate) fn keeps_stack(&self, part: usize, stack: StackId) -> bool {
        let filter = self.filters.as_ref().and_then(|filters| filters.get(&part));
        filter.is_none_or(|filter| filter.keeps_stack(stack))
    }

    /// Scans of the samples that are kept. With `any_stack`, those of other stacks come, too, and
    /// [`Found::keeps_stack`] tells.
    pub(crate) fn kept_jobs<'a>(
        &self,
        contributors: impl IntoIterator<Item = &'a Contributor>,
        any_stack: bool,
    ) -> Vec<Job> {
        let mut jobs = self.jobs(contributors);
        let Some(filters) = &self.filters else { return jobs };
        jobs.retain(|job| filters.get(&job.at).is_some_and(|filter| !filter.keeps_nothing()));
        for job in &mut jobs {
            if let Some(filter) = filters.get(&job.at) {
                job.predicate.rows = filter.conditions(!any_stack);
            }
        }
        jobs
    }

    /// Sums of the samples kept, by stack or by stack and series. With a filter their number
    /// becomes that of the answer.
    pub(crate) async fn stack_sums(
        &mut self,
        group: Group,
        scanner: &Scanner,
    ) -> Result<Vec<(usize, Cells)>, ViewError> {
        let answers: Vec<_> = self.each_stack_sums(group, scanner).await?.try_collect().await?;
        let rows = answers.iter().map(|(_, cells)| cells.rows()).sum();
        self.count(rows);
        Ok(answers)
    }

    /// The same of each part that has any, one after the other. Whoever takes them says by
    /// [`Self::count`] how many rows there were.
    pub(crate) async fn each_stack_sums(
        &self,
        group: Group,
        scanner: &Scanner,
    ) -> Result<impl Stream<Item = PartSums>, ViewError> {
        let value = self.profile_type.measure_index;
        let sum = if self.is_filtered() { Sum::ValueAndRows(value) } else { Sum::Value(value) };
        let jobs = self.kept_jobs(&self.contributors, true);
        let sums = scanner.each_part(jobs, group, sum).await?;
        let kept = sums.map_ok(|(part, mut cells)| {
            if self.is_filtered() {
                cells.retain(|cell| self.keeps_stack(part, cell.stack()));
            }
            (part, cells)
        });
        Ok(kept.try_filter(|(_, cells)| future::ready(!cells.is_empty())))
    }

    /// The stacks of sums by stack of one part, with what names them.
    pub(crate) async fn named(&self, part: usize, cells: &Cells) -> Result<Named, ViewError> {
        let stacks = cells.iter().map(Cell::stack).collect();
        self.selected.parts[part].part.names_of(stacks).await.map_err(error::store)
    }

    /// With a filter, sets the number of samples of the answer.
    pub(crate) fn count(&mut self, rows: u64) {
        if self.is_filtered() {
            self.meta.samples = rows;
        }
    }

    /// The labels of each series that contributes and, for levels, the number of its profiles in
    /// all parts; by part and series ordinal.
    pub(crate) fn series(&self) -> FxHashMap<(usize, u32), (&Labels, Option<u64>)> {
        let mut index: FxHashMap<&Labels, usize> = FxHashMap::default();
        let mut profiles: Vec<u64> = Vec::new();
        let mut of_part: FxHashMap<(usize, u32), (&Labels, usize)> = FxHashMap::default();
        for contributor in &self.contributors {
            let labels = self.info(contributor).labels.as_ref();
            let at = *index.entry(labels).or_insert(profiles.len());
            if at == profiles.len() {
                profiles.push(0);
            }
            profiles[at] += 1;
            let rows = &self.selected.parts[contributor.part].profiles;
            if let Some(row) = rows.get(contributor.ordinal as usize) {
                of_part.insert((contributor.part, row.series), (labels, at));
            }
        }
        let is_gauge = self.profile_type.is_gauge();
        let count = |at: usize| is_gauge.then(|| profiles[at]);
        of_part.into_iter().map(|(key, (labels, at))| (key, (labels, count(at)))).collect()
    }

    /// Scans of all samples of the given contributors, one a part.
    pub(crate) fn jobs<'a>(
        &self,
        contributors: impl IntoIterator<Item = &'a Contributor>,
    ) -> Vec<Job> {
        let mut by_part: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for contributor in contributors {
            by_part.entry(contributor.part).or_default().push(contributor.ordinal);
        }
        let kind = &self.profile_type.kind;
        let jobs = by_part.into_iter().map(|(at, mut chosen)| {
            chosen.sort_unstable();
            let view = &self.selected.parts[at];
            let predicate = Predicate::of(&view.profiles, &chosen, kind, &self.range);
            Job { at, part: view.part.clone(), predicate }
        });
        jobs.collect()
    }

    /// Whether the range cuts through its samples of the kind asked for.
    pub(crate) fn is_cut(&self, contributor: &Contributor) -> bool {
        let inside =
            |kind: &KindTotals| self.range.start <= kind.first && kind.last < self.range.end;
        self.totals(contributor).is_some_and(|kind| !inside(kind))
    }

    /// Samples within the range of each profile that it cuts through, by part and ordinal.
    async fn count_cut(
        &self,
        scanner: &Scanner,
    ) -> Result<FxHashMap<(usize, u32), u64>, ViewError> {
        let jobs = self.jobs(self.contributors.iter().filter(|one| self.is_cut(one)));
        let mut counts = FxHashMap::default();
        for (part, cells) in scanner.sums(jobs, Group::Profile, Sum::Rows).await? {
            for cell in cells.iter() {
                let rows = u64::try_from(cell.value).unwrap_or(0);
                *counts.entry((part, cell.ordinal())).or_default() += rows;
            }
        }
        Ok(counts)
    }

    fn finish(&mut self, counts: &FxHashMap<(usize, u32), u64>, sources: Vec<SourceUse>) {
        let mut samples = 0;
        let all = std::mem::take(&mut self.contributors);
        for contributor in all {
            let inside = if self.is_cut(&contributor) {
                counts.get(&(contributor.part, contributor.ordinal)).copied().unwrap_or(0)
            } else {
                self.totals(&contributor).map_or(0, |kind| kind.samples)
            };
            if inside > 0 {
                samples += inside;
                self.contributors.push(contributor);
            }
        }
        let infos = || self.contributors.iter().map(|one| self.info(one));
        // Profiles of one series in one part share their labels: most are seen without being read.
        let mut seen: FxHashSet<*const Labels> = FxHashSet::default();
        let new = infos().filter(|info| seen.insert(Arc::as_ptr(&info.labels)));
        let series: FxHashSet<_> = new.map(|info| &info.labels).collect();
        self.meta = AnswerMeta {
            profile_type: Some(self.profile_type.clone()),
            total: 0,
            profiles: self.contributors.len() as u64,
            samples,
            series: series.len() as u64,
            sources,
            quality: infos::quality(infos()),
            rollups: None,
        };
    }
}
