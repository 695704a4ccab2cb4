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
