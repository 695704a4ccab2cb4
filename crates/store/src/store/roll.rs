//! Rolling hours up, in the background: when an hour is over and settled, when late data has come to
//! one, and before retention drops any of its samples.
//!
//! An hour is *open* for each segment that brought something to it since it was rolled up; the
//! catalog notes that in the flush's own transaction. An hour whose samples are all there is made
//! anew from all segments. Where retention has dropped some, it is *sealed*: what comes later is
//! added to its rollup, from the segments that it is open for. Either way the catalog's row is the
//! commit, and the same commit closes the hour.

pub(super) mod backup;
mod check;
mod going;

use super::{Inner, Store, count, sweep};
use crate::hidden::{Hidden, Tombstone};
use crate::layer::FileLayer;
use crate::limits::{ROLLUP_AGAIN, ROLLUP_SETTLE};
use crate::memtable::overlaps;
use crate::rollup::build::Builder;
use crate::rollup::{HourPart, Hours, Rollup, hour_of};
use crate::rows::Row;
use crate::segment::Segment;
use crate::{Error, ErrorKind, ProfileRow};
use catalog::{Catalog, OpenHour};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use stdx::{TimeRange, Timestamp, Ulid};
use views::rollup::{HOUR_MS, KindRollup};

/// A tenant and the start of an hour.
type Place = (String, i64);

/// Rollups and open hours.
#[derive(Debug, Default)]
pub(super) struct Rolled {
    pub(super) live: BTreeMap<Place, Arc<Rollup>>,
    /// Segments that brought something to an hour since it was rolled up.
    pub(super) open: BTreeMap<Place, BTreeSet<Ulid>>,
    /// Hours of segments that are written but not committed.
    pending: BTreeMap<Ulid, BTreeSet<i64>>,
    retired: Vec<(Ulid, Weak<Rollup>)>,
    /// A commit that failed: whether the catalog has it is not known.
    unsure: Option<Unsure>,
    knows_hours: bool,
}

impl Rolled {
    /// What the catalog says. Files of retired rollups are removed, folders that it does not name
    /// moved aside.
    pub(super) fn load(layer: &Arc<dyn FileLayer>, catalog: &Catalog) -> Result<Self, Error> {
        let mut rolled = Self { knows_hours: catalog.knows_hours()?, ..Self::default() };
        for row in catalog.rollups()? {
            let rollup = Arc::new(Rollup::new(row, Arc::clone(layer))?);
            rolled.live.insert((rollup.row.tenant.clone(), rollup.row.hour_ms), rollup);
        }
        for OpenHour { tenant, hour_ms, segment } in catalog.open_hours()? {
            rolled.open.entry((tenant, hour_ms)).or_default().insert(segment);
        }
        let live: BTreeSet<Ulid> = rolled.live.values().map(|rollup| rollup.row.id).collect();
        sweep::rollups(&**layer, catalog, &live)?;
        Ok(rolled)
    }
}

/// What is to take the place of an hour's rollup.
#[derive(Clone, Debug)]
struct Unsure {
    place: Place,
    rollup: Option<Arc<Rollup>>,
    closed: Vec<Ulid>,
}

/// The hours of sorted rows.
fn hours_of(rows: &[Row]) -> BTreeSet<i64> {
    let mut hours = BTreeSet::new();
    let mut last = None;
    for row in rows {
        let hour = hour_of(row.ts_ms);
        if last != Some(hour) {
            hours.insert(hour);
            last = Some(hour);
        }
    }
    hours
}

/// The hours that profiles may have samples in, from the first on.
fn hours_of_profiles<'a>(
    profiles: impl IntoIterator<Item = &'a ProfileRow>,
    first_ms: i64,
) -> BTreeSet<i64> {
    let mut hours = BTreeSet::new();
    for kind in profiles.into_iter().flat_map(|row| &*row.kinds).filter(|kind| kind.samples > 0) {
        let mut hour = hour_of(kind.first.millis()).max(first_ms);
        while hour <= kind.last.millis() {
            hours.insert(hour);
            hour = hour.saturating_add(HOUR_MS);
        }
    }
    hours
}

