//! Takes export requests and hands their bytes to a handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tower::Service;
use wire::Message;
use wire::otlp::collector_profiles::{ExportProfilesPartialSuccess, ExportProfilesServiceResponse};

use super::EXPORT_PATH;
use crate::bytes_codec::BytesCodec;

/// What a handler answers.
pub type ExportFuture = BoxFuture<'static, Result<PartialSuccess, Rejection>>;

/// Takes encoded `ExportProfilesServiceRequest` messages.
pub trait ProfilesHandler: Send + Sync + 'static {
    /// Takes one request. `headers` are the request's metadata; `body` is the message, already
    /// decompressed. Answering `Ok` acknowledges it.
    fn export(&self, headers: HeaderMap, body: Bytes) -> ExportFuture;
}

/// What of a request that was taken had to be left out; all zero and empty when nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Number of profiles refused.
    pub rejected: i64,
    /// Why, or a warning when nothing was refused.
    pub message: String,
}

/// Why a request was not taken at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason as clients understand it.
    pub code: RejectionCode,
    /// What, where, what to do.
    pub message: String,
}

/// Reasons, by what a client can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionCode {
    /// The request cannot be read; sending it again does not help.
    InvalidArgument,
    /// No token, or an unknown one.
    Unauthenticated,
    /// The token does not allow it.
    PermissionDenied,
    /// Larger than what is accepted, or too much for now.
    ResourceExhausted,
    /// Not now: send it again later.
    Unavailable,
    /// A defect or a failing disk on our side.
    Internal,
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.code {
            RejectionCode::InvalidArgument => Code::InvalidArgument,
            RejectionCode::Unauthenticated => Code::Unauthenticated,
            RejectionCode::PermissionDenied => Code::PermissionDenied,
            RejectionCode::ResourceExhausted => Code::ResourceExhausted,
            RejectionCode::Unavailable => Code::Unavailable,
            RejectionCode::Internal => Code::Internal,
        };
        Status::new(code, rejection.message)
    }
}

/// The service as a router that any HTTP/2 server can serve, `axum::serve` without TLS included.
/// Accepts gzip; refuses messages of more than `message_bytes_max` after decompression.
pub fn profiles_service(
    handler: Arc<dyn ProfilesHandler>,
    message_bytes_max: usize,
) -> axum::Router {
    Routes::new(ProfilesService { handler, message_bytes_max }).into_axum_router()
}

#[derive(Clone)]
struct ProfilesService {
    handler: Arc<dyn ProfilesHandler>,
    message_bytes_max: usize,
}

impl NamedService for ProfilesService {
    const NAME: &'static str =
        "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
}

impl Service<http::Request<Body>> for ProfilesService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != EXPORT_PATH {
            let status = Status::unimplemented("the profiles service has one method, Export");
            return Box::pin(async move { Ok(status.into_http()) });
        }
        let export = Export { handler: Arc::clone(&self.handler) };
        let mut grpc = Grpc::new(BytesCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.message_bytes_max);
        Box::pin(async move { Ok(grpc.unary(export, request).await) })
    }
}

struct Export {
    handler: Arc<dyn ProfilesHandler>,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, body) = request.into_parts();
        let answer = self.handler.export(metadata.into_headers(), body);
        Box::pin(async move {
            let part = answer.await?;
            let is_whole = part.rejected == 0 && part.message.is_empty();
            let partial_success = (!is_whole).then_some(ExportProfilesPartialSuccess {
                rejected_profiles: part.rejected,
                error_message: part.message,
            });
            let message = ExportProfilesServiceResponse { partial_success };
            Ok(Response::new(message.encode_to_vec().into()))
        })
    }
}
