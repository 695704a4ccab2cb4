//! The questions a profiler answers, and the shapes of the answers.
//!
//! [`Views`] is the seam between what asks (the API, the command line, insights) and what answers
//! (the query engine in production, [`naive::Naive`] as the oracle in tests). What needs only the
//! metadata of profiles (labels, types, lists, services, which source answers) is computed here
//! once, in [`infos`], from [`ProfileInfo`]s.
//!
//! What is absent: Arrow, SQL, JSON, I/O.

pub mod calltree;
pub mod classify;
pub mod diff;
pub mod dots;
pub mod error;
pub mod events;
pub mod filter;
pub mod flamegraph;
pub mod forest;
pub mod frame;
mod frames;
pub mod gauge;
pub mod groups;
pub mod infos;
pub mod limits;
pub mod merged;
pub mod moments;
pub mod naive;
pub mod naming;
pub mod progress;
pub mod rollup;
pub mod sandwich;
pub mod selection;
pub mod series;
pub mod services;
pub mod shape;
pub mod sources;
pub mod spans;
pub mod top;
pub mod usage;

pub use calltree::{CallTree, UnnamedBinary};
pub use diff::{DiffGraph, Normalise};
pub use dots::{Dot, DotSpan, DotsOf};
pub use error::ViewError;
pub use events::{EventFilter, EventInfo, EventList, EventPage, MetricQuery, MetricSeries};
pub use filter::{CallPath, Filter, Pattern};
pub use flamegraph::FlameGraph;
pub use forest::Forest;
pub use frame::Frame;
pub use groups::{GroupBy, GroupQuery, GroupRow, GroupTable};
pub use infos::{Facet, KindTotals, LabelValue, ProfileInfo, ProfileList, ProfileTypeInfo};
pub use merged::{MergeLimits, Merged, merged};
pub use moments::{Heatmap, HeatmapQuery, Moments, MomentsQuery, Timeline, TimelineQuery};
pub use naming::{LateFunction, LateNames, NamedTables, Naming, Unnamed};
pub use progress::Progress;
pub use rollup::RollupUse;
pub use sandwich::Sandwich;
pub use selection::{Matcher, MatcherOp, Selection, parse_matchers};
pub use series::{Series, SeriesQuery, SeriesSet, Trend};
pub use services::{Sampling, ServiceSummary, Services};
pub use shape::Shape;
pub use spans::{
    Endpoint, EndpointQuery, Endpoints, SpanFilter, SpanInfo, SpanList, SpanOrder, SpanPage,
    SpanSeries, Trace,
};
pub use top::{TopFunction, TopQuery, TopSort, TopTable};
pub use usage::{Usage, UsageQuery, UsageRow};

use futures::future::BoxFuture;
use profile::Profile;
use stdx::Ulid;

/// What an answer was made of: shown beside every figure. Profiles, series, sources and quality are
/// of what was searched; a [`Filter`] changes only the total and the number of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerMeta {
    /// The profile type asked for.
    pub profile_type: Option<ProfileTypeInfo>,
    /// Sum over the selection (mean level for gauges), in the type's unit.
    pub total: i64,
    /// Profiles with samples of the type's kind in the range, whether a filter keeps some or none.
    pub profiles: u64,
    /// Rows (events) that contributed, that is, which the filter keeps.
    pub samples: u64,
    /// Series of these profiles.
    pub series: u64,
    /// Sources found, and whether they were used.
    pub sources: Vec<SourceUse>,
    /// Quality of what contributed, summed over profiles.
    pub quality: Quality,
    /// What part of it came from hourly rollups; none where all is made of samples.
    pub rollups: Option<RollupUse>,
}

/// A source of the selection and whether this answer uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUse {
    /// Value of the `source` label.
    pub source: String,
    /// Whether its samples are in the answer.
    pub used: bool,
    /// Profiles it has in the selection.
    pub profiles: u64,
}

/// Counters that collectors report about their own losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Samples of the profiles that contributed.
    pub samples: u64,
    /// Samples lost before they reached us.
    pub lost: u64,
    /// Samples whose stack does not reach its root.
    pub broken: u64,
    /// Frames without a name.
    pub unsymbolized: u64,
}

/// The answer of a view, later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ViewError>>;

