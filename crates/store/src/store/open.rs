//! Opening a store: the catalog says what exists, logs that no segment holds are replayed, what
//! nothing refers to is swept.

use super::repeats::Repeats;
use super::space::Space;
use super::{Counters, Inner, State, Store, append, count, sweep};
use crate::Error;
use crate::cache::Caches;
use crate::hidden::{Tombstone, floor_after};
use crate::layer::{FileLayer, LocalFiles};
use crate::limits::Options;
use crate::rollup;
use crate::segment::{self, Segment};
use crate::wal::{self, WalWriter};
use catalog::Catalog;
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use stdx::{Clock, Rng};

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
        mut rng: Rng,
    ) -> Result<Arc<Self>, Error> {
        for dir in [wal::DIR, segment::DIR, rollup::DIR, super::names::DIR, super::payloads::DIR] {
            layer.create_dir(dir).map_err(Error::io(format!("create {dir}")))?;
        }
        layer.sync_dir("").map_err(Error::io("sync the data directory"))?;
        let counters = Counters::default();
        let mut state = State::default();
        for row in catalog.live()? {
            state.put([Arc::new(Segment::new(row, Arc::clone(&layer))?)]);
        }
        sweep::run(&*layer, &catalog, &state.all_segments(), &counters)?;
        let rolled = super::roll::Rolled::load(&layer, &catalog)?;
        let mut recent_deletions = Vec::new();
        let mut floor = 0;
        for row in catalog.deletions()? {
            let stone = Arc::new(Tombstone::new(&row)?);
            floor = floor.max(floor_after(row.created_at.nanos()));
            recent_deletions.push(Arc::clone(&stone));
            if row.done_at.is_none() {
                state.tombstones.push(stone);
            }
        }
        let pins = Mutex::new(Arc::new(catalog.pins()?));
        let names = super::names::Shelf::open(&*layer, &catalog)?;
        let payloads = super::payloads::Payloads::open(&*layer, &options, catalog.payloads()?)?;
        let flushed = catalog.wal_flushed()?;
        let mut repeats = Repeats::default();
        for uploads in catalog.uploads()? {
            repeats.load(&uploads, clock.now())?;
        }
        let replayer =
            Replayer { layer: &*layer, options: &options, counters: &counters, clock: &*clock };
        let last = replayer.run(flushed, &mut state, &mut repeats, &mut rng)?;
        let writer = WalWriter::new(Arc::clone(&layer), last.max(flushed) + 1);
        let caches = Arc::new(Caches::new(options.cache_bytes_max, options.picked_from_bytes));
        let inner = Inner {
            layer,
            catalog,
            options,
            clock,
            rng: Mutex::new(rng),
            wal: Arc::new(tokio::sync::Mutex::new(writer)),
            pending: Mutex::new(append::Pending::default()),
            repeats: Mutex::new(repeats),
            space: Space::default(),
            received_floor: AtomicI64::new(floor),
            recent_deletions: Mutex::new(recent_deletions),
            pins,
            names,
            payloads,
            keeping: Arc::default(),
            looked_at: Mutex::default(),
            rolled: Mutex::new(rolled),
            state: Mutex::new(state),
            maintenance: Arc::default(),
            flush_wanted: tokio::sync::Notify::new(),
            caches,
            counters,
        };
        inner.sweep_payloads()?;
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }
}

struct Replayer<'a> {
    layer: &'a dyn FileLayer,
    options: &'a Options,
    counters: &'a Counters,
    clock: &'a dyn Clock,
}

impl Replayer<'_> {
    /// Puts logs after `flushed` into the memtable and removes the others. Returns the last
    /// log's number.
    fn run(
        &self,
        flushed: u64,
        state: &mut State,
        repeats: &mut Repeats,
        rng: &mut Rng,
    ) -> Result<u64, Error> {
        let mut last = 0;
        let names = self.layer.list(wal::DIR).map_err(Error::io("list logs"))?;
        let mut paths = Vec::new();
        for sequence in names.iter().filter_map(|name| wal::sequence_of(name)) {
            last = last.max(sequence);
            let path = wal::path(sequence);
            if sequence <= flushed {
                self.layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
            } else {
                paths.push(path);
            }
        }
        let mut copies = self.copies(&paths)?;
        for path in paths {
            let bytes = self.read(&path)?;
            let replay = wal::replay(&bytes);
            count(&self.counters.corrupt_records, replay.damaged);
            count(&self.counters.torn_logs, u64::from(replay.torn));
            count(&self.counters.wal_bytes, bytes.len() as u64);
            if replay.damaged > 0 {
                tracing::error!(path, records = replay.damaged, "damaged log records skipped");
            }
            for (entry, key) in replay.spans {
                if let Some(key) = key {
                    if superseded(&mut copies, key) {
                        continue;
                    }
                    repeats.add(key, entry.id, self.clock.now());
                }
                state.memtable.add_spans(&entry, self.clock.now());
            }
            for (entry, key) in &replay.entries {
                if let Some(key) = key {
                    if superseded(&mut copies, *key) {
                        continue;
                    }
                    repeats.add(*key, entry.id, self.clock.now());
                }
                let entry = std::slice::from_ref(entry);
                state.memtable.add_all(entry, self.options, self.clock.now(), rng)?;
            }
        }
        self.layer.sync_dir(wal::DIR).map_err(Error::io("sync logs"))?;
        Ok(last)
    }

    fn read(&self, path: &str) -> Result<bytes::Bytes, Error> {
        self.layer.read(path).map_err(Error::io(format!("read {path}")))
    }

    /// Keys that stand in the logs more than once, and how often. A commit that failed may have
    /// left its records, and its client has sent the same again: the last one was acknowledged.
    fn copies(&self, paths: &[String]) -> Result<FxHashMap<u128, u32>, Error> {
        let mut copies: FxHashMap<u128, u32> = FxHashMap::default();
        for path in paths {
            for key in wal::keys(&self.read(path)?) {
                *copies.entry(key).or_default() += 1;
            }
        }
        copies.retain(|_, count| *count > 1);
        Ok(copies)
    }
}

/// Whether the same key comes again further on.
fn superseded(copies: &mut FxHashMap<u128, u32>, key: u128) -> bool {
    let Some(left) = copies.get_mut(&key) else { return false };
    *left -= 1;
    *left > 0
}
