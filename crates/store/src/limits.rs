//! Every limit of the store in one place, units in the names.

use std::time::Duration;

/// A write-ahead log record larger than this is refused, and one that claims to be is damage.
pub const WAL_RECORD_BYTES_MAX: usize = 256 << 20;
/// Records below this size are not worth compressing.
pub const WAL_COMPRESS_BYTES_MIN: usize = 512;
/// zstd level of log records, which are written once and seldom read: a fast one.
pub const WAL_ZSTD_LEVEL: i32 = -3;
/// zstd level of segments.
pub const SEGMENT_ZSTD_LEVEL: i32 = 3;
/// zstd level of the tables beside the samples of compacted segments.
pub const NAMES_ZSTD_LEVEL: i32 = 9;
/// A table of no more rows is not compressed.
pub const PLAIN_ROWS_MAX: usize = 64;
/// Rows on which the encoding of the stacks is tried.
pub const ENCODING_TRIAL_ROWS_MAX: usize = 1 << 14;
/// Rows in one page of a segment's samples.
pub const PAGE_ROWS_MAX: usize = 20_000;
/// Time of a slice of a profile's totals. Charts mostly have steps of a multiple of it.
pub const SLICE_MS: i64 = 10_000;
/// Samples that a kind of a profile has for each of its slices at least: with fewer, its samples are as
/// soon read, and slices would take a noticeable part of the disk.
pub const SLICE_SAMPLES_MIN: usize = 16;
/// Functions that are put in order of their names at a time.
pub const FUNCTION_GROUP_ROWS: usize = 4_096;
/// Rows in one row group of a segment's samples.
pub const ROW_GROUP_ROWS_MAX: usize = 1 << 20;
/// Profiles in one append.
pub const APPEND_PROFILES_MAX: usize = 10_000;
/// How long a profile that comes again is recognised.
pub const REPEAT_WINDOW: Duration = Duration::from_hours(1);
/// Profiles that are remembered for that, about 100 bytes of memory each: 26 MB, and 72 profiles a
/// second for an hour. The oldest are forgotten first.
pub const REPEATS_MAX: usize = 1 << 18;
/// Appends are refused when less is free on the disk, so that flushes and the catalog have room.
pub const DISK_RESERVE_BYTES: u64 = 128 << 20;
/// Deletions that are worked on at the same time; each costs queries a look at the profiles it may
/// name.
pub const DELETIONS_MAX: usize = 64;
/// Files with deleted profiles are gone after this, as long as the store runs and the disk has room.
pub const DELETION_DEADLINE: Duration = Duration::from_mins(10);
/// How long a deletion that is done is listed, and a repeat of what it removed recognised as new.
pub const DELETIONS_REMEMBERED: Duration = Duration::from_hours(24);
/// Folders unknown to the catalog that a start moves aside: a flush that was cut off leaves one for
/// each tenant in it, a compaction one. More than this, and the catalog is not trusted.
pub const ORPHANS_MAX: usize = 32;
/// How long after its making a folder unknown to the catalog is kept in the trash.
pub const TRASH_KEPT: Duration = Duration::from_hours(7 * 24);
/// Problems that a check lists.
pub const FSCK_PROBLEMS_MAX: usize = 1000;
/// Largest file in a backup that is read back.
pub const BACKUP_FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a backup handed over at a time.
pub const BACKUP_CHUNK_BYTES: usize = 1 << 20;
/// Pins of one tenant.
pub const PINS_MAX: usize = 1000;
/// Bytes of a pin's name.
pub const PIN_NAME_BYTES_MAX: usize = 128;
/// A segment of which only some is too old is written anew when that is so for this part of the
/// time it was kept for, but not for less than the minimum: each rewriting should be worth it.
pub const RETENTION_SLACK_PART: i64 = 10;
/// See [`RETENTION_SLACK_PART`].
pub const RETENTION_SLACK_NANOS_MIN: i64 = 3_600 * 1_000_000_000;
/// How often the disk is asked how much is free.
pub const DISK_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A tenant's name.
pub const TENANT_BYTES_MAX: usize = 256;
/// Tables of a memtable chunk are copied when a query holds them while it grows: this bounds the
/// copy. A larger chunk that a query holds is frozen instead.
pub const SHARED_CHUNK_BYTES_MAX: usize = 2 << 20;
/// Part of the files without a span or trace that a bloom filter takes for ones with it.
pub const BLOOM_FALSE_PART: f64 = 0.03;
/// Segments merged at once.
pub const COMPACTION_INPUTS_MAX: usize = 16;
/// Segments of one level and day that are worth merging.
pub const COMPACTION_FANIN_MIN: usize = 8;
/// Rows of a compacted segment. They are merged in pieces and stay in memory only as the encoded
/// file, about 5 to 10 bytes each, so 80 MB at most.
pub const COMPACTION_ROWS_MAX: u64 = 8 << 20;
/// Estimated bytes in memory of the tables of one compaction: those merged so far and the next
/// input's. A segment with more than half of it is not compacted.
pub const COMPACTION_RAW_BYTES_MAX: u64 = 256 << 20;
/// Rows in one row group of a file of spans or events: what a question that needs one of them reads
/// at least.
pub const RECORD_GROUP_ROWS_MAX: usize = 1 << 15;
/// Estimated bytes in memory of the spans or events of one compaction's inputs, all of which are there
/// at once, and the file that is made of them comes on top. A segment with more than half of it is not
/// compacted.
pub const RECORD_COMPACTION_RAW_BYTES_MAX: u64 = 96 << 20;
/// Highest compaction level.
pub const LEVEL_MAX: u8 = 4;
/// Length of the time bucket that compaction keeps apart.
pub const BUCKET_NANOS: i64 = 24 * 3_600 * 1_000_000_000;
/// A day's leftovers are merged once the day has been over for this long.
pub const BUCKET_SETTLE_NANOS: i64 = 2 * 3_600 * 1_000_000_000;
/// Times before this are stored as this: 1970.
pub const TIME_NANOS_MIN: i64 = 0;
/// Times after this are stored as this: the year 2200.
pub const TIME_NANOS_MAX: i64 = 7_258_118_400_000_000_000;
/// Tables of names of one tenant.
pub const NAMES_TABLES_MAX: usize = 4_000;
/// Bytes of them.
pub const NAMES_BYTES_MAX: u64 = 8 << 30;
/// Uploads that are kept as they came; the oldest go first. About 600 bytes of memory each.
pub const PAYLOADS_MAX: usize = 1 << 17;
/// Services of an upload that is kept.
pub const PAYLOAD_SERVICES_MAX: usize = 256;
/// Bytes of what came beside a body and is kept with it, names of services included; they stay in
/// memory.
pub const PAYLOAD_REQUEST_BYTES_MAX: usize = 2 << 10;
/// Tables of segments below this many estimated bytes are read whole when some of it is asked for: they
/// are as soon read, and stay in memory.
pub const PICKED_FROM_BYTES: u64 = 8 << 20;
/// Estimated bytes of the names of one stack among those of others. Where a question's stacks take more
/// than the whole segment's tables, these are read.
pub const NAMES_BYTES_A_STACK: u64 = 200;
/// How often maintenance looks for work.
pub const MAINTENANCE_TICK: Duration = Duration::from_secs(1);
/// How often maintenance applies retention, deletion and compaction.
pub const COMPACT_INTERVAL: Duration = Duration::from_secs(30);

