//! The specification: all views over profiles in memory, written to be obviously right.
//!
//! Property tests hold the query engine equal to this.

use crate::gauge::Levels;
use crate::groups::{KeySums, attribute_key, thread_key};
use crate::infos::{self, KindTotals, ProfileInfo};
use crate::moments::{self, MomentSums};
use crate::series::Buckets;
use crate::spans::naive::cpu::Profiled;
use crate::usage::UsageSums;
use crate::{
    Answer, AnswerMeta, CallTree, Dot, DotSpan, DotsOf, EndpointQuery, Endpoints, EventFilter,
    EventInfo, EventList, EventPage, Facet, GroupBy, GroupQuery, GroupTable, LabelValue, LateNames,
    MetricQuery, MetricSeries, Moments, MomentsQuery, Naming, ProfileList, ProfileTypeInfo,
    Selection, SeriesQuery, SeriesSet, Services, SpanFilter, SpanInfo, SpanList, SpanPage,
    SpanSeries, Trace, Usage, UsageQuery, ViewError, Views, events, services, spans,
};
use profile::{Labels, Profile, Sample, SpanBatch, VALUES_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{Timestamp, Ulid, saturate};

/// Profiles in memory.
#[derive(Debug, Default)]
pub struct Naive {
    profiles: Vec<(ProfileInfo, Profile)>,
    spans: spans::naive::Stored,
    events: events::naive::Stored,
    naming: Option<Arc<dyn Naming>>,
}

/// The metadata of a profile as any engine must report it: sample times in whole milliseconds.
pub fn info_of(id: Ulid, tenant: &str, received_at: Timestamp, profile: &Profile) -> ProfileInfo {
    let mut kinds: BTreeMap<&str, KindTotals> = BTreeMap::new();
    let mut exact: BTreeMap<&str, [i128; VALUES_MAX]> = BTreeMap::new();
    for sample in &profile.samples {
        let Some(kind) = profile.kinds.get(sample.kind.0 as usize) else { continue };
        let at = Timestamp::from_millis(profile.time_of(sample).millis());
        let entry = kinds.entry(&kind.id).or_insert_with(|| KindTotals {
            kind: kind.id.as_ref().into(),
            samples: 0,
            totals: [0; VALUES_MAX],
            first: at,
            last: at,
        });
        entry.samples += 1;
        entry.first = entry.first.min(at);
        entry.last = entry.last.max(at);
        let exact = exact.entry(&kind.id).or_insert([0_i128; VALUES_MAX]);
        for (total, value) in exact.iter_mut().zip(sample.values) {
            *total += i128::from(value);
        }
        entry.totals = exact.map(saturate);
    }
    ProfileInfo {
        id,
        tenant: tenant.into(),
        labels: Arc::new(profile.labels.clone()),
        window: profile.window,
        received_at,
        kinds: kinds.into_values().collect(),
        metadata: Arc::new(profile.metadata.clone()),
    }
}

/// What a question about samples is answered from.
struct Found<'a> {
    names: LateNames,
    selection: Selection,
    profile_type: ProfileTypeInfo,
    rows: Vec<Row<'a>>,
    meta: AnswerMeta,
}

/// A profile with samples of the kind in the range.
struct Row<'a> {
    info: &'a ProfileInfo,
    profile: &'a Profile,
    /// Samples of the kind in the range, and whether the filter keeps them.
    samples: Vec<(&'a Sample, bool)>,
}

impl<'a> Row<'a> {
    fn kept(&self) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(|(_, keeps)| *keeps).map(|(sample, _)| *sample)
    }
}

