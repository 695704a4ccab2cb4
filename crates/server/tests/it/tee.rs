//! Requests that also go to other addresses: as they came, and whatever becomes of them there.

use crate::harness::{Server, cpu_pprof, folder, vesta};
use crate::pyroscope::{PUSH, framed, push, timed_pprof, total};
use crate::tls;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use ingest::auth::hash_token;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What came to another address.
#[derive(Clone, Debug)]
struct Came {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An address that reads whole requests and answers each with a status, or never.
struct Other {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Other {
    fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&came);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(status) = status else {
                    silent.push(stream);
                    continue;
                };
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut writer = stream;
                    while let Some(one) = read(&mut reader) {
                        seen.lock().unwrap().push(one);
                        let answer =
                            format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\n{{}}");
                        if writer.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, came }
    }

    /// The requests, when there are so many.
    async fn wait(&self, count: usize) -> Vec<Came> {
        for _ in 0..3000 {
            let came = self.came.lock().unwrap().clone();
            if came.len() >= count {
                return came;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {:?} came", self.came.lock().unwrap());
    }
}

fn read(reader: &mut impl BufRead) -> Option<Came> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).ok()?;
        let Some((name, value)) = text.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut came = Came { line: line.trim_end().to_owned(), headers, body: Vec::new() };
    let length = came.header("content-length")?.parse().ok()?;
    came.body = vec![0; length];
    reader.read_exact(&mut came.body).ok()?;
    Some(came)
}

/// A server with these settings.
fn serve(data: &Path, settings: &str) -> Server {
    serve_as(vesta(), data, settings)
}

fn serve_as(command: Command, data: &Path, settings: &str) -> Server {
    let config = data.join("vesta.toml");
    std::fs::write(&config, settings).unwrap();
    Server::start_as(command, data, &["--config", config.to_str().unwrap()])
}

fn tee(intake: &str, to: &str, more: &str) -> String {
    format!("[[tee]]\nintake = '{intake}'\nto = '{to}'\n{more}\n")
}

async fn metric(server: &Server, name: &str) -> u64 {
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("vesta_{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

/// Waits until a metric reaches a value.
async fn reaches(server: &Server, name: &str, least: u64) {
    for _ in 0..3000 {
        if metric(server, name).await >= least {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} stays below {least}:\n{}", server.log());
}

#[tokio::test]
async fn requests_go_on_as_they_came_without_our_tokens() {
    let (data, datadog, pyroscope) = (folder(), Other::start(Some(200)), Other::start(Some(200)));
    let key = data.path().join("key");
    std::fs::write(&key, "theirs\n").unwrap();
    let hash: String = hash_token("ours").iter().map(|byte| format!("{byte:02x}")).collect();
    let with_key = format!("header = 'DD-API-KEY'\nvalue_file = '{}'", key.display());
    let token = format!("[[auth.tokens]]\nname = 'a'\nrole = 'admin'\ntoken_sha256 = '{hash}'\n");
    let server = serve(
        data.path(),
        &[
            tee("datadog", &datadog.url, &with_key),
            tee("pyroscope", &format!("{}/base", pyroscope.url), "credentials = true"),
            token,
        ]
        .concat(),
    );
    let address = format!("http://{}", server.address("Datadog's protocol"));
    let bearer = ("authorization", "Bearer ours");
    let kind = ("content-type", "application/msgpack");
    let headers = [bearer, kind, ("x-datadog-trace-count", "7"), ("te", "x"), ("x-b", "1")];
    let path = "/v0.4/traces?a=b%20c";
    let body = vec![0x90];
    let taken = server.send(Method::PUT, &format!("{address}{path}"), &headers, body.clone()).await;
    assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body);
    let came = &datadog.wait(1).await[0];
    assert_eq!((came.line.as_str(), &came.body), ("PUT /v0.4/traces?a=b%20c HTTP/1.1", &body));
    assert_eq!(came.header("x-datadog-trace-count"), Some("7"));
    assert_eq!((came.header("content-type"), came.header("x-b")), (Some(kind.1), Some("1")));
    assert_eq!((came.header("authorization"), came.header("te")), (None, None));
    assert_eq!(came.header("dd-api-key"), Some("theirs"));
    assert_eq!(came.header("host"), datadog.url.strip_prefix("http://"));

    let profile = cpu_pprof("main;work 7\n");
    let path = "/ingest?name=shop%7Ba%3Db%7D&format=pprof";
    let taken = server.send(Method::POST, path, &[bearer], profile.clone()).await;
    assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body);
    let came = &pyroscope.wait(1).await[0];
    assert_eq!(came.line, format!("POST /base{path} HTTP/1.1"));
    assert!(came.body == profile && came.header("authorization") == Some("Bearer ours"));

    // Whoever may not upload sends nothing on, and questions do not go on.
    let strange = server.send(Method::POST, path, &[], profile.clone()).await;
    assert_eq!(strange.status, StatusCode::UNAUTHORIZED);
    server.send(Method::GET, &format!("{address}/info"), &[bearer], "").await.ok();
    server.send(Method::POST, &format!("{address}/v0.7/config"), &[bearer], "{}").await.ok();
    let own = "/api/v1/profiles?service_name=x";
    server.send(Method::POST, own, &[bearer], profile.clone()).await.ok();
    server.send(Method::POST, path, &[bearer], profile).await.ok();
    assert_eq!(pyroscope.wait(2).await.len(), 2);
    assert_eq!(datadog.wait(1).await.len(), 1);
}

/// A call that came to another address.
type Call = (Version, String, HeaderMap, Bytes);

/// An address that speaks nothing but HTTP/2, and what comes to it.
async fn grpc_only() -> (String, tokio::sync::mpsc::UnboundedReceiver<Call>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (came, calls) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let came = came.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let came = came.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let _ =
                        came.send((head.version, head.uri.path().to_owned(), head.headers, body));
                    let answer = Response::builder().header("content-type", "application/grpc");
                    let answer = answer.header("grpc-status", "0");
                    Ok::<_, hyper::Error>(answer.body(Full::new(Bytes::from(vec![0; 5]))).unwrap())
                }
            });
            let serve = async move {
                let builder = Builder::new(TokioExecutor::new()).http2_only();
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            };
            tokio::spawn(serve);
        }
    });
    (url, calls)
}

