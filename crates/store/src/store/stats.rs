//! Figures of a store.

/// Figures for `/metrics`; counters are since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Profiles appended.
    pub profiles: u64,
    /// Samples appended.
    pub samples: u64,
    /// Spans appended.
    pub spans: u64,
    /// Events and readings of runtimes appended.
    pub events: u64,
    /// Group commits, each with one sync of the log.
    pub wal_commits: u64,
    /// Bytes written to logs.
    pub wal_bytes_written: u64,
    /// Bytes in logs that no segment holds yet.
    pub wal_bytes: u64,
    /// Estimated bytes of the memtable, chunks being flushed included.
    pub memtable_bytes: u64,
    /// Estimated bytes of what queries read of segments and later ones find in memory.
    pub cache_bytes: u64,
    /// Live segments.
    pub segments: u64,
    /// Their rows.
    pub segment_rows: u64,
    /// Their profiles.
    pub segment_profiles: u64,
    /// Bytes of their files.
    pub segment_bytes: u64,
    /// Live segments of spans.
    pub span_segments: u64,
    /// Their spans.
    pub span_rows: u64,
    /// Bytes of their files.
    pub span_bytes: u64,
    /// Live segments of events.
    pub event_segments: u64,
    /// Their events and readings.
    pub event_rows: u64,
    /// Bytes of their files.
    pub event_bytes: u64,
    /// Segments whose files wait for deletion.
    pub retired_segments: u64,
    /// Flushes that wrote segments.
    pub flushes: u64,
    /// Flushes that failed and will be tried again.
    pub flush_failures: u64,
    /// Compactions.
    pub compactions: u64,
    /// Segments dropped because of their age.
    pub dropped_by_retention: u64,
    /// Segments dropped because the disk budget was used up.
    pub dropped_by_budget: u64,
    /// Damaged log records skipped when the store was opened.
    pub corrupt_records: u64,
    /// Logs that ended in the middle of a record when the store was opened.
    pub torn_logs: u64,
    /// Folders that the catalog does not name, moved aside when the store was opened.
    pub orphans_removed: u64,
    /// Such folders that were left, because there were more than a cut-off flush explains.
    pub orphans_left: u64,
    /// Appends refused for lack of memory.
    pub rejected_full: u64,
    /// Appends refused because the disk is full.
    pub rejected_disk_full: u64,
    /// Segments written anew without some of their profiles.
    pub rewrites: u64,
    /// Bytes of files that retention and deletions freed.
    pub dropped_bytes: u64,
    /// Deletions asked for.
    pub deletions: u64,
    /// Live hourly rollups.
    pub rollups: u64,
    /// Bytes of their files.
    pub rollup_bytes: u64,
    /// Hours rolled up.
    pub rollups_made: u64,
    /// Hours that something came to since they were rolled up.
    pub open_hours: u64,
    /// Uploads that are kept as they came.
    pub payloads: u64,
    /// Bytes of them.
    pub payload_bytes: u64,
    /// Uploads that were kept.
    pub payloads_kept: u64,
    /// Uploads that a rule asked for and that were too large for it.
    pub payloads_too_large: u64,
    /// Kept uploads that went: too old, for room, or with their profiles.
    pub payloads_dropped: u64,
    /// Deletions that still hide something.
    pub open_deletions: u64,
    /// Of those, the ones that should be done: files with what was deleted are still there.
    pub overdue_deletions: u64,
    /// Profiles that came again and were not stored a second time.
    pub repeats: u64,
    /// Profiles that are remembered so that a repeat is recognised.
    pub remembered: u64,
    /// Of those, forgotten before their hour was over because there were too many.
    pub forgotten_early: u64,
}
