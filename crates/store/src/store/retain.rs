//! Retention: whole segments are dropped by age, then by disk budget; files of what nothing reads
//! any more are deleted.

use super::{Inner, Retired, Store, count};
use crate::Error;
use crate::segment::{self, Segment};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::Ulid;

impl Store {
    /// Drops what is too old, then the oldest until the disk budget holds. Returns how many
    /// segments were dropped.
    pub async fn retain_once(&self) -> Result<usize, Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            inner.finish_unsure()?;
            let dropped = inner.drop_old()? + inner.drop_for_budget()?;
            inner.delete_retired()?;
            drop(turn);
            Ok(dropped)
        })
        .await
    }
}

impl Inner {
    /// A segment that claims times after it was written is as old as itself: a wrong clock must
    /// not keep it for ever.
    fn newest(segment: &Segment) -> i64 {
        segment.row.t_max_ns.min(segment.row.created_at.nanos())
    }

    fn drop_old(&self) -> Result<usize, Error> {
        let retention = i64::try_from(self.options.retention.as_nanos()).unwrap_or(i64::MAX);
        let oldest = self.clock.now().nanos().saturating_sub(retention);
        let state = self.state();
        let old = state.segments.iter().filter(|segment| Self::newest(segment) < oldest);
        let ids: Vec<Ulid> = old.map(|segment| segment.id).collect();
        drop(state);
        self.drop_segments(&ids)?;
        count(&self.counters.dropped_by_retention, ids.len() as u64);
        Ok(ids.len())
    }

    fn drop_for_budget(&self) -> Result<usize, Error> {
        let Some(budget) = self.options.disk_budget_bytes else { return Ok(0) };
        let logs = self.counters.wal_bytes.load(Ordering::Relaxed);
        let mut segments = self.state().segments.clone();
        segments.sort_by_key(|segment| (Self::newest(segment), segment.id));
        let mut used = logs + segments.iter().map(|segment| segment.row.bytes).sum::<u64>();
        let mut ids = Vec::new();
        for segment in segments {
            if used <= budget {
                break;
            }
            used -= segment.row.bytes;
            ids.push(segment.id);
        }
        self.drop_segments(&ids)?;
        count(&self.counters.dropped_by_budget, ids.len() as u64);
        Ok(ids.len())
    }

    fn drop_segments(&self, ids: &[Ulid]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.step("before the retirement's commit")?;
        self.catalog.retire(ids)?;
        self.step("after the retirement's commit")?;
        self.retire_from_state(ids, None);
        Ok(())
    }

    /// Takes segments out of sight and puts their replacement there, in one step.
    pub(super) fn retire_from_state(&self, ids: &[Ulid], replacement: Option<Arc<Segment>>) {
        let since = self.clock.monotonic();
        let mut state = self.state();
        let (gone, mut kept): (Vec<_>, Vec<_>) =
            state.segments.drain(..).partition(|segment| ids.contains(&segment.id));
        kept.extend(replacement);
        state.segments = kept;
        let retired = gone.iter();
        let retired = retired.map(|segment| Retired {
            id: segment.id,
            segment: Arc::downgrade(segment),
            since,
        });
        state.retired.extend(retired.collect::<Vec<_>>());
        drop(state);
        self.caches.forget(ids);
    }

    /// Deletes files of retired segments that no snapshot holds and whose grace is over.
    pub(super) fn delete_retired(&self) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let is_due = |retired: &Retired| {
            let waited = now.saturating_sub(retired.since) >= self.options.retired_grace;
            waited && retired.segment.strong_count() == 0
        };
        let due: Vec<Ulid> =
            self.state().retired.iter().filter(|row| is_due(row)).map(|row| row.id).collect();
        if due.is_empty() {
            return Ok(());
        }
        for id in &due {
            let dir = segment::dir(*id);
            self.layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
        }
        self.layer.sync_dir(segment::DIR).map_err(Error::io("sync segments"))?;
        self.step("before forgetting retired segments")?;
        self.catalog.forget(&due)?;
        self.state().retired.retain(|row| !due.contains(&row.id));
        Ok(())
    }
}
