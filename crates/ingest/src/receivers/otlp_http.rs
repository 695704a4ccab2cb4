//! OTLP over HTTP: protobuf or JSON, plain, gzip or zstd.

use super::otlp::Export;
use crate::decode;
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use formats::traces::Form;
use http::{HeaderMap, header};
use rpc::otlp::PartialSuccess;
use std::sync::Arc;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A route for each export.
pub(super) fn routes() -> Router<Arc<Ingest>> {
    Export::ALL.into_iter().fold(Router::new(), |routes, holds| {
        let take =
            move |State(ingest), principal, request| receive(holds, ingest, principal, request);
        routes.route(holds.path(), post(take))
    })
}

/// Takes one export request.
async fn receive(
    holds: Export,
    ingest: Arc<Ingest>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let form = form_of(headers, holds).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(headers, body).await?;
    let part = holds.store(&ingest, &principal, received, headers, form).await?;
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, rpc::otlp::encode_response(&part)),
        Form::Json => (JSON, json_answer(&part, holds)),
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// How a kept body is written; over gRPC it is protobuf.
pub(crate) fn kept_form(headers: &HeaderMap, holds: Export) -> Form {
    form_of(headers, holds).unwrap_or(Form::Protobuf)
}

fn json_answer(part: &PartialSuccess, holds: Export) -> Vec<u8> {
    if *part == PartialSuccess::default() {
        return b"{}".to_vec();
    }
    // 64 bits are text in protobuf's JSON.
    let body = serde_json::json!({ "partialSuccess": {
        holds.rejected(): part.rejected.to_string(), "errorMessage": part.message,
    }});
    body.to_string().into_bytes()
}

/// How a body is written, by its content type.
fn form_of(headers: &HeaderMap, holds: Export) -> Result<Form, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        PROTOBUF | "application/protobuf" => Ok(Form::Protobuf),
        JSON => Ok(Form::Json),
        _ => Err(Problem::unsupported(
            format!("content type {given:?} on {}", holds.path()),
            format!("send {PROTOBUF} or {JSON}"),
        )),
    }
}
