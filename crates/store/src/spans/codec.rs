//! The log's binary form of spans. Format page: `docs/formats/wal.md`.

use super::Entry;
use crate::codec::read::{Reader, Result};
use crate::codec::write::{SharedTexts, Writer};
use profile::{Labels, Span, SpanBatch, SpanKind, SpanStatus};
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

/// Encodes an entry; also returns where what the client sent begins.
pub(crate) fn encode(entry: &Entry) -> (Vec<u8>, usize) {
    let mut out = Writer::default();
    out.bytes.extend_from_slice(&entry.id.to_bytes());
    out.text(&entry.tenant);
    out.signed(entry.received_at.nanos());
    let head = out.bytes.len();
    let SpanBatch { labels, spans } = &*entry.batch;
    out.number(labels.len() as u64);
    for (name, value) in labels.iter() {
        out.text(name);
        out.text(value);
    }
    rows(&mut out, spans);
    (out.bytes, head)
}

/// A table of all texts, then the spans with their places in it.
fn rows(out: &mut Writer, spans: &[Span]) {
    let (mut texts, mut rows) = (SharedTexts::default(), Writer::default());
    rows.number(spans.len() as u64);
    let mut before = 0_i64;
    for span in spans {
        rows.bytes.extend_from_slice(&span.trace_id.to_be_bytes());
        rows.bytes.extend_from_slice(&span.span_id.to_be_bytes());
        rows.bytes.extend_from_slice(&span.parent_id.to_be_bytes());
        let flags = span.kind as u8 | (u8::from(span.is_entry) << 3) | ((span.status as u8) << 4);
        rows.bytes.push(flags);
        for text in [&span.name, &span.resource, &span.message] {
            rows.number(texts.place(text));
        }
        let start = span.start.nanos();
        rows.signed(start.wrapping_sub(before));
        before = start;
        rows.signed(span.duration_nanos);
        rows.number(span.attributes.len() as u64);
        for (name, value) in &span.attributes {
            rows.number(texts.place(name));
            rows.number(texts.place(value));
        }
    }
    texts.finish(&rows, out);
}

/// Decodes an entry; says what is wrong when the bytes are damaged.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry> {
    let mut from = Reader::new(bytes);
    let id = Ulid::from_bytes(from.array()?);
    let tenant = from.text()?.into();
    let received_at = Timestamp::from_nanos(from.signed()?);
    let mut labels = Labels::new();
    for _ in 0..from.count()? {
        labels.set(from.text()?, from.text()?);
    }
    let texts = from.shared_texts()?;
    let (mut spans, mut before) = (Vec::new(), 0);
    for _ in 0..from.count()? {
        spans.push(span(&mut from, &texts, &mut before)?);
    }
    if !from.is_empty() {
        return Err("bytes follow the end");
    }
    let batch = Arc::new(SpanBatch { labels, spans });
    Ok(Entry { id, tenant, received_at, batch })
}

fn span(from: &mut Reader<'_>, texts: &[Arc<str>], before: &mut i64) -> Result<Span> {
    let text = |from: &mut Reader<'_>| from.text_of(texts);
    let trace_id = u128::from_be_bytes(from.array()?);
    let (span_id, parent_id) = (from.array()?, from.array()?);
    let flags = from.byte()?;
    let (name, resource, message) = (text(from)?, text(from)?, text(from)?);
    *before = before.wrapping_add(from.signed()?);
    let duration_nanos = from.signed()?.max(0);
    let mut attributes = Vec::new();
    for _ in 0..from.count()? {
        attributes.push((text(from)?, text(from)?));
    }
    Ok(Span {
        trace_id,
        span_id: u64::from_be_bytes(span_id),
        parent_id: u64::from_be_bytes(parent_id),
        is_entry: flags & 8 != 0,
        kind: SpanKind::from_number(flags & 7),
        status: SpanStatus::from_number(flags >> 4),
        name,
        resource,
        message,
        start: Timestamp::from_nanos(*before),
        duration_nanos,
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_went_in_and_damage_is_an_error_or_another(
            batch in testkit::spans::any_batch(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let entry = Entry {
                id: Ulid::from(77_u128 << 70),
                tenant: "tenant".into(),
                received_at: Timestamp::from_millis(12),
                batch: Arc::new(batch),
            };
            let (mut bytes, _) = encode(&entry);
            let back = decode(&bytes).expect("own encoding");
            let head = |entry: &Entry| (entry.id, entry.tenant.clone(), entry.received_at);
            prop_assert_eq!(head(&back), head(&entry));
            prop_assert_eq!(back.batch, entry.batch);
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = decode(&bytes);
        }
    }
}
