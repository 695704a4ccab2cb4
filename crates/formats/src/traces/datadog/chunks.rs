//! Chunks of spans become batches: one for each service, environment and version.

use super::Entries;
use super::given::Given;
use crate::decoded::IssueKind;
use crate::limits::{SPAN_BATCHES_MAX, SPAN_NAME_BYTES_MAX};
use crate::msgpack::Damage;
use crate::traces::draft::{Builder, cut};
use crate::traces::{DecodedSpans, damaged};
use profile::SpanBatch;
use profile::hasher::KeyedMap;
use profile::labels::names;
use std::borrow::Cow;

/// Collects chunks.
pub(super) struct Chunks {
    builder: Builder,
    entries: Entries,
    /// What is known of the process where its spans do not say it.
    pub(super) process: Process,
    batches: Vec<(Series, SpanBatch)>,
    places: KeyedMap<Series, usize>,
    chunk: Chunk,
}

/// What a payload says of the process, or the first of its spans that says it.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) env: String,
    pub(super) version: String,
    pub(super) host: String,
    pub(super) instance: String,
    pub(super) language: String,
}

/// What tells batches apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Series {
    service: String,
    env: String,
    version: String,
}

/// The chunk that is being read.
#[derive(Debug, Default)]
struct Chunk {
    env: String,
    /// Upper half of the id of its trace, and the lower half that it belongs to (0: any).
    high: Option<(u64, u64)>,
    placed: Vec<Placed>,
    batch_of: KeyedMap<u64, usize>,
}

/// Where a span of the chunk is.
#[derive(Clone, Copy, Debug)]
struct Placed {
    batch: usize,
    at: usize,
    is_marked: bool,
}

impl Chunks {
    pub(super) fn new(builder: Builder, entries: Entries) -> Self {
        Self {
            builder,
            entries,
            process: Process::default(),
            batches: Vec::new(),
            places: KeyedMap::default(),
            chunk: Chunk::default(),
        }
    }

    /// What is read is none of what was expected.
    pub(super) fn unknown(&mut self, what: &str) {
        self.builder.issues.add(IssueKind::UnknownFormat, || what.to_owned());
    }

    /// Something was passed over.
    pub(super) fn malformed(&mut self, what: &str) {
        self.builder.issues.add(IssueKind::Malformed, || what.to_owned());
    }

    /// A limit was hit.
    pub(super) fn limited(&mut self, what: impl FnOnce() -> String) {
        self.builder.issues.add(IssueKind::Limit, what);
    }

    /// Nothing more can be read.
    pub(super) fn stopped(&mut self, damage: Damage) {
        damaged(&mut self.builder.issues, "the request", &damage);
    }

    /// As [`Chunks::stopped`], of JSON.
    pub(super) fn stopped_at(&mut self, at: usize) {
        damaged(&mut self.builder.issues, "the request", &format!("no JSON from byte {at} on"));
    }

    /// A span that cannot be kept.
    pub(super) fn reject(&mut self, name: &str, wrong: &str) {
        self.builder.reject(name, wrong);
    }

    /// Upper half of the id of the chunk's trace.
    pub(super) fn set_trace_high(&mut self, text: &str) {
        let mut given = Given::default();
        given.meta(Cow::Borrowed("_dd.p.tid"), Cow::Borrowed(text));
        self.chunk.high = given.trace_high.map(|high| (high, 0));
    }

    /// Takes a span of the chunk.
    pub(super) fn add(&mut self, given: Given<'_>) {
        if let Some(wrong) = given.wrong {
            self.builder.reject(given.name(), wrong);
            return;
        }
        let (span_id, low) = given.ids();
        let chunk = &mut self.chunk;
        if let (Some(high), None) = (given.trace_high, chunk.high) {
            chunk.high = Some((high, low));
        }
        first(&mut chunk.env, &given.env);
        first(&mut self.process.host, &given.host);
        first(&mut self.process.instance, &given.instance);
        first(&mut self.process.language, &given.language);
        let is_marked = given.is_marked;
        let Some(batch) = self.batch(&given) else {
            self.builder.reject(given.name(), "there are too many services");
            return;
        };
        let spans = &mut self.batches[batch].1;
        if self.builder.add(spans, given.into_draft()) {
            let at = spans.spans.len() - 1;
            self.chunk.placed.push(Placed { batch, at, is_marked });
            self.chunk.batch_of.insert(span_id, batch);
        }
    }

    /// The batch of a span's series; `None` when there are too many.
    fn batch(&mut self, given: &Given<'_>) -> Option<usize> {
        let env = if given.env.is_empty() { &*self.chunk.env } else { &*given.env };
        let wanted = [&*given.service, env, &*given.version];
        let wanted = wanted.map(|text| cut(text, SPAN_NAME_BYTES_MAX));
        let is_same = |have: &Series| [&*have.service, &*have.env, &*have.version] == wanted;
        // Most often it is that of the span before.
        if let Some(last) = self.chunk.placed.last().map(|placed| placed.batch)
            && is_same(&self.batches[last].0)
        {
            return Some(last);
        }
        let [service, env, version] = wanted.map(str::to_owned);
        let series = Series { service, env, version };
        if let Some(known) = self.places.get(&series) {
            return Some(*known);
        }
        if self.batches.len() >= SPAN_BATCHES_MAX {
            self.limited(|| format!("only spans of {SPAN_BATCHES_MAX} services are read"));
            return None;
        }
        let place = self.batches.len();
        self.places.insert(series.clone(), place);
        self.batches.push((series, SpanBatch::default()));
        Some(place)
    }

    /// The chunk is over: now it is known which spans have their parents in it.
    pub(super) fn end_chunk(&mut self) {
        let chunk = &mut self.chunk;
        for placed in &chunk.placed {
            let parent = self.batches[placed.batch].1.spans[placed.at].parent_id;
            let service = &self.batches[placed.batch].0.service;
            let is_first = match self.entries {
                Entries::Marked => false,
                Entries::Unmarked => {
                    let parent = chunk.batch_of.get(&parent);
                    parent.is_none_or(|batch| self.batches[*batch].0.service != *service)
                }
            };
            let span = &mut self.batches[placed.batch].1.spans[placed.at];
            span.is_entry = parent == 0 || placed.is_marked || is_first;
            if let Some((high, low)) = chunk.high
                && (low == 0 || span.trace_id == u128::from(low))
            {
                span.trace_id |= u128::from(high) << 64;
            }
        }
        chunk.env.clear();
        chunk.high = None;
        chunk.placed.clear();
        chunk.batch_of.clear();
    }

    pub(super) fn finish(mut self) -> DecodedSpans {
        let process = self.process;
        for (series, mut batch) in self.batches {
            let env = if series.env.is_empty() { &process.env } else { &series.env };
            let version =
                if series.version.is_empty() { &process.version } else { &series.version };
            for (name, value) in [
                (names::SERVICE, &series.service),
                (names::ENV, env),
                (names::VERSION, version),
                (names::HOST, &process.host),
                (names::INSTANCE, &process.instance),
                (names::RUNTIME, &process.language),
            ] {
                self.builder.label(&mut batch.labels, name, value);
            }
            self.builder.end(batch);
        }
        self.builder.finish()
    }
}

/// Keeps the first that is not empty.
pub(super) fn first(kept: &mut String, given: &str) {
    if kept.is_empty() {
        cut(given, SPAN_NAME_BYTES_MAX).clone_into(kept);
    }
}
