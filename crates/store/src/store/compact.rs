//! Compaction: small segments of one tenant and day become one larger segment of the next level.

use super::{Inner, Store, Unsure, count};
use crate::Error;
use crate::collect::Collector;
use crate::limits::{
    BUCKET_NANOS, BUCKET_SETTLE_NANOS, COMPACTION_FANIN_MIN, COMPACTION_INPUTS_MAX,
    COMPACTION_RAW_BYTES_MAX, COMPACTION_ROWS_MAX, LEVEL_MAX, RECORD_COMPACTION_RAW_BYTES_MAX,
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
            let (mut segments, beside) = {
                let state = inner.state();
                (state.segments.clone(), [state.spans.clone(), state.events.clone()])
            };
            let awaited = inner.awaited();
            segments.retain(|segment| !awaited.contains(&segment.id));
            let now = inner.clock.now().nanos();
            let group = choose(&segments, now, COMPACTION_RAW_BYTES_MAX);
            let mut merged = !group.is_empty();
            inner.merge(&group, COMPACTION_RAW_BYTES_MAX)?;
            for segments in &beside {
                if !merged {
                    let group = choose(segments, now, RECORD_COMPACTION_RAW_BYTES_MAX);
                    merged = !group.is_empty();
                    inner.merge_records(&group)?;
                }
            }
            inner.delete_retired()?;
            drop(turn);
            Ok(merged)
        })
        .await
    }
}

/// The level of what is made of a group.
pub(super) fn next_level(group: &[Arc<Segment>]) -> u8 {
    group.iter().map(|segment| segment.row.level).max().unwrap_or(0) + 1
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
        let size = |segment: &&Arc<Segment>| (segment.row.rows, segment.index.raw_bytes);
        let sizes: Vec<_> = bucket.iter().map(size).collect();
        let group = worth_merging(&sizes, is_settled, raw_bytes_max);
        if !group.is_empty() {
            return group.into_iter().map(|at| Arc::clone(bucket[at])).collect();
        }
    }
    Vec::new()
}

/// Which segments of a bucket to merge now, by their rows and raw bytes: as many as fit the limits
/// together, oldest first. More are waited for while the day goes on, unless they would not fit
/// anyway: large first segments never are many.
fn worth_merging(bucket: &[(u64, u64)], is_settled: bool, raw_bytes_max: u64) -> Vec<usize> {
    let (mut rows, mut largest) = (0, 0);
    let mut group = Vec::new();
    for (at, size) in bucket.iter().enumerate() {
        // Any two of them fit into memory.
        let fits = rows + size.0 <= COMPACTION_ROWS_MAX && size.1 <= raw_bytes_max / 2;
        if fits && group.len() < COMPACTION_INPUTS_MAX {
            rows += size.0;
            largest = largest.max(size.0);
            group.push(at);
        }
    }
    // A large one is not written again for the sake of a few rows.
    let is_full = group.len() < bucket.len() && largest <= rows / 2;
    let needed = if is_settled || is_full { 2 } else { COMPACTION_FANIN_MIN };
    if group.len() >= needed { group } else { Vec::new() }
}

impl Inner {
    /// Merges as many of a group, at least two, as `raw_bytes_max` has room for.
    fn merge(&self, group: &[Arc<Segment>], raw_bytes_max: u64) -> Result<(), Error> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut collector = Collector::new(first.row.tenant.as_str().into());
        let mut inputs: Vec<Input> = Vec::with_capacity(group.len());
        for segment in group {
            // Segments of the same services share most of their stacks: how much they are together
            // shows only here.
            let beside = collector.raw_bytes() + segment.index.raw_bytes;
            if inputs.len() >= 2 && beside > raw_bytes_max {
                break;
            }
            let (tables, profiles) = (segment.read_all_tables()?, segment.read_profiles()?);
            let collected = collector.add(&tables, &profiles, self.options.keep_addresses);
            inputs.push(Input { segment: Arc::clone(segment), collected });
        }
        let arranged = collector.arrange(None);
        let group = &group[..inputs.len()];
        let merged =
            self.write_segment(&arranged, Merge::new(&arranged, &inputs)?, next_level(group))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(bucket: &[(u64, u64)], is_settled: bool) -> Vec<usize> {
        worth_merging(bucket, is_settled, COMPACTION_RAW_BYTES_MAX)
    }

    #[test]
    fn many_small_segments_are_merged_and_large_ones_as_soon_as_no_more_fit() {
        let of = |rows: &[u64]| rows.iter().map(|rows| (*rows, rows * 16)).collect::<Vec<_>>();
        let small = of(&[1_000; COMPACTION_FANIN_MIN]);
        assert_eq!(worth(&small, false).len(), COMPACTION_FANIN_MIN);
        assert!(worth(&small[1..], false).is_empty());
        assert_eq!(worth(&small[1..], true).len(), COMPACTION_FANIN_MIN - 1);
        let large = of(&[1_500_000; 6]);
        assert!(worth(&large[..5], false).is_empty());
        assert_eq!(worth(&large, false), [0, 1, 2, 3, 4]);
        let merged = of(&[8_000_000, 300_000, 1_000_000]);
        assert!(worth(&merged, false).is_empty());
        assert_eq!(worth(&merged, true), [0, 1]);
        let names = [(1_000, COMPACTION_RAW_BYTES_MAX / 2 + 1), (1_000, 1), (1_000, 1)];
        assert_eq!(worth(&names, true), [1, 2]);
    }

    const SEGMENTS: u64 = 4;

    /// The segments that are left of [`SEGMENTS`] whose functions have the names, once those that
    /// fit together are merged; there is room for `times` the largest of them and a half.
    fn left(times: u64, names: impl Fn(u64) -> String) -> u64 {
        let dir = tempfile::tempdir().expect("temporary directory");
        let clock = Arc::new(stdx::ManualClock::new(stdx::Timestamp::from_millis(1)));
        let options = crate::Options::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let store = Store::open(dir.path(), options, clock, stdx::Rng::seeded(1)).await;
            let store = store.expect("opens");
            for at in 0..SEGMENTS {
                let profile = profile::folded::from_folded(&names(at));
                store.append("t", vec![profile]).await.expect("appends");
                store.flush().await.expect("flushes");
            }
            let segments = store.inner.state().segments.clone();
            assert_eq!(store.stats().segments, SEGMENTS);
            let sizes = segments.iter().map(|segment| segment.index.raw_bytes);
            let largest = sizes.max().expect("segments");
            let room = times * largest + largest / 2;
            store.inner.merge(&segments, room).expect("merges");
            store.stats().segments
        })
    }

    #[test]
    fn a_merge_takes_as_many_segments_as_their_names_together_have_room_for() {
        let functions = |from: u64| -> String {
            (from..from + 1_000)
                .map(|name| format!("main;a_function_of_number_{name} 1\n"))
                .collect()
        };
        let others = |at: u64| functions(at * 1_000);
        let same = |_| functions(0);
        assert_eq!(left(100, others), 1);
        assert_eq!(left(3, others), SEGMENTS - 3 + 1, "three of them and no fourth");
        assert_eq!(left(2, others), SEGMENTS - 2 + 1);
        assert_eq!(left(0, others), SEGMENTS - 2 + 1, "two are merged however large they are");
        assert_eq!(left(3, same), 1, "what they share is there once");
    }
}
