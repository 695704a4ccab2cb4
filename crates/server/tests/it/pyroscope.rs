//! What Pyroscope's clients and Grafana send, on the real port.

use crate::harness::{Answer, CPU, Server, cpu_pprof, cpu_profile, folder, multipart, of_service};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use wire::Message;
use wire::pyroscope as message;

pub(crate) const PUSH: &str = "/push.v1.PusherService/Push";

/// A push of one profile as gzip within protobuf.
pub(crate) fn push(service: &str, profile: Vec<u8>) -> message::PushRequest {
    let pair = |name: &str, value: &str| message::LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let labels = vec![
        pair("__name__", "process_cpu"),
        pair("service_name", service),
        pair("__session_id__", "x1"),
        pair("otel.scope.name", "com.grafana.pyroscope/python"),
        pair("region", "eu"),
    ];
    let samples = vec![message::RawSample { raw_profile: profile, id: "1-2".to_owned() }];
    message::PushRequest { series: vec![message::RawProfileSeries { labels, samples }] }
}

/// With a time, as clients send it: what has none is of the moment at which it comes.
pub(crate) fn timed_pprof(text: &str) -> Vec<u8> {
    let mut profile = cpu_profile(text);
    let start = stdx::Timestamp::from_millis(now_ms() - 20_000);
    profile.window = stdx::TimeRange::new(start, start.plus_nanos(10_000_000_000));
    formats::pprof::encode_gzip(&profile)
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

pub(crate) async fn total(server: &Server, service: &str) -> i64 {
    let path = format!("/api/v1/top?type={CPU}&{}", of_service(service));
    server.get(&path).await.ok()["meta"]["total"].as_i64().unwrap()
}

async fn post(server: &Server, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
    server.send(Method::POST, path, &[("content-type", kind)], body).await
}

type Stacks = message::SelectMergeStacktracesResponse;
/// Parameters, content type, body, and the type and total that are expected.
type Case = (&'static str, &'static str, Vec<u8>, Option<(&'static str, i64)>);

#[tokio::test]
async fn pushes_count_once_in_every_dialect() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let profile = timed_pprof("main;work 70\nmain 30\n");
    let proto = |service: &str| push(service, profile.clone()).encode_to_vec();
    let gzip = [("content-type", "application/proto"), ("content-encoding", "gzip")];
    for _ in 0..2 {
        let body = formats::compress::gzip(&proto("proto"));
        let answer = server.send(Method::POST, PUSH, &gzip, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/proto");
        assert!(answer.body.is_empty());
    }
    let body = serde_json::to_vec(&push("json", profile.clone())).unwrap();
    let answer = post(&server, PUSH, "application/json", body).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"{}"[..]));
    let twice = formats::compress::gzip(&profile);
    let body = framed(&push("grpc", twice).encode_to_vec());
    let answer = post(&server, PUSH, "application/grpc", body).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 5));
    let body = framed(&proto("web"));
    let answer = post(&server, PUSH, "application/grpc-web+proto", body).await;
    assert!(answer.body.ends_with(b"grpc-status: 0\r\n"), "{:?}", answer.body);
    for service in ["proto", "json", "grpc", "web"] {
        assert_eq!(total(&server, service).await, 100, "{service}");
    }
    let labels = server.get("/api/v1/labels?from=now-1h").await.ok();
    let labels = labels["labels"].as_array().unwrap();
    assert!(labels.contains(&json!("region")) && !labels.contains(&json!("__name__")));
    assert!(!labels.contains(&json!("otel.scope.name")), "information, no label: {labels:?}");
}

#[tokio::test]
async fn refused_pushes_say_why_in_the_clients_words() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let junk = push("x", b"\xff\xfe no profile".to_vec()).encode_to_vec();
    let refused = post(&server, PUSH, "application/proto", junk.clone()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["code"], "invalid_argument");
    assert!(refused.json()["message"].as_str().unwrap().contains("not recognised"));
    let refused = post(&server, PUSH, "application/grpc", framed(&junk)).await;
    assert_eq!(
        (refused.status, &refused.headers["grpc-status"]),
        (StatusCode::OK, &"3".parse().unwrap())
    );
    let refused = post(&server, PUSH, "application/grpc", vec![0, 0]).await;
    assert_eq!(refused.headers["grpc-status"], "3");
    let tenant = [("content-type", "application/proto"), ("x-scope-orgid", "other")];
    let refused = server.send(Method::POST, PUSH, &tenant, junk).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["code"], "permission_denied");
    let refused = post(&server, PUSH, "text/plain", "x").await;
    assert!(refused.status.is_client_error());
}

