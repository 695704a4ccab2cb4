//! Flushing: the memtable becomes segments; the catalog's transaction is the commit; only then
//! are the logs removed.

use super::{Inner, Store, count};
use crate::Error;
use crate::collect::Collector;
use crate::memtable;
use crate::segment::{self, Segment, write};
use crate::wal;
use catalog::SegmentRow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::Ulid;

impl Store {
    /// Writes everything appended so far to segments. When it fails, everything stays visible
    /// and in the log, and the next flush tries again.
    pub async fn flush(&self) -> Result<(), Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let mut log = Arc::clone(&self.inner.wal).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            // Nobody appends while the log is held: what it contains is what is frozen.
            let sequence = log.rotate();
            inner.freeze();
            let waiting = inner.counters.wal_bytes.load(Ordering::Relaxed);
            drop(log);
            let result = inner.write_frozen(sequence, waiting);
            drop(turn);
            if result.is_err() {
                count(&inner.counters.flush_failures, 1);
            }
            result
        })
        .await
    }
}

impl Inner {
    fn freeze(&self) {
        let mut state = self.state();
        let memtable = std::mem::take(&mut state.memtable);
        state.flushing_bytes += memtable.bytes();
        for tenant in memtable.tenants() {
            let chunks = memtable.views(tenant).cloned();
            state.flushing.entry(Arc::clone(tenant)).or_default().extend(chunks);
        }
    }

    fn write_frozen(&self, sequence: u64, wal_bytes: u64) -> Result<(), Error> {
        let frozen = self.state().flushing.clone();
        if frozen.is_empty() {
            return Ok(());
        }
        let mut segments = Vec::new();
        for (tenant, chunks) in &frozen {
            let mut collector = memtable::collect(tenant, chunks, self.options.keep_addresses)?;
            segments.push(self.write_segment(&mut collector, 0)?);
        }
        let rows: Vec<SegmentRow> = segments.iter().map(|segment| segment.row.clone()).collect();
        self.step("before the flush's commit")?;
        self.catalog.commit_flush(&rows, sequence)?;
        {
            let mut state = self.state();
            state.flushing.clear();
            state.flushing_bytes = 0;
            state.segments.extend(segments);
        }
        count(&self.counters.flushes, 1);
        self.counters.wal_bytes.fetch_sub(wal_bytes, Ordering::Relaxed);
        self.step("after the flush's commit")?;
        self.remove_logs(sequence)
    }

    fn remove_logs(&self, flushed: u64) -> Result<(), Error> {
        let names = self.layer.list(wal::DIR).map_err(Error::io("list logs"))?;
        for sequence in names.iter().filter_map(|name| wal::sequence_of(name)) {
            if sequence <= flushed {
                let path = wal::path(sequence);
                self.layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
            }
        }
        self.layer.sync_dir(wal::DIR).map_err(Error::io("sync logs"))
    }

    /// Writes a segment's files, durable but not yet committed. What a failure leaves behind is
    /// removed here or, after a crash, when the store is opened.
    pub(super) fn write_segment(
        &self,
        collector: &mut Collector,
        level: u8,
    ) -> Result<Arc<Segment>, Error> {
        let id: Ulid = self.new_id();
        let (row, files) = write::encode(collector, id, level, self.clock.now())?;
        if let Err(error) = write::put(&*self.layer, id, &files) {
            let _ = self.layer.remove_dir(&segment::dir(id));
            return Err(error);
        }
        Ok(Arc::new(Segment::new(row, Arc::clone(&self.layer))?))
    }
}
