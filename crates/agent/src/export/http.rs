//! OTLP over HTTP: `POST /v1development/profiles`, protobuf, gzip.

use crate::export::Failure;
use crate::limits;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::fmt::Write as _;
use std::io::Write as _;

/// Bytes of an error's text that are logged.
const REASON_BYTES_MAX: usize = 4096;

type Connection = hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>;

#[derive(Debug)]
pub(crate) struct Client {
    uri: Uri,
    authorization: Option<HeaderValue>,
    connection: Connection,
}

fn gzip(body: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

fn never(error: impl std::fmt::Display) -> Failure {
    Failure::Never(error.to_string())
}

impl Client {
    pub(crate) fn new(uri: Uri, token: Option<&str>) -> anyhow::Result<Self> {
        let authorization = token
            .map(|token| {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
                value.set_sensitive(true);
                anyhow::Ok(value)
            })
            .transpose()?;
        let connection =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { uri, authorization, connection })
    }

    pub(crate) async fn send(&self, body: Bytes) -> Result<(), Failure> {
        match tokio::time::timeout(limits::EXPORT_TIMEOUT, self.exchange(&body)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Later(format!("{} does not answer", self.uri))),
        }
    }

    async fn exchange(&self, body: &[u8]) -> Result<(), Failure> {
        let body = gzip(body).map_err(never)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "gzip")
            .header(USER_AGENT, concat!("vesta-agent/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(never)?;
        let response = self.connection.request(request).await.map_err(|error| {
            let mut reason = format!("{}: {error}", self.uri);
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                let _ = write!(reason, ": {error}");
                cause = error.source();
            }
            if error.is_connect() {
                reason.push_str("; start `vesta serve` there, or set --endpoint");
            }
            Failure::Later(reason)
        })?;
        let status = response.status();
        let text = Limited::new(response.into_body(), REASON_BYTES_MAX).collect().await;
        if status.is_success() {
            return Ok(());
        }
        let text = text.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let reason = format!("{}: {status}: {}", self.uri, String::from_utf8_lossy(&text));
        let is_passing = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(if is_passing { Failure::Later(reason) } else { Failure::Never(reason) })
    }
}
