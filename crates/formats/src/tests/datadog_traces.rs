//! Traces of Datadog's libraries: all forms give the same spans; damage costs what it touches.

use crate::limits::{SPAN_ATTRIBUTES_MAX, SPAN_BATCHES_MAX, SPAN_NAME_BYTES_MAX};
use crate::traces::DecodedSpans;
use crate::traces::datadog::{Entries, Form, decode};
use crate::{IssueKind, Limits, Options};
use profile::{Span, SpanKind, SpanStatus};
use serde_json::{Map, Value, json};

/// Msgpack of a value.
fn pack(value: &Value) -> Vec<u8> {
    let head = |short: Option<u8>, long: u8, count: usize| match short {
        Some(short) if count < 16 => vec![short | count as u8],
        _ => [&[long][..], &(count as u32).to_be_bytes()].concat(),
    };
    match value {
        Value::Null => vec![0xc0],
        Value::Bool(flag) => vec![0xc2 | u8::from(*flag)],
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(small @ 0..=127), ..) => vec![small as u8],
            (Some(whole), ..) => [&[0xcf][..], &whole.to_be_bytes()].concat(),
            (_, Some(below), _) => [&[0xd3][..], &below.to_be_bytes()].concat(),
            (.., float) => [&[0xcb][..], &float.unwrap().to_be_bytes()].concat(),
        },
        Value::String(text) => [head(None, 0xdb, text.len()), text.clone().into_bytes()].concat(),
        Value::Array(list) => {
            let items: Vec<u8> = list.iter().flat_map(pack).collect();
            [head(Some(0x90), 0xdd, list.len()), items].concat()
        }
        Value::Object(map) => {
            let pairs: Vec<u8> = map
                .iter()
                .flat_map(|(name, value)| [pack(&json!(name)), pack(value)].concat())
                .collect();
            [head(Some(0x80), 0xdf, map.len()), pairs].concat()
        }
    }
}

/// Two requests: one with a call to another service, one of another client that failed.
fn traces() -> Value {
    json!([
        [
            {
                "service": "shop", "name": "web.request", "resource": "GET /items/{id}",
                "trace_id": 12_297_829_382_473_034_411_u64, "span_id": 2, "parent_id": 77,
                "start": 1_700_000_000_000_000_001_u64, "duration": 300, "error": 1, "type": "web",
                "meta": {
                    "_dd.p.tid": "6b00696100000000", "env": "prod", "version": "1.2",
                    "runtime-id": "abc", "language": "python", "span.kind": "server",
                    "error.message": "no disk", "error.type": "IOError", "error.stack": "long",
                    "http.status_code": "500", "_dd.tracer_host": "h1",
                },
                "metrics": {"_dd.top_level": 1, "_sampling_priority_v1": 1.0, "process_id": 7.0},
            },
            {
                "service": "shop", "name": "query", "resource": "SELECT 1",
                "trace_id": 12_297_829_382_473_034_411_u64, "span_id": 3, "parent_id": 2,
                "start": 50, "duration": -30, "error": 0, "type": "sql", "meta": {"version": "1.2"},
                "metrics": {},
            },
            {
                "service": "db", "name": "db.work", "resource": "", "type": "",
                "trace_id": 12_297_829_382_473_034_411_u64, "span_id": 4, "parent_id": 3,
                "start": 51, "duration": 1, "error": 0, "meta": {}, "metrics": {"rows": 2.5},
            },
        ],
        [{
            "service": "shop", "name": "job", "resource": "nightly", "type": "worker",
            "trace_id": 9, "span_id": 9, "parent_id": 0, "start": 60, "duration": 5, "error": 0,
            "meta": {"env": "prod", "version": "1.2"}, "metrics": {},
        }],
    ])
}

/// The form with a table of texts.
fn packed_table(traces: &Value) -> Vec<u8> {
    let mut texts = vec![json!("")];
    let mut at = |text: &Value| {
        let found = texts.iter().position(|have| have == text).unwrap_or_else(|| {
            texts.push(text.clone());
            texts.len() - 1
        });
        pack(&json!(found))
    };
    let count = |short: u8, count: usize| vec![short | count as u8];
    let mut span = |span: &Value| {
        let mut out = vec![0x9c];
        for name in ["service", "name", "resource"] {
            out.extend(at(&span[name]));
        }
        for name in ["trace_id", "span_id", "parent_id", "start", "duration", "error"] {
            out.extend(pack(&span[name]));
        }
        let meta = span["meta"].as_object().unwrap();
        out.extend(count(0x80, meta.len()));
        for (name, value) in meta {
            out.extend([at(&json!(name)), at(value)].concat());
        }
        let metrics = span["metrics"].as_object().unwrap();
        out.extend(count(0x80, metrics.len()));
        for (name, value) in metrics {
            out.extend([at(&json!(name)), pack(value)].concat());
        }
        out.extend(at(&span["type"]));
        out
    };
    let traces = traces.as_array().unwrap();
    let mut chunks = count(0x90, traces.len());
    for trace in traces.iter().map(|trace| trace.as_array().unwrap()) {
        chunks.extend(count(0x90, trace.len()));
        for one in trace {
            chunks.extend(span(one));
        }
    }
    [vec![0x92], pack(&json!(texts)), chunks].concat()
}

