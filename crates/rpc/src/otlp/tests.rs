//! The client against the server over a loopback connection.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use bytes::Bytes;
use http::HeaderMap;
use tokio::net::TcpListener;

use super::*;

const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers by the first byte of the message and keeps what it saw.
#[derive(Default)]
struct Recorder {
    seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    panics: AtomicUsize,
}

impl ExportHandler for Recorder {
    fn export(&self, request: Request) -> ExportFuture {
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.expect("a body");
            let body = gunzip(&unframe(&parts.headers, body)?);
            let first = body.first().copied();
            seen.lock().expect("no panic while locked").push((parts.headers, body));
            let reject = |code| Rejection { code, message: "try later".to_owned() };
            match first {
                Some(b'p') => Ok(PartialSuccess { rejected: 2, message: "two".to_owned() }),
                Some(b'u') => Err(reject(RejectionCode::Unavailable)),
                Some(b'i') => Err(reject(RejectionCode::InvalidArgument)),
                Some(b'!') => panic!("as asked for"),
                _ => Ok(PartialSuccess::default()),
            }
        })
    }

    fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

fn gunzip(bytes: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("the client compresses");
    plain.into()
}

async fn serve() -> (SocketAddr, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let router = profiles_service(Arc::clone(&recorder) as _);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, recorder)
}

#[tokio::test]
async fn the_body_and_the_token_arrive_as_sent() {
    let (address, recorder) = serve().await;
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
    let (address, _) = serve().await;
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
async fn what_is_larger_than_what_is_sent_is_named() {
    let (address, recorder) = serve().await;
    let client = ProfilesClient::connect_lazy(&address.to_string(), None).unwrap();
    let huge = Bytes::from(vec![0; crate::limits::CLIENT_MESSAGE_BYTES_MAX + 1]);
    let error = client.export(huge).await.expect_err("never sent");
    assert!(matches!(error, Error::TooLarge { .. }));
    assert!(recorder.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let (address, recorder) = serve().await;
    let client = ProfilesClient::connect_lazy(&address.to_string(), None).unwrap();
    let error = client.export(Bytes::from_static(b"!")).await.expect_err("it panics");
    assert!(error.to_string().contains("Internal") && !error.is_retryable(), "{error}");
    assert_eq!(recorder.panics.load(Ordering::Relaxed), 1);
    client.export(Bytes::from_static(b"x")).await.expect("the next one");
}

#[test]
fn only_one_whole_message_is_taken() {
    let headers = |encoding: &'static str| {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-encoding"),
            http::HeaderValue::from_static(encoding),
        )])
    };
    let read =
        |encoding, bytes: &'static [u8]| unframe(&headers(encoding), Bytes::from_static(bytes));
    assert_eq!(&read("identity", b"\0\0\0\0\x02ab").unwrap()[..], b"ab");
    assert_eq!(&read("gzip", b"\x01\0\0\0\x02ab").unwrap()[..], b"ab");
    let malformed: [&[u8]; 6] = [
        b"",
        b"\0\0\0\0",
        b"\0\0\0\0\x03ab",
        b"\0\0\0\0\x01ab",
        b"\0\xff\xff\xff\xffab",
        b"\x02\0\0\0\x02ab",
    ];
    for bytes in malformed {
        let code = read("gzip", bytes).unwrap_err().code;
        assert_eq!(code, RejectionCode::InvalidArgument, "{bytes:?}");
    }
    let unknown = read("snappy", b"\x01\0\0\0\x02ab").unwrap_err();
    assert_eq!(unknown.code, RejectionCode::Unimplemented);
    assert!(unknown.message.contains("snappy"));
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
    let router = profiles_service(Arc::new(Recorder::default()));
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
