//! What Datadog's libraries ask their agent beside uploads of profiles: what it takes, places for
//! traces ([`traces`]), settings from afar (there are none), and places for statistics and reports,
//! which are not kept. Libraries send only what `/info` offers, or probe for it.

use super::traces::{self, Version};
use crate::pipeline::Ingest;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What `/info` offers; paths as libraries look for them.
const ENDPOINTS: [&str; 10] = [
    "/profiling/v1/input",
    "/v0.3/traces",
    "/v0.4/traces",
    "/v0.5/traces",
    "/v0.7/traces",
    "/v0.6/stats",
    "/v0.7/config",
    "/telemetry/proxy/",
    "/dogstatsd/v1/proxy",
    "/dogstatsd/v2/proxy",
];

/// Reports of the libraries about themselves.
pub(crate) const TELEMETRY: &str = "/telemetry/proxy/{*path}";

/// All routes of Datadog's libraries.
pub(crate) fn routes() -> Router<Arc<Ingest>> {
    let traces = Version::ALL.map(|version| (version.path(), traces::route(version)));
    traces
        .into_iter()
        .fold(Router::new(), |router, (path, route)| router.route(path, route))
        .route("/profiling/v1/input", post(super::receive))
        .route("/api/v2/profile", post(super::receive))
        .route("/v1/input", post(super::receive))
        .route("/info", get(info))
        // An empty answer: nothing is set from here.
        .route("/v0.7/config", get(not_kept).post(not_kept))
        .route("/v0.6/stats", post(not_kept).put(not_kept))
        .route(TELEMETRY, post(not_kept_later))
        .route("/dogstatsd/v1/proxy", post(not_kept))
        .route("/dogstatsd/v2/proxy", post(not_kept))
}

async fn info() -> Json<Value> {
    // A version of our own is below those from which on libraries expect more of an agent.
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": ENDPOINTS,
        "client_drop_p0s": false,
        "feature_flags": [],
    }))
}

/// Reads the body, so that the connection can be used again, and keeps nothing.
async fn not_kept(State(ingest): State<Arc<Ingest>>, request: Request) -> Json<Value> {
    ingest.drain(request.into_body().into_data_stream()).await;
    Json(json!({}))
}

/// As the service behind the agent answers: 202.
async fn not_kept_later(state: State<Arc<Ingest>>, request: Request) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, not_kept(state, request).await)
}
