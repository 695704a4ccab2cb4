//! What stands beside profiles in segments of its own: spans, and what runtimes tell.
//!
//! A [`Record`] says which columns are its own and what files are sorted by. The rest is the same for
//! each of them: the memtable's [`Pile`], a segment's two tables ([`file`]), what questions read
//! ([`part`]), and what flushes, compaction, retention and deletions do (`store/records.rs`).

pub(crate) mod file;
pub mod part;
pub mod read;

use crate::Error;
use arrow::array::{ArrayRef, RecordBatch};
use catalog::Content;
use parquet::file::properties::WriterPropertiesBuilder;
use profile::Labels;
use profile::hasher::BuildKeyed;
use profile::labels::names::SERVICE;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use stdx::Timestamp;
use views::{EventInfo, SpanInfo};

/// Name, values, whether some may be null.
pub type Field = (&'static str, ArrayRef, bool);

/// A row of such a segment.
pub trait Record: Clone + Debug + Send + Sync + 'static {
    /// What its segments hold; its name is that of their first table.
    const CONTENT: Content;
    /// Version of the format, in each file's footer as `vesta.version`.
    const VERSION: u32;
    /// Its own columns of a batch that was read.
    type Columns;

    /// What every record has.
    fn base(&self) -> Base<'_>;
    /// What rules of retention call it, as if it were a kind of sample.
    fn kind(&self) -> &'static str;
    /// Estimated bytes of it in memory with others.
    fn bytes(&self) -> usize;
    /// Its place among those of one service in a file.
    fn order(&self, other: &Self) -> Ordering;
    /// Its own columns.
    fn fields(rows: &[&Self]) -> Result<Vec<Field>, Error>;
    /// How its own columns of a file of so many rows are written.
    fn properties(to: WriterPropertiesBuilder, rows: usize) -> WriterPropertiesBuilder;
    /// Finds its own columns in a batch; those that were not read are absent.
    fn columns(batch: &RecordBatch, texts: &mut Texts) -> Result<Self::Columns, Error>;
    /// The record of a row.
    fn of_row(columns: &Self::Columns, row: usize, base: OwnBase) -> Self;
}

/// What every record has: whose it is, when it came and was, what else is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its series.
    pub labels: &'a Arc<Labels>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration_nanos: i64,
    /// By name.
    pub attributes: &'a [(Arc<str>, Arc<str>)],
}

/// A [`Base`] that was read.
#[derive(Clone, Debug)]
pub struct OwnBase {
    /// Its series.
    pub labels: Arc<Labels>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration_nanos: i64,
    /// By name.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl<'a> Base<'a> {
    /// Its service.
    pub fn service(&self) -> &'a str {
        self.labels.get(SERVICE).unwrap_or("")
    }

    /// When it began and ended, inclusive.
    pub fn bounds(&self) -> (i64, i64) {
        (self.start.nanos(), self.start.plus_nanos(self.duration_nanos).nanos())
    }
}

/// Records that came together.
#[derive(Debug)]
pub struct Group<R> {
    /// The records.
    pub rows: Vec<R>,
    /// First start and last end.
    bounds: (i64, i64),
}

/// First start and last end of some records.
pub(crate) fn bounds_of<'a, R: Record>(rows: impl IntoIterator<Item = &'a R>) -> (i64, i64) {
    let bounds = rows.into_iter().map(|row| row.base().bounds());
    let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    bounds.unwrap_or((i64::MAX, i64::MIN))
}

impl<R: Record> Group<R> {
    pub(crate) fn time_bounds(&self) -> (i64, i64) {
        self.bounds
    }
}

/// Records that are in the log but in no segment yet.
#[derive(Clone, Debug)]
pub(crate) struct Pile<R> {
    tenants: BTreeMap<Arc<str>, Vec<Arc<Group<R>>>>,
    bytes: usize,
}

impl<R> Default for Pile<R> {
    fn default() -> Self {
        Self { tenants: BTreeMap::new(), bytes: 0 }
    }
}

impl<R: Record> Pile<R> {
    pub(crate) fn add(&mut self, tenant: &Arc<str>, rows: Vec<R>) {
        self.bytes += rows.iter().map(R::bytes).sum::<usize>() + size_of::<Group<R>>();
        let bounds = bounds_of(&rows);
        let groups = self.tenants.entry(Arc::clone(tenant)).or_default();
        groups.push(Arc::new(Group { rows, bounds }));
    }

    pub(crate) fn groups(&self, tenant: &str) -> &[Arc<Group<R>>] {
        self.tenants.get(tenant).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<Group<R>>])> {
        self.tenants.iter().map(|(tenant, groups)| (tenant, groups.as_slice()))
    }
}

/// All that is in no segment yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piles {
    pub(crate) spans: Pile<SpanInfo>,
    pub(crate) events: Pile<EventInfo>,
}

impl Piles {
    pub(crate) fn bytes(&self) -> usize {
        self.spans.bytes + self.events.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tenants().next().is_none()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.spans.tenants.keys().chain(self.events.tenants.keys())
    }
}

/// A record that has a pile.
pub(crate) trait Piled: Record {
    fn pile(piles: &Piles) -> &Pile<Self>;
}

impl Piled for SpanInfo {
    fn pile(piles: &Piles) -> &Pile<Self> {
        &piles.spans
    }
}

impl Piled for EventInfo {
    fn pile(piles: &Piles) -> &Pile<Self> {
        &piles.events
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
