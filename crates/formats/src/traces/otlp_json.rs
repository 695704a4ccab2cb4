//! OTLP traces as JSON: protobuf's JSON form, but ids are hexadecimal digits and enumerations
//! numbers. Contract: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use super::damaged;
use super::draft::{Builder, Draft};
use crate::decoded::IssueKind;
use crate::json::{Items, document, elements, members, number, text};
use crate::limits::{SPAN_ATTRIBUTES_MAX, SPAN_VALUE_BYTES_MAX, SPAN_VALUE_DEPTH_MAX};
use profile::{SpanBatch, SpanKind, SpanStatus};
use std::borrow::Cow;

pub(super) fn read(body: &[u8], to: &mut Builder) {
    let body = document(body);
    if !body.starts_with(b"{") {
        to.issues.add(IssueKind::UnknownFormat, || "this is not a JSON object".to_owned());
        return;
    }
    let mut all = members(body);
    for (_, list) in all.by_ref().filter(|(name, _)| name == "resourceSpans") {
        let mut entries = elements(list);
        for (_, entry) in entries.by_ref() {
            resource_spans(entry, to);
        }
        note(&entries, "resourceSpans", to);
    }
    note(&all, "the request", to);
}

fn note(items: &Items<'_>, what: &str, to: &mut Builder) {
    if items.is_damaged() {
        damaged(&mut to.issues, what, &"this is not JSON, or cut off");
    }
}

/// The last member of a name.
fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members(object).filter(|(have, _)| have == name).last().map(|(_, value)| value)
}

fn resource_spans(entry: &[u8], to: &mut Builder) {
    let mut batch = SpanBatch::default();
    let resource = member(entry, "resource").unwrap_or_default();
    for (_, pair) in elements(member(resource, "attributes").unwrap_or_default()) {
        let (name, value) = key_value(pair);
        to.label(&mut batch.labels, &name, &value);
    }
    for (_, scope) in elements(member(entry, "scopeSpans").unwrap_or_default()) {
        let mut spans = elements(member(scope, "spans").unwrap_or_default());
        for (_, object) in spans.by_ref() {
            span(object, &mut batch, to);
        }
        note(&spans, "a scope", to);
    }
    to.end(batch);
}

fn span(object: &[u8], batch: &mut SpanBatch, to: &mut Builder) {
    let mut draft = Draft::default();
    let mut exceptions = Vec::new();
    let mut all = members(object);
    for (name, value) in all.by_ref() {
        match &*name {
            "traceId" => draft.trace_id = id(value, 32),
            "spanId" => draft.span_id = id(value, 16) as u64,
            "parentSpanId" => draft.parent_id = id(value, 16) as u64,
            "flags" => draft.flags = number(value).unwrap_or_default(),
            "name" => draft.name = text(value).unwrap_or_default(),
            "kind" => draft.kind = kind(value),
            "startTimeUnixNano" => draft.start = number(value).unwrap_or_default(),
            "endTimeUnixNano" => draft.end = number(value).unwrap_or_default(),
            "attributes" => {
                let pairs = elements(value).map(|(_, pair)| key_value(pair));
                draft.attributes.extend(pairs.take(SPAN_ATTRIBUTES_MAX + 1));
            }
            "events" => exception(value, &mut exceptions),
            "status" => {
                draft.message = member(value, "message").and_then(text).unwrap_or_default();
                draft.status = status(member(value, "code").unwrap_or_default());
            }
            _ => {}
        }
    }
    draft.attributes.extend(exceptions);
    note(&all, "a span", to);
    to.add(batch, draft);
}

/// An id of so many hexadecimal digits; 0 when it is none.
fn id(value: &[u8], digits: usize) -> u128 {
    let given = text(value).unwrap_or_default();
    let is_one = given.len() == digits && given.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { u128::from_str_radix(&given, 16).unwrap_or(0) } else { 0 }
}

fn kind(value: &[u8]) -> SpanKind {
    let Some(named) = text(value) else {
        return SpanKind::from_number(number(value).unwrap_or_default());
    };
    let name = named.trim_start_matches("SPAN_KIND_").to_ascii_lowercase();
    SpanKind::from_name(&name).unwrap_or_else(|| SpanKind::from_number(name.parse().unwrap_or(0)))
}

fn status(value: &[u8]) -> SpanStatus {
    match text(value).as_deref() {
        None => SpanStatus::from_number(number(value).unwrap_or_default()),
        Some("STATUS_CODE_OK" | "1") => SpanStatus::Ok,
        Some("STATUS_CODE_ERROR" | "2") => SpanStatus::Error,
        Some(_) => SpanStatus::Unset,
    }
}

/// What the first exception of a span says of itself.
fn exception<'a>(events: &'a [u8], to: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) {
    let is_one =
        |event: &&[u8]| member(event, "name").and_then(text).as_deref() == Some("exception");
    let Some(event) = elements(events).map(|(_, event)| event).find(is_one) else { return };
    let pairs = elements(member(event, "attributes").unwrap_or_default());
    let pairs = pairs.map(|(_, pair)| key_value(pair));
    let wanted = ["exception.type", "exception.message"];
    to.extend(pairs.filter(|(name, _)| wanted.contains(&&**name)).take(wanted.len()));
}

/// Name and value of a `KeyValue`, as text.
pub(crate) fn key_value(pair: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let name = member(pair, "key").and_then(text).unwrap_or_default();
    let value = member(pair, "value").unwrap_or_default();
    (name, any_value(value, SPAN_VALUE_DEPTH_MAX))
}

/// An `AnyValue` as text; lists with commas, names of parts with `=`.
fn any_value(value: &[u8], depth: usize) -> Cow<'_, str> {
    let Some((name, inner)) = members(value).last() else { return Cow::Borrowed("") };
    match &*name {
        "arrayValue" | "kvlistValue" if depth > 0 => {
            let mut out = String::new();
            for (_, entry) in elements(member(inner, "values").unwrap_or_default()) {
                if out.len() > SPAN_VALUE_BYTES_MAX {
                    break;
                }
                if !out.is_empty() {
                    out.push(',');
                }
                if name == "arrayValue" {
                    out.push_str(&any_value(entry, depth - 1));
                    continue;
                }
                out.push_str(&member(entry, "key").and_then(text).unwrap_or_default());
                out.push('=');
                out.push_str(&any_value(member(entry, "value").unwrap_or_default(), depth - 1));
            }
            Cow::Owned(out)
        }
        "arrayValue" | "kvlistValue" => Cow::Borrowed(""),
        _ => text(inner).unwrap_or_else(|| String::from_utf8_lossy(inner)),
    }
}
