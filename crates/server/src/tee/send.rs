//! Sends what waits, a few requests at a time, each once.

use super::{Onward, Tee, headers};
use crate::limits::{TEE_ANSWER_BYTES_MAX, TEE_SENDERS, TEE_TIMEOUT};
use crate::outward::{Connector, HTTP1, HTTP2, Trust};
use bytes::Bytes;
use futures::StreamExt;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

type Http = Client<Connector, Full<Bytes>>;

/// What requests are sent with: gRPC is only spoken over HTTP/2.
pub(super) struct Clients {
    plain: Http,
    grpc: Http,
    via: HeaderValue,
}

/// Sends until nobody queues any more.
pub(super) async fn run(tee: Arc<Tee>, queue: mpsc::Receiver<Onward>, clients: Clients) {
    let clients = Arc::new(clients);
    let queue = futures::stream::unfold(queue, |mut queue| async move {
        let next = queue.recv().await?;
        Some((next, queue))
    });
    let send = |onward| one(Arc::clone(&clients), Arc::clone(&tee), onward);
    queue.for_each_concurrent(TEE_SENDERS, send).await;
}

async fn one(clients: Arc<Clients>, tee: Arc<Tee>, onward: Onward) {
    match tokio::time::timeout(TEE_TIMEOUT, clients.send(&tee, &onward)).await {
        Ok(Ok(())) => drop(tee.sent.fetch_add(1, Ordering::Relaxed)),
        Ok(Err(why)) => tee.fail_one(&why),
        Err(_) => tee.fail_one("the answer takes too long"),
    }
    // Only now its bytes are free for others.
    drop(onward.place);
}

impl Clients {
    /// `via` says through whom requests go.
    pub(super) fn new(trust: &Trust, via: &str) -> Self {
        let client = |protocol| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(TEE_SENDERS);
            builder.http2_only(protocol == HTTP2).build(Connector::new(trust, protocol))
        };
        let via = HeaderValue::from_str(via).unwrap_or(HeaderValue::from_static("1.1 vesta"));
        Self { plain: client(HTTP1), grpc: client(HTTP2), via }
    }

    async fn send(&self, tee: &Tee, onward: &Onward) -> Result<(), String> {
        let head = &onward.head;
        let uri = address(&tee.settings.to, &head.uri).map_err(|error| chain(&error))?;
        let mut request = Request::new(Full::new(onward.body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers::onward(&head.headers, &tee.settings, &self.via);
        let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_grpc = kind.is_some_and(|kind| {
            kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web")
        });
        let client = if is_grpc {
            request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
            &self.grpc
        } else {
            &self.plain
        };
        let answer = client.request(request).await.map_err(|error| chain(&error))?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again; not without end.
        let (mut body, mut left) = (answer.into_body(), TEE_ANSWER_BYTES_MAX);
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                break;
            };
            left = rest;
        }
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
    }
}

/// The address of a request behind another one's path.
pub(super) fn address(to: &Uri, asked: &Uri) -> Result<Uri, http::Error> {
    let base = to.path().trim_end_matches('/');
    let asked = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    let authority = to.authority().map_or("", Authority::as_str);
    Uri::builder()
        .scheme(to.scheme().unwrap_or(&Scheme::HTTP).clone())
        .authority(authority)
        .path_and_query(format!("{base}{asked}"))
        .build()
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
