//! Tables of functions.

use crate::{AnswerMeta, Frame};

/// Order of a table of functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopSort {
    /// By the functions' own values.
    #[default]
    Own,
    /// By values with callees.
    Total,
}

/// How many functions, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopQuery {
    /// At most this many.
    pub limit: usize,
    /// Order.
    pub sort: TopSort,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopFunction {
    /// What it is called.
    pub frame: Frame,
    /// Its own value.
    pub own: i64,
    /// Its value with callees; recursion counted once.
    pub total: i64,
}

/// A table of functions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopTable {
    /// What it was made of.
    pub meta: AnswerMeta,
    /// The functions in the order asked for.
    pub functions: Vec<TopFunction>,
}

/// The `limit` first functions in the order asked for, without those that have no value; ties go by
/// frame.
pub(crate) fn first(mut rows: Vec<TopFunction>, limit: usize, sort: TopSort) -> Vec<TopFunction> {
    rows.retain(|row| row.own != 0 || row.total != 0);
    rows.sort_unstable_by(|a, b| {
        let key = |row: &TopFunction| match sort {
            TopSort::Own => (row.own, row.total),
            TopSort::Total => (row.total, row.own),
        };
        key(b).cmp(&key(a)).then_with(|| a.frame.cmp(&b.frame))
    });
    rows.truncate(limit);
    rows
}
