//! Questions that are being answered: how far they are, and ending them.

use crate::running::{Listed, Queries};
use crate::shapes::Problem as ProblemShape;
use axum::extract::{Path, State};
use axum::{Json, Router};
use http::StatusCode;
use ingest::auth::Rule;
use ingest::{Need, Principal, Problem};
use serde::Serialize;
use std::sync::Arc;
use stdx::Clock;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What each of these routes needs. Ending another one's question needs more, which the handler
/// knows.
pub const RULES: &[Rule] = &[
    Rule { method: "GET", path: "/api/v1/queries", need: Need::Read },
    Rule { method: "DELETE", path: "/api/v1/queries/{id}", need: Need::Read },
];

/// State of these routes.
#[derive(Clone, Debug)]
pub struct QueriesState {
    /// What is running.
    pub queries: Arc<Queries>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[derive(OpenApi)]
struct Description;

pub(crate) fn described() -> OpenApiRouter<QueriesState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(list))
        .routes(routes!(cancel))
}

/// The routes.
pub fn router(state: QueriesState) -> Router {
    described().split_for_parts().0.with_state(state)
}

/// Questions that are being answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunningQueries {
    /// The oldest first.
    pub queries: Vec<RunningQuery>,
}

/// A question that is being answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunningQuery {
    /// Its id: that of the header `x-query-id` when it was asked, or one that the server gave it.
    pub id: String,
    /// Name of the token that asked.
    pub who: String,
    /// Path and parameters.
    pub what: String,
    /// How long it has been running, in milliseconds.
    pub running_ms: i64,
    /// Samples looked through so far.
    pub rows_read: u64,
    /// Samples to be looked through, as far as is known yet.
    pub rows_to_read: u64,
}

/// The tenant's questions that are being answered.
#[utoipa::path(get, path = "/api/v1/queries", tag = "server",
    responses((status = 200, description = "Running questions", body = RunningQueries)))]
pub async fn list(State(state): State<QueriesState>, principal: Principal) -> Json<RunningQueries> {
    let now = state.clock.now().millis();
    let row = |one: Listed| RunningQuery {
        running_ms: now.saturating_sub(one.started_at.millis()).max(0),
        id: one.id,
        who: one.who,
        what: one.what,
        rows_read: one.rows_read,
        rows_to_read: one.rows_to_read,
    };
    Json(RunningQueries { queries: state.queries.list(&principal).into_iter().map(row).collect() })
}

/// Ends a question; whoever asked it gets 409. Viewers end their own, operators everybody's.
#[utoipa::path(delete, path = "/api/v1/queries/{id}", tag = "server",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "It ends"),
        (status = 403, description = "Another one's", body = ProblemShape,
            content_type = "application/problem+json"),
        (status = 404, description = "None of this id is running", body = ProblemShape,
            content_type = "application/problem+json")))]
pub async fn cancel(
    State(state): State<QueriesState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.queries.cancel(&principal, &id).map(|()| StatusCode::NO_CONTENT)
}
