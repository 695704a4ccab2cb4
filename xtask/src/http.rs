//! Small HTTP requests to servers on this machine.

use anyhow::{Context, bail};
use serde_json::Value;
use std::time::Duration;

/// A client that returns every status as an answer.
#[derive(Clone, Debug)]
pub(crate) struct Client(ureq::Agent);

/// The largest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

impl Client {
    pub(crate) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(2)))
            .build();
        Self(config.into())
    }

    /// Status and body of a GET.
    pub(crate) fn get(&self, url: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.0.get(url).call().with_context(|| format!("GET {url}"))?;
        read(answer).with_context(|| format!("GET {url}"))
    }

    /// The JSON of a GET that answers 200.
    pub(crate) fn get_json(&self, url: &str) -> anyhow::Result<Value> {
        json("GET", url, self.get(url)?)
    }

    /// The body of a GET that answers 200.
    pub(crate) fn get_bytes(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        let mut answer = self.0.get(url).call().with_context(|| format!("GET {url}"))?;
        let status = answer.status();
        if status != 200 {
            bail!("GET {url} answers {status}");
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        body.with_context(|| format!("GET {url}"))
    }

    /// The JSON of a POST that answers 2xx.
    pub(crate) fn post(&self, url: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Value> {
        let answer = self
            .0
            .post(url)
            .header("content-type", content_type)
            .send(body)
            .with_context(|| format!("POST {url}"))?;
        json("POST", url, read(answer)?)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> anyhow::Result<(u16, String)> {
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
    Ok((status, body))
}

fn json(method: &str, url: &str, (status, body): (u16, String)) -> anyhow::Result<Value> {
    if !(200..300).contains(&status) {
        let start: String = body.chars().take(300).collect();
        bail!("{method} {url} answers {status}: {start}");
    }
    serde_json::from_str(&body).with_context(|| format!("{method} {url} answers no JSON"))
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte as char);
            }
            _ => out.extend(format!("%{byte:02X}").chars()),
        }
    }
    out
}

/// A multipart body with one file part named `profile`; returns content type and body.
pub(crate) fn multipart(file: &[u8]) -> (String, Vec<u8>) {
    let boundary = "vesta-xtask-8f2c1d7be5a94036";
    let mut body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"profile\"; filename=\"p.pprof\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[cfg(test)]
mod tests {
    #[test]
    fn selectors_survive_a_query_string() {
        assert_eq!(super::encode("{a=\"b c\"}~"), "%7Ba%3D%22b%20c%22%7D~");
    }
}
