//! The way out to fetch something: requests to hosts that the settings file names, within limits of
//! size and time, and never to where a redirect leads unless that is one of these hosts, too, and
//! encrypted or not as the settings file says. The other way out is [`crate::tee`].

use crate::limits::{EGRESS_REDIRECTS_MAX, EGRESS_TIMEOUT};
use crate::outward::{Connector, HTTP1, Trust};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::fmt;
use std::io::Write;

/// Requests to some hosts.
pub(crate) struct Egress {
    allowed: Vec<Target>,
    client: Client<Connector, Empty<Bytes>>,
}

/// Who answers at an address: `http://` of a host is not its `https://`, whatever the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Who answers at an address.
pub(crate) fn target(uri: &Uri) -> Result<Target> {
    let default = match uri.scheme_str() {
        Some("https") => Some((Scheme::HTTPS, 443)),
        Some("http") => Some((Scheme::HTTP, 80)),
        _ => None,
    };
    let (scheme, port) = default
        .with_context(|| format!("{uri}: only https:// and http:// are spoken; begin with one"))?;
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("{uri} names no host"))?;
    let port = uri.port_u16().unwrap_or(port);
    Ok(Target { scheme, host: host.to_ascii_lowercase(), port })
}

impl Egress {
    /// To the hosts of these addresses alone.
    pub(crate) fn to(addresses: &[Uri], trust: &Trust) -> Result<Self> {
        let allowed = addresses.iter().map(target).collect::<Result<_>>()?;
        let client = Client::builder(TokioExecutor::new()).build(Connector::new(trust, HTTP1));
        Ok(Self { allowed, client })
    }

    fn check(&self, uri: &Uri) -> Result<()> {
        let target = target(uri)?;
        ensure!(self.allowed.contains(&target), "{target} is not configured");
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

/// An address that a redirect names: a whole one, one without a scheme, or a path on the same host.
fn resolve(from: &Uri, to: &str) -> Result<Uri> {
    let scheme = from.scheme_str().unwrap_or_default();
    let whole = if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{}{to}", from.authority().map_or("", Authority::as_str))
    } else {
        to.to_owned()
    };
    whole.parse().with_context(|| format!("a redirect to {to:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outward::tls;
    use http::Response;
    use http_body_util::Full;
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

    /// To one address, with a certificate if it needs one.
    fn to(base: &str, pem: &str) -> Egress {
        let base = base.parse().unwrap();
        let trust =
            if pem.is_empty() { Trust::towards([&base]).unwrap() } else { Trust::only(pem) };
        Egress::to(&[base], &trust).unwrap()
    }

    async fn fetch(egress: &Egress, uri: &str, most: u64) -> Result<Option<Vec<u8>>, String> {
        let mut out = Vec::new();
        let there = egress.fetch(&uri.parse().unwrap(), &mut out, most).await;
        there.map(|there| there.then_some(out)).map_err(|error| format!("{error:#}"))
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
        let egress = to(&base, "");
        let fetch = async |path: &str, most| {
            let uri = if path.starts_with('/') { format!("{base}{path}") } else { path.to_owned() };
            fetch(&egress, &uri, most).await
        };
        assert_eq!(fetch("/here", 9).await, Ok(Some(b"data".to_vec())));
        assert_eq!(fetch("/near", 9).await, Ok(Some(b"data".to_vec())));
        assert_eq!(fetch("/none", 9).await, Ok(None));
        let secret = format!("http://127.0.0.1:{other}/secret");
        for (path, why) in [
            ("/far", "is not configured"),
            (secret.as_str(), "is not configured"),
            ("/tls", "https://127.0.0.1:443 is not configured"),
            ("/loop", "redirects"),
        ] {
            let error = fetch(path, 9).await.unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
        assert!(fetch("/here", 3).await.unwrap_err().contains("more than 3 bytes"));
        assert_eq!(other_asked.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn what_begins_encrypted_stays_encrypted() {
        let (plain, plain_asked) = server(vec![("/here", found("secret"))]);
        let secure = tls::serve("127.0.0.1", &[HTTP1], move |request| {
            let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
            let to = match request.uri().path() {
                "/here" => return Response::new(Full::from("data")),
                "/near" => "/here".to_owned(),
                "/no-scheme" => format!("//{host}/here"),
                // The same host and port, and another that speaks nothing else.
                "/same" => format!("http://{host}/here"),
                _ => format!("http://127.0.0.1:{plain}/here"),
            };
            let answer = Response::builder().status(StatusCode::FOUND).header(header::LOCATION, to);
            answer.body(Full::default()).unwrap()
        });
        let secure = secure.await;
        let egress = to(&secure.url, &secure.certificate);
        for path in ["/here", "/near", "/no-scheme"] {
            let got = fetch(&egress, &format!("{}{path}", secure.url), 9).await;
            assert_eq!(got, Ok(Some(b"data".to_vec())), "{path}");
        }
        for path in ["/same", "/down"] {
            let error = fetch(&egress, &format!("{}{path}", secure.url), 9).await.unwrap_err();
            assert!(
                error.contains("http://127.0.0.1:") && error.contains("not configured"),
                "{error}"
            );
        }
        assert_eq!(plain_asked.lock().unwrap().len(), 0);
        let stranger = tls::serve("127.0.0.1", &[], |_| Response::default()).await;
        let egress = to(&stranger.url, &secure.certificate);
        let error = fetch(&egress, &stranger.url, 9).await.unwrap_err();
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
    }

    #[test]
    fn a_host_is_its_scheme_name_and_port() {
        let of = |uri: &str| target(&uri.parse().unwrap()).map(|target| target.to_string()).ok();
        assert_eq!(of("https://A.example/x").as_deref(), Some("https://a.example:443"));
        assert_eq!(of("http://a.example").as_deref(), Some("http://a.example:80"));
        assert_eq!(of("https://[::1]:80").as_deref(), Some("https://[::1]:80"));
        assert_eq!((of("ftp://a"), of("a:1"), of("/x")), (None, None, None));
    }
}
