//! Traces of Datadog's libraries through their agent's port: real requests, answers as libraries
//! expect them, and links of profiles that lead to spans.

use crate::harness::{Answer, CPU, Server, folder, vesta};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Requests of ddtrace 4.16.0 as they came; the first two of one process (see fixtures/README.md).
const PROFILE: &[u8] = include_bytes!("../../../../fixtures/datadog/pair-profile.http");
const TRACES: &[u8] = include_bytes!("../../../../fixtures/datadog/pair-traces-v0.5.http");
const MAPS: &[u8] = include_bytes!("../../../../fixtures/datadog/traces-v0.4.http");
/// Spans of the pair, each of which samples name; counted without this project's code, as what follows.
const PAIR_SPANS: usize = 48;
/// CPU milliseconds of the samples whose local root span is of these resources, 24 requests each, all
/// of which began within the profile's window; 286.023 ms more are of samples without a span.
const PAIR_CPU: [(&str, f64); 2] = [("GET /left", 168.224), ("GET /right", 164.378)];
/// Spans of the other request, and one of them.
const MAPS_SPANS: usize = 37;
const MAPS_SPAN: &str = "b75671e38d0326b6";
const MAPS_TRACE: &str = "6b029ffb00000000618c3745870efb64";
const MAPS_START: &str = "1795334139761194710";
/// Captures get older with every day.
const LONG: [&str; 2] = ["--retention-days", "36500"];

