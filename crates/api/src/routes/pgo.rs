//! Profiles for compilers: where a service spends its CPU time, as Go's `-pgo` takes it.
//!
//! Go's compiler wants a pprof with `samples/count` or `cpu/nanoseconds`, lines, and the line that each
//! function begins at (<https://go.dev/doc/pgo>); it looks only at how values compare.

use crate::limits::{PGO_BYTES_MAX, PGO_HOURS_DEFAULT, PGO_HOURS_MAX, PGO_PROFILES_MAX};
use crate::question::problem_of;
use crate::shapes::Problem as ProblemShape;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;
use ingest::{Principal, Problem, Query};
use profile::labels::names::SERVICE;
use profile::{Profile, ProfileTypeId};
use serde::Deserialize;
use stdx::TimeRange;
use utoipa::IntoParams;
use views::{Matcher, MergeLimits, Merged, Selection, merged, parse_matchers};

/// What is merged.
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// The kind's values that are CPU time and samples of it; others are of the wall clock.
const CPU_MEASURES: usize = 2;
const LIMITS: MergeLimits = MergeLimits { profiles: PGO_PROFILES_MAX, bytes: PGO_BYTES_MAX };

/// What a profile for a compiler is made of.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Build {
    /// Hours up to now: 24 when absent, at most 720.
    pub hours: Option<u32>,
    /// Label selector of the service's profiles, such as `{env="prod"}`; all when absent.
    #[serde(rename = "match")]
    #[param(rename = "match")]
    pub matchers: Option<String>,
    /// Only this source instead of the preferred one of each instance.
    pub source: Option<String>,
}

/// A service's CPU profile of the last hours as Go's compiler takes it (pprof, gzip): of at most 500
/// profiles, which are chosen from all over the time where there are more.
#[utoipa::path(get, path = "/api/v1/pgo/{service}", tag = "profiles",
    params(("service" = String, Path, description = "Value of the label `service_name`"), Build),
    responses(
        (status = 200, description = "pprof", content_type = "application/octet-stream"),
        (status = 404, description = "No CPU profiles", body = ProblemShape,
            content_type = "application/problem+json"),
        (status = 422, description = "They do not say where functions begin", body = ProblemShape,
            content_type = "application/problem+json")))]
pub async fn pgo(
    State(state): State<ApiState>,
    principal: Principal,
    Path(service): Path<String>,
    Query(build): Query<Build>,
) -> Result<Response, Problem> {
    let hours = build.hours.unwrap_or(PGO_HOURS_DEFAULT);
    if hours == 0 || hours > PGO_HOURS_MAX {
        let hint = format!("give 1 to {PGO_HOURS_MAX}");
        return Err(Problem::bad_request(format!("hours={hours}"), hint));
    }
    let now = state.clock.now();
    let range = TimeRange::new(now.plus_nanos(-i64::from(hours) * 3_600_000_000_000), now);
    let mut selection = Selection::everything(principal.tenant.clone(), range);
    let matchers = parse_matchers(build.matchers.as_deref().unwrap_or_default());
    selection.matchers = matchers.map_err(|error| problem_of(&error))?;
    selection.matchers.push(Matcher::equal(SERVICE, service.as_str()));
    selection.profile_type = Some(ProfileTypeId(CPU.to_owned()));
    selection.source = build.source.filter(|source| !source.is_empty());
    let merged = merged(&*state.views, &selection, LIMITS).await;
    let merged = merged.map_err(|error| problem_of(&error))?;
    let encode = move || written(merged, &service, hours);
    let bytes = tokio::task::spawn_blocking(encode).await;
    let bytes = bytes.map_err(|_| Problem::internal("the profile could not be written"))??;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        // The name that `go build` looks for.
        (header::CONTENT_DISPOSITION, "attachment; filename=\"default.pgo\""),
    ];
    Ok((headers, bytes).into_response())
}

fn written(merged: Merged, service: &str, hours: u32) -> Result<Vec<u8>, Problem> {
    let Merged { mut profile, merged, found, .. } = merged;
    for sample in &mut profile.samples {
        sample.values[CPU_MEASURES..].fill(0);
    }
    profile.samples.retain(|sample| sample.values != [0; profile::VALUES_MAX]);
    if profile.samples.is_empty() {
        let detail = format!("there is no CPU profile of {service:?} in the last {hours} h");
        let hint = "GET /api/v1/services lists what there is; give hours=… for more";
        return Err(Problem::not_found(detail, hint));
    }
    if !has_start_lines(&profile) {
        let detail = format!(
            "none of the {merged} CPU profiles of {service:?} says at which line a function begins"
        );
        let hint = "send CPU profiles that Go's runtime makes from Go 1.20 on (runtime/pprof, \
            Pyroscope's or Datadog's library); with several sources, choose that one with source=…";
        let title = "The profiles are not enough for a compiler";
        let status = http::StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "/problems/no-lines", title, detail, hint));
    }
    let info = &mut profile.metadata.info;
    info.push(("default_sample_type".to_owned(), "cpu".to_owned()));
    info.push(("comment".to_owned(), format!("{merged} of {found} profiles of {hours} h")));
    Ok(formats::pprof::encode_gzip(&profile))
}

/// Whether some line of a function that has a first line is known: what Go's compiler needs to find
/// calls.
fn has_start_lines(profile: &Profile) -> bool {
    let tables = &profile.tables;
    let mut lines = tables.locations.iter().flat_map(|(_, row)| &row.lines);
    lines.any(|line| {
        let function = tables.functions.get(line.function);
        line.line > 0 && function.is_some_and(|function| function.start_line > 0)
    })
}
