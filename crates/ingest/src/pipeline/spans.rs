//! From a body to stored spans: the way of profiles, with its limits.

use super::{Ingest, Prepared, Received};
use crate::counters::add;
use crate::limits::{FUTURE_NANOS_MAX, Limits};
use crate::normalise::{Context, normalise};
use crate::principal::Principal;
use crate::problem::Problem;
use formats::{DecodedSpans, IssueKind, Options};
use profile::{Profile, SpanBatch};
use stdx::Timestamp;

/// What became of an upload of spans.
#[derive(Clone, Debug, Default)]
pub struct SpanReceipt {
    /// Spans that are durable now.
    pub spans: u64,
    /// Spans that were left out.
    pub rejected: u64,
    /// What could not be read or had to be changed.
    pub issues: Vec<String>,
}

/// Spans, and how many had to be left out.
struct Spans {
    batches: Vec<SpanBatch>,
    rejected: u64,
}

impl Ingest {
    /// Decodes a received body and stores the spans in it. The answer comes when all of them are
    /// durable.
    pub(crate) async fn store_spans(
        &self,
        principal: &Principal,
        received: Received,
        context: Context,
        decode: impl FnOnce(&[u8], &Options) -> DecodedSpans + Send + 'static,
    ) -> Result<SpanReceipt, Problem> {
        let Received { bytes, place, .. } = received;
        let of = (context, self.clock.now());
        let (prepared, held) = self.prepare(bytes, of, decode, prepare).await?;
        let receipt = self.append_spans(principal, prepared).await?;
        drop((held, place));
        Ok(receipt)
    }

    async fn append_spans(
        &self,
        principal: &Principal,
        prepared: Prepared<Spans>,
    ) -> Result<SpanReceipt, Problem> {
        let Prepared { content: Spans { batches, rejected }, notes, .. } = prepared;
        let sizes: Vec<u64> = batches.iter().map(|batch| batch.spans.len() as u64).collect();
        let spans: u64 = sizes.iter().sum();
        if !batches.is_empty() {
            let appended = self.sink.append_spans(&principal.tenant, batches).await;
            let kept = appended.map_err(|error| self.count(self.refused(&error)))?;
            let repeats = kept.iter().zip(&sizes).filter(|(kept, _)| kept.is_repeat);
            add(&self.counters.spans_repeated, repeats.map(|(_, spans)| spans).sum());
        }
        add(&self.counters.uploads_accepted, 1);
        add(&self.counters.spans_accepted, spans);
        add(&self.counters.spans_rejected, rejected);
        Ok(SpanReceipt { spans, rejected, issues: notes.into_list() })
    }
}

/// Normalises and checks; refuses an upload in which there is nothing but trouble.
fn prepare(
    decoded: DecodedSpans,
    context: &Context,
    now: Timestamp,
    limits: &Limits,
) -> Result<Prepared<Spans>, Problem> {
    let DecodedSpans { mut batches, rejected, issues } = decoded;
    let is_over_limit = issues.iter().any(|issue| issue.kind == IssueKind::Limit);
    let mut notes = context.notes.clone();
    for issue in &issues {
        notes.add(|| issue.to_string());
    }
    if batches.is_empty() && rejected == 0 && !issues.is_empty() {
        let hint = "check the format and the content type: traces are read here of OTLP (protobuf, \
                    JSON) and of Datadog's libraries (msgpack, JSON)";
        return Err(Problem::unreadable(notes.into_list().join("; "), hint));
    }
    let mut label_bytes = 0;
    for batch in &mut batches {
        // Labels are made of a resource's attributes as those of profiles are.
        let labels = std::mem::take(&mut batch.labels);
        let mut profile = Profile { labels, ..Profile::default() };
        normalise(&mut profile, context, now, &mut notes);
        batch.labels = profile.labels;
        let labels = batch.labels.iter();
        label_bytes += labels.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if label_bytes > limits.label_bytes_max {
            let hint = format!("at most {} bytes are accepted", limits.label_bytes_max);
            return Err(Problem::too_large("the labels of the spans take too much room", hint));
        }
    }
    let latest = now.plus_nanos(FUTURE_NANOS_MAX);
    let spans = batches.iter().flat_map(|batch| &batch.spans);
    let future = spans.filter(|span| span.start > latest).count();
    if future > 0 {
        notes.add(|| format!("{future} spans begin in the future: check the clock of the host"));
    }
    let bytes = batches.iter().map(SpanBatch::estimated_bytes).sum();
    Ok(Prepared { content: Spans { batches, rejected }, notes, is_over_limit, bytes })
}
