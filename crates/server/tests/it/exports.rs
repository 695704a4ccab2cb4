//! What goes out for other programs: graphs as files, and profiles for Go's compiler.

use crate::harness::{CPU, Server, cpu_pprof, folder, of_service};
use bytes::Bytes;
use http::{Method, StatusCode};
use profile::{KindIndex, Profile};
use std::collections::BTreeMap;

/// CPU profile of a Go program, as its runtime wrote it.
const GO_CPU: &[u8] = include_bytes!("../../../../fixtures/go-pprof/cpu.pb.gz");
/// How much CPU time is in it.
const GO_CPU_NANOS: i64 = 510_000_000;

fn read(bytes: &[u8]) -> formats::DecodedProfile {
    let mut decoded = formats::decode(bytes, &formats::Options::default());
    assert_eq!((decoded.issues.as_slice(), decoded.profiles.len()), (&[][..], 1));
    decoded.profiles.remove(0)
}

fn total(one: &formats::DecodedProfile, sample_type: &str) -> i64 {
    let mapped = one.type_map.iter().find(|mapped| mapped.sample_type == sample_type).unwrap();
    one.profile.totals(mapped.kind)[mapped.measure]
}

/// CPU time by stack, with what is known of each frame: function, its first line, the line.
fn by_lines(profile: &Profile) -> BTreeMap<Vec<(String, u32, u32)>, i64> {
    let tables = &profile.tables;
    let mut sums = BTreeMap::new();
    for (stack, value) in profile.by_stack(KindIndex(0), 0) {
        let locations = tables.stacks.leaf_first(stack);
        let lines = locations.flat_map(|id| &tables.locations.get(id).unwrap().lines);
        let frame = |line: &profile::Line| {
            let function = tables.functions.get(line.function).unwrap();
            (tables.text(function.name).to_owned(), function.start_line, line.line)
        };
        *sums.entry(lines.map(frame).collect()).or_default() += value;
    }
    sums
}

