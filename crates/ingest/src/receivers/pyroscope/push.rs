//! Pyroscope's `push.v1.PusherService/Push`: Connect (protobuf and JSON), gRPC and gRPC-Web on one
//! route. What its newer clients (Rust, Python) and Grafana Alloy send to.

use crate::decode;
use crate::normalise::Context;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use rpc::connect::Dialect;
use std::sync::Arc;
use wire::pyroscope::Empty;

/// Path of the one method.
pub const PUSH_PATH: &str = "/push.v1.PusherService/Push";

/// Takes one push.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let dialect = Dialect::of(headers).ok_or_else(|| ingest.count(unknown_dialect()))?;
    decode::check_encoding(headers).map_err(|problem| ingest.count(problem))?;
    let mut received = ingest.receive(headers, body).await?;
    // What is compressed stays so: the decoder undoes it within its own limits.
    let message = dialect.unframe(headers, std::mem::take(&mut received.bytes));
    received.bytes = message.map_err(|error| {
        ingest.count(Problem::bad_request(error, "send one message of gRPC or gRPC-Web"))
    })?;
    received.original = received.original.map(|_| received.bytes.clone());
    let now = ingest.clock.now();
    let of = (Kept::of(Receiver::PyroscopePush, now, &[], headers), context(headers));
    ingest.store(&principal, received, of, formats::push::decode).await?;
    Ok(dialect.answer(&Empty::default()))
}

/// What a pushing client says of itself beside its series' labels.
pub(crate) fn context(headers: &HeaderMap) -> Context {
    Context { source: "pyroscope", client: decode::user_agent(headers), ..Context::default() }
}

fn unknown_dialect() -> Problem {
    let hint = "send application/proto, application/json, application/grpc or application/grpc-web";
    Problem::unsupported("the content type is none of a unary call", hint)
}
