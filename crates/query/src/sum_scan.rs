//! Step 1 of a call tree as one leaf node: the sum of a value by stack over a Parquet file; and the
//! number of rows by profile, where a range cuts through profiles.
//!
//! The file is sorted by kind, series and time, and its table of runs says where each kind and
//! series is, so that of the columns only stack, value and, where the range cuts, time are read;
//! stacks are small ordinals, so that sums lie in an array instead of a hash table. The node is
//! plain data over a path and can be sent to another machine.

use crate::predicate::Predicate;
use crate::reader::Reader;
use crate::row_ranges::{self, Ranges};
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt32Type};
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::file::metadata::ParquetMetaData;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;
use store::Run;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 16_384;

/// A file, which of its row groups, and what is known of its rows.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) metadata: Arc<ParquetMetaData>,
    pub(crate) row_groups: std::ops::Range<usize>,
    /// Where kinds and series are, if it is known.
    pub(crate) runs: Option<Arc<Vec<Run>>>,
}

/// What is summed by what.
#[derive(Clone, Debug)]
struct Asked {
    /// The column of ordinals that sums are by.
    key: &'static str,
    /// The column of values; the rows are counted without one.
    value: Option<&'static str>,
    /// The ordinals that are asked for, ascending, if not all are.
    keys: Option<Vec<u32>>,
    /// Times that rows must lie in, when not all of the ranges do: first, and first after.
    times: Option<(i64, i64)>,
}

/// The node.
#[derive(Debug)]
pub(crate) struct SumScan {
    file: File,
    asked: Asked,
    ranges: Ranges,
    properties: Arc<PlanProperties>,
}

impl SumScan {
    /// The node for a predicate: sums of a column, or the number of rows, by the ordinals in `key`;
    /// `None` when it asks for more than runs, times and those ordinals tell.
    pub(crate) fn of(
        file: &File,
        predicate: &Predicate,
        key: &'static str,
        value: Option<&'static str>,
    ) -> Option<Self> {
        let ranges = row_ranges::of(file, predicate, key)?;
        let times = (predicate.from_ms.is_some() || predicate.until_ms.is_some()).then(|| {
            (predicate.from_ms.unwrap_or(i64::MIN), predicate.until_ms.unwrap_or(i64::MAX))
        });
        let keys = predicate.ordinals.as_ref().filter(|(column, _)| *column == key);
        let keys = keys.map(|(_, ordinals)| ordinals.clone());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        let asked = Asked { key, value, keys, times };
        Some(Self { file: file.clone(), asked, ranges, properties })
    }

    async fn run(file: File, asked: Asked, ranges: Ranges) -> Result<RecordBatch> {
        let mut sums = Sums::of(ranges.count());
        if ranges.is_empty() {
            return sums.batch(None);
        }
        let external = |error| DataFusionError::ParquetError(Box::new(error));
        let File { store, path, metadata, row_groups, .. } = file;
        let reader = Reader { store, path, metadata: Arc::clone(&metadata) };
        let known = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new());
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, known.map_err(external)?);
        let mut columns = vec![asked.key];
        columns.extend(asked.value);
        columns.extend(asked.times.map(|_| "ts_ms"));
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        let mut stream = builder
            .with_projection(mask)
            .with_row_groups(row_groups.collect())
            .with_row_selection(ranges.selection())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(external)?;
        while let Some(batch) = stream.try_next().await.map_err(external)? {
            sums.add(&batch, &asked)?;
        }
        sums.batch(asked.keys.as_deref())
    }
}

fn schema() -> SchemaRef {
    let fields = vec![
        Field::new("key", DataType::UInt32, false),
        Field::new("value", DataType::Decimal128(38, 0), false),
    ];
    Arc::new(Schema::new(fields))
}

impl DisplayAs for SumScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { key, value, .. } = &self.asked;
        write!(f, "SumScan: {} by {key} of {}", value.unwrap_or("rows"), self.file.path)
    }
}

impl ExecutionPlan for SumScan {
    fn name(&self) -> &'static str {
        "SumScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let sums = Self::run(self.file.clone(), self.asked.clone(), self.ranges.clone());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::once(sums))))
    }
}

/// Stands for an ordinal without rows.
const NONE: i64 = i64::MIN;

/// Rows from which on a list of ordinals is worth being made and looked through: a part of fifty
/// services has millions of them.
const MANY_ROWS: u64 = 1 << 16;

