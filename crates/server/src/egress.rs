//! The way out to fetch something: requests to hosts that the settings file names, within limits of
//! size and time, and never to where a redirect leads unless that is one of these hosts, too. The
//! other way out is [`crate::tee`].

use crate::limits::{EGRESS_REDIRECTS_MAX, EGRESS_TIMEOUT};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::io::Write;

/// Requests to some hosts.
pub(crate) struct Egress {
    /// Host and port.
    allowed: Vec<(String, u16)>,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// Host and port of an address without encryption.
pub(crate) fn target(uri: &Uri) -> Result<(String, u16)> {
    ensure!(
        uri.scheme_str() == Some("http"),
        "{uri}: only http:// is spoken; put a proxy that speaks https before it"
    );
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("{uri} names no host"))?;
    Ok((host.to_ascii_lowercase(), uri.port_u16().unwrap_or(80)))
}

impl Egress {
    /// To the hosts of these addresses alone.
    pub(crate) fn to(addresses: &[Uri]) -> Result<Self> {
        let allowed = addresses.iter().map(target).collect::<Result<_>>()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { allowed, client })
    }

    fn check(&self, uri: &Uri) -> Result<()> {
        let target = target(uri)?;
        ensure!(self.allowed.contains(&target), "{}:{} is not configured", target.0, target.1);
        Ok(())
    }

    /// Writes what is at an address to `out`, at most `bytes_max` bytes; `false` when there is
    /// nothing.
    pub(crate) async fn fetch(
        &self,
        address: &Uri,
        out: &mut dyn Sink,
        bytes_max: u64,
    ) -> Result<bool> {
        let fetching = self.follow(address.clone(), out, bytes_max);
        tokio::time::timeout(EGRESS_TIMEOUT, fetching).await.context("it takes too long")?
    }

    async fn follow(&self, mut uri: Uri, out: &mut dyn Sink, bytes_max: u64) -> Result<bool> {
        for _ in 0..=EGRESS_REDIRECTS_MAX {
            self.check(&uri)?;
            let request = Request::builder().uri(&uri).header(header::USER_AGENT, "vesta");
            let request = request.body(Empty::new()).context("a malformed request")?;
            let answer =
                self.client.request(request).await.with_context(|| format!("reach {uri}"))?;
            match answer.status() {
                StatusCode::NOT_FOUND => return Ok(false),
                status if status.is_redirection() => {
                    let to = answer.headers().get(header::LOCATION);
                    let to = to.and_then(|to| to.to_str().ok()).context("a redirect to nowhere")?;
                    uri = resolve(&uri, to)?;
                    continue;
                }
                StatusCode::OK => {}
                status => bail!("{uri} answers {status}"),
            }
            let (mut body, mut bytes) = (answer.into_body(), 0_u64);
            while let Some(frame) = body.frame().await {
                let Ok(piece) = frame.context("the answer broke off")?.into_data() else {
                    continue;
                };
                bytes += piece.len() as u64;
                ensure!(bytes <= bytes_max, "it has more than {bytes_max} bytes");
                out.write_all(&piece).context("write the file")?;
            }
            return Ok(true);
        }
        bail!("{uri}: more than {EGRESS_REDIRECTS_MAX} redirects")
    }
}

/// Where answers are written to.
pub(crate) trait Sink: Write + Send {}

impl<T: Write + Send> Sink for T {}

/// An address that a redirect names: a whole one, or a path on the same host.
fn resolve(from: &Uri, to: &str) -> Result<Uri> {
    let whole = if to.starts_with('/') && !to.starts_with("//") {
        format!("http://{}{to}", from.authority().map_or("", http::uri::Authority::as_str))
    } else {
        to.to_owned()
    };
    whole.parse().with_context(|| format!("a redirect to {to:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    /// Answers each path with a text; gives the port and the paths that were asked for.
    fn server(answers: Vec<(&'static str, String)>) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                let path = first.split(' ').nth(1).unwrap().to_owned();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let answer = answers.iter().find(|(known, _)| *known == path);
                let text = answer.map_or("HTTP/1.1 404 no\r\n\r\n", |(_, text)| text);
                seen.lock().unwrap().push(path);
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        (port, asked)
    }

    fn moved(to: &str) -> String {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    }

    fn found(text: &str) -> String {
        let length = text.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}")
    }

    #[tokio::test]
    async fn only_configured_hosts_are_asked_whatever_redirects_say() {
        let (other, other_asked) = server(vec![("/secret", found("secret"))]);
        let (port, _) = server(vec![
            ("/here", found("data")),
            ("/near", moved("/here")),
            ("/far", moved(&format!("http://127.0.0.1:{other}/secret"))),
            ("/tls", moved("https://127.0.0.1/secret")),
            ("/loop", moved("/loop")),
        ]);
        let base = format!("http://127.0.0.1:{port}");
        let egress = Egress::to(&[base.parse().unwrap()]).unwrap();
        let fetch = async |path: &str, most| {
            let mut out = Vec::new();
            let uri = if path.starts_with('/') { format!("{base}{path}") } else { path.to_owned() };
            let there = egress.fetch(&uri.parse().unwrap(), &mut out, most).await;
            there.map(|there| there.then_some(out)).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(fetch("/here", 9).await, Ok(Some(b"data".to_vec())));
        assert_eq!(fetch("/near", 9).await, Ok(Some(b"data".to_vec())));
        assert_eq!(fetch("/none", 9).await, Ok(None));
        let secret = format!("http://127.0.0.1:{other}/secret");
        for (path, why) in [
            ("/far", "is not configured"),
            (secret.as_str(), "is not configured"),
            ("/tls", "only http://"),
            ("/loop", "redirects"),
        ] {
            let error = fetch(path, 9).await.unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
        assert!(fetch("/here", 3).await.unwrap_err().contains("more than 3 bytes"));
        assert_eq!(other_asked.lock().unwrap().len(), 0);
    }
}
