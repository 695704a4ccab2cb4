//! Questions about spans: a whole trace, lists, and what the endpoints of services do.
//!
//! A span belongs to a range by its start; ranges are half-open, to the nanosecond. Spans that agree
//! in trace, id, start and duration are one that came more than once: lists and traces have it once.

pub mod cpu;
pub mod durations;
pub mod naive;

use crate::limits::ENDPOINTS_MAX;
use crate::{Matcher, Pattern, Selection, ViewError};
use cpu::EndpointCpu;
use durations::Durations;
use profile::labels::names::SERVICE;
use profile::{Labels, Span, SpanKind, SpanStatus};
use std::cmp::Reverse;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// A stored span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanInfo {
    /// Its series.
    pub labels: Arc<Labels>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The span.
    pub span: Span,
}

impl SpanInfo {
    /// Its service.
    pub fn service(&self) -> &str {
        self.labels.get(SERVICE).unwrap_or("")
    }

    /// What one of several that are the same is chosen by.
    pub fn tie(&self) -> impl Ord + '_ {
        let span = &self.span;
        let texts = (&span.name, &span.resource, &span.message);
        let rest = (span.parent_id, span.is_entry, span.kind, span.status);
        (&self.labels, texts, rest, self.received_at, &span.attributes)
    }
}

/// A series of which there are spans in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanSeries {
    /// Its labels.
    pub labels: Arc<Labels>,
    /// When the last span of it in the range began.
    pub last: Timestamp,
}

/// Which spans.
#[derive(Clone, Debug)]
pub struct SpanFilter {
    /// Whose.
    pub tenant: String,
    /// Those that began then.
    pub range: TimeRange,
    /// Conditions on their labels; all must hold.
    pub matchers: Vec<Matcher>,
    /// What they were about.
    pub resource: Option<Pattern>,
    /// Their name.
    pub name: Option<Pattern>,
    /// Their side of a call.
    pub kind: Option<SpanKind>,
    /// Only those that ended with an error.
    pub only_errors: bool,
    /// Only requests: the first span of a service in its trace.
    pub only_entries: bool,
    /// Only those that took as long, in nanoseconds.
    pub duration_nanos_min: i64,
    /// Conditions on their attributes; a missing one reads as the empty text.
    pub attributes: Vec<Matcher>,
}

impl SpanFilter {
    /// All spans of a tenant that began in a range.
    pub fn everything(tenant: impl Into<String>, range: TimeRange) -> Self {
        Self {
            tenant: tenant.into(),
            range,
            matchers: Vec::new(),
            resource: None,
            name: None,
            kind: None,
            only_errors: false,
            only_entries: false,
            duration_nanos_min: 0,
            attributes: Vec::new(),
        }
    }

    /// The spans whose series a question about labels and services is about as well as those of its
    /// profiles; `None` where it is about one profile.
    pub fn of_series(selection: &Selection) -> Option<Self> {
        let matchers = selection.matchers.clone();
        let all = Self::everything(selection.tenant.clone(), selection.whole_millis().range);
        selection.profile.is_none().then_some(Self { matchers, ..all })
    }

    /// All spans of the series that are meant, whatever they did.
    #[must_use]
    pub fn of_any_kind(&self) -> Self {
        let matchers = self.matchers.clone();
        Self { matchers, ..Self::everything(self.tenant.clone(), self.range) }
    }

    /// Whether spans of the series are meant.
    pub fn keeps_labels(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether a span of a series that is meant is kept.
    pub fn keeps(&self, span: &Span) -> bool {
        let fits = |wanted: &Option<Pattern>, have: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.matches(have))
        };
        self.range.contains(span.start)
            && span.duration_nanos >= self.duration_nanos_min
            && (!self.only_entries || span.is_entry)
            && (!self.only_errors || span.status == SpanStatus::Error)
            && self.kind.is_none_or(|kind| kind == span.kind)
            && fits(&self.resource, &span.resource)
            && fits(&self.name, &span.name)
            && self
                .attributes
                .iter()
                .all(|matcher| matcher.holds(span.attribute(&matcher.name).unwrap_or_default()))
    }
}

/// What comes first in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanOrder {
    /// What began last.
    #[default]
    Newest,
    /// What took longest.
    Slowest,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanPage {
    /// What comes first.
    pub order: SpanOrder,
    /// Most spans of it.
    pub limit: usize,
    /// Where it begins: after this place.
    pub after: Option<Place>,
}

/// Where a span stands in a list: by what it is ordered by, then by its other times and its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    first: Reverse<i64>,
    second: Reverse<i64>,
    trace_id: u128,
    span_id: u64,
}

impl Place {
    /// The place of a span.
    pub fn of(span: &Span, order: SpanOrder) -> Self {
        let (start, duration) = (Reverse(span.start.nanos()), Reverse(span.duration_nanos));
        let (first, second) = match order {
            SpanOrder::Newest => (start, duration),
            SpanOrder::Slowest => (duration, start),
        };
        Self { first, second, trace_id: span.trace_id, span_id: span.span_id }
    }

