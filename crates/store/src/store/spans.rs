//! Spans come in.

use super::append::{Answer, Logged, Waiting, check_count};
use super::repeats::Key;
use super::{Inner, Store};
use crate::Error;
use crate::limits::{TIME_NANOS_MAX, TIME_NANOS_MIN};
use crate::records::{Record, bounds_of};
use crate::spans::Entry;
use crate::wal;
use profile::SpanBatch;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::{Timestamp, Ulid};

impl Store {
    /// Appends spans, each batch once however often it is sent within an hour. When this returns
    /// `Ok` they are durable and visible; the answer is in the batches' order. On an error none is
    /// acknowledged.
    pub async fn append_spans(&self, tenant: &str, batches: Vec<SpanBatch>) -> Answer {
        let inner = &self.inner;
        check_count(tenant, batches.len())?;
        inner.check_room()?;
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = inner.prepare_spans(tenant, batches)?;
        self.commit(waiting).await
    }
}

impl Inner {
    fn prepare_spans(&self, tenant: &str, batches: Vec<SpanBatch>) -> Result<Vec<Waiting>, Error> {
        let tenant: Arc<str> = tenant.into();
        let floor = Timestamp::from_nanos(self.received_floor.load(Ordering::SeqCst));
        let received_at = self.clock.now().max(floor);
        let mut alike: FxHashMap<Key, Key> = FxHashMap::default();
        let mut again = |key: Key| {
            let count = alike.entry(key).or_default();
            *count += 1;
            key.wrapping_add(*count - 1)
        };
        let mut waiting = Vec::with_capacity(batches.len());
        for mut batch in batches {
            for span in &mut batch.spans {
                let start = span.start.nanos().clamp(TIME_NANOS_MIN, TIME_NANOS_MAX);
                span.start = Timestamp::from_nanos(start);
                span.duration_nanos = span.duration_nanos.max(0);
            }
            let entry = Entry {
                id: self.id_at(received_at),
                tenant: Arc::clone(&tenant),
                received_at,
                batch: Arc::new(batch),
            };
            let record = wal::spans_record(&entry, &mut again);
            let too_large = || Error::Invalid { what: "spans too large to store".to_owned() };
            let (key, record) = record.ok_or_else(too_large)?;
            waiting.push(Waiting { entry: Logged::Spans(entry), record, key: Some(key) });
        }
        Ok(waiting)
    }

    /// Whether spans that came first were deleted since, so that a repeat of them is not one.
    pub(super) fn are_deleted(&self, entry: &Entry, first: Ulid) -> bool {
        let came_at = i64::try_from(first.timestamp_ms()).unwrap_or(i64::MAX);
        let came_at = Timestamp::from_millis(came_at);
        let spans = entry.infos();
        let bounds = bounds_of(&spans);
        self.recent_deletions().iter().any(|stone| {
            stone.touches(&entry.tenant, bounds)
                && stone.names(&entry.batch.labels)
                && spans.iter().any(|span| stone.reaches(came_at, span.base().bounds()))
        })
    }
}
