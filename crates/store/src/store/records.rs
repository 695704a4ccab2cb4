//! Spans and events in the store: what questions see, and what flushes, compaction, retention and
//! deletions do with them. All of it goes the way of profiles: the same log and its keys, the same
//! transactions of the catalog.

use super::rewrite::{Change, Reason, Rewrite};
use super::{Inner, State, Store, compact};
use crate::Error;
use crate::hidden::Hidden;
use crate::limits::RECORD_COMPACTION_RAW_BYTES_MAX;
use crate::memtable::overlaps;
use crate::records::file::Sorted;
use crate::records::part::{RecordPart, Source};
use crate::records::{Base, Group, Pile, Piled, Record, read};
use crate::rules::keep_nanos;
use crate::segment::Segment;
use catalog::{Content, Pin};
use std::sync::Arc;
use stdx::{TimeRange, Ulid};
use views::{EventInfo, SpanInfo};

impl Store {
    /// All spans of `tenant` that may overlap `range`, as of now; parts are chosen whole.
    pub fn span_parts(&self, tenant: &str, range: TimeRange) -> Vec<RecordPart<SpanInfo>> {
        self.inner.state().parts(tenant, range)
    }

    /// The same of events and readings of runtimes.
    pub fn event_parts(&self, tenant: &str, range: TimeRange) -> Vec<RecordPart<EventInfo>> {
        self.inner.state().parts(tenant, range)
    }
}

impl State {
    fn parts<R: Piled>(&self, tenant: &str, range: TimeRange) -> Vec<RecordPart<R>> {
        let segments = self.of(R::CONTENT).iter();
        let segments =
            segments.filter(|segment| segment.row.tenant == tenant && segment.overlaps(range));
        let mut parts: Vec<RecordPart<R>> = segments
            .map(|segment| {
                let bounds = (segment.row.t_min_ns, segment.row.t_max_ns);
                let hidden = Hidden::of(&self.tombstones, tenant, bounds);
                RecordPart { source: Source::Segment(Arc::clone(segment)), hidden }
            })
            .collect();
        let groups = self.piles::<R>().flat_map(|pile| pile.groups(tenant));
        let groups: Vec<_> =
            groups.filter(|group| overlaps(group.time_bounds(), range)).cloned().collect();
        if !groups.is_empty() {
            let hidden = Hidden::of(&self.tombstones, tenant, bounds_of(&groups));
            parts.push(RecordPart { source: Source::Memory(groups), hidden });
        }
        parts
    }

    /// What is in no segment yet, the older first.
    fn piles<R: Piled>(&self) -> impl Iterator<Item = &Pile<R>> {
        let frozen = self.flushing.iter().map(|frozen| &*frozen.piles);
        frozen.chain([&self.memtable.piles]).map(R::pile)
    }

    fn hidden_in_piles<R: Piled>(&self, found: &mut Vec<Ulid>) {
        for (tenant, groups) in self.piles::<R>().flat_map(Pile::all) {
            let Some(hidden) = Hidden::of(&self.tombstones, tenant, bounds_of(groups)) else {
                continue;
            };
            let rows = groups.iter().flat_map(|group| &group.rows);
            found.extend(rows.filter_map(|row| hidden.of_record(row.base())));
        }
    }
}

fn bounds_of<R: Record>(groups: &[Arc<Group<R>>]) -> (i64, i64) {
    let bounds = groups.iter().map(|group| group.time_bounds());
    let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    bounds.unwrap_or((i64::MAX, i64::MIN))
}

/// Deletions that hide spans or events which are in no segment yet.
pub(super) fn hidden_in_memory(state: &State) -> Vec<Ulid> {
    let mut found = Vec::new();
    state.hidden_in_piles::<SpanInfo>(&mut found);
    state.hidden_in_piles::<EventInfo>(&mut found);
    found
}

fn is_pinned(pins: &[Pin], tenant: &str, base: Base<'_>) -> bool {
    let holds = |pin: &Pin| {
        pin.tenant == tenant && pin.service == base.service() && overlaps(base.bounds(), pin.range)
    };
    pins.iter().any(holds)
}

impl Inner {
    /// Writes what is frozen, for each tenant a segment.
    pub(super) fn write_pile<R: Record>(
        &self,
        pile: &Pile<R>,
        to: &mut Vec<Arc<Segment>>,
    ) -> Result<(), Error> {
        for (tenant, groups) in pile.all() {
            to.extend(self.write_records(&Sorted::of_groups(tenant, groups), 0)?);
        }
        Ok(())
    }