/// Sums of ordinals that lie close together, as the stacks of one service do.
#[derive(Default)]
struct Window {
    first: u32,
    /// From `first` on; [`NONE`] where there are no rows.
    sums: Vec<i64>,
}

/// Ordinals of a window; a segment that was not damaged has fewer.
const WINDOW_KEYS_MAX: u64 = 1 << 24;

impl Window {
    /// Makes room for some ordinals unless they are too far apart. To either side it at least doubles,
    /// so that growing it takes no longer than filling it.
    fn cover(&mut self, keys: &[u32]) {
        let bounds = |(first, last): (u32, u32), &at: &u32| (first.min(at), last.max(at));
        let (first, last) = keys.iter().fold((u32::MAX, 0), bounds);
        if first > last {
            return;
        }
        if self.sums.is_empty() {
            self.first = first;
        }
        let end = u64::from(self.first) + self.sums.len() as u64;
        let length = end.max(u64::from(last) + 1) - u64::from(first.min(self.first));
        if length > WINDOW_KEYS_MAX {
            return;
        }
        let spare = (WINDOW_KEYS_MAX - length).min(self.sums.len() as u64);
        if first < self.first {
            let more = (self.first - first).max((spare as u32).min(self.first));
            self.sums.splice(..0, std::iter::repeat_n(NONE, more as usize));
            self.first -= more;
        }
        if u64::from(last) >= end {
            let more = (u64::from(last) + 1 - end).max(spare.min(u64::from(u32::MAX) + 1 - end));
            self.sums.resize(self.sums.len() + more as usize, NONE);
        }
    }

    /// The ordinals that have rows, and their sums.
    fn into_columns(self) -> (Vec<u32>, Vec<i128>) {
        let groups = self.sums.iter().filter(|sum| **sum != NONE).count();
        // Without a branch, since which ordinals have rows cannot be foreseen: each is written, and
        // written over if it has none; behind the last there is a place for that.
        let (mut keys, mut sums) = (vec![0; groups + 1], vec![0; groups + 1]);
        let mut at = 0;
        for (place, sum) in self.sums.into_iter().enumerate() {
            (keys[at], sums[at]) = (self.first + place as u32, i128::from(sum));
            at += usize::from(sum != NONE);
        }
        keys.truncate(groups);
        sums.truncate(groups);
        (keys, sums)
    }
}

/// Sums by ordinal.
#[derive(Default)]
struct Sums {
    /// In 64 bits; where there are many rows.
    small: Option<Window>,
    /// In 128 bits: those that do not fit or are not covered, and all where there are few rows.
    large: FxHashMap<u32, i128>,
}

impl Sums {
    /// Of so many rows.
    fn of(rows: u64) -> Self {
        let small = (rows >= MANY_ROWS).then(Window::default);
        Self { small, large: FxHashMap::default() }
    }