fn range_of(hour_ms: i64) -> TimeRange {
    let end = Timestamp::from_millis(hour_ms.saturating_add(HOUR_MS));
    TimeRange::new(Timestamp::from_millis(hour_ms), end)
}

impl Store {
    /// Rolls one hour up, if there is one that has settled; says whether it did. Drops rollups that
    /// are too old.
    pub async fn roll_once(&self) -> Result<bool, Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            let _turn = turn;
            if !inner.rolls_up() {
                return inner.forget_hours();
            }
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            inner.finish_roll()?;
            inner.learn_hours()?;
            inner.drop_old_rollups()?;
            let settled = inner.next_settled();
            if let Some(place) = &settled {
                inner.roll(place)?;
            }
            inner.delete_retired_rollups()?;
            Ok(settled.is_some())
        })
        .await
    }

    /// A tenant's rollups of whole hours within a range that hold all that is stored of their hour.
    pub fn hours(&self, tenant: &str, range: TimeRange) -> Hours {
        let state = self.inner.state();
        let bounds = |segment: &Arc<Segment>| (segment.row.t_min_ns, segment.row.t_max_ns);
        let is_hidden = |segment: &&Arc<Segment>| {
            segment.row.tenant == tenant
                && Hidden::of(&state.tombstones, tenant, bounds(segment)).is_some()
        };
        let mut busy: Vec<(i64, i64)> =
            state.segments.iter().filter(is_hidden).map(bounds).collect();
        let frozen = state.flushing.iter().filter_map(|frozen| frozen.chunks.get(tenant));
        let chunks = frozen.flatten().chain(state.memtable.views(tenant));
        busy.extend(chunks.map(|chunk| chunk.time_bounds));
        let stones: Vec<Arc<Tombstone>> =
            state.tombstones.iter().filter(|stone| stone.tenant == tenant).cloned().collect();
        let rolled = self.inner.rolled();
        let mut hours = Hours::default();
        let first = (tenant.to_owned(), range.start.millis());
        let last = (tenant.to_owned(), range.end.millis());
        if first > last {
            return hours;
        }
        for (place, rollup) in rolled.live.range(first..last) {
            let hour = range_of(place.1);
            if hour.start < range.start || hour.end > range.end {
                continue;
            }
            let is_busy =
                || rolled.open.contains_key(place) || busy.iter().any(|one| overlaps(*one, hour));
            if !rollup.is_sealed() && is_busy() {
                continue;
            }
            let hidden = stones.iter().filter(|stone| stone.touches(tenant, rollup.bounds()));
            let hidden = hidden.filter(|_| rollup.is_sealed()).cloned().collect();
            let part = HourPart { rollup: Arc::clone(rollup), hidden };
            hours.ready.insert(place.1, part);
        }
        hours
    }
}

impl Inner {
    pub(super) fn rolled(&self) -> MutexGuard<'_, Rolled> {
        self.rolled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rolls_up(&self) -> bool {
        !self.options.rollup_retention.is_zero()
    }

    /// Start of the first hour that is still rolled up.
    fn first_hour(&self) -> i64 {
        let kept = i64::try_from(self.options.rollup_retention.as_millis()).unwrap_or(i64::MAX);
        hour_of(self.clock.now().millis().saturating_sub(kept))
    }

    /// The hours of sorted rows that are rolled up.
    pub(super) fn hours_of(&self, rows: &[Row]) -> BTreeSet<i64> {
        let mut hours = hours_of(rows);
        let first = self.first_hour();
        hours.retain(|hour| self.rolls_up() && *hour >= first);
        hours
    }

    /// Remembers the hours of a segment that is written and not yet committed.
    pub(super) fn note_hours(&self, segment: Ulid, hours: BTreeSet<i64>) {
        self.rolled().pending.insert(segment, hours);
    }

    /// Forgets what [`Self::note_hours`] remembered.
    pub(super) fn forget_noted(&self) {
        self.rolled().pending.clear();
    }

