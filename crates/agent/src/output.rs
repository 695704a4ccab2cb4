//! Writes one request into a file, for `vesta record`.

use crate::batch::Batch;
use crate::encode::Encoder;
use anyhow::Context as _;
use std::io::Write as _;
use std::path::Path;
use tokio::sync::mpsc::Receiver;

/// Encodes the one batch that comes at the end and writes it to `path` (`-`: standard output).
pub(crate) async fn run(
    path: &Path,
    mut encoder: Encoder,
    mut batches: Receiver<Batch>,
) -> anyhow::Result<()> {
    let batch = batches.recv().await.context("sampling ended without a result")?;
    let bytes = encoder.encode(&batch);
    let result = if path == Path::new("-") {
        std::io::stdout().lock().write_all(&bytes)
    } else {
        std::fs::write(path, &bytes)
    };
    result.with_context(|| format!("cannot write {}", path.display()))?;
    tracing::info!(
        samples = batch.sample_count,
        lost = batch.lost,
        processes = batch.processes.len(),
        bytes = bytes.len(),
        "written"
    );
    Ok(())
}
