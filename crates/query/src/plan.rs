//! Physical plans over one part: source, filter, sum by group.

use crate::predicate::Predicate;
use crate::reader::KnownFooter;
use crate::row_ranges;
use crate::session::STORE_URL;
use crate::sum_scan::{File, SumScan};
use crate::wide_sum::wide_sum;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result};
use datafusion_datasource::PartitionedFile;
use datafusion_datasource::file_scan_config::FileScanConfigBuilder;
use datafusion_datasource::memory::MemorySourceConfig;
use datafusion_datasource::source::DataSourceExec;
use datafusion_datasource_parquet::ParquetAccessPlan;
use datafusion_datasource_parquet::source::ParquetSource;
use datafusion_execution::object_store::ObjectStoreUrl;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::AggregateExprBuilder;
use datafusion_physical_expr::expressions::{BinaryExpr, col, lit};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion_physical_plan::filter::FilterExec;
use std::sync::Arc;

/// Where rows come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A piece of a Parquet file of `size` bytes.
    File { file: File, size: u64 },
    /// Batches in memory.
    Memory(Vec<RecordBatch>),
}

impl Source {
    /// Rows of it that must be looked at for a predicate.
    pub(crate) fn rows(&self, predicate: &Predicate) -> u64 {
        match self {
            Self::File { file, .. } => row_ranges::count(file, predicate),
            Self::Memory(batches) => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        }
    }
}

/// What values are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Stack: for trees of sums.
    Stack,
    /// Stack and series: for trees of gauges.
    StackSeries,
    /// Profile.
    Profile,
    /// Profile, and the ordinal in a column.
    ProfileColumn(&'static str),
    /// The ordinal in a column, which may be null.
    Column(&'static str),
    /// The ordinal in a column, and series.
    ColumnSeries(&'static str),
    /// Time bucket of `step_ms` since `anchor_ms`.
    Time { anchor_ms: i64, step_ms: i64 },
    /// Time bucket of `step_ms` since `anchor_ms`, and the ordinal in column `by`.
    Bucket { anchor_ms: i64, step_ms: i64, by: &'static str },
}

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// The rows.
    Rows,
    /// A value column.
    Value(usize),
    /// A value column, and the rows beside it.
    ValueAndRows(usize),
}

/// Names of the value columns.
pub(crate) const VALUES: [&str; profile::VALUES_MAX] = ["v0", "v1", "v2", "v3"];

impl Group {
    fn columns(self) -> Vec<&'static str> {
        match self {
            Self::Stack => vec!["stack"],
            Self::StackSeries => vec!["stack", "series"],
            Self::Profile => vec!["profile"],
            Self::ProfileColumn(column) => vec!["profile", column],
            Self::Column(column) => vec![column],
            Self::ColumnSeries(column) => vec![column, "series"],
            Self::Time { .. } => vec!["ts_ms"],
            Self::Bucket { by, .. } => vec!["ts_ms", by],
        }
    }

    /// Number of columns that make a group.
    pub(crate) fn keys(self) -> usize {
        self.columns().len()
    }

    fn exprs(self, schema: &Schema) -> Result<Vec<(Arc<dyn PhysicalExpr>, String)>> {
        let named = |name: &str| Ok((col(name, schema)?, name.to_owned()));
        let (anchor_ms, step_ms, by) = match self {
            Self::Bucket { anchor_ms, step_ms, by } => (anchor_ms, step_ms, Some(by)),
            Self::Time { anchor_ms, step_ms } => (anchor_ms, step_ms, None),
            _ => return self.columns().into_iter().map(named).collect(),
        };
        let since: Arc<dyn PhysicalExpr> =
            Arc::new(BinaryExpr::new(col("ts_ms", schema)?, Operator::Minus, lit(anchor_ms)));
        let bucket: Arc<dyn PhysicalExpr> =
            Arc::new(BinaryExpr::new(since, Operator::Divide, lit(step_ms)));
        let mut exprs = vec![(bucket, "bucket".to_owned())];
        exprs.extend(by.map(named).transpose()?);
        Ok(exprs)
    }
}

impl Sum {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Rows => None,
            Self::Value(at) | Self::ValueAndRows(at) => Some(VALUES[at]),
        }
    }
}

