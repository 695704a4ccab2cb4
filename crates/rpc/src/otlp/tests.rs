//! The client against the server over a loopback connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use tokio::net::TcpListener;

use super::*;

/// Answers by the first byte of the body and keeps what it saw.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<(HeaderMap, Bytes)>>,
}

impl ProfilesHandler for Recorder {
    fn export(&self, headers: HeaderMap, body: Bytes) -> ExportFuture {
        let first = body.first().copied();
        self.seen.lock().expect("no panic while locked").push((headers, body));
        Box::pin(async move {
            let reject = |code| Rejection { code, message: "try later".to_owned() };
            match first {
                Some(b'p') => Ok(PartialSuccess { rejected: 2, message: "two".to_owned() }),
                Some(b'u') => Err(reject(RejectionCode::Unavailable)),
                Some(b'i') => Err(reject(RejectionCode::InvalidArgument)),
                _ => Ok(PartialSuccess::default()),
            }
        })
    }
}

async fn serve(message_bytes_max: usize) -> (SocketAddr, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let router = profiles_service(Arc::clone(&recorder) as _, message_bytes_max);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, recorder)
}

#[tokio::test]
async fn the_body_and_the_token_arrive_as_sent() {
    let (address, recorder) = serve(1 << 20).await;
    let client = ProfilesClient::connect_lazy(&format!("http://{address}"), Some("t0k")).unwrap();
    let body = Bytes::from(vec![b'x'; 300_000]);
    client.export(body.clone()).await.expect("taken");
    let seen = recorder.seen.lock().unwrap();
    let (headers, received) = &seen[0];
    assert_eq!(*received, body);
    assert_eq!(
        headers.get("authorization").map(http::HeaderValue::as_bytes),
        Some(&b"Bearer t0k"[..])
    );
    assert_eq!(headers.get("grpc-encoding").map(http::HeaderValue::as_bytes), Some(&b"gzip"[..]));
}

#[tokio::test]
async fn answers_tell_whether_to_send_again() {
    let (address, _) = serve(1 << 20).await;
    let client = ProfilesClient::connect_lazy(&address.to_string(), None).unwrap();
    let partly = client.export(Bytes::from_static(b"p")).await.expect_err("partly");
    assert!(matches!(partly, Error::PartlyRefused { rejected: 2, .. }));
    assert!(!partly.is_retryable());
    let later = client.export(Bytes::from_static(b"u")).await.expect_err("unavailable");
    assert!(later.is_retryable());
    assert!(later.to_string().contains("try later"), "{later}");
    let never = client.export(Bytes::from_static(b"i")).await.expect_err("invalid");
    assert!(!never.is_retryable());
    client.export(Bytes::new()).await.expect("an empty request is a request");
}

#[tokio::test]
async fn what_grows_beyond_the_limit_is_refused_and_the_next_request_served() {
    let (address, recorder) = serve(1000).await;
    let client = ProfilesClient::connect_lazy(&address.to_string(), None).unwrap();
    let bomb = Bytes::from(vec![0; 1 << 20]);
    client.export(bomb).await.expect_err("a megabyte of zeros is small when compressed");
    client.export(Bytes::from(vec![0; 1000])).await.expect("at the limit");
    assert_eq!(recorder.seen.lock().unwrap().len(), 1);
    let huge = Bytes::from(vec![0; crate::limits::CLIENT_MESSAGE_BYTES_MAX + 1]);
    let error = client.export(huge).await.expect_err("never sent");
    assert!(matches!(error, Error::TooLarge { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let client = ProfilesClient::connect_lazy(&port.to_string(), None).unwrap();
    let error = client.export(Bytes::new()).await.expect_err("nobody listens");
    assert!(error.is_retryable(), "{error}");
    let router = profiles_service(Arc::new(Recorder::default()), 1000);
    let listener = TcpListener::bind(port).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    client.export(Bytes::new()).await.expect("the same client connects again");
}

#[tokio::test]
async fn unusable_addresses_and_tokens_are_named() {
    for endpoint in ["https://host:4317", "http://", "not a host"] {
        let error = ProfilesClient::connect_lazy(endpoint, None).expect_err(endpoint);
        assert!(error.to_string().contains(endpoint), "{error}");
    }
    let error = ProfilesClient::connect_lazy("http://host:1", Some("a\nb")).expect_err("newline");
    assert!(matches!(error, Error::Token));
}
