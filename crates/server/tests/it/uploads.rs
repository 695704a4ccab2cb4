//! What goes in one way or another comes out the same.

use crate::harness::{CPU, Server, cpu_pprof, folder, multipart, of_service};
use bytes::Bytes;
use http::{Method, StatusCode};
use rpc::otlp::ProfilesClient;
use serde_json::Value;
use wire::Message;
use wire::otlp::collector_profiles::ExportProfilesServiceRequest;
use wire::otlp::common::{AnyValue, KeyValue, any_value};
use wire::otlp::profiles as otlp;
use wire::otlp::resource::Resource;

const FOLDED: &str = "main;handle;parse 30000000\nmain;handle;parse;alloc 20000000\n\
    main;handle;render 40000000\nmain;idle 10000000\nmain;handle;handle;parse 7\n";

/// Functions of a service: name, self, total.
async fn top(server: &Server, service: &str) -> (i64, Vec<(String, i64, i64)>) {
    let path = format!("/api/v1/top?type={CPU}&{}", of_service(service));
    let answer = server.get(&path).await.ok();
    let functions = answer["functions"].as_array().unwrap().iter().map(|row| {
        let number = |key: &str| row[key].as_i64().unwrap();
        (row["name"].as_str().unwrap().to_owned(), number("self"), number("total"))
    });
    (answer["meta"]["total"].as_i64().unwrap(), functions.collect())
}

#[tokio::test]
async fn one_profile_by_every_way_gives_the_same_figures() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let pprof = cpu_pprof(FOLDED);
    let receipt =
        server.upload("service_name=raw&label=team=a&from=now-10s&until=now", pprof.clone());
    let receipt = receipt.await.ok();
    let stored = &receipt["profiles"][0];
    assert_eq!(stored["samples"], 5);
    assert_eq!(stored["labels"]["team"], "a");
    assert_eq!(stored["labels"]["source"], "upload");
    let types = stored["types"].as_array().unwrap();
    assert!(types.iter().any(|one| one["type"] == CPU), "{types:?}");

    let (kind, body) = multipart("profile", &pprof);
    let ingest =
        |name: &str, more: &str| format!("/ingest?name={name}&from=now-10s&until=now{more}");
    let (path, header) = (ingest("multi", ""), [("content-type", kind.as_str())]);
    server.send(Method::POST, &path, &header, body).await.ok();
    server.send(Method::POST, &ingest("plain", "&format=pprof"), &[], pprof).await.ok();
    // Folded text counts samples: at a rate of 10^9 a second each is a nanosecond.
    let path = ingest("text.cpu%7Benv%3Dprod%7D", "&sampleRate=1000000000");
    let text = [("content-type", "text/plain")];
    let receipt = server.send(Method::POST, &path, &text, FOLDED).await.ok();
    assert_eq!(receipt["profiles"][0]["labels"]["env"], "prod");

    let wanted = top(&server, "raw").await;
    assert_eq!(wanted.0, 100_000_007);
    assert_eq!(wanted.1[0], ("render".to_owned(), 40_000_000, 40_000_000));
    assert!(wanted.1.contains(&("handle".to_owned(), 0, 90_000_007)), "recursion counts once");
    for service in ["multi", "plain", "text"] {
        assert_eq!(top(&server, service).await, wanted, "{service}");
    }
    answers_agree(&server, wanted.0).await;
}

