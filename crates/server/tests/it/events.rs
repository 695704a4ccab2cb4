//! What runtimes tell: from a recording, and from Datadog's libraries, to the page, once.

use crate::harness::{Server, folder};
use http::{Method, StatusCode};
use serde_json::Value;

const SHELF: &[u8] = include_bytes!("../../../../fixtures/jfr/shelf.jfr.gz");

const GARBAGE: &[u8] = include_bytes!("../../../../fixtures/jfr/garbage.jfr.gz");

/// Sums of heap in use as `jfr print` of OpenJDK 17.0.15 gives them.
const HEAP: [(&str, f64); 2] = [("After GC", 436_795_176.0), ("Before GC", 3_742_816_280.0)];

fn names(answer: &Value, key: &str, name: &str) -> Vec<String> {
    let rows = answer[key].as_array().unwrap().iter();
    rows.map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

async fn check(server: &Server, when: &str) {
    let all = "from=0&to=now%2B1d";
    let collections = format!("/api/v1/events?{all}&service=shelf&name=jdk.GarbageCollection");
    let found = server.get(&collections).await.ok();
    // As `jfr print` of OpenJDK 17.0.15 says.
    assert_eq!(found["events"].as_array().unwrap().len(), 1, "{when}");
    let one = &found["events"][0];
    assert_eq!((one["category"].as_str(), one["service"].as_str()), (Some("gc"), Some("shelf")));
    let attributes = &one["attributes"];
    assert_eq!(attributes["gc cause"].as_str(), Some("System.gc()"), "{when}");
    assert_eq!(attributes["collector"].as_str(), Some("SerialOld"), "{when}");
    assert_eq!(attributes["longest pause ns"].as_str(), Some("73078706"), "{when}");
    let took = one["duration_ms"].as_f64().unwrap();
    assert!((took - 73.078_706).abs() < 1e-9, "{when}: {took}");
    let pauses = format!("/api/v1/events?{all}&service=garbage&category=gc&name=/Phase/&limit=50");
    let first = server.get(&pauses).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.get(&format!("{pauses}&cursor={cursor}")).await.ok();
    let counts = [&first, &second].map(|page| page["events"].as_array().unwrap().len());
    assert_eq!((counts, second["next_cursor"].is_null()), ([50, 41], true), "{when}");
    let path = format!("/api/v1/metrics?{all}&service=garbage&names=jdk.GCHeapSummary.heapUsed");
    let heap = server.get(&format!("{path}&step_ms=86400000")).await.ok();
    assert_eq!(names(&heap, "metrics", "unit"), ["bytes", "bytes"], "{when}");
    for (gauge, (at, sum)) in heap["metrics"].as_array().unwrap().iter().zip(HEAP) {
        assert_eq!(gauge["attributes"]["when"].as_str(), Some(at), "{when}");
        let point = &gauge["points"][0];
        assert_eq!(point["readings"].as_u64(), Some(91), "{when}");
        let mean = point["mean"].as_f64().unwrap();
        assert!((mean - sum / 91.0).abs() < 1e-3, "{when}: {mean}");
    }
    let path = format!("/api/v1/metrics?{all}&service=shop&step_ms=1000");
    let shop = server.get(&path).await.ok();
    assert_eq!(names(&shop, "metrics", "name"), ["go_gcs_per_sec"], "{when}");
    let point = &shop["metrics"][0]["points"][0];
    assert_eq!((point["mean"].as_f64(), point["readings"].as_u64()), (Some(0.5), Some(1)));
}

/// An upload of Datadog's libraries with a profile and numbers.
fn datadog() -> Vec<u8> {
    let pprof = crate::harness::cpu_pprof("main;work 5\n");
    let event = r#"{"start":"2024-11-20T12:00:00Z","end":"2024-11-20T12:01:00Z","family":"go",
        "version":"4","tags_profiler":"service:shop,runtime:go"}"#;
    let parts: [(&str, &[u8]); 3] = [
        ("event.json", event.as_bytes()),
        ("cpu.pprof", &pprof),
        ("metrics.json", br#"[["go_gcs_per_sec", 0.5]]"#),
    ];
    let mut body = Vec::new();
    for (name, bytes) in parts {
        let head = format!(
            "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    body
}

async fn send(server: &Server) {
    for (service, recording) in [("shelf", SHELF), ("garbage", GARBAGE)] {
        let query = format!("service_name={service}");
        let receipt = server.upload(&query, recording.to_vec()).await;
        assert_eq!(receipt.status, StatusCode::OK, "{:?}", receipt.body);
    }
    let path = format!("http://{}/profiling/v1/input", server.address("Datadog's protocol"));
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let receipt = server.send(Method::POST, &path, &kind, datadog()).await;
    assert_eq!(receipt.status, StatusCode::OK, "{:?}", receipt.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_question_about_events_is_said() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let names = "a,".repeat(101);
    for (path, said) in [
        ("events?cursor=7".to_owned(), "next_cursor"),
        ("events?name=/(/".to_owned(), "("),
        (format!("metrics?names={names}"), "at most 100"),
    ] {
        let answer = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(said), "{path}: {text}");
    }
}

#[tokio::test]
async fn events_and_gauges_are_there_once_through_retries_kills_and_stops() {
    let data = folder();
    let arguments = ["--retention-days", "3650"];
    let server = Server::start(data.path(), &arguments);
    send(&server).await;
    check(&server, "at once").await;
    send(&server).await;
    check(&server, "sent twice").await;
    server.kill_now();
    drop(server);
    let server = Server::start(data.path(), &arguments);
    check(&server, "after a kill").await;
    server.stop();
    let server = Server::start(data.path(), &arguments);
    check(&server, "from a segment").await;
    send(&server).await;
    check(&server, "sent again after a restart").await;
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("vesta_store_event_segments 1"), "{metrics}");
    let checked = server.get("/api/v1/admin/fsck").await.ok();
    assert_eq!(checked["problems"].as_array().map(Vec::len), Some(0), "{checked}");
}
