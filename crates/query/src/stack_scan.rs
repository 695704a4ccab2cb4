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
        let mut sums = Sums::default();
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

/// Sums by stack: in 64 bits, and in 128 of those that do not fit.
#[derive(Default)]
struct Sums {
    small: Vec<i64>,
    large: FxHashMap<u32, i128>,
}

impl Sums {
    fn add(&mut self, batch: &RecordBatch, value: &str, times: Option<(i64, i64)>) -> Result<()> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
        };
        let wrong = || DataFusionError::Internal("a column has another type".to_owned());
        let stacks = column("stack")?.as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?;
        let values = column(value)?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let last = stacks.values().iter().copied().max().unwrap_or(0) as usize;
        if last >= self.small.len() {
            self.small.resize((last + 1).max(self.small.len() * 2), NONE);
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
        let place = &mut self.small[stack as usize];
        let sum = if *place == NONE { Some(value) } else { place.checked_add(value) };
        match sum {
            Some(sum) if sum != NONE => *place = sum,
            _ => self.add_large(stack, value),
        }
    }

    #[cold]
    fn add_large(&mut self, stack: u32, value: i64) {
        let place = &mut self.small[stack as usize];
        let small = if *place == NONE { 0 } else { *place };
        let large = self.large.entry(stack).or_default();
        *large = large.saturating_add(small.into()).saturating_add(value.into());
        *place = 0;
    }

    fn batch(&self) -> Result<RecordBatch> {
        let found = self.small.iter().enumerate().filter(|(_, sum)| **sum != NONE);
        let (stacks, sums): (Vec<u32>, Vec<i128>) = found
            .map(|(stack, sum)| {
                let stack = stack as u32;
                let large = self.large.get(&stack).copied().unwrap_or(0);
                (stack, large.saturating_add((*sum).into()))
            })
            .unzip();
        let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(stacks)), Arc::new(sums)];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_64_bits_are_exact_and_a_sum_of_zero_is_a_row() {
        let mut sums = Sums { small: vec![NONE; 5], ..Sums::default() };
        for (stack, value) in
            [(1, i64::MAX), (1, 5), (3, 0), (2, i64::MIN), (2, -1), (1, 7), (4, -3), (4, 2)]
        {
            sums.add_one(stack, value);
        }
        let batch = sums.batch().expect("two columns");
        let stacks = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
        let values = batch.column(1).as_primitive::<arrow::datatypes::Decimal128Type>();
        let max = i128::from(i64::MAX);
        assert_eq!(stacks, [1, 2, 3, 4]);
        assert_eq!(values.values().to_vec(), [max + 12, -max - 2, 0, -1]);
    }
}