impl Found<'_> {
    fn value(&self, sample: &Sample) -> i64 {
        sample.values[self.profile_type.measure_index]
    }

    /// Number of profiles of each series, where values are levels.
    fn series_profiles(&self, row: &Row<'_>) -> Option<u64> {
        let labels = |row: &Row<'_>| Arc::clone(&row.info.labels);
        let of_series = self.rows.iter().filter(|other| labels(other) == labels(row));
        self.profile_type.is_gauge().then(|| of_series.count() as u64)
    }

    fn tree(self) -> Result<(CallTree, AnswerMeta), ViewError> {
        let (mut tree, mut levels) = (CallTree::default(), Levels::default());
        for row in &self.rows {
            let values = row.kept().map(|sample| (sample.stack, self.value(sample)));
            if let Some(count) = self.series_profiles(row) {
                let values = values.map(|(stack, value)| (stack, count, value));
                levels.add_stacks(self.names.over(&row.profile.tables), values);
            } else {
                tree.add_stacks(self.names.over(&row.profile.tables), values);
            }
        }
        if self.profile_type.is_gauge() {
            tree = levels.finish();
        }
        let tree = self.selection.shape.apply(tree)?;
        let mut meta = self.meta;
        meta.total = tree.total();
        Ok((tree, meta))
    }

    fn series(self, query: &SeriesQuery) -> SeriesSet {
        let mut buckets = Buckets::new(query);
        for row in &self.rows {
            for (sample, keeps) in &row.samples {
                let bucket = query.bucket(row.profile.time_of(sample));
                let value = if *keeps { self.value(sample) } else { 0 };
                // A profile without a fitting sample had a level of 0 there, but no sum.
                if *keeps || self.profile_type.is_gauge() {
                    buckets.add(&row.info.labels, row.info.id, bucket, value.into());
                }
            }
        }
        buckets.finish(self.profile_type)
    }

    fn key_sums(self, query: &GroupQuery) -> GroupTable {
        let mut sums = KeySums::default();
        for row in &self.rows {
            let (tables, profiles) = (&row.profile.tables, self.series_profiles(row));
            for sample in row.kept() {
                let key = match &query.by {
                    GroupBy::Thread => thread_key(tables, sample.thread),
                    GroupBy::Attribute(name) => attribute_key(tables, sample.attributes, name),
                    _ => String::new(),
                };
                sums.add(&key, profiles, self.value(sample).into());
            }
        }
        sums.finish(query, self.meta)
    }

    fn usage(self, query: &UsageQuery) -> Usage {
        let mut sums = UsageSums::default();
        for row in &self.rows {
            let place = sums.place(label(&row.info.labels, &query.by));
            let profiles = self.series_profiles(row);
            let value = |sample: &Sample| i128::from(self.value(sample));
            let values = row.kept().map(|one| (one.stack, place, profiles, value(one)));
            sums.add_stacks(self.names.over(&row.profile.tables), values);
        }
        sums.finish(query, self.meta)
    }

    fn moments(self, query: MomentsQuery) -> Result<Moments, ViewError> {
        let infos = self.rows.iter().map(|row| row.info);
        let extent = moments::extent(infos, &self.profile_type.kind, &self.selection.range);
        let step = query.step(&extent)?;
        let mut sums = MomentSums::default();
        for row in &self.rows {
            let tables = &row.profile.tables;
            for sample in row.kept() {
                let Some(time) = sample.time else { continue };
                let thread = sample.thread.filter(|_| query.by_thread);
                let thread = thread.and_then(|id| tables.threads.get(id));
                let thread = thread.map(|one| sums.thread(one.id, tables.text(one.name)));
                let start = time.millis().div_euclid(step) * step;
                sums.add(start, thread, 1, self.value(sample).into());
            }
        }
        Ok(sums.finish(self.meta, extent, step))
    }

    fn dots(self, of: DotsOf) -> Vec<Dot> {
        let mut dots = Vec::new();
        for row in &self.rows {
            let mut sums: BTreeMap<u64, (Option<DotSpan>, i128)> = BTreeMap::new();
            for sample in row.kept() {
                let link = sample.link.and_then(|id| row.profile.tables.links.get(id));
                let span = link.and_then(DotSpan::of).filter(|_| of == DotsOf::Spans);
                if span.is_none() && of == DotsOf::Spans {
                    continue;
                }
                let sum = sums.entry(span.map_or(0, |span| span.id)).or_default();
                sum.0 = sum.0.into_iter().chain(span).max_by_key(|span| span.trace);
                sum.1 += i128::from(self.value(sample));
            }
            let range = &self.selection.range;
            dots.extend(sums.into_values().map(|(span, sum)| Dot::new(row.info, range, span, sum)));
        }
        dots.sort_by_key(Dot::key);
        dots
    }
}

fn label<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels.get(name).unwrap_or("")
}

