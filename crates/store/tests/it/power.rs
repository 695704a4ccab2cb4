//! A file layer that forgets what was not synced. File contents and directory entries (creations
//! and removals) are durable only after their own sync; at a power cut each thing that was not
//! synced survives or not by the seed, unsynced contents as a prefix of any length.

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use stdx::Rng;
use store::{FileLayer, LayerFile};

#[derive(Clone, Debug)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug)]
struct Disk {
    files: Vec<Contents>,
    live: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    operations: u64,
    /// The operation at which the power fails.
    cut_at: u64,
    /// How many catalog transactions are still made before the power fails inside one.
    transactions_left: Option<u64>,
    is_cut_in_transaction: bool,
    file_syncs: u64,
    rng: Rng,
}

/// The layer. Clones share the disk.
#[derive(Clone, Debug)]
pub(crate) struct PowerLayer(Arc<Mutex<Disk>>);

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl Disk {
    /// Counts an operation. At the cut the operation may still have happened, unacknowledged.
    fn operate(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.operations += 1;
        if self.operations < self.cut_at {
            return change(self);
        }
        if self.operations == self.cut_at && self.rng.chance(1, 2) {
            let _ = change(self);
        }
        Err(power_is_off())
    }

    fn file(&mut self, at: usize) -> &mut Contents {
        &mut self.files[at]
    }
}

impl PowerLayer {
    pub(crate) fn new(seed: u64, cut_at: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            files: Vec::new(),
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            operations: 0,
            cut_at,
            transactions_left: None,
            is_cut_in_transaction: false,
            file_syncs: 0,
            rng: Rng::seeded(seed),
        })))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no test thread panicked")
    }

    pub(crate) fn file_syncs(&self) -> u64 {
        self.disk().file_syncs
    }

    /// The power fails at the `operations`-th operation from now on.
    pub(crate) fn cut_at(&self, operations: u64) {
        let mut disk = self.disk();
        disk.cut_at = disk.operations + operations;
    }

    /// The power fails in the `count`-th catalog transaction from now on.
    pub(crate) fn cut_after_step(&self, count: u64) {
        self.disk().transactions_left = Some(count);
    }

    /// Whether the power failed inside a catalog transaction.
    pub(crate) fn was_cut_after_a_step(&self) -> bool {
        self.disk().is_cut_in_transaction
    }

    pub(crate) fn is_off(&self) -> bool {
        let disk = self.disk();
        disk.operations >= disk.cut_at
    }

    /// What is found when the power is back; the next cut is after `cut_after` operations.
    pub(crate) fn after_power_cut(&self, cut_after: u64) -> Self {
        let mut disk = self.disk();
        let (live, durable) = (disk.live.clone(), disk.durable.clone());
        let mut found = BTreeMap::new();
        let paths: std::collections::BTreeSet<&String> =
            live.keys().chain(durable.keys()).collect();
        for path in paths {
            // Not synced: a creation that may be lost, or a removal that may be.
            let is_settled = live.contains_key(path) && durable.contains_key(path);
            let survives = is_settled || disk.rng.chance(1, 2);
            let has_parent = parent(path).is_empty() || found.contains_key(parent(path));
            if let (true, true, Some(node)) =
                (survives, has_parent, durable.get(path).or(live.get(path)))
            {
                found.insert(path.clone(), node.clone());
            }
        }
        let mut files = disk.files.clone();
        for file in &mut files {
            let unsynced = (file.bytes.len() - file.synced) as u64;
            let kept = file.synced + disk.rng.below(unsynced + 1) as usize;
            file.bytes.truncate(kept);
            file.synced = kept;
        }
        Self(Arc::new(Mutex::new(Disk {
            files,
            live: found.clone(),
            durable: found,
            operations: 0,
            cut_at: cut_after,
            transactions_left: None,
            is_cut_in_transaction: false,
            file_syncs: 0,
            rng: Rng::seeded(disk.rng.next_u64()),
        })))
    }
}

#[derive(Debug)]
struct PowerFile {
    layer: PowerLayer,
    at: usize,
}

impl LayerFile for PowerFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.layer.disk().operate(|disk| {
            disk.file(self.at).bytes.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.layer.disk().operate(|disk| {
            disk.file_syncs += 1;
            let file = disk.file(self.at);
            file.synced = file.bytes.len();
            Ok(())
        })
    }
}

impl FileLayer for PowerLayer {
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        let mut at = 0;
        self.disk().operate(|disk| {
            if disk.live.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !disk.live.contains_key(parent(path)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            at = disk.files.len();
            disk.files.push(Contents::default());
            disk.live.insert(path.to_owned(), Node::File(at));
            Ok(())
        })?;
        Ok(Box::new(PowerFile { layer: self.clone(), at }))
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        let disk = self.disk();
        match disk.live.get(path) {
            Some(Node::File(at)) => Ok(disk.files[*at].bytes.clone().into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let children = disk.live.keys().filter(|path| parent(path) == dir);
        Ok(children.filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect())
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk().operate(|disk| {
            disk.live.entry(path.to_owned()).or_insert(Node::Dir);
            Ok(())
        })
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.disk().operate(|disk| {
            disk.live.remove(path);
            Ok(())
        })
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.disk().operate(|disk| {
            let inside = format!("{path}/");
            disk.live.retain(|have, _| have != path && !have.starts_with(&inside));
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk().operate(|disk| {
            let inside = format!("{from}/");
            let is_moved = |have: &String| have == from || have.starts_with(&inside);
            let moved: Vec<String> =
                disk.live.keys().filter(|have| is_moved(have)).cloned().collect();
            if moved.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            for path in moved {
                let Some(node) = disk.live.remove(&path) else { continue };
                disk.live.insert(format!("{to}{}", &path[from.len()..]), node);
            }
            Ok(())
        })
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.disk().operate(|disk| {
            let gone = |have: &String| parent(have) == path && !disk.live.contains_key(have);
            let gone: Vec<String> =
                disk.durable.keys().filter(|have| gone(have)).cloned().collect();
            for dir in &gone {
                // What was in a removed directory is unreachable.
                let inside = format!("{dir}/");
                disk.durable.retain(|have, _| have != dir && !have.starts_with(&inside));
            }
            let children = disk.live.iter().filter(|(have, _)| parent(have) == path);
            let children: Vec<_> =
                children.map(|(have, node)| (have.clone(), node.clone())).collect();
            disk.durable.extend(children);
            Ok(())
        })
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(InMemory::new())
    }

    fn step(&self, what: &'static str) -> io::Result<()> {
        let mut disk = self.disk();
        if what.starts_with("after") {
            if let Some(left) = disk.transactions_left.as_mut() {
                *left -= 1;
                if *left == 0 {
                    disk.transactions_left = None;
                    disk.cut_at = disk.operations + 1;
                }
            }
            disk.is_cut_in_transaction = disk.operations + 1 == disk.cut_at;
        }
        disk.operate(|_| Ok(()))
    }
}