/// A tracer's payload: what the spans share stands around them.
fn payload(traces: &Value) -> Value {
    let chunks = traces.as_array().unwrap().iter().enumerate().map(|(at, spans)| {
        let mut spans = spans.clone();
        let mut tags = Map::new();
        for span in spans.as_array_mut().unwrap() {
            let meta = span["meta"].as_object_mut().unwrap();
            for name in ["env", "version", "runtime-id", "language", "_dd.tracer_host"] {
                meta.remove(name);
            }
            tags.extend(meta.remove("_dd.p.tid").map(|high| ("_dd.p.tid".to_owned(), high)));
        }
        json!({ "priority": 1, "origin": "", "number": at, "spans": spans, "tags": tags })
    });
    json!({
        "container_id": "c1", "language_name": "python", "language_version": "3.11",
        "tracer_version": "4.16.0", "runtime_id": "abc", "env": "prod", "hostname": "h1",
        "app_version": "1.2", "tags": {"x": ["y"]}, "chunks": chunks.collect::<Vec<_>>(),
    })
}

/// How each of [`requests`] is written.
const FORMS: [Form; 4] = [Form::Maps, Form::Maps, Form::Table, Form::Payload];
pub(super) fn requests() -> Vec<Vec<u8>> {
    let traces = traces();
    vec![
        pack(&traces),
        traces.to_string().into_bytes(),
        packed_table(&traces),
        pack(&payload(&traces)),
    ]
}

fn read(bytes: &[u8], form: Form) -> DecodedSpans {
    decode(bytes, form, Entries::Marked, &Options::default())
}

fn spans(decoded: &DecodedSpans) -> Vec<&Span> {
    let mut all: Vec<&Span> = decoded.batches.iter().flat_map(|batch| &batch.spans).collect();
    all.sort_by_key(|span| span.span_id);
    all
}

#[test]
fn a_span_becomes_what_the_client_says_of_it() {
    let decoded = read(&requests()[0], Form::Maps);
    let labels: Vec<Vec<_>> =
        decoded.batches.iter().map(|batch| batch.labels.iter().collect()).collect();
    let process = [("host", "h1"), ("instance", "abc"), ("runtime", "python")];
    let of = |service| [&[("env", "prod")], &process[..], &[("service_name", service)]].concat();
    let shop = [of("shop"), vec![("version", "1.2")]].concat();
    assert_eq!(labels, [shop, of("db")], "its own, else its chunk's or its process'");

    let all = spans(&decoded);
    let [web, query, db, job] = &*all else { panic!("{decoded:?}") };
    let high = 0x6b00_6961_0000_0000_u128 << 64;
    assert_eq!(web.trace_id, high + 12_297_829_382_473_034_411);
    assert_eq!((query.trace_id, db.trace_id, job.trace_id), (web.trace_id, web.trace_id, 9));
    assert_eq!((web.span_id, web.parent_id, web.is_entry), (2, 77, true));
    assert_eq!((web.kind, web.status), (SpanKind::Server, SpanStatus::Error));
    assert_eq!((&*web.name, &*web.resource), ("web.request", "GET /items/{id}"));
    assert_eq!((&*web.message, web.duration_nanos), ("no disk", 300));
    let attributes: Vec<_> = web.attributes.iter().map(|(n, v)| (&**n, &**v)).collect();
    let wanted = [
        ("error.type", "IOError"),
        ("http.status_code", "500"),
        ("process_id", "7"),
        ("span.type", "web"),
    ];
    assert_eq!(attributes, wanted, "without notes to the agent");
    assert_eq!((query.kind, query.is_entry, query.duration_nanos), (SpanKind::Client, false, 0));
    assert_eq!((&*db.resource, db.attribute("rows")), ("db.work", Some("2.5")));
    assert_eq!((db.is_entry, job.is_entry), (false, true));
    let [issue] = &*decoded.issues else { panic!("{:?}", decoded.issues) };
    assert!(issue.example.contains("ends before it begins"), "{issue}");
}

#[test]
fn all_forms_give_the_same_spans() {
    let requests = requests();
    let maps = read(&requests[0], Form::Maps);
    for (bytes, form) in requests.iter().zip(FORMS) {
        let decoded = read(bytes, form);
        assert_eq!(spans(&decoded), spans(&maps), "{form:?}");
        assert_eq!((decoded.rejected, &decoded.issues), (0, &maps.issues), "{form:?}");
        let shop = &decoded.batches[0].labels;
        assert_eq!(shop, &maps.batches[0].labels, "{form:?}");
        let packed = crate::compress::gzip(bytes);
        assert_eq!(spans(&read(&packed, form)).len(), 4, "{form:?}");
    }
}

#[test]
fn where_nobody_marks_requests_they_are_found_as_the_agent_finds_them() {
    let decoded = decode(&requests()[0], Form::Maps, Entries::Unmarked, &Options::default());
    let entries: Vec<(u64, bool)> =
        spans(&decoded).iter().map(|span| (span.span_id, span.is_entry)).collect();
    // The parent of 2 is elsewhere, 4 is of another service than its parent.
    assert_eq!(entries, [(2, true), (3, false), (4, true), (9, true)]);
}

