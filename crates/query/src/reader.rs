//! Reads Parquet files whose footers the store already knows, so that no query parses them again.

use bytes::Bytes;
use datafusion_datasource::PartitionedFile;
use datafusion_datasource_parquet::ParquetFileReaderFactory;
use datafusion_physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use std::ops::Range;
use std::sync::Arc;

/// Makes readers of one file with a known footer.
#[derive(Debug)]
pub(crate) struct KnownFooter {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) metadata: Arc<ParquetMetaData>,
}

impl ParquetFileReaderFactory for KnownFooter {
    fn create_reader(
        &self,
        _partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion_common::Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(Reader {
            store: Arc::clone(&self.store),
            path: file.object_meta.location,
            metadata: Arc::clone(&self.metadata),
        }))
    }
}

/// Reads ranges of one file with a known footer.
pub(crate) struct Reader {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) metadata: Arc<ParquetMetaData>,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let bytes = self.get_byte_ranges(vec![range]).await?.pop();
            bytes.ok_or_else(|| ParquetError::General(format!("{} gave no bytes", self.path)))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let bytes = self.store.get_ranges(&self.path, &ranges).await;
            let bytes = bytes.map_err(|error| ParquetError::External(Box::new(error)))?;
            let lengths = bytes.iter().map(|piece| piece.len() as u64);
            // Decoders take for granted that they have what they asked for.
            if !lengths.eq(ranges.iter().map(|range| range.end - range.start)) {
                return Err(ParquetError::General(format!("{} was read in part", self.path)));
            }
            Ok(bytes)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let metadata = Arc::clone(&self.metadata);
        async move { Ok(metadata) }.boxed()
    }
}