#[tokio::test]
async fn every_format_of_ingest_is_read() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let jfr = include_bytes!("../../../../fixtures/jfr/shelf.jfr.gz").as_slice();
    let node = |name: &str, value: u8, children: u8| {
        [&[name.len() as u8], name.as_bytes(), &[value, children]].concat()
    };
    let tree = [node("", 0, 1), node("main", 3, 1), node("work", 7, 0)].concat();
    let trie = [node("ma", 0, 1), node("in", 3, 1), node(";work", 7, 0)].concat();
    let now = "from=now-10s&until=now";
    let cpu = |total: i64| Some((CPU, total));
    let wall = Some(("wall:wall:nanoseconds:wall:nanoseconds", 3_000_000_000));
    let speedscope = r#"{"shared":{"frames":[{"name":"a"}]},"profiles":[{"type":"sampled",
        "name":"t","unit":"seconds","samples":[[0]],"weights":[3]}]}"#;
    let cases: Vec<Case> = vec![
        ("lines", "", b"main;work\nmain\n".to_vec(), cpu(20_000_000)),
        ("tree", "", tree.clone(), cpu(100_000_000)),
        ("trie", "", trie, cpu(100_000_000)),
        ("", "binary/octet-stream+tree", tree, cpu(100_000_000)),
        ("speedscope", "", speedscope.into(), wall),
        ("jfr", "", jfr.to_vec(), None),
    ];
    for (at, (format, kind, body, wanted)) in cases.into_iter().enumerate() {
        let name = format!("s{at}");
        let path = format!("/ingest?name={name}.cpu&format={format}&{now}");
        let path =
            if wanted.is_none_or(|one| one.0 != CPU) { path.replace(".cpu", "") } else { path };
        let answer = post(&server, &path, kind, body).await;
        let receipt = answer.ok();
        assert!(receipt["profiles"][0]["samples"].as_u64().unwrap() > 0, "{format}: {receipt}");
        let Some((id, total)) = wanted else { continue };
        let top = format!("/api/v1/top?type={id}&{}", of_service(&name));
        assert_eq!(server.get(&top).await.ok()["meta"]["total"], total, "{format}: {receipt}");
    }
    let (kind, body) = multipart("jfr", jfr);
    let receipt = post(&server, "/ingest?name=multi&format=jfr", &kind, body).await.ok();
    let samples = |receipt: &Value| receipt["profiles"][0]["samples"].as_u64().unwrap();
    let raw = post(&server, "/ingest?name=raw&format=jfr", "", jfr.to_vec()).await.ok();
    assert_eq!(samples(&receipt), samples(&raw));
}

/// As `fixtures/README.md` describes it, with what a plain walk of its fields adds up.
const CAPTURED: &[u8] = include_bytes!("../../../../fixtures/pyroscope/push.pb.gz");

#[tokio::test]
async fn a_captured_push_has_its_totals_labels_and_functions() {
    let data = folder();
    let server = Server::start(data.path(), &["--retention-days", "36500"]);
    let headers = [
        ("user-agent", "pyroscope-rs/pyspy/1.4.0 reqwest"),
        ("content-type", "application/proto"),
        ("content-encoding", "gzip"),
        ("accept", "*/*"),
    ];
    let answer = server.send(Method::POST, PUSH, &headers, CAPTURED).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    let of = "from=0&to=now%2B1d&match=%7Bservice_name%3D%22shelf.py%22%7D";
    let top = server.get(&format!("/api/v1/top?type={CPU}&{of}&sort=self")).await.ok();
    assert_eq!(top["meta"]["total"], 9_650_000_000_i64);
    let own = |name: &str| {
        let mut functions = top["functions"].as_array().unwrap().iter();
        functions.find(|one| one["name"] == name).unwrap()["self"].as_i64().unwrap()
    };
    assert_eq!((own("sort"), own("digest")), (6_140_000_000, 1_590_000_000));
    let profiles = server.get(&format!("/api/v1/profiles?{of}")).await.ok();
    let profile = &profiles["profiles"][0];
    assert_eq!(profile["labels"]["region"], "eu");
    assert_eq!(profile["labels"]["runtime"], "cpython");
    assert_eq!(profile["labels"]["source"], "pyroscope");
    assert_eq!(profile["client"], headers[0].1);
}

