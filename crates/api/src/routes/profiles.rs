//! Lists of profiles, one profile, and its export.

use crate::limits::{PROFILES_DEFAULT, PROFILES_MAX};
use crate::question::{Scope, parse_id, problem_of};
use crate::routes::payloads::KeptPayload;
use crate::shapes::{Problem as ProblemShape, ProfileSummary};
use crate::state::ApiState;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;
use ingest::{Principal, Problem, Query};
use profile::{Profile, ProfileTypeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::unmark;
use utoipa::{IntoParams, ToSchema};
use views::ProfileInfo;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Only profiles with this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub profile_type: Option<String>,
    /// Most profiles of a page: 100 when absent.
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of profiles, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profiles {
    /// The profiles.
    pub profiles: Vec<ProfileSummary>,
    /// Where the next page starts; absent at the end.
    pub next_cursor: Option<String>,
}

/// One profile without its samples.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileDetail {
    /// As in lists.
    #[serde(flatten)]
    pub summary: ProfileSummary,
    /// When it was accepted, in epoch milliseconds.
    pub received_ms: i64,
    /// CPUs of its machine.
    pub cpu_count: Option<u32>,
    /// CPU quota in cores.
    pub cpu_quota: Option<f64>,
    /// Samples lost.
    pub lost: u64,
    /// Samples whose stack does not reach its root.
    pub broken: u64,
    /// Frames without a name.
    pub unsymbolized: u64,
    /// What else the client said.
    pub info: BTreeMap<String, String>,
    /// The upload that it was made of, when that is kept as it came.
    pub payload: Option<KeptPayload>,
}

/// Profiles of a selection, newest first.
#[utoipa::path(get, path = "/api/v1/profiles", tag = "profiles", params(Scope, Page),
    responses((status = 200, description = "A page", body = Profiles)))]
pub async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(page): Query<Page>,
) -> Result<Json<Profiles>, Problem> {
    let mut selection = scope.selection(&principal, state.clock.now())?;
    let wanted = page.profile_type.filter(|id| !id.is_empty());
    selection.profile_type = wanted.map(ProfileTypeId);
    let limit = page.limit.unwrap_or(PROFILES_DEFAULT).clamp(1, PROFILES_MAX);
    let cursor = page.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let found = state.views.profiles(&selection, limit, cursor).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let profiles = found.profiles.iter().map(ProfileSummary::from).collect();
    Ok(Json(Profiles { profiles, next_cursor: found.next_cursor }))
}

async fn find(
    state: &ApiState,
    principal: &Principal,
    id: &str,
) -> Result<(ProfileInfo, Profile, Option<KeptPayload>), Problem> {
    let parsed = parse_id(id)?;
    let found = state.views.profile(&principal.tenant, parsed).await;
    let found = found.map_err(|error| problem_of(&error))?.ok_or_else(|| {
        let hint = "it may be older than the retention; see GET /api/v1/profiles";
        Problem::not_found(format!("there is no profile {id}"), hint)
    });
    let (mut info, mut profile) = found?;
    let payload = state.payloads.of(&principal.tenant, &info.metadata);
    // The client said nothing of it.
    unmark(Arc::make_mut(&mut info.metadata));
    unmark(&mut profile.metadata);
    Ok((info, profile, payload))
}

/// One profile without its samples.
#[utoipa::path(get, path = "/api/v1/profiles/{id}", tag = "profiles",
    params(("id" = String, Path, description = "Id of the profile")),
    responses(
        (status = 200, description = "The profile", body = ProfileDetail),
        (status = 404, description = "No such profile", body = ProblemShape,
            content_type = "application/problem+json")))]
pub async fn detail(
    State(state): State<ApiState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<ProfileDetail>, Problem> {
    let (info, _, payload) = find(&state, &principal, &id).await?;
    let metadata = &info.metadata;
    Ok(Json(ProfileDetail {
        summary: ProfileSummary::from(&info),
        received_ms: info.received_at.millis(),
        cpu_count: metadata.cpu_count,
        cpu_quota: metadata.cpu_quota,
        lost: metadata.lost,
        broken: metadata.broken,
        unsymbolized: metadata.unsymbolized,
        info: metadata.info.iter().cloned().collect(),
        payload,
    }))
}

/// One profile exactly as it was stored, as pprof (gzip).
#[utoipa::path(get, path = "/api/v1/profiles/{id}/pprof", tag = "profiles",
    params(("id" = String, Path, description = "Id of the profile")),
    responses((status = 200, description = "pprof", content_type = "application/octet-stream")))]
pub async fn pprof(
    State(state): State<ApiState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (info, profile, _) = find(&state, &principal, &id).await?;
    let encode = move || formats::pprof::encode_gzip(&profile);
    let bytes = tokio::task::spawn_blocking(encode).await;
    let bytes =
        bytes.map_err(|_| Problem::internal("the profile could not be written as pprof"))?;
    let name = format!("attachment; filename=\"{}.pb.gz\"", info.id);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bytes).into_response())
}
