//! Starts servers, speaks HTTP to them, makes profiles.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use profile::{Profile, SampleKind};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Type under which [`cpu_profile`] is shown.
pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body))
    }

    /// The JSON of a successful answer.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.json()
    }
}

/// A command of the binary, free of the surroundings' settings.
pub(crate) fn vesta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vesta"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VESTA_")) {
        command.env_remove(name);
    }
    for name in ["RUST_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name);
    }
    command
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

impl Server {
    /// Starts on free ports, with OTLP on ports of its own.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_as(vesta(), data, more)
    }

    /// The same, as a command with an environment of its own.
    pub(crate) fn start_as(mut command: Command, data: &Path, more: &[&str]) -> Self {
        let otlp = ["--otlp-grpc-listen", "127.0.0.1:0", "--otlp-http-listen", "127.0.0.1:0"];
        command.arg("serve").arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]);
        let datadog = ["--datadog-listen", "127.0.0.1:0"];
        command.args(datadog.iter().filter(|_| !more.contains(&datadog[0])));
        command.args(otlp.iter().filter(|_| !more.contains(&otlp[0]))).args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let mut url = String::new();
        while url.is_empty() {
            let mut line = String::new();
            let read = lines.read_line(&mut line).expect("the log reads");
            assert!(read > 0, "the server ended early:\n{}", log.lock().unwrap());
            if let Some((_, address)) = line.split_once("ready at ") {
                address.split_whitespace().next().unwrap_or_default().clone_into(&mut url);
            }
            log.lock().unwrap().push_str(&line);
        }
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = rest.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, url, log, client: client() }
    }

    /// Sends what follows over new connections: after a refusal in the middle of a body, the server
    /// closes that one, which may be noticed too late.
    pub(crate) fn reconnect(&mut self) {
        self.client = client();
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The address that the log names for `what`.
    pub(crate) fn address(&self, what: &str) -> String {
        let log = self.log();
        let line = log.lines().find_map(|line| line.split_once(&format!("{what} at ")));
        line.unwrap_or_else(|| panic!("{what} is not served:\n{log}")).1.trim().to_owned()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.expect("the server answers")
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let uri =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a well-formed request");
        let answer = self.client.request(request).await.ok()?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn upload(&self, query: &str, body: Vec<u8>) -> Answer {
        self.send(Method::POST, &format!("/api/v1/profiles?{query}"), &[], body).await
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A real SIGKILL; waited for when dropped.
    pub(crate) fn kill_now(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits until the log says something.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        for _ in 0..2000 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the log never says {text:?}:\n{}", self.log());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// SIGTERM; the exit must be clean.
    pub(crate) fn stop(mut self) -> String {
        self.terminate();
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}:\n{}", self.log());
        self.log()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where a test stopped or killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

/// CPU samples of folded text: values in nanoseconds.
pub(crate) fn cpu_profile(folded: &str) -> Profile {
    let mut profile = profile::folded::from_folded(folded);
    profile.kinds = vec![SampleKind::from_id("stack").expect("a registered kind")];
    profile
}

/// The same as gzip pprof.
pub(crate) fn cpu_pprof(folded: &str) -> Vec<u8> {
    formats::pprof::encode_gzip(&cpu_profile(folded))
}

/// A multipart body with one part, and its content type.
pub(crate) fn multipart(part: &str, body: &[u8]) -> (String, Vec<u8>) {
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"p\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let all = [head.as_bytes(), body, b"\r\n--XX--\r\n"].concat();
    ("multipart/form-data; boundary=XX".to_owned(), all)
}

/// Percent-encoded selector of a service.
pub(crate) fn of_service(name: &str) -> String {
    format!("match=%7Bservice_name%3D%22{name}%22%7D&from=now-1h&to=now%2B1h")
}
