//! The form of `/v0.3` and `/v0.4` as JSON.

use super::chunks::Chunks;
use super::given::{Given, Scalar};
use crate::json::{document, elements, members, number, text};
use std::borrow::Cow;

/// Reads a list of chunks.
pub(super) fn read(body: &[u8], to: &mut Chunks) {
    let mut traces = elements(document(body));
    for (_, trace) in traces.by_ref() {
        if !trace.starts_with(b"[") && trace != b"null" {
            to.malformed("a trace is no list of spans");
        }
        let mut spans = elements(trace);
        for (_, object) in spans.by_ref() {
            span(object, to);
        }
        to.end_chunk();
        if spans.is_damaged() {
            to.malformed("a trace is damaged: it is not JSON");
        }
    }
    if traces.is_damaged() {
        let before = body.len() - body.trim_ascii_end().len();
        to.stopped_at(body.len() - before - traces.left());
    }
}

fn span(object: &[u8], to: &mut Chunks) {
    if !object.starts_with(b"{") {
        return to.reject("", "it is no object");
    }
    let mut given = Given::default();
    let mut fields = members(object);
    for (field, value) in fields.by_ref() {
        match &*field {
            "meta" => members(value).for_each(|(name, value)| {
                given.meta(name, scalar(value).into_text());
            }),
            "metrics" => members(value).for_each(|(name, value)| {
                given.metric(name, scalar(value));
            }),
            _ => given.set(&field, scalar(value)),
        }
    }
    if fields.is_damaged() {
        given.wrong = Some("it is not JSON");
    }
    to.add(given);
}

fn scalar(value: &[u8]) -> Scalar<'_> {
    if let Some(text) = text(value) {
        return Scalar::Text(text);
    }
    match value {
        b"null" => Scalar::Nothing,
        b"true" => Scalar::Unsigned(1),
        b"false" => Scalar::Unsigned(0),
        _ if value.starts_with(b"{") || value.starts_with(b"[") => Scalar::Nothing,
        _ => number(value)
            .map(Scalar::Unsigned)
            .or_else(|| number(value).map(Scalar::Negative))
            .or_else(|| number(value).map(Scalar::Float))
            .unwrap_or(Scalar::Text(Cow::Borrowed(""))),
    }
}
