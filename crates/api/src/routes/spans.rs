//! Spans: a trace, lists, and what endpoints do.

use crate::asked::id_of;
use crate::limits::{ENDPOINTS_DEFAULT, ENDPOINTS_MAX, SPANS_DEFAULT};
use crate::question::{Scope, problem_of};
use crate::shapes::Problem as ProblemShape;
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use ingest::{Principal, Problem, Query};
use profile::SpanKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use views::limits::SPANS_MAX;
use views::spans::Place;
use views::{
    EndpointQuery, Pattern, SpanFilter, SpanInfo, SpanOrder, SpanPage, ViewError, parse_matchers,
};

/// Which spans of the selected series.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SpanScope {
    /// Only this service: short for `match={service_name="…"}`.
    pub service: Option<String>,
    /// Only spans about this, such as `GET /items/{id}`; `/…/` is a regular expression.
    pub resource: Option<String>,
    /// Only spans of this name; `/…/` is a regular expression.
    pub name: Option<String>,
    /// Only `server`, `client`, `internal`, `producer`, `consumer` or `unspecified` spans.
    pub kind: Option<String>,
    /// Only spans that ended with an error.
    pub errors: Option<bool>,
    /// Only requests: the first span of a service in its trace.
    pub entries: Option<bool>,
    /// Only spans that took at least so many milliseconds.
    pub min_ms: Option<f64>,
    /// Only spans with these attributes, written like `match`: `{http.route="/items/{id}"}`.
    pub attributes: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// What comes first: `newest` (when absent) or `slowest`.
    pub order: Option<String>,
    /// Most spans of a page: 100 when absent.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How many endpoints.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Most {
    /// Most endpoints: 100 when absent.
    pub limit: Option<usize>,
    /// `false` leaves out the CPU time of requests, for which samples are looked through.
    pub cpu: Option<bool>,
}

/// A span.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Span {
    /// Its trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// Its id, 16 hexadecimal digits; the filter `span` of questions about samples takes it.
    pub span_id: String,
    /// The span that caused it; absent for the first of a trace.
    pub parent_id: Option<String>,
    /// Its service.
    pub service: String,
    /// What was done.
    pub name: String,
    /// To what it was done, such as the endpoint of a request.
    pub resource: String,
    /// `server`, `client`, `internal`, `producer`, `consumer` or `unspecified`.
    pub kind: String,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// What the status says in words.
    pub message: Option<String>,
    /// Whether it is the first of its service in the trace: a request.
    pub is_entry: bool,
    /// When it began, in nanoseconds since the epoch, as text: JSON's numbers do not hold it.
    pub start_ns: String,
    /// When it began, in milliseconds since the epoch.
    pub start_ms: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Labels of its series.
    pub labels: BTreeMap<String, String>,
    /// What else was said of it.
    pub attributes: BTreeMap<String, String>,
}

/// The spans of a trace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trace {
    /// Its id.
    pub trace_id: String,
    /// Its spans, by start.
    pub spans: Vec<Span>,
    /// How many more there are.
    pub left_out: u64,
}

/// A page of spans.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Spans {
    /// The spans.
    pub spans: Vec<Span>,
    /// Where the next page starts; absent at the end.
    pub next_cursor: Option<String>,
}

