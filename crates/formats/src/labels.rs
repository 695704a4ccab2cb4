//! Sample labels: which ones are threads, spans and times, by the names clients give them.

use crate::decoded::{IssueKind, Issues};
use crate::intern::Budget;
use profile::{Attribute, AttributeValue, Link, Sample, StringId, Tables, Thread};
use std::borrow::Cow;
use std::cell::Cell;
use stdx::Timestamp;

/// A key, text or unit of labels. Payloads that name one again and again keep it: what it means and
/// its handle are looked for once. It is of one profile's tables.
#[derive(Clone, Debug)]
pub(crate) struct LabelText<'a> {
    text: Cow<'a, str>,
    meaning: Option<Meaning>,
    handle: Cell<Option<StringId>>,
}

impl<'a> LabelText<'a> {
    pub(crate) fn new(text: Cow<'a, str>) -> Self {
        Self { meaning: meaning(&text), text, handle: Cell::new(None) }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn intern(&self, tables: &mut Tables, budget: &mut Budget, issues: &mut Issues) -> StringId {
        self.handle.get().unwrap_or_else(|| {
            let handle = budget.intern(tables, &self.text, issues);
            self.handle.set(Some(handle));
            handle
        })
    }
}

/// A label value as it was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LabelValue<T> {
    Text(T),
    /// With its unit.
    Number(i64, T),
}

impl<T> LabelValue<T> {
    pub(crate) fn map<U>(self, of: impl FnOnce(T) -> U) -> LabelValue<U> {
        match self {
            Self::Text(text) => LabelValue::Text(of(text)),
            Self::Number(number, unit) => LabelValue::Number(number, of(unit)),
        }
    }

