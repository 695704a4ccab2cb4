//! Compaction: small segments of one tenant and day become one larger segment of the next level.

use super::{Inner, Store, Unsure, count};
use crate::Error;
use crate::collect::Collector;
use crate::limits::{
    BUCKET_NANOS, BUCKET_SETTLE_NANOS, COMPACTION_FANIN_MIN, COMPACTION_INPUTS_MAX,
    COMPACTION_RAW_BYTES_MAX, COMPACTION_ROWS_MAX, LEVEL_MAX, SPAN_COMPACTION_RAW_BYTES_MAX,
};
use crate::segment::Segment;
use crate::segment::merge::{Input, Merge};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Store {
    /// Merges one group of segments, if there is one worth merging; says whether it did.
    pub async fn compact_once(&self) -> Result<bool, Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            inner.finish_unsure()?;
            inner.finish_rewrite()?;
            let (mut segments, spans) = {
                let state = inner.state();
                (state.segments.clone(), state.spans.clone())
            };
            let awaited = inner.awaited();
            segments.retain(|segment| !awaited.contains(&segment.id));
            let now = inner.clock.now().nanos();
            let group = choose(&segments, now, COMPACTION_RAW_BYTES_MAX);
            let mut merged = !group.is_empty();
            inner.merge(&group)?;
            if !merged {
                let group = choose(&spans, now, SPAN_COMPACTION_RAW_BYTES_MAX);
                merged = !group.is_empty();
                inner.merge_spans(&group)?;
            }
            inner.delete_retired()?;
            drop(turn);
            Ok(merged)
        })
        .await
    }
}

/// The group to merge next: the lowest level first, oldest day first.
fn choose(segments: &[Arc<Segment>], now: i64, raw_bytes_max: u64) -> Vec<Arc<Segment>> {
    let mut buckets: BTreeMap<(u8, i64, &str), Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.row.level < LEVEL_MAX) {
        let day = segment.row.t_min_ns.div_euclid(BUCKET_NANOS);
        buckets.entry((segment.row.level, day, &segment.row.tenant)).or_default().push(segment);
    }
    for ((_, day, _), bucket) in buckets {
        let end = day.saturating_add(1).saturating_mul(BUCKET_NANOS);
        let is_settled = now.saturating_sub(end) >= BUCKET_SETTLE_NANOS;
        let needed = if is_settled { 2 } else { COMPACTION_FANIN_MIN };
        let group = fitting(bucket, raw_bytes_max);
        if group.len() >= needed {
            return group;
        }
    }
    Vec::new()
}

/// As many of a bucket, oldest first, as fit the limits together.
fn fitting(bucket: Vec<&Arc<Segment>>, raw_bytes_max: u64) -> Vec<Arc<Segment>> {
    let (mut rows, mut raw_bytes) = (0, 0);
    let mut group = Vec::new();
    for segment in bucket {
        let grown = (rows + segment.row.rows, raw_bytes + segment.index.raw_bytes);
        let fits = grown.0 <= COMPACTION_ROWS_MAX && grown.1 <= raw_bytes_max;
        if fits && group.len() < COMPACTION_INPUTS_MAX {
            (rows, raw_bytes) = grown;
            group.push(Arc::clone(segment));
        }
    }
    group
}

impl Inner {
    fn merge(&self, group: &[Arc<Segment>]) -> Result<(), Error> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut collector = Collector::new(first.row.tenant.as_str().into());
        let mut inputs = Vec::with_capacity(group.len());
        for segment in group {
            let (tables, profiles) = (segment.read_tables()?, segment.read_profiles()?);
            let collected = collector.add(&tables, &profiles, self.options.keep_addresses);
            inputs.push(Input { segment: Arc::clone(segment), collected });
        }
        let arranged = collector.arrange(None);
        let level = group.iter().map(|segment| segment.row.level).max().unwrap_or(0) + 1;
        let merged = self.write_segment(&arranged, Merge::new(&arranged, &inputs)?, level)?;
        self.begin_swap(group, merged)
    }

    /// Puts a segment that is written in the place of others.
    pub(super) fn begin_swap(
        &self,
        group: &[Arc<Segment>],
        merged: Arc<Segment>,
    ) -> Result<(), Error> {
        let inputs: Vec<_> = group.iter().map(|segment| segment.id).collect();
        self.state().unsure = Some(Unsure { inputs, merged });
        self.finish_unsure()
    }

    /// Commits the compaction that is written but not known to be committed, if there is one. A
    /// commit that failed is tried again with the same segment before anything else is merged or
    /// dropped, so that one the catalog knows after all is not made a second time.
    pub(super) fn finish_unsure(&self) -> Result<(), Error> {
        let Some(Unsure { inputs, merged }) = self.state().unsure.clone() else { return Ok(()) };
        self.step("before the compaction's commit")?;
        self.catalog.swap(&inputs, std::slice::from_ref(&merged.row))?;
        self.step("after the compaction's commit")?;
        self.retire_from_state(&inputs, Some(merged));
        self.state().unsure = None;
        count(&self.counters.compactions, 1);
        Ok(())
    }
}
