//! Heat maps of spans and exemplars, as Grafana asks for them, on the real port.

use crate::datadog;
use crate::harness::{CPU, Server, cpu_profile, folder};
use crate::pyroscope::{ask, ask_proto, now_ms};
use http::StatusCode;
use profile::{Link, Profile, ProfileTypeId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wire::pyroscope as message;
use wire::pyroscope::{ExemplarType, HeatmapQueryType};

type Heat = message::SelectHeatmapResponse;

/// A question about everything of a type between two times, in one step.
fn heat(profile_type: &str, (start, end): (i64, i64)) -> message::SelectHeatmapRequest {
    message::SelectHeatmapRequest {
        profile_type_id: profile_type.to_owned(),
        start,
        end,
        step: 3_600.0,
        query_type: HeatmapQueryType::Span as i32,
        exemplar_type: ExemplarType::Span as i32,
        ..Default::default()
    }
}

fn exemplars(heat: &Heat) -> Vec<&message::Exemplar> {
    let slots = heat.series.iter().flat_map(|series| &series.slots);
    slots.flat_map(|slot| &slot.exemplars).collect()
}

/// What the flame graph of a span, or of a profile, adds up to.
async fn total_of(
    server: &Server,
    profile_type: &str,
    (start, end): (i64, i64),
    exemplar: &message::Exemplar,
) -> i64 {
    if exemplar.span_id.is_empty() {
        let question = json!({
            "profileTypeID": profile_type, "start": start, "end": end,
            "profileIdSelector": [exemplar.profile_id],
        });
        let answer = ask(server, "SelectMergeStacktraces", question).await;
        return answer["flamegraph"]["total"].as_str().unwrap().parse().unwrap();
    }
    let question = message::SelectMergeSpanProfileRequest {
        profile_type_id: profile_type.to_owned(),
        start,
        end,
        span_selector: vec![exemplar.span_id.clone()],
        ..Default::default()
    };
    let answer: message::SelectMergeSpanProfileResponse =
        ask_proto(server, "SelectMergeSpanProfile", &question).await;
    answer.flamegraph.unwrap().total
}

/// Sums by span of a decoded profile: those of the local root, where it is known.
fn sums_by_span(profile: &Profile, profile_type: &str) -> BTreeMap<u64, i64> {
    let wanted = ProfileTypeId(profile_type.to_owned());
    let mut sums = BTreeMap::new();
    for sample in &profile.samples {
        let Some(at) = profile.kinds[sample.kind.0 as usize].measure_of(&wanted) else { continue };
        let Some(link) = sample.link.and_then(|id| profile.tables.links.get(id)) else { continue };
        let root = link.root_span_id;
        *sums.entry(if root == 0 { link.span_id } else { root }).or_default() += sample.values[at];
    }
    sums
}

#[tokio::test]
async fn spans_of_ddtrace_are_dots_with_the_sums_of_their_samples() {
    let data = folder();
    let server = Server::start(data.path(), &["--retention-days", "36500"]);
    let stored = datadog::send_captured(&server).await;
    let id = stored["id"].as_str().unwrap();
    let start = stored["start_ms"].as_i64().unwrap();
    let range = (start - 60_000, start + 60_000);
    let decoded = datadog::exported(&server, id).await.profile;
    for profile_type in [CPU, "wall:wall:nanoseconds:wall:nanoseconds", "lock:acquires:count::"] {
        let sums = sums_by_span(&decoded, profile_type);
        assert!(sums.len() > 10, "{profile_type}");
        let found: Heat = ask_proto(&server, "SelectHeatmap", &heat(profile_type, range)).await;
        let slot = &found.series[0].slots[0];
        let mut counts = vec![0; slot.counts.len()];
        for sum in sums.values() {
            counts[slot.y_min.partition_point(|y| *y <= *sum as f64).max(1) - 1] += 1;
        }
        if slot.y_min[0] < slot.y_min[1] {
            assert_eq!(slot.counts, counts, "{profile_type}");
        }
        assert_eq!(slot.counts.iter().sum::<i32>(), sums.len() as i32);
        let exemplars = exemplars(&found);
        let filled = slot.counts.iter().filter(|count| **count > 0).count();
        assert_eq!(exemplars.len(), filled, "one a cell");
        let most = exemplars.iter().map(|one| one.value).max();
        assert_eq!(most, sums.values().max().copied());
        for exemplar in exemplars {
            let span = u64::from_str_radix(&exemplar.span_id, 16).unwrap();
            assert_eq!(exemplar.value, sums[&span]);
            assert_eq!(total_of(&server, profile_type, range, exemplar).await, exemplar.value);
            assert_eq!((exemplar.timestamp, exemplar.profile_id.as_str()), (start, id));
            assert!(exemplar.labels.iter().any(|pair| pair.value == "shelf"));
        }
    }
    let detail = server.get(&format!("/api/v1/profiles/{id}")).await;
    assert_eq!(detail.status, StatusCode::OK);
}

/// A profile with a request of its own id and a span below it, one of another, and a sample of none.
fn requests(own: [i64; 4], id: u64) -> Vec<u8> {
    let text = "main;a 1\nmain;b 2\nmain;c 3\nmain;d 4\n";
    let mut profile = cpu_profile(text);
    let link = |span_id, root_span_id| Some(Link { trace_id: 0xfeed, span_id, root_span_id });
    let links = [link(id, id), link(id + 1, id), link(7, 7), None];
    for ((sample, value), link) in profile.samples.iter_mut().zip(own).zip(links) {
        sample.values[0] = value;
        sample.link = link.map(|link| profile.tables.links.intern(link));
    }
    formats::pprof::encode_gzip(&profile)
}

/// Two profiles of one service, a minute apart, and the range that holds them.
async fn requested(data: &std::path::Path) -> (Server, (i64, i64)) {
    let server = Server::start(data, &[]);
    for (env, from, own, id) in
        [("prod", 150, [100, 20, 5, 1_000], 0x10), ("test", 90, [7, 1, 60, 2], 0x20)]
    {
        let until = from - 10;
        let query =
            format!("service_name=shop&label=env={env}&from=now-{from}s&until=now-{until}s");
        server.upload(&query, requests(own, id)).await.ok();
    }
    (server, (now_ms() - 3_600_000, now_ms()))
}

fn sorted(exemplars: &[&message::Exemplar]) -> Vec<(String, i64)> {
    let mut all: Vec<_> = exemplars.iter().map(|one| (one.span_id.clone(), one.value)).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn each_request_is_one_dot_whatever_spans_lie_below_it() {
    let data = folder();
    let (server, range) = requested(data.path()).await;
    let mut question = heat(CPU, range);
    question.group_by = vec!["env".to_owned()];
    question.step = 1.0;
    let found: Heat = ask_proto(&server, "SelectHeatmap", &question).await;
    assert_eq!(found.series.len(), 2);
    let mut all = exemplars(&found);
    let id = |span: u64| format!("{span:016x}");
    let wanted = [(id(7), 5), (id(7), 60), (id(0x10), 120), (id(0x20), 8)];
    assert_eq!(sorted(&all), wanted, "each in a cell of its own");
    all.retain(|one| one.span_id != id(7));
    for exemplar in all {
        assert_eq!(total_of(&server, CPU, range, exemplar).await, exemplar.value);
        assert_eq!(exemplar.trace_id, format!("{:032x}", 0xfeed));
        let path = format!("/api/v1/profiles/{}", exemplar.profile_id);
        let detail = server.get(&path).await.ok();
        assert_eq!(detail["start_ms"], exemplar.timestamp);
        let names: Vec<_> = exemplar.labels.iter().map(|pair| pair.name.as_str()).collect();
        assert!(names.contains(&"service_name") && !names.contains(&"env"), "{names:?}");
    }
    question.query_type = HeatmapQueryType::Individual as i32;
    question.exemplar_type = ExemplarType::Individual as i32;
    let found: Heat = ask_proto(&server, "SelectHeatmap", &question).await;
    assert_eq!(sorted(&exemplars(&found)), [(String::new(), 70), (String::new(), 1_125)]);
    for exemplar in exemplars(&found) {
        assert_eq!(total_of(&server, CPU, range, exemplar).await, exemplar.value);
    }
    question.exemplar_type = ExemplarType::None as i32;
    let found: Heat = ask_proto(&server, "SelectHeatmap", &question).await;
    assert!(exemplars(&found).is_empty());
}

#[tokio::test]
async fn points_of_a_chart_have_their_largest_profile_or_span() {
    let data = folder();
    let (server, range) = requested(data.path()).await;
    let ask_for = |kind: &str, path: Value| {
        json!({
            "profileTypeID": CPU, "start": range.0, "end": range.1, "step": 15,
            "groupBy": ["env"], "exemplarType": kind, "stackTraceSelector": { "callSite": path },
        })
    };
    let beside = async |kind: &str, path: Value| {
        let answer = ask(&server, "SelectSeries", ask_for(kind, path)).await;
        let lines = answer["series"].as_array().unwrap().clone();
        let points = lines.iter().flat_map(|line| line["points"].as_array().unwrap().clone());
        let exemplars = points.flat_map(|point| point["exemplars"].as_array().unwrap().clone());
        exemplars.collect::<Vec<_>>()
    };
    let values = |found: &[Value]| {
        let pair = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            (text("spanId"), text("value"))
        };
        found.iter().map(pair).collect::<Vec<_>>()
    };
    let found = beside("EXEMPLAR_TYPE_INDIVIDUAL", json!([])).await;
    assert_eq!(values(&found), [("", "1125"), ("", "70")].map(|(a, b)| (a.into(), b.into())));
    let names: Vec<_> = found[0]["labels"].as_array().unwrap().clone();
    assert!(names.iter().all(|pair| pair["name"] != "env") && !names.is_empty());
    let id = found[0]["profileId"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v1/profiles/{id}")).await.status, StatusCode::OK);
    let found = beside("EXEMPLAR_TYPE_SPAN", json!([])).await;
    let id = |span: u64| format!("{span:016x}");
    assert_eq!(values(&found), [(id(0x10), "120".to_owned()), (id(7), "60".to_owned())]);
    let below = json!([{ "name": "main" }, { "name": "b" }]);
    let found = beside("EXEMPLAR_TYPE_SPAN", below).await;
    assert_eq!(values(&found), [(id(0x10), "20".to_owned()), (id(0x20), "1".to_owned())]);
    assert!(beside("EXEMPLAR_TYPE_NONE", json!([])).await.is_empty());
    let mut unknown = ask_for("EXEMPLAR_TYPE_SPAN", json!([]));
    unknown["profileTypeID"] = json!("a:b:c:d:e");
    assert_eq!(ask(&server, "SelectSeries", unknown.clone()).await["series"], json!([]));
    unknown["queryType"] = json!("HEATMAP_QUERY_TYPE_SPAN");
    assert_eq!(ask(&server, "SelectHeatmap", unknown).await["series"], json!([]));
}
