//! Clients that are slow, too many or not allowed, two servers at one folder, and the way to stop.

use crate::harness::{CPU, Server, cpu_pprof, folder, of_service, vesta};
use bytes::Bytes;
use http::Method;
use rpc::otlp::ProfilesClient;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const UPLOAD: &str = "/api/v1/profiles?service_name=slow&from=now-1s&until=now";

/// A connection on which a body was announced; `sent` bytes of it are on their way.
fn announce(server: &Server, length: usize, sent: &[u8]) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let head =
        format!("POST {UPLOAD} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

#[tokio::test]
async fn bodies_that_are_announced_and_do_not_come_hold_nobody_up() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    // More than all bodies together may take, and more uploads than are decoded at a time.
    let _slow: Vec<TcpStream> = (0..100).map(|_| announce(&server, 32 << 20, b"slow")).collect();
    server.upload("service_name=quick&from=now-1s&until=now", cpu_pprof("a 1\n")).await.ok();
}

/// The head and the body of the next answer of a connection.
fn next_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[tokio::test]
async fn a_refusal_within_a_large_body_says_that_the_connection_closes() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let paths = ["/querier.v1.QuerierService/LabelNames", UPLOAD, "/ingest?name=", "/no/such/path"];
    for path in paths {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut ask = |method: &str, path: &str, length: usize, body: &[u8]| {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
            next_answer(&mut stream)
        };
        // One connection: an answer, a refusal whose body is read to its end, another answer.
        for (method, path, body) in
            [("GET", "/ready", ""), ("POST", path, "no message"), ("GET", "/ready", "")]
        {
            let (head, _) = ask(method, path, body.len(), body.as_bytes());
            assert!(head.contains("http/1.1 200") || method == "POST", "{path}: {head}");
            assert!(!head.contains("connection: close"), "{path}: {head}");
        }
        let (head, body) = ask("POST", path, 1 << 30, b"7");
        assert!(head.starts_with("http/1.1 4") && !body.is_empty(), "{path}: {head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{path}: {head}");
        let mut rest = Vec::new();
        // Closed, or reset because of the byte that nobody read.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_second_server_stays_away_from_the_data_of_the_first() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut second = vesta();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
    second.args(["--otlp-grpc-listen", "off", "--otlp-http-listen", "off"]);
    second.args(["--datadog-listen", "off"]);
    let ended = second.output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    for part in ["another running vesta", "process", "--data-dir", data.path().to_str().unwrap()] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The lock ends with its holder, however that ends.
    server.kill_now();
    drop(server);
    Server::start(data.path(), &[]).stop();
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let data = folder();
    let file = data.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    for path in [file.clone(), file.join("below"), "/proc/vesta".into()] {
        let mut serve = vesta();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&path);
        let ended = serve.output().unwrap();
        assert!(!ended.status.success());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains(path.to_str().unwrap()) && said.contains("--data-dir"), "{said}");
    }
}

#[tokio::test]
async fn an_upload_on_its_way_is_finished_after_the_signal_to_stop() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let body = cpu_pprof("main;work 7\n");
    let mut stream = announce(&server, body.len(), &body[..10]);
    server.get("/healthz").await;
    server.terminate();
    server.wait_for_log("stopping").await;
    stream.write_all(&body[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.wait_for_log("stopped").await;
    drop(server);
    let server = Server::start(data.path(), &[]);
    let top = server.get(&format!("/api/v1/top?type={CPU}&{}", of_service("slow"))).await.ok();
    assert_eq!(top["meta"]["total"], 7);
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let _endless = announce(&server, 1000, b"never more");
    server.get("/healthz").await;
    server.terminate();
    server.wait_for_log("stopping").await;
    server.terminate();
    server.wait_for_log("second signal").await;
    assert_eq!(server.wait().code(), Some(130));
}

#[tokio::test]
async fn bombs_and_strangers_cost_nothing_over_grpc() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let grpc = format!("http://{}", server.address("OTLP over gRPC"));
    let client = ProfilesClient::connect_lazy(&grpc, None).unwrap();
    // One field that no one knows, of many zeros: small when compressed.
    let bomb = [&[0xfa, 0x3f, 0x80, 0x80, 0x80, 0x0f][..], &vec![0; 31_457_280]].concat();
    // The first takes what the server keeps for good.
    let _ = client.export(bomb.clone().into()).await;
    let before = server.resident_kib();
    let sent = (0..16).map(|_| client.export(Bytes::from(bomb.clone())));
    futures::future::join_all(sent).await;
    let growth = server.resident_kib() - before;
    assert!(growth < 64 * 1024, "grew by {growth} KiB");
    assert!(client.export(Bytes::new()).await.is_ok());
}

#[tokio::test]
async fn labels_without_end_are_refused() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let labels: String = (0..60).map(|at| format!("&label=l{at}=x")).collect();
    let answer = server.upload(&format!("service_name=x{labels}"), cpu_pprof("a 1\n")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["hint"].as_str().unwrap().contains("at most"));
    let backwards = server.upload("service_name=x&from=now&until=now-1h", cpu_pprof("a 1\n")).await;
    assert_eq!(backwards.status, 400);
    let foreign = server.send(Method::POST, "/api/v1/nothing", &[], "").await;
    assert_eq!(foreign.status, 404);
}
