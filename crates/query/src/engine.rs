//! The engine: each view as metadata, plans and names.

use crate::cells::{Cell, Cells};
use crate::plan::{Group, Sum};
use crate::rollup::Plan;
use crate::rollup::series::Of;
use crate::scan::Scanner;
use crate::select::{Found, LabelCounts, Selected, info_of};
use crate::spans::series::For;
use crate::tree::Stacks;
use crate::{Settings, dots, error, moments, rebuild, rollup, series, session, tree, usage};
use profile::labels::names::SERVICE;
use profile::{Labels, Profile};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use stdx::Ulid;
use store::Store;
use tokio::sync::Semaphore;
use views::{
    Answer, AnswerMeta, CallTree, Dot, DotsOf, EndpointQuery, Endpoints, EventFilter, EventList,
    EventPage, Facet, FlameGraph, GroupBy, GroupQuery, GroupTable, LabelValue, LateNames,
    MetricQuery, MetricSeries, Moments, MomentsQuery, Naming, Pattern, ProfileInfo, ProfileList,
    ProfileTypeInfo, Selection, SeriesQuery, SeriesSet, Services, SpanFilter, SpanList, SpanPage,
    TopQuery, TopTable, Trace, Trend, Usage, UsageQuery, ViewError, Views, infos, services,
};

/// Answers from a store. Futures must be polled inside a tokio runtime; dropping one stops its
/// plans.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) settings: Settings,
    naming: Option<Arc<dyn Naming>>,
    pub(crate) permits: Arc<Semaphore>,
}

/// What step 1 of a flame graph found.
#[derive(Clone, Debug)]
pub struct StackSums {
    answers: Vec<(usize, Cells)>,
}

impl StackSums {
    fn cells(&self) -> impl Iterator<Item = (usize, Cell)> {
        self.answers.iter().flat_map(|(part, cells)| cells.iter().map(|cell| (*part, cell)))
    }

    /// Stacks with a sum, counted in each part, however many pieces it was read in.
    pub fn groups(&self) -> usize {
        self.cells().map(|(part, cell)| (part, cell.key)).collect::<FxHashSet<_>>().len()
    }

    /// Sum of all of them.
    pub fn total(&self) -> i128 {
        self.cells().map(|(_, cell)| cell.value).sum()
    }
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Arc<Store>, settings: Settings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.scans_max.max(1)));
        Self { store, settings, naming: None, permits }
    }

    /// Has addresses named that came without a name.
    #[must_use]
    pub fn with_naming(mut self, naming: Arc<dyn Naming>) -> Self {
        self.naming = Some(naming);
        self
    }

    /// The selected profiles, and the selection with a range of whole milliseconds.
    pub(crate) async fn selected(
        &self,
        selection: &Selection,
    ) -> Result<(Selected, Selection), ViewError> {
        let selection = selection.whole_millis();
        let snapshot = self.store.snapshot(&selection.tenant, selection.range);
        let selected = Selected::of(snapshot, &selection).await?;
        Ok((selected, selection))
    }

    /// The labels of the selected profiles.
    async fn labels(&self, selection: &Selection) -> Result<LabelCounts, ViewError> {
        let selection = selection.whole_millis();
        let snapshot = self.store.snapshot(&selection.tenant, selection.range);
        LabelCounts::of(snapshot, &selection).await
    }

    fn scanner(&self) -> Result<Scanner, ViewError> {
        let store = self.store.object_store();
        let context =
            session::context(&store, self.settings.query_bytes_max).map_err(error::plan)?;
        Ok(Scanner {
            store,
            context,
            permits: Arc::clone(&self.permits),
            limits: self.settings.clone(),
            progress: views::progress::current(),
        })
    }

    pub(crate) async fn found(&self, selection: &Selection) -> Result<(Found, Scanner), ViewError> {
        let (selected, selection) = self.selected(selection).await?;
        let scanner = self.scanner()?;
        let names = self.late_names(&selection);
        Ok((selected.find(&selection, names, &scanner).await?, scanner))
    }

    /// Names that came later, of the tenant asked about.
    pub(crate) fn late_names(&self, selection: &Selection) -> LateNames {
        LateNames::of(self.naming.as_ref(), &selection.tenant)
    }

    /// Step 1 of a flame graph alone, which benchmarks compare with a loop over the same files.
    pub async fn stack_sums(&self, selection: &Selection) -> Result<StackSums, ViewError> {
        let (found, scanner) = self.found(selection).await?;
        let sum = Sum::Value(found.profile_type.measure_index);
        let jobs = found.kept_jobs(&found.contributors, true);
        let answers = scanner.sums(jobs, Group::Stack, sum).await?;
        Ok(StackSums { answers })
    }

    /// What the selection's stacks add up to.
    async fn stacks(&self, selection: &Selection) -> Result<(Stacks, AnswerMeta), ViewError> {
        if let Some(plan) = Plan::of(self, selection, |_, _| ()) {
            let (tree, meta) = rollup::tree::tree(self, &plan, &self.scanner()?).await?;
            return Ok((Stacks::Merged(tree), meta));
        }
        let (found, scanner) = self.found(selection).await?;
        tree::stacks(found, &scanner).await
    }

    async fn one(
        &self,
        tenant: &str,
        id: Ulid,
    ) -> Result<Option<(ProfileInfo, Profile)>, ViewError> {
        for part in self.store.parts_with_profile(tenant, id).parts {
            let profiles = part.profiles().await.map_err(error::store)?;
            let row = profiles.iter().find(|row| row.id == id && *row.tenant == *tenant);
            let Some(row) = row else { continue };
            let profile = rebuild::profile(&part, row, &self.scanner()?).await?;
            return Ok(Some((info_of(row), profile)));
        }
        Ok(None)
    }
}

