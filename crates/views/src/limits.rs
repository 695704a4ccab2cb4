//! Every limit of what is asked and answered in one place, units in the names.

/// Most distinct remarks that the overview shows of a service.
pub const NOTES_MAX: usize = 8;
/// Most steps of time of a heat map or timeline.
pub const STEPS_MAX: i64 = 500_000;
/// Spans of one trace in an answer; more are left out.
pub const TRACE_SPANS_MAX: usize = 10_000;
/// Endpoints that are told apart in one answer; with more the question is refused.
pub const ENDPOINTS_MAX: usize = 20_000;
/// Spans of one page.
pub const SPANS_MAX: usize = 1_000;
/// Events of one page.
pub const EVENTS_MAX: usize = 1_000;
/// Points of all gauges of one answer; with more the question is refused.
pub const METRIC_POINTS_MAX: usize = 100_000;
/// Shortest step of gauges, in milliseconds.
pub const METRIC_STEP_MS_MIN: i64 = 1;
/// Most buckets of a line of a chart.
pub const BUCKETS_MAX: i64 = 11_000;
/// Longest selector text in bytes.
pub const SELECTOR_BYTES_MAX: usize = 16 * 1024;
/// Largest compiled regular expression in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest pattern of a filter in bytes.
pub const PATTERN_BYTES_MAX: usize = 4 * 1024;
/// Most functions of a filter, and most frames of a call path.
pub const PATTERNS_MAX: usize = 32;
/// Most rules of a configuration that say what frames belong to.
pub const RULES_MAX: usize = 256;
/// Longest pattern of such a rule in bytes.
pub const RULE_PATTERN_BYTES_MAX: usize = 1024;
/// Bytes of a name or path that are looked at to say what a frame is.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Deepest node of a flame graph that is shown.
pub const DEPTH_MAX: u16 = u16::MAX - 1;
/// Bytes of tables that are kept until it is known which of their names are shown; of further
/// tables all names are looked for at once.
pub const TABLES_BYTES_MAX: usize = 256 << 20;
/// Most nodes of a tree that was turned round.
pub const INVERTED_NODES_MAX: usize = 4_000_000;
/// Most frames that turning a tree round may walk over.
pub const INVERTED_STEPS_MAX: usize = 400_000_000;
