//! The specification: all views over profiles in memory, written to be obviously right.
//!
//! Property tests hold the query engine equal to this.

use crate::gauge::Levels;
use crate::infos::{self, KindTotals, ProfileInfo};
use crate::series::Buckets;
use crate::{
    Answer, AnswerMeta, CallTree, FlameGraph, LabelValue, ProfileList, ProfileTypeInfo, Selection,
    SeriesQuery, SeriesSet, Services, TopQuery, TopTable, ViewError, Views, services,
};
use profile::{Profile, Sample, VALUES_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::{Timestamp, Ulid, saturate};

/// Profiles in memory.
#[derive(Debug, Default)]
pub struct Naive {
    profiles: Vec<(ProfileInfo, Profile)>,
}

/// The metadata of a profile as any engine must report it: sample times in whole milliseconds.
pub fn info_of(id: Ulid, tenant: &str, received_at: Timestamp, profile: &Profile) -> ProfileInfo {
    let mut kinds: BTreeMap<String, KindTotals> = BTreeMap::new();
    let mut exact: BTreeMap<String, [i128; VALUES_MAX]> = BTreeMap::new();
    for sample in &profile.samples {
        let Some(kind) = profile.kinds.get(sample.kind.0 as usize) else { continue };
        let at = Timestamp::from_millis(profile.time_of(sample).millis());
        let entry = kinds.entry(kind.id.to_string()).or_insert_with(|| KindTotals {
            kind: kind.id.to_string(),
            samples: 0,
            totals: [0; VALUES_MAX],
            first: at,
            last: at,
        });
        entry.samples += 1;
        entry.first = entry.first.min(at);
        entry.last = entry.last.max(at);
        let exact = exact.entry(kind.id.to_string()).or_insert([0_i128; VALUES_MAX]);
        for (total, value) in exact.iter_mut().zip(sample.values) {
            *total += i128::from(value);
        }
        entry.totals = exact.map(saturate);
    }
    ProfileInfo {
        id,
        tenant: tenant.to_owned(),
        labels: Arc::new(profile.labels.clone()),
        window: profile.window,
        received_at,
        kinds: kinds.into_values().collect(),
        metadata: profile.metadata.clone(),
    }
}

/// What a question about samples is answered from.
struct Found<'a> {
    profile_type: ProfileTypeInfo,
    rows: Vec<(&'a ProfileInfo, &'a Profile, Vec<&'a Sample>)>,
    meta: AnswerMeta,
}

impl Naive {
    /// Takes a profile.
    pub fn insert(&mut self, id: Ulid, tenant: &str, received_at: Timestamp, profile: Profile) {
        self.profiles.push((info_of(id, tenant, received_at, &profile), profile));
    }

    fn selected(&self, selection: &Selection) -> Vec<ProfileInfo> {
        let selection = &selection.whole_millis();
        let infos = self.profiles.iter().map(|(info, _)| info);
        infos.filter(|info| info.selected(selection)).cloned().collect()
    }

    fn find(&self, selection: &Selection) -> Result<Found<'_>, ViewError> {
        let selection = &selection.whole_millis();
        let tenant: Vec<ProfileInfo> = self.selected(selection);
        let profile_type = infos::resolve_type(selection, &tenant)?;
        let (contributors, sources) = infos::contributors(&tenant, selection, &profile_type.kind);
        let wanted: BTreeSet<Ulid> = contributors.iter().map(|info| info.id).collect();
        let mut rows = Vec::new();
        for (info, profile) in self.profiles.iter().filter(|(info, _)| wanted.contains(&info.id)) {
            let of_kind = |sample: &&Sample| {
                let kind = profile.kinds.get(sample.kind.0 as usize);
                kind.is_some_and(|kind| kind.id == profile_type.kind)
                    && selection.range.contains(profile.time_of(sample))
            };
            let samples: Vec<&Sample> = profile.samples.iter().filter(of_kind).collect();
            if !samples.is_empty() {
                rows.push((info, profile, samples));
            }
        }
        let series: BTreeSet<_> = rows.iter().map(|(info, _, _)| &info.labels).collect();
        let meta = AnswerMeta {
            profile_type: Some(profile_type.clone()),
            total: 0,
            profiles: rows.len() as u64,
            samples: rows.iter().map(|(_, _, samples)| samples.len() as u64).sum(),
            series: series.len() as u64,
            sources,
            quality: infos::quality(rows.iter().map(|(info, _, _)| *info)),
        };
        Ok(Found { profile_type, rows, meta })
    }

    fn tree(&self, selection: &Selection) -> Result<(CallTree, AnswerMeta), ViewError> {
        let found = self.find(selection)?;
        let at = found.profile_type.measure_index;
        let mut profiles: BTreeMap<&profile::Labels, u64> = BTreeMap::new();
        for (info, _, _) in &found.rows {
            *profiles.entry(&info.labels).or_default() += 1;
        }
        let (mut tree, mut levels) = (CallTree::default(), Levels::default());
        for (info, profile, samples) in &found.rows {
            let values = samples.iter().map(|sample| (sample.stack, sample.values[at]));
            if found.profile_type.is_gauge() {
                let count = profiles[info.labels.as_ref()];
                let values = values.map(|(stack, value)| (stack, count, value));
                levels.add_stacks(&profile.tables, values);
            } else {
                tree.add_stacks(&profile.tables, values);
            }
        }
        if found.profile_type.is_gauge() {
            tree = levels.finish();
        }
        let mut meta = found.meta;
        meta.total = tree.total();
        Ok((tree, meta))
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
        ready(Ok(infos::label_names(&self.selected(selection))))
    }

    fn label_values<'a>(
        &'a self,
        selection: &'a Selection,
        name: &'a str,
    ) -> Answer<'a, Vec<LabelValue>> {
        ready(Ok(infos::label_values(&self.selected(selection), name)))
    }

    fn flamegraph<'a>(
        &'a self,
        selection: &'a Selection,
        max_nodes: usize,
    ) -> Answer<'a, FlameGraph> {
        ready(self.tree(selection).map(|(tree, meta)| FlameGraph::of(&tree, max_nodes, meta)))
    }

    fn top<'a>(&'a self, selection: &'a Selection, query: TopQuery) -> Answer<'a, TopTable> {
        let answer = self.tree(selection);
        ready(
            answer.map(|(tree, meta)| TopTable {
                meta,
                functions: tree.top(query.limit, query.sort),
            }),
        )
    }

    fn series<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a SeriesQuery,
    ) -> Answer<'a, SeriesSet> {
        let answer =
            query.check(&selection.range.whole_millis()).and_then(|()| self.find(selection));
        ready(answer.map(|found| {
            let mut buckets = Buckets::new(query);
            for (info, profile, samples) in &found.rows {
                for sample in samples {
                    let bucket = query.bucket(profile.time_of(sample));
                    let value = sample.values[found.profile_type.measure_index];
                    buckets.add(&info.labels, info.id, bucket, value.into());
                }
            }
            buckets.finish(found.profile_type)
        }))
    }

    fn profiles<'a>(
        &'a self,
        selection: &'a Selection,
        limit: usize,
        cursor: Option<&'a str>,
    ) -> Answer<'a, ProfileList> {
        ready(infos::list(self.selected(selection), limit, cursor))
    }

    fn profile<'a>(
        &'a self,
        tenant: &'a str,
        id: Ulid,
    ) -> Answer<'a, Option<(ProfileInfo, Profile)>> {
        let found = self.profiles.iter().find(|(info, _)| info.tenant == tenant && info.id == id);
        ready(Ok(found.cloned()))
    }

    fn services<'a>(&'a self, selection: &'a Selection, buckets: usize) -> Answer<'a, Services> {
        let infos = self.selected(selection);
        let infos: Vec<&ProfileInfo> = infos.iter().collect();
        ready(Ok(services::summarize(&infos, &selection.range.whole_millis(), buckets)))
    }
}
