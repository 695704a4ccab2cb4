//! OTLP profiles, traces and logs over gRPC, handed over by `rpc` as the bytes of the message.

use super::{otlp_http, otlp_logs, otlp_traces};
use crate::auth::Auth;
use crate::decode;
use crate::limits::REJECTION_BYTES_MAX;
use crate::normalise::bounded;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Need;
use crate::problem::Problem;
use axum::extract::Request;
use formats::Options;
use formats::traces::Form;
use http::StatusCode;
use rpc::otlp::{ExportFuture, ExportHandler, Rejection, RejectionCode};
use std::sync::Arc;

/// What an export holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Profiles.
    Profiles,
    /// Spans.
    Traces,
    /// Log records, of which those that carry profiles are read.
    Logs,
}

/// Takes export requests that hold one of these.
#[derive(Debug)]
pub struct OtlpGrpc {
    holds: Export,
    ingest: Arc<Ingest>,
    auth: Arc<Auth>,
}

impl OtlpGrpc {
    /// A handler that stores through `ingest` for those whom `auth` admits.
    pub fn new(holds: Export, ingest: Arc<Ingest>, auth: Arc<Auth>) -> Self {
        Self { holds, ingest, auth }
    }
}

impl ExportHandler for OtlpGrpc {
    fn export(&self, request: Request) -> ExportFuture {
        let (holds, ingest) = (self.holds, Arc::clone(&self.ingest));
        let auth = Arc::clone(&self.auth);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let headers = &parts.headers;
            // Before anything of the body is read.
            let principal = auth.admit(headers, Need::Upload).map_err(|p| rejection(&p))?;
            let mut received = ingest.receive(headers, body).await.map_err(|p| rejection(&p))?;
            // What is compressed stays so: the decoder undoes it within its own limits.
            received.bytes = rpc::otlp::unframe(headers, received.bytes)?;
            received.original = received.original.map(|_| received.bytes.clone());
            let context = otlp_http::context(headers);
            let stored = match holds {
                Export::Profiles => {
                    let request = Kept::of(Receiver::Otlp, ingest.clock.now(), &[], headers);
                    let of = (request, context);
                    let stored = ingest.store(&principal, received, of, decode::otlp).await;
                    stored.map(|receipt| otlp_http::partial_success(&receipt))
                }
                Export::Logs => {
                    let request = Kept::of(Receiver::OtlpLogs, ingest.clock.now(), &[], headers);
                    let decode = |bytes: &[u8], options: &Options| {
                        formats::logs::decode(bytes, Form::Protobuf, options)
                    };
                    let of = (request, context);
                    let stored = ingest.store(&principal, received, of, decode).await;
                    stored.map(|receipt| otlp_logs::partial_success(&receipt))
                }
                Export::Traces => {
                    let decode = |bytes: &[u8], options: &Options| {
                        formats::traces::decode(bytes, Form::Protobuf, options)
                    };
                    let stored = ingest.store_spans(&principal, received, context, decode).await;
                    stored.map(otlp_traces::partial_success)
                }
            };
            stored.map_err(|problem| rejection(&problem))
        })
    }

    fn panicked(&self) {
        tracing::error!(holds = ?self.holds, "an export over gRPC panicked");
        self.ingest.count_panic();
    }
}

fn rejection(problem: &Problem) -> Rejection {
    let code = match problem.status {
        StatusCode::UNAUTHORIZED => RejectionCode::Unauthenticated,
        StatusCode::FORBIDDEN => RejectionCode::PermissionDenied,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            RejectionCode::Unavailable
        }
        StatusCode::PAYLOAD_TOO_LARGE => RejectionCode::ResourceExhausted,
        status if status.is_client_error() => RejectionCode::InvalidArgument,
        _ => RejectionCode::Internal,
    };
    tracing::info!(?code, detail = ?problem.detail, "an export over gRPC was refused");
    let message = format!("{}: {}", problem.detail, problem.hint);
    Rejection { code, message: bounded(&message, REJECTION_BYTES_MAX) }
}