/// Calls a server as a client of gRPC does, which takes it well.
async fn call(server: &Server, body: Vec<u8>) {
    let request = Request::post(format!("{}{PUSH}", server.url))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("user-agent", "grpc-go/1.80.0")
        .header("grpc-timeout", "10S")
        .header("authorization", "Bearer ours")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let answer = client.request(request).await.expect("the server answers");
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let headers = answer.headers().clone();
    let answer = answer.into_body().collect().await.expect("a whole answer");
    let status = answer.trailers().and_then(|trailers| trailers.get("grpc-status"));
    assert_eq!(status.or(headers.get("grpc-status")).unwrap(), "0", "{headers:?}");
}

#[tokio::test]
async fn calls_of_grpc_go_on_over_http2_and_are_stored_there() {
    let (data, other_data) = (folder(), folder());
    let (url, mut calls) = grpc_only().await;
    let other = Server::start(other_data.path(), &[]);
    let tees = [tee("pyroscope", &url, ""), tee("pyroscope", &other.url, "")];
    let server = serve(data.path(), &tees.concat());
    let body = framed(&wire::Message::encode_to_vec(&push("shop", timed_pprof("main;work 7\n"))));
    call(&server, body.clone()).await;

    let came = tokio::time::timeout(Duration::from_secs(30), calls.recv()).await;
    let (version, path, headers, copy) = came.expect("it goes on").unwrap();
    assert_eq!((version, path.as_str()), (Version::HTTP_2, PUSH));
    assert!(copy == body, "as it came");
    for (name, value) in [
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
        ("user-agent", "grpc-go/1.80.0"),
        ("grpc-timeout", "10S"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert!(!headers.contains_key("authorization") && headers.contains_key("via"));
    reaches(&server, "tee_sent_total", 2).await;
    assert_eq!(metric(&server, "tee_failed_total").await, 0);
    assert_eq!((total(&server, "shop").await, total(&other, "shop").await), (7, 7));
}

#[tokio::test]
async fn addresses_that_are_dead_silent_or_failing_change_nothing_here() {
    // Bound and closed again: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (silent, failing) = (Other::start(None), Other::start(Some(500)));
    let data = folder();
    let server = serve(
        data.path(),
        &[
            tee("datadog", &format!("http://{dead}"), ""),
            tee("datadog", &silent.url, ""),
            tee("datadog", &failing.url, ""),
        ]
        .concat(),
    );
    let url = format!("http://{}/telemetry/proxy/api/v2/x", server.address("Datadog's protocol"));
    let piece = Bytes::from(vec![7; 1 << 20]);
    server.send(Method::POST, &url, &[], piece.clone()).await;
    let before = server.resident_kib();
    for at in 0..200 {
        let answer = server.send(Method::POST, &url, &[], piece.clone()).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::ACCEPTED, &b"{}"[..]), "{at}");
    }
    // Two hundred MiB went through; each address may hold 32.
    let growth = server.resident_kib() - before;
    assert!(growth < 160 * 1024, "grew by {growth} KiB");
    assert!(metric(&server, "tee_waiting_bytes").await <= 3 * (32 << 20));
    reaches(&server, "tee_dropped_total", 100).await;
    reaches(&server, "tee_failed_total", 10).await;
    assert_eq!(metric(&server, "tee_sent_total").await, 0);
    assert!(!failing.wait(1).await.is_empty());
    // What is stored is stored as ever.
    let body = cpu_pprof("main;work 7\n");
    server.upload("service_name=x&from=now-1s&until=now", body).await.ok();
    let said = server.log().matches("did not go onward").count();
    assert!((1..=3).contains(&said), "once a minute for each address: {said}");
}

