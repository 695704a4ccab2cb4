//! What a client still sends of a request that is answered already, over HTTP/1: a little of it is read,
//! so that the connection can be used again. Where there is more, the answer says that the connection
//! closes: a client that does not know would send its next request into nothing.

use crate::limits::{REST_BYTES_MAX, REST_TIMEOUT};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Request, Version, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tower::ServiceExt;

/// What is left of a body when whoever answers is done with it; nothing where that read all of it, or
/// reads on.
type Rest = Arc<Mutex<Option<Incoming>>>;

/// Answers a request.
pub(super) async fn answer(
    router: Router,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    if request.version() >= Version::HTTP_2 {
        // One stream ends without the others.
        return router.oneshot(request.map(Body::new)).await;
    }
    let waits = request.headers().contains_key(header::EXPECT);
    let rest = Rest::default();
    let left = Arc::clone(&rest);
    let request = request.map(|body| Body::new(Watched { body: Some(body), left }));
    let mut response = router.oneshot(request).await?;
    let unread = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = unread {
        // Reading asks a client for the body that waits to be asked.
        let is_read = !waits && read(body).await;
        if !is_read {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(response)
}

/// Reads a body to its end, if that is near.
async fn read(mut body: Incoming) -> bool {
    let is_far = hyper::body::Body::size_hint(&body).lower() > REST_BYTES_MAX as u64;
    let whole = async {
        let mut left = REST_BYTES_MAX;
        while let Some(frame) = body.frame().await {
            let bytes = frame.ok().map(|frame| frame.data_ref().map_or(0, Bytes::len));
            let Some(rest) = bytes.and_then(|bytes| left.checked_sub(bytes)) else { return false };
            left = rest;
        }
        true
    };
    !is_far && tokio::time::timeout(REST_TIMEOUT, whole).await.unwrap_or(false)
}

/// A body whose rest is left behind.
struct Watched {
    /// Gone when it is at its end or broken.
    body: Option<Incoming>,
    left: Rest,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), hyper::body::Body::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !hyper::body::Body::is_end_stream(self) {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}
