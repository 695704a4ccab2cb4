//! The store itself: opening, snapshots, figures. Appending, flushing, compaction and retention
//! are in the modules below.

mod append;
mod backup;
mod compact;
mod delete;
mod flush;
mod fsck;
mod names;
mod open;
mod payloads;
mod pins;
mod records;
mod reparse;
mod repeats;
mod retain;
mod rewrite;
mod roll;
mod space;
mod spans;
mod stats;
mod sweep;
mod tar;

pub use append::Appended;
pub use backup::{Backup, Restored};
pub use delete::Matching;
pub use fsck::Checked;
pub use names::NewNames;
pub use pins::{RetentionStatus, TenantUsage};
pub use reparse::{Outcome, Parsed, Reparsed};
pub use stats::Stats;

use crate::Error;
use crate::cache::Caches;
use crate::hidden::{Hidden, Tombstone};
use crate::layer::FileLayer;
use crate::limits::{CACHE_UNUSED, FLUSH_RETRY, MAINTENANCE_TICK, Options, ROLLUP_TURN};
use crate::memtable::{ChunkView, Memtable};
use crate::part::{Part, Snapshot, Source};
use crate::records::Piles;
use crate::segment::Segment;
use crate::wal::WalWriter;
use catalog::{Catalog, Content};
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use stdx::{Clock, Rng, TimeRange, Timestamp, Ulid};

/// A store. Dropping it loses nothing that was acknowledged.
#[derive(Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layer: Arc<dyn FileLayer>,
    catalog: Arc<Catalog>,
    options: Options,
    clock: Arc<dyn Clock>,
    rng: Mutex<Rng>,
    /// Whoever holds this commits for all that wait.
    wal: Arc<tokio::sync::Mutex<WalWriter>>,
    pending: Mutex<append::Pending>,
    /// Changed by whoever holds the log.
    repeats: Mutex<repeats::Repeats>,
    space: space::Space,
    /// Profiles from now on came later than any deletion: nanoseconds since the epoch.
    received_floor: AtomicI64,
    /// Deletions of the last day, done or not.
    recent_deletions: Mutex<Vec<Arc<Tombstone>>>,
    pins: Mutex<Arc<Vec<catalog::Pin>>>,
    names: names::Shelf,
    payloads: payloads::Payloads,
    /// Whoever holds this changes deletions or pins.
    keeping: Arc<tokio::sync::Mutex<()>>,
    /// When retention looked into segments that mix what is kept for different times.
    looked_at: Mutex<BTreeMap<Ulid, i64>>,
    /// Locked after `state` where both are.
    rolled: Mutex<roll::Rolled>,
    state: Mutex<State>,
    /// One of flush, compaction and retention at a time.
    maintenance: Arc<tokio::sync::Mutex<()>>,
    flush_wanted: tokio::sync::Notify,
    caches: Arc<Caches>,
    counters: Counters,
}

/// What is visible. Changed in one step, so a snapshot sees all of a change or nothing.
#[derive(Debug, Default)]
struct State {
    memtable: Memtable,
    /// What is being written to segments.
    flushing: Option<Frozen>,
    /// Segments of profiles.
    segments: Vec<Arc<Segment>>,
    /// Segments of spans.
    spans: Vec<Arc<Segment>>,
    /// Segments of events.
    events: Vec<Arc<Segment>>,
    retired: Vec<Retired>,
    /// A compaction whose commit failed: whether the catalog has it is not known.
    unsure: Option<Unsure>,
    /// The same for what was written anew or dropped.
    unsure_rewrite: Option<rewrite::Rewrite>,
    /// Deletions that still hide something.
    tombstones: Vec<Arc<Tombstone>>,
}

