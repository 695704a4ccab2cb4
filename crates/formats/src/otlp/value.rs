//! Attribute values as text or numbers.

use super::dictionary::Dictionary;
use crate::decoded::Issues;
use crate::intern::{Budget, text};
use crate::labels::LabelValue;
use wire::scan::{Value, fields};

/// How deep lists inside attribute values are read.
const DEPTH_MAX: usize = 3;
/// How many entries of a list are read.
const LIST_ENTRIES_MAX: usize = 64;

/// Reads an `AnyValue`, whose strings may stand in the dictionary.
pub(super) fn any_value(
    message: &[u8],
    dictionary: &Dictionary<'_>,
    budget: &mut Budget,
    issues: &mut Issues,
) -> LabelValue<String> {
    nested(message, dictionary, budget, issues, DEPTH_MAX)
}

fn nested(
    message: &[u8],
    dictionary: &Dictionary<'_>,
    budget: &mut Budget,
    issues: &mut Issues,
    depth: usize,
) -> LabelValue<String> {
    // The last one counts, and only that one is read: the others may be many and long.
    let known = fields(message).filter(|field| matches!(field.number, 1..=5 | 7 | 8));
    let Some(field) = known.last() else { return LabelValue::Text(String::new()) };
    let text = match (field.number, field.value) {
        (1, Value::Len(bytes)) => text(bytes, &budget.limits, issues).into_owned(),
        (2, Value::Varint(flag)) => (flag != 0).to_string(),
        (3, Value::Varint(number)) => {
            return LabelValue::Number(number.cast_signed(), String::new());
        }
        (4, Value::I64(bits)) => f64::from_bits(bits).to_string(),
        (5, Value::Len(list)) if depth > 0 => joined(list, dictionary, budget, issues, depth - 1),
        (7, Value::Len(bytes)) => {
            let bytes = &bytes[..bytes.len().min(LIST_ENTRIES_MAX)];
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        (8, Value::Varint(index)) => dictionary.string(index, budget, issues),
        _ => String::new(),
    };
    LabelValue::Text(text)
}

/// The entries of a list, up to the length of one text: each may name the longest there is.
fn joined(
    list: &[u8],
    dictionary: &Dictionary<'_>,
    budget: &mut Budget,
    issues: &mut Issues,
    depth: usize,
) -> String {
    let mut out = String::new();
    let entries = fields(list).filter_map(|entry| entry.value.bytes());
    for (at, entry) in entries.take(LIST_ENTRIES_MAX).enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&into_text(nested(entry, dictionary, budget, issues, depth)));
        if out.len() > budget.limits.string_bytes_max {
            return text(out.as_bytes(), &budget.limits, issues).into_owned();
        }
    }
    out
}

/// The value as text.
pub(super) fn into_text(value: LabelValue<String>) -> String {
    match value {
        LabelValue::Text(text) => text,
        LabelValue::Number(number, _) => number.to_string(),
    }
}