const QUERIER: &str = "/querier.v1.QuerierService";

/// A question in JSON; the JSON of its answer.
pub(crate) async fn ask(server: &Server, method: &str, question: Value) -> Value {
    let body = serde_json::to_vec(&question).unwrap();
    post(server, &format!("{QUERIER}/{method}"), "application/json", body).await.ok()
}

/// A question in protobuf.
pub(crate) async fn ask_proto<A: Message + Default>(
    server: &Server,
    method: &str,
    question: &impl Message,
) -> A {
    let path = format!("{QUERIER}/{method}");
    let answer = post(server, &path, "application/proto", question.encode_to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    A::decode(answer.body).unwrap()
}

pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// A server with two services, and the range of their profiles.
async fn filled(data: &std::path::Path) -> (Server, i64, i64) {
    let server = Server::start(data, &[]);
    for (service, env, text) in [
        ("shop", "prod", "main;work;deep 500\nmain;idle 300\nother 200\n"),
        ("shop", "test", "main;work 70\n"),
        ("cart", "prod", "main;pay 40\n"),
    ] {
        let query = format!("service_name={service}&label=env={env}&from=now-20s&until=now-10s");
        server.upload(&query, cpu_pprof(text)).await.ok();
    }
    (server, now_ms() - 3_600_000, now_ms())
}

fn number(value: &Value) -> i64 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).parse().unwrap()
}

#[tokio::test]
async fn grafana_finds_what_there_is() {
    let data = folder();
    let (server, start, end) = filled(data.path()).await;
    let question = json!({ "start": start.to_string(), "end": end });
    let types = ask(&server, "ProfileTypes", question.clone()).await;
    let types = types["profileTypes"].as_array().unwrap().clone();
    let cpu = types.iter().find(|one| one["ID"] == CPU).unwrap();
    assert_eq!((&cpu["name"], &cpu["sampleUnit"]), (&json!("process_cpu"), &json!("nanoseconds")));
    let names = ask(&server, "LabelNames", question.clone()).await;
    let names = names["names"].as_array().unwrap();
    assert!(names.contains(&json!("env")) && names.contains(&json!("__profile_type__")));
    let values = |name: &str, matcher: &str| {
        let matchers = [matcher];
        json!({ "name": name, "matchers": matchers, "start": start, "end": end })
    };
    for (name, matcher, wanted) in [
        ("service_name", "{}", json!(["cart", "shop"])),
        ("service_name", "{env=\"test\"}", json!(["shop"])),
        ("env", "{service_name=\"cart\"}", json!(["prod"])),
        ("__profile_type__", "{service_name=\"cart\"}", json!([CPU])),
        ("__name__", "{}", json!(["process_cpu"])),
        ("env", &format!("{{__profile_type__=\"{CPU}\"}}"), json!(["prod", "test"])),
        ("env", "{__profile_type__=\"a:b:c:d:e\"}", json!([])),
    ] {
        let found = ask(&server, "LabelValues", values(name, matcher)).await;
        assert_eq!(found["names"], wanted, "{name} {matcher}");
    }
    let series = |names: Value| json!({ "labelNames": names, "start": start, "end": end });
    let sets = async |names: Value| {
        let found = ask(&server, "Series", series(names)).await;
        let sets = found["labelsSet"].as_array().unwrap().clone();
        let text = |set: &Value| {
            let pairs = set["labels"].as_array().unwrap().iter();
            let pairs = pairs.map(|pair| pair["value"].as_str().unwrap().to_owned());
            pairs.collect::<Vec<_>>().join(" ")
        };
        sets.iter().map(text).collect::<Vec<_>>()
    };
    let wanted = [format!("{CPU} cart"), format!("{CPU} shop")];
    assert_eq!(sets(json!(["service_name", "__profile_type__"])).await, wanted);
    assert_eq!(sets(json!(["env", "service_name"])).await, ["prod cart", "prod shop", "test shop"]);
    assert_eq!(sets(json!([])).await.len(), 3);
    let stats = ask(&server, "GetProfileStats", json!({})).await;
    assert_eq!(stats["dataIngested"], true);
    let (oldest, newest) =
        (number(&stats["oldestProfileTime"]), number(&stats["newestProfileTime"]));
    assert!(start < oldest && oldest <= newest && newest <= end, "{stats}");
    let query = json!({ "start": start, "end": end, "query": format!("{CPU}{{}}") });
    let impact = ask(&server, "AnalyzeQuery", query).await;
    assert!(number(&impact["queryScopes"][0]["sampleCount"]) > 0, "{impact}");
    assert_eq!(server.get("/ready").await.status, StatusCode::OK);
    let info = server.get("/api/v1/status/buildinfo").await.ok();
    assert_eq!(info["status"], "success");
}

