//! Pyroscope's query side, for Grafana's data source, Profiles Drilldown and `profilecli`:
//! `querier.v1.QuerierService` over Connect, gRPC and gRPC-Web, and `/pyroscope/render`.
//!
//! Contract: grafana/pyroscope, `api/querier/v1` and `pkg/querier/http.go`. All of it is answered
//! through [`views::Views`] for the principal's tenant; refusals are [`Problem`]s here and become
//! their clients' words in [`crate::layers`]. What is read otherwise than there stands in
//! `docs/guides/pyroscope.md`.

mod exemplars;
mod heat;
mod levels;
mod names;
mod outputs;
mod render;
mod select;
mod stacks;
mod stats;
mod timeline;

use crate::limits::PYROSCOPE_BODY_BYTES_MAX;
use crate::running;
use crate::state::ApiState;
use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use ingest::auth::Rule;
use ingest::{Need, Principal, Problem};
use rpc::connect::Dialect;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use wire::Message;

const fn call(path: &'static str) -> Rule {
    Rule { method: "POST", path, need: Need::Read }
}

const fn read(path: &'static str) -> Rule {
    Rule { method: "GET", path, need: Need::Read }
}

/// What the routes need.
pub const RULES: &[Rule] = &[
    call("/querier.v1.QuerierService/ProfileTypes"),
    call("/querier.v1.QuerierService/LabelNames"),
    call("/querier.v1.QuerierService/LabelValues"),
    call("/querier.v1.QuerierService/Series"),
    call("/querier.v1.QuerierService/SelectMergeStacktraces"),
    call("/querier.v1.QuerierService/SelectMergeSpanProfile"),
    call("/querier.v1.QuerierService/SelectMergeProfile"),
    call("/querier.v1.QuerierService/SelectSeries"),
    call("/querier.v1.QuerierService/SelectHeatmap"),
    call("/querier.v1.QuerierService/Diff"),
    call("/querier.v1.QuerierService/GetProfileStats"),
    call("/querier.v1.QuerierService/AnalyzeQuery"),
    read("/pyroscope/render"),
    read("/pyroscope/render-diff"),
    read("/pyroscope/label-values"),
    Rule { method: "GET", path: "/ready", need: Need::Public },
    Rule { method: "GET", path: "/api/v1/status/buildinfo", need: Need::Public },
];

/// The routes.
pub fn router(state: ApiState) -> Router {
    let method = |name: &str| format!("/querier.v1.QuerierService/{name}");
    let queries = Arc::clone(&state.queries);
    Router::new()
        .route(&method("ProfileTypes"), post(names::profile_types))
        .route(&method("LabelNames"), post(names::label_names))
        .route(&method("LabelValues"), post(names::label_values))
        .route(&method("Series"), post(names::series))
        .route(&method("SelectMergeStacktraces"), post(stacks::merge_stacktraces))
        .route(&method("SelectMergeSpanProfile"), post(stacks::merge_span_profile))
        .route(&method("SelectMergeProfile"), post(stacks::merge_profile))
        .route(&method("SelectSeries"), post(timeline::select_series))
        .route(&method("SelectHeatmap"), post(heat::select_heatmap))
        .route(&method("Diff"), post(stacks::diff))
        .route(&method("GetProfileStats"), post(stats::profile_stats))
        .route(&method("AnalyzeQuery"), post(stats::analyze_query))
        .route("/pyroscope/render", get(render::render))
        .route("/pyroscope/render-diff", get(render::render_diff))
        .route("/pyroscope/label-values", get(render::label_values))
        .route_layer(from_fn_with_state(queries, running::watch))
        .route("/ready", get(crate::routes::server::readyz))
        .route("/api/v1/status/buildinfo", get(stats::build_info))
        .layer(DefaultBodyLimit::max(PYROSCOPE_BODY_BYTES_MAX))
        .with_state(state)
}

/// A unary call: who asks, what, and in which words the answer goes back.
pub(crate) struct Call<M> {
    principal: Principal,
    dialect: Dialect,
    message: M,
}

impl<M> Call<M> {
    fn answer<A: Message + Serialize>(&self, message: &A) -> Response {
        self.dialect.answer(message)
    }
}

impl<M: Message + Default + DeserializeOwned> FromRequest<ApiState> for Call<M> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, state).await?;
        let Some(dialect) = Dialect::of(&parts.headers) else {
            let hint = "send application/json, application/proto, application/grpc or \
                        application/grpc-web";
            return Err(Problem::unsupported("the content type is none of a unary call", hint));
        };
        let headers = parts.headers.clone();
        let too_large = |detail: String| {
            Problem::too_large(detail, format!("send at most {PYROSCOPE_BODY_BYTES_MAX} bytes"))
        };
        // One that is announced is refused before it comes.
        let announced = body.size_hint().lower();
        if announced > PYROSCOPE_BODY_BYTES_MAX as u64 {
            return Err(too_large(format!("the body has {announced} bytes")));
        }
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let body =
            body.map_err(|error| too_large(format!("the body could not be read: {error}")))?;
        let malformed = |detail: String| {
            Problem::bad_request(detail, "see api/querier/v1 of grafana/pyroscope for its fields")
        };
        let body = dialect.unframe(&headers, body).map_err(malformed)?;
        let plain = formats::compress::plain(&body, PYROSCOPE_BODY_BYTES_MAX);
        let plain = plain.ok_or_else(|| malformed("the compressed message is damaged".into()))?;
        let message = dialect.read(&plain);
        let message =
            message.map_err(|error| malformed(format!("the message is unreadable: {error}")))?;
        Ok(Self { principal, dialect, message })
    }
}
