//! Opening a store: the catalog says what exists, logs that no segment holds are replayed, what
//! nothing refers to is swept.

use super::{Counters, Inner, State, Store, append, count};
use crate::Error;
use crate::cache::Caches;
use crate::layer::{FileLayer, LocalFiles};
use crate::limits::Options;
use crate::segment::{self, Segment};
use crate::wal::{self, WalWriter};
use catalog::Catalog;
use std::path::Path;
use std::sync::{Arc, Mutex};
use stdx::{Clock, Rng, Ulid};

impl Store {
    /// Opens or creates a store in a local directory. Blocks while the logs are replayed.
    pub async fn open(
        root: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<Arc<Self>, Error> {
        let root = root.to_owned();
        super::in_background(move || {
            let layer = LocalFiles::open(&root).map_err(Error::io("open the data directory"))?;
            let catalog = Catalog::open(&root.join("catalog.sqlite"))?;
            layer.sync_dir("").map_err(Error::io("sync the data directory"))?;
            Self::open_parts(Arc::new(layer), Arc::new(catalog), options, clock, rng)
        })
        .await
    }

    /// Opens a store over any file layer and catalog. Blocks.
    pub fn open_parts(
        layer: Arc<dyn FileLayer>,
        catalog: Arc<Catalog>,
        options: Options,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<Arc<Self>, Error> {
        for dir in [wal::DIR, segment::DIR] {
            layer.create_dir(dir).map_err(Error::io(format!("create {dir}")))?;
        }
        layer.sync_dir("").map_err(Error::io("sync the data directory"))?;
        let counters = Counters::default();
        let mut state = State::default();
        for row in catalog.live()? {
            state.segments.push(Arc::new(Segment::new(row, Arc::clone(&layer))?));
        }
        sweep_segments(&*layer, &catalog, &state, &counters)?;
        let mut rng = rng;
        let flushed = catalog.wal_flushed()?;
        let last = Replayer { layer: &*layer, options: &options, counters: &counters }
            .run(flushed, &mut state, &*clock, &mut rng)?;
        let writer = WalWriter::new(Arc::clone(&layer), last.max(flushed) + 1);
        let caches = Arc::new(Caches::new(options.cache_bytes_max));
        let inner = Inner {
            layer,
            catalog,
            options,
            clock,
            rng: Mutex::new(rng),
            wal: Arc::new(tokio::sync::Mutex::new(writer)),
            pending: Mutex::new(append::Pending::default()),
            state: Mutex::new(state),
            maintenance: Arc::default(),
            flush_wanted: tokio::sync::Notify::new(),
            caches,
            counters,
        };
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }
}

/// Removes the files of retired segments and of segments that were never committed.
fn sweep_segments(
    layer: &dyn FileLayer,
    catalog: &Catalog,
    state: &State,
    counters: &Counters,
) -> Result<(), Error> {
    let retired = catalog.retired()?;
    let live: std::collections::BTreeSet<Ulid> = state.segments.iter().map(|row| row.id).collect();
    for name in layer.list(segment::DIR).map_err(Error::io("list segments"))? {
        // What is not named like a segment is not ours to remove.
        let Ok(id) = Ulid::from_string(&name) else { continue };
        if live.contains(&id) {
            continue;
        }
        let dir = segment::dir(id);
        layer.remove_dir(&dir).map_err(Error::io(format!("remove {dir}")))?;
        if !retired.contains(&id) {
            count(&counters.orphans_removed, 1);
        }
    }
    layer.sync_dir(segment::DIR).map_err(Error::io("sync segments"))?;
    layer.step("forget retired segments").map_err(Error::io("forget retired segments"))?;
    Ok(catalog.forget(&retired)?)
}

struct Replayer<'a> {
    layer: &'a dyn FileLayer,
    options: &'a Options,
    counters: &'a Counters,
}

impl Replayer<'_> {
    /// Puts logs after `flushed` into the memtable and removes the others. Returns the last
    /// log's number.
    fn run(
        &self,
        flushed: u64,
        state: &mut State,
        clock: &dyn Clock,
        rng: &mut Rng,
    ) -> Result<u64, Error> {
        let mut last = 0;
        let names = self.layer.list(wal::DIR).map_err(Error::io("list logs"))?;
        for sequence in names.iter().filter_map(|name| wal::sequence_of(name)) {
            last = last.max(sequence);
            let path = wal::path(sequence);
            if sequence <= flushed {
                self.layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
                continue;
            }
            let bytes = self.layer.read(&path).map_err(Error::io(format!("read {path}")))?;
            let replay = wal::replay(&bytes);
            count(&self.counters.corrupt_records, replay.damaged);
            count(&self.counters.torn_logs, u64::from(replay.torn));
            count(&self.counters.wal_bytes, bytes.len() as u64);
            if replay.damaged > 0 {
                tracing::error!(path, records = replay.damaged, "damaged log records skipped");
            }
            for entry in &replay.entries {
                let entry = std::slice::from_ref(entry);
                state.memtable.add(entry, self.options, clock.now(), rng)?;
            }
        }
        self.layer.sync_dir(wal::DIR).map_err(Error::io("sync logs"))?;
        Ok(last)
    }
}
