//! SUM in 128 bits. The sum that comes with DataFusion stays in 64 bits and wraps: one profile of a
//! broken client would turn everyone's figures into nonsense.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion_common::{DataFusionError, Result, ScalarValue};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

/// Every 128-bit number fits: the precision is not checked where sums are made.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// `sum(i64)` as a decimal of scale 0; nulls count as 0.
pub(crate) fn wide_sum() -> Arc<AggregateUDF> {
    static FUNCTION: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
        let signature = Signature::exact(vec![DataType::Int64], Volatility::Immutable);
        Arc::new(AggregateUDF::from(WideSum { signature }))
    });
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WideSum {
    signature: Signature,
}

impl AggregateUDFImpl for WideSum {
    fn name(&self) -> &'static str {
        "wide_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(WIDE)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<WholeSum>::default())
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::<GroupSums>::default())
    }
}

fn is_kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

fn argument(values: &[ArrayRef]) -> Result<&ArrayRef> {
    values.first().ok_or_else(|| DataFusionError::Internal("a sum of nothing".to_owned()))
}

fn decimals(values: Vec<i128>) -> Result<ArrayRef> {
    Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 0)?))
}

/// One sum a group.
#[derive(Debug, Default)]
struct GroupSums {
    sums: Vec<i128>,
}

impl GroupSums {
    fn add(&mut self, group: usize, value: i128) {
        if let Some(sum) = self.sums.get_mut(group) {
            *sum = sum.saturating_add(value);
        }
    }
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.resize(total_num_groups, 0);
        let values = argument(values)?.as_primitive::<Int64Type>();
        if values.null_count() == 0 && filter.is_none() {
            for (&group, &value) in group_indices.iter().zip(values.values()) {
                self.add(group, value.into());
            }
            return Ok(());
        }
        for (row, &group) in group_indices.iter().enumerate() {
            if values.is_valid(row) && is_kept(filter, row) {
                self.add(group, values.value(row).into());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        decimals(emit_to.take_needed(&mut self.sums))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.resize(total_num_groups, 0);
        let values = argument(values)?.as_primitive::<Decimal128Type>();
        for (row, &group) in group_indices.iter().enumerate() {
            self.add(group, values.value(row));
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = argument(values)?.as_primitive::<Int64Type>();
        let value = |row: usize| {
            let is_there = values.is_valid(row) && is_kept(filter, row);
            if is_there { i128::from(values.value(row)) } else { 0 }
        };
        Ok(vec![decimals((0..values.len()).map(value).collect())?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>()
    }
}

/// The sum of everything, where there are no groups.
#[derive(Debug, Default)]
struct WholeSum {
    sum: i128,
}

impl Accumulator for WholeSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = argument(values)?.as_primitive::<Int64Type>();
        let values = values.iter().flatten().map(i128::from);
        self.sum = values.fold(self.sum, i128::saturating_add);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal128(Some(self.sum), 38, 0))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = argument(states)?.as_primitive::<Decimal128Type>();
        self.sum = sums.iter().flatten().fold(self.sum, i128::saturating_add);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn sums_are_exact_beyond_64_bits_and_nulls_add_nothing() {
        let values: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MAX), None, Some(7)]));
        let mut sums = GroupSums::default();
        sums.update_batch(&[Arc::clone(&values)], &[1, 1, 1, 0], None, 3).expect("adds");
        let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        sums.update_batch(&[Arc::clone(&values)], &[2, 2, 2, 2], Some(&filter), 3).expect("adds");
        let state = sums.state(EmitTo::All).expect("a state");
        let mut merged = GroupSums::default();
        merged.merge_batch(&state, &[0, 1, 1], 2).expect("merges");
        let sums = merged.evaluate(EmitTo::All).expect("evaluates");
        let max = i128::from(i64::MAX);
        assert_eq!(sums.as_primitive::<Decimal128Type>().values(), &[7, 3 * max + 7]);
        let mut whole = WholeSum::default();
        whole.update_batch(&[values]).expect("adds");
        assert_eq!(
            whole.evaluate().expect("evaluates"),
            ScalarValue::Decimal128(Some(2 * max + 7), 38, 0)
        );
    }
}
