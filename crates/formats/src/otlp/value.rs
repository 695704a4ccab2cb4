//! Attribute values as text or numbers.

use crate::decoded::{Issues, Options};
use crate::intern::text;
use crate::labels::LabelValue;
use wire::scan::{Value, fields};

/// How deep lists inside attribute values are read.
const DEPTH_MAX: usize = 3;
/// How many entries of a list are read.
const LIST_ENTRIES_MAX: usize = 64;

/// Reads an `AnyValue`; `strings` resolves indices into the dictionary.
pub(super) fn any_value(
    message: &[u8],
    strings: &dyn Fn(u64) -> Vec<u8>,
    options: &Options,
    issues: &mut Issues,
) -> LabelValue {
    nested(message, strings, options, issues, DEPTH_MAX)
}

fn nested(
    message: &[u8],
    strings: &dyn Fn(u64) -> Vec<u8>,
    options: &Options,
    issues: &mut Issues,
    depth: usize,
) -> LabelValue {
    let mut found = LabelValue::Text(String::new());
    for field in fields(message) {
        found = match (field.number, field.value) {
            (1, Value::Len(bytes)) => LabelValue::Text(text(bytes, &options.limits, issues)),
            (2, Value::Varint(flag)) => LabelValue::Text((flag != 0).to_string()),
            (3, Value::Varint(number)) => LabelValue::Number(number.cast_signed(), String::new()),
            (4, Value::I64(bits)) => LabelValue::Text(f64::from_bits(bits).to_string()),
            (5, Value::Len(list)) if depth > 0 => {
                let entries = fields(list).filter_map(|entry| entry.value.bytes());
                let texts: Vec<String> = entries
                    .take(LIST_ENTRIES_MAX)
                    .map(|entry| into_text(nested(entry, strings, options, issues, depth - 1)))
                    .collect();
                LabelValue::Text(texts.join(","))
            }
            (7, Value::Len(bytes)) => {
                let bytes = &bytes[..bytes.len().min(LIST_ENTRIES_MAX)];
                LabelValue::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            (8, Value::Varint(index)) => {
                LabelValue::Text(text(&strings(index), &options.limits, issues))
            }
            _ => continue,
        };
    }
    found
}

/// The value as text.
pub(super) fn into_text(value: LabelValue) -> String {
    match value {
        LabelValue::Text(text) => text,
        LabelValue::Number(number, _) => number.to_string(),
    }
}