/// Every other question about the same data says the same.
async fn answers_agree(server: &Server, total: i64) {
    let scope = of_service("raw");
    let flame = server.get(&format!("/api/v1/flamegraph?type={CPU}&{scope}")).await.ok();
    assert_eq!(flame["total"][0], total);
    assert_eq!(flame["meta"]["profiles"], 1);
    let arrow = [("accept", "application/vnd.apache.arrow.stream")];
    let path = format!("/api/v1/flamegraph?type={CPU}&{scope}");
    let arrow = server.send(Method::GET, &path, &arrow, Bytes::new()).await;
    assert_eq!(arrow.headers["content-type"], "application/vnd.apache.arrow.stream");
    let series = server.get(&format!("/api/v1/series?type={CPU}&{scope}&step_ms=10000")).await.ok();
    let points = series["series"][0]["points"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point[1].as_i64().unwrap()).sum::<i64>(), total);
    let list = server.get(&format!("/api/v1/profiles?{scope}")).await.ok();
    let id = list["profiles"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list["profiles"][0]["totals"][0]["value"], total);
    let detail = server.get(&format!("/api/v1/profiles/{id}")).await.ok();
    assert_eq!(detail["samples"], 5);
    let pprof = server.get(&format!("/api/v1/profiles/{id}/pprof")).await;
    let decoded = formats::decode(&pprof.body, &formats::Options::default());
    assert_eq!(decoded.profiles[0].profile.totals(profile::KindIndex(0))[0], total);
    let services = server.get("/api/v1/services?from=now-1h").await.ok();
    let names = services["services"].as_array().unwrap().iter().map(|one| one["service"].clone());
    let mut names: Vec<Value> = names.collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["multi", "plain", "raw", "text"]);
    let values = server.get("/api/v1/labels/service_name/values?from=now-1h").await.ok();
    assert_eq!(values["values"].as_array().unwrap().len(), 4);
    let types = server.get(&format!("/api/v1/profile-types?{scope}")).await.ok();
    assert!(types["types"].as_array().unwrap().iter().any(|one| one["id"] == CPU));
}

/// An export request: ten samples of 10 ms in `work`, called by `main`.
pub(crate) fn export(service: Option<&str>) -> Vec<u8> {
    let text =
        |text: &str| AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) };
    let attribute = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    let strings = ["", "cpu", "nanoseconds", "work", "main"].map(str::to_owned).to_vec();
    let function = |name| otlp::Function { name_strindex: name, ..otlp::Function::default() };
    let location = |function| otlp::Location {
        lines: vec![otlp::Line { function_index: function, ..otlp::Line::default() }],
        ..otlp::Location::default()
    };
    let dictionary = otlp::ProfilesDictionary {
        mapping_table: vec![otlp::Mapping::default()],
        function_table: vec![otlp::Function::default(), function(3), function(4)],
        location_table: vec![otlp::Location::default(), location(1), location(2)],
        link_table: vec![otlp::Link::default()],
        attribute_table: vec![otlp::KeyValueAndUnit::default()],
        stack_table: vec![otlp::Stack::default(), otlp::Stack { location_indices: vec![1, 2] }],
        string_table: strings,
    };
    let value_type = otlp::ValueType { type_strindex: 1, unit_strindex: 2 };
    let now = std::process::Command::new("date").arg("+%s").output().unwrap().stdout;
    let now: u64 = String::from_utf8(now).unwrap().trim().parse().unwrap();
    let profile = otlp::Profile {
        sample_type: Some(value_type),
        period_type: Some(value_type),
        period: 10_000_000,
        time_unix_nano: (now - 5) * 1_000_000_000,
        duration_nano: 5_000_000_000,
        samples: vec![otlp::Sample {
            stack_index: 1,
            values: vec![10_000_000; 10],
            timestamps_unix_nano: (0..10).map(|at| (now - 5) * 1_000_000_000 + at).collect(),
            ..otlp::Sample::default()
        }],
        ..otlp::Profile::default()
    };
    let mut attributes = vec![attribute("process.executable.name", "worker")];
    attributes.extend(service.map(|name| attribute("service.name", name)));
    let request = ExportProfilesServiceRequest {
        resource_profiles: vec![otlp::ResourceProfiles {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_profiles: vec![otlp::ScopeProfiles {
                profiles: vec![profile],
                ..otlp::ScopeProfiles::default()
            }],
            ..otlp::ResourceProfiles::default()
        }],
        dictionary: Some(dictionary),
    };
    request.encode_to_vec()
}

