//! The sorted rows of several segments as one sorted stream: a piece of each is in memory.

use super::{Segment, read};
use crate::Error;
use crate::collect::{Arranged, Collected, RowKey};
use crate::rows::Row;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A segment whose tables were collected.
pub(crate) struct Input {
    pub(crate) segment: Arc<Segment>,
    pub(crate) collected: Collected,
}

type Batches = Box<dyn Iterator<Item = Result<arrow::array::RecordBatch, Error>>>;

/// One input's rows.
struct Cursor<'a> {
    collected: &'a Collected,
    batches: Batches,
    rows: Vec<Row>,
    at: usize,
}

/// The merged rows.
pub(crate) struct Merge<'a> {
    arranged: &'a Arranged,
    cursors: Vec<Cursor<'a>>,
    /// The next row of each cursor that has one, but for the `current`.
    waiting: BinaryHeap<Reverse<(RowKey, usize)>>,
    /// The cursor that rows are taken from until another has a smaller one.
    current: Option<usize>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(arranged: &'a Arranged, inputs: &'a [Input]) -> Result<Self, Error> {
        let mut merge =
            Self { arranged, cursors: Vec::new(), waiting: BinaryHeap::new(), current: None };
        for (at, input) in inputs.iter().enumerate() {
            let batches: Batches = Box::new(read::samples(&input.segment)?);
            let collected = &input.collected;
            let mut cursor = Cursor { collected, batches, rows: Vec::new(), at: 0 };
            if let Some(key) = cursor.key(arranged)? {
                merge.waiting.push(Reverse((key, at)));
            }
            merge.cursors.push(cursor);
        }
        Ok(merge)
    }

    fn step(&mut self) -> Result<Option<Row>, Error> {
        if let Some(at) = self.current {
            match self.cursors[at].key(self.arranged)? {
                Some(key) => {
                    let least = self.waiting.peek().map(|Reverse(least)| *least);
                    if least.is_some_and(|least| least < (key, at)) {
                        self.waiting.push(Reverse((key, at)));
                        self.current = None;
                    }
                }
                None => self.current = None,
            }
        }
        if self.current.is_none() {
            self.current = self.waiting.pop().map(|Reverse((_, at))| at);
        }
        Ok(self.current.and_then(|at| self.cursors[at].take()))
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl Cursor<'_> {
    /// The key of the next row.
    fn key(&mut self, arranged: &Arranged) -> Result<Option<RowKey>, Error> {
        while self.at == self.rows.len() {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            self.rows.clear();
            self.at = 0;
            arranged.rows(self.collected, &batch?, &mut self.rows)?;
        }
        Ok(self.rows.get(self.at).map(|row| arranged.key(row)))
    }

    fn take(&mut self) -> Option<Row> {
        let row = self.rows.get(self.at).copied();
        self.at += 1;
        row
    }
}
