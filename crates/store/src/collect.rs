//! Collecting profiles and parts into one part: ordinals are given, rows are sorted.

mod tally;

use crate::Error;
use crate::absorb::{Known, Remap, absorb};
use crate::batch::{Names, column, from_batch};
use crate::codec::Entry;
use crate::limits::{Options, TIME_NANOS_MAX, TIME_NANOS_MIN};
use crate::resolution;
use crate::rows::{NONE, ProfileRow, Row};
use crate::segment::layout::Layout;
use arrow::array::{RecordBatch, UInt32Array};
use profile::handle::Handle;
use profile::labels::names::SERVICE;
use profile::{Labels, Link, LinkId, StackId, Tables};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// Kinds and series of a part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ordinals {
    pub(crate) kinds: Vec<Arc<str>>,
    pub(crate) series: Vec<Arc<Labels>>,
    series_index: FxHashMap<Arc<Labels>, u32>,
}

impl Ordinals {
    /// The ordinal of a kind; there are few.
    pub(crate) fn kind(&mut self, id: &str) -> u32 {
        let at = self.kinds.iter().position(|have| &**have == id).unwrap_or_else(|| {
            self.kinds.push(id.into());
            self.kinds.len() - 1
        });
        at as u32
    }

    pub(crate) fn series(&mut self, labels: &Arc<Labels>) -> (u32, Arc<Labels>) {
        if let Some((have, &at)) = self.series_index.get_key_value(labels) {
            return (at, Arc::clone(have));
        }
        let at = self.series.len() as u32;
        self.series.push(Arc::clone(labels));
        self.series_index.insert(Arc::clone(labels), at);
        (at, Arc::clone(labels))
    }

    pub(crate) fn names<'a>(&'a self, tenant: &'a str) -> Names<'a> {
        Names { tenant, kinds: &self.kinds, series: &self.series }
    }
}

/// Into the years that can be stored.
fn clamp(time: Timestamp) -> Timestamp {
    Timestamp::from_nanos(time.nanos().clamp(TIME_NANOS_MIN, TIME_NANOS_MAX))
}

/// Takes an entry into a part: its tables are absorbed, its samples become rows.
pub(crate) fn take_entry(
    entry: &Entry,
    ordinal: u32,
    (tables, known): (&mut Tables, &mut Known),
    ordinals: &mut Ordinals,
    options: &Options,
    rows: &mut Vec<Row>,
) -> ProfileRow {
    let profile = &*entry.profile;
    let stacks: Vec<StackId> = profile.samples.iter().map(|sample| sample.stack).collect();
    let remap = absorb(tables, known, &profile.tables, &stacks, options.keep_addresses);
    let (series, labels) = ordinals.series(&Arc::new(profile.labels.clone()));
    let start = clamp(profile.window.start);
    let window = TimeRange::new(start, clamp(profile.window.end).max(start));
    let kinds: Vec<u32> = profile.kinds.iter().map(|kind| ordinals.kind(&kind.id)).collect();
    let resolution = resolution::of(options, &entry.tenant, &profile.labels);
    let first = rows.len();
    for sample in &profile.samples {
        let time = clamp(sample.time.unwrap_or(start));
        let unknown = || ordinals.kind("");
        rows.push(Row {
            ts_ms: time.millis(),
            values: sample.values,
            kind: kinds.get(sample.kind.index()).copied().unwrap_or_else(unknown),
            series,
            profile: ordinal,
            stack: remap.stack(sample.stack),
            thread: remap.thread(sample.thread),
            link: remap.link(sample.link),
            attributes: remap.attributes(sample.attributes),
            rest_ns: resolution.rest(time),
            timed: sample.time.is_some(),
        });
    }
    let (kinds, slices) = tally::tally(profile, start, &rows[first..], ordinals);
    ProfileRow {
        ordinal,
        id: entry.id,
        tenant: Arc::clone(&entry.tenant),
        series,
        labels,
        window,
        received_at: entry.received_at,
        samples: profile.samples.len() as u64,
        kinds,
        slices,
        metadata: Arc::new(profile.metadata.clone()),
    }
}

/// A part being put together from others: what a flush or a compaction writes.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) tenant: Arc<str>,
    tables: Arc<Tables>,
    /// What the tables hold, once others are to be added to them.
    known: Option<Known>,
    ordinals: Ordinals,
    profiles: Vec<ProfileRow>,
}

/// Where the rows of a part go in the one that it was collected into.
#[derive(Debug)]
pub(crate) struct Collected {
    remap: Remap,
    /// Ordinal of the part's first profile.
    base: u32,
}

impl Collector {
    pub(crate) fn new(tenant: Arc<str>) -> Self {
        let (tables, ordinals) = (Arc::default(), Ordinals::default());
        Self { tenant, tables, known: None, ordinals, profiles: Vec::new() }
    }

