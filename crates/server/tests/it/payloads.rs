//! Uploads that are kept as they came: through the port, back byte for byte, and read again.

use crate::harness::{CPU, Server, cpu_pprof, cpu_profile, folder, multipart, of_service, vesta};
use crate::uploads::export;
use http::{Method, StatusCode};
use rpc::otlp::ProfilesClient;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use stdx::{Rng, SystemClock, TimeRange, Timestamp};
use store::{NewPayload, Options, PayloadRule, Store};

const SETTINGS: &str = "payload_budget = '64MiB'\n[[payloads]]\nservice = 'shop*'\ndays = 30\n";
const FULL: &str = "main;parse 100\nmain;store 300\nmain;store;sync 600\n";

fn settings(dir: &Path, text: &str) -> String {
    let path = dir.join("vesta.toml");
    std::fs::write(&path, text).expect("writes");
    path.to_str().expect("a plain path").to_owned()
}

fn id_of(receipt: &Value) -> String {
    receipt["profiles"][0]["id"].as_str().expect("an id").to_owned()
}

async fn admin(server: &Server, more: &[&str]) -> String {
    let mut command = vesta();
    command.args(["admin", "--server", &server.url]).args(more);
    let run = tokio::task::spawn_blocking(move || command.output().expect("runs"));
    let output = run.await.expect("no panic");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn an_upload_that_is_kept_comes_back_byte_for_byte() {
    let (dir, data) = (folder(), folder());
    let config = settings(dir.path(), SETTINGS);
    let server = Server::start(data.path(), &["--config", &config]);
    let body = cpu_pprof(FULL);
    let kept = id_of(&server.upload("service_name=shop-eu&from=now-1min", body.clone()).await.ok());
    let other = id_of(&server.upload("service_name=bank", body.clone()).await.ok());
    let (kind, form) = multipart("profile", &body);
    let headers = [("content-type", kind.as_str())];
    let posted = server.send(Method::POST, "/ingest?name=shop", &headers, form.clone()).await;
    let posted = id_of(&posted.ok());

    for (id, wanted, receiver) in [(&kept, &body, "upload"), (&posted, &form, "pyroscope")] {
        let detail = server.get(&format!("/api/v1/profiles/{id}")).await.ok();
        assert_eq!(detail["payload"]["bytes"], wanted.len(), "{detail}");
        assert_eq!(detail["payload"]["receiver"], receiver);
        assert!(detail["info"].as_object().is_some_and(|info| !info.contains_key("vesta.payload")));
        let answer = server.get(&format!("/api/v1/profiles/{id}/payload")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body == *wanted, "byte for byte");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["content-type"], "application/octet-stream");
        let how = answer.headers["content-disposition"].to_str().expect("text");
        assert!(how.starts_with("attachment"), "{how}");
    }
    let detail = server.get(&format!("/api/v1/profiles/{other}")).await.ok();
    assert_eq!(detail["payload"], Value::Null);
    let none = server.get(&format!("/api/v1/profiles/{other}/payload")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.json()["hint"].as_str().is_some_and(|hint| hint.contains("[[payloads]]")));
    let metrics = server.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("store_payloads 2"), "{metrics}");

    let said = admin(&server, &["reparse"]).await;
    assert!(said.contains("0 uploads replaced") && said.contains("2 the same"), "{said}");
    server.kill_now();
    drop(server);
    let server = Server::start(data.path(), &["--config", &config]);
    let answer = server.get(&format!("/api/v1/profiles/{posted}/payload")).await;
    assert!(answer.body == form, "after a kill");
    let said = admin(&server, &["reparse"]).await;
    assert!(said.contains("2 the same"), "and nothing is read in another way: {said}");

    // What is deleted is gone with all that holds it.
    admin(&server, &["delete", "--match", "{service_name=\"shop\"}", "--from", "0", "--yes"]).await;
    let answer = server.get(&format!("/api/v1/profiles/{posted}/payload")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "hidden at once");
    server.stop();
}

/// The store as a server with an older decoder would have left it: of each upload it understood only
/// the first stack.
async fn stored_by_an_older_decoder(data: &Path, request: &str, body: &[u8]) -> String {
    let rule = PayloadRule {
        service: "shop".to_owned(),
        keep: std::time::Duration::from_hours(24),
        bytes_max: 1 << 20,
        ..PayloadRule::default()
    };
    let options = Options { payload_rules: vec![rule], ..Options::default() };
    let clock = Arc::new(SystemClock::new());
    let store = Store::open(data, options, clock, Rng::from_entropy()).await.expect("opens");
    let mut profile = cpu_profile("main;parse 100\n");
    profile.labels.set("service_name", "shop");
    let now = stdx::Clock::now(&SystemClock::new());
    profile.window = TimeRange::new(now.plus_nanos(-10_000_000_000), now);
    let payload = NewPayload {
        request: request.to_owned(),
        body: body.to_vec().into(),
        received_at: Timestamp::from_nanos(now.nanos()),
    };
    let kept = store
        .append_with(ingest::auth::DEFAULT_TENANT, vec![profile], payload)
        .await
        .expect("appends");
    store.flush().await.expect("flushes");
    kept[0].id.to_string()
}

