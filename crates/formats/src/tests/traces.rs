//! OTLP traces in both forms give the same spans; damage costs what it touches.

use crate::limits::{SPAN_ATTRIBUTES_MAX, SPAN_NAME_BYTES_MAX};
use crate::traces::{DecodedSpans, Form, decode};
use crate::{IssueKind, Limits, Options};
use profile::{SpanKind, SpanStatus};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn len(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint((number << 3) | 2, &mut out);
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn fixed(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint((number << 3) | 1, &mut out);
    out.extend_from_slice(&value.to_le_bytes());
    out
}

fn plain(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3, &mut out);
    varint(value, &mut out);
    out
}

fn pair(name: &str, value: &[u8]) -> Vec<u8> {
    [len(1, name.as_bytes()), len(2, value)].concat()
}

fn texts(name: &str, value: &str) -> Vec<u8> {
    pair(name, &len(1, value.as_bytes()))
}

fn head(trace: u8, id: u64, parent: u64) -> Vec<u8> {
    let parent = if parent == 0 { Vec::new() } else { len(4, &parent.to_be_bytes()) };
    [len(1, &[trace; 16]), len(2, &id.to_be_bytes()), parent].concat()
}

/// A span with everything.
fn full() -> Vec<u8> {
    let list = [len(1, &len(1, b"a")), len(1, &plain(3, 7))].concat();
    let exception = [
        len(2, b"exception"),
        len(3, &texts("exception.type", "IOError")),
        len(3, &texts("exception.stacktrace", "long")),
    ];
    [
        head(9, 2, 1),
        len(5, b"GET"),
        plain(6, 2),
        fixed(7, 1_700_000_000_000_000_001),
        fixed(8, 1_700_000_000_000_000_301),
        len(9, &texts("http.request.method", "GET")),
        len(9, &texts("http.route", "/items/{id}")),
        len(9, &pair("answer", &plain(3, (-42_i64).cast_unsigned()))),
        len(9, &pair("flag", &plain(2, 1))),
        len(9, &pair("list", &len(5, &list))),
        len(11, &exception.concat()),
        len(15, &[len(2, b"no disk"), plain(3, 2)].concat()),
    ]
    .concat()
}

fn child() -> Vec<u8> {
    [head(9, 3, 2), len(5, b"query"), plain(6, 3), fixed(7, 50), fixed(8, 20)].concat()
}

pub(super) fn request() -> Vec<u8> {
    let resource = [len(1, &texts("service.name", "shop")), len(1, &texts("host.name", "h1"))];
    let broken = [head(0, 4, 0), len(5, b"no trace"), fixed(7, 5)].concat();
    let spans = [len(2, &full()), len(2, &child()), len(2, &broken)].concat();
    len(1, &[len(1, &resource.concat()), len(2, &spans)].concat())
}

const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"host.name","value":{"stringValue":"h1"}}]},
  "scopeSpans":[{"scope":{"name":"x"},"spans":[
    {"traceId":"09090909090909090909090909090909","spanId":"0000000000000002",
     "parentSpanId":"0000000000000001","name":"GET","kind":2,
     "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":1700000000000000301,
     "attributes":[
       {"key":"http.request.method","value":{"stringValue":"GET"}},
       {"key":"http.route","value":{"stringValue":"/items/{id}"}},
       {"key":"answer","value":{"intValue":"-42"}},
       {"key":"flag","value":{"boolValue":true}},
       {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":7}]}}}],
     "events":[{"name":"exception","attributes":[
       {"key":"exception.type","value":{"stringValue":"IOError"}},
       {"key":"exception.stacktrace","value":{"stringValue":"long"}}]}],
     "status":{"message":"no disk","code":"STATUS_CODE_ERROR"}},
    {"traceId":"09090909090909090909090909090909","spanId":"0000000000000003",
     "parentSpanId":"0000000000000002","name":"query","kind":"SPAN_KIND_CLIENT",
     "startTimeUnixNano":"50","endTimeUnixNano":"20"},
    {"traceId":"00000000000000000000000000000000","spanId":"0000000000000004",
     "name":"no trace","startTimeUnixNano":"5"}]}]}]}"#;

fn read(bytes: &[u8], form: Form) -> DecodedSpans {
    decode(bytes, form, &Options::default())
}

