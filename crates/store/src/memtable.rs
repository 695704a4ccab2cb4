//! Profiles, spans and events that are in the log but not yet in a segment: of profiles, per tenant a list of
//! chunks, each a part of its own. Only the last chunk grows; a snapshot shares everything by
//! reference, and growing under a snapshot copies a small chunk's tables, and a large chunk then stops
//! growing.

use crate::Error;
use crate::absorb::Known;
use crate::batch::to_batch;
use crate::codec::Entry;
use crate::collect::{Arranged, Collector, Ordinals, take_entry};
use crate::limits::{Options, SHARED_CHUNK_BYTES_MAX};
use crate::records::Piles;
use crate::rows::{ProfileRow, Row};
use crate::{events, spans};
use arrow::array::RecordBatch;
use profile::Tables;
use profile::labels::names::SERVICE;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::{Rng, TimeRange, Timestamp, Ulid};

/// A piece of the memtable. Cloning shares everything.
#[derive(Clone, Debug)]
pub(crate) struct ChunkView {
    pub(crate) id: Ulid,
    pub(crate) tables: Arc<Tables>,
    pub(crate) profiles: Arc<Vec<ProfileRow>>,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) time_bounds: (i64, i64),
}

impl ChunkView {
    pub(crate) fn services(&self) -> Vec<String> {
        let services = self.profiles.iter().map(|row| row.labels.get(SERVICE).unwrap_or(""));
        let services: std::collections::BTreeSet<_> = services.collect();
        services.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        overlaps(self.time_bounds, range)
    }
}

/// Whether inclusive bounds share an instant with a half-open range.
pub(crate) fn overlaps((first, last): (i64, i64), range: TimeRange) -> bool {
    first < range.end.nanos() && last >= range.start.nanos()
}

#[derive(Debug)]
struct Chunk {
    view: ChunkView,
    ordinals: Ordinals,
    known: Known,
    /// Estimate, sampled after each group.
    bytes: usize,
    row_bytes: usize,
}

impl Chunk {
    fn new(id: Ulid) -> Self {
        let view = ChunkView {
            id,
            tables: Arc::default(),
            profiles: Arc::default(),
            batches: Vec::new(),
            time_bounds: (i64::MAX, i64::MIN),
        };
        let (ordinals, known) = (Ordinals::default(), Known::default());
        Self { view, ordinals, known, bytes: 0, row_bytes: 0 }
    }

    fn add(&mut self, entries: &[&Entry], options: &Options) -> Result<(), Error> {
        let tables = Arc::make_mut(&mut self.view.tables);
        let profiles = Arc::make_mut(&mut self.view.profiles);
        let mut rows: Vec<Row> = Vec::new();
        let before = profiles.len();
        for entry in entries {
            let ordinal = profiles.len() as u32;
            let to = (&mut *tables, &mut self.known);
            let row = take_entry(entry, ordinal, to, &mut self.ordinals, options, &mut rows);
            let (first, last) = row.time_bounds();
            let bounds = &mut self.view.time_bounds;
            *bounds = (bounds.0.min(first), bounds.1.max(last));
            profiles.push(row);
        }
        rows.sort_unstable_by_key(|row| (row.kind, row.series, row.ts_ms, row.stack));
        if !rows.is_empty() {
            let tenant = entries.first().map_or("", |entry| &*entry.tenant);
            self.view.batches.push(to_batch(&rows, self.ordinals.names(tenant))?);
        }
        self.row_bytes += rows.len() * 110;
        self.row_bytes += profiles[before..].iter().map(ProfileRow::bytes).sum::<usize>();
        self.bytes = tables.estimated_bytes() + self.known.bytes() + self.row_bytes;
        Ok(())
    }
}

/// One tenant's part of the memtable.
#[derive(Debug, Default)]
struct TenantChunks {
    frozen: Vec<ChunkView>,
    frozen_bytes: usize,
    growing: Option<Chunk>,
}

/// The memtable.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    tenants: BTreeMap<Arc<str>, TenantChunks>,
    /// Spans and events of all tenants.
    pub(crate) piles: Piles,
    /// When the first profile or span came.
    pub(crate) since: Option<Timestamp>,
}

impl Memtable {
    /// Adds a commit group, and what runtimes told.
    pub(crate) fn add_all(
        &mut self,
        entries: &[Entry],
        options: &Options,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        for entry in entries.iter().filter(|entry| !entry.profile.events.is_empty()) {
            self.piles.events.add(&entry.tenant, events::infos(entry));
        }
        self.add(entries, options, now, rng)
    }

    /// Adds the samples of a commit group.
    pub(crate) fn add(
        &mut self,
        entries: &[Entry],
        options: &Options,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let mut by_tenant: BTreeMap<&Arc<str>, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_tenant.entry(&entry.tenant).or_default().push(entry);
        }
        for (tenant, entries) in by_tenant {
            self.since.get_or_insert(now);
            let chunks = self.tenants.entry(Arc::clone(tenant)).or_default();
            let is_full = |chunk: &mut Chunk| {
                chunk.bytes >= SHARED_CHUNK_BYTES_MAX && Arc::strong_count(&chunk.view.tables) > 1
            };
            if let Some(full) = chunks.growing.take_if(is_full) {
                chunks.frozen_bytes += full.bytes - full.known.bytes();
                chunks.frozen.push(full.view);
            }
            let chunk = chunks.growing.get_or_insert_with(|| Chunk::new(stdx::new_ulid(now, rng)));
            chunk.add(&entries, options)?;
        }
        Ok(())
    }

    /// Adds spans of a commit group.
    pub(crate) fn add_spans(&mut self, entry: &spans::Entry, now: Timestamp) {
        self.since.get_or_insert(now);
        self.piles.spans.add(&entry.tenant, entry.infos());
    }

    pub(crate) fn bytes(&self) -> usize {
        let tenants = self.tenants.values();
        let bytes =
            |t: &TenantChunks| t.frozen_bytes + t.growing.as_ref().map_or(0, |chunk| chunk.bytes);
        tenants.map(bytes).sum::<usize>() + self.piles.bytes()
    }

    /// Everything of a tenant.
    pub(crate) fn views(&self, tenant: &str) -> impl Iterator<Item = &ChunkView> {
        let chunks = self.tenants.get(tenant).into_iter();
        chunks.flat_map(|t| t.frozen.iter().chain(t.growing.as_ref().map(|chunk| &chunk.view)))
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tenants.keys()
    }
}

/// Puts chunks of one tenant together; the rows are sorted.
pub(crate) fn collect(
    tenant: &Arc<str>,
    chunks: &[ChunkView],
    keep_addresses: bool,
) -> Result<(Arranged, Vec<Row>), Error> {
    let mut collector = Collector::new(Arc::clone(tenant));
    let (mut parts, mut used) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let part = collector.add_shared(&chunk.tables, &chunk.profiles, keep_addresses);
        chunk.batches.iter().try_for_each(|batch| part.mark_used(batch, &mut used))?;
        parts.push(part);
    }
    let mut arranged = collector.arrange(Some(used));
    let mut rows = Vec::new();
    for (part, chunk) in parts.iter().zip(chunks) {
        chunk.batches.iter().try_for_each(|batch| arranged.rows(part, batch, &mut rows))?;
    }
    arranged.sort(&mut rows);
    arranged.order_links(&mut rows);
    Ok((arranged, rows))
}
