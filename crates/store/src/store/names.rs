//! Tables of names for addresses that came without one: a file each, and a row of the catalog, whose
//! insertion is the commit. What a table holds is not this crate's affair.

use super::{Inner, Store};
use crate::layer::FileLayer;
use crate::limits::{FSCK_PROBLEMS_MAX, NAMES_BYTES_MAX, NAMES_TABLES_MAX};
use crate::{Error, files};
use bytes::Bytes;
use catalog::{Catalog, NamesRow};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use stdx::Ulid;

pub(super) const DIR: &str = "names";

/// The best source first.
const SOURCES: [&str; 3] = ["dwarf", "go", "symbols"];

/// A table to be kept.
#[derive(Clone, Debug, Default)]
pub struct NewNames {
    /// By which profiles may know the binary; the first is the usual one.
    pub build_ids: Vec<String>,
    /// Name of the file that it was made of.
    pub file: String,
    /// Where the names come from, best first: `dwarf`, `go`, `symbols`.
    pub sources: Vec<String>,
    /// Number of functions.
    pub functions: u64,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// The tables that there are.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    index: Mutex<Arc<Index>>,
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    /// Oldest first.
    rows: Arc<Vec<Arc<NamesRow>>>,
    /// By tenant and build id, the best first.
    by_id: HashMap<String, HashMap<String, Vec<Arc<NamesRow>>>>,
}

impl Index {
    fn of(rows: Vec<NamesRow>) -> Self {
        let rows: Vec<Arc<NamesRow>> = rows.into_iter().map(Arc::new).collect();
        let mut by_id: HashMap<String, HashMap<String, Vec<_>>> = HashMap::new();
        for row in &rows {
            let its = by_id.entry(row.tenant.clone()).or_default();
            for id in &row.build_ids {
                its.entry(plain(id).into_owned()).or_default().push(Arc::clone(row));
            }
        }
        for found in by_id.values_mut().flat_map(HashMap::values_mut) {
            found.sort_by_key(|row| (rank(row), std::cmp::Reverse(row.id)));
        }
        Self { rows: Arc::new(rows), by_id }
    }
}

impl Shelf {
    /// Reads the catalog and removes files that it does not name.
    pub(super) fn open(layer: &dyn FileLayer, catalog: &Catalog) -> Result<Self, Error> {
        let index = Index::of(catalog.names()?);
        let known: BTreeSet<String> = index.rows.iter().map(|row| name(row.id)).collect();
        for file in layer.list(DIR).map_err(Error::io(format!("list {DIR}")))? {
            if !known.contains(&file) {
                let path = format!("{DIR}/{file}");
                layer.remove_file(&path).map_err(Error::io(format!("remove {path}")))?;
            }
        }
        Ok(Self { index: Mutex::new(Arc::new(index)), version: AtomicU64::new(1) })
    }

    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn rows(&self) -> Arc<Vec<Arc<NamesRow>>> {
        Arc::clone(&self.index().rows)
    }

    pub(super) fn load(&self, catalog: &Catalog) -> Result<(), Error> {
        let index = Arc::new(Index::of(catalog.names()?));
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = index;
        self.version.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn name(id: Ulid) -> String {
    format!("{id}.names")
}

/// The path of a table's file.
pub(super) fn path(id: Ulid) -> String {
    format!("{DIR}/{}", name(id))
}

/// Of a file's path, the table.
pub(super) fn table_in(path: &str) -> Option<Ulid> {
    let id = path.strip_prefix(DIR)?.strip_prefix('/')?.strip_suffix(".names")?;
    Ulid::from_string(id).ok().filter(|ulid| ulid.to_string() == id)
}

fn rank(row: &NamesRow) -> usize {
    let best = row.sources.first().map(String::as_str);
    SOURCES.iter().position(|source| Some(*source) == best).unwrap_or(SOURCES.len())
}

/// Build ids in hex are the same in upper and lower case.
fn plain(id: &str) -> Cow<'_, str> {
    let is_upper = id.bytes().any(|byte| byte.is_ascii_uppercase())
        && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_upper { id.to_ascii_lowercase().into() } else { id.into() }
}

impl Inner {
    pub(super) fn write_names(&self, id: Ulid, table: &[u8]) -> Result<(), Error> {
        files::put(&*self.layer, DIR, &path(id), table)
    }

