//! Uploads that are kept as they came: what is kept of a profile's, its bytes, and reading all again.

use super::admin::{AdminState, refused};
use crate::limits::{
    REPARSE_DECODED_BYTES_MAX, REPARSE_PAYLOADS_MAX, REPARSE_TIME_MAX, REPARSES_MAX,
};
use crate::question::{Scope, parse_id, problem_of};
use crate::shapes::Problem as ProblemShape;
use crate::state::Payloads;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http::header;
use ingest::auth::Rule;
use ingest::{Ingest, Need, Payload, Principal, Problem, Query, Reading, Request};
use profile::Metadata;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stdx::{TimeRange, Ulid};
use store::{Outcome, Parsed, PayloadRow, Reparsed, Store, payload_of};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use views::Views;

/// State of these routes.
#[derive(Clone)]
pub struct PayloadsState {
    /// Where they are kept.
    pub admin: AdminState,
    /// What knows the profiles.
    pub views: Arc<dyn Views>,
    /// What reads them again.
    pub ingest: Arc<Ingest>,
    turns: Arc<Semaphore>,
}

impl PayloadsState {
    /// Of a store and what reads into it.
    pub fn new(admin: AdminState, views: Arc<dyn Views>, ingest: Arc<Ingest>) -> Self {
        Self { admin, views, ingest, turns: Arc::new(Semaphore::new(REPARSES_MAX)) }
    }
}

impl std::fmt::Debug for PayloadsState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadsState").finish_non_exhaustive()
    }
}

/// What each of these routes needs. An upload holds what decoders leave out, and profiles beside the
/// one that is asked for: viewers do not see it.
pub const RULES: &[Rule] = &[
    Rule { method: "GET", path: "/api/v1/profiles/{id}/payload", need: Need::Observe },
    Rule { method: "POST", path: "/api/v1/admin/reparse", need: Need::Admin },
];

#[derive(OpenApi)]
struct Description;

pub(crate) fn described() -> OpenApiRouter<PayloadsState> {
    let routes = OpenApiRouter::with_openapi(Description::openapi());
    routes.routes(routes!(payload)).routes(routes!(reparse))
}

/// The routes.
pub fn router(state: PayloadsState) -> Router {
    described().split_for_parts().0.with_state(state)
}

/// The upload that a profile was made of, as it came.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeptPayload {
    /// Its id.
    pub id: String,
    /// Bytes of its body.
    pub bytes: u64,
    /// SHA-256 of its body, in hex.
    pub sha256: String,
    /// Who took it: `otlp`, `pyroscope` or `upload`.
    pub receiver: String,
    /// When it came, in epoch milliseconds.
    pub received_ms: i64,
    /// Profiles that were made of it.
    pub profiles: u64,
}

fn receiver(row: &PayloadRow) -> String {
    let request = Request::from_text(&row.request).map(|request| request.receiver);
    let name = request.and_then(|receiver| serde_json::to_value(receiver).ok());
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Payloads for Store {
    fn of(&self, tenant: &str, metadata: &Metadata) -> Option<KeptPayload> {
        let row = self.payload(tenant, payload_of(metadata)?)?;
        Some(KeptPayload {
            id: row.id.to_string(),
            bytes: row.bytes,
            sha256: row.sha256.clone(),
            receiver: receiver(&row),
            received_ms: row.received_at.millis(),
            profiles: row.profiles,
        })
    }
}

async fn read(store: &Arc<Store>, row: Arc<PayloadRow>) -> Result<Bytes, Problem> {
    let store = Arc::clone(store);
    let read = tokio::task::spawn_blocking(move || store.read_payload(&row)).await;
    let read = read.map_err(|_| Problem::internal("the payload could not be read"))?;
    read.map_err(|error| refused(&error))
}

/// The upload that a profile was made of, byte for byte as it came, when it is kept.
#[utoipa::path(get, path = "/api/v1/profiles/{id}/payload", tag = "profiles",
    params(("id" = String, Path, description = "Id of the profile")),
    responses(
        (status = 200, description = "The body", content_type = "application/octet-stream"),
        (status = 404, description = "No such profile, or its upload is not kept",
            body = ProblemShape, content_type = "application/problem+json")))]