#[tokio::test]
async fn reading_again_replaces_what_an_older_decoder_left() {
    let (dir, data) = (folder(), folder());
    let config = settings(dir.path(), SETTINGS);
    let body = cpu_pprof(FULL);
    let request = "{\"version\":1,\"receiver\":\"upload\",\"asked_ns\":1700000000000000000,\
                   \"parameters\":[[\"service_name\",\"shop\"]]}";
    let id = stored_by_an_older_decoder(data.path(), request, &body).await;
    let damaged = stored_by_an_older_decoder(data.path(), request, b"no profile\0").await;
    let server = Server::start(data.path(), &["--config", &config]);
    let path = format!("/api/v1/profiles/{id}");
    let top = format!("/api/v1/top?{}&type={CPU}", of_service("shop"));
    let sum = async || {
        let rows = server.get(&top).await.ok();
        let rows = rows["functions"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["self"].as_i64().expect("a value")).sum::<i64>()
    };
    assert_eq!(server.get(&path).await.ok()["samples"], 1);
    let before = sum().await;

    let said = admin(&server, &["reparse", "--dry-run", "--service", "shop"]).await;
    assert!(said.contains("1 -> 1 profiles, 1 -> 3 samples"), "{said}");
    assert!(said.contains("1 uploads would be replaced"), "{said}");
    assert_eq!(server.get(&path).await.ok()["samples"], 1, "nothing was changed");
    let said = admin(&server, &["reparse", "--service", "nobody"]).await;
    assert!(said.contains("0 uploads replaced"), "{said}");
    let said = admin(&server, &["reparse", "--from", "now-1h"]).await;
    assert!(said.contains("1 uploads replaced (1 -> 1 profiles, 1 -> 3 samples)"), "{said}");
    assert!(said.contains("1 failed") || said.contains("1 empty"), "{said}");

    let detail = server.get(&path).await.ok();
    assert_eq!(detail["samples"], 3, "under the same id: {detail}");
    assert_eq!(detail["payload"]["bytes"], body.len());
    assert_eq!(sum().await, before + 900, "each counts once");
    let stays = server.get(&format!("/api/v1/profiles/{damaged}")).await.ok();
    assert_eq!(stays["samples"], 1, "what reads as nothing stays");
    let said = admin(&server, &["reparse"]).await;
    assert!(said.contains("0 uploads replaced") && said.contains("1 the same"), "{said}");
    let report = admin(&server, &["fsck"]).await;
    assert!(report.contains("\"problems\": []"), "{report}");
    server.stop();
}

#[tokio::test]
async fn viewers_do_not_see_uploads_and_only_admins_read_them_again() {
    let (dir, data) = (folder(), folder());
    let token = |role: &str| {
        let hash = ingest::auth::hash_token(role);
        let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("[[auth.tokens]]\nname='{role}'\nrole='{role}'\ntoken_sha256='{hex}'\n")
    };
    let text = ["viewer", "operator", "admin"].map(token).concat();
    let text = format!("{SETTINGS}{text}");
    let config = settings(dir.path(), &text);
    let server = Server::start(data.path(), &["--config", &config]);
    let as_ = |role: &str| format!("Bearer {role}");
    let operator = as_("operator");
    let headers = [("authorization", operator.as_str())];
    let path = "/api/v1/profiles?service_name=shop";
    let receipt = server.send(Method::POST, path, &headers, cpu_pprof(FULL)).await.ok();
    let path = format!("/api/v1/profiles/{}/payload", id_of(&receipt));
    for (role, may_read, may_reparse) in
        [("viewer", false, false), ("operator", true, false), ("admin", true, true)]
    {
        let token = as_(role);
        let headers = [("authorization", token.as_str())];
        let read = server.send(Method::GET, &path, &headers, "").await.status;
        assert_eq!(read == StatusCode::OK, may_read, "{role}: {read}");
        let reparse = "/api/v1/admin/reparse";
        let reparse = server.send(Method::POST, reparse, &headers, "").await.status;
        assert_eq!(reparse == StatusCode::OK, may_reparse, "{role}: {reparse}");
    }
    server.stop();
}

#[tokio::test]
async fn otlp_is_kept_over_http_and_grpc() {
    let (dir, data) = (folder(), folder());
    let config = settings(dir.path(), SETTINGS);
    let server = Server::start(data.path(), &["--config", &config]);
    let packed = formats::compress::gzip(&export(Some("shop-http")));
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let path = "/v1development/profiles";
    let answer = server.send(Method::POST, path, &headers, packed.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let grpc = format!("http://{}", server.address("OTLP over gRPC"));
    let client = ProfilesClient::connect_lazy(&grpc, None).expect("a good address");
    client.export(export(Some("shop-grpc")).into()).await.expect("taken");
    for (service, wanted) in [("shop-http", packed), ("shop-grpc", export(Some("shop-grpc")))] {
        let list = format!("/api/v1/profiles?match=%7Bservice_name%3D%22{service}%22%7D&from=0");
        let list = server.get(&list).await.ok();
        let id = list["profiles"][0]["id"].as_str().expect("one");
        let answer = server.get(&format!("/api/v1/profiles/{id}/payload")).await;
        assert!(answer.body == wanted || service == "shop-grpc", "{service}: byte for byte");
        assert!(!answer.body.is_empty(), "{service}");
    }
    let said = admin(&server, &["reparse"]).await;
    assert!(said.contains("2 the same"), "{said}");
    server.stop();
}
