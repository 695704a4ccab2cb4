//! Small HTTP requests to servers on this machine, and captured ones, sent again byte for byte.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A client that returns every status as an answer.
#[derive(Clone, Debug)]
pub(crate) struct Client(ureq::Agent);

/// The largest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// How long the server may be silent in an answer to a captured request.
const SILENCE_MAX: Duration = Duration::from_mins(1);

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

/// Sends a captured request as it is; status and body of the answer. The head may lack the empty
/// line at its end.
pub(crate) fn replay(address: &str, head: &[u8], body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.write_all(head)?;
    if !head.ends_with(b"\r\n\r\n") {
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(body)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).context("no answer")?;
        answer.extend_from_slice(&piece[..read]);
        if let Some(answered) = parse(&answer)? {
            return Ok(answered);
        }
        ensure!(read > 0, "the connection ends before the answer does");
    }
}

/// Status and body, when all of it is there; a body of unknown length is not waited for.
fn parse(answer: &[u8]) -> anyhow::Result<Option<(u16, Vec<u8>)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).context("the answer's head is no text")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.with_context(|| format!("an answer without a status: {head}"))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &answer[end + 4..];
    let length = length.unwrap_or(0);
    Ok((body.len() >= length).then(|| (status, body[..length].to_vec())))
}

fn is_header(line: &[u8], name: &str) -> bool {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let found = parts.next().unwrap_or_default();
    parts.next().is_some() && found.eq_ignore_ascii_case(name.as_bytes())
}

/// Whether the head of a request has a header.
pub(crate) fn has_header(head: &[u8], name: &str) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| is_header(line, name))
}

/// The head of a request without a header.
pub(crate) fn without_header(head: &[u8], name: &str) -> Vec<u8> {
    let lines = head.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !is_header(line, name)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_waited_for() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(answer).unwrap(), Some((200, b"{}".to_vec())));
        for cut in 0..answer.len() {
            assert_eq!(parse(&answer[..cut]).unwrap(), None, "{cut}");
        }
        let chunked = b"HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\n\r\n2";
        assert_eq!(parse(chunked).unwrap(), Some((429, Vec::new())));
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn requests_change_only_in_the_header_named() {
        let head = b"POST /accept-encoding: HTTP/1.1\r\nAccept-Encoding: gzip\r\nhost: a\r\n\r\n";
        assert!(has_header(head, "accept-encoding") && !has_header(head, "accept"));
        let kept = without_header(head, "accept-encoding");
        assert_eq!(kept, b"POST /accept-encoding: HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(without_header(&kept, "accept-encoding"), kept);
    }

    #[test]
    fn captured_requests_go_out_byte_for_byte() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = vec![0; 27];
            stream.read_exact(&mut got).unwrap();
            stream.write_all(b"HTTP/1.1 201 Made\r\ncontent-length: 2\r\n\r\nok").unwrap();
            got
        });
        let answer = replay(&address, b"PUT /x HTTP/1.1\r\nA: b\r\n", b"\0\xff").unwrap();
        assert_eq!(answer, (201, b"ok".to_vec()));
        assert_eq!(server.join().unwrap(), b"PUT /x HTTP/1.1\r\nA: b\r\n\r\n\0\xff");
    }

    #[test]
    fn selectors_survive_a_query_string() {
        assert_eq!(encode("{a=\"b c\"}~"), "%7Ba%3D%22b%20c%22%7D~");
    }
}