#[test]
fn both_forms_give_the_same_spans() {
    let decoded = read(&request(), Form::Protobuf);
    let [batch] = &*decoded.batches else { panic!("{decoded:?}") };
    assert_eq!(batch.labels.get("service.name"), Some("shop"));
    let [server, query] = &*batch.spans else { panic!("{batch:?}") };
    assert_eq!(server.trace_id, u128::from_be_bytes([9; 16]));
    assert_eq!((server.span_id, server.parent_id, server.is_entry), (2, 1, true));
    assert_eq!((server.kind, server.status), (SpanKind::Server, SpanStatus::Error));
    assert_eq!((&*server.name, &*server.resource), ("GET", "GET /items/{id}"));
    assert_eq!((&*server.message, server.duration_nanos), ("no disk", 300));
    let attributes: Vec<_> = server.attributes.iter().map(|(n, v)| (&**n, &**v)).collect();
    let wanted = [
        ("answer", "-42"),
        ("exception.type", "IOError"),
        ("flag", "true"),
        ("http.request.method", "GET"),
        ("http.route", "/items/{id}"),
        ("list", "a,7"),
    ];
    assert_eq!(attributes, wanted);
    assert_eq!((&*query.resource, query.is_entry, query.duration_nanos), ("query", false, 0));
    assert_eq!(decoded.rejected, 1);
    let malformed = decoded.issues.iter().find(|issue| issue.kind == IssueKind::Malformed);
    assert!(malformed.is_some_and(|issue| issue.count == 2), "{:?}", decoded.issues);

    let json = read(JSON.as_bytes(), Form::Json);
    assert_eq!(json.batches, decoded.batches);
    assert_eq!((json.rejected, json.issues), (1, decoded.issues));
    let packed = crate::compress::gzip(&request());
    assert_eq!(read(&packed, Form::Protobuf).batches.len(), 1);
}

#[test]
fn a_parent_in_another_process_makes_a_request() {
    let flags = |flags: u32| {
        let mut out = vec![0x85, 0x01];
        out.extend_from_slice(&flags.to_le_bytes());
        out
    };
    let is_entry = |bits| {
        let span = [head(9, 3, 2), fixed(7, 50), flags(bits)].concat();
        let body = len(1, &len(2, &len(2, &span)));
        read(&body, Form::Protobuf).batches[0].spans[0].is_entry
    };
    assert!(is_entry(0x301) && !is_entry(0x101) && !is_entry(0x200));
}

#[test]
fn what_is_cut_off_leaves_what_came_before() {
    let whole = request();
    let cut = read(&whole[..whole.len() - 1], Form::Protobuf);
    assert!(cut.batches.is_empty() && !cut.issues.is_empty());
    let json = read(&JSON.as_bytes()[..JSON.len() - 30], Form::Json);
    assert!(json.issues.iter().any(|issue| issue.kind == IssueKind::Damage), "{json:?}");
    let other = read(b"\x0a\x00", Form::Json);
    assert_eq!(other.issues[0].kind, IssueKind::UnknownFormat);
    assert!(read(b"", Form::Protobuf).issues.is_empty());
}

#[test]
fn attributes_names_and_spans_are_bounded_and_that_is_said() {
    let attributes =
        (0..200).map(|at| len(9, &texts(&format!("a{at:03}"), "v"))).collect::<Vec<_>>();
    let long = "n".repeat(SPAN_NAME_BYTES_MAX + 7);
    let times = [fixed(7, 50), fixed(8, 60)].concat();
    let span = [head(9, 3, 2), len(5, long.as_bytes()), times, attributes.concat()].concat();
    let body = len(1, &len(2, &len(2, &span).repeat(5)));
    let limits = Limits { samples_max: 3, ..Limits::default() };
    let decoded = decode(&body, Form::Protobuf, &Options { limits, ..Options::default() });
    let spans = &decoded.batches[0].spans;
    assert_eq!((spans.len(), decoded.rejected), (3, 2));
    assert_eq!(spans[0].attributes.len(), SPAN_ATTRIBUTES_MAX);
    assert_eq!(spans[0].name.len(), SPAN_NAME_BYTES_MAX);
    assert!(decoded.issues.iter().all(|issue| issue.kind == IssueKind::Limit));
}

#[test]
fn lists_within_lists_are_read_to_a_depth() {
    let mut value = len(1, b"deep");
    for _ in 0..5_000 {
        value = len(5, &len(1, &value));
    }
    let span = [head(9, 3, 2), fixed(7, 50), len(9, &pair("list", &value))].concat();
    let decoded = read(&len(1, &len(2, &len(2, &span))), Form::Protobuf);
    assert_eq!(decoded.batches[0].spans[0].attribute("list"), Some(""));
}