/// A captured request: path, headers, body.
struct Captured {
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

fn captured(bytes: &'static [u8]) -> Captured {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut lines = std::str::from_utf8(&bytes[..end]).unwrap().lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let pairs = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let own = ["host", "content-length", "connection", "transfer-encoding", "accept-encoding"];
    let headers = pairs.filter(|(name, _)| !own.contains(&name.as_str())).collect();
    Captured { path, headers, body: Bytes::from_static(&bytes[end + 4..]) }
}

async fn send(server: &Server, method: Method, request: &Captured) -> Answer {
    let url = format!("http://{}{}", server.address("Datadog's protocol"), request.path);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    server.send(method, &url, &headers, request.body.clone()).await
}

/// What libraries understand as: go on, all traces are wanted.
fn is_taken(answer: &Answer) -> bool {
    answer.ok() == json!({"rate_by_service": {"service:,env:": 1}})
}

/// All spans there are, by id.
async fn spans(server: &Server) -> BTreeMap<String, Value> {
    let (mut found, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/spans?from=0&limit=1000{cursor}")).await.ok();
        for span in page["spans"].as_array().unwrap() {
            let id = span["span_id"].as_str().unwrap().to_owned();
            assert!(found.insert(id, span.clone()).is_none(), "each once");
        }
        let Some(next) = page["next_cursor"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn the_links_of_a_profile_lead_to_the_spans_of_its_process() {
    let data = folder();
    let server = Server::start(data.path(), &LONG);
    let traces = captured(TRACES);
    assert!(is_taken(&send(&server, Method::POST, &traces).await));
    // Sent again, with the other method.
    assert!(is_taken(&send(&server, Method::PUT, &traces).await));
    let spans = spans(&server).await;
    assert_eq!(spans.len(), PAIR_SPANS);

    let receipt = send(&server, Method::POST, &captured(PROFILE)).await.ok();
    let profile = &receipt["profiles"][0];
    let id = profile["id"].as_str().unwrap();
    let pprof = server.get(&format!("/api/v1/profiles/{id}/pprof")).await;
    let decoded = formats::decode(&pprof.body, &formats::Options::default());
    let tables = &decoded.profiles[0].profile.tables;
    let mut linked = BTreeMap::<String, u64>::new();
    for link in decoded.profiles[0].profile.samples.iter().filter_map(|sample| sample.link) {
        let link = tables.links.get(link).unwrap();
        for id in [link.span_id, link.root_span_id] {
            *linked.entry(format!("{id:016x}")).or_default() += 1;
        }
    }
    assert_eq!(linked.len(), PAIR_SPANS);
    for id in linked.keys() {
        let span = spans.get(id).unwrap_or_else(|| panic!("{id} is no span that was sent"));
        // Its series is the profile's.
        for name in ["service_name", "env", "version", "instance", "runtime", "source"] {
            assert_eq!(span["labels"][name], profile["labels"][name], "{name}");
        }
        assert_eq!((&span["kind"], &span["is_entry"]), (&json!("server"), &json!(true)));
        assert!(["GET /left", "GET /right"].contains(&span["resource"].as_str().unwrap()));
    }
    // From a span to what ran in it.
    let busy = linked.iter().max_by_key(|(_, samples)| **samples).unwrap().0;
    let top = server.get(&format!("/api/v1/top?type={CPU}&from=0&span={busy}")).await.ok();
    assert!(top["meta"]["total"].as_i64().unwrap() > 0, "{top}");
}

/// CPU milliseconds and profiled requests of an endpoint.
fn cpu_of(answer: &Value, resource: &str) -> (Option<f64>, Option<f64>, Option<u64>) {
    let mut rows = answer["endpoints"].as_array().unwrap().iter();
    let row = rows.find(|row| row["resource"] == resource).unwrap();
    let number = |key: &str| row[key].as_f64();
    (number("cpu_ms"), number("cpu_per_request_ms"), row["profiled"].as_u64())
}

#[tokio::test]
async fn endpoints_tell_the_cpu_time_of_the_samples_that_name_their_requests() {
    let data = folder();
    let server = Server::start(data.path(), &LONG);
    assert!(is_taken(&send(&server, Method::POST, &captured(TRACES)).await));
    let path = "/api/v1/endpoints?from=0&service=shelf";
    let before = server.get(path).await.ok();
    for (resource, _) in PAIR_CPU {
        assert_eq!(cpu_of(&before, resource), (None, None, None), "there is no profile yet");
    }
    send(&server, Method::POST, &captured(PROFILE)).await.ok();
    let is = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-9;
    let check = |answer: &Value| {
        for (resource, millis) in PAIR_CPU {
            let (cpu, each, profiled) = cpu_of(answer, resource);
            assert!(is(cpu, millis) && is(each, millis / 24.0), "{resource}: {answer}");
            assert_eq!(profiled, Some(24), "{resource}");
        }
        assert!(answer["without_cpu"].is_null());
    };
    check(&server.get(path).await.ok());
    let unasked = server.get(&format!("{path}&cpu=false")).await.ok();
    assert_eq!(cpu_of(&unasked, "GET /left"), (None, None, None));
    let none = server.get("/api/v1/endpoints?from=0&match=%7Bversion%3D%222%22%7D").await.ok();
    assert_eq!(none["endpoints"], json!([]));
    server.stop();
    let server = Server::start(data.path(), &LONG);
    check(&server.get(path).await.ok());
    let mut asked = vesta();
    asked.args(["query", "endpoints", "--server", &server.url, "--from", "0"]);
    let words = String::from_utf8(asked.output().unwrap().stdout).unwrap();
    // 168.224 ms in 24 requests.
    assert!(words.contains("7.009      100%  shelf  GET /left\n"), "{words}");
}

#[tokio::test]
async fn a_request_of_maps_gives_its_spans_with_whole_trace_ids() {
    let data = folder();
    let server = Server::start(data.path(), &LONG);
    assert!(is_taken(&send(&server, Method::POST, &captured(MAPS)).await));
    let spans = spans(&server).await;
    assert_eq!(spans.len(), MAPS_SPANS);
    let one = &spans[MAPS_SPAN];
    assert_eq!(one["trace_id"], MAPS_TRACE, "128 bits");
    assert_eq!(one["name"], "shelf.work");
    assert_eq!(one["start_ns"], MAPS_START);
    assert_eq!(one["labels"]["env"], "test");
}

/// A request of one span.
fn one(trace: u64) -> Value {
    let start = u64::try_from(stdx::Clock::now(&stdx::SystemClock::new()).nanos()).unwrap();
    json!([[{
        "service": "made", "name": "web.request", "resource": "GET /made", "type": "web",
        "trace_id": trace, "span_id": trace, "parent_id": 0, "start": start - 1_000_000_000,
        "duration": 5_000_000, "error": 1, "meta": {"env": "test", "error.message": "no disk"},
    }]])
}

#[tokio::test]
async fn each_version_answers_as_the_agent_and_refuses_what_it_cannot_read() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let base = format!("http://{}", server.address("Datadog's protocol"));
    let offered = server.get(&format!("{base}/info")).await.ok()["endpoints"].clone();
    let json = [("content-type", "application/json")];
    let msgpack = [("content-type", "application/msgpack")];
    let url = |version| format!("{base}/v0.{version}/traces");
    for version in [3, 4, 5, 7] {
        assert!(offered.as_array().unwrap().contains(&json!(format!("/v0.{version}/traces"))));
        // Nothing yet: libraries ask so whether there is an agent.
        let empty: &[u8] = match version {
            5 => &[0x92, 0x90, 0x90],
            7 => &[0x80],
            _ => &[0x90],
        };
        let answer = server.send(Method::PUT, &url(version), &msgpack, empty).await;
        assert_eq!(answer.status, StatusCode::OK, "{version}");
        if version == 3 {
            assert_eq!(&answer.body[..], b"OK");
        } else {
            assert!(is_taken(&answer), "{version}");
        }
        let wrong = server.send(Method::POST, &url(version), &msgpack, vec![7; 100]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{version}");
        let text = [("content-type", "text/plain")];
        let strange = server.send(Method::POST, &url(version), &text, "x").await;
        assert_eq!(strange.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{version}");
    }
    for version in [3, 4] {
        let body = one(version).to_string();
        let answer = server.send(Method::POST, &url(version), &json, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{version}");
    }
    let refused = server.send(Method::POST, &url(5), &json, one(5).to_string()).await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let found = server.get("/api/v1/endpoints?service=made").await.ok();
    let endpoint = &found["endpoints"][0];
    assert_eq!((&endpoint["resource"], &endpoint["count"]), (&json!("GET /made"), &json!(2)));
    assert_eq!((&endpoint["errors"], &endpoint["max_ms"]), (&json!(2), &json!(5.0)));
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("vesta_ingest_spans_accepted_total 2"), "{metrics}");
}

#[tokio::test]
async fn a_request_that_is_cut_off_keeps_what_came_before() {
    let data = folder();
    let server = Server::start(data.path(), &LONG);
    let mut request = captured(MAPS);
    request.body = request.body.slice(..request.body.len() / 2);
    assert!(is_taken(&send(&server, Method::POST, &request).await));
    let kept = spans(&server).await.len();
    assert!(kept > 0 && kept < MAPS_SPANS, "{kept}");
}
