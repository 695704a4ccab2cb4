//! The specification of the CPU time of endpoints; the rules are in [`crate::spans::cpu`].

use super::{Stored, chosen};
use crate::spans::cpu::{are_of_one_instance, names_a_span, same_id_tie};
use crate::spans::{SpanFilter, SpanInfo};
use profile::labels::names::SERVICE;
use profile::{Labels, Link};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::TimeRange;

/// A profile with samples of CPU time in the range.
#[derive(Clone, Debug)]
pub struct Profiled {
    /// Its series.
    pub labels: Arc<Labels>,
    /// When it was taken.
    pub window: TimeRange,
    /// Links of samples in the range, with their CPU nanoseconds.
    pub linked: Vec<(Link, i64)>,
}

impl Profiled {
    fn service(&self) -> &str {
        self.labels.get(SERVICE).unwrap_or("")
    }

    fn covers(&self, info: &SpanInfo) -> bool {
        self.service() == info.service()
            && are_of_one_instance(&self.labels, info)
            && self.window.contains(info.span.start)
    }
}

/// CPU nanoseconds and the number of profiled requests, by service and resource.
pub(super) fn by_endpoint(
    all: &Stored,
    filter: &SpanFilter,
    profiles: &[Profiled],
) -> BTreeMap<(String, String), (i128, u64)> {
    let is_linked = |one: &&Profiled| one.linked.iter().any(|(link, _)| names_a_span(link));
    let linked: BTreeSet<&Labels> =
        profiles.iter().filter(is_linked).map(|one| &*one.labels).collect();
    let profiles: Vec<&Profiled> =
        profiles.iter().filter(|one| linked.contains(&*one.labels)).collect();
    let is_profiled = |info: &SpanInfo| {
        let is_request = info.span.is_entry && filter.keeps(&info.span);
        is_request && profiles.iter().any(|one| one.covers(info))
    };
    let key = |info: &SpanInfo| (info.service().to_owned(), info.span.resource.to_string());
    let spans = chosen(all, &filter.of_any_kind());
    let mut sums: BTreeMap<_, (i128, u64)> = BTreeMap::new();
    for info in spans.iter().filter(|info| is_profiled(info)) {
        sums.entry(key(info)).or_default().1 += 1;
    }
    for profile in &profiles {
        let of_service = spans.iter().filter(|info| info.service() == profile.service());
        let spans = Spans { spans: of_service.map(|info| (info, is_profiled(info))).collect() };
        for (link, nanos) in &profile.linked {
            if let Some((info, true)) = spans.request(link) {
                sums.entry(key(info)).or_default().0 += i128::from(*nanos);
            }
        }
    }
    sums
}

/// The spans of a service, and whether each is a request that was profiled.
struct Spans<'a> {
    spans: Vec<(&'a SpanInfo, bool)>,
}

impl<'a> Spans<'a> {
    fn request(&self, link: &Link) -> Option<(&'a SpanInfo, bool)> {
        let ids = [link.root_span_id, link.span_id].into_iter();
        ids.filter(|id| *id != 0).find_map(|id| self.lead(link.trace_id, id))
    }

    /// Where a span leads.
    fn lead(&self, trace_id: u128, span_id: u64) -> Option<(&'a SpanInfo, bool)> {
        let mut seen = BTreeSet::new();
        let mut at = self.span(trace_id, span_id)?;
        while !at.0.span.is_entry {
            let span = &at.0.span;
            if !seen.insert(span.span_id) {
                return None;
            }
            at = self.span(span.trace_id, span.parent_id)?;
        }
        Some(at)
    }

    fn span(&self, trace_id: u128, span_id: u64) -> Option<(&'a SpanInfo, bool)> {
        let is_meant = |info: &SpanInfo| {
            info.span.span_id == span_id && (trace_id == 0 || info.span.trace_id == trace_id)
        };
        let meant: Vec<_> = self.spans.iter().filter(|(info, _)| is_meant(info)).collect();
        let traces: BTreeSet<u128> = meant.iter().map(|(info, _)| info.span.trace_id).collect();
        let tie = |a: &SpanInfo, b: &SpanInfo, profiled: (bool, bool)| {
            same_id_tie(&a.span, profiled.0).cmp(&same_id_tie(&b.span, profiled.1))
        };
        let first = meant.into_iter().min_by(|a, b| tie(a.0, b.0, (a.1, b.1)));
        first.copied().filter(|_| traces.len() == 1)
    }
}

#[cfg(test)]
mod tests;