/// `SELECT group, sum(value) … WHERE predicate GROUP BY group`: the group's columns, then the sum
/// and, where asked for, the number of rows, all in 128 bits.
pub(crate) fn sums(
    source: &Source,
    predicate: &Predicate,
    group: Group,
    sum: Sum,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let (Source::File { file, .. }, Group::Stack | Group::Profile) = (source, group)
        && let (&[key], Sum::Rows | Sum::Value(_)) = (&*group.columns(), sum)
        && let Some(scan) = SumScan::of(file, predicate, key, sum.column())
    {
        return Ok(Arc::new(scan));
    }
    let mut columns = group.columns();
    columns.extend(sum.column());
    let input = rows(source, predicate, &columns)?;
    let schema = input.schema();
    let build = |of, name: &str| {
        let builder = AggregateExprBuilder::new(wide_sum(), vec![of]).schema(Arc::clone(&schema));
        Ok::<_, DataFusionError>(Arc::new(builder.alias(name).build()?))
    };
    let mut aggregates = Vec::new();
    if let Some(column) = sum.column() {
        aggregates.push(build(col(column, &schema)?, "value")?);
    }
    if let Sum::Rows | Sum::ValueAndRows(_) = sum {
        aggregates.push(build(lit(1_i64), "rows")?);
    }
    let filters = vec![None; aggregates.len()];
    let group = PhysicalGroupBy::new_single(group.exprs(&schema)?);
    let mode = AggregateMode::Single;
    Ok(Arc::new(AggregateExec::try_new(mode, group, aggregates, filters, input, schema)?))
}

/// `SELECT columns … WHERE predicate`; further columns may follow.
pub(crate) fn rows(
    source: &Source,
    predicate: &Predicate,
    columns: &[&str],
) -> Result<Arc<dyn ExecutionPlan>> {
    match source {
        Source::File { file, size } => {
            let File { store, path, metadata, .. } = file;
            let schema = store::schema::samples();
            let readers = KnownFooter { store: Arc::clone(store), metadata: Arc::clone(metadata) };
            let mut parquet = ParquetSource::new(Arc::clone(&schema))
                .with_parquet_file_reader_factory(Arc::new(readers))
                .with_pushdown_filters(true)
                .with_enable_page_index(true);
            let rest = if file.runs.is_some() { &predicate.beyond_runs() } else { predicate };
            if let Some(condition) = rest.expr(&schema)? {
                parquet = parquet.with_predicate(condition);
            }
            let access = ParquetAccessPlan::new(row_ranges::access(file, predicate));
            let mut file = PartitionedFile::new(path.as_ref(), *size).with_extension(access);
            file.object_meta.location = path.clone();
            let url = ObjectStoreUrl::parse(STORE_URL)?;
            let config = FileScanConfigBuilder::new(url, Arc::new(parquet))
                .with_projection_indices(Some(indices(&schema, columns)?))?
                .with_file(file)
                .build();
            Ok(DataSourceExec::from_data_source(config))
        }
        Source::Memory(batches) => {
            let schema: SchemaRef =
                batches.first().map_or_else(store::schema::samples, RecordBatch::schema);
            let mut columns = columns.to_vec();
            columns.extend(predicate.columns());
            let kept = Some(indices(&schema, &columns)?);
            let source: Arc<dyn ExecutionPlan> =
                MemorySourceConfig::try_new_exec(std::slice::from_ref(batches), schema, kept)?;
            let Some(condition) = predicate.expr(&source.schema())? else { return Ok(source) };
            Ok(Arc::new(FilterExec::try_new(condition, source)?))
        }
    }
}

/// Positions of columns by name, each once, in the order given.
fn indices(schema: &Schema, columns: &[&str]) -> Result<Vec<usize>> {
    let mut indices = Vec::with_capacity(columns.len());
    for name in columns {
        let at = schema.index_of(name).map_err(DataFusionError::from)?;
        if !indices.contains(&at) {
            indices.push(at);
        }
    }
    Ok(indices)
}