#[tokio::test]
async fn a_graph_goes_out_in_every_form_with_the_same_sum() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    server.upload("service_name=go&from=now-10s&until=now", GO_CPU.to_vec()).await.ok();
    let ask = async |format: &str, more: &str| {
        let path =
            format!("/api/v1/flamegraph?type={CPU}&{}&format={format}{more}", of_service("go"));
        server.get(&path).await
    };
    for (format, sample_type, ending) in [
        ("pprof", "cpu", "pb.gz"),
        ("speedscope", "wall", "speedscope.json"),
        ("folded", "samples", "folded.txt"),
    ] {
        let answer = ask(format, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{format}: {:?}", answer.body);
        let wanted = format!("attachment; filename=\"flamegraph.{ending}\"");
        assert_eq!(answer.headers["content-disposition"], wanted.as_str());
        let one = read(&answer.body);
        assert_eq!(total(&one, sample_type), GO_CPU_NANOS, "{format}");
        let names: Vec<&str> = one.profile.tables.strings.iter().collect();
        assert!(names.contains(&"main.checkout"), "{format}: {names:?}");
    }
    assert_eq!(ask("json", "").await.ok()["total"][0], GO_CPU_NANOS);
    let arrow = ask("arrow", "").await;
    assert_eq!(arrow.headers["content-type"], "application/vnd.apache.arrow.stream");
    let svg = ask("svg", "").await;
    assert_eq!(svg.headers["content-type"], "image/svg+xml");
    assert!(svg.body.starts_with(b"<svg ") && svg.body.ends_with(b"</svg>\n"));
    let csv = ask("csv", "").await;
    let csv = String::from_utf8(csv.body.to_vec()).unwrap();
    let own = csv.lines().skip(1).map(|row| row.rsplit(',').nth(1).unwrap().parse::<i64>());
    assert_eq!(own.sum::<Result<i64, _>>(), Ok(GO_CPU_NANOS));

    let narrow = read(&ask("pprof", "&function=main.search").await.body);
    assert!((1..GO_CPU_NANOS).contains(&total(&narrow, "cpu")), "{narrow:?}");
    let top = |more: &str| format!("/api/v1/top?type={CPU}&{}&format=csv{more}", of_service("go"));
    for (more, head) in [("", "name,library,file,class,self,total"), ("&by=file", "key,self,total")]
    {
        let table = server.get(&top(more)).await;
        assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
        let table = String::from_utf8(table.body.to_vec()).unwrap();
        assert_eq!(table.lines().next(), Some(head));
        let own = table.lines().skip(1).map(|row| row.rsplit(',').nth(1).unwrap().parse::<i64>());
        assert_eq!(own.sum::<Result<i64, _>>(), Ok(GO_CPU_NANOS), "{table}");
    }
    let refused = server.get(&top("x")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let refused = ask("xls", "").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json()["hint"].as_str().unwrap().contains("speedscope"));
    let refused = ask("pprof", "&max_nodes=1000001").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn go_gets_a_profile_of_many_with_every_line() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let sent = read(GO_CPU);
    let wanted = by_lines(&sent.profile);
    assert!(wanted.keys().flatten().any(|frame| frame.1 > 0 && frame.2 > frame.1));
    for (minutes, env) in [(10, "prod"), (20, "prod"), (30, "test"), (2_000, "prod")] {
        let (from, until) = (format!("now-{minutes}m"), format!("now-{}m", minutes - 1));
        let query = format!("service_name=a%2Fgo&label=env={env}&from={from}&until={until}");
        server.upload(&query, GO_CPU.to_vec()).await.ok();
    }
    let ask = async |more: &str| server.get(&format!("/api/v1/pgo/a%2Fgo{more}")).await;
    for (more, times) in [
        ("", 3),
        ("?hours=48", 4),
        ("?match=%7Benv%3D%22prod%22%7D", 2),
        ("?hours=48&match=env%3D%22prod%22&source=upload", 3),
    ] {
        let answer = ask(more).await;
        assert_eq!(answer.status, StatusCode::OK, "{more}: {:?}", answer.body);
        assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"default.pgo\"");
        let one = read(&answer.body);
        assert_eq!(total(&one, "cpu"), times * GO_CPU_NANOS, "{more}");
        assert_eq!(total(&one, "samples"), times * 51, "{more}");
        let multiplied: BTreeMap<_, _> =
            wanted.iter().map(|(stack, value)| (stack.clone(), value * times)).collect();
        assert_eq!(by_lines(&one.profile), multiplied, "{more}");
        assert_eq!(one.profile.samples.len(), wanted.len(), "each stack once");
        assert!(one.profile.samples.iter().all(|sample| sample.attributes.is_none()));
    }
    // What threads waited is no work.
    let mut waited = sent.profile.clone();
    for sample in &mut waited.samples {
        (sample.values[2], sample.values[3]) = (7, 1);
    }
    let idle = profile::Sample { values: [0, 0, 9, 1], ..waited.samples[0] };
    waited.samples.push(idle);
    let waited = formats::pprof::encode_gzip(&waited);
    server.upload("service_name=waits&from=now-9s&until=now", waited).await.ok();
    let one = read(&server.get("/api/v1/pgo/waits").await.body);
    let types: Vec<&str> = one.type_map.iter().map(|one| one.sample_type.as_str()).collect();
    assert_eq!((types, total(&one, "cpu")), (vec!["cpu", "samples"], GO_CPU_NANOS));
    for hours in ["0", "721", "-1"] {
        assert_eq!(ask(&format!("?hours={hours}")).await.status, StatusCode::BAD_REQUEST);
    }
    let nothing = server.get("/api/v1/pgo/nobody").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{:?}", nothing.body);
    assert_eq!(ask("?source=agent").await.status, StatusCode::NOT_FOUND);
    // Lines that nobody knows are of no use to a compiler.
    server.upload("service_name=folded&from=now-9s&until=now", cpu_pprof("a;b 5\n")).await.ok();
    let refused = server.get("/api/v1/pgo/folded").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.json()["hint"].as_str().unwrap().contains("runtime/pprof"));
    let other = [("x-scope-orgid", "other")];
    let denied = server.send(Method::GET, "/api/v1/pgo/a%2Fgo", &other, Bytes::new()).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
}
