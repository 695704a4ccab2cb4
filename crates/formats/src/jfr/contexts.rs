//! Pyroscope's table of dynamic labels, which comes beside a file: events name a context, the table
//! says its labels.
//!
//! `LabelsSnapshot { map<int64, Context> contexts = 1; map<int64, string> strings = 2; }` and
//! `Context { map<int64, int64> labels = 1; }`, both numbers of a label being keys of strings.

use super::decode::Out;
use crate::compress::decompress;
use crate::decoded::{IssueKind, Issues};
use crate::intern::text;
use crate::labels::{LabelText, LabelValue, SampleLabels};
use crate::limits::Limits;
use profile::KeyedMap;
use std::borrow::Cow;
use wire::scan::{Field, fields};

/// The labels of contexts.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    /// Where a context's labels begin and end.
    ranges: KeyedMap<u64, (usize, usize)>,
    labels: Vec<(u64, u64)>,
    strings: KeyedMap<u64, Box<str>>,
}

/// The key and the value of an entry of a map.
fn entry<'a>(field: &Field<'a>) -> (Option<Field<'a>>, Option<Field<'a>>) {
    let parts = || fields(field.value.bytes().unwrap_or_default());
    (parts().find(|part| part.number == 1), parts().find(|part| part.number == 2))
}

/// Numbers that are 0 are left out.
fn number(field: Option<&Field<'_>>) -> u64 {
    field.and_then(|field| field.value.number()).unwrap_or(0)
}

impl Contexts {
    /// Reads a table, compressed or not.
    pub(super) fn read(bytes: &[u8], limits: &Limits, issues: &mut Issues) -> Self {
        let mut found = Self::default();
        let table = decompress(bytes, limits, issues);
        let mut parts = fields(&table);
        for part in parts.by_ref() {
            match part.number {
                1 => found.context(&part, limits, issues),
                2 => found.string(&part, limits, issues),
                _ => {}
            }
        }
        if let Some(damage) = parts.damage() {
            issues.add(IssueKind::Damage, || {
                format!("the labels beside the file are damaged: {damage:?}")
            });
        }
        found
    }

    fn context(&mut self, part: &Field<'_>, limits: &Limits, issues: &mut Issues) {
        let (key, value) = entry(part);
        let labels = fields(value.and_then(|value| value.value.bytes()).unwrap_or_default());
        let start = self.labels.len();
        for label in labels.filter(|label| label.number == 1).take(limits.labels_per_sample_max) {
            let (key, value) = entry(&label);
            self.labels.push((number(key.as_ref()), number(value.as_ref())));
        }
        if self.labels.len() > limits.labels_max || self.ranges.len() >= limits.labels_max {
            self.labels.truncate(start);
            issues.add(IssueKind::Limit, || {
                format!("only {} labels of contexts are kept", limits.labels_max)
            });
            return;
        }
        self.ranges.insert(number(key.as_ref()), (start, self.labels.len()));
    }

    fn string(&mut self, part: &Field<'_>, limits: &Limits, issues: &mut Issues) {
        if self.strings.len() >= limits.strings_max {
            issues.add(IssueKind::Limit, || {
                format!("only {} strings of labels are kept", limits.strings_max)
            });
            return;
        }
        let (key, value) = entry(part);
        let bytes = value.and_then(|value| value.value.bytes()).unwrap_or_default();
        let value = text(bytes, limits, issues).into();
        self.strings.insert(number(key.as_ref()), value);
    }

    /// Adds the labels of a context; 0 is none.
    pub(super) fn label(&self, context: u64, labels: &mut SampleLabels, out: &mut Out) {
        if context == 0 || self.ranges.is_empty() {
            return;
        }
        let Some(&(start, end)) = self.ranges.get(&context) else {
            out.issues.add(IssueKind::Reference, || {
                format!("there is no context {context} among the labels beside the file")
            });
            return;
        };
        let text = |key: &u64| {
            let text = self.strings.get(key).map_or("", |text| &**text);
            LabelText::new(Cow::Borrowed(text))
        };
        for (key, value) in &self.labels[start..end] {
            let Out { profile, budget, issues } = &mut *out;
            let (key, value) = (text(key), text(value));
            labels.add(&key, LabelValue::Text(&value), &mut profile.tables, budget, issues);
        }
    }
}
