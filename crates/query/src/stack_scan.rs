//! Step 1 of a call tree as one leaf node: the sum of a value by stack over a Parquet file.
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

/// The node.
#[derive(Debug)]
pub(crate) struct StackScan {
    file: File,
    value: &'static str,
    ranges: Ranges,
    /// Times that rows must lie in, when not all of the ranges do: first, and first after.
    times: Option<(i64, i64)>,
    properties: Arc<PlanProperties>,
}

impl StackScan {
    /// The node for a predicate; `None` when it asks for more than runs and times tell.
    pub(crate) fn of(file: &File, predicate: &Predicate, value: &'static str) -> Option<Self> {
        let ranges = row_ranges::of(file, predicate)?;
        let times = (predicate.from_ms.is_some() || predicate.until_ms.is_some()).then(|| {
            (predicate.from_ms.unwrap_or(i64::MIN), predicate.until_ms.unwrap_or(i64::MAX))
        });
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Some(Self { file: file.clone(), value, ranges, times, properties })
    }

    async fn run(
        file: File,
        value: &'static str,
        ranges: Ranges,
        times: Option<(i64, i64)>,
    ) -> Result<RecordBatch> {
        let mut sums = Sums::of(ranges.count());
        if ranges.is_empty() {
            return sums.batch();
        }
        let external = |error| DataFusionError::ParquetError(Box::new(error));
        let File { store, path, metadata, row_groups, .. } = file;
        let reader = Reader { store, path, metadata: Arc::clone(&metadata) };
        let known = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new());
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, known.map_err(external)?);
        let mut columns = vec!["stack", value];
        columns.extend(times.map(|_| "ts_ms"));
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        let mut stream = builder
            .with_projection(mask)
            .with_row_groups(row_groups.collect())
            .with_row_selection(ranges.selection())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(external)?;
        while let Some(batch) = stream.try_next().await.map_err(external)? {
            sums.add(&batch, value, times)?;
        }
        sums.batch()
    }
}

fn schema() -> SchemaRef {
    let fields = vec![
        Field::new("stack", DataType::UInt32, false),
        Field::new("value", DataType::Decimal128(38, 0), false),
    ];
    Arc::new(Schema::new(fields))
}

impl DisplayAs for StackScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StackScan: {} of {}", self.value, self.file.path)
    }
}

impl ExecutionPlan for StackScan {
    fn name(&self) -> &'static str {
        "StackScan"
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
        let sums = Self::run(self.file.clone(), self.value, self.ranges.clone(), self.times);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::once(sums))))
    }
}

/// Stands for a stack without rows.
const NONE: i64 = i64::MIN;

/// Rows from which on a list of stacks is worth being made and looked through: a part of fifty
/// services has millions of them.
const MANY_ROWS: u64 = 1 << 16;

/// Sums of stacks that lie close together, as those of one service do.
#[derive(Default)]
struct Window {
    first: u32,
    /// From `first` on; [`NONE`] where there are no rows.
    sums: Vec<i64>,
}

/// Stacks of a window; a segment that was not damaged has fewer.
const WINDOW_STACKS_MAX: u64 = 1 << 24;

impl Window {
    /// Makes room for some stacks unless they are too far apart. To either side it at least doubles,
    /// so that growing it takes no longer than filling it.
    fn cover(&mut self, stacks: &[u32]) {
        let bounds = |(first, last): (u32, u32), &at: &u32| (first.min(at), last.max(at));
        let (first, last) = stacks.iter().fold((u32::MAX, 0), bounds);
        if first > last {
            return;
        }
        if self.sums.is_empty() {
            self.first = first;
        }
        let end = u64::from(self.first) + self.sums.len() as u64;
        let length = end.max(u64::from(last) + 1) - u64::from(first.min(self.first));
        if length > WINDOW_STACKS_MAX {
            return;
        }
        let spare = (WINDOW_STACKS_MAX - length).min(self.sums.len() as u64);
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

    /// The sum of a stack that is covered.
    #[inline]
    fn place(&mut self, stack: u32) -> Option<&mut i64> {
        self.sums.get_mut(stack.checked_sub(self.first)? as usize)
    }
}

/// Sums by stack.
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