    /// Estimated bytes in memory without rows and indexes.
    pub(crate) fn raw_bytes(&self) -> u64 {
        raw_bytes(&self.tables, &self.profiles)
    }

    /// Takes over everything of a part but its rows.
    pub(crate) fn add(
        &mut self,
        tables: &Tables,
        profiles: &[ProfileRow],
        keep_addresses: bool,
    ) -> Collected {
        let known = self.known.get_or_insert_with(|| Known::of(&self.tables));
        let all: Vec<StackId> = tables.stacks.iter().map(|(stack, ..)| stack).collect();
        let target = Arc::make_mut(&mut self.tables);
        let remap = absorb(target, known, tables, &all, keep_addresses);
        self.add_profiles(remap, profiles)
    }

    /// As [`Self::add`], for tables whose addresses have been dropped already: the first are shared
    /// as long as no others come.
    pub(crate) fn add_shared(
        &mut self,
        tables: &Arc<Tables>,
        profiles: &[ProfileRow],
        keep_addresses: bool,
    ) -> Collected {
        if !self.profiles.is_empty() {
            return self.add(tables, profiles, keep_addresses);
        }
        self.tables = Arc::clone(tables);
        self.add_profiles(Remap::Same, profiles)
    }

    fn add_profiles(&mut self, remap: Remap, profiles: &[ProfileRow]) -> Collected {
        let base = self.profiles.len() as u32;
        for row in profiles {
            for kind in &*row.kinds {
                self.ordinals.kind(&kind.kind);
            }
            let (series, labels) = self.ordinals.series(&row.labels);
            let ordinal = base + row.ordinal;
            self.profiles.push(ProfileRow { ordinal, series, labels, ..row.clone() });
        }
        Collected { remap, base }
    }

    /// Puts kinds, series, profiles and tables in order. `used` says which stacks rows have; all
    /// when it is not known.
    pub(crate) fn arrange(self, used: Option<Vec<bool>>) -> Arranged {
        let Self { tenant, tables, mut ordinals, mut profiles, .. } = self;
        let kinds = order_by(&ordinals.kinds, Ord::cmp);
        ordinals.kinds = kinds.take(&ordinals.kinds);
        let service = |labels: &Labels| labels.get(SERVICE).unwrap_or("").to_owned();
        let series = order_by(&ordinals.series, |a, b| {
            (service(a), a.as_ref()).cmp(&(service(b), b.as_ref()))
        });
        ordinals.series = series.take(&ordinals.series);
        let services: Vec<String> = ordinals.series.iter().map(|row| service(row)).collect();
        let mut service_ranks: Vec<u32> = Vec::with_capacity(services.len());
        for (at, service) in services.iter().enumerate() {
            let is_new = at > 0 && *service != services[at - 1];
            service_ranks.push(service_ranks.last().map_or(0, |rank| rank + u32::from(is_new)));
        }
        for row in &mut profiles {
            row.series = series.rank(row.series);
        }
        let order = order_by(&profiles, |a, b| {
            (a.series, a.window.start, a.id).cmp(&(b.series, b.window.start, b.id))
        });
        let mut profiles = order.take(&profiles);
        for (at, row) in profiles.iter_mut().enumerate() {
            row.ordinal = at as u32;
        }
        let layout = Layout::of(&tables, used);
        let ranks = Ranks { profiles: order, service_ranks };
        Arranged { tenant, tables, links: None, ordinals, profiles, layout, ranks }
    }
}

impl Collected {
    /// Marks the stacks that a batch of the part has.
    pub(crate) fn mark_used(&self, batch: &RecordBatch, used: &mut Vec<bool>) -> Result<(), Error> {
        let stacks: &UInt32Array = column(batch, "stack")?;
        for stack in stacks.values() {
            let at = self.remap.stack(StackId(*stack)) as usize;
            if at >= used.len() {
                used.resize(at + 1, false);
            }
            used[at] = true;
        }
        Ok(())
    }
}

/// A part that is ready to be written, but for its rows.
#[derive(Debug)]
pub(crate) struct Arranged {
    pub(crate) tenant: Arc<str>,
    pub(crate) tables: Arc<Tables>,
    /// Those of the rows in their order, once that is known.
    links: Option<Vec<Link>>,
    pub(crate) ordinals: Ordinals,
    pub(crate) profiles: Vec<ProfileRow>,
    pub(crate) layout: Layout,
    ranks: Ranks,
}

/// New ordinals of what was collected.
#[derive(Debug)]
struct Ranks {
    profiles: Order,
    /// By new ordinal of the series.
    service_ranks: Vec<u32>,
}

