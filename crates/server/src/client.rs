//! A small HTTP client for a running server.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Longest wait for the answer to a file, its upload included.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(15);
/// Bytes of a file that are sent at a time.
const PIECE_BYTES: usize = 256 << 10;

const SERVER: &str = "http://127.0.0.1:4040";

/// Which server, as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Address of the server.
    #[arg(long, env = "VESTA_SERVER", default_value = SERVER, value_name = "URL")]
    pub(crate) server: String,
    /// Token, where the server asks for one.
    #[arg(long, env = "VESTA_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl ServerArgs {
    /// The flag that names this server in another command; empty where none is needed.
    pub(crate) fn flag(&self) -> String {
        if self.server == SERVER { String::new() } else { format!(" --server {}", self.server) }
    }

    /// Asks; parameters without a value are left out. Errors say what the server said.
    pub(crate) async fn get(
        &self,
        path: &str,
        parameters: &[(&str, Option<&str>)],
    ) -> Result<Value> {
        self.get_as(None, path, parameters).await
    }

    /// Asks a question that has an id of its own while it is being answered.
    pub(crate) async fn get_as(
        &self,
        id: Option<&str>,
        path: &str,
        parameters: &[(&str, Option<&str>)],
    ) -> Result<Value> {
        let given = parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let name = header::HeaderName::from_static(api::running::QUERY_ID);
        let headers: Vec<_> = id.map(|id| (name, id)).into_iter().collect();
        let answer = self.send(Method::GET, path, given, &headers, Bytes::new()).await?;
        self.json(&answer)
    }

    /// Asks with another method than GET; an empty answer is null.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, Option<&str>)],
    ) -> Result<Value> {
        let given = parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let answer = self.send(method, path, given, &[], Bytes::new()).await?;
        if answer.is_empty() { Ok(Value::Null) } else { self.json(&answer) }
    }

    /// Writes a long answer to `out` as it comes; returns its bytes.
    pub(crate) async fn download(&self, path: &str, out: &mut dyn Write) -> Result<u64> {
        let mut request = Request::builder().uri(self.uri(path, std::iter::empty())?);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::new()));
        let request = request.context("the token holds characters that no request may hold")?;
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await;
        let answer = answer.with_context(|| format!("reach {}", self.server))?;
        let (status, mut body) = (answer.status(), answer.into_body());
        if !status.is_success() {
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
            bail!("{}", refusal(status, &body.to_bytes()));
        }
        let mut bytes = 0;
        loop {
            let frame = tokio::time::timeout(ANSWER_TIMEOUT, body.frame()).await;
            let Some(frame) = frame.context("the server stopped sending")? else { break };
            let frame = frame.context("the answer broke off: see the server's log")?;
            if let Ok(piece) = frame.into_data() {
                out.write_all(&piece).context("write the file")?;
                bytes += piece.len() as u64;
            }
        }
        Ok(bytes)
    }

    /// The JSON of an answer.
    pub(crate) fn json(&self, answer: &[u8]) -> Result<Value> {
        serde_json::from_slice(answer).with_context(|| {
            format!(
                "{} does not answer as vesta does: give the address of its page (port 4040 where \
                 none was chosen), not that of OTLP or of another server",
                self.server
            )
        })
    }

    /// Posts a body.
    pub(crate) async fn post<'a>(
        &self,
        path: &str,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Bytes> {
        let headers = [(header::CONTENT_TYPE, content_type)];
        self.send(Method::POST, path, parameters, &headers, body.into()).await
    }

    /// Posts a file as it is, piece by piece.
    pub(crate) async fn upload_file<'a>(
        &self,
        path: &str,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
        file: tokio::fs::File,
    ) -> Result<Value> {
        let mut request = Request::builder().method(Method::POST).uri(self.uri(path, parameters)?);
        request = request.header(header::CONTENT_LENGTH, file.metadata().await?.len());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let pieces = futures::stream::try_unfold(file, |mut file| async {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await?;
            Ok::<_, std::io::Error>((read > 0).then(|| (Frame::data(Bytes::from(piece)), file)))
        });
        let request = request.body(BodyExt::boxed_unsync(StreamBody::new(pieces)));
        let request = request.context("the token holds characters that no request may hold")?;
        let client: Client<_, UnsyncBoxBody<Bytes, std::io::Error>> =
            Client::builder(TokioExecutor::new()).build_http();
        let answer = tokio::time::timeout(UPLOAD_TIMEOUT, client.request(request)).await;
        let answer = answer.context("the server did not answer in time")?;
        let answer = answer.with_context(|| format!("reach {}", self.server))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?.to_bytes();
        if !status.is_success() {
            bail!("{}", refusal(status, &body));
        }
        self.json(&body)
    }

    async fn send<'a>(
        &self,
        method: Method,
        path: &str,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
        headers: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> Result<Bytes> {
        let uri = self.uri(path, parameters)?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(body))
            .context("the token holds characters that no request may hold")?;
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let exchange = async {
            let answer = client.request(request).await.with_context(|| {
                format!(
                    "reach {}: is `vesta serve` running there? Say where it is with --server",
                    self.server
                )
            })?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
            Ok::<_, anyhow::Error>((status, body.to_bytes()))
        };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
        let (status, body) = answered.context("the server did not answer in time")??;
        if !status.is_success() {
            bail!("{}", refusal(status, &body));
        }
        Ok(body)
    }

    fn uri<'a>(
        &self,
        path: &str,
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Uri> {
        let base = self.server.trim_end_matches('/');
        ensure!(
            !base.starts_with("https://"),
            "the server's address {base:?}: encrypted connections are not supported yet; use \
             http:// over a network that you trust, or a tunnel (ssh -L 4040:127.0.0.1:4040 HOST)"
        );
        let base = base.strip_prefix("http://").unwrap_or(base);
        ensure!(
            !base.contains("://") && !base.contains('/') && !base.is_empty(),
            "the server's address {:?}: write http://HOST:PORT",
            self.server
        );
        let mut text = format!("http://{base}{path}");
        for (at, (name, value)) in parameters.enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(&escape(name));
            text.push('=');
            text.push_str(&escape(value));
        }
        text.parse().with_context(|| format!("the server's address {base:?} is malformed"))
    }
}

fn refusal(status: http::StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    let (title, detail, hint) = (text("title"), text("detail"), text("hint"));
    if title.is_empty() {
        return format!("the server answered {status}");
    }
    format!("{title} ({status}): {detail}\n{hint}")
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_and_checked() {
        let server = |text: &str| ServerArgs { server: text.to_owned(), token: None };
        let uri = server("http://h:1/").uri("/api", [("match", "{a=\"b c\"}")].into_iter());
        assert_eq!(uri.unwrap().to_string(), "http://h:1/api?match=%7Ba%3D%22b%20c%22%7D");
        let short = server("h:1").uri("/api", std::iter::empty()).unwrap();
        assert_eq!(short.to_string(), "http://h:1/api");
        for wrong in ["https://h:1", "ftp://h", "http://h/api", "", "a b"] {
            let error = server(wrong).uri("/api", std::iter::empty()).unwrap_err().to_string();
            assert!(error.contains(wrong), "{wrong}: {error}");
        }
    }
}