/// Everything that can be asked. Ranges are half-open, in whole milliseconds (both ends are rounded
/// down, [`Selection::whole_millis`]); a timed sample belongs by its own time, an untimed one by its
/// profile's start. Sums are exact and saturate only when they are shown.
pub trait Views: Send + Sync {
    /// Profile types with data in the selection (`profile_type` is ignored).
    fn profile_types<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<ProfileTypeInfo>>;
    /// Names of labels, of profiles and of spans.
    fn label_names<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<String>>;
    /// Values of one label, of profiles and of spans, with the number of profiles that carry each.
    fn label_values<'a>(
        &'a self,
        selection: &'a Selection,
        name: &'a str,
    ) -> Answer<'a, Vec<LabelValue>>;
    /// The merged call tree in the selection's shape.
    fn tree<'a>(&'a self, selection: &'a Selection) -> Answer<'a, (CallTree, AnswerMeta)>;
    /// The merged call tree, trimmed to `max_nodes` nodes.
    fn flamegraph<'a>(
        &'a self,
        selection: &'a Selection,
        max_nodes: usize,
    ) -> Answer<'a, FlameGraph> {
        Box::pin(async move {
            let (tree, meta) = self.tree(selection).await?;
            Ok(FlameGraph::of(&tree, max_nodes, meta))
        })
    }
    /// Two selections of one profile type side by side.
    fn diff<'a>(
        &'a self,
        before: &'a Selection,
        after: &'a Selection,
        normalise: Normalise,
        max_nodes: usize,
    ) -> Answer<'a, DiffGraph> {
        Box::pin(async move {
            let before = self.tree(before).await?;
            let after = self.tree(after).await?;
            DiffGraph::of(before, after, normalise, max_nodes)
        })
    }
    /// Who calls a function, and what it calls, each trimmed to `max_nodes` nodes.
    fn sandwich<'a>(
        &'a self,
        selection: &'a Selection,
        function: &'a Pattern,
        max_nodes: usize,
    ) -> Answer<'a, Sandwich> {
        Box::pin(async move {
            let mut selection = selection.with_function(function);
            selection.shape = selection.shape.upright();
            let (tree, meta) = self.tree(&selection).await?;
            Sandwich::of(&tree, function, max_nodes, meta)
        })
    }
    /// The functions with the largest self or total values; recursion is counted once. They do not
    /// depend on the direction of the tree.
    fn top<'a>(&'a self, selection: &'a Selection, query: TopQuery) -> Answer<'a, TopTable> {
        Box::pin(async move {
            let selection = selection.upright();
            let (tree, meta) = self.tree(&selection).await?;
            Ok(TopTable { meta, functions: tree.top(query.limit, query.sort) })
        })
    }
    /// A table by what functions belong to, by thread, or by an attribute of samples.
    fn groups<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a GroupQuery,
    ) -> Answer<'a, GroupTable> {
        Box::pin(async move {
            if matches!(query.by, GroupBy::Thread | GroupBy::Attribute(_)) {
                return self.key_sums(selection, query).await;
            }
            let selection = selection.upright();
            let (tree, meta) = self.tree(&selection).await?;
            Ok(GroupTable::of_tree(&tree, query, meta))
        })
    }
    /// [`Views::groups`] by thread or attribute; other groups have the empty key only.
    fn key_sums<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a GroupQuery,
    ) -> Answer<'a, GroupTable>;
    /// Who calls a function, where, and at what cost.
    fn usage<'a>(&'a self, selection: &'a Selection, query: &'a UsageQuery) -> Answer<'a, Usage>;
    /// What happened when, from the samples' own times. Values are added up, those of gauges, too.
    fn moments<'a>(&'a self, selection: &'a Selection, query: MomentsQuery) -> Answer<'a, Moments>;
    /// Samples by column of time and time within the column.
    fn heatmap<'a>(&'a self, selection: &'a Selection, query: HeatmapQuery) -> Answer<'a, Heatmap> {
        Box::pin(async move {
            let moments = self.moments(selection, query.moments()?).await?;
            Ok(query.finish(moments))
        })
    }
    /// Samples by thread and time.
    fn timeline<'a>(
        &'a self,
        selection: &'a Selection,
        query: TimelineQuery,
    ) -> Answer<'a, Timeline> {
        Box::pin(async move {
            let moments = self.moments(selection, query.moments()).await?;
            Ok(query.finish(moments))
        })
    }
    /// What one function costs over time.
    fn trend<'a>(
        &'a self,
        selection: &'a Selection,
        function: &'a Pattern,
        query: &'a SeriesQuery,
    ) -> Answer<'a, Trend> {
        Box::pin(async move {
            let total = self.series(&selection.with_function(function), query).await?;
            let mut leaf = selection.clone();
            leaf.filter.leaf = Some(function.clone());
            Ok(Trend { own: self.series(&leaf, query).await?, total })
        })
    }
    /// All labels of profiles and spans with their commonest values, at most `values_max` each.
    fn facets<'a>(&'a self, selection: &'a Selection, values_max: usize) -> Answer<'a, Vec<Facet>>;
    /// Values over time.
    fn series<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a SeriesQuery,
    ) -> Answer<'a, SeriesSet>;
    /// What each profile, or each span in one, holds of the selection, by the ids of profile and
    /// span; all of them, or [`ViewError::TooLarge`].
    fn dots<'a>(&'a self, selection: &'a Selection, of: DotsOf) -> Answer<'a, Vec<Dot>>;
    /// Profiles, newest first; of the selection's type, where it names one.
    fn profiles<'a>(
        &'a self,
        selection: &'a Selection,
        limit: usize,
        cursor: Option<&'a str>,
    ) -> Answer<'a, ProfileList>;
    /// One profile exactly as it was stored; `None` when it is not there.
    fn profile<'a>(
        &'a self,
        tenant: &'a str,
        id: Ulid,
    ) -> Answer<'a, Option<(ProfileInfo, Profile)>>;
    /// One line per service with profiles or spans, with `buckets` points of CPU use over the range.
    fn services<'a>(&'a self, selection: &'a Selection, buckets: usize) -> Answer<'a, Services>;
    /// All spans of a trace, whenever they were.
    fn trace<'a>(&'a self, tenant: &'a str, id: u128) -> Answer<'a, Trace>;
    /// A page of spans.
    fn spans<'a>(&'a self, filter: &'a SpanFilter, page: SpanPage) -> Answer<'a, SpanList>;
    /// What the endpoints of services did, those that took most time altogether.
    fn endpoints<'a>(
        &'a self,
        filter: &'a SpanFilter,
        query: EndpointQuery,
    ) -> Answer<'a, Endpoints>;
    /// A page of what happened in runtimes.
    fn events<'a>(&'a self, filter: &'a EventFilter, page: EventPage) -> Answer<'a, EventList>;
    /// Gauges over time, by series.
    fn metrics<'a>(&'a self, query: &'a MetricQuery) -> Answer<'a, Vec<MetricSeries>>;
}
