//! The one place that makes DataFusion's context, for plans here and, later, on other machines.

use crate::limits::BATCH_ROWS;
use datafusion_common::Result;
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion_execution::object_store::ObjectStoreUrl;
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use object_store::ObjectStore;
use std::collections::HashMap;
use std::sync::Arc;

/// The URL under which plans find the store's objects.
pub(crate) const STORE_URL: &str = "vesta://segments";

/// A context for the plans of one query: `bytes_max` of memory for all of them, nothing is spilled
/// to disk, and the store's objects are found under [`STORE_URL`].
pub(crate) fn context(store: &Arc<dyn ObjectStore>, bytes_max: usize) -> Result<Arc<TaskContext>> {
    let mut config = SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(1);
    config.options_mut().execution.parquet.pushdown_filters = true;
    let no_spill = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(bytes_max, 1.0)
        .with_disk_manager_builder(no_spill)
        .build_arc()?;
    let url = ObjectStoreUrl::parse(STORE_URL)?;
    runtime.register_object_store(url.as_ref(), Arc::clone(store));
    Ok(Arc::new(TaskContext::new(
        None,
        "query".to_owned(),
        config,
        HashMap::default(),
        HashMap::default(),
        HashMap::default(),
        HashMap::default(),
        runtime,
    )))
}
