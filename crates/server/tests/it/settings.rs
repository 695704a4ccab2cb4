//! Settings, ports, the page and the command line.

use crate::harness::{Server, cpu_pprof, folder, vesta};
use bytes::Bytes;
use http::{Method, StatusCode};
use std::net::TcpListener;
use std::process::Output;

fn run(args: &[&str]) -> Output {
    vesta().args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn retention_comes_from_flag_variable_and_file_in_this_order() {
    let data = folder();
    let file = data.path().join("vesta.toml");
    std::fs::write(&file, "retention_days = 30\ndisk_budget = '1GiB'\n").unwrap();
    let file = file.to_str().unwrap();
    let print = |args: &[&str], variable: Option<&str>| {
        let mut command = vesta();
        command.args(["config", "print", "--config", file]).args(args);
        command.envs(variable.map(|days| ("VESTA_RETENTION_DAYS", days)));
        text(&command.output().unwrap().stdout)
    };
    assert!(print(&[], None).contains("retention_days = 30.0"));
    assert!(print(&[], Some("14")).contains("retention_days = 14.0"));
    assert!(print(&["--retention-days", "3"], Some("14")).contains("retention_days = 3.0"));
    let server = Server::start(data.path(), &["--retention-days", "3"]);
    let config = server.get("/api/v1/config").await.ok();
    assert_eq!(config["retention_days"], 3.0);
    assert_eq!(config["auth"], "local");
    assert!(config["note"].as_str().unwrap().contains("whoever is on this machine"));
    let bad = run(&["config", "check", "--retention-days", "-1"]);
    assert!(!bad.status.success());
}

#[tokio::test]
async fn a_taken_main_port_is_fatal_and_others_are_not() {
    let data = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let second = folder();
    let second = second.path().to_str().unwrap();
    let ended = run(&["serve", "--listen", &address, "--data-dir", second]);
    assert!(!ended.status.success());
    assert!(text(&ended.stderr).contains("--listen"), "{}", text(&ended.stderr));
    let others = ["--otlp-grpc-listen", &address, "--otlp-http-listen", "off"];
    let server = Server::start(data.path(), &others);
    assert!(server.log().contains("OTLP over gRPC is not served"), "{}", server.log());
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    for path in ["/", "/services", "/profile/anything?x=1"] {
        let html = [("accept", "text/html,application/xhtml+xml")];
        let page = server.send(Method::GET, path, &html, Bytes::new()).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
    }
    let gone = server.get("/assets/gone.js").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let packed = [("accept-encoding", "gzip")];
    let answer = server.send(Method::GET, "/api/v1/openapi.json", &packed, Bytes::new()).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn import_and_query_work_from_the_command_line() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let file = data.path().join("cpu.pb.gz");
    std::fs::write(&file, cpu_pprof("main;<b>;leaf 2000000000\nmain 1000000000\n")).unwrap();
    let (file, url) = (file.to_str().unwrap().to_owned(), server.url.clone());
    let imported = ["import", &file, "--service", "cli", "--from", "now", "--server", &url];
    let imported = run(&imported);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let said = text(&imported.stdout);
    assert!(said.contains("2 samples"), "{said}");
    // The command that is offered shows what was stored, whenever that was.
    let (_, see) = said.split_once("see it: vesta ").expect("what to do next");
    let see: Vec<String> = see.split_whitespace().map(|word| word.replace('\'', "")).collect();
    let seen = vesta().args(&see).output().unwrap();
    assert!(text(&seen.stdout).contains("leaf"), "{see:?}: {}", text(&seen.stderr));
    let query = |args: &[&str]| {
        let scope = ["--service", "cli", "--to", "now+1h", "--server", &url];
        let asked = run(&[&["query"], args, &scope].concat());
        assert!(asked.status.success(), "{args:?}: {}", text(&asked.stderr));
        text(&asked.stdout)
    };
    assert_eq!(query(&["flame", "--folded"]), "main 1000000000\nmain;<b>;leaf 2000000000\n");
    assert!(query(&["flame"]).contains("100.00 %"));
    assert!(query(&["flame", "--svg"]).contains("&lt;b&gt;"));
    assert!(query(&["top"]).contains("leaf"));
    assert!(query(&["series"]).contains('█'));
    assert!(query(&["labels"]).contains("service_name"));
    assert!(query(&["labels", "service_name"]).contains("cli"));
    assert!(
        query(&["types", "--json"]).contains("\"process_cpu:cpu:nanoseconds:cpu:nanoseconds\"")
    );
    let nobody = run(&["query", "types", "--server", "http://127.0.0.1:1"]);
    assert!(!nobody.status.success() && text(&nobody.stderr).contains("vesta serve"));
}

#[tokio::test]
async fn mistakes_at_the_command_line_are_named_with_what_to_do() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let otlp = format!("http://{}", server.address("OTLP over HTTP"));
    let secure = server.url.replace("http:", "https:");
    let folder = data.path().to_str().unwrap();
    for (args, advice) in [
        (vec!["query", "top", "--server", &server.url, "--service", "nope"], "labels service_name"),
        (vec!["query", "top", "--server", &otlp], "main port"),
        (vec!["query", "top", "--server", &secure], "http://"),
        (vec!["import", "--server", &server.url, folder], "name the files"),
        (vec!["import", "--server", &server.url, "/dev/zero"], "MiB"),
        (vec!["record"], "vesta record --"),
        (vec!["record", "--duration", "nan", "--", "true"], "seconds from"),
        (vec!["record", "--duration", "-1", "--", "true"], "seconds from"),
        (vec!["record", "--frequency", "0", "--", "true"], "1..=4000"),
        (vec!["record", "--output", "x.weird", "--", "true"], "--format"),
        (vec!["record", "--output", "/no/such/x.svg", "--", "true"], "--output"),
        (vec!["record", "--send", "http://127.0.0.1:1", "--", "true"], "vesta serve"),
        (vec!["record", "--send", &otlp, "--", "true"], "main port"),
        (vec!["serve", "--help"], "[[auth.tokens]]"),
    ] {
        let ended = run(&args);
        let said = text(&ended.stderr) + &text(&ended.stdout);
        assert!(said.contains(advice), "{args:?}: {said}");
        assert!(!said.contains("profiling true"), "nothing runs before the mistake is found");
    }
}

#[test]
fn the_description_that_is_committed_is_the_one_that_is_made() {
    let made = text(&run(&["openapi"]).stdout);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/api.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(made == committed, "openapi/api.json is out of date: run `cargo xtask openapi`");
}
