//! Large things through the real port: each answered, or refused with the name of the limit.

use crate::harness::{CPU, Server, cpu_profile, folder};
use http::{Method, StatusCode};
use profile::{Attribute, AttributeValue, Profile};
use std::fmt::Write;

/// Resident memory after the largest of these, in KiB; most of it is one upload being decoded.
const RESIDENT_KIB_MAX: i64 = 1 << 20;
/// Values of one label; with their samples about 60 MB as plain pprof.
const VALUES: usize = 380_000;
const WINDOW: &str = "from=now-10s&until=now";

fn of(service: &str) -> String {
    let all = "from=now-1h&to=now%2B1h";
    format!("type={CPU}&match=%7Bservice_name%3D%22{service}%22%7D&{all}")
}

#[tokio::test]
async fn a_stack_ten_thousand_frames_deep_keeps_the_frames_nearest_the_leaf_and_says_so() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut deep = (0..10_000).fold(String::new(), |mut text, at| {
        write!(text, "f{at};").unwrap();
        text
    });
    deep.push_str("leaf 7\n");
    let body = formats::pprof::encode_gzip(&cpu_profile(&deep));
    let receipt = server.upload(&format!("service_name=deep&{WINDOW}"), body).await.ok();
    let issues = receipt["issues"].to_string();
    assert!(issues.contains("1024"), "the limit is named: {issues}");
    let flame = server.get(&format!("/api/v1/flamegraph?max_nodes=20000&{}", of("deep"))).await;
    let flame = flame.ok();
    assert_eq!(flame["meta"]["total"], 7);
    let deepest =
        flame["depth"].as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).max();
    assert!((1024..1030).contains(&deepest.unwrap()), "{deepest:?}");
    assert!(flame["names"].as_array().unwrap().iter().any(|name| name == "leaf"));
    // Everything that walks stacks, whole ones and parts.
    for path in [
        "top?by=name",
        "sandwich?about=f9990",
        "flamegraph?invert=true",
        "flamegraph?focus=f9990",
        "callers?about=leaf",
        "series?",
    ] {
        let answer = server.get(&format!("/api/v1/{path}&{}", of("deep"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
    }
}

/// A profile of which each sample has a value of its own of one label, as plain pprof.
fn many_values(count: usize) -> Profile {
    let mut profile = cpu_profile("main;work 1\n");
    let sample = profile.samples.remove(0);
    let key = profile.tables.strings.intern("request");
    for at in 0..count {
        let text = profile.tables.strings.intern(&format!("request-{at:0120}-of-a-client"));
        let row = Attribute { key, value: AttributeValue::Text(text) };
        let attributes = Some(profile.tables.attributes.intern(vec![row]));
        profile.samples.push(profile::Sample { attributes, ..sample });
    }
    profile
}

#[tokio::test]
async fn sixty_megabytes_of_hundreds_of_thousands_of_label_values_are_refused_whole_and_taken_packed()
 {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let plain = formats::pprof::encode(&many_values(VALUES));
    assert!(plain.len() > 55_000_000, "{} bytes", plain.len());
    let path = format!("service_name=large&{WINDOW}");
    let refused =
        server.send(Method::POST, &format!("/api/v1/profiles?{path}"), &[], plain.clone()).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let problem = refused.json();
    assert_eq!(problem["type"], "/problems/too-large");
    assert!(problem["detail"].to_string().contains("32"), "the limit is named: {problem}");
    let taken = server.upload(&path, formats::compress::gzip(&plain)).await.ok();
    assert_eq!(taken["profiles"][0]["samples"], VALUES);
    let groups =
        server.get(&format!("/api/v1/top?by=attribute:request&{}", of("large"))).await.ok();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 100);
    assert_eq!(groups["left_out"], VALUES - 100);
    let resident = server.resident_kib();
    println!("resident: {resident} KiB");
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
}

#[tokio::test]
async fn a_label_of_more_values_than_are_listed_keeps_the_commonest_and_says_how_many_are_left_out()
{
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let most = api::limits::FACET_VALUES_MAX + 20;
    for at in 0..most {
        let query = format!("service_name=many&label=pod%3Dp{at}&{WINDOW}");
        let body = b"main;work 1\n".to_vec();
        let answer = server.upload(&query, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }
    let scope = "from=now-1h&to=now%2B1h";
    let facets = server.get(&format!("/api/v1/facets?values=5000&{scope}")).await.ok();
    let label = |name: &str| {
        let labels = facets["labels"].as_array().unwrap();
        labels.iter().find(|label| label["name"] == name).unwrap().clone()
    };
    assert_eq!(label("service_name")["distinct"], 1);
    let values = label("pod");
    assert_eq!(values["distinct"].as_u64().unwrap() as usize, most);
    assert_eq!(values["values"].as_array().unwrap().len(), api::limits::FACET_VALUES_MAX);
}