pub async fn payload(
    State(state): State<PayloadsState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let tenant = &principal.tenant;
    let found = state.views.profile(tenant, parse_id(&id)?).await;
    let (info, _) = found.map_err(|error| problem_of(&error))?.ok_or_else(|| {
        let hint = "it may be older than the retention; see GET /api/v1/profiles";
        Problem::not_found(format!("there is no profile {id}"), hint)
    })?;
    let row =
        payload_of(&info.metadata).and_then(|payload| state.admin.store.payload(tenant, payload));
    let row = row.ok_or_else(|| {
        let hint = "uploads are kept where [[payloads]] of the settings file says so";
        Problem::not_found(format!("the upload of profile {id} is not kept"), hint)
    })?;
    let name = format!("attachment; filename=\"{}.payload\"", row.id);
    let body = read(&state.admin.store, row).await?;
    // The bytes are somebody's: no browser is to make anything of them.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// Which payloads are read again.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReparseRequest {
    /// Only uploads with profiles of this service.
    pub service: Option<String>,
    /// Only uploads with profiles from this time on: epoch milliseconds, `now`, or `now-1h`.
    pub from: Option<String>,
    /// Only uploads with profiles before this time.
    pub to: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// `next` of the answer before.
    pub after: Option<String>,
}

/// A payload whose profiles are, or would be, other ones now, or that could not be read again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReparsedPayload {
    /// Its id.
    pub id: String,
    /// When it came, in epoch milliseconds.
    pub received_ms: i64,
    /// Services of its profiles.
    pub services: Vec<String>,
    /// `replaced`; or why its profiles stay: `empty` (it reads as nothing now), `failed` (it cannot be
    /// read), `incomplete` (not all that was made of it is there), `sealed` (retention dropped samples
    /// of the same hour), `gone` (it is not kept any more).
    pub outcome: String,
    /// Profiles that were made of it before.
    pub profiles_before: u64,
    /// Profiles that it reads as now.
    pub profiles_after: u64,
    /// Samples of those before.
    pub samples_before: u64,
    /// Samples of those now.
    pub samples_after: u64,
    /// What could not be read; the first few.
    pub issues: Vec<String>,
}

/// How far reading again is, and what came of this piece.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ReparseAnswer {
    /// Payloads that were asked for.
    pub total: u64,
    /// Of those, read by now, in answers before this one included.
    pub done: u64,
    /// What to ask for next with `after`; absent at the end.
    pub next: Option<String>,
    /// Payloads of this piece that read as before.
    pub same: u64,
    /// The others.
    pub payloads: Vec<ReparsedPayload>,
}

fn name_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Replaced => "replaced",
        Outcome::Same => "same",
        Outcome::Gone => "gone",
        Outcome::Incomplete => "incomplete",
        Outcome::Empty => "empty",
        Outcome::Sealed => "sealed",
    }
}

fn selected(
    state: &PayloadsState,
    principal: &Principal,
    wanted: &ReparseRequest,
) -> Result<Vec<Arc<PayloadRow>>, Problem> {
    let range = if wanted.from.is_none() && wanted.to.is_none() {
        TimeRange::ALL
    } else {
        let from = wanted.from.clone().or_else(|| Some("0".to_owned()));
        let scope = Scope { from, to: wanted.to.clone(), matchers: None };
        scope.range(state.admin.clock.now())?
    };
    let mut rows = state.admin.store.payloads(&principal.tenant);
    rows.retain(|row| {
        let is_its = |service: &String| row.services.contains(service);
        wanted.service.as_ref().is_none_or(is_its)
            && row.t_min_ns < range.end.nanos()
            && row.t_max_ns >= range.start.nanos()
    });
    Ok(rows)
}

