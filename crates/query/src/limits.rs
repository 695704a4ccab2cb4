//! Every limit of the query engine in one place, units in the names.

/// Rows that DataFusion hands on at a time.
pub const BATCH_ROWS: usize = 8_192;
/// Groups (stacks, buckets, profiles) that the plans of one query may give, over all parts: 48 bytes
/// each.
pub const GROUPS_MAX: usize = 12_000_000;
/// Nodes of one query's call tree, before it is cut to what is shown: about 60 bytes each.
pub const TREE_NODES_MAX: usize = 12_000_000;
/// Stacks that are not merged, which take less, for each of those nodes.
pub const STACKS_PER_NODE: usize = 2;
/// Rows that one query may look through.
pub const QUERY_ROWS_MAX: u64 = 4_000_000_000;
/// Rows of one profile that is rebuilt.
pub const PROFILE_ROWS_MAX: usize = 16_000_000;
/// Pieces that one segment's file is read in at the same time.
pub const SPLITS_MAX: usize = 8;
/// A segment with fewer rows is read in one piece.
pub const SPLIT_ROWS_MIN: u64 = 500_000;

/// Spans that the samples of one question about endpoints name: about 100 bytes each. With more, the
/// answer has no CPU time, and says so.
pub const CPU_LINKS_MAX: usize = 1_000_000;
/// Spans that may lead from those to requests: about 200 bytes each. With more, the answer has no CPU
/// time, and says so.
pub const CPU_SPANS_MAX: usize = 1_000_000;

/// Dots of one answer, each a profile or a span in one: about 100 bytes each.
pub const DOTS_MAX: usize = 500_000;

/// Pieces of a range that samples answer between hours that rollups could: with more, samples answer
/// all of it where they are still there.
pub const HOLES_MAX: usize = 32;

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Plans that run at the same time, over all queries: the number of cores.
    pub scans_max: usize,
    /// Memory that the plans of one query may take; a query that needs more fails.
    pub query_bytes_max: usize,
    /// Questions about a range at least this long are answered from hourly rollups where they can be.
    /// Those about hours whose samples are gone always are.
    pub rollup_range_ms: i64,
    /// Groups that the plans of one query may give.
    pub groups_max: usize,
    /// Nodes of one query's call tree.
    pub tree_nodes_max: usize,
    /// Rows that one query may look through.
    pub query_rows_max: u64,
    /// Spans that samples name of one question about the CPU time of endpoints.
    pub cpu_links_max: usize,
    /// Spans that may lead from those to requests.
    pub cpu_spans_max: usize,
    /// Dots of one answer.
    pub dots_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scans_max: 4,
            query_bytes_max: 512 << 20,
            groups_max: GROUPS_MAX,
            tree_nodes_max: TREE_NODES_MAX,
            query_rows_max: QUERY_ROWS_MAX,
            cpu_links_max: CPU_LINKS_MAX,
            cpu_spans_max: CPU_SPANS_MAX,
            dots_max: DOTS_MAX,
            rollup_range_ms: 24 * 3_600_000,
        }
    }
}