    /// Adds what is wrong with the tables' files.
    pub(super) fn check_names(&self, problems: &mut Vec<String>) {
        for row in self.names.rows().iter() {
            let what = match self.layer.read(&path(row.id)) {
                Ok(file) if file.len() as u64 == row.bytes => continue,
                Ok(file) => format!("{} bytes, the catalog says {}", file.len(), row.bytes),
                Err(error) => error.to_string(),
            };
            if problems.len() < FSCK_PROBLEMS_MAX {
                problems.push(format!("table of names {}: {what}", row.id));
            }
        }
    }

    fn drop_names(&self, ids: &[Ulid]) {
        for id in ids {
            // Nothing asks for it any more; what stays is removed when the store is opened.
            let _ = self.layer.remove_file(&path(*id));
        }
    }
}

impl Store {
    /// Keeps a table of names. When this returns `Ok` it is durable, and questions use it. It takes
    /// the place of a table of the same binary that is not better.
    pub async fn add_names(
        &self,
        tenant: &str,
        new: NewNames,
        table: Vec<u8>,
    ) -> Result<NamesRow, Error> {
        let inner = Arc::clone(&self.inner);
        let turn = Arc::clone(&inner.keeping).lock_owned().await;
        let tenant = tenant.to_owned();
        super::in_background(move || {
            let _turn = turn;
            inner.space.check(&*inner.layer, &*inner.clock)?;
            let row = NamesRow {
                id: inner.new_id(),
                tenant,
                build_ids: new.build_ids,
                file: new.file,
                sources: new.sources,
                functions: new.functions,
                bytes: table.len() as u64,
                created_at: inner.clock.now(),
                notes: new.notes,
            };
            let all = inner.names.rows();
            let its = || all.iter().filter(|old| old.tenant == row.tenant);
            let is_replaced = |old: &&Arc<NamesRow>| {
                old.build_ids.first() == row.build_ids.first() && rank(old) >= rank(&row)
            };
            let replaced: Vec<Ulid> = its().filter(is_replaced).map(|old| old.id).collect();
            let kept = || its().filter(|old| !replaced.contains(&old.id));
            let bytes = kept().map(|old| old.bytes).sum::<u64>() + row.bytes;
            if kept().count() >= NAMES_TABLES_MAX || bytes > NAMES_BYTES_MAX {
                let what = format!(
                    "there would be {} tables of names with {bytes} bytes, at most \
                     {NAMES_TABLES_MAX} and {NAMES_BYTES_MAX} are kept: remove some",
                    kept().count() + 1
                );
                return Err(Error::Invalid { what });
            }
            inner.write_names(row.id, &table)?;
            inner.step("before the names' commit")?;
            inner.catalog.add_names(&row, &replaced)?;
            inner.names.load(&inner.catalog)?;
            inner.drop_names(&replaced);
            Ok(row)
        })
        .await
    }

    /// A tenant's tables of names, oldest first.
    pub fn names(&self, tenant: &str) -> Vec<Arc<NamesRow>> {
        let rows = self.inner.names.rows();
        rows.iter().filter(|row| row.tenant == tenant).cloned().collect()
    }

    /// The tables of a binary, the best first.
    pub fn names_of(&self, tenant: &str, build_id: &str) -> Vec<Arc<NamesRow>> {
        let index = self.inner.names.index();
        let its = index.by_id.get(tenant).and_then(|its| its.get(&*plain(build_id)));
        its.cloned().unwrap_or_default()
    }

    /// A number that changes with every table that comes or goes.
    pub fn names_version(&self) -> u64 {
        self.inner.names.version.load(Ordering::SeqCst)
    }

    /// The contents of a table. Blocks.
    pub fn read_names(&self, id: Ulid) -> Result<Bytes, Error> {
        let path = path(id);
        self.inner.layer.read(&path).map_err(Error::io(format!("read {path}")))
    }

    /// Removes a tenant's tables of a binary, by a build id or by the table's own id; how many.
    pub async fn remove_names(&self, tenant: &str, wanted: &str) -> Result<usize, Error> {
        let inner = Arc::clone(&self.inner);
        let turn = Arc::clone(&inner.keeping).lock_owned().await;
        let mut found = self.names_of(tenant, wanted);
        let all = self.names(tenant);
        found.extend(all.into_iter().filter(|row| row.id.to_string() == wanted));
        super::in_background(move || {
            let _turn = turn;
            let ids: Vec<Ulid> = found.iter().map(|row| row.id).collect();
            inner.step("before the names' removal")?;
            inner.catalog.remove_names(&ids)?;
            inner.names.load(&inner.catalog)?;
            inner.drop_names(&ids);
            Ok(ids.len())
        })
        .await
    }
}
