//! Retention: what is too old is dropped by rules, then the oldest until the disk budget holds; pins
//! are left alone. Segments that are too old as a whole are dropped; one that mixes what is kept for
//! different times is written anew without what is too old, with some slack, so that it is not
//! rewritten for every profile. Files of what nothing reads any more are deleted.

use super::rewrite::Reason;
use super::{Inner, Retired, Store, count, sweep};
use crate::Error;
use crate::limits::{RETENTION_SLACK_NANOS_MIN, RETENTION_SLACK_PART, TRASH_KEPT};
use crate::rows::ProfileRow;
use crate::rules::{is_pinned, keep_nanos, may_pin, newest};
use crate::segment::{self, Segment};
use catalog::Content;
use profile::labels::names::SERVICE;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use stdx::Ulid;

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
    /// Some of it may be too old.
    Look,
}

impl Store {
    /// Drops what is too old, then the oldest until the disk budget holds. Returns how many
    /// segments were dropped or written anew.
    pub async fn retain_once(&self) -> Result<usize, Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            let dropped = inner.drop_old()? + inner.drop_for_budget()?;
            inner.retain_payloads()?;
            inner.delete_retired()?;
            let kept = i64::try_from(TRASH_KEPT.as_millis()).unwrap_or(i64::MAX);
            let oldest = inner.clock.now().millis().saturating_sub(kept);
            sweep::empty_trash(&*inner.layer, oldest.max(0).cast_unsigned())?;
            drop(turn);
            Ok(dropped)
        })
        .await
    }
}

impl Inner {
    /// A segment that claims times after it was written is as old as itself: a wrong clock must
    /// not keep it for ever.
    pub(super) fn newest(segment: &Segment) -> i64 {
        segment.row.t_max_ns.min(segment.row.created_at.nanos())
    }

    fn may_be_pinned(&self, segment: &Segment) -> bool {
        let bounds = (segment.row.t_min_ns, segment.row.t_max_ns);
        let pins = self.pins();
        pins.iter().any(|pin| may_pin(pin, &segment.row.tenant, &segment.index.services, bounds))
    }

    fn verdict(&self, segment: &Segment, now: i64) -> Verdict {
        let (tenant, index) = (&segment.row.tenant, &segment.index);
        // A profile may have no samples, and then no kind.
        let also = (segment.row.content == Content::Profiles).then_some("");
        let (mut shortest, mut longest) = (i64::MAX, 0);
        for service in &index.services {
            for kind in index.kinds.iter().map(String::as_str).chain(also) {
                let keep = keep_nanos(&self.options, tenant, service, kind);
                (shortest, longest) = (shortest.min(keep), longest.max(keep));
            }
        }
        let age = now.saturating_sub(Self::newest(segment));
        let is_over = age > longest;
        if is_over && !self.may_be_pinned(segment) {
            return Verdict::Drop;
        }
        let slack = (shortest / RETENTION_SLACK_PART).max(RETENTION_SLACK_NANOS_MIN);
        let oldest = now.saturating_sub(segment.row.t_min_ns);
        let is_mixed = shortest < longest && oldest > shortest.saturating_add(slack);
        if !is_over && !is_mixed {
            return Verdict::Keep;
        }
        let looked_at = self.looked_at().get(&segment.id).copied();
        if looked_at.is_some_and(|at| now.saturating_sub(at) < slack) {
            return Verdict::Keep;
        }
        Verdict::Look
    }

    fn drop_old(&self) -> Result<usize, Error> {
        let now = self.clock.now().nanos();
        let segments = self.state().all_segments();
        self.looked_at().retain(|id, _| segments.iter().any(|segment| segment.id == *id));
        let (mut old, mut mixed) = (Vec::new(), Vec::new());
        for segment in segments {
            match self.verdict(&segment, now) {
                Verdict::Keep => {}
                Verdict::Drop => old.push(segment),
                Verdict::Look => mixed.push(segment),
            }
        }
        self.drop_whole(&old, Reason::Age)?;
        let mut changed = old.len();
        for segment in mixed {
            changed += usize::from(self.drop_part(&segment, now)?);
        }
        count(&self.counters.dropped_by_retention, changed as u64);
        Ok(changed)
    }

