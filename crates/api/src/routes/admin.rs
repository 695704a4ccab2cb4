//! What is kept, pinned and deleted; check and backup of the store.

use crate::question::Scope;
use crate::shapes::{Problem as ProblemShape, Range};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use ingest::auth::Rule;
use ingest::{Need, Principal, Problem};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use stdx::Clock;
use store::{ErrorKind, Store};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Pieces of a backup that wait for a slow client.
const PIECES_WAITING: usize = 2;

/// State of these routes.
#[derive(Clone)]
pub struct AdminState {
    /// What is administered.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}

const fn admin(method: &'static str, path: &'static str) -> Rule {
    Rule { method, path, need: Need::Admin }
}

/// What each of these routes needs.
pub const RULES: &[Rule] = &[
    Rule { method: "GET", path: "/api/v1/retention", need: Need::Read },
    Rule { method: "GET", path: "/api/v1/pins", need: Need::Read },
    admin("POST", "/api/v1/admin/pins"),
    admin("DELETE", "/api/v1/admin/pins/{name}"),
    admin("GET", "/api/v1/admin/deletions"),
    admin("POST", "/api/v1/admin/deletions"),
    admin("GET", "/api/v1/admin/fsck"),
    admin("GET", "/api/v1/admin/export"),
];

#[derive(OpenApi)]
struct Description;

pub(crate) fn described() -> OpenApiRouter<AdminState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(retention))
        .routes(routes!(pins))
        .routes(routes!(pin))
        .routes(routes!(unpin))
        .routes(routes!(deletions, delete))
        .routes(routes!(fsck))
        .routes(routes!(export))
}

/// The routes.
pub fn router(state: AdminState) -> Router {
    described().split_for_parts().0.with_state(state)
}

pub(crate) fn refused(error: &store::Error) -> Problem {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Invalid => Problem::bad_request(text, "see the parameters in openapi.json"),
        ErrorKind::Full => Problem::busy(text),
        ErrorKind::DiskFull => Problem::disk_full(text),
        ErrorKind::Io | ErrorKind::Corrupt => {
            tracing::error!(%error, "administration failed");
            Problem::unavailable(text)
        }
    }
}

/// What is kept, and what was dropped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Retention {
    /// Days that profiles are kept where no rule says otherwise.
    pub days: f64,
    /// Rules; the one that says most wins.
    pub rules: Vec<RetentionRule>,
    /// Bytes that all tenants' profiles may take together.
    pub budget_bytes: Option<u64>,
    /// Bytes that all tenants' profiles take: segments and logs.
    pub used_bytes: u64,
    /// Bytes free on the disk.
    pub free_bytes: Option<u64>,
    /// Bytes of the tenant's segments.
    pub bytes: u64,
    /// Profiles in them.
    pub profiles: u64,
    /// Their oldest time in epoch milliseconds.
    pub oldest_ms: Option<i64>,
    /// What of the tenant's was dropped lately, newest first.
    pub drops: Vec<Dropped>,
}

/// What is kept for another time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RetentionRule {
    /// Of which service; any when absent.
    pub service: Option<String>,
    /// Of which kind; any when absent.
    pub kind: Option<String>,
    /// For how many days.
    pub days: f64,
}

/// Something that was dropped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dropped {
    /// When, in epoch milliseconds.
    pub at_ms: i64,
    /// Why: `age`, `budget` or `deletion`.
    pub reason: String,
    /// Profiles that are gone.
    pub profiles: u64,
    /// Bytes that became free.
    pub bytes: u64,
    /// First time in what was dropped, in epoch milliseconds.
    pub from_ms: i64,
    /// Last time in it.
    pub to_ms: i64,
}

/// What is kept, how much it takes, and what was dropped and why.
#[utoipa::path(get, path = "/api/v1/retention", tag = "retention",
    responses((status = 200, description = "The tenant's", body = Retention)))]
