//! What happens to rollups when something goes: samples by retention, profiles by deletion, rollups
//! by age or for room.

use super::super::Inner;
use super::{Place, hour_of, hours_of_profiles, open_of, range_of};
use crate::hidden::Tombstone;
use crate::rollup::{self, Rollup, without_deleted};
use crate::segment::Segment;
use crate::{Error, ProfileRow};
use std::collections::BTreeSet;
use std::sync::Arc;
use stdx::{Timestamp, Ulid};

impl Inner {
    /// Rolls up what is open of hours that these segments have a part in, before some of it goes
    /// for good, and seals them. A full disk must not keep retention from making room.
    pub(in crate::store) fn seal_hours(&self, segments: &[Arc<Segment>]) -> Result<(), Error> {
        if !self.rolls_up() {
            return Ok(());
        }
        let result = self.try_seal(segments);
        if let Err(error) = result {
            if !error.is_disk_full() {
                return Err(error);
            }
            tracing::error!(%error, "no room to roll up what retention drops");
        }
        Ok(())
    }

    fn try_seal(&self, segments: &[Arc<Segment>]) -> Result<(), Error> {
        self.finish_roll()?;
        self.learn_hours()?;
        let first = self.first_hour();
        for segment in segments {
            let hour = |nanos| hour_of(Timestamp::from_nanos(nanos).millis());
            let (from, to) = (hour(segment.row.t_min_ns).max(first), hour(segment.row.t_max_ns));
            let tenant = segment.row.tenant.as_str();
            if from > to {
                continue;
            }
            for place in self.open_between(tenant, from, to) {
                self.roll(&place)?;
            }
            self.step("before the seal")?;
            self.catalog.seal_rollups(tenant, from, to)?;
            self.step("after the seal")?;
            let range = (tenant.to_owned(), from)..=(tenant.to_owned(), to);
            self.rolled().live.range(range).for_each(|(_, rollup)| rollup.seal());
        }
        Ok(())
    }

    fn open_between(&self, tenant: &str, from: i64, to: i64) -> Vec<Place> {
        let range = (tenant.to_owned(), from)..=(tenant.to_owned(), to);
        self.rolled().open.range(range).map(|(place, _)| place.clone()).collect()
    }

    /// Before a segment is written anew without deleted profiles: sealed hours take from it what they
    /// are open for, others are opened.
    pub(in crate::store) fn open_for_deletion(
        &self,
        segment: &Arc<Segment>,
        deleted: &[&ProfileRow],
    ) -> Result<(), Error> {
        if !self.rolls_up() {
            return Ok(());
        }
        self.finish_roll()?;
        let awaiting: Vec<Place> = {
            let rolled = self.rolled();
            let is_its = |(place, segments): &(&Place, &BTreeSet<Ulid>)| {
                let live = rolled.live.get(*place);
                segments.contains(&segment.id) && live.is_some_and(|live| live.is_sealed())
            };
            rolled.open.iter().filter(is_its).map(|(place, _)| place.clone()).collect()
        };
        awaiting.iter().try_for_each(|place| self.roll(place))?;
        let hours = hours_of_profiles(deleted.iter().copied(), self.first_hour());
        let mut hours = open_of(segment, &hours);
        hours.retain(|hour| {
            let live = self.rolled().live.get(&(hour.tenant.clone(), hour.hour_ms)).cloned();
            live.is_none_or(|live| !live.is_sealed())
        });
        self.catalog.open_more_hours(&hours)?;
        self.opened(hours);
        Ok(())
    }