#[tokio::test]
async fn names_with_other_characters_are_selected_in_quotes() {
    let data = folder();
    let server = Server::start(data.path(), &["--retention-days", "36500"]);
    let shelf = include_bytes!("../../../../fixtures/jfr/shelf.jfr.gz").to_vec();
    server.upload("service_name=java&label=shelf_row=b%5B%5D", shelf).await.ok();
    let allocated = "/api/v1/top?type=memory:alloc_space:bytes:space:bytes&from=0&to=now%2B1d";
    let samples = async |filter: &str| {
        let top = server.get(&format!("{allocated}&{filter}")).await.ok();
        top["meta"]["samples"].as_u64().unwrap()
    };
    let all = samples("").await;
    assert_eq!(samples("match=%7B%22shelf_row%22%3D%22b%5B%5D%22%7D").await, all);
    assert_eq!(samples("match=%7B%22shelf_row%22%3D%22b%22%7D").await, 0);
    let arrays = samples("attributes=%7B%22allocated%20class%22%3D%22byte%5B%5D%22%7D").await;
    let others = samples("attributes=%7B%22allocated%20class%22!%3D%22byte%5B%5D%22%7D").await;
    assert!(arrays > 0 && arrays + others == all, "{arrays} and {others} of {all}");
    for (selector, wanted) in
        [(r#"{"shelf_row"="b[]"}"#, json!(["java"])), (r#"{"shelf_row"!="b[]"}"#, json!([]))]
    {
        // A start of 0 is none.
        let (start, end) = (1, now_ms() + 1);
        let question =
            json!({ "name": "service_name", "matchers": [selector], "start": start, "end": end });
        let found = ask(&server, "LabelValues", question).await;
        assert_eq!(found["names"], wanted, "{selector}");
    }
    let refused = server.get("/api/v1/labels?match=%7B%22shelf%20row%3D%22b%22%7D").await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("byte"), "{refused:?}");
    let refused = server.get("/api/v1/labels?match=%7Bshelf%20row%3D%22b%22%7D").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn stacks_and_series_have_the_totals_of_our_own_api() {
    let data = folder();
    let (server, start, end) = filled(data.path()).await;
    let selector = "{service_name=\"shop\"}";
    let range = format!("type={CPU}&{}", of_service("shop"));
    let own = server.get(&format!("/api/v1/flamegraph?{range}")).await.ok();
    let total = own["meta"]["total"].as_i64().unwrap();
    assert_eq!(total, 1070);
    let question = |format: message::ProfileFormat| message::SelectMergeStacktracesRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: selector.to_owned(),
        start,
        end,
        format: format as i32,
        ..Default::default()
    };
    let method = "SelectMergeStacktraces";
    let asked = question(message::ProfileFormat::Flamegraph);
    let flame = ask_proto::<Stacks>(&server, method, &asked).await.flamegraph.unwrap();
    assert_eq!((flame.total, flame.max_self), (total, 500));
    assert_eq!(flame.levels[1].values.chunks(4).map(|node| node[1]).sum::<i64>(), total);
    let json = serde_json::to_value(&asked).unwrap();
    let answer = ask(&server, method, json).await;
    assert_eq!(number(&answer["flamegraph"]["total"]), total);
    assert_eq!(number(&answer["flamegraph"]["levels"][0]["values"][1]), total);
    let asked = question(message::ProfileFormat::Tree);
    let tree = ask_proto::<Stacks>(&server, method, &asked).await.tree;
    let shape = formats::folded::Shape::default();
    let decoded = formats::tree::decode(&tree, &shape, &formats::Options::default());
    let folded = |decoded: &formats::Decoded| {
        formats::folded::encode(&decoded.profiles[0].profile, profile::KindIndex(0), 0)
    };
    let wanted = "main;idle 300\nmain;work 70\nmain;work;deep 500\nother 200\n";
    assert_eq!(folded(&decoded), wanted);
    let asked = question(message::ProfileFormat::Pprof);
    let pprof = ask_proto::<Stacks>(&server, method, &asked).await.pprof.unwrap().profile.unwrap();
    let decoded = formats::pprof::decode(&pprof.encode_to_vec(), &formats::Options::default());
    assert_eq!(folded(&decoded), wanted);
    let asked = question(message::ProfileFormat::Dot);
    let dot = ask_proto::<Stacks>(&server, method, &asked).await.dot;
    assert!(dot.contains("deep: self 500, total 500 nanoseconds"), "{dot}");
    let merged: wire::pprof::Profile = ask_proto(
        &server,
        "SelectMergeProfile",
        &message::SelectMergeProfileRequest {
            profile_type_id: CPU.to_owned(),
            label_selector: selector.to_owned(),
            start,
            end,
            ..Default::default()
        },
    )
    .await;
    assert_eq!(merged.sample.iter().map(|sample| sample.value[0]).sum::<i64>(), total);
}

#[tokio::test]
async fn values_over_time_and_below_a_call_site_add_up() {
    let data = folder();
    let (server, start, end) = filled(data.path()).await;
    let selector = "{service_name=\"shop\"}";
    let method = "SelectMergeStacktraces";
    let below = json!({
        "profileTypeID": CPU, "labelSelector": selector, "start": start, "end": end,
        "stackTraceSelector": { "callSite": [{ "name": "main" }, { "name": "work" }] },
    });
    let below = ask(&server, method, below).await;
    assert_eq!(number(&below["flamegraph"]["total"]), 570);
    let series = ask(
        &server,
        "SelectSeries",
        json!({
            "profileTypeID": CPU, "labelSelector": selector, "start": start, "end": end, "step": 15,
            "groupBy": ["env"], "aggregation": "TIME_SERIES_AGGREGATION_TYPE_SUM",
        }),
    )
    .await;
    let lines = series["series"].as_array().unwrap();
    let sum = |line: &Value| {
        let points = line["points"].as_array().unwrap().iter();
        points.map(|point| point["value"].as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!(lines.iter().map(sum).collect::<Vec<_>>(), [1000.0, 70.0]);
    assert_eq!(lines[1]["labels"], json!([{ "name": "env", "value": "test" }]));
    let heat = ask(
        &server,
        "SelectHeatmap",
        json!({
            "profileTypeID": CPU, "labelSelector": selector, "start": start, "end": end, "step": 60,
            "queryType": "HEATMAP_QUERY_TYPE_INDIVIDUAL",
        }),
    )
    .await;
    let slots = heat["series"][0]["slots"].as_array().unwrap();
    let counts = slots.iter().flat_map(|slot| slot["counts"].as_array().unwrap());
    assert_eq!(counts.map(|count| count.as_i64().unwrap()).sum::<i64>(), 2);
}

#[tokio::test]
async fn differences_and_older_routes_answer_alike() {
    let data = folder();
    let (server, start, end) = filled(data.path()).await;
    let side = |env: &str| {
        json!({
            "profileTypeID": CPU, "labelSelector": format!("{{env=\"{env}\"}}"),
            "start": start, "end": end,
        })
    };
    let diff = ask(&server, "Diff", json!({ "left": side("prod"), "right": side("test") })).await;
    let diff = &diff["flamegraph"];
    assert_eq!((number(&diff["leftTicks"]), number(&diff["rightTicks"])), (1040, 70));
    let query = |selector: &str| {
        format!("{CPU}{{{selector}}}")
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('=', "%3D")
    };
    let prod = query("env=\"prod\"");
    let path =
        format!("/pyroscope/render?query={prod}&from={start}&until={end}&groupBy=service_name");
    let render = server.get(&path).await.ok();
    assert_eq!(render["flamebearer"]["numTicks"], 1040);
    assert_eq!(render["flamebearer"]["names"][0], "total");
    assert_eq!(render["metadata"]["units"], "samples");
    let sum = |chart: &Value| {
        chart["samples"].as_array().unwrap().iter().map(|one| one.as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(sum(&render["timeline"]), 1040);
    assert_eq!((sum(&render["groups"]["cart"]), sum(&render["groups"]["shop"])), (40, 1000));
    let dot = server.get(&format!("{path}&format=dot")).await;
    assert!(dot.body.starts_with(b"digraph"), "{:?}", dot.body);
    let test = query("env=\"test\"");
    let both = format!(
        "/pyroscope/render-diff?leftQuery={prod}&leftFrom={start}&leftUntil={end}\
         &rightQuery={test}&rightFrom={start}&rightUntil={end}"
    );
    let both = server.get(&both).await.ok();
    assert_eq!((&both["leftTicks"], &both["rightTicks"]), (&json!(1040), &json!(70)));
    let values = server.get("/pyroscope/label-values?label=env&from=now-1h").await.ok();
    assert_eq!(values, json!(["prod", "test"]));
}

#[tokio::test]
async fn questions_are_refused_in_their_own_words() {
    let data = folder();
    let (mut server, start, end) = filled(data.path()).await;
    let method = format!("{QUERIER}/SelectMergeStacktraces");
    let unknown = json!({ "profileTypeID": "a:b:c:d:e", "start": start, "end": end });
    let empty = ask(&server, "SelectMergeStacktraces", unknown).await;
    assert_eq!(number(&empty["flamegraph"]["total"]), 0, "no data is no error");
    for (question, wanted) in [
        (json!({ "start": start, "end": end }), "profile type is missing"),
        (json!({ "profileTypeID": CPU, "labelSelector": "{a=" }), "selector"),
        (json!({ "profileTypeID": CPU, "start": end, "end": start }), "no range"),
        (json!({ "profileTypeID": CPU, "spanSelector": ["xyz"] }), "span id"),
        (json!({ "profileTypeID": CPU, "format": "PROFILE_FORMAT_NO" }), "PROFILE_FORMAT_NO"),
    ] {
        let body = serde_json::to_vec(&question).unwrap();
        let refused = post(&server, &method, "application/json", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{question}");
        let refused = refused.json();
        assert_eq!(refused["code"], "invalid_argument");
        assert!(refused["message"].as_str().unwrap().contains(wanted), "{refused}");
    }
    let large = vec![b' '; 2 << 20];
    let kind = [("content-type", "application/json")];
    // Who is still sending when the answer comes may see the connection close instead.
    if let Some(refused) = server.try_send(Method::POST, &method, &kind, large).await {
        assert_eq!(refused.json()["code"], "resource_exhausted");
    }
    server.reconnect();
    let types = message::ProfileTypesRequest { start, end };
    let path = format!("{QUERIER}/ProfileTypes");
    let answer = post(&server, &path, "application/grpc", framed(&types.encode_to_vec())).await;
    let found = message::ProfileTypesResponse::decode(&answer.body[5..]).unwrap();
    assert!(found.profile_types.iter().any(|one| one.id == CPU));
}