pub async fn retention(
    State(state): State<AdminState>,
    principal: Principal,
) -> Result<Json<Retention>, Problem> {
    const DAY_SECONDS: f64 = 86_400.0;
    let status = state.store.retention_status().await.map_err(|error| refused(&error))?;
    let is_its = |tenant: &Option<String>| tenant.as_ref().is_none_or(|t| *t == principal.tenant);
    let rules = status.rules.into_iter().filter(|rule| is_its(&rule.tenant));
    let own = status.tenants.into_iter().find(|row| row.tenant == principal.tenant);
    let own = own.unwrap_or_default();
    let drops = status.drops.into_iter().filter(|row| row.tenant == principal.tenant);
    Ok(Json(Retention {
        days: status.retention.as_secs_f64() / DAY_SECONDS,
        rules: rules
            .map(|rule| RetentionRule {
                service: rule.service,
                kind: rule.kind,
                days: rule.keep.as_secs_f64() / DAY_SECONDS,
            })
            .collect(),
        budget_bytes: status.budget_bytes,
        used_bytes: status.segment_bytes + status.wal_bytes,
        free_bytes: status.free_bytes,
        bytes: own.bytes,
        profiles: own.profiles,
        oldest_ms: own.bounds.map(|(first, _)| first / 1_000_000),
        drops: drops
            .map(|row| Dropped {
                at_ms: row.at.millis(),
                reason: row.reason,
                profiles: row.profiles,
                bytes: row.bytes,
                from_ms: row.t_min_ns / 1_000_000,
                to_ms: row.t_max_ns / 1_000_000,
            })
            .collect(),
    }))
}

/// A range of a service that is kept until the pin is removed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pin {
    /// What people call it.
    pub name: String,
    /// The service.
    pub service: String,
    /// The range.
    pub range: Range,
    /// When it was made, in epoch milliseconds.
    pub created_ms: i64,
}

fn shown_pin(pin: store::Pin) -> Pin {
    let created_ms = pin.created_at.millis();
    Pin { name: pin.name, service: pin.service, range: pin.range.into(), created_ms }
}

/// The tenant's pins.
#[utoipa::path(get, path = "/api/v1/pins", tag = "retention",
    responses((status = 200, description = "Pins, oldest first", body = Vec<Pin>)))]
pub async fn pins(State(state): State<AdminState>, principal: Principal) -> Json<Vec<Pin>> {
    Json(state.store.pins(&principal.tenant).into_iter().map(shown_pin).collect())
}

/// What to pin.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PinRequest {
    /// What people will call it.
    pub name: String,
    /// The service.
    pub service: String,
    /// Start (inclusive): epoch milliseconds, `now`, or `now-1h`. An hour before the end when
    /// absent.
    pub from: Option<String>,
    /// End (exclusive), written like `from`; now when absent.
    pub to: Option<String>,
}

/// Keeps a range of a service, whatever its age and the disk budget.
#[utoipa::path(post, path = "/api/v1/admin/pins", tag = "admin", params(PinRequest), responses(
    (status = 200, description = "Kept", body = Pin),
    (status = 400, description = "A name that is taken, or an empty range", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn pin(
    State(state): State<AdminState>,
    principal: Principal,
    Query(wanted): Query<PinRequest>,
) -> Result<Json<Pin>, Problem> {
    let scope = Scope { from: wanted.from, to: wanted.to, matchers: None };
    let range = scope.range(state.clock.now())?;
    let pinned = state.store.pin(&principal.tenant, &wanted.name, &wanted.service, range).await;
    Ok(Json(shown_pin(pinned.map_err(|error| refused(&error))?)))
}

/// Removes a pin; what is too old goes with the next round of retention.
#[utoipa::path(delete, path = "/api/v1/admin/pins/{name}", tag = "admin",
    params(("name" = String, Path, description = "The pin's name")), responses(
    (status = 204, description = "Removed"),
    (status = 404, description = "No such pin", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn unpin(
    State(state): State<AdminState>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let removed = state.store.unpin(&principal.tenant, &name).await;
    if removed.map_err(|error| refused(&error))? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("there is no pin {name:?}"), "see /api/v1/pins"))
}

/// A deletion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Deletion {
    /// Its id; empty for a preview.
    pub id: String,
    /// Which series.
    pub selector: String,
    /// Profiles with any time in this range go as a whole.
    pub range: Range,
    /// When it was asked for, in epoch milliseconds.
    pub created_ms: i64,
    /// When the last file with any of it was replaced; until then it is only hidden.
    pub done_ms: Option<i64>,
    /// Profiles removed so far; for a preview and the answer to a deletion, those that it names.
    pub profiles: u64,
}

/// Deletions that are being worked on, and those of the last day.
#[utoipa::path(get, path = "/api/v1/admin/deletions", tag = "admin",
    responses((status = 200, description = "Oldest first", body = Vec<Deletion>)))]
