//! When payloads go: with their profiles, when they are too old, for room, and when their upload was cut
//! off.

use super::super::{Inner, count};
use super::Held;
use crate::Error;
use crate::payload::Origin;
use crate::rows::ProfileRow;
use crate::segment::Segment;
use catalog::PayloadRow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::Ulid;

/// After so many flushes the log that a failed append wrote to is gone.
const FLUSHES_AFTER: u64 = 2;

impl Inner {
    /// Removes the payloads of profiles that are about to go.
    pub(in crate::store) fn drop_payloads_of<'a>(
        &self,
        rows: impl Iterator<Item = &'a ProfileRow>,
    ) -> Result<(), Error> {
        let origins = rows.filter_map(|row| Origin::of(&row.metadata));
        let ids: BTreeSet<Ulid> = origins.map(|origin| origin.payload).collect();
        let ids: Vec<Ulid> = ids.into_iter().collect();
        let removed = self.remove_payloads(&ids)?;
        count(&self.counters.payloads_dropped, removed as u64);
        Ok(())
    }

    /// The same of whole segments. One that cannot be read goes nevertheless; its payloads then go
    /// when they are too old.
    pub(in crate::store) fn drop_payloads_with(
        &self,
        segments: &[Arc<Segment>],
    ) -> Result<(), Error> {
        for segment in segments {
            if !self.payloads.has_any_of(&segment.row.tenant) {
                continue;
            }
            match segment.read_profiles() {
                Ok(rows) => self.drop_payloads_of(rows.iter())?,
                Err(error) => {
                    tracing::error!(%error, id = %segment.id, "its payloads could not be found");
                }
            }
        }
        Ok(())
    }

    /// Whether a tenant keeps anything.
    pub(in crate::store) fn keeps_payloads_of(&self, tenant: &str) -> bool {
        self.payloads.has_any_of(tenant)
    }

    /// Removes what is too old or asked for by no rule any more, and what nothing was stored of.
    pub(in crate::store) fn retain_payloads(&self) -> Result<usize, Error> {
        let now = self.clock.now().nanos();
        let rules = &self.options.payload_rules;
        let is_kept = |rule: Option<usize>, age: i64| {
            let rule = rule.and_then(|rule| rules.get(rule));
            rule.is_some_and(|rule| u128::from(age.max(0).cast_unsigned()) <= rule.keep.as_nanos())
        };
        let (old, doomed, answered) = {
            let rows = self.payloads.rows();
            let is_old = |(_, held): &(&Ulid, &Held)| {
                !is_kept(held.rule, now.saturating_sub(held.row.received_at.nanos()))
            };
            let old: Vec<Ulid> = rows.by_id.iter().filter(is_old).map(|(id, _)| *id).collect();
            let flushes = self.counters.flushes.load(Ordering::Relaxed);
            let is_over = |(_, at): &&(Ulid, u64)| flushes >= at + FLUSHES_AFTER;
            let doomed: Vec<Ulid> = rows.doomed.iter().filter(is_over).map(|it| it.0).collect();
            (old, doomed, rows.answered.clone())
        };
        let dropped = self.remove_payloads(&old)?;
        count(&self.counters.payloads_dropped, dropped as u64);
        self.remove_payloads(&doomed)?;
        if !answered.is_empty() {
            self.catalog.settle_payloads(&answered)?;
            self.payloads.rows().answered.retain(|id| !answered.contains(id));
        }
        Ok(dropped)
    }

    /// Removes the oldest until so many bytes are free, or none is left; returns the bytes.
    pub(in crate::store) fn drop_payloads_for_budget(&self, bytes: u64) -> Result<u64, Error> {
        let (mut freed, mut ids) = (0, Vec::new());
        for row in self.payloads.all() {
            if freed >= bytes {
                break;
            }
            freed += row.bytes;
            ids.push(row.id);
        }
        let dropped = self.remove_payloads(&ids)?;
        count(&self.counters.payloads_dropped, dropped as u64);
        Ok(freed)
    }

    /// After a start: of an upload that was cut off before its profiles were acknowledged, the payload
    /// is removed. Those that it may be true of were not said to be settled.
    pub(in crate::store) fn sweep_payloads(&self) -> Result<(), Error> {
        const SLACK_NANOS: i64 = 3_600 * 1_000_000_000;
        let open: Vec<Arc<PayloadRow>> =
            self.payloads.all().into_iter().filter(|row| !row.is_settled).collect();
        let Some(first) = open.iter().map(|row| row.received_at.plus_nanos(-SLACK_NANOS)).min()
        else {
            return Ok(());
        };
        let mut named: BTreeSet<Ulid> = BTreeSet::new();
        let mut note = |rows: &[ProfileRow]| {
            let origins = rows.iter().filter_map(|row| Origin::of(&row.metadata));
            named.extend(origins.map(|origin| origin.payload));
        };
        let segments = {
            let state = self.state();
            for tenant in state.memtable.tenants() {
                state.memtable.views(tenant).for_each(|view| note(&view.profiles));
            }
            state.segments.clone()
        };
        for segment in segments.iter().filter(|segment| segment.row.created_at >= first) {
            match segment.read_profiles() {
                Ok(rows) => note(&rows),
                Err(error) => {
                    tracing::error!(%error, id = %segment.id, "payloads were not swept");
                    return Ok(());
                }
            }
        }
        let (kept, unnamed): (Vec<Ulid>, Vec<Ulid>) =
            open.iter().map(|row| row.id).partition(|id| named.contains(id));
        self.remove_payloads(&unnamed)?;
        Ok(self.catalog.settle_payloads(&kept)?)
    }
}
