//! Principals: every route denies by default.

use crate::harness::{Server, cpu_pprof, folder, vesta};
use bytes::Bytes;
use http::{Method, StatusCode};
use ingest::auth::hash_token;
use ingest::{Need, Role};
use std::fmt::Write;
use std::path::Path;

/// A settings file with one token a role; its text is the role's name.
fn settings(folder: &Path) -> String {
    let mut text = String::new();
    for role in Role::ALL.map(Role::name) {
        let hash = hash_token(role).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        writeln!(
            text,
            "[[auth.tokens]]\nname = '{role}'\nrole = '{role}'\ntenant = 'team'\n\
             tenants = ['second']\ntoken_sha256 = '{hash}'"
        )
        .unwrap();
    }
    let path = folder.join("vesta.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_route_denies_without_a_token_and_with_the_wrong_role() {
    let data = folder();
    let config = settings(data.path());
    let server = Server::start(data.path(), &["--config", &config]);
    let rules = api::rules();
    assert!(rules.len() >= 20, "the table of routes is complete");
    for rule in rules {
        let method: Method = rule.method.parse().unwrap();
        let path = rule.path.replace("{id}", "x").replace("{name}", "x").replace("{*path}", "x");
        let ask = async |token: Option<&str>| {
            let bearer = format!("Bearer {}", token.unwrap_or_default());
            let headers = [("authorization", bearer.as_str())];
            let headers = if token.is_some() { &headers[..] } else { &[] };
            server.send(method.clone(), &path, headers, Bytes::new()).await.status
        };
        let is_denied = |status| matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let public = rule.need == Need::Public;
        for token in [None, Some("wrong"), Some("")] {
            let status = ask(token).await;
            assert_eq!(status == StatusCode::UNAUTHORIZED, !public, "{rule:?} {token:?}: {status}");
        }
        for role in Role::ALL {
            let status = ask(Some(role.name())).await;
            let expected = !role.covers(rule.need);
            assert_eq!(is_denied(status), expected, "{rule:?} as {role:?}: {status}");
        }
    }
}

#[tokio::test]
async fn the_table_of_routes_and_the_description_name_the_same() {
    let description: serde_json::Value = serde_json::from_str(&api::openapi_json()).unwrap();
    let mut described = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        described.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let is_theirs = |path: &str| path.starts_with("/api/v1/status/");
    let own = |path: &str| {
        path.starts_with("/api/v1/") && !path.ends_with("openapi.json") && !is_theirs(path)
    };
    let rules = api::rules().into_iter().filter(|rule| own(rule.path));
    let mut rules: Vec<_> = rules.map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    described.sort();
    rules.sort();
    assert_eq!(described, rules);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let data = folder();
    let config = settings(data.path());
    let server = Server::start(data.path(), &["--config", &config]);
    let body = cpu_pprof("main;work 5\n");
    let path = "/api/v1/profiles?service_name=secret&from=now-5s&until=now";
    let headers = [("authorization", "Bearer ingest"), ("x-scope-orgid", "second")];
    let stored = server.send(Method::POST, path, &headers, body).await.ok();
    let id = stored["profiles"][0]["id"].as_str().unwrap().to_owned();
    let see = async |tenant: &str| {
        let headers = [("authorization", "Bearer viewer"), ("x-scope-orgid", tenant)];
        let one = format!("/api/v1/profiles/{id}");
        let one = server.send(Method::GET, &one, &headers, Bytes::new()).await.status;
        let list = server.send(Method::GET, "/api/v1/services", &headers, Bytes::new()).await;
        // The profile has no lines: whoever sees it is told so.
        let build = server.send(Method::GET, "/api/v1/pgo/secret", &headers, Bytes::new()).await;
        assert_eq!(build.status == StatusCode::UNPROCESSABLE_ENTITY, one == StatusCode::OK);
        (one, list.body.windows(6).any(|part| part == b"secret"))
    };
    assert_eq!(see("second").await, (StatusCode::OK, true));
    assert_eq!(see("team").await, (StatusCode::NOT_FOUND, false));
    assert_eq!(see("third").await, (StatusCode::FORBIDDEN, false));
    let grpc = format!("http://{}", server.address("OTLP over gRPC"));
    let client = rpc::otlp::ProfilesClient::connect_lazy(&grpc, Some("viewer")).unwrap();
    assert!(client.export(Bytes::new()).await.is_err(), "a viewer may not upload");
    let client = rpc::otlp::ProfilesClient::connect_lazy(&grpc, Some("ingest")).unwrap();
    client.export(Bytes::new()).await.expect("an ingest token may");
}

#[tokio::test]
async fn loopback_without_tokens_refuses_foreign_pages() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let own = server.url.clone();
    let cases: &[(&[(&str, &str)], StatusCode)] = &[
        (&[], StatusCode::OK),
        (&[("origin", &own)], StatusCode::OK),
        (&[("x-scope-orgid", "anonymous")], StatusCode::OK),
        (&[("x-scope-orgid", "other")], StatusCode::FORBIDDEN),
        (&[("host", "rebound.example:4040")], StatusCode::FORBIDDEN),
        (&[("origin", "http://evil.example")], StatusCode::FORBIDDEN),
        (&[("origin", "null")], StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], StatusCode::FORBIDDEN),
    ];
    for (headers, status) in cases {
        let answer = server.send(Method::GET, "/api/v1/me", headers, Bytes::new()).await;
        assert_eq!(answer.status, *status, "{headers:?}");
        let upload = "/api/v1/profiles?service_name=x";
        let answer = server.send(Method::POST, upload, headers, cpu_pprof("a 1\n")).await;
        assert_eq!(answer.status, *status, "upload {headers:?}");
    }
}

#[tokio::test]
async fn every_port_refuses_foreign_pages_and_names() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let otlp = format!("http://{}/v1development/profiles", server.address("OTLP over HTTP"));
    let grpc = format!("http://{}{}", server.address("OTLP over gRPC"), rpc::otlp::EXPORT_PATH);
    let main = format!("{}/v1development/profiles", server.url);
    for url in [&main, &otlp, &grpc] {
        let kind = ("content-type", "application/x-protobuf");
        for (foreign, status) in [
            (("accept", "*/*"), StatusCode::OK),
            (("host", "rebound.example"), StatusCode::FORBIDDEN),
            (("origin", "http://evil.example"), StatusCode::FORBIDDEN),
        ] {
            let answer = server.send(Method::POST, url, &[kind, foreign], Bytes::new()).await;
            assert_eq!(answer.status, status, "{url} {foreign:?}");
        }
    }
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    let counted = format!("vesta_http_requests_total{{route=\"{}\"", rpc::otlp::EXPORT_PATH);
    assert!(metrics.contains(&counted), "requests over gRPC are counted, too: {metrics}");
}

#[test]
fn doors_to_the_network_stay_shut_without_tokens() {
    let data = folder();
    let mut serve = vesta();
    serve.args(["serve", "--listen", "0.0.0.0:0"]).arg("--data-dir").arg(data.path());
    let ended = serve.output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("[[auth.tokens]]") && said.contains("sha256sum"), "{said}");
}
