//! Sums by group.

use crate::error;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, UInt32Type};
use profile::StackId;
use views::ViewError;

/// The ordinal that stands for none.
const NONE: u32 = u32::MAX;

/// A group and its sum. Groups of one column have 0 as second key, a key that is null is [`NONE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) key: (i64, u32),
    pub(crate) value: i128,
    /// Rows, where they were asked for.
    pub(crate) rows: u64,
}

impl Cell {
    /// The first key of a sum by an ordinal.
    pub(crate) fn ordinal(self) -> u32 {
        u32::try_from(self.key.0).unwrap_or(NONE)
    }

    /// The stack of a sum by stack.
    pub(crate) fn stack(self) -> StackId {
        // An ordinal that is none leads nowhere, so its value stays at the root.
        StackId(self.ordinal())
    }
}

/// Groups and their sums; the same group may come more than once (once a piece of a part). They lie
/// in columns, of which those that were not asked for are empty: sums by stack take 24 bytes each, and
/// a question about all services has millions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    first: Vec<i64>,
    second: Vec<u32>,
    values: Vec<i128>,
    rows: Vec<u64>,
}

impl Cells {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cell> {
        (0..self.first.len()).map(|at| self.get(at))
    }

    fn get(&self, at: usize) -> Cell {
        let second = self.second.get(at).copied().unwrap_or(0);
        let rows = self.rows.get(at).copied().unwrap_or(0);
        Cell { key: (self.first[at], second), value: self.values[at], rows }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = i128> {
        self.values.iter().copied()
    }

    /// The rows of all groups, where they were asked for.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Leaves of the values only that there are some.
    pub(crate) fn forget_values(&mut self) {
        self.values.fill(0);
    }

    /// Adds what a plan gave: one or two columns of keys, the value, and the rows if they are asked
    /// for.
    pub(crate) fn add(&mut self, batch: RecordBatch, keys: usize) -> Result<(), ViewError> {
        let (_, mut columns, _) = batch.into_parts();
        if columns.len() < keys {
            return Err(error::column("group"));
        }
        let sums = columns.split_off(keys);
        match &*columns {
            [first] => extend(&mut self.first, first_keys(first)?),
            [first, second] => {
                extend(&mut self.first, first_keys(first)?);
                extend(&mut self.second, ordinals(second)?);
            }
            _ => return Err(error::column("group")),
        }
        let mut sums = sums.into_iter();
        let (Some(value), rows, None) = (sums.next(), sums.next(), sums.next()) else {
            return Err(error::column("value"));
        };
        extend(&mut self.values, numbers(value)?);
        if let Some(rows) = rows {
            self.rows.extend(numbers(rows)?.into_iter().map(|rows| rows as u64));
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, other: Self) {
        extend(&mut self.first, other.first);
        extend(&mut self.second, other.second);
        extend(&mut self.values, other.values);
        extend(&mut self.rows, other.rows);
    }

    /// Puts them in order of their keys.
    pub(crate) fn sort(&mut self) {
        if self.second.is_empty() && self.first.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.first.len()).collect();
        // Each piece is mostly in order already, which this kind of sorting makes use of.
        order.sort_by_key(|at| (self.first[*at], self.second.get(*at)));
        self.take(&order);
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(Cell) -> bool) {
        let kept: Vec<usize> = (0..self.first.len()).filter(|at| keep(self.get(*at))).collect();
        self.take(&kept);
    }

    #[cfg(test)]
    pub(crate) fn of_stacks(stacks: &[i64]) -> Self {
        Self { first: stacks.to_vec(), values: vec![1; stacks.len()], ..Self::default() }
    }

    fn take(&mut self, places: &[usize]) {
        take(&mut self.first, places);
        take(&mut self.second, places);
        take(&mut self.values, places);
        take(&mut self.rows, places);
    }
}

/// Mostly one batch has all groups of a part, and its columns are taken as they are.
fn extend<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

/// Those at some places of a column, if it has any.
fn take<T: Copy>(column: &mut Vec<T>, places: &[usize]) {
    if !column.is_empty() {
        *column = places.iter().map(|at| column[*at]).collect();
    }
}

/// Ordinals, or buckets of time.
fn first_keys(column: &ArrayRef) -> Result<Vec<i64>, ViewError> {
    if column.as_primitive_opt::<UInt32Type>().is_some() {
        return Ok(ordinals(column)?.into_iter().map(i64::from).collect());
    }
    let buckets = column.as_primitive_opt::<Int64Type>();
    buckets.map(|buckets| buckets.values().to_vec()).ok_or_else(|| error::column("group"))
}

fn ordinals(column: &ArrayRef) -> Result<Vec<u32>, ViewError> {
    let column = column.as_primitive_opt::<UInt32Type>().ok_or_else(|| error::column("group"))?;
    if column.null_count() == 0 {
        return Ok(column.values().to_vec());
    }
    Ok(column.iter().map(|key| key.unwrap_or(NONE)).collect())
}

/// Sums in 128 bits, without a copy of those that nobody else has.
fn numbers(column: ArrayRef) -> Result<Vec<i128>, ViewError> {
    let numbers = column.as_primitive_opt::<Decimal128Type>().cloned();
    drop(column);
    let (_, numbers, _) = numbers.ok_or_else(|| error::column("value"))?.into_parts();
    Ok(numbers.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array, UInt32Array};
    use std::sync::Arc;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let columns = columns.into_iter().enumerate();
        let columns = columns.map(|(at, column)| (at.to_string(), column, true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
    }

    fn sums(values: Vec<i128>) -> ArrayRef {
        Arc::new(Decimal128Array::from(values))
    }

    fn rows_of(cells: &Cells) -> Vec<((i64, u32), i128, u64)> {
        cells.iter().map(|cell| (cell.key, cell.value, cell.rows)).collect()
    }

    #[test]
    fn groups_of_several_batches_and_pieces_are_put_in_order() {
        let of = |stacks: Vec<Option<u32>>, values| {
            batch(vec![Arc::new(UInt32Array::from(stacks)), sums(values)])
        };
        let (mut cells, mut piece) = (Cells::default(), Cells::default());
        cells.add(of(vec![Some(7), None], vec![1, 2]), 1).expect("adds");
        cells.add(of(vec![Some(3)], vec![i128::MAX]), 1).expect("adds");
        piece.add(of(vec![Some(3), Some(9)], vec![4, -5]), 1).expect("adds");
        cells.append(piece);
        cells.sort();
        let none = i64::from(NONE);
        let all = [(3, i128::MAX), (3, 4), (7, 1), (9, -5), (none, 2)];
        assert_eq!(rows_of(&cells), all.map(|(stack, value)| ((stack, 0), value, 0)));
        cells.retain(|cell| cell.key.0 != 3);
        assert_eq!(cells.values().collect::<Vec<_>>(), [1, -5, 2]);
        assert_eq!(cells.iter().last().map(Cell::stack), Some(StackId(NONE)));
    }

    #[test]
    fn groups_of_two_columns_keep_their_rows() {
        let piece = |buckets: Vec<i64>, threads: Vec<Option<u32>>, values, rows| {
            let mut cells = Cells::default();
            let threads = Arc::new(UInt32Array::from(threads));
            let buckets = Arc::new(Int64Array::from(buckets));
            let batch = batch(vec![buckets, threads, sums(values), sums(rows)]);
            cells.add(batch, 2).map(|()| cells)
        };
        let mut cells =
            piece(vec![20, 10], vec![Some(1), Some(8)], vec![100, 200], vec![1, 2]).expect("adds");
        cells.append(piece(vec![10], vec![None], vec![300], vec![3]).expect("adds"));
        cells.sort();
        assert_eq!(rows_of(&cells), [((10, 8), 200, 2), ((10, NONE), 300, 3), ((20, 1), 100, 1)]);
        assert_eq!(cells.rows(), 6);
        cells.forget_values();
        assert_eq!(rows_of(&cells)[0], ((10, 8), 0, 2));
    }

    #[test]
    fn columns_of_another_type_or_number_are_refused() {
        let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a"]));
        let stacks: ArrayRef = Arc::new(UInt32Array::from(vec![1]));
        let sum = sums(vec![1]);
        let refuses = |columns: &[&ArrayRef], keys| {
            let columns = columns.iter().map(|column| Arc::clone(column)).collect();
            Cells::default().add(batch(columns), keys).is_err()
        };
        assert!(!refuses(&[&stacks, &sum], 1) && !refuses(&[&stacks, &stacks, &sum, &sum], 2));
        assert!(refuses(&[&texts, &sum], 1) && refuses(&[&stacks, &texts], 1));
        assert!(refuses(&[&stacks], 1) && refuses(&[&stacks], 2), "a column is missing");
        assert!(refuses(&[&stacks, &sum, &sum, &sum], 1), "a column too many");
        assert!(refuses(&[&sum], 0) && refuses(&[&stacks, &stacks, &stacks, &sum], 3), "keys");
    }
}
