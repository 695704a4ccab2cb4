//! Profiles of a stripped program become readable when its debug information is uploaded.

use crate::harness::{CPU, Server, folder, of_service, vesta};
use http::{Method, StatusCode};
use profile::{Location, Mapping, Profile, Sample, SampleKind, StackTable};
use std::path::PathBuf;

const BUILD_ID: &str = "5eedec1154a73df1c5341b3aa8a8b30c0e22ec66";

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/symbols").join(name)
}

/// Stacks of a process that runs the stripped program: addresses, leaf last, as a kernel maps it.
fn stripped_profile(stacks: &[(&[u64], i64)]) -> Vec<u8> {
    let mut profile =
        Profile { kinds: vec![SampleKind::from_id("stack").unwrap()], ..Profile::default() };
    let tables = &mut profile.tables;
    let (file, build_id) =
        (tables.strings.intern("/usr/bin/inlined"), tables.strings.intern(BUILD_ID));
    let start = 0x5555_5555_5000;
    let mapping = Mapping { start, limit: start + 0x1000, offset: 0x1000, file, build_id };
    let mapping = Some(tables.mappings.intern(mapping));
    for (addresses, value) in stacks {
        let mut stack = StackTable::ROOT;
        for address in *addresses {
            let address = start + address - 0x1000;
            let location = Location { mapping, address, ..Location::default() };
            let location = tables.locations.intern(location);
            stack = tables.stacks.intern(stack, location);
        }
        let values = [*value, 0, 0, 0];
        profile.samples.push(Sample { stack, values, ..Sample::default() });
    }
    formats::pprof::encode_gzip(&profile)
}

/// Functions of the service with self and total, and the frames of its flame graph.
async fn functions(server: &Server, headers: &[(&str, &str)]) -> Vec<(String, i64, i64)> {
    let path = format!("/api/v1/top?type={CPU}&{}", of_service("shop"));
    let answer = server.send(Method::GET, &path, headers, "").await.ok();
    let rows = answer["functions"].as_array().unwrap().iter();
    let number = |value: &serde_json::Value| value.as_i64().unwrap();
    rows.map(|row| {
        (row["name"].as_str().unwrap().to_owned(), number(&row["self"]), number(&row["total"]))
    })
    .collect()
}

fn row(name: &str, own: i64, total: i64) -> (String, i64, i64) {
    (name.to_owned(), own, total)
}

/// What the profile below is once its addresses have names.
fn named() -> Vec<(String, i64, i64)> {
    vec![
        row("mix", 30, 30),
        row("hidden_leaf", 20, 50),
        row("atoi", 7, 7),
        row("main", 0, 57),
        row("hidden_caller", 0, 50),
        row("rounds", 0, 30),
    ]
}

const STACKS: &[(&[u64], i64)] =
    &[(&[0x1070], 7), (&[0x1065, 0x1200, 0x11d0], 30), (&[0x1065, 0x1200, 0x1190], 20)];