    fn add(&mut self, batch: &RecordBatch, value: &str, times: Option<(i64, i64)>) -> Result<()> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
        };
        let wrong = || DataFusionError::Internal("a column has another type".to_owned());
        let stacks = column("stack")?.as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?;
        let values = column(value)?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        if let Some(small) = &mut self.small {
            small.cover(stacks.values());
        }
        let value_of = |row: usize| if values.is_null(row) { 0 } else { values.value(row) };
        if let Some((from, until)) = times {
            let times = column("ts_ms")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
            for (row, (stack, time)) in stacks.values().iter().zip(times.values()).enumerate() {
                if (from..until).contains(time) {
                    self.add_one(*stack, value_of(row));
                }
            }
        } else if values.null_count() == 0 {
            for (stack, value) in stacks.values().iter().zip(values.values()) {
                self.add_one(*stack, *value);
            }
        } else {
            for (row, stack) in stacks.values().iter().enumerate() {
                self.add_one(*stack, value_of(row));
            }
        }
        Ok(())
    }

    #[inline]
    fn add_one(&mut self, stack: u32, value: i64) {
        let place = self.small.as_mut().and_then(|small| small.place(stack));
        let Some(place) = place else { return self.add_large(stack, value.into()) };
        let sum = if *place == NONE { Some(value) } else { place.checked_add(value) };
        match sum {
            Some(sum) if sum != NONE => *place = sum,
            _ => {
                let before = if *place == NONE { 0 } else { *place };
                *place = 0;
                self.add_large(stack, i128::from(before) + i128::from(value));
            }
        }
    }

    fn add_large(&mut self, stack: u32, value: i128) {
        let large = self.large.entry(stack).or_default();
        *large = large.saturating_add(value);
    }

    fn batch(self) -> Result<RecordBatch> {
        let Self { small, mut large } = self;
        let Window { first, sums } = small.unwrap_or_default();
        let found = sums.into_iter().enumerate().filter(|(_, sum)| *sum != NONE);
        let found = found.map(|(at, sum)| {
            let stack = first + at as u32;
            (stack, large.remove(&stack).unwrap_or(0).saturating_add(sum.into()))
        });
        let (mut stacks, mut sums): (Vec<u32>, Vec<i128>) = found.unzip();
        // Those that are not covered.
        for (stack, sum) in large {
            stacks.push(stack);
            sums.push(sum);
        }
        let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(stacks)), Arc::new(sums)];
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
        ) {
            let mut expected: BTreeMap<u32, i128> = BTreeMap::new();
            for (stack, value, time) in batches.iter().flatten() {
                if times.is_none_or(|(from, until)| (from..until).contains(time)) {
                    *expected.entry(*stack).or_default() += i128::from(value.unwrap_or(0));
                }
            }
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
                    sums.add(&batch, "v0", times).expect("adds");
                }
                prop_assert_eq!(rows_of(sums), expected.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }

    /// Close together and far apart.
    fn any_stack() -> impl Strategy<Value = u32> {
        (prop::sample::select(vec![0, 40, 900, 20_000, u32::MAX - 30]), 0..30_u32)
            .prop_map(|(a, b)| a + b)
    }

    fn rows_of(sums: Sums) -> Vec<(u32, i128)> {
        let batch = sums.batch().expect("two columns");
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
            for (stack, value) in
                [(1, i64::MAX), (1, 5), (3, 0), (2, i64::MIN), (2, -1), (1, 7), (4, -3), (4, 2)]
            {
                sums.add_one(stack, value);
            }
            let max = i128::from(i64::MAX);
            assert_eq!(rows_of(sums), [(1, max + 12), (2, -max - 2), (3, 0), (4, -1)]);
        }
    }
}
