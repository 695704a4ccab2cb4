//! Limits of questions and answers, units in their names.

use std::time::Duration;

/// Nodes of a flame graph when the question names no number.
pub const FLAME_NODES_DEFAULT: usize = 8192;
/// Most nodes of a flame graph.
pub const FLAME_NODES_MAX: usize = 1_000_000;
/// Bytes of names that a flame graph is written with for other programs, each name as often as it
/// stands there.
pub const EXPORT_TEXT_BYTES_MAX: usize = 128 << 20;
/// Hours that a profile for Go's compiler is made of when the question names no number.
pub const PGO_HOURS_DEFAULT: u32 = 24;
/// Most hours of it.
pub const PGO_HOURS_MAX: u32 = 30 * 24;
/// Profiles that it is made of; of more, some are chosen from all over the time.
pub const PGO_PROFILES_MAX: usize = 500;
/// Estimated bytes in memory of what they are together.
pub const PGO_BYTES_MAX: usize = 64 << 20;
/// Functions of a table when the question names no number.
pub const TOP_ROWS_DEFAULT: usize = 100;
/// Most functions of a table.
pub const TOP_ROWS_MAX: usize = 100_000;
/// Profiles of a page when the question names no number.
pub const PROFILES_DEFAULT: usize = 100;
/// Most profiles of a page.
pub const PROFILES_MAX: usize = 1000;
/// Spans of a page when the question names no number.
pub const SPANS_DEFAULT: usize = 100;
/// Events of a page when the question names no number.
pub const EVENTS_DEFAULT: usize = 100;
/// Gauges, or categories of events, that a question names.
pub const METRIC_NAMES_MAX: usize = 100;
/// Steps of gauges when the question names no length of a step.
pub const METRIC_STEPS_DEFAULT: i64 = 120;
/// Endpoints when the question names no number.
pub const ENDPOINTS_DEFAULT: usize = 100;
/// Most endpoints.
pub const ENDPOINTS_MAX: usize = 1000;
/// Most lines of a chart; the largest stay.
pub const SERIES_MAX: usize = 100;
/// Most points of all lines of a chart.
pub const POINTS_MAX: usize = 200_000;
/// Most labels to split a chart by.
pub const GROUP_BY_MAX: usize = 4;
/// Points of the small charts in the overview of services.
pub const SPARK_POINTS: usize = 40;
/// Points that a chart is cut into when the question names no step.
pub const STEPS_DEFAULT: i64 = 120;
/// Smallest step in milliseconds.
pub const STEP_MS_MIN: i64 = 100;
/// Length of a range when the question names no start, in milliseconds.
pub const RANGE_MS_DEFAULT: i64 = 3_600_000;
/// Nodes of each half of a sandwich when the question names no number.
pub const SANDWICH_NODES_DEFAULT: usize = 4096;
/// Places of a function when the question names no number.
pub const USAGE_ROWS_DEFAULT: usize = 50;
/// Most places of a function.
pub const USAGE_ROWS_MAX: usize = 5000;
/// Callers of each place when the question names no number.
pub const CALLERS_DEFAULT: usize = 10;
/// Most callers of each place.
pub const CALLERS_MAX: usize = 1000;
/// Most cells that the time of a heat map is cut into.
pub const HEAT_CELLS_MAX: i64 = 400_000;
/// Length of a heat map's column when the question names none, in milliseconds.
pub const HEAT_COLUMN_MS_DEFAULT: i64 = 1000;
/// Rows of a heat map when the question names no number.
pub const HEAT_ROWS_DEFAULT: i64 = 50;
/// Most steps of a timeline.
pub const TIMELINE_STEPS_MAX: i64 = 11_000;
/// Threads of a timeline when the question names no number.
pub const THREADS_DEFAULT: usize = 50;
/// Most threads of a timeline.
pub const THREADS_MAX: usize = 1000;
/// Values of each label among all labels when the question names no number.
pub const FACET_VALUES_DEFAULT: usize = 20;
/// Most values of each label among all labels.
pub const FACET_VALUES_MAX: usize = 1000;
/// Most values of one label; those of most profiles stay.
pub const LABEL_VALUES_MAX: usize = 10_000;
/// Largest file of symbols that is taken, in bytes.
pub const SYMBOL_FILE_BYTES_MAX: u64 = 4 << 30;
/// Files of symbols that are taken at the same time.
pub const SYMBOL_UPLOADS_MAX: usize = 1;
/// How long reading debug information may take; then the symbol table has to do.
pub const SYMBOL_READ_TIMEOUT: Duration = Duration::from_mins(2);
/// Binaries without names that one answer lists.
pub const SYMBOL_BINARIES_MAX: usize = 500;
/// Kept uploads that one call reads again.
pub const REPARSE_PAYLOADS_MAX: usize = 512;
/// Decoded bytes after which a call reads no further upload.
pub const REPARSE_DECODED_BYTES_MAX: usize = 64 << 20;
/// Time after which a call reads no further upload.
pub const REPARSE_TIME_MAX: Duration = Duration::from_secs(10);
/// Calls that read uploads again at the same time.
pub const REPARSES_MAX: usize = 1;
/// Longest time for the answer to a question; below what clients wait.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(110);
/// Questions listed as running.
pub const QUERIES_LISTED_MAX: usize = 1000;
/// Bytes of the id that a client gives its question.
pub const QUERY_ID_BYTES_MAX: usize = 64;
/// Characters of a running question that are listed.
pub const QUERY_TEXT_CHARS_MAX: usize = 1000;
/// Largest message of a question in Pyroscope's words, in bytes.
pub const PYROSCOPE_BODY_BYTES_MAX: usize = 1 << 20;
/// Nodes of a flame graph when such a question names no number.
pub const PYROSCOPE_NODES_DEFAULT: usize = 8192;
/// Combinations of profiles, spans and traces of one such question: each is a question of its own.
pub const PYROSCOPE_IDS_MAX: usize = 32;
/// Most labels that lines or series are split by there.
pub const PYROSCOPE_GROUP_BY_MAX: usize = 16;
/// Most lines or label sets of an answer there; the largest lines stay.
pub const PYROSCOPE_SERIES_MAX: usize = 2000;
/// Step of a chart there that names none, in milliseconds.
pub const PYROSCOPE_STEP_MS_DEFAULT: i64 = 15_000;
/// Rows of a heat map there.
pub const PYROSCOPE_HEAT_ROWS: usize = 20;
/// Most slots (steps of groups) of a heat map there.
pub const PYROSCOPE_HEAT_SLOTS_MAX: usize = 50_000;
/// Most exemplars of an answer there.
pub const PYROSCOPE_EXEMPLARS_MAX: usize = 50_000;