#[tokio::test]
async fn uploaded_debug_information_makes_stored_profiles_readable() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    server.upload("service_name=shop", stripped_profile(STACKS)).await.ok();
    let before = functions(&server, &[]).await;
    assert!(before.iter().all(|(name, ..)| name.starts_with("0x5555")), "{before:?}");
    let missing = server.get("/api/v1/symbols/missing?from=now-1h&to=now%2B1h").await.ok();
    let binary = &missing["binaries"][0];
    assert_eq!(binary["build_id"], BUILD_ID);
    assert_eq!((&binary["self"], &binary["addresses"]), (&57.into(), &5.into()));
    assert_eq!((&binary["percent"], &binary["has_symbols"]), (&100.0.into(), &false.into()));

    let run = |more: &[&str]| {
        let command = ["admin", "--server", &server.url, "symbols"];
        let output = vesta().args(command).args(more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (is_fine, said) = run(&["missing", "--to", "now+1h"]);
    assert!(is_fine && said.contains("100.00") && said.contains(BUILD_ID), "{said}");
    let stripped = fixture("inlined.stripped");
    let (is_fine, said) = run(&["upload", stripped.to_str().unwrap()]);
    assert!(!is_fine && said.contains("before it was stripped"), "{said}");
    let debug = fixture("inlined.debug");
    let (is_fine, said) = run(&["upload", debug.to_str().unwrap()]);
    assert!(is_fine && said.contains("from dwarf, symbols") && said.contains(BUILD_ID), "{said}");
    assert_eq!(functions(&server, &[]).await, named());
    let missing = server.get("/api/v1/symbols/missing?from=now-1h&to=now%2B1h").await.ok();
    assert_eq!(missing["binaries"], serde_json::json!([]));
    // Uploaded a second time, it takes the place of the first.
    run(&["upload", debug.to_str().unwrap()]);
    assert_eq!(server.get("/api/v1/symbols").await.ok().as_array().unwrap().len(), 1);

    // Acknowledged is durable; files that nothing names are removed.
    server.kill_now();
    drop(server);
    std::fs::write(data.path().join("names/01ARZ3NDEKTSV4RRFFQ69G5FAV.names"), "x").unwrap();
    let server = Server::start(data.path(), &[]);
    assert_eq!(functions(&server, &[]).await, named());
    assert_eq!(std::fs::read_dir(data.path().join("names")).unwrap().count(), 1);
    let path = format!("/api/v1/admin/symbols?build_id={BUILD_ID}");
    let removed = server.send(Method::DELETE, &path, &[], "").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(functions(&server, &[]).await, before, "nothing stored was changed");
    let again = server.send(Method::DELETE, &path, &[], "").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    server.stop();
}

#[tokio::test]
async fn a_backup_carries_symbols() {
    let (data, other) = (folder(), folder());
    let server = Server::start(data.path(), &[]);
    server.upload("service_name=shop", stripped_profile(STACKS)).await.ok();
    let debug = std::fs::read(fixture("inlined.debug")).unwrap();
    server.send(Method::POST, "/api/v1/admin/symbols?name=a", &[], debug).await.ok();
    let archive = data.path().join("backup.tar");
    let export = ["admin", "--server", &server.url, "export"];
    assert!(vesta().args(export).arg(&archive).status().unwrap().success());
    server.stop();
    let mut import = vesta();
    import.args(["admin", "import"]).arg(&archive).arg("--data-dir").arg(other.path());
    assert!(import.status().unwrap().success());
    let server = Server::start(other.path(), &[]);
    assert_eq!(functions(&server, &[]).await, named());
    let checked = server.get("/api/v1/admin/fsck").await.ok();
    assert_eq!(checked["problems"], serde_json::json!([]));
    let names = std::fs::read_dir(other.path().join("names")).unwrap().next().unwrap().unwrap();
    std::fs::write(names.path(), "short").unwrap();
    let checked = server.get("/api/v1/admin/fsck").await.ok();
    assert!(checked["problems"][0].as_str().unwrap().contains("5 bytes"), "{checked}");
    server.stop();
}

/// A token's line of the settings file and its header.
fn token(name: &str, role: &str, tenant: &str) -> (String, String) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut sum = Command::new("sha256sum");
    let mut sum = sum.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(name.as_bytes()).unwrap();
    let sum = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    let hash = sum.split_whitespace().next().unwrap();
    let text = format!(
        "[[auth.tokens]]\nname = '{name}'\nrole = '{role}'\ntenant = '{tenant}'\n\
         token_sha256 = '{hash}'\n"
    );
    (text, format!("Bearer {name}"))
}

#[tokio::test]
async fn symbols_are_an_administrators_and_a_tenants_own() {
    let data = folder();
    let (a, a_token) = token("a", "admin", "one");
    let (b, b_token) = token("b", "admin", "two");
    let (c, c_token) = token("c", "operator", "two");
    let settings = data.path().join("vesta.toml");
    std::fs::write(&settings, format!("{a}{b}{c}")).unwrap();
    let server = Server::start(data.path(), &["--config", settings.to_str().unwrap()]);
    let debug = std::fs::read(fixture("inlined.debug")).unwrap();
    let path = "/api/v1/admin/symbols?name=a";
    for token in [&a_token, &b_token] {
        let upload = [("authorization", token.as_str())];
        let body = stripped_profile(STACKS);
        server.send(Method::POST, "/api/v1/profiles?service_name=shop", &upload, body).await.ok();
    }
    let refused =
        server.send(Method::POST, path, &[("authorization", &c_token)], debug.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    server.send(Method::POST, path, &[("authorization", &a_token)], debug).await.ok();
    assert_eq!(functions(&server, &[("authorization", &a_token)]).await, named());
    let others = functions(&server, &[("authorization", &b_token)]).await;
    assert!(others.iter().all(|(name, ..)| name.starts_with("0x")), "{others:?}");
    let broken = server.send(Method::POST, path, &[("authorization", &a_token)], "no file").await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(broken.json()["detail"].as_str().unwrap().contains("not an ELF file"));
    server.stop();
}

/// Serves one file at one path, and nothing else; gives the port.
fn debuginfod(path: String, file: Vec<u8>) -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let is_it = first.split(' ').nth(1) == Some(&path);
            let (status, body) = if is_it { ("200 OK", &file[..]) } else { ("404 no", &b""[..]) };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            // The other side may have what it wants already.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    port
}

#[tokio::test]
async fn debuginfod_servers_are_asked_where_they_are_configured() {
    let data = folder();
    let debug = std::fs::read(fixture("inlined.debug")).unwrap();
    let port = debuginfod(format!("/buildid/{BUILD_ID}/debuginfo"), debug);
    let settings = data.path().join("vesta.toml");
    let text = format!("[debuginfod]\nurls = ['http://127.0.0.1:{port}']\ninterval_seconds = 1\n");
    std::fs::write(&settings, text).unwrap();
    let server = Server::start(data.path(), &["--config", settings.to_str().unwrap()]);
    let query = "service_name=shop&from=now-10s&until=now";
    server.upload(query, stripped_profile(STACKS)).await.ok();
    server.wait_for_log("symbols uploaded").await;
    assert_eq!(functions(&server, &[]).await, named());
    server.stop();
}
