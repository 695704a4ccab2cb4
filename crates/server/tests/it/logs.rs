//! Profiles that travel as OTLP logs, on every way in.

use crate::harness::{Answer, Server, folder};
use http::{Method, StatusCode};

const CPU: &[u8] = include_bytes!("../../../../fixtures/otlp/splunk-node-cpu.pb");
const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Uploads that were captured long ago are kept.
const LONG: [&str; 2] = ["--retention-days", "36500"];

/// The sum of a type over all time.
async fn sum(server: &Server, profile_type: &str) -> f64 {
    let of = "match=%7Bservice_name%3D%22shelf%22%7D&from=0";
    let top = server.get(&format!("/api/v1/top?type={profile_type}&{of}")).await.ok();
    top["meta"]["total"].as_f64().unwrap()
}

fn grpc(server: &Server) -> String {
    let service = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    format!("http://{}{service}", server.address("OTLP over gRPC"))
}

async fn frame(server: &Server, message: &[u8]) -> Answer {
    let framed = [&[0_u8][..], &(message.len() as u32).to_be_bytes(), message].concat();
    let headers = [("content-type", "application/grpc")];
    server.send(Method::POST, &grpc(server), &headers, framed).await
}

#[tokio::test]
async fn profiles_in_logs_are_stored_once_whichever_way_they_come() {
    let data = folder();
    let server = Server::start(data.path(), &LONG);
    let port = format!("http://{}/v1/logs", server.address("OTLP over HTTP"));
    for url in ["/v1/logs", port.as_str()] {
        let answer = server.send(Method::POST, url, &PROTOBUF, CPU).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "{answer:?}");
    }
    let answer = frame(&server, CPU).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &[0_u8; 5][..]));
    let wall = sum(&server, "wall:wall:nanoseconds:wall:nanoseconds").await;
    assert!((wall - 1463.0 * 20e6).abs() < 1.0, "{wall}");
    let cpu = sum(&server, "process_cpu:cpu:nanoseconds:cpu:nanoseconds").await;
    assert!((cpu - 119.0 * 20e6).abs() < 1.0, "{cpu}");
    let services = server.get("/api/v1/services?from=0").await.ok();
    assert_eq!(services["services"][0]["service"].as_str(), Some("shelf"), "{services}");
}

#[tokio::test]
async fn logs_that_carry_no_profiles_are_taken_and_said_to_be_left_out() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let line = r#"{"body":{"stringValue":"a line"}}"#;
    let body =
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{line},{line}]}}]}}]}}"#);
    let answer = server.send(Method::POST, "/v1/logs", &JSON, body).await.ok();
    let partial = &answer["partialSuccess"];
    assert_eq!(partial["rejectedLogRecords"].as_str(), Some("2"));
    assert!(partial["errorMessage"].as_str().unwrap().contains("carry profiles"), "{partial}");
    // Resource logs of one scope with one empty record.
    let message = [0x0a, 4, 0x12, 2, 0x12, 0];
    let answer = frame(&server, &message).await;
    // A partial success (1) of one record (1) and a text (2).
    let (head, text) = answer.body[5..].split_at(6);
    assert_eq!((answer.status, head[0], &head[2..5]), (StatusCode::OK, 0x0a, &[8, 1, 0x12][..]));
    assert!(String::from_utf8_lossy(text).starts_with("1 log records are not kept"), "{text:?}");
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("records_ignored") && metrics.contains(" 3\n"), "{metrics}");
    let text = [("content-type", "text/plain")];
    let answer = server.send(Method::POST, "/v1/logs", &text, "x").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