#[tokio::test]
async fn otlp_arrives_over_http_and_grpc_alike() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let proto = [("content-type", "application/x-protobuf")];
    let path = "/v1development/profiles";
    let answer = server.send(Method::POST, path, &proto, export(Some("over-http"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let own_port = format!("http://{}{path}", server.address("OTLP over HTTP"));
    let packed = formats::compress::gzip(&export(Some("own-port")));
    let headers = [proto[0], ("content-encoding", "gzip")];
    let answer = server.send(Method::POST, &own_port, &headers, packed).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let grpc = format!("http://{}", server.address("OTLP over gRPC"));
    let client = ProfilesClient::connect_lazy(&grpc, None).expect("a good address");
    client.export(export(Some("over-grpc")).into()).await.expect("taken");
    client.export(export(None).into()).await.expect("taken");
    let wanted = (
        100_000_000,
        vec![("work".to_owned(), 100_000_000, 100_000_000), ("main".to_owned(), 0, 100_000_000)],
    );
    for service in ["over-http", "own-port", "over-grpc", "unknown_service:worker"] {
        assert_eq!(top(&server, service).await, wanted, "{service}");
    }
    let text = [("content-type", "text/plain")];
    let refused = server.send(Method::POST, path, &text, "{}").await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(refused.json()["hint"].as_str().unwrap().contains("protobuf"));
}

#[tokio::test]
async fn otlp_as_json_is_answered_as_json() {
    let data = folder();
    let server = Server::start(data.path(), &["--retention-days", "36500"]);
    let json = [("content-type", "application/json")];
    let body = include_bytes!("../../../../fixtures/otlp/v1.10.json");
    let port = format!("http://{}", server.address("OTLP over HTTP"));
    for url in ["/v1development/profiles", &format!("{port}/v1development/profiles")] {
        let answer = server.send(Method::POST, url, &json, &body[..]).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"{}"[..]));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let cut = server.send(Method::POST, "/v1development/profiles", &json, &body[..900]).await;
    assert_eq!(cut.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(cut.json()["detail"].as_str().unwrap().contains("cut off"), "{:?}", cut.body);
    let cpu = "type=process_cpu:samples:count:cpu:nanoseconds";
    let of = "match=%7Bservice_name%3D%22shop%22%7D&from=0";
    let top = server.get(&format!("/api/v1/top?{cpu}&{of}")).await.ok();
    assert_eq!(top["meta"]["total"].as_f64(), Some(6.0), "{top}");
    let odd = [&br#"{"odd":1,"#[..], &body[1..]].concat();
    let odd = server.send(Method::POST, "/v1development/profiles", &json, odd).await.ok();
    let said = odd["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
    assert!(said.contains("\"odd\" is not known"), "{odd}");
}

#[tokio::test]
async fn refusals_say_what_where_and_what_to_do() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let cases = [
        (server.upload("service_name=x", b"no profile at all \xff\xfe".to_vec()).await, 422),
        (server.upload("service_name=x&label=novalue", Vec::new()).await, 400),
        (server.send(Method::POST, "/ingest", &[], "a;b 1").await, 400),
        (server.send(Method::POST, "/ingest?name=a%7B", &[], "a;b 1").await, 400),
        (server.send(Method::POST, "/ingest?name=a&format=jfr", &[], "x").await, 422),
        (server.get("/api/v1/flamegraph").await, 400),
        (server.get("/api/v1/flamegraph?type=no:such:type::").await, 404),
        (server.get("/api/v1/services?from=yesterday").await, 400),
        (server.get("/api/v1/services?match=%7Ba%3D").await, 400),
        (server.get("/api/v1/top?type=x&limit=many").await, 400),
        (server.get("/api/v1/profiles/01ARZ3NDEKTSV4RRFFQ69G5FAV").await, 404),
        (server.get("/api/v1/nothing").await, 404),
        (server.send(Method::POST, "/api/v1/services", &[], "").await, 405),
    ];
    for (answer, status) in cases {
        assert_eq!(answer.status, status, "{:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let problem = answer.json();
        for key in ["type", "title", "detail", "hint", "request_id"] {
            assert!(!problem[key].as_str().unwrap_or_default().is_empty(), "{key}: {problem}");
        }
        assert_eq!(problem["request_id"], answer.headers["x-request-id"].to_str().unwrap());
    }
}

#[tokio::test]
async fn too_large_bodies_and_bombs_are_refused_or_cut() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let answer = server.upload("service_name=x", vec![b'a'; 33 << 20]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = formats::compress::gzip(&vec![b'a'; 300 << 20]);
    let answer = server.upload("service_name=x", bomb).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    let text = server.get("/metrics").await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    let refused = text.lines().find(|line| line.starts_with("vesta_ingest_uploads_refused_total "));
    assert_eq!(refused, Some("vesta_ingest_uploads_refused_total 2"));
    assert!(
        text.contains("vesta_http_requests_total{route=\"/api/v1/profiles\",status=\"413\"} 1")
    );
}
