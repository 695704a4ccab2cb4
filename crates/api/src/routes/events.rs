//! What runtimes tell beside samples: events, and gauges over time.

use crate::limits::{EVENTS_DEFAULT, METRIC_NAMES_MAX, METRIC_STEPS_DEFAULT};
use crate::question::{Scope, problem_of};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Principal, Problem, Query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use views::events::EventPlace;
use views::limits::{EVENTS_MAX, METRIC_STEP_MS_MIN};
use views::{EventFilter, EventInfo, EventPage, Matcher, MetricQuery, Pattern};

/// Which events of the selected series.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventScope {
    /// Only this service: short for `match={service_name="…"}`.
    pub service: Option<String>,
    /// Only of these categories, with commas between: `gc`, `safepoint`, `thread`, ….
    pub category: Option<String>,
    /// Only what is called so, such as `jdk.GarbageCollection`; `/…/` is a regular expression.
    pub name: Option<String>,
    /// Only what took at least so many milliseconds.
    pub min_ms: Option<f64>,
    /// Most events of a page: 100 when absent.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which gauges of the selected series.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MetricScope {
    /// Only this service: short for `match={service_name="…"}`.
    pub service: Option<String>,
    /// Only gauges of these names, with commas between, such as `jdk.CPULoad.jvmUser`.
    pub names: Option<String>,
    /// Length of a step in milliseconds; about 120 steps when absent.
    pub step_ms: Option<i64>,
}

/// Something that happened in a runtime.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its service.
    pub service: String,
    /// What it is about: `gc`, `safepoint`, `thread`, ….
    pub category: String,
    /// What happened, in the client's words.
    pub name: String,
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

/// A page of events, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next page starts; absent at the end.
    pub next_cursor: Option<String>,
}

/// What was read of a gauge in one step.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct MetricPoint {
    /// When the step begins, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The mean of what was read.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many readings these are of.
    pub readings: u64,
}

/// A gauge over time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Metric {
    /// Its name, in the client's words.
    pub name: String,
    /// Its unit, `part` for parts of 1; empty where the client does not say it.
    pub unit: String,
    /// Labels of its series.
    pub labels: BTreeMap<String, String>,
    /// What else tells it from others, such as `when` it was read.
    pub attributes: BTreeMap<String, String>,
    /// Steps with readings, by time.
    pub points: Vec<MetricPoint>,
}

/// Gauges over time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Metrics {
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// The gauges, by labels and name.
    pub metrics: Vec<Metric>,
}

fn millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}

fn shown<'a>(
    pairs: impl IntoIterator<Item = &'a (Arc<str>, Arc<str>)>,
) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn labels_of(labels: &profile::Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl From<&EventInfo> for Event {
    fn from(info: &EventInfo) -> Self {
        let event = &info.event;
        Self {
            service: info.service().to_owned(),
            category: event.category.to_string(),
            name: event.name.to_string(),
            start_ns: event.start.nanos().to_string(),
            start_ms: millis(event.start.nanos()),
            duration_ms: millis(event.duration_nanos),
            labels: labels_of(&info.labels),
            attributes: shown(&event.attributes),
        }
    }
}

impl From<views::MetricSeries> for Metric {
    fn from(series: views::MetricSeries) -> Self {
        let gauge = &series.gauge;
        let point = |point: views::events::MetricPoint| MetricPoint {
            time_ms: point.time_ms,
            mean: point.mean,
            min: point.min,
            max: point.max,
            readings: point.readings,
        };
        Self {
            name: gauge.name.to_string(),
            unit: gauge.unit.to_string(),
            labels: labels_of(&gauge.labels),
            attributes: shown(&gauge.attributes),
            points: series.points.into_iter().map(point).collect(),
        }
    }
}

/// The words of a list with commas between.
fn words(parameter: &str, list: Option<&str>) -> Result<Vec<String>, Problem> {
    let words = list.unwrap_or_default().split(',').map(str::trim);
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if words.len() > METRIC_NAMES_MAX {
        let detail = format!("{parameter} names {}", words.len());
        return Err(Problem::bad_request(detail, format!("name at most {METRIC_NAMES_MAX}")));
    }
    Ok(words)
}

fn with_service(mut matchers: Vec<Matcher>, service: Option<&String>) -> Vec<Matcher> {
    let service = service.filter(|service| !service.is_empty()).cloned();
    let name = profile::labels::names::SERVICE;
    matchers.extend(service.map(|service| Matcher::equal(name, service)));
    matchers
}

/// What happened in runtimes in a range, such as collections of garbage, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "runtimes", params(Scope, EventScope),
    responses((status = 200, description = "A page", body = Events)))]
pub async fn events(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(which): Query<EventScope>,
) -> Result<Json<Events>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let name = which.name.as_deref().filter(|name| !name.is_empty());
    let filter = EventFilter {
        matchers: with_service(selection.matchers, which.service.as_ref()),
        categories: words("category", which.category.as_deref())?,
        name: name.map(Pattern::parse).transpose().map_err(|error| problem_of(&error))?,
        duration_nanos_min: (which.min_ms.unwrap_or(0.0).max(0.0) * 1e6) as i64,
        ..EventFilter::everything(selection.tenant, selection.range)
    };
    let limit = which.limit.unwrap_or(EVENTS_DEFAULT).clamp(1, EVENTS_MAX);
    let cursor = which.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let after = cursor.map(EventPlace::parse).transpose().map_err(|error| problem_of(&error))?;
    let found = state.views.events(&filter, EventPage { limit, after }).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let next_cursor = found.next.map(|place| place.to_string());
    Ok(Json(Events { events: found.events.iter().map(Event::from).collect(), next_cursor }))
}

/// Gauges that runtimes and clients report, such as the part of the CPU time that a process uses, over
/// time.
#[utoipa::path(get, path = "/api/v1/metrics", tag = "runtimes", params(Scope, MetricScope),
    responses((status = 200, description = "Gauges", body = Metrics)))]
pub async fn metrics(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(which): Query<MetricScope>,
) -> Result<Json<Metrics>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let own_step = (selection.range.nanos() / 1_000_000 / METRIC_STEPS_DEFAULT).max(1_000);
    let step_ms = which.step_ms.unwrap_or(own_step).max(METRIC_STEP_MS_MIN);
    let query = MetricQuery {
        tenant: selection.tenant,
        range: selection.range,
        matchers: with_service(selection.matchers, which.service.as_ref()),
        names: words("names", which.names.as_deref())?,
        step_ms,
    };
    let found = state.views.metrics(&query).await.map_err(|error| problem_of(&error))?;
    Ok(Json(Metrics { step_ms, metrics: found.into_iter().map(Metric::from).collect() }))
}
