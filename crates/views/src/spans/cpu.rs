//! What CPU time the requests of an endpoint took, from the samples that name their spans.
//!
//! - A **request** is an entry span: the first of its service in its trace.
//! - A series of profiles is **linked** where at least one of its samples of CPU time in the range
//!   names a span.
//! - A request was **profiled** if it began within the window of a profile of a linked series of its
//!   service that has CPU samples in the range; of its instance, where both name one. So a request
//!   counts that no sample hit, and one that nobody looked at does not.
//! - A **sample belongs to** the request that its local root span leads to, else the one that its
//!   span leads to. A span leads to itself if it is a request, else to where its parent leads; only
//!   spans of the sample's service that began in the range are looked at. A link without a trace
//!   leads nowhere where several traces have the span.
//!
//! The CPU time of an endpoint is that of the samples in the range that belong to profiled requests
//! of it. Samples that name no span, or one that is not stored, count nowhere: nothing is guessed.
//! So the figure for each request is too low where a profiler does not link all threads that work
//! for it, and where the range ends before it does. It is a mean: at 100 samples a second of CPU time
//! most requests have no sample, and those that have one stand for them, too.

use super::{SpanFilter, SpanInfo};
use crate::Selection;
use profile::labels::names::INSTANCE;
use profile::{Labels, Link, ProfileTypeId, Span};
use std::cmp::Reverse;

/// The profile type whose values are added up.
pub const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// CPU time of the profiled requests of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointCpu {
    /// The time altogether.
    pub nanos: i64,
    /// How many requests were profiled, whether a sample hit them or none; at least one.
    pub profiled: u64,
}

impl EndpointCpu {
    /// None where no request was profiled.
    pub fn of(nanos: i128, profiled: u64) -> Option<Self> {
        (profiled > 0).then(|| Self { nanos: stdx::saturate(nanos), profiled })
    }

    /// What one request took on average, in nanoseconds.
    pub fn per_request_nanos(&self) -> f64 {
        self.nanos as f64 / self.profiled as f64
    }
}

/// The CPU samples beside spans, of the source that answers for each instance.
pub fn selection(filter: &SpanFilter) -> Selection {
    let all = Selection::everything(filter.tenant.clone(), filter.range);
    let profile_type = Some(ProfileTypeId(CPU.to_owned()));
    Selection { profile_type, matchers: filter.matchers.clone(), ..all }
}

/// Whether a link names a span.
pub fn names_a_span(link: &Link) -> bool {
    link.span_id != 0 || link.root_span_id != 0
}

/// Whether profiles of a series speak for a span, as far as instances tell.
pub fn are_of_one_instance(profiles: &Labels, info: &SpanInfo) -> bool {
    let (profiles, span) = (profiles.get(INSTANCE), info.labels.get(INSTANCE));
    profiles.is_none() || span.is_none() || profiles == span
}

/// What is chosen by of several spans that have one id in one service and trace: the first that
/// began.
pub fn same_id_tie(span: &Span, is_profiled: bool) -> impl Ord + '_ {
    let times = (span.start, Reverse(span.duration_nanos));
    (times, !is_profiled, !span.is_entry, span.parent_id, &span.resource)
}
