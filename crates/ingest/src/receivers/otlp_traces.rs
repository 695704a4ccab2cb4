//! OTLP traces over HTTP: `POST /v1/traces`, protobuf or JSON, plain, gzip or zstd.
//!
//! Contract: <https://opentelemetry.io/docs/specs/otlp/>. A request whose spans were left out in
//! part is answered with success and says how many, as the contract wants it: it is not to be sent
//! again.

use super::otlp_http::context;
use crate::decode;
use crate::pipeline::{Ingest, SpanReceipt};
use crate::principal::Principal;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use formats::traces::Form;
use http::{HeaderMap, header};
use rpc::otlp::PartialSuccess;
use std::sync::Arc;

/// Path of OTLP traces over HTTP.
pub const TRACES_PATH: &str = "/v1/traces";

pub(super) const PROTOBUF: &str = "application/x-protobuf";
pub(super) const JSON: &str = "application/json";

/// Takes one export request.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = form_of(&parts.headers, TRACES_PATH).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let receipt = ingest
        .store_spans(&principal, received, context(&parts.headers), move |bytes, options| {
            formats::traces::decode(bytes, form, options)
        })
        .await?;
    let part = partial_success(receipt);
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, rpc::otlp::encode_response(&part)),
        Form::Json => (JSON, json_answer(&part, "rejectedSpans")),
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// The receipt in OTLP's words.
pub(super) fn partial_success(receipt: SpanReceipt) -> PartialSuccess {
    let rejected = i64::try_from(receipt.rejected).unwrap_or(i64::MAX);
    PartialSuccess { rejected, message: receipt.issues.join("; ") }
}

/// An answer as JSON, in which what was left out is counted under a name.
pub(super) fn json_answer(part: &PartialSuccess, rejected: &str) -> Vec<u8> {
    if *part == PartialSuccess::default() {
        return b"{}".to_vec();
    }
    // 64 bits are text in protobuf's JSON.
    let body = serde_json::json!({ "partialSuccess": {
        rejected: part.rejected.to_string(), "errorMessage": part.message,
    }});
    body.to_string().into_bytes()
}

/// How a body is written, by its content type.
pub(super) fn form_of(headers: &HeaderMap, path: &str) -> Result<Form, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        PROTOBUF | "application/protobuf" => Ok(Form::Protobuf),
        JSON => Ok(Form::Json),
        _ => Err(Problem::unsupported(
            format!("content type {given:?} on {path}"),
            format!("send {PROTOBUF} or {JSON}"),
        )),
    }
}