#[test]
fn a_cut_keeps_what_came_before_and_says_where_it_is() {
    for (bytes, form) in requests().iter().zip(FORMS) {
        let whole = read(bytes, form);
        let mut most = 0;
        for end in 1..bytes.len() {
            let cut = read(&bytes[..end], form);
            let kept = spans(&cut);
            assert!(kept.len() >= most, "more is never less");
            most = kept.len();
            let ids: Vec<u64> = kept.iter().map(|span| span.span_id).collect();
            assert!([2, 3, 4, 9].starts_with(&ids), "{form:?} {end}: {ids:?}");
            let damage = cut.issues.iter().find(|issue| issue.kind == IssueKind::Damage);
            let damage = damage.unwrap_or_else(|| panic!("{form:?} {end}: {:?}", cut.issues));
            assert!(damage.example.contains("byte "), "{damage}");
        }
        assert!(most + 1 >= spans(&whole).len(), "{form:?}: {most}");
    }
}

#[test]
fn a_span_of_the_wrong_types_costs_only_itself() {
    let mut traces = traces();
    traces[0][1]["start"] = json!("soon");
    traces[1].as_array_mut().unwrap().insert(0, json!([1, {"x": [2]}]));
    traces[1]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"span_id": 5, "meta": [1, 2], "trace_id": 0}));
    traces.as_array_mut().unwrap().insert(0, json!("no trace"));
    traces[1][0]["meta"]["nested"] = json!({"a": [1]});
    traces[1][0]["links"] = json!([{"a": [1]}]);
    for bytes in [pack(&traces), traces.to_string().into_bytes()] {
        let decoded = read(&bytes, Form::Maps);
        let ids: Vec<u64> = spans(&decoded).iter().map(|span| span.span_id).collect();
        assert_eq!((ids, decoded.rejected), (vec![2, 4, 9], 3), "{:?}", decoded.issues);
        assert!(decoded.issues.iter().all(|issue| issue.kind == IssueKind::Malformed));
    }
    let table = packed_table(&self::traces());
    // The name of the first span points behind the table.
    let at = table.windows(4).position(|four| four == [0x9c, 1, 2, 3]).unwrap();
    let mut wrong = table.clone();
    wrong[at + 2] = 0x7f;
    let decoded = read(&wrong, Form::Table);
    assert_eq!((spans(&decoded).len(), decoded.rejected), (3, 1));
    assert!(decoded.issues[0].example.contains("not in the table"), "{:?}", decoded.issues);
}

#[test]
fn what_is_no_request_is_said_so() {
    for (bytes, form) in [
        (&b"{}"[..], Form::Maps),
        (&[7; 50][..], Form::Maps),
        (&[0x90], Form::Table),
        (&[0x90], Form::Payload),
    ] {
        let decoded = read(bytes, form);
        assert_eq!(decoded.issues[0].kind, IssueKind::UnknownFormat, "{bytes:?} {form:?}");
    }
    for (bytes, form) in [
        (&b""[..], Form::Maps),
        (&[0x90], Form::Maps),
        (b" [ ] ", Form::Maps),
        (&[0x92, 0x90, 0x90], Form::Table),
        (&[0x80], Form::Payload),
    ] {
        assert!(read(bytes, form).issues.is_empty(), "{bytes:?} {form:?}");
    }
}

#[test]
fn spans_series_texts_and_attributes_are_bounded_and_that_is_said() {
    let meta: Map<String, Value> = (0..200).map(|at| (format!("a{at:03}"), json!("v"))).collect();
    let span = |at: usize| {
        json!({
            "service": format!("s{at}"), "name": "n".repeat(SPAN_NAME_BYTES_MAX + 7),
            "trace_id": 1, "span_id": at + 1, "start": 5, "meta": meta,
        })
    };
    let many: Vec<Value> = (0..SPAN_BATCHES_MAX + 2).map(span).collect();
    let decoded = read(&pack(&json!([many])), Form::Maps);
    assert_eq!((decoded.batches.len(), decoded.rejected), (SPAN_BATCHES_MAX, 2));
    let one = spans(&decoded)[0];
    assert_eq!((one.attributes.len(), one.name.len()), (SPAN_ATTRIBUTES_MAX, SPAN_NAME_BYTES_MAX));
    assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit));

    let limits = Limits { samples_max: 3, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let decoded = decode(&requests()[0], Form::Maps, Entries::Marked, &options);
    assert_eq!((spans(&decoded).len(), decoded.rejected), (3, 1));
    for limits in [
        Limits { work_bytes_max: 250, ..Limits::default() },
        Limits { strings_max: 12, ..Limits::default() },
    ] {
        let options = Options { limits, ..Options::default() };
        let decoded = decode(&requests()[2], Form::Table, Entries::Marked, &options);
        assert!(decoded.rejected > 0, "{limits:?}");
        assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit), "{limits:?}");
    }
}