/// A memtable that does not grow any more.
#[derive(Clone, Debug)]
struct Frozen {
    chunks: BTreeMap<Arc<str>, Vec<ChunkView>>,
    piles: Arc<Piles>,
    bytes: usize,
    /// The last log that holds any of it.
    sequence: u64,
    wal_bytes: u64,
    /// Keys of its profiles.
    uploads: catalog::Uploads,
    /// Its segments once their files are written. A commit that failed is tried again with the
    /// same ids, so that one the catalog knows after all is not made a second time.
    segments: Option<Vec<Arc<Segment>>>,
}

/// Segments and what is to take their place.
#[derive(Clone, Debug)]
struct Unsure {
    inputs: Vec<Ulid>,
    merged: Arc<Segment>,
}

/// A segment that nothing new reads.
#[derive(Debug)]
struct Retired {
    id: Ulid,
    segment: Weak<Segment>,
    /// Monotonic time of retirement.
    since: Duration,
}

#[derive(Debug, Default)]
struct Counters {
    profiles: AtomicU64,
    samples: AtomicU64,
    spans: AtomicU64,
    events: AtomicU64,
    wal_commits: AtomicU64,
    wal_bytes_written: AtomicU64,
    wal_bytes: AtomicU64,
    flushes: AtomicU64,
    flush_failures: AtomicU64,
    compactions: AtomicU64,
    dropped_by_retention: AtomicU64,
    dropped_by_budget: AtomicU64,
    corrupt_records: AtomicU64,
    torn_logs: AtomicU64,
    orphans_removed: AtomicU64,
    orphans_left: AtomicU64,
    rejected_full: AtomicU64,
    rejected_disk_full: AtomicU64,
    repeats: AtomicU64,
    rewrites: AtomicU64,
    dropped_bytes: AtomicU64,
    deletions: AtomicU64,
    rollups_made: AtomicU64,
    payloads_kept: AtomicU64,
    payloads_too_large: AtomicU64,
    payloads_dropped: AtomicU64,
}

