//! What the server and the asker are.

use crate::shapes::Problem as ProblemShape;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use ingest::{Principal, Problem};
use serde::Serialize;
use utoipa::ToSchema;

/// What the page needs to know of the server.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Config {
    /// Version.
    pub version: String,
    /// Build.
    pub build: String,
    /// Days that profiles are kept.
    pub retention_days: Option<f64>,
    /// `local` (open to this machine) or `token`.
    pub auth: &'static str,
    /// The server's time in epoch milliseconds.
    pub now_ms: i64,
    /// Something people should know.
    pub note: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// Whose data is shown.
    pub tenant: String,
    /// The role.
    pub role: &'static str,
    /// Name of the token.
    pub name: String,
}

/// What the page needs to know of the server; open to all, so that the page can ask for a token.
#[utoipa::path(get, path = "/api/v1/config", tag = "server",
    responses((status = 200, description = "The server", body = Config)))]
pub async fn config(State(state): State<ApiState>) -> Json<Config> {
    let info = &state.info;
    Json(Config {
        version: info.version.clone(),
        build: info.build.clone(),
        retention_days: info.retention_days,
        auth: if info.is_local { "local" } else { "token" },
        now_ms: state.clock.now().millis(),
        note: info.note.clone(),
    })
}

/// Who asks.
#[utoipa::path(get, path = "/api/v1/me", tag = "server", responses(
    (status = 200, description = "The asker", body = Me),
    (status = 401, description = "No known token", body = ProblemShape,
        content_type = "application/problem+json")))]
pub async fn me(principal: Principal) -> Json<Me> {
    let role = principal.role.name();
    Json(Me { tenant: principal.tenant, role, name: principal.name })
}

/// This API in OpenAPI's form.
pub async fn openapi() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, crate::openapi_json()).into_response()
}

/// Whether the process lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be served.
pub async fn readyz(State(state): State<ApiState>) -> Response {
    if state.metrics.is_ready() {
        return "ready\n".into_response();
    }
    Problem::unavailable("the server is starting or stopping").into_response()
}

/// Counters for Prometheus.
pub async fn metrics(State(state): State<ApiState>, _principal: Principal) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, text, state.metrics.render()).into_response()
}