impl Naive {
    /// Adds spans.
    pub fn add_spans(&mut self, tenant: &str, received_at: Timestamp, batch: SpanBatch) {
        let labels = Arc::new(batch.labels);
        let info = |span| SpanInfo { labels: Arc::clone(&labels), received_at, span };
        self.spans.extend(batch.spans.into_iter().map(|span| (tenant.to_owned(), info(span))));
    }

    /// Takes a profile and what came with it.
    pub fn insert(&mut self, id: Ulid, tenant: &str, received_at: Timestamp, mut profile: Profile) {
        let labels = Arc::new(profile.labels.clone());
        let info = |event| EventInfo { labels: Arc::clone(&labels), received_at, event };
        let events = std::mem::take(&mut profile.events).into_iter();
        self.events.extend(events.map(|event| (tenant.to_owned(), info(event))));
        self.profiles.push((info_of(id, tenant, received_at, &profile), profile));
    }

    /// Has addresses named that came without a name.
    pub fn set_naming(&mut self, naming: Arc<dyn Naming>) {
        self.naming = Some(naming);
    }

    fn selected(&self, selection: &Selection) -> Vec<ProfileInfo> {
        let selection = &selection.whole_millis();
        let infos = self.profiles.iter().map(|(info, _)| info);
        infos.filter(|info| info.selected(selection)).cloned().collect()
    }

    /// Series with spans that the selection names.
    fn span_series(&self, selection: &Selection) -> Vec<SpanSeries> {
        let filter = SpanFilter::of_series(selection);
        filter.map_or_else(Vec::new, |filter| spans::naive::series(&self.spans, &filter))
    }

    /// The profiles with CPU time beside spans.
    fn profiled(&self, filter: &SpanFilter) -> Result<Vec<Profiled>, ViewError> {
        let found = self.find(&spans::cpu::selection(filter))?;
        let profiled = found.rows.iter().map(|row| {
            let links = &row.profile.tables.links;
            let linked = row
                .kept()
                .filter_map(|sample| Some((*links.get(sample.link?)?, found.value(sample))));
            let (labels, window) = (Arc::clone(&row.info.labels), row.info.window);
            Profiled { labels, window, linked: linked.collect() }
        });
        Ok(profiled.collect())
    }

    fn find(&self, selection: &Selection) -> Result<Found<'_>, ViewError> {
        let selection = selection.whole_millis();
        selection.filter.check()?;
        let tenant: Vec<ProfileInfo> = self.selected(&selection);
        let profile_type = infos::resolve_type(&selection, &tenant)?;
        let (contributors, sources) = infos::contributors(&tenant, &selection, &profile_type.kind);
        let wanted: BTreeSet<Ulid> = contributors.iter().map(|info| info.id).collect();
        let names = LateNames::of(self.naming.as_ref(), &selection.tenant);
        let mut rows = Vec::new();
        for (info, profile) in self.profiles.iter().filter(|(info, _)| wanted.contains(&info.id)) {
            let of_kind = |sample: &&Sample| {
                let kind = profile.kinds.get(sample.kind.0 as usize);
                kind.is_some_and(|kind| kind.id == profile_type.kind)
                    && selection.range.contains(profile.time_of(sample))
            };
            let samples = profile.samples.iter().filter(of_kind);
            let keeps =
                |sample| (sample, selection.filter.keeps(names.over(&profile.tables), sample));
            let samples: Vec<_> = samples.map(keeps).collect();
            if !samples.is_empty() {
                rows.push(Row { info, profile, samples });
            }
        }
        let series: BTreeSet<_> = rows.iter().map(|row| &row.info.labels).collect();
        let meta = AnswerMeta {
            profile_type: Some(profile_type.clone()),
            total: 0,
            profiles: rows.len() as u64,
            samples: rows.iter().map(|row| row.kept().count() as u64).sum(),
            series: series.len() as u64,
            sources,
            quality: infos::quality(rows.iter().map(|row| row.info)),
            rollups: None,
        };
        Ok(Found { names, selection, profile_type, rows, meta })
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, ViewError>) -> Answer<'a, T> {
    Box::pin(futures::future::ready(value))
}

impl Views for Naive {
    fn profile_types<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<ProfileTypeInfo>> {
        ready(Ok(infos::profile_types(&self.selected(selection))))
    }