    /// Whether samples of an hour that these profiles may have a part in are gone.
    pub(in crate::store) fn is_sealed_for<'a>(
        &self,
        tenant: &str,
        profiles: impl IntoIterator<Item = &'a ProfileRow>,
    ) -> bool {
        let hours = hours_of_profiles(profiles, self.first_hour());
        let rolled = self.rolled();
        let live = |hour: i64| rolled.live.get(&(tenant.to_owned(), hour));
        hours.into_iter().any(|hour| live(hour).is_some_and(|live| live.is_sealed()))
    }

    /// Opens hours for a segment that is about to be committed.
    pub(in crate::store) fn open_hours_of(
        &self,
        segment: &Segment,
        hours: &BTreeSet<i64>,
    ) -> Result<(), Error> {
        let hours = open_of(segment, hours);
        self.catalog.open_more_hours(&hours)?;
        self.opened(hours);
        Ok(())
    }

    /// Takes the series that deletions name out of sealed hours, which cannot be made anew.
    pub(in crate::store) fn delete_from_sealed(
        &self,
        stones: &[Arc<Tombstone>],
    ) -> Result<(), Error> {
        self.finish_roll()?;
        let live: Vec<_> = {
            let rolled = self.rolled();
            rolled.live.iter().map(|(place, live)| (place.clone(), Arc::clone(live))).collect()
        };
        for (place, live) in live.into_iter().filter(|(_, live)| live.is_sealed()) {
            let bounds = live.bounds();
            let touching = stones.iter().filter(|stone| stone.touches(&place.0, bounds));
            let touching: Vec<Arc<Tombstone>> = touching.cloned().collect();
            if touching.is_empty() {
                continue;
            }
            let mut parts = live.read_all()?;
            if without_deleted(&mut parts, &touching) {
                let frames = parts.first().map(|part| Arc::clone(&part.frames)).unwrap_or_default();
                let rollup = self.write_rollup(&place, &parts, &frames, true)?;
                self.commit_roll(place, rollup, Vec::new())?;
            }
        }
        self.delete_retired_rollups()
    }

    /// Retires rollups that are too old and not pinned, and closes hours that are.
    pub(super) fn drop_old_rollups(&self) -> Result<(), Error> {
        let first = self.first_hour();
        let pins = self.pins();
        let old: Vec<Arc<Rollup>> = {
            let rolled = self.rolled();
            let is_pinned = |place: &Place, rollup: &Rollup| {
                pins.iter().any(|pin| {
                    pin.tenant == place.0
                        && pin.range.overlaps(&range_of(place.1))
                        && rollup.contents.services.contains(&pin.service)
                })
            };
            let live = rolled.live.iter();
            let old = live.filter(|(place, rollup)| place.1 < first && !is_pinned(place, rollup));
            old.map(|(_, rollup)| Arc::clone(rollup)).collect()
        };
        self.retire_rollups(&old)?;
        if self.rolled().open.keys().any(|place| place.1 < first) {
            self.catalog.close_hours_before(first)?;
            self.rolled().open.retain(|place, _| place.1 >= first);
        }
        Ok(())
    }

    fn retire_rollups(&self, old: &[Arc<Rollup>]) -> Result<(), Error> {
        if old.is_empty() {
            return Ok(());
        }
        let ids: Vec<Ulid> = old.iter().map(|rollup| rollup.row.id).collect();
        self.step("before rollups are retired")?;
        self.catalog.retire_rollups(&ids)?;
        self.step("after rollups are retired")?;
        let mut rolled = self.rolled();
        for rollup in old {
            rolled.live.remove(&(rollup.row.tenant.clone(), rollup.row.hour_ms));
            rolled.retired.push((rollup.row.id, Arc::downgrade(rollup)));
        }
        Ok(())
    }

    /// Bytes of live rollups.
    pub(in crate::store) fn rollup_bytes(&self) -> u64 {
        self.rolled().live.values().map(|rollup| rollup.row.bytes).sum()
    }

    /// Retires the oldest rollups until so many bytes are free.
    pub(in crate::store) fn drop_rollups_for_budget(&self, bytes: u64) -> Result<(), Error> {
        let mut live: Vec<Arc<Rollup>> = self.rolled().live.values().cloned().collect();
        live.sort_by_key(|rollup| rollup.row.hour_ms);
        let mut freed = 0;
        live.retain(|rollup| {
            let goes = freed < bytes;
            freed += if goes { rollup.row.bytes } else { 0 };
            goes
        });
        self.retire_rollups(&live)?;
        self.delete_retired_rollups()
    }

    /// Deletes files of retired rollups that nobody reads.
    pub(super) fn delete_retired_rollups(&self) -> Result<(), Error> {
        let due: Vec<Ulid> = {
            let rolled = self.rolled();
            let due = rolled.retired.iter().filter(|(_, rollup)| rollup.strong_count() == 0);
            due.map(|(id, _)| *id).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        for id in &due {
            let dir = rollup::dir(*id);
            self.layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
        }
        self.layer.sync_dir(rollup::DIR).map_err(Error::io("sync rollups"))?;
        self.step("before forgetting retired rollups")?;
        self.catalog.forget_rollups(&due)?;
        self.rolled().retired.retain(|(id, _)| !due.contains(id));
        Ok(())
    }
}
