//! Our HTTP API: JSON, Arrow flame graphs, OpenAPI, principals.
//!
//! [`router`] serves `/api/v1/…`, Pyroscope's query side ([`pyroscope`]), `/healthz`, `/readyz` and
//! `/metrics`; [`protect`] puts the layers around it and around the receivers: request ids, the net
//! for panics, the check of principals (see [`ingest::auth`]) and compression. Every route is in
//! [`rules`]; one that is not is refused.
//!
//! What is absent: the query engine (only [`views::Views`]), files, environment. The store is used by
//! [`routes::admin`], [`routes::symbols`] and [`routes::payloads`] alone.

pub mod asked;
mod csv;
pub mod layers;
pub mod limits;
pub mod metrics;
pub mod pyroscope;
pub mod question;
pub mod routes;
pub mod running;
pub mod shapes;
pub mod state;
pub mod svg;

pub use metrics::{Figure, Metrics};
pub use routes::admin::AdminState;
pub use routes::payloads::PayloadsState;
pub use routes::queries::QueriesState;
pub use routes::symbols::SymbolsState;
pub use running::Queries;
pub use state::{ApiState, ServerInfo};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use ingest::auth::{Auth, Rule};
use ingest::{Need, Problem};
use routes::{
    diff, events, facets, flamegraph, moments, overview, pgo, profiles, sandwich, series, server,
    spans, top,
};
use std::sync::Arc;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(info(
    title = "Vesta",
    description = "Profiles and spans of your services: what there is, flame graphs, tables, charts, upload. \
        Errors are application/problem+json.",
))]
struct Description;

const fn open(path: &'static str) -> Rule {
    Rule { method: "GET", path, need: Need::Public }
}

const fn read(path: &'static str) -> Rule {
    Rule { method: "GET", path, need: Need::Read }
}

/// What each route of this crate needs.
pub const RULES: &[Rule] = &[
    open("/healthz"),
    open("/readyz"),
    open("/api/v1/config"),
    open("/api/v1/openapi.json"),
    Rule { method: "GET", path: "/metrics", need: Need::Observe },
    Rule { method: "GET", path: "/api/v1/me", need: Need::Identity },
    read("/api/v1/services"),
    read("/api/v1/profile-types"),
    read("/api/v1/labels"),
    read("/api/v1/labels/{name}/values"),
    read("/api/v1/facets"),
    read("/api/v1/flamegraph"),
    read("/api/v1/diff"),
    read("/api/v1/sandwich"),
    read("/api/v1/callers"),
    read("/api/v1/trend"),
    read("/api/v1/top"),
    read("/api/v1/series"),
    read("/api/v1/heatmap"),
    read("/api/v1/timeline"),
    read("/api/v1/profiles"),
    read("/api/v1/profiles/{id}"),
    read("/api/v1/profiles/{id}/pprof"),
    read("/api/v1/pgo/{service}"),
    read("/api/v1/traces/{trace_id}"),
    read("/api/v1/spans"),
    read("/api/v1/endpoints"),
    read("/api/v1/events"),
    read("/api/v1/metrics"),
];

/// Rules of all routes: this crate's and the receivers'.
pub fn rules() -> Vec<Rule> {
    let own = RULES.iter().chain(routes::admin::RULES).chain(routes::symbols::RULES);
    let own = own.chain(routes::payloads::RULES);
    let own = own.chain(routes::queries::RULES).chain(pyroscope::RULES);
    own.chain(ingest::receivers::RULES).copied().collect()
}

fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(server::config))
        .routes(routes!(server::me))
        .routes(routes!(overview::services))
        .routes(routes!(overview::profile_types))
        .routes(routes!(overview::label_names))
        .routes(routes!(overview::label_values))
        .routes(routes!(facets::facets))
        .routes(routes!(flamegraph::flamegraph))
        .routes(routes!(diff::diff))
        .routes(routes!(sandwich::sandwich))
        .routes(routes!(sandwich::callers))
        .routes(routes!(sandwich::trend))
        .routes(routes!(top::top))
        .routes(routes!(series::series))
        .routes(routes!(moments::heatmap))
        .routes(routes!(moments::timeline))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::detail))
        .routes(routes!(profiles::pprof))
        .routes(routes!(pgo::pgo))
        .routes(routes!(spans::trace))
        .routes(routes!(spans::spans))
        .routes(routes!(spans::endpoints))
        .routes(routes!(events::events))
        .routes(routes!(events::metrics))
}

/// All questions; upload is `ingest`'s.
pub fn router(state: ApiState) -> Router {
    let as_pyroscope = pyroscope::router(state.clone());
    let (questions, _) = described().split_for_parts();
    let queries = Arc::clone(&state.queries);
    let watched = QueriesState { queries: Arc::clone(&queries), clock: Arc::clone(&state.clock) };
    questions
        .route_layer(from_fn_with_state(queries, running::watch))
        .route("/api/v1/openapi.json", get(server::openapi))
        .route("/healthz", get(server::healthz))
        .route("/readyz", get(server::readyz))
        .route("/metrics", get(server::metrics))
        .with_state(state)
        .merge(routes::queries::router(watched))
        .merge(as_pyroscope)
}

/// The API in OpenAPI's form, indented, as it is committed.
pub fn openapi_json() -> String {
    let (_, mut description) = described().split_for_parts();
    let upload = routes::upload::Described::openapi();
    description.merge(upload);
    description.merge(routes::admin::described().split_for_parts().1);
    description.merge(routes::symbols::described().split_for_parts().1);
    description.merge(routes::payloads::described().split_for_parts().1);
    description.merge(routes::queries::described().split_for_parts().1);
    let mut text = description.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Puts the layers around routes, the page's included.
pub fn protect(routes: Router, auth: Arc<Auth>, around: Arc<layers::Around>) -> Router {
    routes
        .layer(from_fn_with_state(auth, ingest::auth::guard))
        .layer(from_fn(no_store))
        .layer(from_fn_with_state(around, layers::around))
        .layer(from_fn(layers::in_their_words))
        .layer(CompressionLayer::new())
}

/// Answers of the API are of the moment: nothing keeps them.
async fn no_store(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    if is_api && !response.headers().contains_key(http::header::CACHE_CONTROL) {
        let value = http::HeaderValue::from_static("no-store");
        response.headers_mut().insert(http::header::CACHE_CONTROL, value);
    }
    response
}

/// What no route answers.
pub fn no_such_route(path: &str) -> Problem {
    let hint = "see /api/v1/openapi.json for what there is";
    Problem::not_found(format!("there is nothing at {path}"), hint)
}
