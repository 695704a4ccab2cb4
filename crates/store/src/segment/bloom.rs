//! Which segments may hold a trace or a span, by the bloom filters of their links.

use super::Segment;
use crate::Error;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::bloom_filter::Sbbf;

/// A trace, a span, or a span of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanKey {
    /// Trace id.
    pub trace: Option<u128>,
    /// Span id, of the span itself or of the local root span.
    pub span: Option<u64>,
}

impl Segment {
    /// Whether samples of the span may be in it. Only the filters are decoded.
    pub(crate) fn may_hold_span(&self, key: SpanKey) -> Result<bool, Error> {
        let Some(file) = self.file("links")? else { return Ok(key == SpanKey::default()) };
        let file = ParquetRecordBatchReaderBuilder::try_new(file)?;
        for group in 0..file.metadata().num_row_groups() {
            let filter = |column| filter(&file, group, column);
            let holds = |filter: Option<Sbbf>, span: u64| {
                filter.is_none_or(|filter| filter.check(&span.cast_signed()))
            };
            let trace = match (key.trace, filter("trace_id")?) {
                (Some(trace), Some(filter)) => filter.check(&trace.to_be_bytes()[..]),
                _ => true,
            };
            let span = match key.span {
                Some(span) => {
                    holds(filter("span_id")?, span) || holds(filter("root_span_id")?, span)
                }
                None => true,
            };
            if trace && span {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The filter of a column; `None` in files that were written without.
fn filter(
    file: &ParquetRecordBatchReaderBuilder<Bytes>,
    group: usize,
    column: &str,
) -> Result<Option<Sbbf>, Error> {
    let columns = file.parquet_schema().columns().iter();
    let Some(at) = columns.zip(0..).find(|(have, _)| have.name() == column) else {
        return Ok(None);
    };
    Ok(file.get_row_group_column_bloom_filter(group, at.1)?)
}
