//! One layer of faults over the layer of power cuts: steps that fail, a full disk, and operations
//! that fail, half succeed, or succeed and say that they failed, by the seed.

use crate::power::PowerLayer;
use bytes::Bytes;
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use stdx::Rng;
use store::{FileLayer, LayerFile};

/// Files of a catalog on disk.
pub(crate) const CATALOG_FILES: [&str; 2] = ["catalog.sqlite", "catalog.sqlite-wal"];

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing happens.
    Fails,
    /// It happens, and says that it failed.
    Lies,
    /// Half of the bytes are written, or read.
    Half,
    /// There is no room.
    Full,
    /// It takes its time.
    Slow,
}

const FAULTS: [Fault; 5] = [Fault::Fails, Fault::Lies, Fault::Half, Fault::Full, Fault::Slow];
const SLOW: Duration = Duration::from_micros(200);

/// What is to go wrong, and what has.
#[derive(Debug, Default)]
struct Plan {
    /// How often each step still fails.
    steps: BTreeMap<&'static str, u32>,
    /// The disk is full, as far as paths that begin so are concerned.
    full: Option<&'static str>,
    free: Option<u64>,
    /// One operation in so many goes wrong.
    one_in: Option<(Rng, u64)>,
    hits: BTreeMap<(&'static str, Fault), u64>,
    /// Writes to paths that begin so wait until they are let go.
    held: Option<&'static str>,
    waiting: usize,
    /// A catalog's folder, and what its files held before and after the last transaction. Read while
    /// the catalog is open: SQLite moves its log into the database when it is closed.
    watched: Option<(PathBuf, [[Vec<u8>; 2]; 2])>,
}

#[derive(Debug)]
struct Shared {
    layer: PowerLayer,
    plan: Mutex<Plan>,
    let_go: Condvar,
}

/// The layer. Clones share the disk and the plan.
#[derive(Clone, Debug)]
pub(crate) struct Faulty(Arc<Shared>);

/// The bytes of a catalog's files; one that is not there is empty.
pub(crate) fn catalog_files(root: &Path) -> [Vec<u8>; 2] {
    CATALOG_FILES.map(|name| std::fs::read(root.join(name)).unwrap_or_default())
}

fn broken() -> io::Error {
    io::Error::other("disk I/O error")
}

impl Faulty {
    pub(crate) fn over(layer: PowerLayer) -> Self {
        let plan = Mutex::default();
        Self(Arc::new(Shared { layer, plan, let_go: Condvar::new() }))
    }

    pub(crate) fn power(&self) -> &PowerLayer {
        &self.0.layer
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().expect("no test thread panicked")
    }

    /// A step fails so many times.
    pub(crate) fn fail(&self, step: &'static str, times: u32) {
        self.plan().steps.insert(step, times);
    }

    /// The disk is full for paths that begin so.
    pub(crate) fn fill(&self, prefix: Option<&'static str>) {
        self.plan().full = prefix;
    }

    /// What the disk says is free.
    pub(crate) fn set_free(&self, bytes: Option<u64>) {
        self.plan().free = bytes;
    }

    /// One operation in `one_in` goes wrong from now on; none with 0.
    pub(crate) fn chaos(&self, seed: u64, one_in: u64) {
        self.plan().one_in = (one_in > 0).then(|| (Rng::seeded(seed), one_in));
    }

    /// How often each operation went wrong in each way.
    pub(crate) fn hits(&self) -> BTreeMap<(&'static str, Fault), u64> {
        self.plan().hits.clone()
    }

    /// Writes to paths that begin so wait; with `None` they go on.
    pub(crate) fn hold(&self, prefix: Option<&'static str>) {
        self.plan().held = prefix;
        self.0.let_go.notify_all();
    }

    /// Writes that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.plan().waiting
    }

    /// Remembers a catalog's files before each of its transactions.
    pub(crate) fn watch(&self, root: &Path) {
        self.plan().watched = Some((root.to_owned(), [catalog_files(root), Default::default()]));
    }

    /// The catalog's files as they were before and after the last transaction.
    pub(crate) fn transaction(&self) -> [[Vec<u8>; 2]; 2] {
        self.plan().watched.as_ref().map(|(_, files)| files.clone()).unwrap_or_default()
    }