    fn add(&mut self, batch: &RecordBatch, asked: &Asked) -> Result<()> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
        };
        let wrong = || DataFusionError::Internal("a column has another type".to_owned());
        let numbers = |name: &str| column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(wrong);
        let keys = column(asked.key)?.as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?.values();
        let values = asked.value.map(numbers).transpose()?;
        if let Some(small) = &mut self.small {
            small.cover(keys);
        }
        let value_of = |row: usize| match values {
            None => 1,
            Some(values) if values.is_null(row) => 0,
            Some(values) => values.value(row),
        };
        let each_key = || keys.iter().copied();
        if let Some((from, until)) = asked.times {
            let times = numbers("ts_ms")?.values();
            let rows = each_key().enumerate().zip(times);
            let rows = rows.filter(|(_, time)| (from..until).contains(*time));
            self.add_rows(rows.map(|((row, key), _)| (key, value_of(row))));
        } else if let Some(values) = values.filter(|values| values.null_count() == 0) {
            self.add_rows(each_key().zip(values.values().iter().copied()));
        } else {
            self.add_rows(each_key().enumerate().map(|(row, key)| (key, value_of(row))));
        }
        Ok(())
    }

    fn add_rows(&mut self, rows: impl Iterator<Item = (u32, i64)>) {
        let Self { small, large } = self;
        let mut add_large = |key: u32, value: i128| {
            let large = large.entry(key).or_default();
            *large = large.saturating_add(value);
        };
        let Some(Window { first, sums }) = small else {
            return rows.for_each(|(key, value)| add_large(key, value.into()));
        };
        // Local to the loop, so that they stay in registers.
        let (first, sums) = (*first, sums.as_mut_slice());
        for (key, value) in rows {
            // An ordinal before the first is behind all.
            let Some(place) = sums.get_mut(key.wrapping_sub(first) as usize) else {
                add_large(key, value.into());
                continue;
            };
            let before = if *place == NONE { 0 } else { *place };
            match before.checked_add(value) {
                Some(sum) if sum != NONE => *place = sum,
                _ => {
                    *place = 0;
                    add_large(key, i128::from(before) + i128::from(value));
                }
            }
        }
    }

    /// All of them, or those of some ordinals, which ascend.
    fn batch(self, of: Option<&[u32]>) -> Result<RecordBatch> {
        let Self { small, mut large } = self;
        let (mut keys, mut sums) = small.unwrap_or_default().into_columns();
        if !large.is_empty() {
            for (key, sum) in keys.iter().zip(&mut sums) {
                *sum = sum.saturating_add(large.remove(key).unwrap_or(0));
            }
            // Those that are not covered.
            keys.extend(large.keys());
            sums.extend(large.values());
        }
        if let Some(of) = of {
            let groups = keys.into_iter().zip(sums);
            (keys, sums) = groups.filter(|(key, _)| of.binary_search(key).is_ok()).unzip();
        }
        let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(keys)), Arc::new(sums)];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn few_rows_and_many_add_up_alike(
            batches in prop::collection::vec(
                prop::collection::vec((any_stack(), prop::option::of(any::<i64>()), 0..9_i64), 0..50),
                0..4,
            ),
            times in prop::option::of((0..5_i64, 3..9_i64)),
            keys in prop::option::of(prop::collection::btree_set(any_stack(), 0..20)),
            counts in any::<bool>(),
        ) {
            let keys: Option<Vec<u32>> = keys.map(|keys| keys.into_iter().collect());
            let mut expected: BTreeMap<u32, i128> = BTreeMap::new();
            for (stack, value, time) in batches.iter().flatten() {
                let is_asked = keys.as_ref().is_none_or(|keys| keys.contains(stack));
                if is_asked && times.is_none_or(|(from, until)| (from..until).contains(time)) {
                    let value = if counts { 1 } else { value.unwrap_or(0) };
                    *expected.entry(*stack).or_default() += i128::from(value);
                }
            }
            let value = (!counts).then_some("v0");
            let asked = Asked { key: "stack", value, keys: keys.clone(), times };
            for rows in [0, MANY_ROWS] {
                let mut sums = Sums::of(rows);
                for rows in &batches {
                    let stacks: UInt32Array = rows.iter().map(|row| Some(row.0)).collect();
                    let values: Int64Array = rows.iter().map(|row| row.1).collect();
                    let ts_ms: Int64Array = rows.iter().map(|row| Some(row.2)).collect();
                    let columns: [(&str, ArrayRef); 3] = [
                        ("stack", Arc::new(stacks)),
                        ("v0", Arc::new(values)),
                        ("ts_ms", Arc::new(ts_ms)),
                    ];
                    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
                    sums.add(&batch, &asked).expect("adds");
                }
                let expected: Vec<_> = expected.clone().into_iter().collect();
                prop_assert_eq!(rows_of(sums, keys.as_deref()), expected);
            }
        }
    }

    /// Close together and far apart.
    fn any_stack() -> impl Strategy<Value = u32> {
        (prop::sample::select(vec![0, 40, 900, 20_000, u32::MAX - 30]), 0..30_u32)
            .prop_map(|(a, b)| a + b)
    }

    fn rows_of(sums: Sums, of: Option<&[u32]>) -> Vec<(u32, i128)> {
        let batch = sums.batch(of).expect("two columns");
        let stacks = batch.column(0).as_primitive::<UInt32Type>().values();
        let values = batch.column(1).as_primitive::<arrow::datatypes::Decimal128Type>().values();
        let mut rows: Vec<_> = stacks.iter().copied().zip(values.iter().copied()).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn sums_beyond_64_bits_are_exact_and_a_sum_of_zero_is_a_row() {
        for rows in [0, MANY_ROWS] {
            let mut sums = Sums::of(rows);
            sums.small.iter_mut().for_each(|small| small.cover(&[1, 4]));
            let (max, min) = (i64::MAX, i64::MIN);
            let rows = [(1, max), (1, 5), (3, 0), (2, min), (2, -1), (1, 7), (4, -3), (4, 2)];
            sums.add_rows(rows.into_iter());
            let max = i128::from(max);
            assert_eq!(rows_of(sums, None), [(1, max + 12), (2, -max - 2), (3, 0), (4, -1)]);
        }
    }
}