/// What the spans of a service about one thing did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoint {
    /// The service.
    pub service: String,
    /// What they were about.
    pub resource: String,
    /// How many there are.
    pub count: u64,
    /// Of these, ended with an error.
    pub errors: u64,
    /// How long they took altogether, in milliseconds.
    pub total_ms: f64,
    /// How long one took on average.
    pub mean_ms: f64,
    /// Half of them took at most as long, within 0.8 %.
    pub p50_ms: f64,
    /// 95 % of them took at most as long, within 0.8 %.
    pub p95_ms: f64,
    /// 99 % of them took at most as long, within 0.8 %.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// CPU time that its profiled requests took together, in milliseconds: of the samples in the
    /// range whose span, or local root span, is one of these requests or was caused by one within
    /// the service. Samples without a span, or of one that is not stored, count nowhere. Absent
    /// where `profiled` is.
    pub cpu_ms: Option<f64>,
    /// `cpu_ms` by `profiled`: what a request took on average. A mean, not what any one took: at
    /// 100 samples a second most requests have none, and count as well. Too low where the profiler
    /// does not say of all threads for which span they work, and by what requests did after the
    /// range.
    pub cpu_per_request_ms: Option<f64>,
    /// Its profiled requests, hit by a sample or not: entry spans that began while a profile was
    /// taken of their service, and of their instance where both say it, by a series whose samples
    /// name spans. Absent where there are none.
    pub profiled: Option<u64>,
}

/// Endpoints, the one that took most time altogether first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoints {
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// How many more there are.
    pub left_out: u64,
    /// Spans of all of them.
    pub spans: u64,
    /// Why there is no CPU time although it was asked for: the limit that was hit.
    pub without_cpu: Option<String>,
}

fn millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}

impl From<&SpanInfo> for Span {
    fn from(info: &SpanInfo) -> Self {
        let span = &info.span;
        let labels = info.labels.iter();
        let attributes = span.attributes.iter();
        Self {
            trace_id: format!("{:032x}", span.trace_id),
            span_id: format!("{:016x}", span.span_id),
            parent_id: (span.parent_id != 0).then(|| format!("{:016x}", span.parent_id)),
            service: info.service().to_owned(),
            name: span.name.to_string(),
            resource: span.resource.to_string(),
            kind: span.kind.name().to_owned(),
            status: span.status.name().to_owned(),
            message: (!span.message.is_empty()).then(|| span.message.to_string()),
            is_entry: span.is_entry,
            start_ns: span.start.nanos().to_string(),
            start_ms: millis(span.start.nanos()),
            duration_ms: millis(span.duration_nanos),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            attributes: attributes
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }
}

impl SpanScope {
    fn filter(
        &self,
        scope: &Scope,
        principal: &Principal,
        state: &ApiState,
    ) -> Result<SpanFilter, Problem> {
        let selection = scope.selection(principal, state.clock.now())?;
        let mut filter = SpanFilter::everything(selection.tenant, selection.range);
        filter.matchers = selection.matchers;
        self.narrow(&mut filter).map_err(|error| problem_of(&error))?;
        Ok(filter)
    }

    fn narrow(&self, filter: &mut SpanFilter) -> Result<(), ViewError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let pattern = |text| given(text).map(|text| Pattern::parse(&text)).transpose();
        if let Some(service) = given(&self.service) {
            let name = profile::labels::names::SERVICE;
            filter.matchers.push(views::Matcher::equal(name, service));
        }
        filter.resource = pattern(&self.resource)?;
        filter.name = pattern(&self.name)?;
        let kind = |text: String| {
            SpanKind::from_name(&text).ok_or_else(|| {
                let names = SpanKind::ALL.map(SpanKind::name).join(", ");
                ViewError::Invalid(format!("kind={text:?}: write one of {names}"))
            })
        };
        filter.kind = given(&self.kind).map(kind).transpose()?;
        filter.only_errors = self.errors.unwrap_or(false);
        filter.only_entries = self.entries.unwrap_or(false);
        filter.duration_nanos_min = (self.min_ms.unwrap_or(0.0).max(0.0) * 1e6) as i64;
        filter.attributes = parse_matchers(self.attributes.as_deref().unwrap_or_default())?;
        Ok(())
    }
}

/// All spans of a trace that are stored, whenever they were.
#[utoipa::path(get, path = "/api/v1/traces/{trace_id}", tag = "traces",
    params(("trace_id" = String, Path, description = "32 hexadecimal digits, or decimal")),
    responses(
        (status = 200, description = "The trace", body = Trace),
        (status = 404, description = "No such trace", body = ProblemShape,
            content_type = "application/problem+json")))]
