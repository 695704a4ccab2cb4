//! OTLP profiles over gRPC, handed over by `rpc` as the bytes of the message.

use super::otlp_http::{context, partial_success};
use crate::auth::Auth;
use crate::decode;
use crate::limits::REJECTION_BYTES_MAX;
use crate::normalise::bounded;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Need;
use crate::problem::Problem;
use axum::extract::Request;
use http::StatusCode;
use rpc::otlp::{ExportFuture, ProfilesHandler, Rejection, RejectionCode};
use std::sync::Arc;

/// Takes export requests.
#[derive(Debug)]
pub struct OtlpGrpc {
    ingest: Arc<Ingest>,
    auth: Arc<Auth>,
}

impl OtlpGrpc {
    /// A handler that stores through `ingest` for those whom `auth` admits.
    pub fn new(ingest: Arc<Ingest>, auth: Arc<Auth>) -> Self {
        Self { ingest, auth }
    }
}

impl ProfilesHandler for OtlpGrpc {
    fn export(&self, request: Request) -> ExportFuture {
        let (ingest, auth) = (Arc::clone(&self.ingest), Arc::clone(&self.auth));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let headers = &parts.headers;
            // Before anything of the body is read.
            let principal = auth.admit(headers, Need::Upload).map_err(|p| rejection(&p))?;
            let mut received = ingest.receive(headers, body).await.map_err(|p| rejection(&p))?;
            // What is compressed stays so: the decoder undoes it within its own limits.
            received.bytes = rpc::otlp::unframe(headers, received.bytes)?;
            received.original = received.original.map(|_| received.bytes.clone());
            let of = (Kept::of(Receiver::Otlp, ingest.clock.now(), &[], headers), context(headers));
            let stored = ingest.store(&principal, received, of, decode::otlp).await;
            stored.map(|receipt| partial_success(&receipt)).map_err(|p| rejection(&p))
        })
    }

    fn panicked(&self) {
        tracing::error!("an export over gRPC panicked");
        self.ingest.count_panic();
    }
}

pub(super) fn rejection(problem: &Problem) -> Rejection {
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
