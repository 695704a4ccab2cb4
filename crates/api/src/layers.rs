//! Around every request: an id, a log line, a count, and a net for panics.

use crate::metrics::Metrics;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::HeaderValue;
use ingest::Problem;
use rpc::connect::Dialect;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::Clock;

/// Header that names a request.
pub const REQUEST_ID: &str = "x-request-id";

/// What the layer needs.
#[derive(Debug)]
pub struct Around {
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    next_id: AtomicU64,
    run: u64,
}

impl Around {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        let run = clock.now().nanos().cast_unsigned() >> 20 & 0xff_ffff;
        Self { metrics, clock, next_id: AtomicU64::new(1), run }
    }

    fn request_id(&self) -> String {
        format!("{:06x}-{}", self.run, self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// The layer.
pub async fn around(State(around): State<Arc<Around>>, request: Request, next: Next) -> Response {
    let id = around.request_id();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "(page)".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let started = around.clock.monotonic();
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = caught.unwrap_or_else(|_| {
        around.metrics.count_panic();
        tracing::error!(%route, request_id = %id, "a request handler panicked");
        Problem::internal("a request handler panicked").into_response()
    });
    let detail = response.extensions().get::<Problem>().map(|problem| problem.detail.clone());
    let mut response = with_id(response, &id);
    let status = response.status().as_u16();
    around.metrics.count_request(&route, status);
    let took_ms = around.clock.monotonic().saturating_sub(started).as_millis() as u64;
    if status >= 400 {
        // Escaped: a detail may quote what the client sent.
        tracing::info!(%method, %route, status, ?detail, request_id = %id, "request refused");
    } else {
        tracing::debug!(%method, %route, status, took_ms, request_id = %id, "request");
    }
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// Services whose clients understand refusals in their own words only.
const SERVICES: [&str; 2] = ["/push.v1.PusherService/", "/querier.v1.QuerierService/"];

/// The layer outside of all others: problems of Pyroscope's services in the words of Connect, gRPC
/// or gRPC-Web.
pub async fn in_their_words(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !SERVICES.iter().any(|service| path.starts_with(service)) {
        return next.run(request).await;
    }
    let dialect = Dialect::of(request.headers()).unwrap_or(Dialect::Json);
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let id = problem.request_id.as_deref().unwrap_or_default();
    let message = format!("{}; {} (request {id})", problem.detail, problem.hint);
    let mut refused = dialect.refuse(problem.status, &message);
    for name in [REQUEST_ID, "retry-after", "www-authenticate", "x-content-type-options"] {
        if let Some(value) = response.headers().get(name) {
            refused.headers_mut().insert(name, value.clone());
        }
    }
    refused
}

/// A problem's body again, with the request's id in it. Refusals that a library wrote as plain
/// text get the same form.
fn with_id(mut response: Response, id: &str) -> Response {
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.to_owned());
        return problem.into_response();
    }
    let status = response.status();
    let is_text = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let is_bare = is_text || !response.headers().contains_key(http::header::CONTENT_TYPE);
    if status.is_client_error() && is_bare && !response.headers().contains_key("grpc-status") {
        let title = status.canonical_reason().unwrap_or("Refused");
        let hint = "see /api/v1/openapi.json for the parameters of each route";
        let detail = "the request does not fit this route: a parameter or the method is wrong";
        let mut problem = Problem::new(status, "/problems/request", title, detail, hint);
        problem.request_id = Some(id.to_owned());
        return problem.into_response();
    }
    response
}
