//! What there is: services, profile types, labels.

use crate::limits::{LABEL_VALUES_MAX, SPARK_POINTS};
use crate::question::{Scope, problem_of};
use crate::shapes::{ProfileType, Range};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use ingest::{Principal, Problem, Query};
use serde::Serialize;
use stdx::TimeRange;
use utoipa::ToSchema;
use views::ServiceSummary;

/// All services of a range.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Services {
    /// By CPU use, largest first.
    pub services: Vec<Service>,
    /// The range.
    pub range: Range,
    /// CPUs of all hosts seen, where collectors said so.
    pub cpu_count: Option<u64>,
    /// Mean number of cores in use on these hosts, each over the time it was seen. Not the sum of
    /// the services' means, which are over the time that each service was seen.
    pub cpu_cores: Option<f64>,
}

/// One service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// Language runtimes.
    pub runtimes: Vec<String>,
    /// Sources.
    pub sources: Vec<String>,
    /// Where the agent took the name from.
    pub name_source: Option<String>,
    /// Hosts it ran on.
    pub hosts: u64,
    /// Instances.
    pub instances: u64,
    /// Mean number of cores in use while it was seen.
    pub cpu_cores: Option<f64>,
    /// `cpu_cores` as part of the CPUs (`cpu_count`), 0 to 1.
    pub cpu_share: Option<f64>,
    /// Events.
    pub samples: u64,
    /// When it was last seen, in epoch milliseconds; of a service without profiles, when its last
    /// span began.
    pub last_ms: i64,
    /// Profile type ids; none where a service has only spans.
    pub types: Vec<String>,
    /// Cores in use over the range.
    pub spark: Vec<f64>,
    /// Samples lost.
    pub lost: u64,
    /// Samples whose stack does not reach its root.
    pub broken: u64,
    /// Frames without a name.
    pub unsymbolized: u64,
    /// Remarks of collectors, e.g. that a language's frames are not read.
    pub notes: Vec<String>,
    /// How often CPU time was sampled, where collectors said so.
    pub sampling: Option<Sampling>,
}

/// Sampling rates in samples per second of CPU time.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Sampling {
    /// The highest rate asked for; null where no collector says so.
    pub requested_hz: Option<f64>,
    /// The lowest rate used.
    pub lowest_hz: f64,
    /// The highest rate used.
    pub highest_hz: f64,
}

/// Profile types.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileTypes {
    /// By id.
    pub types: Vec<ProfileType>,
}

/// Names of labels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LabelNames {
    /// In order.
    pub labels: Vec<String>,
}

/// Values of a label.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LabelValues {
    /// In order.
    pub values: Vec<LabelValue>,
    /// Values left out because there are too many; those of most profiles are listed.
    pub left_out: u64,
}

/// A value of a label.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LabelValue {
    /// The value.
    pub value: String,
    /// Profiles that carry it; 0 where only spans do.
    pub profiles: u64,
}

/// All services of a range, with their CPU use; those that sent only spans, too.
#[utoipa::path(get, path = "/api/v1/services", tag = "explore", params(Scope),
    responses((status = 200, description = "Services", body = Services)))]
pub async fn services(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
) -> Result<Json<Services>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let found = state.views.services(&selection, SPARK_POINTS).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let range = selection.range;
    let rows = found.services.iter().map(|one| service(one, range, found.cpu_count));
    let services = rows.collect();
    let (cpu_count, cpu_cores) = (found.cpu_count, found.cpu_cores);
    Ok(Json(Services { services, range: range.into(), cpu_count, cpu_cores }))
}

fn service(found: &ServiceSummary, range: TimeRange, cpu_count: Option<u64>) -> Service {
    let bucket_nanos = range.nanos() as f64 / found.spark.len().max(1) as f64;
    let cores = |nanos: &i64| if bucket_nanos > 0.0 { *nanos as f64 / bucket_nanos } else { 0.0 };
    let cpu_cores = found.cpu_cores();
    let share = |cores: f64, cpus: u64| cores / cpus.max(1) as f64;
    Service {
        service: found.service.clone(),
        runtimes: found.runtimes.iter().cloned().collect(),
        sources: found.sources.iter().cloned().collect(),
        name_source: found.name_source.clone(),
        hosts: found.hosts,
        instances: found.instances,
        cpu_cores,
        cpu_share: cpu_cores.zip(cpu_count).map(|(cores, cpus)| share(cores, cpus)),
        samples: found.quality.samples,
        last_ms: found.last.millis(),
        types: found.types.iter().map(|id| id.0.clone()).collect(),
        spark: found.spark.iter().map(cores).collect(),
        lost: found.quality.lost,
        broken: found.quality.broken,
        unsymbolized: found.quality.unsymbolized,
        notes: found.notes.iter().cloned().collect(),
        sampling: found.sampling.map(|rates| Sampling {
            requested_hz: rates.requested_hz,
            lowest_hz: rates.lowest_hz,
            highest_hz: rates.highest_hz,
        }),
    }
}

/// Profile types with data in a selection.
#[utoipa::path(get, path = "/api/v1/profile-types", tag = "explore", params(Scope),
    responses((status = 200, description = "Profile types", body = ProfileTypes)))]
pub async fn profile_types(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
) -> Result<Json<ProfileTypes>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let found = state.views.profile_types(&selection).await;
    let found = found.map_err(|error| problem_of(&error))?;
    Ok(Json(ProfileTypes { types: found.iter().map(ProfileType::from).collect() }))
}

/// Names of labels in a selection, of profiles and of spans.
#[utoipa::path(get, path = "/api/v1/labels", tag = "explore", params(Scope),
    responses((status = 200, description = "Names of labels", body = LabelNames)))]
pub async fn label_names(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
) -> Result<Json<LabelNames>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let labels = state.views.label_names(&selection).await;
    Ok(Json(LabelNames { labels: labels.map_err(|error| problem_of(&error))? }))
}

/// Values of a label in a selection, of profiles and of spans.
#[utoipa::path(get, path = "/api/v1/labels/{name}/values", tag = "explore",
    params(("name" = String, Path, description = "Name of the label"), Scope),
    responses((status = 200, description = "Values of a label", body = LabelValues)))]
pub async fn label_values(
    State(state): State<ApiState>,
    principal: Principal,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
) -> Result<Json<LabelValues>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let found = state.views.label_values(&selection, &name).await;
    let mut found = found.map_err(|error| problem_of(&error))?;
    let left_out = found.len().saturating_sub(LABEL_VALUES_MAX) as u64;
    if left_out > 0 {
        found.sort_by_key(|one| std::cmp::Reverse(one.profiles));
        found.truncate(LABEL_VALUES_MAX);
        found.sort_by(|a, b| a.value.cmp(&b.value));
    }
    let values = found.into_iter();
    let values = values.map(|one| LabelValue { value: one.value, profiles: one.profiles });
    Ok(Json(LabelValues { values: values.collect(), left_out }))
}