    /// When segments were last read whole without finding anything too old.
    pub(super) fn looked_at(&self) -> MutexGuard<'_, BTreeMap<Ulid, i64>> {
        self.looked_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes a segment anew without what is too old; says whether there was any.
    fn drop_part(&self, segment: &Arc<Segment>, now: i64) -> Result<bool, Error> {
        if segment.row.content != Content::Profiles {
            return self.drop_old_records(segment, now);
        }
        let pins = self.pins();
        let mut keep = |row: &ProfileRow, kind: &str| {
            let service = row.labels.get(SERVICE).unwrap_or("");
            let kept = keep_nanos(&self.options, &row.tenant, service, kind);
            now.saturating_sub(newest(row)) <= kept || is_pinned(&pins, row)
        };
        let profiles = segment.read_profiles()?;
        let is_whole = profiles.iter().all(|row| {
            row.kinds.iter().all(|kind| keep(row, &kind.kind))
                && (!row.kinds.is_empty() || keep(row, ""))
        });
        if is_whole {
            self.looked_at().insert(segment.id, now);
            return Ok(false);
        }
        self.rewrite(segment, Reason::Age, Vec::new(), &mut keep)?;
        Ok(true)
    }

    fn drop_for_budget(&self) -> Result<usize, Error> {
        let Some(budget) = self.options.disk_budget_bytes else { return Ok(0) };
        let logs = self.counters.wal_bytes.load(Ordering::Relaxed);
        let mut segments = self.state().all_segments();
        segments.sort_by_key(|segment| (Self::newest(segment), segment.id));
        let segment_bytes = segments.iter().map(|segment| segment.row.bytes).sum::<u64>();
        let mut used = logs + self.rollup_bytes() + segment_bytes + self.payloads.size().1;
        // Profiles are worth more than what they were made of.
        used -= self.drop_payloads_for_budget(used.saturating_sub(budget))?;
        let mut whole = Vec::new();
        let mut changed = 0;
        for segment in segments {
            if used <= budget {
                break;
            }
            if self.may_be_pinned(&segment) {
                let bytes = self.keep_pinned(&segment)?;
                changed += usize::from(bytes < segment.row.bytes);
                used -= segment.row.bytes.saturating_sub(bytes);
            } else {
                used -= segment.row.bytes;
                whole.push(segment);
            }
        }
        self.drop_whole(&whole, Reason::Budget)?;
        changed += whole.len();
        self.drop_rollups_for_budget(used.saturating_sub(budget))?;
        count(&self.counters.dropped_by_budget, changed as u64);
        Ok(changed)
    }

    /// Writes a segment anew with only what is pinned. Returns the bytes that it still takes.
    fn keep_pinned(&self, segment: &Arc<Segment>) -> Result<u64, Error> {
        let pins = self.pins();
        if segment.row.content != Content::Profiles {
            let before = self.segment_bytes();
            self.keep_pinned_records(segment, &pins)?;
            let freed = before.saturating_sub(self.segment_bytes());
            return Ok(segment.row.bytes.saturating_sub(freed));
        }
        if segment.read_profiles()?.iter().all(|row| is_pinned(&pins, row)) {
            return Ok(segment.row.bytes);
        }
        let before = self.segment_bytes();
        self.rewrite(segment, Reason::Budget, Vec::new(), &mut |row, _| is_pinned(&pins, row))?;
        Ok(segment.row.bytes.saturating_sub(before.saturating_sub(self.segment_bytes())))
    }

    fn segment_bytes(&self) -> u64 {
        self.state().all_segments().iter().map(|segment| segment.row.bytes).sum()
    }

    /// Takes segments out of sight and puts their replacement there, in one step.
    pub(super) fn retire_from_state(
        &self,
        ids: &[Ulid],
        replacement: impl IntoIterator<Item = Arc<Segment>>,
    ) {
        let since = self.clock.monotonic();
        let mut state = self.state();
        let all = state.all_segments();
        let (gone, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|segment| ids.contains(&segment.id));
        state.segments.clear();
        state.spans.clear();
        state.events.clear();
        state.put(kept.into_iter().chain(replacement));
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
