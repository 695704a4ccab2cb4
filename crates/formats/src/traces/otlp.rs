//! OTLP traces as protobuf. Contract: `opentelemetry/proto/trace/v1/trace.proto` and
//! `collector/trace/v1/trace_service.proto` of opentelemetry-proto v1.

use super::damaged;
use super::draft::{Builder, Draft};
use crate::decoded::Issues;
use crate::limits::{SPAN_ATTRIBUTES_MAX, SPAN_VALUE_BYTES_MAX, SPAN_VALUE_DEPTH_MAX};
use profile::{SpanBatch, SpanKind, SpanStatus};
use std::borrow::Cow;
use wire::scan::{Fields, Value, fields};

pub(super) fn read(body: &[u8], to: &mut Builder) {
    let mut all = fields(body);
    for field in all.by_ref().filter(|field| field.number == 1) {
        resource_spans(field.value.bytes().unwrap_or_default(), to);
    }
    note(&all, "the request", &mut to.issues);
}

fn note(all: &Fields<'_>, what: &str, issues: &mut Issues) {
    if let Some(damage) = all.damage() {
        damaged(issues, what, &damage);
    }
}

fn resource_spans(message: &[u8], to: &mut Builder) {
    let mut batch = SpanBatch::default();
    for resource in fields(message).filter(|field| field.number == 1) {
        let mut all = fields(resource.value.bytes().unwrap_or_default());
        for field in all.by_ref().filter(|field| field.number == 1) {
            let (name, value) = key_value(field.value.bytes().unwrap_or_default());
            to.label(&mut batch.labels, &name, &value);
        }
        note(&all, "a resource", &mut to.issues);
    }
    let mut all = fields(message);
    for scope in all.by_ref().filter(|field| field.number == 2) {
        let mut spans = fields(scope.value.bytes().unwrap_or_default());
        for field in spans.by_ref().filter(|field| field.number == 2) {
            span(field.value.bytes().unwrap_or_default(), &mut batch, to);
        }
        note(&spans, "a scope", &mut to.issues);
    }
    note(&all, "the spans of a resource", &mut to.issues);
    to.end(batch);
}

fn span(message: &[u8], batch: &mut SpanBatch, to: &mut Builder) {
    let mut draft = Draft::default();
    let mut exceptions = Vec::new();
    let mut all = fields(message);
    for field in all.by_ref() {
        let bytes = field.value.bytes().unwrap_or_default();
        let number = field.value.number().unwrap_or_default();
        match field.number {
            1 => draft.trace_id = bytes.try_into().map_or(0, u128::from_be_bytes),
            2 => draft.span_id = bytes.try_into().map_or(0, u64::from_be_bytes),
            4 => draft.parent_id = bytes.try_into().map_or(0, u64::from_be_bytes),
            5 => draft.name = String::from_utf8_lossy(bytes),
            6 => draft.kind = SpanKind::from_number(u8::try_from(number).unwrap_or(0)),
            7 => draft.start = number,
            8 => draft.end = number,
            9 if draft.attributes.len() <= SPAN_ATTRIBUTES_MAX => {
                draft.attributes.push(key_value(bytes));
            }
            11 => exception(bytes, &mut exceptions),
            15 => status(bytes, &mut draft),
            16 => draft.flags = number as u32,
            _ => {}
        }
    }
    draft.attributes.extend(exceptions);
    note(&all, "a span", &mut to.issues);
    to.add(batch, draft);
}

fn status<'a>(message: &'a [u8], draft: &mut Draft<'a>) {
    for field in fields(message) {
        match (field.number, field.value) {
            (2, Value::Len(text)) => draft.message = String::from_utf8_lossy(text),
            (3, Value::Varint(code)) => {
                draft.status = SpanStatus::from_number(u8::try_from(code).unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// What the first exception of a span says of itself.
fn exception<'a>(message: &'a [u8], to: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) {
    let is_one = fields(message).any(|f| f.number == 2 && f.value.bytes() == Some(b"exception"));
    if !is_one || !to.is_empty() {
        return;
    }
    let attributes = fields(message).filter(|field| field.number == 3);
    let attributes = attributes.map(|field| key_value(field.value.bytes().unwrap_or_default()));
    let wanted = ["exception.type", "exception.message"];
    to.extend(attributes.filter(|(name, _)| wanted.contains(&&**name)).take(wanted.len()));
}

/// Name and value of a `KeyValue`, as text.
pub(crate) fn key_value(message: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let (mut name, mut value) = (Cow::Borrowed(""), &[][..]);
    for field in fields(message) {
        match (field.number, field.value) {
            (1, Value::Len(text)) => name = String::from_utf8_lossy(text),
            (2, Value::Len(message)) => value = message,
            _ => {}
        }
    }
    (name, any_value(value, SPAN_VALUE_DEPTH_MAX))
}

/// An `AnyValue` as text; lists with commas, names of parts with `=`.
fn any_value(message: &[u8], depth: usize) -> Cow<'_, str> {
    // The last one counts, and only that one is read: the others may be many and long.
    let known = fields(message).filter(|field| matches!(field.number, 1..=7));
    let Some(field) = known.last() else { return Cow::Borrowed("") };
    match (field.number, field.value) {
        (1, Value::Len(bytes)) => String::from_utf8_lossy(bytes),
        (2, Value::Varint(flag)) => Cow::Borrowed(if flag == 0 { "false" } else { "true" }),
        (3, Value::Varint(number)) => Cow::Owned(number.cast_signed().to_string()),
        (4, Value::I64(bits)) => Cow::Owned(f64::from_bits(bits).to_string()),
        (5 | 6, Value::Len(list)) if depth > 0 => {
            let mut out = String::new();
            for entry in fields(list).filter(|entry| entry.number == 1) {
                let entry = entry.value.bytes().unwrap_or_default();
                if out.len() > SPAN_VALUE_BYTES_MAX {
                    break;
                }
                if !out.is_empty() {
                    out.push(',');
                }
                if field.number == 5 {
                    out.push_str(&any_value(entry, depth - 1));
                    continue;
                }
                let (name, value) = part(entry, depth - 1);
                out.push_str(&name);
                out.push('=');
                out.push_str(&value);
            }
            Cow::Owned(out)
        }
        (7, Value::Len(bytes)) => {
            let bytes = &bytes[..bytes.len().min(SPAN_VALUE_BYTES_MAX / 2)];
            Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        _ => Cow::Borrowed(""),
    }
}

fn part(message: &[u8], depth: usize) -> (Cow<'_, str>, Cow<'_, str>) {
    let bytes = |number: u32| {
        let found = fields(message).filter(|field| field.number == number).last();
        found.and_then(|field| field.value.bytes()).unwrap_or_default()
    };
    (String::from_utf8_lossy(bytes(1)), any_value(bytes(2), depth))
}