/// What rows are sorted by: service, kind, series and time; profiles only to be the same each time.
pub(crate) type RowKey = (u32, u32, u32, i64, u32);

impl Arranged {
    /// Adds the rows of a batch of a part that was collected, with their new ordinals.
    pub(crate) fn rows(
        &self,
        part: &Collected,
        batch: &RecordBatch,
        rows: &mut Vec<Row>,
    ) -> Result<(), Error> {
        let first = rows.len();
        from_batch(batch, &mut |kind| self.kind(kind), rows)?;
        rows[first..].iter_mut().try_for_each(|row| self.place(part, row))
    }

    /// The ordinal of a kind; [`NONE`] when no profile has it.
    pub(crate) fn kind(&self, kind: &str) -> u32 {
        let at = self.ordinals.kinds.iter().position(|have| &**have == kind);
        at.map_or(NONE, |at| at as u32)
    }

    /// Gives a row of a part, its kind apart, its new ordinals.
    pub(crate) fn place(&self, part: &Collected, row: &mut Row) -> Result<(), Error> {
        if row.kind == NONE {
            return Err(Error::corrupt("a sample is of a kind that no profile has"));
        }
        let profile = self.ranks.profiles.rank(row.profile.saturating_add(part.base));
        let found = self.profiles.get(profile as usize);
        let found = found.ok_or_else(|| Error::corrupt("a sample is of no profile"))?;
        (row.profile, row.series) = (profile, found.series);
        let stack = part.remap.stack(StackId(row.stack)) as usize;
        row.stack = self.layout.stacks.get(stack).copied().unwrap_or(0);
        row.thread = part.remap.thread(Some(profile::ThreadId(row.thread)));
        row.link = part.remap.link(Some(LinkId(row.link)));
        row.attributes = part.remap.attributes(Some(profile::AttributesId(row.attributes)));
        Ok(())
    }

    /// Sorts rows.
    pub(crate) fn sort(&self, rows: &mut [Row]) {
        rows.sort_unstable_by_key(|row| (self.key(row), row.stack));
    }

    /// Numbers links in the order in which sorted rows come to them: a span's samples are close in
    /// time, so the column becomes small steps. Links that no row has are dropped.
    pub(crate) fn order_links(&mut self, rows: &mut [Row]) {
        let (old, mut links) = (&self.tables.links, Vec::new());
        let mut ranks = vec![NONE; old.len()];
        for row in rows {
            let Some(rank) = ranks.get_mut(row.link as usize) else { continue };
            if let (NONE, Some(link)) = (*rank, old.get(LinkId(row.link))) {
                links.push(*link);
                *rank = links.len() as u32 - 1;
            }
            row.link = *rank;
        }
        self.links = Some(links);
    }

    /// Links by the ordinals that rows have.
    pub(crate) fn links(&self) -> &[Link] {
        self.links.as_deref().unwrap_or_else(|| self.tables.links.rows())
    }

    /// Where a row belongs.
    pub(crate) fn key(&self, row: &Row) -> RowKey {
        let service = self.ranks.service_ranks.get(row.series as usize);
        (service.copied().unwrap_or(0), row.kind, row.series, row.ts_ms, row.profile)
    }

    /// First and last time, inclusive.
    pub(crate) fn time_bounds(&self) -> (i64, i64) {
        let bounds = self.profiles.iter().map(ProfileRow::time_bounds);
        bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
    }

    /// Estimated bytes in memory without rows.
    pub(crate) fn raw_bytes(&self) -> u64 {
        raw_bytes(&self.tables, &self.profiles)
    }
}

fn raw_bytes(tables: &Tables, profiles: &[ProfileRow]) -> u64 {
    let profiles: usize = profiles.iter().map(ProfileRow::bytes).sum();
    (tables.estimated_bytes() + profiles) as u64
}

/// A new order of things: which comes at each place, and the place of each.
#[derive(Debug)]
struct Order {
    places: Vec<u32>,
    ranks: Vec<u32>,
}

impl Order {
    fn take<T: Clone>(&self, things: &[T]) -> Vec<T> {
        self.places.iter().map(|&at| things[at as usize].clone()).collect()
    }

    fn rank(&self, ordinal: u32) -> u32 {
        self.ranks.get(ordinal as usize).copied().unwrap_or(ordinal)
    }
}

fn order_by<T>(things: &[T], compare: impl Fn(&T, &T) -> std::cmp::Ordering) -> Order {
    let mut places: Vec<u32> = (0..things.len() as u32).collect();
    places.sort_by(|&a, &b| compare(&things[a as usize], &things[b as usize]));
    let mut ranks = vec![0; things.len()];
    for (rank, &place) in places.iter().enumerate() {
        ranks[place as usize] = rank as u32;
    }
    Order { places, ranks }
}
