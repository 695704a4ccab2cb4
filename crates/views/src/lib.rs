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
pub mod error;
pub mod flamegraph;
pub mod gauge;
pub mod infos;
pub mod naive;
pub mod selection;
pub mod series;
pub mod services;
pub mod sources;
pub mod top;

pub use calltree::{CallTree, Frame};
pub use error::ViewError;
pub use flamegraph::FlameGraph;
pub use infos::{KindTotals, LabelValue, ProfileInfo, ProfileList, ProfileTypeInfo};
pub use selection::{Matcher, MatcherOp, Selection, parse_matchers};
pub use series::{Series, SeriesQuery, SeriesSet};
pub use services::{Sampling, ServiceSummary, Services};
pub use top::{TopFunction, TopQuery, TopSort, TopTable};

use futures::future::BoxFuture;
use profile::Profile;
use stdx::Ulid;

/// What an answer was made of: shown beside every figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerMeta {
    /// The profile type asked for.
    pub profile_type: Option<ProfileTypeInfo>,
    /// Sum over the selection (mean level for gauges), in the type's unit.
    pub total: i64,
    /// Profiles that contributed.
    pub profiles: u64,
    /// Rows (events) that contributed.
    pub samples: u64,
    /// Series that contributed.
    pub series: u64,
    /// Sources found, and whether they were used.
    pub sources: Vec<SourceUse>,
    /// Quality of what contributed, summed over profiles.
    pub quality: Quality,
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
    /// Names of labels.
    fn label_names<'a>(&'a self, selection: &'a Selection) -> Answer<'a, Vec<String>>;
    /// Values of one label with the number of profiles that carry each.
    fn label_values<'a>(
        &'a self,
        selection: &'a Selection,
        name: &'a str,
    ) -> Answer<'a, Vec<LabelValue>>;
    /// The merged call tree, trimmed to `max_nodes` nodes.
    fn flamegraph<'a>(
        &'a self,
        selection: &'a Selection,
        max_nodes: usize,
    ) -> Answer<'a, FlameGraph>;
    /// The functions with the largest self or total values; recursion is counted once.
    fn top<'a>(&'a self, selection: &'a Selection, query: TopQuery) -> Answer<'a, TopTable>;
    /// Values over time.
    fn series<'a>(
        &'a self,
        selection: &'a Selection,
        query: &'a SeriesQuery,
    ) -> Answer<'a, SeriesSet>;
    /// Profiles, newest first.
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
    /// One line per service, with `buckets` points of CPU use over the range.
    fn services<'a>(&'a self, selection: &'a Selection, buckets: usize) -> Answer<'a, Services>;
}
