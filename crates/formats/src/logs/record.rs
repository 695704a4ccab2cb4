//! Records of logs as protobuf and as JSON. Contract: `opentelemetry/proto/logs/v1/logs.proto`.

use super::{Logs, Pairs};
use crate::decoded::IssueKind;
use crate::json::{document, elements, members, text};
use crate::limits::{INFO_ENTRIES_MAX, SPAN_ATTRIBUTES_MAX};
use crate::traces::{json_key_value, key_value};
use std::borrow::Cow;
use wire::scan::{Fields, fields};

/// What is read of a record.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) attributes: Pairs<'a>,
    /// Text or bytes.
    pub(super) body: Cow<'a, [u8]>,
}

impl Record<'_> {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| &**value)
    }
}

pub(super) fn read_protobuf(body: &[u8], to: &mut Logs<'_>) {
    let mut all = fields(body);
    for field in all.by_ref().filter(|field| field.number == 1) {
        let message = field.value.bytes().unwrap_or_default();
        let resource = parts(message, 1).flat_map(|resource| parts(resource, 1));
        let resource: Pairs<'_> = resource.map(key_value).take(INFO_ENTRIES_MAX).collect();
        for scope in parts(message, 2) {
            let mut records = fields(scope);
            for field in records.by_ref().filter(|field| field.number == 2) {
                let mut all = fields(field.value.bytes().unwrap_or_default());
                let mut record = Record::default();
                for field in all.by_ref() {
                    match (field.number, field.value.bytes()) {
                        (5, Some(value)) => record.body = Cow::Borrowed(any_bytes(value)),
                        (6, Some(pair)) if record.attributes.len() < SPAN_ATTRIBUTES_MAX => {
                            record.attributes.push(key_value(pair));
                        }
                        _ => {}
                    }
                }
                note(&all, "a record", to);
                to.record(&resource, &record);
            }
            note(&records, "a scope", to);
        }
    }
    note(&all, "the request", to);
}

fn parts(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let found = fields(message).filter(move |field| field.number == number);
    found.filter_map(|field| field.value.bytes())
}

/// The text or the bytes of an `AnyValue`.
fn any_bytes(message: &[u8]) -> &[u8] {
    let found = fields(message).filter(|field| matches!(field.number, 1 | 7)).last();
    found.and_then(|field| field.value.bytes()).unwrap_or_default()
}

fn note(all: &Fields<'_>, what: &str, to: &mut Logs<'_>) {
    if let Some(damage) = all.damage() {
        to.issues.add(IssueKind::Damage, || format!("{what} is damaged: {damage}"));
    }
}

pub(super) fn read_json(body: &[u8], to: &mut Logs<'_>) {
    let body = document(body);
    if !body.starts_with(b"{") {
        to.issues.add(IssueKind::UnknownFormat, || "this is not a JSON object".to_owned());
        return;
    }
    for entry in list(body, "resourceLogs") {
        let resource = member(entry, "resource").unwrap_or_default();
        let resource = list(resource, "attributes").map(json_key_value);
        let resource: Pairs<'_> = resource.take(INFO_ENTRIES_MAX).collect();
        for scope in list(entry, "scopeLogs") {
            let mut records = elements(member(scope, "logRecords").unwrap_or_default());
            for (_, object) in records.by_ref() {
                let attributes = list(object, "attributes").map(json_key_value);
                let body = member(object, "body").and_then(|value| members(value).last());
                let body = body.and_then(|(_, value)| text(value)).unwrap_or_default();
                let body = match body {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
                let attributes = attributes.take(SPAN_ATTRIBUTES_MAX).collect();
                to.record(&resource, &Record { attributes, body });
            }
            if records.is_damaged() {
                let example = || "logRecords is damaged: this is not JSON, or cut off".to_owned();
                to.issues.add(IssueKind::Damage, example);
            }
        }
    }
    if !body.ends_with(b"}") {
        to.issues.add(IssueKind::Damage, || "the request is cut off".to_owned());
    }
}

/// The last member of a name.
fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members(object).filter(|(have, _)| have == name).last().map(|(_, value)| value)
}

fn list<'a>(object: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    elements(member(object, name).unwrap_or_default()).map(|(_, value)| value)
}
