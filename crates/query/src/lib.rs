//! The views answered by DataFusion over the store.
//!
//! A question takes three steps. Metadata first: the profiles of a snapshot say which of them
//! answer (matchers, source preference, range), so that no label is looked at row by row. Then one
//! physical plan per part ([`plan`]) sums values by stack, bucket or profile. Last, only the stacks
//! in the answer are resolved to names and merged into one call tree.
//!
//! A filter of samples is resolved to ordinals of each part's tables first ([`filter`]): links,
//! threads and attributes become a condition on rows; stacks are picked from the sums by stack, and
//! become a condition on rows only where sums are not by stack.
//!
//! Questions about metadata read no samples at all. Ranges are whole milliseconds: both ends are
//! rounded down, as the rows' times are.
//!
//! What is absent: SQL, a logical planner, label look-ups per row, clocks.

pub mod limits;

mod bounds;
mod cells;
mod dots;
mod engine;
mod error;
mod events;
mod filter;
mod moments;
mod plan;
mod predicate;
mod reader;
mod rebuild;
mod records;
mod rollup;
mod row_ranges;
mod scan;
mod select;
mod series;
mod session;
mod spans;
mod sum_scan;
mod transplant;
mod tree;
mod usage;
mod wide_sum;

pub use engine::{Engine, StackSums};
pub use limits::Settings;
