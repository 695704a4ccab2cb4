//! Strategies that make spans as tracers send them.

use crate::profiles::{BASE_MS, SERVICES, SPAN_MS};
use profile::labels::names;
use profile::{Labels, Span, SpanBatch, SpanKind, SpanStatus};
use proptest::prelude::*;
use std::sync::Arc;
use stdx::Timestamp;

/// Traces that generated spans belong to.
pub const TRACES: u64 = 6;

/// Up to 30 spans of one of three services, of few traces, names and resources, so that all of them
/// meet; some ids, times and durations are equal.
pub fn any_batch() -> impl Strategy<Value = SpanBatch> {
    let labels = (0..SERVICES.len(), 0..3_u8);
    let spans = prop::collection::vec(any_span(), 0..30);
    (labels, spans).prop_map(|((service, env), spans)| {
        let mut labels = Labels::new();
        labels.set(names::SERVICE, SERVICES[service]);
        labels.set(names::ENV, ["", "prod", "test"][usize::from(env)]);
        SpanBatch { labels, spans }
    })
}

fn any_duration() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..5_000_000_000_i64,
        2 => prop::sample::select(vec![0, 1_000, 1_000_000]),
        1 => Just(i64::MAX),
    ]
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1..=TRACES, 1..40_u64, 0..40_u64);
    let start = prop_oneof![3 => 0..SPAN_MS * 1_000_000, 1 => prop::sample::select(vec![5, 7_000])];
    let texts = (0..3_usize, 0..4_usize, 0..2_usize);
    let attributes = prop::collection::btree_map(0..4_u8, 0..3_u8, 0..4);
    let kinds = (0..6_u8, 0..3_u8, any::<bool>());
    (ids, start, any_duration(), texts, attributes, kinds).prop_map(
        |((trace, id, parent), start, duration_nanos, texts, attributes, kinds)| {
            let text = |list: &[&str], at: usize| Arc::from(list[at]);
            let pairs = attributes.into_iter();
            Span {
                // Most ids have 64 bits, some 128.
                trace_id: if trace % 2 == 0 { trace.into() } else { u128::from(trace) << 100 },
                span_id: id,
                parent_id: parent,
                is_entry: kinds.2,
                kind: SpanKind::from_number(kinds.0),
                status: SpanStatus::from_number(kinds.1),
                name: text(&["GET", "query", "lock"], texts.0),
                resource: text(&["GET /", "GET /items/{id}", "SELECT 1", ""], texts.1),
                message: text(&["", "no such item"], texts.2),
                start: Timestamp::from_millis(BASE_MS).plus_nanos(start),
                duration_nanos,
                attributes: pairs
                    .map(|(key, value)| {
                        (format!("k{key}").into(), ["", "a", "b"][usize::from(value)].into())
                    })
                    .collect(),
            }
        },
    )
}