    fn wait_while_held(&self, path: &str) {
        let mut plan = self.plan();
        plan.waiting += 1;
        while plan.held.is_some_and(|prefix| path.starts_with(prefix)) {
            plan = self.0.let_go.wait(plan).expect("no test thread panicked");
        }
        plan.waiting -= 1;
    }

    /// Whether and how an operation goes wrong this time; only `may` happen to it.
    fn fault(&self, what: &'static str, may: &[Fault]) -> Option<Fault> {
        let mut plan = self.plan();
        let (rng, one_in) = plan.one_in.as_mut()?;
        if !rng.chance(1, *one_in) {
            return None;
        }
        let fault = FAULTS[rng.below(FAULTS.len() as u64) as usize];
        let fault = may.contains(&fault).then_some(fault)?;
        *plan.hits.entry((what, fault)).or_default() += 1;
        drop(plan);
        if fault == Fault::Slow {
            std::thread::sleep(SLOW);
            return None;
        }
        Some(fault)
    }

    /// An operation of which there is no half.
    fn whole<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&PowerLayer) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.fault(what, &[Fault::Fails, Fault::Lies, Fault::Full, Fault::Slow]) {
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Lies) => work(&self.0.layer).and(Err(broken())),
            Some(_) => Err(broken()),
            None => work(&self.0.layer),
        }
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn LayerFile>,
    layer: Faulty,
    path: String,
}

impl LayerFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.layer.wait_while_held(&self.path);
        let half = &bytes[..bytes.len() / 2];
        if self.layer.plan().full.is_some_and(|prefix| self.path.starts_with(prefix)) {
            // As disks do: some of it is written.
            self.file.append(half)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.layer.fault("append", &FAULTS) {
            None => self.file.append(bytes),
            Some(Fault::Full) => self.file.append(half).and(Err(io::ErrorKind::StorageFull.into())),
            Some(Fault::Half) => self.file.append(half).and(Err(broken())),
            Some(Fault::Lies) => self.file.append(bytes).and(Err(broken())),
            Some(_) => Err(broken()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.layer.fault("sync", &[Fault::Fails, Fault::Lies, Fault::Full, Fault::Slow]) {
            None => self.file.sync(),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Lies) => self.file.sync().and(Err(broken())),
            Some(_) => Err(broken()),
        }
    }
}

impl FileLayer for Faulty {
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let file = self.whole("create", |layer| layer.create(path))?;
        Ok(Box::new(FaultyFile { file, layer: self.clone(), path: path.to_owned() }))
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        // Logs are read from the local disk, which gives all of a file or an error.
        let halves: &[Fault] = if path.starts_with("wal") { &[] } else { &[Fault::Half] };
        let may = [halves, &[Fault::Fails, Fault::Slow]].concat();
        match self.fault("read", &may) {
            None => self.0.layer.read(path),
            Some(Fault::Half) => {
                let whole = self.0.layer.read(path)?;
                Ok(whole.slice(..whole.len() / 2))
            }
            Some(_) => Err(broken()),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        match self.fault("list", &[Fault::Fails, Fault::Slow]) {
            None => self.0.layer.list(dir),
            Some(_) => Err(broken()),
        }
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.whole("create_dir", |layer| layer.create_dir(path))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.whole("remove_file", |layer| layer.remove_file(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.whole("remove_dir", |layer| layer.remove_dir(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.whole("rename", |layer| layer.rename(from, to))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.whole("sync_dir", |layer| layer.sync_dir(path))
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.0.layer.object_store()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(self.plan().free)
    }

    fn step(&self, what: &'static str) -> io::Result<()> {
        {
            let mut plan = self.plan();
            if let Some((root, files)) = plan.watched.as_mut() {
                files[usize::from(what.starts_with("after"))] = catalog_files(root);
            }
            if let Some(left) = plan.steps.get_mut(what).filter(|left| **left > 0) {
                *left -= 1;
                return Err(broken());
            }
        }
        self.whole("catalog", |layer| layer.step(what))
    }
}
