//! The receivers, a file a protocol, and the table of their routes.

pub mod otlp_grpc;
pub mod otlp_http;
pub mod pyroscope;
pub mod upload;

use crate::auth::Rule;
use crate::decode::UPLOAD_PATH;
use crate::pipeline::Ingest;
use crate::principal::Need;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use std::sync::Arc;

/// Path of OTLP profiles over HTTP.
pub const OTLP_PATH: &str = "/v1development/profiles";

/// What each receiver's route needs.
pub const RULES: &[Rule] = &[
    Rule { method: "POST", path: OTLP_PATH, need: Need::Upload },
    Rule { method: "POST", path: "/ingest", need: Need::Upload },
    Rule { method: "POST", path: "/pyroscope/ingest", need: Need::Upload },
    Rule { method: "POST", path: pyroscope::push::PUSH_PATH, need: Need::Upload },
    Rule { method: "POST", path: UPLOAD_PATH, need: Need::Upload },
];

/// OTLP over HTTP: for its own port, and part of [`routes`].
pub fn otlp_routes(ingest: Arc<Ingest>) -> Router {
    let routes = Router::new().route(OTLP_PATH, post(otlp_http::receive));
    routes.layer(DefaultBodyLimit::disable()).with_state(ingest)
}

/// All receivers over HTTP.
pub fn routes(ingest: Arc<Ingest>) -> Router {
    Router::new()
        .route(OTLP_PATH, post(otlp_http::receive))
        .route("/ingest", post(pyroscope::receive))
        .route("/pyroscope/ingest", post(pyroscope::receive))
        .route(pyroscope::push::PUSH_PATH, post(pyroscope::push::receive))
        .route(UPLOAD_PATH, post(upload::receive))
        // Bodies are read through the pipeline, which has limits of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(ingest)
}