pub async fn trace(
    State(state): State<ApiState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Trace>, Problem> {
    let parsed = id_of("trace_id", &id, 32).map_err(|error| problem_of(&error))?;
    let found = state.views.trace(&principal.tenant, parsed).await;
    let found = found.map_err(|error| problem_of(&error))?;
    if found.spans.is_empty() {
        let hint = "it may be older than the retention; see GET /api/v1/spans";
        return Err(Problem::not_found(format!("there is no trace {id}"), hint));
    }
    let spans = found.spans.iter().map(Span::from).collect();
    Ok(Json(Trace { trace_id: format!("{parsed:032x}"), spans, left_out: found.left_out }))
}

/// Spans that began in a range, newest or slowest first.
#[utoipa::path(get, path = "/api/v1/spans", tag = "traces", params(Scope, SpanScope, Page),
    responses((status = 200, description = "A page", body = Spans)))]
pub async fn spans(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(which): Query<SpanScope>,
    Query(page): Query<Page>,
) -> Result<Json<Spans>, Problem> {
    let filter = which.filter(&scope, &principal, &state)?;
    let order = match page.order.as_deref() {
        None | Some("" | "newest") => SpanOrder::Newest,
        Some("slowest") => SpanOrder::Slowest,
        Some(other) => {
            let detail = format!("order={other:?} is not known");
            return Err(Problem::bad_request(detail, "write newest or slowest"));
        }
    };
    let limit = page.limit.unwrap_or(SPANS_DEFAULT).clamp(1, SPANS_MAX);
    let cursor = page.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let after = cursor.map(Place::parse).transpose().map_err(|error| problem_of(&error))?;
    let found = state.views.spans(&filter, SpanPage { order, limit, after }).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let next_cursor = found.next.map(|place| place.to_string());
    Ok(Json(Spans { spans: found.spans.iter().map(Span::from).collect(), next_cursor }))
}

/// What the endpoints of services did in a range: spans that are requests, by what they were about,
/// with the CPU time they took. `entries=false` takes all spans.
#[utoipa::path(get, path = "/api/v1/endpoints", tag = "traces", params(Scope, SpanScope, Most),
    responses((status = 200, description = "Endpoints", body = Endpoints)))]
pub async fn endpoints(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(which): Query<SpanScope>,
    Query(most): Query<Most>,
) -> Result<Json<Endpoints>, Problem> {
    let mut filter = which.filter(&scope, &principal, &state)?;
    filter.only_entries = which.entries.unwrap_or(true);
    let limit = most.limit.unwrap_or(ENDPOINTS_DEFAULT).clamp(1, ENDPOINTS_MAX);
    let query = EndpointQuery { limit, with_cpu: most.cpu.unwrap_or(true) };
    let found = state.views.endpoints(&filter, query).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let endpoint = |one: views::Endpoint| Endpoint {
        mean_ms: one.mean_nanos() / 1e6,
        service: one.service,
        resource: one.resource,
        count: one.count,
        errors: one.errors,
        total_ms: millis(one.total_nanos),
        p50_ms: millis(one.p50_nanos),
        p95_ms: millis(one.p95_nanos),
        p99_ms: millis(one.p99_nanos),
        max_ms: millis(one.max_nanos),
        cpu_ms: one.cpu.map(|cpu| millis(cpu.nanos)),
        cpu_per_request_ms: one.cpu.map(|cpu| cpu.per_request_nanos() / 1e6),
        profiled: one.cpu.map(|cpu| cpu.profiled),
    };
    Ok(Json(Endpoints {
        endpoints: found.endpoints.into_iter().map(endpoint).collect(),
        left_out: found.left_out,
        spans: found.spans,
        without_cpu: found.without_cpu,
    }))
}
