//! OTLP profiles over HTTP: `POST /v1development/profiles`, protobuf or JSON, plain, gzip or zstd.
//!
//! Contract: opentelemetry-proto v1.11.0, `ExportProfilesServiceRequest`.

use super::OTLP_PATH;
use super::otlp_traces::{JSON, PROTOBUF, form_of, json_answer};
use crate::decode;
use crate::normalise::Context;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::Receipt;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use formats::traces::Form;
use formats::{Decoded, Options};
use http::{HeaderMap, header};
use std::sync::Arc;

/// Takes one export request.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = form_of(&parts.headers, OTLP_PATH).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let now = ingest.clock.now();
    let of = (Kept::of(Receiver::Otlp, now, &[], &parts.headers), context(&parts.headers));
    let receipt = ingest.store(&principal, received, of, decoder(form)).await?;
    let part = partial_success(&receipt);
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, rpc::otlp::encode_response(&part)),
        Form::Json => (JSON, json_answer(&part, "rejectedProfiles")),
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// What reads a form.
fn decoder(form: Form) -> fn(&[u8], &Options) -> Decoded {
    match form {
        Form::Protobuf => decode::otlp,
        Form::Json => formats::otlp::decode_json,
    }
}

/// What reads a kept body; over gRPC it is protobuf.
pub(crate) fn kept_decoder(headers: &HeaderMap) -> fn(&[u8], &Options) -> Decoded {
    decoder(form_of(headers, OTLP_PATH).unwrap_or(Form::Protobuf))
}

/// What an OTLP client says of itself.
pub(crate) fn context(headers: &HeaderMap) -> Context {
    Context { source: "otel", client: decode::user_agent(headers), ..Context::default() }
}

/// The receipt in OTLP's words.
pub(crate) fn partial_success(receipt: &Receipt) -> rpc::otlp::PartialSuccess {
    rpc::otlp::PartialSuccess { rejected: 0, message: receipt.issues.join("; ") }
}