pub async fn deletions(
    State(state): State<AdminState>,
    principal: Principal,
) -> Result<Json<Vec<Deletion>>, Problem> {
    let rows = state.store.deletions().await.map_err(|error| refused(&error))?;
    let rows = rows.into_iter().filter(|row| row.tenant == principal.tenant);
    Ok(Json(
        rows.map(|row| Deletion {
            id: row.id.to_string(),
            selector: row.selector,
            range: row.range.into(),
            created_ms: row.created_at.millis(),
            done_ms: row.done_at.map(stdx::Timestamp::millis),
            profiles: row.profiles,
        })
        .collect(),
    ))
}

/// What to delete.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteRequest {
    /// Label selector such as `{service_name="shop"}`.
    #[serde(rename = "match")]
    #[param(rename = "match")]
    pub matchers: String,
    /// Start (inclusive): epoch milliseconds, `now`, or `now-1h`; `0` for all that there is.
    pub from: String,
    /// End (exclusive), written like `from`; now when absent.
    pub to: Option<String>,
    /// Only say how much it would be.
    #[serde(default)]
    pub preview: bool,
}

/// Deletes whole every profile of the series with any time in the range. No query sees them from the
/// answer on; their files are gone within ten minutes. Refused where a pin keeps some.
#[utoipa::path(post, path = "/api/v1/admin/deletions", tag = "admin", params(DeleteRequest),
    responses(
    (status = 200, description = "Hidden", body = Deletion),
    (status = 400, description = "Nothing named, or pinned", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn delete(
    State(state): State<AdminState>,
    principal: Principal,
    Query(wanted): Query<DeleteRequest>,
) -> Result<Json<Deletion>, Problem> {
    let now = state.clock.now();
    let scope = Scope { from: Some(wanted.from), to: wanted.to, matchers: None };
    let (range, selector) = (scope.range(now)?, wanted.matchers);
    let found = state.store.matching(&principal.tenant, &selector, range).await;
    let profiles = found.map_err(|error| refused(&error))?.profiles;
    let id = if wanted.preview {
        String::new()
    } else {
        let deleted = state.store.delete(&principal.tenant, &selector, range).await;
        let id = deleted.map_err(|error| refused(&error))?;
        tracing::warn!(%id, tenant = ?principal.tenant, ?selector, profiles, by = ?principal.name,
            "profiles deleted");
        id.to_string()
    };
    let (range, created_ms) = (Range::from(range), now.millis());
    Ok(Json(Deletion { id, selector, range, created_ms, done_ms: None, profiles }))
}

/// What a check of the whole store found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Checked {
    /// Segments looked at.
    pub segments: u64,
    /// Their files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Profiles in them.
    pub profiles: u64,
    /// Rows of samples.
    pub rows: u64,
    /// Hourly rollups looked at.
    pub rollups: u64,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Folders of segments that the catalog does not name.
    pub unknown: Vec<String>,
    /// Folders in the trash.
    pub trash: Vec<String>,
}

/// Reads everything and checks it; nothing is changed.
#[utoipa::path(get, path = "/api/v1/admin/fsck", tag = "admin",
    responses((status = 200, description = "What was found", body = Checked)))]
pub async fn fsck(
    State(state): State<AdminState>,
    _principal: Principal,
) -> Result<Json<Checked>, Problem> {
    let found = state.store.fsck().await.map_err(|error| refused(&error))?;
    Ok(Json(Checked {
        segments: found.segments,
        files: found.files,
        bytes: found.bytes,
        profiles: found.profiles,
        rows: found.rows,
        rollups: found.rollups,
        problems: found.problems,
        unknown: found.unknown,
        trash: found.trash,
    }))
}

/// A backup of the tenant as a tape archive, made while the server runs; `vesta admin import` puts
/// it back.
#[utoipa::path(get, path = "/api/v1/admin/export", tag = "admin",
    responses((status = 200, description = "The archive", content_type = "application/x-tar")))]
pub async fn export(
    State(state): State<AdminState>,
    principal: Principal,
) -> Result<Response, Problem> {
    let backup = state.store.backup(Some(&principal.tenant)).await;
    let backup = backup.map_err(|error| refused(&error))?;
    let (pieces, waiting) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let written = backup.write(&mut |piece| pieces.blocking_send(Ok(piece)).is_ok());
        if let Err(error) = written {
            tracing::error!(%error, "a backup broke off");
            // Breaks the connection off, so that nobody takes it for whole.
            let _ = pieces.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    let pieces = futures::stream::unfold(waiting, |mut waiting| async {
        waiting.recv().await.map(|piece| (piece, waiting))
    });
    let kind = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"vesta-backup.tar\""),
    ];
    Ok((kind, Body::from_stream(pieces)).into_response())
}