#[tokio::test]
async fn a_server_that_sends_to_itself_does_so_once() {
    let data = folder();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    let flags = ["--datadog-listen", &address, "--tee-datadog", &format!("http://{address}")];
    let server = Server::start(data.path(), &flags);
    let url = format!("http://{address}/v0.6/stats");
    server.send(Method::POST, &url, &[], "x").await.ok();
    reaches(&server, "tee_sent_total", 1).await;
    server.send(Method::POST, &url, &[], "x").await.ok();
    reaches(&server, "tee_sent_total", 2).await;
    assert_eq!(metric(&server, "tee_sent_total").await, 2);
}

/// A server that speaks TLS, with HTTP/2 and HTTP/1.1, and what comes to it.
async fn secure() -> (tls::Secure, tokio::sync::mpsc::UnboundedReceiver<Call>) {
    let (came, calls) = tokio::sync::mpsc::unbounded_channel();
    let server = tls::serve("127.0.0.1", &[b"h2", b"http/1.1"], move |request| {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().unwrap().to_string();
        let _ = came.send((head.version, path, head.headers, body));
        Response::default()
    });
    (server.await, calls)
}

#[tokio::test]
async fn requests_go_on_over_tls_as_they_came() {
    let (data, (other, mut calls)) = (folder(), secure().await);
    let roots = data.path().join("ca.pem");
    std::fs::write(&roots, &other.certificate).unwrap();
    let settings =
        [tee("datadog", &other.url, ""), tee("pyroscope", &format!("{}/base", other.url), "")];
    let mut command = vesta();
    command.env("SSL_CERT_FILE", roots);
    let server = serve_as(command, data.path(), &settings.concat());
    let mut next = async || {
        let came = tokio::time::timeout(Duration::from_secs(30), calls.recv()).await;
        came.unwrap_or_else(|_| panic!("nothing comes:\n{}", server.log())).unwrap()
    };

    let path = "/telemetry/proxy/api/v2/x?a=b%20c";
    let url = format!("http://{}{path}", server.address("Datadog's protocol"));
    let body = Bytes::from(vec![7; 300_000]);
    let taken = server.send(Method::POST, &url, &[("x-b", "1")], body.clone()).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED);
    let (version, came, headers, copy) = next().await;
    assert_eq!((version, came.as_str()), (Version::HTTP_11, path));
    assert!(copy == body && headers["x-b"] == "1");
    assert_eq!(headers["host"], other.url.strip_prefix("https://").unwrap());

    let body = framed(&wire::Message::encode_to_vec(&push("shop", timed_pprof("main;work 7\n"))));
    call(&server, body.clone()).await;
    let (version, came, headers, copy) = next().await;
    assert_eq!((version, came), (Version::HTTP_2, format!("/base{PUSH}")));
    assert!(copy == body && headers["te"] == "trailers");
    assert_eq!(headers["content-type"], "application/grpc+proto");
    reaches(&server, "tee_sent_total", 2).await;
    assert_eq!(metric(&server, "tee_failed_total").await, 0);
}

#[tokio::test]
async fn an_address_whose_certificate_is_not_trusted_gets_nothing_and_changes_nothing_here() {
    let (data, (other, mut calls)) = (folder(), secure().await);
    let server = serve(data.path(), &tee("pyroscope", &other.url, ""));
    let profile = cpu_pprof("main;work 7\n");
    let path = "/ingest?name=shop&format=pprof";
    let taken = server.send(Method::POST, path, &[], profile).await;
    assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body);
    let body = framed(&wire::Message::encode_to_vec(&push("push", timed_pprof("main;work 7\n"))));
    call(&server, body).await;
    assert_eq!(total(&server, "push").await, 7);
    reaches(&server, "tee_failed_total", 2).await;
    assert_eq!(metric(&server, "tee_sent_total").await, 0);
    let log = server.log();
    assert!(log.contains("the certificate of 127.0.0.1 is not trusted"), "{log}");
    assert!(log.contains("SSL_CERT_FILE"), "{log}");
    assert!(calls.try_recv().is_err());
}

#[test]
fn certificates_that_are_named_and_not_there_are_refused_at_the_start() {
    let data = folder();
    let mut command = vesta();
    command.args(["serve", "--listen", "127.0.0.1:0", "--tee-datadog", "https://127.0.0.1:1"]);
    command.arg("--data-dir").arg(data.path()).env("SSL_CERT_FILE", data.path().join("none.pem"));
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(said.contains("SSL_CERT_FILE") && said.contains("none.pem"), "{said}");
}
