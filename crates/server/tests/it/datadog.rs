//! Datadog's libraries: an upload that one made, over the port and the socket of their agent.

use crate::harness::{Answer, CPU, Server, cpu_pprof, folder};
use bytes::Bytes;
use formats::{DecodedProfile, Options};
use http::{Method, StatusCode};
use ingest::auth::hash_token;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// A request of ddtrace 4.16.0, as it came (see fixtures/README.md).
const CAPTURED: &[u8] = include_bytes!("../../../../fixtures/datadog/ddtrace-4.16.0.http");
/// Its totals by profile type, computed from the bytes without this project's code.
const TOTALS: [(&str, i64); 12] = [
    (CPU, 2_799_476_000),
    ("process_cpu:samples:count:cpu:nanoseconds", 600),
    ("wall:wall:nanoseconds:wall:nanoseconds", 21_575_052_000),
    ("wall:samples:count:wall:nanoseconds", 600),
    ("lock:acquire_wait:nanoseconds::", 3_237_756_689),
    ("lock:acquires:count::", 335),
    ("lock:release_hold:nanoseconds::", 1_548_342_839),
    ("lock:releases:count::", 335),
    ("memory:alloc_space:bytes:space:bytes", 1_160_529_305),
    ("memory:alloc_objects:count:space:bytes", 27_757_299),
    ("memory:inuse_space:bytes:space:bytes", 8_864_389),
    ("memory:inuse_objects:count:space:bytes", 46_947),
];
/// Samples of it that belong to a span, and the spans.
const OF_SPANS: usize = 947;
const SPANS: usize = 335;

/// Content type and body of the captured request.
fn captured() -> (String, Bytes) {
    let end = CAPTURED.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&CAPTURED[..end]).unwrap();
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    (content_type.to_owned(), Bytes::from_static(&CAPTURED[end + 4..]))
}

/// A body with an event and one profile.
fn made(tags: &str) -> (&'static str, Vec<u8>) {
    let event = json!({
        "version": "4", "family": "go", "tags_profiler": tags, "attachments": ["cpu.pprof"],
        "start": "2026-11-20T15:30:47Z", "end": "2026-11-20T15:30:57Z",
    });
    let part = |name: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n"
        )
    };
    let file = cpu_pprof("main;work 7000\n");
    let parts = [part("cpu.pprof").into(), file, format!("\r\n{}", part("event")).into()];
    let end = format!("{event}\r\n--b--\r\n").into_bytes();
    ("multipart/form-data; boundary=b", [parts.concat(), end].concat())
}

async fn post(server: &Server, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let url = format!("http://{}{path}", server.address("Datadog's protocol"));
    server.send(Method::POST, &url, &[("content-type", content_type)], body).await
}

/// Sends the captured request; what was stored of it.
pub(crate) async fn send_captured(server: &Server) -> Value {
    let (content_type, body) = captured();
    let receipt = post(server, "/profiling/v1/input", &content_type, body).await.ok();
    receipt["profiles"][0].clone()
}

/// The total that the server shows of a type of one profile.
async fn total(server: &Server, profile_type: &str, id: &str) -> Value {
    let top = server.get(&format!("/api/v1/top?type={profile_type}&profile={id}")).await.ok();
    top["meta"]["total"].clone()
}

pub(crate) async fn exported(server: &Server, id: &str) -> DecodedProfile {
    let pprof = server.get(&format!("/api/v1/profiles/{id}/pprof")).await;
    assert_eq!(pprof.status, StatusCode::OK);
    let mut decoded = formats::decode(&pprof.body, &Options::default());
    decoded.profiles.remove(0)
}