/// What questions read of segments stays in memory for this long after it was used, and at most
/// twice as long.
pub const CACHE_UNUSED: Duration = Duration::from_mins(2);
/// An hour is rolled up when it has been over for so long.
pub const ROLLUP_SETTLE: Duration = Duration::from_mins(5);
/// An hour that late data comes to is rolled up again after this at the earliest.
pub const ROLLUP_AGAIN: Duration = Duration::from_mins(5);
/// How long maintenance rolls hours up at a time, while more wait.
pub const ROLLUP_TURN: Duration = Duration::from_secs(5);
/// Stack prefixes by series in memory after which what was added up of an hour so far is pruned:
/// 16 bytes each, 80 more where stacks end. Prefixes and the tables of one segment come on top.
pub const ROLLUP_CELLS_MAX: usize = 1 << 20;
/// Rows in one page of a rollup's tables.
pub const ROLLUP_PAGE_ROWS_MAX: usize = 4_096;

/// How long maintenance waits before it tries a failed flush again.
pub const FLUSH_RETRY: Duration = Duration::from_secs(5);

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The memtable is written to segments this long after its first profile.
    pub flush_interval: Duration,
    /// How often maintenance applies retention, deletion and compaction.
    pub compact_interval: Duration,
    /// The memtable is written to segments at this size; at twice the size appends are refused
    /// until a flush has made room.
    pub memtable_bytes_max: usize,
    /// Segments whose newest sample is older are dropped.
    pub retention: Duration,
    /// What is kept for other times than that.
    pub retention_rules: Vec<crate::rules::RetentionRule>,
    /// Hourly rollups are kept for this long after their hour; none are made when it is zero.
    pub rollup_retention: Duration,
    /// What is kept of an hour.
    pub rollup_rules: views::rollup::Rules,
    /// Stack prefixes by series that are added up in memory before they are pruned.
    pub rollup_cells_max: usize,
    /// Which uploads are kept as they came; the first rule that names one counts. None by default.
    pub payload_rules: Vec<crate::payload::PayloadRule>,
    /// Bytes of all of them; the oldest go first.
    pub payload_bytes_max: u64,
    /// Live segments, rollups and logs together stay below this; the oldest segments go first.
    pub disk_budget_bytes: Option<u64>,
    /// How long the files of a superseded segment stay after the last snapshot let go of it.
    pub retired_grace: Duration,
    /// Memory for tables and profile lists of segments that queries asked for.
    pub cache_bytes_max: usize,
    /// Of segments whose tables take at least so many bytes in memory only the names are read that a
    /// question needs.
    pub picked_from_bytes: u64,
    /// How exactly sample times are kept.
    pub resolution: crate::resolution::Resolution,
    /// What is kept more or less exactly than that; the last rule that names a profile holds.
    pub resolution_rules: Vec<crate::resolution::ResolutionRule>,
    /// Keep addresses of locations whose names are known.
    pub keep_addresses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_mins(1),
            compact_interval: COMPACT_INTERVAL,
            memtable_bytes_max: 64 << 20,
            retention: Duration::from_hours(7 * 24),
            retention_rules: Vec::new(),
            rollup_retention: Duration::from_hours(90 * 24),
            rollup_rules: views::rollup::Rules::default(),
            rollup_cells_max: ROLLUP_CELLS_MAX,
            payload_rules: Vec::new(),
            payload_bytes_max: 1 << 30,
            disk_budget_bytes: None,
            retired_grace: Duration::from_secs(10),
            cache_bytes_max: 64 << 20,
            picked_from_bytes: PICKED_FROM_BYTES,
            resolution: crate::resolution::Resolution::Millis,
            resolution_rules: Vec::new(),
            keep_addresses: false,
        }
    }
}
