//! Errors as people and programs read them: `application/problem+json` (RFC 9457) with what went
//! wrong, where, and what to do.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A problem. Its `type` is a stable path that names the kind of problem.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Stable kind, e.g. `/problems/too-large`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// HTTP status.
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    /// What and where.
    pub detail: String,
    /// What to do.
    pub hint: String,
    /// Names the request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which to try again.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

/// Media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// A problem; `detail` says what and where, `hint` what to do.
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (detail, hint) = (detail.into(), hint.into());
        Self { kind, title, status, detail, hint, request_id: None, retry_after: None }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let title = "The request is malformed";
        Self::new(StatusCode::BAD_REQUEST, "/problems/bad-request", title, detail, hint)
    }

    /// 401: nobody known asked.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        let hint = "send a token: `Authorization: Bearer <token>`, the password of Basic \
                    authentication, or the header X-Api-Key or DD-API-KEY";
        let title = "A token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "/problems/unauthenticated", title, detail, hint)
    }

    /// 403: known, but not allowed.
    pub fn forbidden(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "/problems/forbidden", "Not allowed", detail, hint)
    }

    /// 404: no such thing.
    pub fn not_found(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "/problems/not-found", "Not found", detail, hint)
    }

    /// 413: over a limit.
    pub fn too_large(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let title = "Larger than what is accepted";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", title, detail, hint)
    }

    /// 415: a media type that is not read here.
    pub fn unsupported(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let title = "Media type not supported";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "/problems/unsupported", title, detail, hint)
    }

    /// 422: read, but there is no profile in it.
    pub fn unreadable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let title = "No profile could be read from the body";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "/problems/unreadable", title, detail, hint)
    }

    /// 429: too much at once.
    pub fn busy(detail: impl Into<String>) -> Self {
        let hint = "send it again after the time in Retry-After";
        let title = "Too many uploads at once";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(status, "/problems/busy", title, detail, hint);
        Self { retry_after: Some(crate::limits::RETRY_AFTER_SECONDS), ..problem }
    }

    /// 503: the store cannot take or give data now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let hint = "see the server's log; look at the disk's free space and health, then try again";
        let title = "The store is not available";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(status, "/problems/unavailable", title, detail, hint);
        Self { retry_after: Some(crate::limits::RETRY_AFTER_SECONDS), ..problem }
    }

    /// 503: the disk has no room. Not 507, which clients of OTLP do not repeat.
    pub fn disk_full(detail: impl Into<String>) -> Self {
        let hint = "make room on the disk of the data folder, or lower --retention-days or \
                    --disk-budget; nothing has to be restarted, and what is stored can be read";
        let title = "The disk is full";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(status, "/problems/disk-full", title, detail, hint);
        Self { retry_after: Some(crate::limits::RETRY_AFTER_FULL_SECONDS), ..problem }
    }

    /// 500: a defect of ours.
    pub fn internal(detail: impl Into<String>) -> Self {
        let hint = "this is a defect of the server: please report it with the request id";
        let title = "The server failed";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal", title, detail, hint)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"vesta\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        // The layer that knows the request's id writes the body anew with it.
        response.extensions_mut().insert(self);
        response
    }
}