    /// The hours of segments that are about to be committed.
    pub(super) fn noted_hours(&self, segments: &[Arc<Segment>]) -> Vec<OpenHour> {
        let rolled = self.rolled();
        let of = |segment: &Arc<Segment>| {
            let hours = rolled.pending.get(&segment.id).into_iter().flatten();
            let (tenant, segment) = (segment.row.tenant.clone(), segment.id);
            let open = move |hour_ms: &i64| OpenHour {
                tenant: tenant.clone(),
                hour_ms: *hour_ms,
                segment,
            };
            hours.map(open).collect::<Vec<_>>()
        };
        segments.iter().flat_map(of).collect()
    }

    /// The catalog has these.
    pub(super) fn opened(&self, hours: Vec<OpenHour>) {
        let mut rolled = self.rolled();
        for OpenHour { tenant, hour_ms, segment } in hours {
            rolled.open.entry((tenant, hour_ms)).or_default().insert(segment);
        }
    }

    /// Segments that compaction leaves alone: what is in them is still to be added to sealed hours.
    pub(super) fn awaited(&self) -> BTreeSet<Ulid> {
        let rolled = self.rolled();
        let sealed = rolled
            .open
            .iter()
            .filter(|(place, _)| rolled.live.get(*place).is_some_and(|rollup| rollup.is_sealed()));
        sealed.flat_map(|(_, segments)| segments).copied().collect()
    }

    /// Opens the hours of segments that were there before hours were noted.
    fn learn_hours(&self) -> Result<(), Error> {
        if self.rolled().knows_hours {
            return Ok(());
        }
        let first = self.first_hour();
        let mut hours = Vec::new();
        for segment in self.state().segments.clone() {
            if hour_of(Timestamp::from_nanos(segment.row.t_max_ns).millis()) < first {
                continue;
            }
            hours.extend(open_of(&segment, &hours_of_profiles(&segment.read_profiles()?, first)));
        }
        self.step("before the hours' commit")?;
        self.catalog.set_knows_hours(&hours, true)?;
        self.step("after the hours' commit")?;
        self.opened(hours);
        self.rolled().knows_hours = true;
        Ok(())
    }

    /// Without rollups, hours are not noted: when there are to be some again, all are looked at.
    fn forget_hours(&self) -> Result<bool, Error> {
        if self.rolled().knows_hours {
            self.catalog.set_knows_hours(&[], false)?;
            self.rolled().knows_hours = false;
        }
        Ok(false)
    }

    /// The oldest open hour that has been over for long enough, and was not rolled up just now.
    fn next_settled(&self) -> Option<Place> {
        let now = self.clock.now();
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let rolled = self.rolled();
        let mut open = rolled.open.keys().filter(|place| {
            let is_over = range_of(place.1).end.plus_nanos(nanos(ROLLUP_SETTLE)) <= now;
            let again =
                |live: &Arc<Rollup>| live.row.created_at.plus_nanos(nanos(ROLLUP_AGAIN)) <= now;
            is_over && rolled.live.get(*place).is_none_or(again)
        });
        open.next().cloned()
    }