    fn label_names<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<String>> {
        let spans = self.span_series(selection);
        ready(Ok(infos::label_names(infos::by_labels(&self.selected(selection)), &spans)))
    }

    fn label_values<'a>(
        &'a self,
        selection: &'a Selection,
        name: &'a str,
    ) -> Answer<'a, Vec<LabelValue>> {
        let spans = self.span_series(selection);
        ready(Ok(infos::label_values(infos::by_labels(&self.selected(selection)), &spans, name)))
    }

    fn tree<'a>(&'a self, selection: &'a Selection) -> Answer<'a, (CallTree, AnswerMeta)> {
        ready(self.find(selection).and_then(Found::tree))
    }

    fn key_sums<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a GroupQuery,
    ) -> Answer<'a, GroupTable> {
        ready(self.find(selection).map(|found| found.key_sums(query)))
    }

    fn usage<'a>(&'a self, selection: &'a Selection, query: &'a UsageQuery) -> Answer<'a, Usage> {
        let found = self.find(&selection.with_function(&query.function));
        ready(found.map(|found| found.usage(query)))
    }

    fn moments<'a>(&'a self, selection: &'a Selection, query: MomentsQuery) -> Answer<'a, Moments> {
        ready(self.find(selection).and_then(|found| found.moments(query)))
    }

    fn facets<'a>(&'a self, selection: &'a Selection, values_max: usize) -> Answer<'a, Vec<Facet>> {
        let spans = self.span_series(selection);
        ready(Ok(infos::facets(infos::by_labels(&self.selected(selection)), &spans, values_max)))
    }

    fn series<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a SeriesQuery,
    ) -> Answer<'a, SeriesSet> {
        let answer =
            query.check(&selection.range.whole_millis()).and_then(|()| self.find(selection));
        ready(answer.map(|found| found.series(query)))
    }

    fn dots<'a>(&'a self, selection: &'a Selection, of: DotsOf) -> Answer<'a, Vec<Dot>> {
        ready(self.find(selection).map(|found| found.dots(of)))
    }

    fn profiles<'a>(
        &'a self,
        selection: &'a Selection,
        limit: usize,
        cursor: Option<&'a str>,
    ) -> Answer<'a, ProfileList> {
        let mut infos = self.selected(selection);
        infos::keep_type(&mut infos, selection);
        ready(infos::list(infos, limit, cursor))
    }

    fn profile<'a>(
        &'a self,
        tenant: &'a str,
        id: Ulid,
    ) -> Answer<'a, Option<(ProfileInfo, Profile)>> {
        let found = self.profiles.iter().find(|(info, _)| *info.tenant == *tenant && info.id == id);
        ready(Ok(found.cloned()))
    }

    fn services<'a>(&'a self, selection: &'a Selection, buckets: usize) -> Answer<'a, Services> {
        let infos = self.selected(selection);
        let infos: Vec<&ProfileInfo> = infos.iter().collect();
        let (spans, range) = (self.span_series(selection), selection.range.whole_millis());
        ready(Ok(services::summarize(&infos, &spans, &range, buckets)))
    }

    fn trace<'a>(&'a self, tenant: &'a str, id: u128) -> Answer<'a, Trace> {
        ready(Ok(spans::naive::trace(&self.spans, tenant, id)))
    }

    fn spans<'a>(&'a self, filter: &'a SpanFilter, page: SpanPage) -> Answer<'a, SpanList> {
        ready(Ok(spans::naive::spans(&self.spans, filter, page)))
    }

    fn endpoints<'a>(
        &'a self,
        filter: &'a SpanFilter,
        query: EndpointQuery,
    ) -> Answer<'a, Endpoints> {
        let profiled = if query.with_cpu { self.profiled(filter) } else { Ok(Vec::new()) };
        ready(profiled.map(|them| spans::naive::endpoints(&self.spans, filter, &them, query.limit)))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter, page: EventPage) -> Answer<'a, EventList> {
        ready(Ok(events::naive::events(&self.events, filter, page)))
    }

    fn metrics<'a>(&'a self, query: &'a MetricQuery) -> Answer<'a, Vec<MetricSeries>> {
        ready(events::naive::metrics(&self.events, query))
    }
}
