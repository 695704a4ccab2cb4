//! Spans: in the log, in the memtable and in segments of their own, beside those of profiles.
//!
//! What an upload says of one series is an [`Entry`] of the log and of the memtable. A flush writes
//! the spans of a tenant to one segment of two tables ([`file`]), which the catalog names among the
//! others by its content. Format page: `docs/formats/spans.md`.

pub(crate) mod codec;
pub(crate) mod file;
pub mod part;
pub mod read;

use profile::SpanBatch;
use profile::hasher::BuildKeyed;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use stdx::{Timestamp, Ulid};
use views::SpanInfo;

/// Version of the format, in each file's footer as `vesta.version`.
pub const SPANS_VERSION: u32 = 1;
/// What rules of retention call spans, as if they were a kind of sample.
pub const SPANS_KIND: &str = "spans";

/// Spans as the log keeps them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The id they were acknowledged with.
    pub id: Ulid,
    /// Whose they are.
    pub tenant: Arc<str>,
    /// When they were appended.
    pub received_at: Timestamp,
    /// The spans.
    pub batch: Arc<SpanBatch>,
}

impl Entry {
    /// Estimated bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.batch.estimated_bytes()
    }

    /// First and last time, inclusive.
    pub(crate) fn time_bounds(&self) -> (i64, i64) {
        self.batch.time_bounds().unwrap_or((i64::MAX, i64::MIN))
    }

    /// Its spans one by one.
    pub fn infos(&self) -> impl Iterator<Item = SpanInfo> + '_ {
        let labels = Arc::new(self.batch.labels.clone());
        let spans = self.batch.spans.iter();
        spans.map(move |span| SpanInfo {
            labels: Arc::clone(&labels),
            received_at: self.received_at,
            span: span.clone(),
        })
    }
}

/// Spans that are in the log but in no segment yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pile {
    tenants: BTreeMap<Arc<str>, Vec<Arc<Entry>>>,
    bytes: usize,
}

impl Pile {
    pub(crate) fn add(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.tenants.entry(Arc::clone(&entry.tenant)).or_default().push(Arc::new(entry));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tenants.keys()
    }

    pub(crate) fn entries(&self, tenant: &str) -> &[Arc<Entry>] {
        self.tenants.get(tenant).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Entry>])> {
        self.tenants.iter().map(|(tenant, entries)| (tenant, entries.as_slice()))
    }
}

/// Texts that come again and again, each once.
#[derive(Debug, Default)]
pub struct Texts(HashSet<Arc<str>, BuildKeyed>);

impl Texts {
    /// The shared text.
    pub fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}
