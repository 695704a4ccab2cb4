//! Power cuts inside the catalog's own transactions: a real SQLite file, cut at any byte of what the
//! transaction wrote. Whichever side of the commit SQLite comes back on, everything acknowledged is
//! there exactly once: logs are removed only after the commit, and segments without it are swept.

use crate::reading::{Contents, contents, expected};
use bytes::Bytes;
use catalog::Catalog;
use object_store::ObjectStore;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};
use stdx::{ManualClock, Rng, Timestamp};
use store::{FileLayer, LayerFile, LocalFiles, Options, Store};
use tempfile::TempDir;

const CUTS_PER_COMMIT: u64 = 6;
const FILES: [&str; 2] = ["catalog.sqlite", "catalog.sqlite-wal"];

/// The catalog's files; one that is not there is empty.
type CatalogFiles = [Vec<u8>; 2];

fn catalog_files(root: &Path) -> CatalogFiles {
    FILES.map(|name| fs::read(root.join(name)).unwrap_or_default())
}

/// What a disk may hold of a file that was being rewritten and appended to: its first `cut` bytes
/// are new, the rest is as before.
fn cut(before: &[u8], after: &[u8], cut: usize) -> Vec<u8> {
    let mut found = after[..cut.min(after.len())].to_vec();
    found.extend_from_slice(before.get(found.len()..).unwrap_or_default());
    found
}

/// The bytes that differ or are new.
fn changed(before: &[u8], after: &[u8]) -> std::ops::Range<usize> {
    let same = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    same..after.len()
}

/// Real files; between the steps around a catalog transaction it takes copies of the whole folder
/// as a power cut might leave it.
#[derive(Debug)]
struct Watched {
    files: LocalFiles,
    root: PathBuf,
    before: Mutex<CatalogFiles>,
    cuts: Mutex<Vec<TempDir>>,
    rng: Mutex<Rng>,
}

impl Watched {
    fn take_cuts(&self) {
        let (before, after) =
            (self.before.lock().expect("no panic").clone(), catalog_files(&self.root));
        let mut rng = self.rng.lock().expect("no panic");
        for at in 0..CUTS_PER_COMMIT {
            let dir = tempfile::tempdir().expect("a temporary folder");
            copy(&self.root, dir.path());
            // The main file changes only when the log beside it is whole and is being moved there.
            let moves = before[0] != after[0] && at % 2 == 1;
            let mut place = |which: usize| {
                let written = changed(&before[which], &after[which]);
                written.start + rng.below((written.end - written.start) as u64 + 1) as usize
            };
            let (database, log) = if moves {
                (cut(&before[0], &after[0], place(0)), after[1].clone())
            } else if at == 0 {
                (before[0].clone(), after[1].clone())
            } else {
                (before[0].clone(), cut(&before[1], &after[1], place(1)))
            };
            for (name, bytes) in FILES.iter().zip([database, log]) {
                fs::write(dir.path().join(name), bytes).expect("writes");
            }
            self.cuts.lock().expect("no panic").push(dir);
        }
    }
}

/// Copies a folder without the catalog.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&target).expect("creates");
            copy(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().starts_with(FILES[0]) {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

impl FileLayer for Watched {
    fn create(&self, path: &str) -> io::Result<Box<dyn LayerFile>> {
        self.files.create(path)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        self.files.read(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.files.create_dir(path)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.files.remove_file(path)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.files.remove_dir(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.files.sync_dir(path)
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.files.object_store()
    }

    fn step(&self, what: &'static str) -> io::Result<()> {
        if what.starts_with("before") {
            *self.before.lock().expect("no panic") = catalog_files(&self.root);
        } else if what.starts_with("after") {
            self.take_cuts();
        }
        Ok(())
    }
}

fn options() -> Options {
    Options { retired_grace: Duration::ZERO, ..Options::default() }
}

fn clock() -> Arc<ManualClock> {
    let now = Timestamp::from_millis(testkit::profiles::BASE_MS + 2 * 24 * 3_600_000);
    Arc::new(ManualClock::new(now))
}

async fn check(dir: &TempDir, wanted: &Contents) -> u64 {
    let store = Store::open(dir.path(), options(), clock(), Rng::seeded(3)).await.expect("opens");
    let files = LocalFiles::open(dir.path()).expect("opens");
    assert_eq!(contents(&store, &files, "t").await, *wanted);
    store.stats().orphans_removed
}

#[test]
fn a_cut_inside_a_catalog_transaction_loses_nothing_acknowledged() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let catalog = Catalog::open(&root.path().join(FILES[0])).expect("opens");
    let layer = Arc::new(Watched {
        files: LocalFiles::open(root.path()).expect("opens"),
        root: root.path().to_owned(),
        before: Mutex::default(),
        cuts: Mutex::default(),
        rng: Mutex::new(Rng::seeded(11)),
    });
    let shared: Arc<dyn FileLayer> = Arc::clone(&layer) as _;
    let store = Store::open_parts(shared, Arc::new(catalog), options(), clock(), Rng::seeded(2));
    let store = store.expect("opens");
    let mut runner = TestRunner::deterministic();
    let mut wanted = Contents::new();
    let (mut cuts, mut undone) = (0, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        for round in 0..12 {
            let profile = testkit::profiles::any_profile().new_tree(&mut runner);
            let mut profile = profile.expect("a profile").current();
            profile.samples.truncate(5);
            let ids = store.append("t", vec![profile.clone()]).await.expect("appends");
            wanted.insert(ids[0], expected(&profile));
            store.flush().await.expect("flushes");
            if round % 4 == 3 {
                store.compact_once().await.expect("compacts");
            }
            let found = std::mem::take(&mut *layer.cuts.lock().expect("no panic"));
            for dir in found {
                undone += u64::from(check(&dir, &wanted).await > 0);
                cuts += 1;
            }
        }
    });
    assert!(cuts >= 12 * CUTS_PER_COMMIT, "{cuts} cuts");
    assert!(undone > 10 && undone + 10 < cuts, "{undone} of {cuts} came back before the commit");
}
