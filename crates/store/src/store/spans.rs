//! Spans in the store: appending, what questions see, and what flushes, compaction, retention and
//! deletions do with them. All of it goes the way of profiles: the same log and its keys, the same
//! transactions of the catalog.

use super::append::{Answer, Logged, Waiting, check_count};
use super::repeats::Key;
use super::rewrite::{Change, Reason, Rewrite};
use super::{Inner, State, Store, compact};
use crate::Error;
use crate::hidden::Hidden;
use crate::limits::{SPAN_COMPACTION_RAW_BYTES_MAX, TIME_NANOS_MAX, TIME_NANOS_MIN};
use crate::memtable::overlaps;
use crate::rules::keep_nanos;
use crate::segment::Segment;
use crate::spans::file::Sorted;
use crate::spans::part::{SpanPart, SpanSource};
use crate::spans::{Entry, Pile, SPANS_KIND, read};
use crate::wal;
use catalog::Pin;
use profile::SpanBatch;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::{TimeRange, Timestamp, Ulid};
use views::SpanInfo;

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

    /// All spans of `tenant` that may overlap `range`, as of now; parts are chosen whole.
    pub fn span_parts(&self, tenant: &str, range: TimeRange) -> Vec<SpanPart> {
        let state = self.inner.state();
        let segments = state.spans.iter();
        let segments =
            segments.filter(|segment| segment.row.tenant == tenant && segment.overlaps(range));
        let mut parts: Vec<SpanPart> = segments
            .map(|segment| {
                let bounds = (segment.row.t_min_ns, segment.row.t_max_ns);
                let hidden = Hidden::of(&state.tombstones, tenant, bounds);
                SpanPart { source: SpanSource::Segment(Arc::clone(segment)), hidden }
            })
            .collect();
        let frozen = state.flushing.iter().flat_map(|frozen| frozen.spans.entries(tenant));
        let entries = frozen.chain(state.memtable.spans.entries(tenant));
        let entries: Vec<_> =
            entries.filter(|entry| overlaps(entry.time_bounds(), range)).cloned().collect();
        if !entries.is_empty() {
            let hidden = Hidden::of(&state.tombstones, tenant, bounds_of(&entries));
            parts.push(SpanPart { source: SpanSource::Memory(entries), hidden });
        }
        parts
    }
}

fn bounds_of(entries: &[Arc<Entry>]) -> (i64, i64) {
    let bounds = entries.iter().map(|entry| entry.time_bounds());
    let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    bounds.unwrap_or((i64::MAX, i64::MIN))
}

/// Deletions that hide spans which are in no segment yet.
pub(super) fn hidden_in_memory(state: &State) -> Vec<Ulid> {
    let piles = state.flushing.iter().map(|frozen| &*frozen.spans);
    let mut found = Vec::new();
    for (tenant, entries) in piles.chain([&state.memtable.spans]).flat_map(Pile::all) {
        let Some(hidden) = Hidden::of(&state.tombstones, tenant, bounds_of(entries)) else {
            continue;
        };
        let infos = entries.iter().flat_map(|entry| entry.infos());
        found.extend(infos.filter_map(|info| hidden.of_span(&info)));
    }
    found
}

fn is_pinned(pins: &[Pin], tenant: &str, info: &SpanInfo) -> bool {
    let bounds = (info.span.start.nanos(), info.span.end().nanos());
    let holds = |pin: &Pin| {
        pin.tenant == tenant && pin.service == info.service() && overlaps(bounds, pin.range)
    };
    pins.iter().any(holds)
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
        let batch = &*entry.batch;
        self.recent_deletions().iter().any(|stone| {
            stone.touches(&entry.tenant, entry.time_bounds())
                && stone.names(&batch.labels)
                && batch
                    .spans
                    .iter()
                    .any(|span| stone.reaches(came_at, (span.start.nanos(), span.end().nanos())))
        })
    }

    /// Writes spans to a segment, which is not committed; none where there are none.
    pub(super) fn write_spans(
        &self,
        spans: &Sorted,
        level: u8,
    ) -> Result<Option<Arc<Segment>>, Error> {
        if spans.is_empty() {
            return Ok(None);
        }
        let (row, files) = spans.encode(self.new_id(), level, self.clock.now())?;
        self.write_files(row, &files).map(Some)
    }

    /// Makes one segment of several of one tenant.
    pub(super) fn merge_spans(&self, group: &[Arc<Segment>]) -> Result<(), Error> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut raw_bytes = 0;
        let fitting = group.iter().take_while(|segment| {
            raw_bytes += segment.index.raw_bytes;
            raw_bytes <= SPAN_COMPACTION_RAW_BYTES_MAX
        });
        let group = &group[..fitting.count()];
        let mut spans = Vec::new();
        for segment in group {
            spans.extend(read::spans(segment)?);
        }
        let sorted = Sorted::new(&first.row.tenant, spans);
        let merged = self.write_spans(&sorted, compact::next_level(group))?;
        let merged = merged.ok_or_else(|| Error::corrupt("segments without spans"))?;
        self.begin_swap(group, merged)
    }

    /// Writes a segment anew with only what is kept; says whether something went.
    fn rewrite_spans(
        &self,
        segment: &Arc<Segment>,
        why: Reason,
        keep: impl FnMut(&SpanInfo) -> bool,
    ) -> Result<bool, Error> {
        let mut spans = read::spans(segment)?;
        let before = spans.len();
        spans.retain(keep);
        if spans.len() == before {
            return Ok(false);
        }
        let sorted = Sorted::new(&segment.row.tenant, spans);
        let output = self.write_spans(&sorted, segment.row.level)?;
        let drops = vec![self.dropped(segment, output.as_deref(), why)];
        let change = Change::Dropped(drops, Vec::new());
        let outputs = output.into_iter().collect();
        self.begin_rewrite(Rewrite { inputs: vec![segment.id], outputs, change })?;
        Ok(true)
    }

    /// Writes a segment anew without what is too old; says whether there was any.
    pub(super) fn drop_old_spans(&self, segment: &Arc<Segment>, now: i64) -> Result<bool, Error> {
        let (pins, tenant) = (self.pins(), &segment.row.tenant);
        let keep = |info: &SpanInfo| {
            let kept = keep_nanos(&self.options, tenant, info.service(), SPANS_KIND);
            let newest = info.span.end().min(info.received_at).nanos();
            now.saturating_sub(newest) <= kept || is_pinned(&pins, tenant, info)
        };
        let changed = self.rewrite_spans(segment, Reason::Age, keep)?;
        if !changed {
            self.looked_at().insert(segment.id, now);
        }
        Ok(changed)
    }

    /// Writes a segment anew with only what is pinned.
    pub(super) fn keep_pinned_spans(
        &self,
        segment: &Arc<Segment>,
        pins: &[Pin],
    ) -> Result<(), Error> {
        let tenant = &segment.row.tenant;
        let keep = |info: &SpanInfo| is_pinned(pins, tenant, info);
        self.rewrite_spans(segment, Reason::Budget, keep).map(drop)
    }

    /// Rewrites a segment without what deletions hide; says whether there was any.
    pub(super) fn rewrite_hidden_spans(&self, segment: &Arc<Segment>) -> Result<bool, Error> {
        let row = &segment.row;
        let bounds = (row.t_min_ns, row.t_max_ns);
        let hidden = Hidden::of(&self.state().tombstones, &row.tenant, bounds);
        let Some(hidden) = hidden else { return Ok(false) };
        self.rewrite_spans(segment, Reason::Deletion, |info| hidden.of_span(info).is_none())
    }
}