impl State {
    /// Estimated bytes of what is in no segment yet.
    fn bytes(&self) -> usize {
        self.memtable.bytes() + self.flushing.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    fn record_stats(&self, counters: &Counters) -> Stats {
        let rows = |of: &[Arc<Segment>]| of.iter().map(|segment| segment.row.rows).sum();
        let bytes = |of: &[Arc<Segment>]| of.iter().map(|segment| segment.row.bytes).sum();
        Stats {
            spans: counters.spans.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            span_segments: self.spans.len() as u64,
            span_rows: rows(&self.spans),
            span_bytes: bytes(&self.spans),
            event_segments: self.events.len() as u64,
            event_rows: rows(&self.events),
            event_bytes: bytes(&self.events),
            ..Stats::default()
        }
    }

    /// Segments with this content.
    fn of(&self, content: Content) -> &Vec<Arc<Segment>> {
        match content {
            Content::Profiles => &self.segments,
            Content::Spans => &self.spans,
            Content::Events => &self.events,
        }
    }

    /// Segments of profiles, then those of spans and of events.
    fn all_segments(&self) -> Vec<Arc<Segment>> {
        Content::ALL.into_iter().flat_map(|content| self.of(content)).cloned().collect()
    }

    /// Puts segments where those with the same content are.
    fn put(&mut self, segments: impl IntoIterator<Item = Arc<Segment>>) {
        for segment in segments {
            match segment.row.content {
                Content::Profiles => self.segments.push(segment),
                Content::Spans => self.spans.push(segment),
                Content::Events => self.events.push(segment),
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // State is changed by whole steps only; a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn repeats(&self) -> MutexGuard<'_, repeats::Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_id(&self) -> Ulid {
        self.id_at(self.clock.now())
    }

    fn id_at(&self, time: Timestamp) -> Ulid {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        stdx::new_ulid(time, &mut rng)
    }

    fn step(&self, what: &'static str) -> Result<(), Error> {
        self.layer.step(what).map_err(Error::io(what))
    }
}

fn part_of(source: Source, tenant: &str, tombstones: &[Arc<Tombstone>]) -> Part {
    let bounds = match &source {
        Source::Segment(segment, _) => (segment.row.t_min_ns, segment.row.t_max_ns),
        Source::Chunk(chunk) => chunk.time_bounds,
    };
    Part { hidden: Hidden::of(tombstones, tenant, bounds), source }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Runs blocking work of the store to its end even when the caller goes away.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let panicked = |_| {
        Err(Error::Io {
            what: "background work".to_owned(),
            source: std::io::Error::other("it panicked or the runtime is shutting down"),
        })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(panicked)
}

impl Store {
    /// Everything of `tenant` that may overlap `range`, as of now. Samples outside the range are
    /// in it too: parts are chosen whole.
    pub fn snapshot(&self, tenant: &str, range: TimeRange) -> Snapshot {
        let state = self.inner.state();
        let segments = state.segments.iter();
        let segments =
            segments.filter(|segment| segment.row.tenant == tenant && segment.overlaps(range));
        let caches = &self.inner.caches;
        let segments =
            segments.map(|segment| Source::Segment(Arc::clone(segment), Arc::clone(caches)));
        let flushing =
            state.flushing.iter().filter_map(|frozen| frozen.chunks.get(tenant)).flatten();
        let chunks = flushing.chain(state.memtable.views(tenant));
        let chunks = chunks.filter(|chunk| chunk.overlaps(range)).cloned().map(Source::Chunk);
        let part = |source| part_of(source, tenant, &state.tombstones);
        Snapshot { parts: segments.chain(chunks).map(part).collect() }
    }

    /// The parts that may hold one profile, as their indexes say; nothing is read.
    pub fn parts_with_profile(&self, tenant: &str, id: Ulid) -> Snapshot {
        let mut snapshot = self.snapshot(tenant, TimeRange::ALL);
        snapshot.parts.retain(|part| part.may_hold(id));
        snapshot
    }

    /// Tenants that have profiles or spans, sorted.
    pub fn tenants(&self) -> Vec<String> {
        let state = self.inner.state();
        let segments = state.all_segments();
        let segments = segments.iter().map(|segment| segment.row.tenant.clone());
        let flushing = state.flushing.iter();
        let flushing =
            flushing.flat_map(|frozen| frozen.chunks.keys().chain(frozen.piles.tenants()));
        let growing = state.memtable.tenants().chain(state.memtable.piles.tenants());
        let chunks = flushing.chain(growing);
        let all: std::collections::BTreeSet<String> =
            segments.chain(chunks.map(ToString::to_string)).collect();
        all.into_iter().collect()
    }

    /// The store's files for query engines; paths are those of [`crate::Samples::Parquet`].
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.inner.layer.object_store()
    }

    /// Figures as of now.
    pub fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.inner.counters;
        let (remembered, forgotten_early) = {
            let repeats = self.inner.repeats();
            (repeats.len() as u64, repeats.forgotten_early)
        };
        let (rollups, rollup_bytes, open_hours) = {
            let rolled = self.inner.rolled();
            let bytes = rolled.live.values().map(|rollup| rollup.row.bytes).sum();
            (rolled.live.len() as u64, bytes, rolled.open.len() as u64)
        };
        let (payloads, payload_bytes) = self.inner.payloads.size();
        let state = self.inner.state();
        let sum = |value: fn(&Segment) -> u64| state.segments.iter().map(|row| value(row)).sum();
        Stats {
            profiles: of(&counters.profiles),
            samples: of(&counters.samples),
            wal_commits: of(&counters.wal_commits),
            wal_bytes_written: of(&counters.wal_bytes_written),
            wal_bytes: of(&counters.wal_bytes),
            memtable_bytes: state.bytes() as u64,
            cache_bytes: self.inner.caches.bytes() as u64,
            segments: state.segments.len() as u64,
            segment_rows: sum(|segment| segment.row.rows),
            segment_profiles: sum(|segment| segment.index.profiles),
            segment_bytes: sum(|segment| segment.row.bytes),
            retired_segments: state.retired.len() as u64,
            flushes: of(&counters.flushes),
            flush_failures: of(&counters.flush_failures),
            compactions: of(&counters.compactions),
            dropped_by_retention: of(&counters.dropped_by_retention),
            dropped_by_budget: of(&counters.dropped_by_budget),
            corrupt_records: of(&counters.corrupt_records),
            torn_logs: of(&counters.torn_logs),
            orphans_removed: of(&counters.orphans_removed),
            orphans_left: of(&counters.orphans_left),
            rejected_full: of(&counters.rejected_full),
            rejected_disk_full: of(&counters.rejected_disk_full),
            repeats: of(&counters.repeats),
            rewrites: of(&counters.rewrites),
            dropped_bytes: of(&counters.dropped_bytes),
            deletions: of(&counters.deletions),
            rollups,
            rollup_bytes,
            rollups_made: of(&counters.rollups_made),
            open_hours,
            payloads,
            payload_bytes,
            payloads_kept: of(&counters.payloads_kept),
            payloads_too_large: of(&counters.payloads_too_large),
            payloads_dropped: of(&counters.payloads_dropped),
            open_deletions: state.tombstones.len() as u64,
            overdue_deletions: delete::overdue(&state.tombstones, self.inner.clock.now()),
            remembered,
            forgotten_early,
            ..state.record_stats(counters)
        }
    }

    /// Flushes by age and size, compacts and applies retention until `shutdown` is ready, then
    /// flushes once more. Failures are logged and tried again.
    pub async fn run_maintenance(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut compacted_at = self.inner.clock.monotonic();
        let mut dropped_at = compacted_at;
        let mut flush_after = Duration::ZERO;
        let options = &self.inner.options;
        let tick = MAINTENANCE_TICK.min(options.flush_interval).min(options.compact_interval);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = self.inner.flush_wanted.notified() => {}
                () = tokio::time::sleep(tick) => {}
            }
            let now = self.inner.clock.monotonic();
            if now >= flush_after && self.wants_flush() {
                let result = self.flush().await;
                if result.is_err() {
                    flush_after = now.saturating_add(FLUSH_RETRY);
                }
                Self::report("flush", result);
            }
            if now.saturating_sub(dropped_at) >= CACHE_UNUSED {
                dropped_at = now;
                self.inner.caches.drop_unused();
            }
            if now.saturating_sub(compacted_at) >= options.compact_interval {
                compacted_at = now;
                Self::report("deletion", self.delete_once().await.map(drop));
                Self::report("retention", self.retain_once().await.map(drop));
                Self::report("compaction", self.compact_once().await.map(drop));
                Self::report("rollup", self.roll_for(ROLLUP_TURN).await);
            }
        }
        Self::report("last flush", self.flush().await);
    }

    /// Rolls hours up until none is left or the time is over.
    async fn roll_for(&self, time: Duration) -> Result<(), Error> {
        let since = self.inner.clock.monotonic();
        while self.inner.clock.monotonic().saturating_sub(since) < time && !self.wants_flush() {
            if !self.roll_once().await? {
                break;
            }
        }
        Ok(())
    }

    fn wants_flush(&self) -> bool {
        let now = self.inner.clock.now().nanos();
        let state = self.inner.state();
        let interval = self.inner.options.flush_interval.as_nanos();
        let age = state.memtable.since.map(|since| now.saturating_sub(since.nanos()).max(0));
        let is_old = age.is_some_and(|age| u128::from(age.cast_unsigned()) >= interval);
        let is_retry = state.flushing.is_some();
        is_old || is_retry || state.memtable.bytes() >= self.inner.options.memtable_bytes_max
    }

    fn report(what: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "{what} failed, it will be tried again");
        }
    }
}
