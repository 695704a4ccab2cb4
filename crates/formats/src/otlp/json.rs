//! Requests as protobuf's JSON: written anew as protobuf, so that one reader serves both.
//!
//! Contract: <https://protobuf.dev/programming-guides/json/>, with ids in hexadecimal digits as
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding> wants them. Names are those of
//! the layouts since v1.9; members of other names are left out and said.

use crate::decoded::{IssueKind, Issues};
use crate::json::{document, elements, members, number, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Lists and maps within values of attributes.
const DEPTH_MAX: usize = 24;

/// What a member holds; a list of it where the value is one.
enum Holds {
    Varint,
    Fixed64,
    Double,
    Text,
    /// Bytes in hexadecimal digits.
    Id,
    Bytes,
    Message(&'static Fields),
}
use Holds::{Bytes, Double, Fixed64, Id, Message, Text, Varint};

/// A member's names in snake case, its number, and what it holds.
type Field = (&'static [&'static str], u32, Holds);

/// The members of a message. Values of attributes hold themselves, which only statics may.
type Fields = &'static [Field];

static REQUEST: Fields = &[
    (&["resource_profiles"], 1, Message(&RESOURCE_PROFILES)),
    (&["dictionary"], 2, Message(&TABLES)),
];
static RESOURCE_PROFILES: Fields = &[
    (&["resource"], 1, Message(&RESOURCE)),
    (&["scope_profiles"], 2, Message(&SCOPE_PROFILES)),
    (&["schema_url"], 3, Text),
];
static RESOURCE: Fields =
    &[(&["attributes"], 1, Message(&KEY_VALUE)), (&["dropped_attributes_count"], 2, Varint)];
static SCOPE_PROFILES: Fields = &[
    (&["scope"], 1, Message(&SCOPE)),
    (&["profiles"], 2, Message(&PROFILE)),
    (&["schema_url"], 3, Text),
];
static SCOPE: Fields = &[
    (&["name"], 1, Text),
    (&["version"], 2, Text),
    (&["attributes"], 3, Message(&KEY_VALUE)),
    (&["dropped_attributes_count"], 4, Varint),
];
static KEY_VALUE: Fields =
    &[(&["key"], 1, Text), (&["value"], 2, Message(&ANY_VALUE)), (&["key_strindex"], 3, Varint)];
static ANY_VALUE: Fields = &[
    (&["string_value"], 1, Text),
    (&["bool_value"], 2, Varint),
    (&["int_value"], 3, Varint),
    (&["double_value"], 4, Double),
    (&["array_value"], 5, Message(&ARRAY)),
    (&["kvlist_value"], 6, Message(&LIST)),
    (&["bytes_value"], 7, Bytes),
    (&["string_value_strindex"], 8, Varint),
];
static ARRAY: Fields = &[(&["values"], 1, Message(&ANY_VALUE))];
static LIST: Fields = &[(&["values"], 1, Message(&KEY_VALUE))];
static PROFILE: Fields = &[
    (&["sample_type"], 1, Message(&VALUE_TYPE)),
    (&["samples", "sample"], 2, Message(&SAMPLE)),
    (&["time_unix_nano"], 3, Fixed64),
    (&["duration_nano"], 4, Varint),
    (&["period_type"], 5, Message(&VALUE_TYPE)),
    (&["period"], 6, Varint),
    (&["profile_id"], 7, Id),
    (&["dropped_attributes_count"], 8, Varint),
    (&["original_payload_format"], 9, Text),
    (&["original_payload"], 10, Bytes),
    (&["attribute_indices"], 11, Varint),
];
static VALUE_TYPE: Fields = &[(&["type_strindex"], 1, Varint), (&["unit_strindex"], 2, Varint)];
static SAMPLE: Fields = &[
    (&["stack_index"], 1, Varint),
    (&["attribute_indices"], 2, Varint),
    (&["link_index"], 3, Varint),
    (&["values"], 4, Varint),
    (&["timestamps_unix_nano"], 5, Fixed64),
];
static TABLES: Fields = &[
    (&["mapping_table"], 1, Message(&MAPPING)),
    (&["location_table"], 2, Message(&LOCATION)),
    (&["function_table"], 3, Message(&FUNCTION)),
    (&["link_table"], 4, Message(&LINK)),
    (&["string_table"], 5, Text),
    (&["attribute_table"], 6, Message(&ATTRIBUTE)),
    (&["stack_table"], 7, Message(&STACK)),
];
static LINK: Fields = &[(&["trace_id"], 1, Id), (&["span_id"], 2, Id)];
static STACK: Fields = &[(&["location_indices"], 1, Varint)];
static MAPPING: Fields = &[
    (&["memory_start"], 1, Varint),
    (&["memory_limit"], 2, Varint),
    (&["file_offset"], 3, Varint),
    (&["filename_strindex"], 4, Varint),
    (&["attribute_indices"], 5, Varint),
];
static LOCATION: Fields = &[
    (&["mapping_index"], 1, Varint),
    (&["address"], 2, Varint),
    (&["lines", "line"], 3, Message(&LINE)),
    (&["attribute_indices"], 4, Varint),
];
static LINE: Fields =
    &[(&["function_index"], 1, Varint), (&["line"], 2, Varint), (&["column"], 3, Varint)];
static FUNCTION: Fields = &[
    (&["name_strindex"], 1, Varint),
    (&["system_name_strindex"], 2, Varint),
    (&["filename_strindex"], 3, Varint),
    (&["start_line"], 4, Varint),
];
static ATTRIBUTE: Fields = &[
    (&["key_strindex"], 1, Varint),
    (&["value"], 2, Message(&ANY_VALUE)),
    (&["unit_strindex"], 3, Varint),
];

/// The request as protobuf, in the layout of v1.10; what cannot be read is left out.
pub(super) fn to_protobuf(body: &[u8], issues: &mut Issues) -> Vec<u8> {
    let body = document(body);
    if !body.starts_with(b"{") {
        issues.add(IssueKind::UnknownFormat, || "this is not a JSON object".to_owned());
        return Vec::new();
    }
    if !body.ends_with(b"}") {
        issues.add(IssueKind::Damage, || "the request is cut off".to_owned());
    }
    message(body, REQUEST, DEPTH_MAX, issues)
}

fn message(object: &[u8], fields: &[Field], depth: usize, issues: &mut Issues) -> Vec<u8> {
    let mut out = Vec::new();
    if depth == 0 {
        issues.add(IssueKind::Limit, || "values within values are cut off".to_owned());
        return out;
    }
    let mut all = members(object);
    for (name, value) in all.by_ref().filter(|(_, value)| *value != b"null") {
        let field = fields.iter().find(|field| field.0.iter().any(|known| is_named(&name, known)));
        let Some((_, number, holds)) = field else {
            let name: String = name.chars().take(40).collect();
            issues.add(IssueKind::NotKept, || format!("a member {name:?} is not known"));
            continue;
        };
        write(*number, holds, value, depth, &mut out, issues);
    }
    if all.is_damaged() {
        issues.add(IssueKind::Damage, || "this is not JSON, or cut off".to_owned());
    }
    out
}

/// Whether a member's name is a field's, in camel or snake case.
fn is_named(name: &str, field: &str) -> bool {
    let plain = |text: &str| text.bytes().filter(|byte| *byte != b'_').collect::<Vec<u8>>();
    name.len() <= field.len() && plain(name).eq_ignore_ascii_case(&plain(field))
}

fn write(
    at: u32,
    holds: &Holds,
    value: &[u8],
    depth: usize,
    out: &mut Vec<u8>,
    issues: &mut Issues,
) {
    let is_list = value.starts_with(b"[");
    match holds {
        Varint | Fixed64 | Double if is_list => {
            let mut packed = Vec::new();
            let mut all = elements(value);
            all.by_ref().for_each(|(_, value)| scalar(holds, value, &mut packed, issues));
            note(all.is_damaged(), issues);
            delimited(at, &packed, out);
        }
        Varint | Fixed64 | Double => {
            varint(u64::from(at) << 3 | u64::from(!matches!(holds, Varint)), out);
            scalar(holds, value, out, issues);
        }
        Text | Id | Bytes | Message(_) if is_list => {
            let mut all = elements(value);
            for (_, value) in all.by_ref() {
                // Every place of a table counts.
                delimited(at, &content(holds, value, depth, issues), out);
            }
            note(all.is_damaged(), issues);
        }
        Text | Id | Bytes | Message(_) => delimited(at, &content(holds, value, depth, issues), out),
    }
}

fn note(is_damaged: bool, issues: &mut Issues) {
    if is_damaged {
        issues.add(IssueKind::Damage, || "a list is not JSON, or cut off".to_owned());
    }
}

/// A number or a truth value; 0 where it is neither.
fn scalar(holds: &Holds, value: &[u8], out: &mut Vec<u8>, issues: &mut Issues) {
    let truth = || (value == b"true").then_some(1).or((value == b"false").then_some(0));
    let whole = number::<i64>(value).map(i64::cast_unsigned).or_else(|| number::<u64>(value));
    let found = match holds {
        Double => number::<f64>(value).map(f64::to_bits),
        _ => whole.or_else(truth).or_else(|| number::<f64>(value).map(|it| (it as i64) as u64)),
    };
    if found.is_none() {
        let text: String = String::from_utf8_lossy(value).chars().take(40).collect();
        issues.add(IssueKind::Malformed, || format!("{text} is not a number"));
    }
    match holds {
        Varint => varint(found.unwrap_or(0), out),
        _ => out.extend(found.unwrap_or(0).to_le_bytes()),
    }
}

fn content(holds: &Holds, value: &[u8], depth: usize, issues: &mut Issues) -> Vec<u8> {
    if let Message(fields) = holds {
        return message(value, fields, depth - 1, issues);
    }
    let text = text(value).unwrap_or_default();
    let bytes = match holds {
        Id => hex(&text),
        Bytes => STANDARD.decode(text.as_bytes()).ok(),
        _ => Some(text.as_bytes().to_vec()),
    };
    if bytes.is_none() {
        issues.add(IssueKind::Malformed, || "bytes are not written as such".to_owned());
    }
    bytes.unwrap_or_default()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

fn delimited(at: u32, content: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(at) << 3 | 2, out);
    varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
