//! OTLP logs that carry profiles, over HTTP: `POST /v1/logs`, protobuf or JSON, plain, gzip or zstd.
//!
//! Splunk's distributions of OpenTelemetry send profiles so. Other records are not kept: the answer
//! is success, as the contract wants it for what is not to be sent again, and says how many they
//! were. Contract: <https://opentelemetry.io/docs/specs/otlp/>.

use super::otlp_http::context;
use super::otlp_traces::{form_of, json_answer};
use crate::decode;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::Receipt;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use formats::Options;
use formats::traces::Form;
use http::{HeaderMap, header};
use rpc::otlp::PartialSuccess;
use std::sync::Arc;

/// Path of OTLP logs over HTTP.
pub const LOGS_PATH: &str = "/v1/logs";

/// Takes one export request.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = form_of(&parts.headers, LOGS_PATH).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let kept = Kept::of(Receiver::OtlpLogs, ingest.clock.now(), &[], &parts.headers);
    let of = (kept, context(&parts.headers));
    let decode = move |bytes: &[u8], options: &Options| formats::logs::decode(bytes, form, options);
    let receipt = ingest.store(&principal, received, of, decode).await?;
    let part = partial_success(&receipt);
    let (kind, body) = match form {
        Form::Protobuf => (super::otlp_traces::PROTOBUF, rpc::otlp::encode_response(&part)),
        Form::Json => (super::otlp_traces::JSON, json_answer(&part, "rejectedLogRecords")),
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// How a kept body is written; over gRPC it is protobuf.
pub(crate) fn kept_form(headers: &HeaderMap) -> Form {
    form_of(headers, LOGS_PATH).unwrap_or(Form::Protobuf)
}

/// The receipt in OTLP's words.
pub(super) fn partial_success(receipt: &Receipt) -> PartialSuccess {
    let ignored = receipt.ignored;
    let logs = (ignored > 0).then(|| {
        format!("{ignored} log records are not kept: only those that carry profiles are read here")
    });
    let said: Vec<&str> = logs.iter().chain(&receipt.issues).map(String::as_str).collect();
    PartialSuccess {
        rejected: i64::try_from(ignored).unwrap_or(i64::MAX),
        message: said.join("; "),
    }
}
