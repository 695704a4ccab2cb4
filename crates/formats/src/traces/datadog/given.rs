//! What a client says of one span, whatever the form, and what it means in the model.

use crate::limits::SPAN_ATTRIBUTES_MAX;
use crate::traces::draft::Draft;
use profile::{SpanKind, SpanStatus};
use std::borrow::Cow;

/// A value without parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

/// A span as it is being read.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    pub(super) service: Cow<'a, str>,
    pub(super) env: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) host: Cow<'a, str>,
    pub(super) instance: Cow<'a, str>,
    pub(super) language: Cow<'a, str>,
    /// Upper half of the trace's id.
    pub(super) trace_high: Option<u64>,
    /// Whether the client marks it as the first of its service.
    pub(super) is_marked: bool,
    /// Why it cannot be kept.
    pub(super) wrong: Option<&'static str>,
    category: Cow<'a, str>,
    duration: i64,
    draft: Draft<'a>,
}

/// The side of a call that a category stands for where the span does not say it.
const KINDS: [(&str, SpanKind); 12] = [
    ("web", SpanKind::Server),
    ("serverless", SpanKind::Server),
    ("http", SpanKind::Client),
    ("db", SpanKind::Client),
    ("sql", SpanKind::Client),
    ("cache", SpanKind::Client),
    ("redis", SpanKind::Client),
    ("memcached", SpanKind::Client),
    ("mongodb", SpanKind::Client),
    ("cassandra", SpanKind::Client),
    ("elasticsearch", SpanKind::Client),
    ("grpc", SpanKind::Client),
];

impl<'a> Scalar<'a> {
    /// An id: some write them as signed numbers, or as decimal text.
    fn id(&self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Unsigned(number) => Some(*number),
            Self::Negative(number) => Some(number.cast_unsigned()),
            Self::Text(text) => text.parse().ok(),
            Self::Float(_) => None,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Nothing => Some(0),
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            Self::Negative(number) => Some(*number),
            // Within what a floating number holds exactly enough; saturates.
            Self::Float(number) => number.is_finite().then_some(*number as i64),
            Self::Text(text) => text.parse().ok(),
        }
    }

    fn is_set(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Unsigned(0)) && *self != Self::Float(0.0)
    }

    /// As text, whatever it is.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Nothing => Cow::Borrowed(""),
            Self::Text(text) => text,
            Self::Unsigned(number) => Cow::Owned(number.to_string()),
            Self::Negative(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
        }
    }
}

impl<'a> Given<'a> {
    /// Takes a field in by its name. Those of other names say nothing here.
    pub(super) fn set(&mut self, field: &str, value: Scalar<'a>) {
        match field {
            "service" => self.service = value.into_text(),
            "name" => self.draft.name = value.into_text(),
            "resource" => self.draft.resource = value.into_text(),
            "type" => self.category = value.into_text(),
            "trace_id" => match value.id() {
                Some(id) => self.draft.trace_id = u128::from(id),
                None => self.wrong = Some("the id of its trace is no number"),
            },
            "span_id" => match value.id() {
                Some(id) => self.draft.span_id = id,
                None => self.wrong = Some("its id is no number"),
            },
            "parent_id" => match value.id() {
                Some(id) => self.draft.parent_id = id,
                None => self.wrong = Some("the id of its parent is no number"),
            },
            "start" => match value.integer() {
                Some(nanos) => self.draft.start = u64::try_from(nanos).unwrap_or(0),
                None => self.wrong = Some("its start is no number"),
            },
            "duration" => match value.integer() {
                Some(nanos) => self.duration = nanos,
                None => self.wrong = Some("its duration is no number"),
            },
            "error" if value.is_set() => self.draft.status = SpanStatus::Error,
            _ => {}
        }
    }

    /// An entry of `meta`.
    pub(super) fn meta(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match &*name {
            "env" => self.env = value,
            "version" => self.version = value,
            "runtime-id" => self.instance = value,
            "language" => self.language = value,
            "_dd.hostname" | "_dd.tracer_host" => self.host = value,
            "_dd.p.tid" => self.trace_high = high(&value),
            "span.kind" => {
                self.draft.kind = SpanKind::from_name(&value).unwrap_or_default();
            }
            "error.message" | "error.msg" => self.draft.message = value,
            // The first is long, the second repeats the span's own.
            "error.stack" | "service" => {}
            _ => self.attribute(name, value),
        }
    }

    /// An entry of `metrics`.
    pub(super) fn metric(&mut self, name: Cow<'a, str>, value: Scalar<'a>) {
        if &*name == "_dd.top_level" {
            self.is_marked = value.is_set();
            return;
        }
        self.attribute(name, value.into_text());
    }

    /// What begins so is a note of the library to its agent.
    fn attribute(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let attributes = &mut self.draft.attributes;
        // One more than are kept, so that it is told.
        if !name.starts_with('_') && attributes.len() <= SPAN_ATTRIBUTES_MAX {
            attributes.push((name, value));
        }
    }

    /// Name of the span.
    pub(super) fn name(&self) -> &str {
        &self.draft.name
    }

    /// Its id, and the lower half of that of its trace.
    pub(super) fn ids(&self) -> (u64, u64) {
        (self.draft.span_id, self.draft.trace_id as u64)
    }

    pub(super) fn into_draft(mut self) -> Draft<'a> {
        self.draft.end = self.draft.start.saturating_add_signed(self.duration);
        if self.draft.kind == SpanKind::Unspecified {
            let found = KINDS.iter().find(|(name, _)| *name == self.category);
            self.draft.kind = found.map_or(SpanKind::Unspecified, |(_, kind)| *kind);
        }
        if !self.category.is_empty() {
            let category = std::mem::take(&mut self.category);
            self.draft.attributes.insert(0, (Cow::Borrowed("span.type"), category));
        }
        self.draft
    }
}

/// Sixteen hexadecimal digits; anything else says nothing.
fn high(text: &str) -> Option<u64> {
    let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