#[tokio::test]
async fn an_upload_of_ddtrace_has_its_totals_labels_threads_and_spans() {
    let data = folder();
    // The capture gets older with every day.
    let server = Server::start(data.path(), &["--retention-days", "36500"]);
    let (content_type, body) = captured();
    let receipt = post(&server, "/profiling/v1/input", &content_type, body.clone()).await.ok();
    assert_eq!(receipt["issues"], json!(["part \"code-provenance.json\" is not used"]));
    let stored = &receipt["profiles"][0];
    assert_eq!(stored["duplicate"], false);
    assert_eq!(
        stored["labels"],
        json!({
            "service_name": "shelf", "env": "test", "version": "1.0", "team": "books",
            "runtime": "cpython", "source": "ddtrace",
            "instance": "446f216656b240d4917c805b6f616d0e",
        })
    );
    assert_eq!(stored["start_ms"], 1_795_322_127_681_i64);
    assert_eq!(stored["end_ms"], 1_795_322_133_931_i64);
    let id = stored["id"].as_str().unwrap();
    for (profile_type, wanted) in TOTALS {
        assert_eq!(total(&server, profile_type, id).await, wanted, "{profile_type}");
    }
    let detail = server.get(&format!("/api/v1/profiles/{id}")).await.ok();
    assert_eq!(detail["info"]["endpoint_counts"], r#"{"GET /left":170,"GET /right":165}"#);
    assert_eq!(detail["info"]["process_id"], "3868");

    let profile = exported(&server, id).await.profile;
    let linked: Vec<_> = profile.samples.iter().filter_map(|sample| sample.link).collect();
    assert_eq!(linked.len(), OF_SPANS);
    let links = linked.iter().map(|link| *profile.tables.links.get(*link).unwrap());
    let spans: BTreeSet<u64> = links.map(|link| link.span_id).collect();
    assert_eq!(spans.len(), SPANS);
    assert!(spans.contains(&10_492_400_756_642_023_422), "as it is, though it is sent as signed");
    let threads = profile.samples.iter().filter_map(|sample| sample.thread);
    let names = threads.map(|thread| profile.tables.threads.get(thread).unwrap().name);
    let names: BTreeSet<String> =
        names.map(|name| profile.tables.strings.get(name).to_owned()).collect();
    assert!(names.contains("left") && names.contains("right"), "{names:?}");

    // Sent again after a broken connection, it is counted once.
    let again = post(&server, "/profiling/v1/input", &content_type, body).await.ok();
    assert_eq!(again["profiles"][0]["duplicate"], true);
    assert_eq!(again["profiles"][0]["id"], id);
}

#[tokio::test]
async fn libraries_reach_it_on_every_path_and_with_every_packing() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    for (at, path) in ["/profiling/v1/input", "/api/v2/profile", "/v1/input"].iter().enumerate() {
        let (content_type, body) = made(&format!("service:s{at}"));
        let receipt = post(&server, path, content_type, body.clone()).await.ok();
        let id = receipt["profiles"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(total(&server, CPU, &id).await, 7000, "{path}");
        // The main port serves them as well.
        let headers = [("content-type", content_type)];
        let again = server.send(Method::POST, path, &headers, body).await.ok();
        assert_eq!(again["profiles"][0]["id"], id.as_str());
    }
    let refused = post(&server, "/profiling/v1/input", "text/plain", "x").await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (content_type, body) = made("service:s");
    let cut = post(&server, "/profiling/v1/input", content_type, body[..body.len() / 2].to_vec());
    assert_eq!(cut.await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_libraries_ask_of_their_agent_beside_is_answered() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let base = format!("http://{}", server.address("Datadog's protocol"));
    let info = server.get(&format!("{base}/info")).await.ok();
    let offered = info["endpoints"].as_array().unwrap();
    assert!(offered.iter().any(|path| path == "/profiling/v1/input"), "{info}");
    // Everything that is offered is there, and nothing else is.
    for path in offered.iter().filter_map(Value::as_str) {
        let path = if path.ends_with('/') { format!("{path}api/v2/x") } else { path.to_owned() };
        // What these take and answer is tested elsewhere.
        if path == "/profiling/v1/input" || path.ends_with("/traces") {
            continue;
        }
        let answer = server.send(Method::POST, &format!("{base}{path}"), &[], vec![7; 5000]).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(answer.json(), json!({}), "{path}");
    }
    // dd-trace-go asks for settings so.
    assert_eq!(server.get(&format!("{base}/v0.7/config")).await.ok(), json!({}));
    for path in ["/v0.2/traces", "/v1.0/traces", "/evp_proxy/v2/x", "/"] {
        let is_offered = offered.iter().any(|have| have == path);
        let status = server.send(Method::POST, &format!("{base}{path}"), &[], "").await.status;
        assert_eq!(status.is_success(), is_offered, "{path}: {status}");
    }
}

/// One request over a socket, as a library sends it: the header Host is of no meaning.
fn over(path: &Path, host: &str, head: &str, body: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (content_type, _) = made("");
    stream.write_all(format!("content-type: {content_type}\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_socket_takes_the_place_of_one_that_nobody_answers_on() {
    let (data, dir) = (folder(), folder());
    let path = dir.path().join("datadog/apm.socket");
    std::fs::create_dir(dir.path().join("datadog")).unwrap();
    // Left behind: its file stays, nobody listens.
    drop(UnixListener::bind(&path).unwrap());
    let flags = ["--datadog-socket", path.to_str().unwrap(), "--retention-days", "36500"];
    let server = Server::start(data.path(), &flags);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "whoever is on this machine may connect");
    for host in ["localhost", "UDS__var_run_datadog_apm.socket", "2f746d70", ""] {
        let (_, body) = made(&format!("service:socket-{}", host.len()));
        let answer = over(&path, host, "POST /profiling/v1/input", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{host:?}: {answer}");
        assert!(over(&path, host, "GET /info", b"").contains("/profiling/v1/input"));
    }
    assert!(over(&path, "x", "GET /api/v1/services", b"").starts_with("HTTP/1.1 404"));

    // Another server leaves it alone, and runs.
    let others = folder();
    let second = Server::start(others.path(), &flags);
    assert!(second.log().contains("another agent answers there"), "{}", second.log());
    second.stop();
    assert!(over(&path, "x", "GET /info", b"").starts_with("HTTP/1.1 200"));
    server.stop();
    assert!(!path.exists(), "it goes with its server");
    std::fs::write(&path, "mine").unwrap();
    let server = Server::start(data.path(), &flags);
    assert!(server.log().contains("no socket"), "{}", server.log());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_token_may_come_as_an_api_key_and_a_taken_port_is_only_said() {
    let data = folder();
    let hash = hash_token("key").iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let config = data.path().join("vesta.toml");
    let text = format!("[[auth.tokens]]\nname = 'dd'\nrole = 'ingest'\ntoken_sha256 = '{hash}'\n");
    std::fs::write(&config, text).unwrap();
    let server = Server::start(data.path(), &["--config", config.to_str().unwrap()]);
    let address = server.address("Datadog's protocol");
    let url = format!("http://{address}/api/v2/profile");
    let (content_type, body) = made("service:s");
    let kind = ("content-type", content_type);
    for (header, status) in [
        (("dd-api-key", "key"), 200),
        (("authorization", "Bearer key"), 200),
        (("dd-api-key", "other"), 401),
        (("dd-evp-origin", "key"), 401),
    ] {
        let answer = server.send(Method::POST, &url, &[kind, header], body.clone()).await;
        assert_eq!(answer.status, status, "{header:?}: {:?}", answer.body);
    }
    let others = folder();
    let second = Server::start(others.path(), &["--datadog-listen", &address]);
    assert!(second.log().contains("Datadog's protocol is not served"), "{}", second.log());
}

#[tokio::test]
async fn an_upload_that_is_kept_is_read_again_as_it_was() {
    let data = folder();
    let config = data.path().join("vesta.toml");
    std::fs::write(&config, "[[payloads]]\nservice = 'shelf'\n").unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--retention-days", "36500"];
    let server = Server::start(data.path(), &flags);
    let (content_type, body) = captured();
    let receipt = post(&server, "/profiling/v1/input", &content_type, body.clone()).await.ok();
    let id = receipt["profiles"][0]["id"].as_str().unwrap();
    let kept = server.get(&format!("/api/v1/profiles/{id}/payload")).await;
    assert!(kept.body == body, "byte for byte");
    let again = server.send(Method::POST, "/api/v1/admin/reparse?from=0", &[], "").await;
    assert_eq!(again.status, StatusCode::OK, "{:?}", again.body);
    let text = String::from_utf8_lossy(&again.body).into_owned();
    assert!(text.contains("\"same\":1"), "{text}");
}
