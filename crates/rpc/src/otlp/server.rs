//! Takes export requests and hands them to a handler, which reads the message itself: nothing of a
//! request is kept in memory before its handler has looked at who sends it and how much there is.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Full};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tonic::{Code, Status};
use wire::Message;
use wire::otlp::collector_profiles::{ExportProfilesPartialSuccess, ExportProfilesServiceResponse};

use super::{EXPORT_PATH, LOGS_EXPORT_PATH, TRACES_EXPORT_PATH};

/// What a handler answers.
pub type ExportFuture = BoxFuture<'static, Result<PartialSuccess, Rejection>>;

/// Takes export requests, of profiles, of spans or of log records.
pub trait ExportHandler: Send + Sync + 'static {
    /// Takes one request, whose body is one message as [`unframe`] reads it. Answering `Ok`
    /// acknowledges it.
    fn export(&self, request: Request) -> ExportFuture;
    /// Hears of a panic in [`ExportHandler::export`], which the client sees as an internal error.
    fn panicked(&self);
}

/// What of a request that was taken had to be left out; all zero and empty when nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Number of profiles, spans or log records refused.
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
    /// A form of the request that is not served here.
    Unimplemented,
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
            RejectionCode::Unimplemented => Code::Unimplemented,
            RejectionCode::Internal => Code::Internal,
        };
        Status::new(code, rejection.message)
    }
}

/// The one message of a unary request's body, still compressed where `headers` say so. The frame is
/// a byte that says whether it is compressed and the message's length in four bytes.
///
/// # Errors
/// Another encoding than gzip, or a body that is not exactly one message.
pub fn unframe(headers: &HeaderMap, mut body: Bytes) -> Result<Bytes, Rejection> {
    let malformed = |what: &str| {
        let message = format!("the body is not one gRPC message: {what}; send one and close");
        Rejection { code: RejectionCode::InvalidArgument, message }
    };
    if body.len() < 5 {
        return Err(malformed("its frame is cut off"));
    }
    let (flag, length) = (body.get_u8(), body.get_u32());
    if body.len() as u64 != u64::from(length) {
        return Err(malformed(&format!("its frame says {length} bytes, {} came", body.len())));
    }
    let encoding = headers.get("grpc-encoding").map(HeaderValue::as_bytes);
    match (flag, encoding) {
        (0, _) | (1, Some(b"gzip")) => Ok(body),
        (1, encoding) => {
            let encoding = String::from_utf8_lossy(encoding.unwrap_or(b"none"));
            let message = format!("grpc-encoding {encoding:?} is not read here: send gzip or none");
            Err(Rejection { code: RejectionCode::Unimplemented, message })
        }
        _ => Err(malformed("its first byte is neither 0 nor 1")),
    }
}

/// The service as a router that any HTTP/2 server can serve, without TLS included.
pub fn profiles_service(handler: Arc<dyn ExportHandler>) -> Router {
    Router::new().route(EXPORT_PATH, post(export)).fallback(unknown_method).with_state(handler)
}

/// The services of profiles, of traces and of logs as one router.
pub fn services(
    profiles: Arc<dyn ExportHandler>,
    traces: Arc<dyn ExportHandler>,
    logs: Arc<dyn ExportHandler>,
) -> Router {
    let traces = Router::new().route(TRACES_EXPORT_PATH, post(export)).with_state(traces);
    let logs = Router::new().route(LOGS_EXPORT_PATH, post(export)).with_state(logs);
    profiles_service(profiles).merge(traces).merge(logs)
}

async fn unknown_method() -> Response {
    Status::unimplemented(
        "here are ProfilesService/Export of OTLP v1development, TraceService/Export and \
         LogsService/Export of v1 only",
    )
    .into_http()
}

async fn export(State(handler): State<Arc<dyn ExportHandler>>, request: Request) -> Response {
    // The handler may panic before its future exists, too.
    let exported = async { handler.export(request).await };
    let exported = AssertUnwindSafe(exported).catch_unwind().await.unwrap_or_else(|_| {
        handler.panicked();
        let message = "the server failed on this request: please report it".to_owned();
        Err(Rejection { code: RejectionCode::Internal, message })
    });
    match exported {
        Ok(part) => answer(part),
        Err(rejection) => Status::from(rejection).into_http(),
    }
}

/// The message of a successful answer. Those of traces and logs have the same fields as that of profiles.
pub fn encode_response(part: &PartialSuccess) -> Vec<u8> {
    let is_whole = part.rejected == 0 && part.message.is_empty();
    let partial_success = (!is_whole).then(|| ExportProfilesPartialSuccess {
        rejected_profiles: part.rejected,
        error_message: part.message.clone(),
    });
    ExportProfilesServiceResponse { partial_success }.encode_to_vec()
}

/// A successful answer: one frame, then the status as trailers.
fn answer(part: PartialSuccess) -> Response {
    let message = encode_response(&part);
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    let ok = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(ok))));
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
