//! Limits of questions and answers, units in their names.

/// Nodes of a flame graph when the question names no number.
pub const FLAME_NODES_DEFAULT: usize = 8192;
/// Most nodes of a flame graph.
pub const FLAME_NODES_MAX: usize = 500_000;
/// Functions of a table when the question names no number.
pub const TOP_ROWS_DEFAULT: usize = 100;
/// Most functions of a table.
pub const TOP_ROWS_MAX: usize = 100_000;
/// Profiles of a page when the question names no number.
pub const PROFILES_DEFAULT: usize = 100;
/// Most profiles of a page.
pub const PROFILES_MAX: usize = 1000;
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