/// Reads kept uploads again with today's decoders and puts what they read as now in the place of the
/// profiles that were made of them before, a piece at each call: ask again with `after` until there is
/// no `next`. What reads as nothing, or not at all, leaves the profiles as they are.
#[utoipa::path(post, path = "/api/v1/admin/reparse", tag = "admin", params(ReparseRequest),
    responses(
    (status = 200, description = "A piece is done", body = ReparseAnswer),
    (status = 429, description = "Somebody else is at it", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn reparse(
    State(state): State<PayloadsState>,
    principal: Principal,
    Query(wanted): Query<ReparseRequest>,
) -> Result<Json<ReparseAnswer>, Problem> {
    let turn = state.turns.try_acquire();
    let _turn = turn.map_err(|_| Problem::busy("uploads are being read again already"))?;
    let rows = selected(&state, &principal, &wanted)?;
    let after = wanted.after.as_deref().filter(|text| !text.is_empty());
    let after = after.map(parse_id).transpose()?;
    let is_done = |id: Ulid| after.is_some_and(|after| id <= after);
    let before = rows.iter().filter(|row| is_done(row.id)).count();
    let rest = rows.get(before..).unwrap_or_default();
    let piece = Piece::read(&state, rest).await;
    let done = before + piece.rows.len();
    let mut answer = ReparseAnswer {
        total: rows.len() as u64,
        done: done as u64,
        next: piece.rows.last().filter(|_| done < rows.len()).map(|row| row.id.to_string()),
        ..ReparseAnswer::default()
    };
    let Piece { rows, parsed, mut issues, failed } = piece;
    let found = state.admin.store.reparse(&principal.tenant, parsed, wanted.dry_run).await;
    let found = found.map_err(|error| refused(&error))?;
    let found = found.into_iter().map(|one| (name_of(one.outcome), one));
    for (outcome, one) in found.chain(failed.into_iter().map(|one| ("failed", one))) {
        if outcome == "same" {
            answer.same += 1;
            continue;
        }
        let Some(row) = rows.iter().find(|row| row.id == one.payload) else { continue };
        let issues = issues.remove(&one.payload).unwrap_or_default();
        answer.payloads.push(shown(row, outcome, &one, issues));
    }
    if !wanted.dry_run && !answer.payloads.is_empty() {
        tracing::info!(tenant = ?principal.tenant, by = ?principal.name,
            payloads = answer.payloads.len(), "uploads were read again");
    }
    Ok(Json(answer))
}

fn shown(row: &PayloadRow, outcome: &str, one: &Reparsed, issues: Vec<String>) -> ReparsedPayload {
    ReparsedPayload {
        id: row.id.to_string(),
        received_ms: row.received_at.millis(),
        services: row.services.clone(),
        outcome: outcome.to_owned(),
        profiles_before: one.before.0,
        profiles_after: one.after.0,
        samples_before: one.before.1,
        samples_after: one.after.1,
        issues,
    }
}

/// Payloads that were read, as many as fit into memory and time.
#[derive(Default)]
struct Piece {
    rows: Vec<Arc<PayloadRow>>,
    parsed: Vec<Parsed>,
    issues: std::collections::HashMap<Ulid, Vec<String>>,
    failed: Vec<Reparsed>,
}

impl Piece {
    async fn read(state: &PayloadsState, rest: &[Arc<PayloadRow>]) -> Self {
        let since = state.admin.clock.monotonic();
        let (mut piece, mut bytes) = (Self::default(), 0);
        for row in rest.iter().take(REPARSE_PAYLOADS_MAX) {
            let time = state.admin.clock.monotonic().saturating_sub(since);
            if bytes >= REPARSE_DECODED_BYTES_MAX || time >= REPARSE_TIME_MAX {
                break;
            }
            piece.rows.push(Arc::clone(row));
            let payload = row.id;
            match read_again(state, row).await {
                Ok(reading) => {
                    bytes += reading.bytes;
                    piece.issues.insert(payload, reading.issues);
                    piece.parsed.push(Parsed { payload, profiles: reading.profiles });
                }
                Err(why) => {
                    piece.issues.insert(payload, vec![why]);
                    let (outcome, none) = (Outcome::Empty, (0, 0));
                    let before = (row.profiles, 0);
                    piece.failed.push(Reparsed { payload, outcome, before, after: none });
                }
            }
        }
        piece
    }
}

async fn read_again(state: &PayloadsState, row: &Arc<PayloadRow>) -> Result<Reading, String> {
    let request = Request::from_text(&row.request);
    let request = request.ok_or("how it came is not known here: it is of a newer version")?;
    let body = read(&state.admin.store, Arc::clone(row)).await.map_err(|it| it.detail)?;
    let payload = Payload { request, body, received_at: row.received_at };
    state.ingest.read_again(payload).await.map_err(|problem| problem.detail)
}