    /// Rolls an open hour up.
    fn roll(&self, place: &Place) -> Result<(), Error> {
        let (closed, live) = {
            let rolled = self.rolled();
            let closed: Vec<Ulid> = rolled.open.get(place).into_iter().flatten().copied().collect();
            (closed, rolled.live.get(place).cloned())
        };
        let sealed = live.filter(|live| live.is_sealed());
        let before = match &sealed {
            None => Vec::new(),
            Some(sealed) => match sealed.read_all() {
                Ok(parts) => parts,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%error, id = %sealed.row.id, "a damaged rollup was left alone");
                    return self.commit_roll(place.clone(), Some(Arc::clone(sealed)), closed);
                }
                Err(error) => return Err(error),
            },
        };
        let only = sealed.as_ref().map(|_| closed.as_slice());
        let (parts, frames) = self.build(place, only)?.finish(&before);
        let is_sealed = sealed.is_some();
        let rollup = self.write_rollup(place, &parts, &frames, is_sealed)?;
        self.commit_roll(place.clone(), rollup, closed)
    }

    /// Adds up the hour from all segments, or only from some.
    fn build(&self, (tenant, hour_ms): &Place, only: Option<&[Ulid]>) -> Result<Builder, Error> {
        let (segments, tombstones) = {
            let state = self.state();
            (state.segments.clone(), state.tombstones.clone())
        };
        let options = &self.options;
        let (rules, cells_max) = (options.rollup_rules, options.rollup_cells_max);
        let mut builder = Builder::new(*hour_ms, rules, cells_max);
        let hour = range_of(*hour_ms);
        let is_its = |segment: &&Arc<Segment>| {
            segment.row.tenant == *tenant
                && segment.overlaps(hour)
                && only.is_none_or(|only| only.contains(&segment.id))
        };
        for segment in segments.iter().filter(is_its) {
            let add = || {
                let bounds = (segment.row.t_min_ns, segment.row.t_max_ns);
                let profiles = Arc::new(segment.read_profiles()?);
                let hidden = Hidden::of(&tombstones, tenant, bounds);
                let profiles = hidden.map_or(Arc::clone(&profiles), |it| it.mask(profiles));
                builder.add(segment, &profiles)
            };
            let mut add = add;
            match add() {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%error, id = %segment.id, "a damaged segment was not rolled up");
                }
                other => other?,
            }
        }
        Ok(builder)
    }

    fn write_rollup(
        &self,
        (tenant, hour_ms): &Place,
        parts: &[KindRollup],
        frames: &[views::Frame],
        is_sealed: bool,
    ) -> Result<Option<Arc<Rollup>>, Error> {
        if parts.is_empty() {
            return Ok(None);
        }
        let head = (self.new_id(), tenant.as_str(), *hour_ms, self.clock.now());
        let mut rollup = Rollup::write(&self.layer, head, parts, frames)?;
        rollup.row.is_sealed = is_sealed;
        if is_sealed {
            rollup.seal();
        }
        Ok(Some(Arc::new(rollup)))
    }

    fn commit_roll(
        &self,
        place: Place,
        rollup: Option<Arc<Rollup>>,
        closed: Vec<Ulid>,
    ) -> Result<(), Error> {
        self.rolled().unsure = Some(Unsure { place, rollup, closed });
        self.finish_roll()
    }

    /// Commits the rollup that is written but not known to be committed, if there is one.
    pub(super) fn finish_roll(&self) -> Result<(), Error> {
        let Some(unsure) = self.rolled().unsure.clone() else { return Ok(()) };
        let Unsure { place, rollup, closed } = unsure;
        let row = rollup.as_ref().map(|rollup| &rollup.row);
        self.step("before the rollup's commit")?;
        self.catalog.commit_rollup((&place.0, place.1), row, &closed)?;
        self.step("after the rollup's commit")?;
        let mut rolled = self.rolled();
        rolled.unsure = None;
        let before = match &rollup {
            Some(rollup) => rolled.live.insert(place.clone(), Arc::clone(rollup)),
            None => rolled.live.remove(&place),
        };
        let is_same = |before: &Arc<Rollup>| {
            rollup.as_ref().is_some_and(|rollup| rollup.row.id == before.row.id)
        };
        if let Some(before) = before.filter(|before| !is_same(before)) {
            rolled.retired.push((before.row.id, Arc::downgrade(&before)));
        }
        if let Some(open) = rolled.open.get_mut(&place) {
            open.retain(|segment| !closed.contains(segment));
            if open.is_empty() {
                rolled.open.remove(&place);
            }
        }
        drop(rolled);
        count(&self.counters.rollups_made, 1);
        Ok(())
    }
}

fn open_of(segment: &Segment, hours: &BTreeSet<i64>) -> Vec<OpenHour> {
    let open = |hour_ms: &i64| OpenHour {
        tenant: segment.row.tenant.clone(),
        hour_ms: *hour_ms,
        segment: segment.id,
    };
    hours.iter().map(open).collect()
}
