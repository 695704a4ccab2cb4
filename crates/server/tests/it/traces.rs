//! Spans over OTLP: what was acknowledged is there once, whatever happens to the process.

use crate::harness::{Answer, Server, folder};
use http::{Method, StatusCode};
use serde_json::json;
use std::io::Write;
use stdx::{Clock, SystemClock};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn now_nanos() -> u128 {
    u128::try_from(SystemClock::new().now().nanos()).unwrap()
}

/// A request of `count` requests of a service to one endpoint, the last of which failed, and a call
/// that it made.
fn export(service: &str, count: u64) -> String {
    let start = now_nanos() - 60_000_000_000;
    let span = |at: u64, parent: &str, name: &str, kind: u8, millis: u128, code: u8| {
        let end = start + millis * 1_000_000;
        format!(
            r#"{{"traceId":"{TRACE}","spanId":"{at:016x}","parentSpanId":"{parent}","name":"{name}",
            "kind":{kind},"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}",
            "attributes":[{{"key":"http.route","value":{{"stringValue":"/items"}}}},
            {{"key":"http.request.method","value":{{"stringValue":"GET"}}}}],
            "status":{{"code":{code}}}}}"#
        )
    };
    let mut spans: Vec<String> = (1..=count)
        .map(|at| span(at, "", "GET", 2, u128::from(at), if at == count { 2 } else { 0 }))
        .collect();
    spans.push(span(1000, "0000000000000001", "query", 3, 500, 0));
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[
        {{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},
        "scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
}

async fn post(server: &Server, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Answer {
    server.send(Method::POST, "/v1/traces", headers, body).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut child = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    out.extend(child.wait_with_output().unwrap().stdout);
    out
}

async fn check(server: &Server, when: &str) {
    let trace = server.get(&format!("/api/v1/traces/{TRACE}")).await.ok();
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 11, "{when}");
    let endpoints = server.get("/api/v1/endpoints?service=shop").await.ok();
    let one = &endpoints["endpoints"][0];
    assert_eq!(endpoints["endpoints"].as_array().unwrap().len(), 1, "{when}");
    assert_eq!((one["resource"].as_str(), one["count"].as_u64()), (Some("GET /items"), Some(10)));
    assert_eq!((one["errors"].as_u64(), one["max_ms"].as_f64()), (Some(1), Some(10.0)));
    assert_eq!((one["total_ms"].as_f64(), one["mean_ms"].as_f64()), (Some(55.0), Some(5.5)));
    let p50 = one["p50_ms"].as_f64().unwrap();
    assert!((p50 - 5.0).abs() < 0.05, "{when}: {p50}");
    let slowest = server.get("/api/v1/spans?order=slowest&limit=2").await.ok();
    assert_eq!(slowest["spans"][0]["name"].as_str(), Some("query"), "{when}");
    assert_eq!(slowest["spans"][1]["duration_ms"].as_f64(), Some(10.0));
    let cursor = slowest["next_cursor"].as_str().unwrap();
    let next = format!("/api/v1/spans?order=slowest&limit=2&cursor={cursor}");
    assert_eq!(server.get(&next).await.ok()["spans"][0]["duration_ms"].as_f64(), Some(9.0));
    let errors = server.get("/api/v1/spans?errors=true&service=shop").await.ok();
    assert_eq!(errors["spans"].as_array().unwrap().len(), 1, "{when}");
    // A service that sends only spans is among the others, with its labels.
    let services = server.get("/api/v1/services").await.ok();
    let one = &services["services"][0];
    assert_eq!((&one["service"], &one["types"]), (&json!("shop"), &json!([])), "{when}");
    assert_eq!((&one["cpu_cores"], &one["samples"]), (&json!(null), &json!(0)), "{when}");
    let age_ms = services["range"]["to_ms"].as_i64().unwrap() - one["last_ms"].as_i64().unwrap();
    assert!((50_000..600_000).contains(&age_ms), "{when}: {age_ms} ms ago");
    let names = server.get("/api/v1/labels").await.ok();
    assert!(names["labels"].as_array().unwrap().contains(&json!("service_name")), "{names}");
    let values = server.get("/api/v1/labels/service_name/values").await.ok();
    assert_eq!(values["values"], json!([{ "value": "shop", "profiles": 0 }]), "{when}");
    let facets = server.get("/api/v1/facets").await.ok();
    assert!(facets["labels"].to_string().contains("\"shop\""), "{when}: {facets}");
    let others = server.get("/api/v1/labels/service_name/values?from=now-10s").await.ok();
    assert_eq!(others["values"], json!([]), "{when}: they began a minute ago");
}

#[tokio::test]
async fn spans_are_there_once_through_retries_kills_and_stops() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let body = export("shop", 10);
    let answer = post(&server, &JSON, body.clone()).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"{}"[..]));
    check(&server, "at once").await;
    // The same again, compressed, to the port of OTLP.
    let port = format!("http://{}/v1/traces", server.address("OTLP over HTTP"));
    let headers = [JSON[0], ("content-encoding", "gzip")];
    let again = server.send(Method::POST, &port, &headers, gzip(body.as_bytes())).await;
    assert_eq!(again.status, StatusCode::OK, "{:?}", again.body);
    check(&server, "sent twice").await;
    server.kill_now();
    drop(server);
    let server = Server::start(data.path(), &[]);
    check(&server, "after a kill").await;
    server.stop();
    let server = Server::start(data.path(), &[]);
    check(&server, "from a segment").await;
    assert_eq!(post(&server, &JSON, body).await.status, StatusCode::OK);
    check(&server, "sent again after a restart").await;
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("vesta_store_span_segments 1"), "{metrics}");
    let checked = server.get("/api/v1/admin/fsck").await.ok();
    assert_eq!(checked["problems"].as_array().map(Vec::len), Some(0), "{checked}");
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_said_as_the_contract_wants_it() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let half = export("shop", 3).replacen(TRACE, "00000000000000000000000000000000", 1);
    let answer = post(&server, &JSON, half).await;
    let partial = &answer.ok()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"].as_str(), Some("1"), "64 bits are text");
    assert!(partial["errorMessage"].as_str().unwrap().contains("id of its trace"));
    let list = server.get("/api/v1/spans").await.ok();
    assert_eq!(list["spans"].as_array().unwrap().len(), 3);

    let protobuf = [("content-type", "application/x-protobuf")];
    let answer = post(&server, &protobuf, bytes::Bytes::new()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    let small = include_bytes!("../../../../fuzz/corpus/traces/small");
    assert_eq!(post(&server, &protobuf, &small[..]).await.status, StatusCode::OK);
    let found = server.get("/api/v1/traces/09090909090909090909090909090909").await.ok();
    assert_eq!(found["spans"][0]["status"].as_str(), Some("error"));
    assert_eq!(found["spans"][0]["attributes"]["exception.type"].as_str(), Some("E"));

    let answer = post(&server, &JSON, "no json").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = [("content-type", "text/plain")];
    assert_eq!(post(&server, &text, "x").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (path, status) in [
        ("/api/v1/traces/00000000000000000000000000000abc", 404),
        ("/api/v1/traces/xyz", 400),
        ("/api/v1/spans?order=wrong", 400),
        ("/api/v1/spans?kind=wrong", 400),
        ("/api/v1/spans?cursor=1.2", 400),
        ("/api/v1/endpoints?match=%7Ba", 400),
    ] {
        assert_eq!(server.get(path).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn the_service_of_traces_takes_what_the_other_way_in_takes() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let url = format!("http://{}{service}", server.address("OTLP over gRPC"));
    let message = include_bytes!("../../../../fuzz/corpus/traces/small");
    let framed = [&[0_u8][..], &(message.len() as u32).to_be_bytes(), message].concat();
    let headers = [("content-type", "application/grpc")];
    let answer = server.send(Method::POST, &url, &headers, framed).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &[0_u8; 5][..]));
    let found = server.get("/api/v1/traces/09090909090909090909090909090909").await.ok();
    assert_eq!(found["spans"][0]["service"].as_str(), Some("shop"));
    let damaged = server.send(Method::POST, &url, &headers, vec![7, 7]).await;
    assert!(damaged.headers.contains_key("grpc-status"), "{damaged:?}");
}