    /// Writes records to a segment, which is not committed; none where there are none.
    fn write_records<R: Record>(
        &self,
        records: &Sorted<R>,
        level: u8,
    ) -> Result<Option<Arc<Segment>>, Error> {
        if records.is_empty() {
            return Ok(None);
        }
        let (row, files) = records.encode(self.new_id(), level, self.clock.now())?;
        self.write_files(row, &files).map(Some)
    }

    /// Makes one segment of several of one tenant and content.
    pub(super) fn merge_records(&self, group: &[Arc<Segment>]) -> Result<(), Error> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut raw_bytes = 0;
        let fitting = group.iter().take_while(|segment| {
            raw_bytes += segment.index.raw_bytes;
            raw_bytes <= RECORD_COMPACTION_RAW_BYTES_MAX
        });
        let group = &group[..fitting.count()];
        match first.row.content {
            Content::Profiles => Ok(()),
            Content::Spans => self.merge_as::<SpanInfo>(group, &first.row.tenant),
            Content::Events => self.merge_as::<EventInfo>(group, &first.row.tenant),
        }
    }

    fn merge_as<R: Record>(&self, group: &[Arc<Segment>], tenant: &str) -> Result<(), Error> {
        let mut rows: Vec<R> = Vec::new();
        for segment in group {
            rows.extend(read::all(segment)?);
        }
        let merged = self.write_records(&Sorted::new(tenant, rows), compact::next_level(group))?;
        let merged = merged.ok_or_else(|| Error::corrupt("segments without records"))?;
        self.begin_swap(group, merged)
    }

    /// Writes a segment anew with only what is kept, by what each record has and what rules call it;
    /// says whether something went.
    fn rewrite_records(
        &self,
        segment: &Arc<Segment>,
        why: Reason,
        keep: impl Fn(Base<'_>, &str) -> bool,
    ) -> Result<bool, Error> {
        match segment.row.content {
            Content::Profiles => Ok(false),
            Content::Spans => self.rewrite_as::<SpanInfo>(segment, why, keep),
            Content::Events => self.rewrite_as::<EventInfo>(segment, why, keep),
        }
    }

    fn rewrite_as<R: Record>(
        &self,
        segment: &Arc<Segment>,
        why: Reason,
        keep: impl Fn(Base<'_>, &str) -> bool,
    ) -> Result<bool, Error> {
        let mut rows: Vec<R> = read::all(segment)?;
        let before = rows.len();
        rows.retain(|row| keep(row.base(), row.kind()));
        if rows.len() == before {
            return Ok(false);
        }
        let sorted = Sorted::new(&segment.row.tenant, rows);
        let output = self.write_records(&sorted, segment.row.level)?;
        let drops = vec![self.dropped(segment, output.as_deref(), why)];
        let change = Change::Dropped(drops, Vec::new());
        let outputs = output.into_iter().collect();
        self.begin_rewrite(Rewrite { inputs: vec![segment.id], outputs, change })?;
        Ok(true)
    }

    /// Writes a segment anew without what is too old; says whether there was any.
    pub(super) fn drop_old_records(&self, segment: &Arc<Segment>, now: i64) -> Result<bool, Error> {
        let (pins, tenant) = (self.pins(), &segment.row.tenant);
        let keep = |base: Base<'_>, kind: &str| {
            let kept = keep_nanos(&self.options, tenant, base.service(), kind);
            let newest = base.bounds().1.min(base.received_at.nanos());
            now.saturating_sub(newest) <= kept || is_pinned(&pins, tenant, base)
        };
        let changed = self.rewrite_records(segment, Reason::Age, keep)?;
        if !changed {
            self.looked_at().insert(segment.id, now);
        }
        Ok(changed)
    }

    /// Writes a segment anew with only what is pinned.
    pub(super) fn keep_pinned_records(
        &self,
        segment: &Arc<Segment>,
        pins: &[Pin],
    ) -> Result<(), Error> {
        let tenant = &segment.row.tenant;
        let keep = |base: Base<'_>, _: &str| is_pinned(pins, tenant, base);
        self.rewrite_records(segment, Reason::Budget, keep).map(drop)
    }

    /// Rewrites a segment without what deletions hide; says whether there was any.
    pub(super) fn rewrite_hidden_records(&self, segment: &Arc<Segment>) -> Result<bool, Error> {
        let row = &segment.row;
        let bounds = (row.t_min_ns, row.t_max_ns);
        let hidden = Hidden::of(&self.state().tombstones, &row.tenant, bounds);
        let Some(hidden) = hidden else { return Ok(false) };
        let keep = |base: Base<'_>, _: &str| hidden.of_record(base).is_none();
        self.rewrite_records(segment, Reason::Deletion, keep)
    }
}
