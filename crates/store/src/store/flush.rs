//! Flushing: the memtable becomes segments; the catalog's transaction is the commit; only then
//! are the logs removed.

use super::{Frozen, Inner, Store, count, repeats};
use crate::collect::Arranged;
use crate::memtable::{self, ChunkView};
use crate::rows::Row;
use crate::segment::table::File;
use crate::segment::{self, Segment, write};
use crate::{Error, files, wal};
use catalog::SegmentRow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::Ulid;

impl Store {
    /// Writes everything appended so far to segments. When it fails, everything stays visible
    /// and in the log, and the next flush tries again.
    pub async fn flush(&self) -> Result<(), Error> {
        let turn = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        // What an earlier flush left comes first: its logs are older.
        let turn = super::in_background(move || inner.write_frozen().map(|()| turn)).await?;
        let mut log = Arc::clone(&self.inner.wal).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        super::in_background(move || {
            // Nobody appends while the log is held: what it contains is what is frozen.
            let sequence = log.rotate();
            inner.freeze(sequence);
            drop(log);
            let result = inner.write_frozen();
            drop(turn);
            result
        })
        .await
    }
}

impl Inner {
    fn freeze(&self, sequence: u64) {
        let mut state = self.state();
        let memtable = std::mem::take(&mut state.memtable);
        let views = |tenant: &Arc<str>| memtable.views(tenant).cloned().collect();
        let chunks: BTreeMap<Arc<str>, Vec<ChunkView>> =
            memtable.tenants().map(|tenant| (Arc::clone(tenant), views(tenant))).collect();
        let piles = Arc::new(memtable.piles.clone());
        if chunks.is_empty() && piles.is_empty() {
            return;
        }
        let wal_bytes = self.counters.wal_bytes.load(Ordering::Relaxed);
        let bytes = memtable.bytes();
        let uploads = self.repeats().freeze();
        let segments = None;
        state.flushing =
            Some(Frozen { chunks, piles, bytes, sequence, wal_bytes, uploads, segments });
    }

    fn write_frozen(&self) -> Result<(), Error> {
        let Some(frozen) = self.state().flushing.clone() else { return Ok(()) };
        let result = self.try_write(&frozen);
        if result.is_err() {
            count(&self.counters.flush_failures, 1);
        }
        self.space.note_flush(&result);
        result
    }

    fn try_write(&self, frozen: &Frozen) -> Result<(), Error> {
        let segments = match &frozen.segments {
            Some(written) => written.clone(),
            None => self.write_segments(frozen)?,
        };
        let rows: Vec<SegmentRow> = segments.iter().map(|segment| segment.row.clone()).collect();
        self.step("before the flush's commit")?;
        let oldest = repeats::oldest(self.clock.now());
        let hours = self.noted_hours(&segments);
        let (sequence, uploads) = (frozen.sequence, &frozen.uploads);
        self.catalog.commit_flush_with(&rows, sequence, uploads, oldest, &hours)?;
        self.step("after the flush's commit")?;
        self.opened(hours);
        {
            let mut state = self.state();
            state.flushing = None;
            state.put(segments);
        }
        count(&self.counters.flushes, 1);
        self.counters.wal_bytes.fetch_sub(frozen.wal_bytes, Ordering::Relaxed);
        self.remove_logs(frozen.sequence)
    }

    /// Writes what is frozen, for each tenant a segment of profiles, of spans and of events, and
    /// remembers them for another try.
    fn write_segments(&self, frozen: &Frozen) -> Result<Vec<Arc<Segment>>, Error> {
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        self.forget_noted();
        if let Err(error) = self.write_each(frozen, &mut segments) {
            for segment in segments {
                // What stays behind is removed when the store is opened.
                let _ = self.layer.remove_dir(&segment::dir(segment.id));
            }
            return Err(error);
        }
        if let Some(frozen) = &mut self.state().flushing {
            frozen.segments = Some(segments.clone());
        }
        Ok(segments)
    }

    fn write_each(&self, frozen: &Frozen, to: &mut Vec<Arc<Segment>>) -> Result<(), Error> {
        for (tenant, chunks) in &frozen.chunks {
            let collected = memtable::collect(tenant, chunks, self.options.keep_addresses);
            let (arranged, rows) = collected?;
            let hours = self.hours_of(&rows);
            let segment = self.write_segment(&arranged, rows.into_iter().map(Ok), 0)?;
            self.note_hours(segment.id, hours);
            to.push(segment);
        }
        self.write_pile(&frozen.piles.spans, to)?;
        self.write_pile(&frozen.piles.events, to)
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
        arranged: &Arranged,
        rows: impl Iterator<Item = Result<Row, Error>>,
        level: u8,
    ) -> Result<Arc<Segment>, Error> {
        let id: Ulid = self.new_id();
        let (row, files) = write::encode(arranged, rows, id, level, self.clock.now())?;
        self.write_files(row, &files)
    }

    /// Writes the files of a segment.
    pub(super) fn write_files(
        &self,
        row: SegmentRow,
        files: &[File],
    ) -> Result<Arc<Segment>, Error> {
        let id = row.id;
        if let Err(error) = files::put_tables(&*self.layer, segment::DIR, &segment::dir(id), files)
        {
            let _ = self.layer.remove_dir(&segment::dir(id));
            return Err(error);
        }
        Ok(Arc::new(Segment::new(row, Arc::clone(&self.layer))?))
    }
}
