//! OTLP profiles, traces and logs over gRPC, handed over by `rpc` as the bytes of the message.

use super::otlp::Export;
use crate::auth::Auth;
use crate::limits::REJECTION_BYTES_MAX;
use crate::normalise::bounded;
use crate::pipeline::Ingest;
use crate::principal::Need;
use crate::problem::Problem;
use axum::extract::Request;
use formats::traces::Form;
use http::StatusCode;
use rpc::otlp::{ExportFuture, ExportHandler, Rejection, RejectionCode};
use std::sync::Arc;

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
            let stored = holds.store(&ingest, &principal, received, headers, Form::Protobuf).await;
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
