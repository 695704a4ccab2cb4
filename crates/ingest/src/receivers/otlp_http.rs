//! OTLP profiles over HTTP: `POST /v1development/profiles`, protobuf, plain or gzip.
//!
//! Contract: opentelemetry-proto v1.11.0, `ExportProfilesServiceRequest`.

use crate::decode;
use crate::normalise::Context;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::Receipt;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use std::sync::Arc;

const PROTOBUF: &str = "application/x-protobuf";

/// Takes one export request.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let now = ingest.clock.now();
    let of = (Kept::of(Receiver::Otlp, now, &[], &parts.headers), context(&parts.headers));
    let receipt = ingest.store(&principal, received, of, decode::otlp).await?;
    let body = rpc::otlp::encode_response(&partial_success(&receipt));
    Ok(([(header::CONTENT_TYPE, PROTOBUF)], body).into_response())
}

/// What an OTLP client says of itself.
pub(crate) fn context(headers: &HeaderMap) -> Context {
    Context { source: "otel", client: decode::user_agent(headers), ..Context::default() }
}

/// The receipt in OTLP's words.
pub(crate) fn partial_success(receipt: &Receipt) -> rpc::otlp::PartialSuccess {
    rpc::otlp::PartialSuccess { rejected: 0, message: receipt.issues.join("; ") }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        PROTOBUF | "application/protobuf" => Ok(()),
        "application/json" => Err(Problem::unsupported(
            "OTLP profiles as JSON are not read here",
            "set the exporter's protocol to http/protobuf or grpc",
        )),
        _ => Err(Problem::unsupported(
            format!("content type {given:?} on {}", super::OTLP_PATH),
            format!("send {PROTOBUF}"),
        )),
    }
}