    /// Reads what [`std::fmt::Display`] wrote.
    pub fn parse(text: &str) -> Result<Self, ViewError> {
        let parts: Vec<&str> = text.splitn(5, '.').collect();
        let number = |text| i64::from_str_radix(text, 16).ok().map(Reverse);
        let place = (|| {
            let [first, second, trace, span] = *parts else { return None };
            let (first, second) = (number(first)?, number(second)?);
            let trace_id = u128::from_str_radix(trace, 16).ok()?;
            let span_id = u64::from_str_radix(span, 16).ok()?;
            Some(Self { first, second, trace_id, span_id })
        })();
        place.ok_or_else(|| {
            let what = format!("the cursor {text:?} is none of ours: take next_cursor as it came");
            ViewError::Invalid(what)
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, second, trace_id, span_id } = self;
        // As signed numbers: `{:x}` of a negative one would be its complement.
        let hex = |value: i64| {
            let sign = if value < 0 { "-" } else { "" };
            format!("{sign}{:x}", value.unsigned_abs())
        };
        write!(f, "{}.{}.{trace_id:x}.{span_id:x}", hex(first.0), hex(second.0))
    }
}

/// A page of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanList {
    /// The spans.
    pub spans: Vec<SpanInfo>,
    /// Where the next page begins; none at the end.
    pub next: Option<Place>,
}

/// The spans of one trace, by start; the one that took longest first of those that began together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The spans.
    pub spans: Vec<SpanInfo>,
    /// How many more there are.
    pub left_out: u64,
}

/// Where a span stands in its trace.
pub fn trace_place(span: &Span) -> (i64, Reverse<i64>, u64) {
    (span.start.nanos(), Reverse(span.duration_nanos), span.span_id)
}

/// What of endpoints is asked for.
#[derive(Clone, Copy, Debug)]
pub struct EndpointQuery {
    /// Most of them.
    pub limit: usize,
    /// Whether the CPU time of their requests is, which takes looking through samples.
    pub with_cpu: bool,
}

/// What spans of one service and resource did.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The service.
    pub service: String,
    /// What they were about.
    pub resource: String,
    /// How many there are.
    pub count: u64,
    /// Of these, ended with an error.
    pub errors: u64,
    /// How long they took, in nanoseconds: 64 bits hold 292 years of it, more is shown as that.
    pub total_nanos: i64,
    /// The longest.
    pub max_nanos: i64,
    /// Half of them took at most as long, within 0.8 %.
    pub p50_nanos: i64,
    /// 95 % of them took at most as long, within 0.8 %.
    pub p95_nanos: i64,
    /// 99 % of them took at most as long, within 0.8 %.
    pub p99_nanos: i64,
    /// What CPU time those of them took that are requests; none where none of these was profiled.
    pub cpu: Option<EndpointCpu>,
}

impl Endpoint {
    /// How long one took on average, in nanoseconds.
    pub fn mean_nanos(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.total_nanos as f64 / self.count as f64 }
    }
}

/// Endpoints, the one that took most time altogether first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// How many more there are.
    pub left_out: u64,
    /// Spans of all of them.
    pub spans: u64,
    /// Why no CPU time is given although it was asked for: a limit was hit.
    pub without_cpu: Option<String>,
}

/// Adds endpoints up.
#[derive(Debug, Default)]
pub struct EndpointSums {
    sums: rustc_hash::FxHashMap<(Arc<str>, Arc<str>), EndpointSum>,
}

#[derive(Debug, Default)]
struct EndpointSum {
    count: u64,
    errors: u64,
    total: i128,
    max: i64,
    durations: Durations,
    cpu: i128,
    profiled: u64,
}

impl EndpointSums {
    /// Adds a span, which may be a request that was profiled.
    pub fn add(
        &mut self,
        service: &Arc<str>,
        span: &Span,
        is_profiled: bool,
    ) -> Result<(), ViewError> {
        let known = self.sums.len();
        let key = (Arc::clone(service), Arc::clone(&span.resource));
        let sum = self.sums.entry(key).or_default();
        if sum.count == 0 && known >= ENDPOINTS_MAX {
            return Err(too_many());
        }
        sum.count += 1;
        sum.errors += u64::from(span.status == SpanStatus::Error);
        sum.total += i128::from(span.duration_nanos);
        sum.max = sum.max.max(span.duration_nanos);
        sum.durations.add(span.duration_nanos);
        sum.profiled += u64::from(is_profiled);
        Ok(())
    }

    /// Adds CPU time that requests which were profiled took.
    pub fn add_cpu(&mut self, service: &Arc<str>, resource: &Arc<str>, nanos: i128) {
        let key = (Arc::clone(service), Arc::clone(resource));
        if let Some(sum) = self.sums.get_mut(&key) {
            sum.cpu += nanos;
        }
    }

    /// The `limit` endpoints that took most time.
    pub fn finish(self, limit: usize) -> Endpoints {
        let endpoint = |((service, resource), sum): ((Arc<str>, Arc<str>), EndpointSum)| Endpoint {
            service: service.to_string(),
            resource: resource.to_string(),
            count: sum.count,
            errors: sum.errors,
            total_nanos: stdx::saturate(sum.total),
            max_nanos: sum.max,
            p50_nanos: sum.durations.percentile(50),
            p95_nanos: sum.durations.percentile(95),
            p99_nanos: sum.durations.percentile(99),
            cpu: EndpointCpu::of(sum.cpu, sum.profiled),
        };
        Endpoints::of(self.sums.into_iter().map(endpoint).collect(), limit)
    }
}

impl Endpoints {
    fn of(mut endpoints: Vec<Endpoint>, limit: usize) -> Self {
        endpoints.sort_by(|a, b| {
            let totals = b.total_nanos.cmp(&a.total_nanos);
            totals.then_with(|| (&a.service, &a.resource).cmp(&(&b.service, &b.resource)))
        });
        let spans = endpoints.iter().map(|endpoint| endpoint.count).sum();
        let left_out = endpoints.len().saturating_sub(limit) as u64;
        endpoints.truncate(limit);
        Self { endpoints, left_out, spans, without_cpu: None }
    }
}

fn too_many() -> ViewError {
    let what =
        format!("there are more than {ENDPOINTS_MAX} endpoints: name a service, or a shorter time");
    ViewError::TooLarge(what)
}
