//! Spans as they are being read, whatever the form, and what becomes of them.

use super::DecodedSpans;
use crate::decoded::{IssueKind, Issues, Options};
use crate::limits::{
    INFO_ENTRIES_MAX, Limits, SPAN_ATTRIBUTES_MAX, SPAN_NAME_BYTES_MAX, SPAN_VALUE_BYTES_MAX,
};
use profile::hasher::BuildKeyed;
use profile::{Labels, Span, SpanBatch, SpanKind, SpanStatus};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use stdx::Timestamp;

/// The flags of OTLP that say whether it is known where the parent is, and that it is in another
/// process.
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// What was read of a span.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) parent_id: u64,
    pub(super) flags: u32,
    pub(super) name: Cow<'a, str>,
    /// To what it was done, where the client says it; attributes tell it else.
    pub(super) resource: Cow<'a, str>,
    pub(super) kind: SpanKind,
    pub(super) status: SpanStatus,
    pub(super) message: Cow<'a, str>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Collects spans within the limits.
pub(super) struct Builder {
    limits: Limits,
    pub(super) issues: Issues,
    batches: Vec<SpanBatch>,
    spans: usize,
    attributes: usize,
    rejected: u64,
    texts: HashSet<Arc<str>, BuildKeyed>,
}

impl Builder {
    pub(super) fn new(options: &Options, issues: Issues) -> Self {
        Self {
            limits: options.limits,
            issues,
            batches: Vec::new(),
            spans: 0,
            attributes: 0,
            rejected: 0,
            texts: HashSet::default(),
        }
    }

    /// A batch is over.
    pub(super) fn end(&mut self, batch: SpanBatch) {
        if batch.spans.is_empty() {
            return;
        }
        if self.batches.len() >= self.limits.profiles_max {
            self.rejected += batch.spans.len() as u64;
            let max = self.limits.profiles_max;
            self.issues.add(IssueKind::Limit, || format!("only spans of {max} resources are read"));
            return;
        }
        self.batches.push(batch);
    }

    /// An attribute of a batch's resource.
    pub(super) fn label(&mut self, labels: &mut Labels, name: &str, value: &str) {
        if labels.len() >= INFO_ENTRIES_MAX && labels.get(name).is_none() {
            self.issues.add(IssueKind::Limit, || {
                format!("only {INFO_ENTRIES_MAX} attributes of a resource are read")
            });
            return;
        }
        labels.set(cut(name, SPAN_NAME_BYTES_MAX), cut(value, SPAN_VALUE_BYTES_MAX));
    }

    /// Adds a span; says why it is left out where that has to be.
    pub(super) fn add(&mut self, batch: &mut SpanBatch, draft: Draft<'_>) -> bool {
        if self.spans >= self.limits.samples_max {
            self.rejected += 1;
            let max = self.limits.samples_max;
            self.issues.add(IssueKind::Limit, || format!("only {max} spans are read"));
            return false;
        }
        let wrong = if draft.trace_id == 0 {
            Some("the id of its trace is missing, zero, or not of the right length")
        } else if draft.span_id == 0 {
            Some("its id is missing, zero, or not of the right length")
        } else if draft.start == 0 || i64::try_from(draft.start).is_err() {
            Some("its start is missing or impossible")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.reject(&draft.name, wrong);
            return false;
        }
        self.spans += 1;
        let span = self.span(draft);
        batch.spans.push(span);
        true
    }

    /// A span is left out.
    pub(super) fn reject(&mut self, name: &str, wrong: &str) {
        self.rejected += 1;
        let name = cut(name, SPAN_NAME_BYTES_MAX);
        self.issues.add(IssueKind::Malformed, || format!("the span {name:?} is left out: {wrong}"));
    }

    fn span(&mut self, draft: Draft<'_>) -> Span {
        let end = i64::try_from(draft.end).unwrap_or(i64::MAX);
        let start = draft.start.cast_signed();
        if end < start {
            self.issues.add(IssueKind::Malformed, || {
                format!("the span {:?} ends before it begins: it takes no time", &*draft.name)
            });
        }
        let resource = resource_of(&draft);
        let resource = self.text(&resource, SPAN_NAME_BYTES_MAX);
        let is_remote = draft.flags & (PARENT_IS_KNOWN | PARENT_IS_REMOTE)
            == PARENT_IS_KNOWN | PARENT_IS_REMOTE;
        Span {
            trace_id: draft.trace_id,
            span_id: draft.span_id,
            parent_id: draft.parent_id,
            is_entry: draft.parent_id == 0 || is_remote || draft.kind.is_inbound(),
            kind: draft.kind,
            status: draft.status,
            name: self.text(&draft.name, SPAN_NAME_BYTES_MAX),
            resource,
            message: self.text(&draft.message, SPAN_VALUE_BYTES_MAX),
            start: Timestamp::from_nanos(start),
            duration_nanos: end.saturating_sub(start).max(0),
            attributes: self.attributes(&draft.attributes),
        }
    }

    fn attributes(&mut self, given: &[(Cow<'_, str>, Cow<'_, str>)]) -> Vec<(Arc<str>, Arc<str>)> {
        let left = self.limits.labels_max.saturating_sub(self.attributes);
        let max = SPAN_ATTRIBUTES_MAX.min(left);
        let mut kept: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in given {
            if name.is_empty() {
                continue;
            }
            if kept.len() >= max {
                self.issues.add(IssueKind::Limit, || {
                    format!("only {SPAN_ATTRIBUTES_MAX} attributes of a span are kept")
                });
                break;
            }
            let name = self.text(name, SPAN_NAME_BYTES_MAX);
            kept.push((name, self.text(value, SPAN_VALUE_BYTES_MAX)));
        }
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        kept.dedup_by(|a, b| a.0 == b.0);
        self.attributes += kept.len();
        kept
    }

    fn text(&mut self, text: &str, bytes_max: usize) -> Arc<str> {
        let short = cut(text, bytes_max);
        if short.len() < text.len() {
            self.issues
                .add(IssueKind::Limit, || format!("a text of a span is cut at {bytes_max} bytes"));
        }
        if let Some(known) = self.texts.get(short) {
            return Arc::clone(known);
        }
        let new: Arc<str> = short.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    pub(super) fn finish(self) -> DecodedSpans {
        DecodedSpans {
            batches: self.batches,
            rejected: self.rejected,
            issues: self.issues.into_vec(),
        }
    }
}

/// What the span was about.
fn resource_of<'a>(draft: &'a Draft<'_>) -> Cow<'a, str> {
    if !draft.resource.is_empty() {
        return Cow::Borrowed(&draft.resource);
    }
    let get = |name: &str| {
        let found = draft.attributes.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    };
    if let Some(name) = get("resource.name") {
        return Cow::Borrowed(name);
    }
    let method = get("http.request.method").or_else(|| get("http.method"));
    if let (Some(method), Some(route)) = (method, get("http.route")) {
        return Cow::Owned(format!("{method} {route}"));
    }
    if let (Some(service), Some(method)) = (get("rpc.service"), get("rpc.method")) {
        return Cow::Owned(format!("{service}/{method}"));
    }
    Cow::Borrowed(&draft.name)
}

/// The text up to a number of bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
