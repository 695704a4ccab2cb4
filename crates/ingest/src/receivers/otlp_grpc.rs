//! OTLP profiles over gRPC, handed over by `rpc` as the bytes of the message.

use super::otlp_http::{context, partial_success};
use crate::auth::Auth;
use crate::pipeline::Ingest;
use crate::principal::Need;
use crate::problem::Problem;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
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
    fn export(&self, headers: HeaderMap, body: Bytes) -> ExportFuture {
        let (ingest, auth) = (Arc::clone(&self.ingest), Arc::clone(&self.auth));
        Box::pin(async move {
            let principal = auth.admit(&headers, Need::Upload).map_err(|p| rejection(&p))?;
            let received = ingest.admit(body).await.map_err(|p| rejection(&p))?;
            let decode = formats::otlp::decode;
            let stored = ingest.store(&principal, received, context(&headers), decode).await;
            stored.map(|receipt| partial_success(&receipt)).map_err(|p| rejection(&p))
        })
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
    Rejection { code, message: format!("{}: {}", problem.detail, problem.hint) }
}