    pub(crate) fn as_ref(&self) -> LabelValue<&T> {
        match self {
            Self::Text(text) => LabelValue::Text(text),
            Self::Number(number, unit) => LabelValue::Number(*number, unit),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Meaning {
    ThreadId,
    ThreadName,
    /// Decimal when it is text (Datadog).
    SpanId,
    /// Sixteen hex digits when it is text (Pyroscope).
    SpanIdHex,
    RootSpanId,
    TraceId,
    /// Nanoseconds since the epoch.
    TimeNanos,
    /// Milliseconds since the epoch.
    TimeMillis,
}

fn meaning(key: &str) -> Option<Meaning> {
    Some(match key {
        "thread id" | "thread_id" | "thread.id" => Meaning::ThreadId,
        "thread name" | "thread_name" | "thread.name" => Meaning::ThreadName,
        "span id" => Meaning::SpanId,
        "span_id" | "profile_id" => Meaning::SpanIdHex,
        "local root span id" => Meaning::RootSpanId,
        "trace id" | "trace_id" => Meaning::TraceId,
        "end_timestamp_ns" | "timestamp_ns" => Meaning::TimeNanos,
        "source.event.time" => Meaning::TimeMillis,
        _ => return None,
    })
}

/// Labels of one sample, sorted into what the model knows and attributes.
#[derive(Debug, Default)]
pub(crate) struct SampleLabels {
    thread: Thread,
    link: Link,
    time: Option<Timestamp>,
    attributes: Vec<Attribute>,
}

impl SampleLabels {
    /// Takes one label in. Empty ones say nothing and are dropped.
    pub(crate) fn add(
        &mut self,
        key: &LabelText<'_>,
        value: LabelValue<&LabelText<'_>>,
        tables: &mut Tables,
        budget: &mut Budget,
        issues: &mut Issues,
    ) {
        if key.text.is_empty() || matches!(value, LabelValue::Text(text) if text.text.is_empty()) {
            return;
        }
        let (LabelValue::Text(text) | LabelValue::Number(_, text)) = value;
        if !budget.work(key.text.len() + text.text.len(), issues) {
            return;
        }
        if let Some(meaning) = key.meaning {
            let mut name = |value: LabelValue<&LabelText<'_>>| match value {
                LabelValue::Text(text) => text.intern(tables, budget, issues),
                LabelValue::Number(number, _) => budget.intern(tables, &number.to_string(), issues),
            };
            if matches!(value, LabelValue::Number(0, _)) || self.take(meaning, value, &mut name) {
                return;
            }
        }
        let key = key.intern(tables, budget, issues);
        let text = text.intern(tables, budget, issues);
        let value = match value {
            LabelValue::Text(_) => AttributeValue::Text(text),
            LabelValue::Number(number, _) => AttributeValue::Number(number, text),
        };
        self.attributes.push(Attribute { key, value });
    }

    /// Fields that are taken already, and values that cannot be read, stay attributes.
    fn take(
        &mut self,
        meaning: Meaning,
        value: LabelValue<&LabelText<'_>>,
        name: &mut impl FnMut(LabelValue<&LabelText<'_>>) -> StringId,
    ) -> bool {
        match meaning {
            Meaning::ThreadId => set(&mut self.thread.id, 0, integer(value)),
            Meaning::ThreadName => {
                set(&mut self.thread.name, StringId::default(), Some(name(value)))
            }
            Meaning::SpanId => set(&mut self.link.span_id, 0, id64(value, 10)),
            Meaning::SpanIdHex => set(&mut self.link.span_id, 0, id64(value, 16)),
            Meaning::RootSpanId => set(&mut self.link.root_span_id, 0, id64(value, 10)),
            Meaning::TraceId => set(&mut self.link.trace_id, 0, id128(value)),
            Meaning::TimeNanos => self.set_time(integer(value)),
            Meaning::TimeMillis => {
                self.set_time(integer(value).and_then(|millis| millis.checked_mul(1_000_000)))
            }
        }
    }

    fn set_time(&mut self, nanos: Option<i64>) -> bool {
        let time = nanos.filter(|nanos| *nanos > 0).map(|nanos| Some(Timestamp::from_nanos(nanos)));
        set(&mut self.time, None, time)
    }

    pub(crate) fn set_link(&mut self, trace_id: u128, span_id: u64) {
        self.link.trace_id = trace_id;
        self.link.span_id = span_id;
    }

    pub(crate) fn set_spans(&mut self, span_id: u64, root_span_id: u64) {
        self.link.span_id = span_id;
        self.link.root_span_id = root_span_id;
    }

    /// Takes an attribute whose texts are interned already.
    pub(crate) fn push(&mut self, attribute: Attribute) {
        self.attributes.push(attribute);
    }

    /// Fills the sample's thread, link, time and attributes, and is empty then.
    pub(crate) fn apply(
        &mut self,
        sample: &mut Sample,
        tables: &mut Tables,
        budget: &mut Budget,
        issues: &mut Issues,
    ) {
        let Self { thread, link, time, attributes } = self;
        if *thread != Thread::default() {
            sample.thread = Some(tables.threads.intern(std::mem::take(thread)));
        }
        if *link != Link::default() {
            sample.link = Some(tables.links.intern(std::mem::take(link)));
        }
        sample.time = time.take();
        let max = budget.limits.labels_per_sample_max;
        if attributes.len() > max {
            issues.add(IssueKind::Limit, || format!("a sample keeps only {max} labels"));
            attributes.truncate(max);
        }
        if attributes.is_empty() {
            return;
        }
        attributes.sort_unstable();
        attributes.dedup();
        let before = tables.attributes.len();
        let count = attributes.len();
        if budget.labels(count, issues) {
            sample.attributes = Some(tables.attributes.intern_slice(attributes));
            if tables.attributes.len() == before {
                budget.return_labels(count);
            }
        }
        attributes.clear();
    }
}

fn set<T: PartialEq>(slot: &mut T, empty: T, value: Option<T>) -> bool {
    match value {
        Some(value) if *slot == empty && value != empty => {
            *slot = value;
            true
        }
        _ => false,
    }
}

fn integer(value: LabelValue<&LabelText<'_>>) -> Option<i64> {
    match value {
        LabelValue::Text(text) => text.text.parse().ok(),
        LabelValue::Number(number, _) => Some(number),
    }
}

/// Numbers are signed on the wire and unsigned in meaning; text is decimal or hex as clients write
/// it, and the other one where that cannot be.
fn id64(value: LabelValue<&LabelText<'_>>, radix: u32) -> Option<u64> {
    match value {
        LabelValue::Number(number, _) => Some(number.cast_unsigned()),
        LabelValue::Text(text) => {
            let text = text.text();
            let hex = || (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
            let decimal = || text.parse().ok();
            // Some leave out zeros in front.
            let short = || u64::from_str_radix(text, 16).ok();
            if radix == 16 { hex().or_else(decimal).or_else(short) } else { decimal().or_else(hex) }
        }
    }
}

fn id128(value: LabelValue<&LabelText<'_>>) -> Option<u128> {
    match value {
        LabelValue::Number(number, _) => Some(u128::from(number.cast_unsigned())),
        LabelValue::Text(text) => {
            let text = text.text();
            if text.len() == 32 {
                return u128::from_str_radix(text, 16).ok();
            }
            let hex = || (text.len() == 16).then(|| u128::from_str_radix(text, 16).ok()).flatten();
            text.parse().ok().or_else(hex)
        }
    }
}