fn service_of(labels: &Labels) -> &str {
    labels.get(SERVICE).unwrap_or("")
}

impl Views for Engine {
    fn profile_types<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<ProfileTypeInfo>> {
        Box::pin(async {
            let (selected, _) = self.selected(selection).await?;
            Ok(infos::profile_types(&selected.infos))
        })
    }

    fn label_names<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<String>> {
        Box::pin(async {
            let profiles = self.labels(selection).await?;
            let known = || {
                let labels = profiles.iter().map(|(labels, _)| labels);
                let names: FxHashSet<&str> =
                    labels.flat_map(Labels::iter).map(|(name, _)| name).collect();
                move |labels: &Labels| labels.iter().any(|(name, _)| !names.contains(name))
            };
            let spans = self.span_series(selection, For::Labels, known).await?;
            Ok(infos::label_names(profiles.iter(), &spans))
        })
    }

    fn label_values<'a>(
        &'a self,
        selection: &'a Selection,
        name: &'a str,
    ) -> Answer<'a, Vec<LabelValue>> {
        Box::pin(async move {
            let profiles = self.labels(selection).await?;
            let known = || {
                let labels = profiles.iter().map(|(labels, _)| labels);
                let values: FxHashSet<&str> =
                    labels.filter_map(|labels| labels.get(name)).collect();
                move |labels: &Labels| labels.get(name).is_some_and(|value| !values.contains(value))
            };
            let spans = self.span_series(selection, For::Labels, known).await?;
            Ok(infos::label_values(profiles.iter(), &spans, name))
        })
    }

    fn tree<'a>(&'a self, selection: &'a Selection) -> Answer<'a, (CallTree, AnswerMeta)> {
        Box::pin(async {
            if let Some(plan) = Plan::of(self, selection, |_, _| ()) {
                return rollup::tree::tree(self, &plan, &self.scanner()?).await;
            }
            let (found, scanner) = self.found(selection).await?;
            tree::tree(found, &scanner).await
        })
    }

    fn flamegraph<'a>(
        &'a self,
        selection: &'a Selection,
        max_nodes: usize,
    ) -> Answer<'a, FlameGraph> {
        Box::pin(async move {
            let (mut stacks, meta) = self.stacks(selection).await?;
            Ok(stacks.flamegraph(max_nodes, meta))
        })
    }

    fn top<'a>(&'a self, selection: &'a Selection, query: TopQuery) -> Answer<'a, TopTable> {
        Box::pin(async move {
            let selection = selection.upright();
            if let Some(plan) = Plan::of(self, &selection, |_, _| ()) {
                return rollup::tree::top(self, &plan, query, &self.scanner()?).await;
            }
            let (mut stacks, meta) = self.stacks(&selection).await?;
            Ok(stacks.top(query, meta))
        })
    }

    fn groups<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a GroupQuery,
    ) -> Answer<'a, GroupTable> {
        Box::pin(async move {
            if matches!(query.by, GroupBy::Thread | GroupBy::Attribute(_)) {
                return self.key_sums(selection, query).await;
            }
            let (mut stacks, meta) = self.stacks(&selection.upright()).await?;
            Ok(stacks.groups(query, meta))
        })
    }

    fn trend<'a>(
        &'a self,
        selection: &'a Selection,
        function: &'a Pattern,
        query: &'a SeriesQuery,
    ) -> Answer<'a, Trend> {
        Box::pin(async move {
            query.check(&selection.range.whole_millis())?;
            let scanner = self.scanner()?;
            let (own, total) = (Of::Own(function), Of::Total(function));
            if let Some(plan) = rollup::series::plan(self, selection, query) {
                let own = rollup::series::series(self, &plan, query, own, &scanner).await?;
                let total = rollup::series::series(self, &plan, query, total, &scanner).await?;
                return Ok(Trend { own, total });
            }
            let (own, total) = (own.narrow(selection.clone()), total.narrow(selection.clone()));
            let total = series::of_samples(self, &total, query, &scanner).await?;
            Ok(Trend { own: series::of_samples(self, &own, query, &scanner).await?, total })
        })
    }

    fn key_sums<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a GroupQuery,
    ) -> Answer<'a, GroupTable> {
        Box::pin(async move {
            let (found, scanner) = self.found(selection).await?;
            usage::key_sums(found, query, &scanner).await
        })
    }

    fn usage<'a>(&'a self, selection: &'a Selection, query: &'a UsageQuery) -> Answer<'a, Usage> {
        Box::pin(async move {
            let (found, scanner) = self.found(&selection.with_function(&query.function)).await?;
            usage::usage(found, query, &scanner).await
        })
    }

    fn moments<'a>(&'a self, selection: &'a Selection, query: MomentsQuery) -> Answer<'a, Moments> {
        Box::pin(async move {
            let (found, scanner) = self.found(selection).await?;
            moments::moments(found, query, &scanner).await
        })
    }

    fn facets<'a>(&'a self, selection: &'a Selection, values_max: usize) -> Answer<'a, Vec<Facet>> {
        Box::pin(async move {
            let profiles = self.labels(selection).await?;
            let known = || {
                let labels = profiles.iter().map(|(labels, _)| labels);
                let pairs: FxHashSet<(&str, &str)> = labels.flat_map(Labels::iter).collect();
                move |labels: &Labels| labels.iter().any(|pair| !pairs.contains(&pair))
            };
            let spans = self.span_series(selection, For::Labels, known).await?;
            Ok(infos::facets(profiles.iter(), &spans, values_max))
        })
    }

    fn series<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a SeriesQuery,
    ) -> Answer<'a, SeriesSet> {
        Box::pin(async move {
            query.check(&selection.range.whole_millis())?;
            let scanner = self.scanner()?;
            if let Some(plan) = rollup::series::plan(self, selection, query) {
                return rollup::series::series(self, &plan, query, Of::Everything, &scanner).await;
            }
            series::of_samples(self, selection, query, &scanner).await
        })
    }

    fn dots<'a>(&'a self, selection: &'a Selection, of: DotsOf) -> Answer<'a, Vec<Dot>> {
        Box::pin(async move {
            let (found, scanner) = self.found(selection).await?;
            dots::dots(&found, of, &scanner).await
        })
    }

    fn profiles<'a>(
        &'a self,
        selection: &'a Selection,
        limit: usize,
        cursor: Option<&'a str>,
    ) -> Answer<'a, ProfileList> {
        Box::pin(async move {
            let (mut selected, selection) = self.selected(selection).await?;
            infos::keep_type(&mut selected.infos, &selection);
            infos::list(selected.infos, limit, cursor)
        })
    }

    fn profile<'a>(
        &'a self,
        tenant: &'a str,
        id: Ulid,
    ) -> Answer<'a, Option<(ProfileInfo, Profile)>> {
        Box::pin(self.one(tenant, id))
    }

    fn services<'a>(&'a self, selection: &'a Selection, buckets: usize) -> Answer<'a, Services> {
        Box::pin(async move {
            let (selected, selection) = self.selected(selection).await?;
            let known = || {
                let services = infos::labels_of(&selected.infos).map(service_of);
                let services: FxHashSet<&str> = services.collect();
                move |labels: &Labels| !services.contains(service_of(labels))
            };
            let spans = self.span_series(&selection, For::Services, known).await?;
            let infos: Vec<&ProfileInfo> = selected.infos.iter().collect();
            Ok(services::summarize(&infos, &spans, &selection.range, buckets))
        })
    }

    fn trace<'a>(&'a self, tenant: &'a str, id: u128) -> Answer<'a, Trace> {
        Box::pin(self.trace_of(tenant, id))
    }

    fn spans<'a>(&'a self, filter: &'a SpanFilter, page: SpanPage) -> Answer<'a, SpanList> {
        Box::pin(self.span_list(filter, page))
    }

    fn endpoints<'a>(
        &'a self,
        filter: &'a SpanFilter,
        query: EndpointQuery,
    ) -> Answer<'a, Endpoints> {
        Box::pin(self.endpoint_sums(filter, query))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter, page: EventPage) -> Answer<'a, EventList> {
        Box::pin(self.event_list(filter, page))
    }

    fn metrics<'a>(&'a self, query: &'a MetricQuery) -> Answer<'a, Vec<MetricSeries>> {
        Box::pin(self.metric_series(query))
    }
}
