//! Names of addresses for the engine: the store's tables of names, read when they are first asked
//! and kept in memory as long as there is room.

use crate::limits::NAME_TABLES_BYTES_MAX;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stdx::Ulid;
use store::Store;
use symbols::names::{NameTable, Place};
use views::{LateFunction, Naming, Unnamed};

/// The store's tables.
#[derive(Debug)]
pub(super) struct StoreNames {
    store: Arc<Store>,
    cache: Mutex<Cache>,
}

/// Tables that were asked last. One that cannot be read is kept as an empty one.
#[derive(Debug, Default)]
struct Cache {
    /// The latest last.
    tables: Vec<(Ulid, Arc<NameTable>)>,
    bytes: usize,
}

impl StoreNames {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, cache: Mutex::default() }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Changed by whole steps only; a panic elsewhere leaves it usable.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self, id: Ulid) -> Arc<NameTable> {
        if let Some(known) = self.cache().find(id) {
            return known;
        }
        let table = Arc::new(self.read(id));
        self.cache().add(id, &table);
        table
    }

    fn read(&self, id: Ulid) -> NameTable {
        let read = self.store.read_names(id).map_err(|error| error.to_string());
        let table =
            read.and_then(|bytes| NameTable::decode(&bytes).map_err(|error| error.to_string()));
        table.unwrap_or_else(|error| {
            tracing::error!(%id, error, "a table of names cannot be read; its names are missing");
            NameTable::default()
        })
    }
}

impl Cache {
    fn find(&mut self, id: Ulid) -> Option<Arc<NameTable>> {
        let at = self.tables.iter().position(|(known, _)| *known == id)?;
        let entry = self.tables.remove(at);
        let table = Arc::clone(&entry.1);
        self.tables.push(entry);
        Some(table)
    }

    fn add(&mut self, id: Ulid, table: &Arc<NameTable>) {
        self.bytes += table.bytes();
        self.tables.push((id, Arc::clone(table)));
        while self.bytes > NAME_TABLES_BYTES_MAX && self.tables.len() > 1 {
            let (_, oldest) = self.tables.remove(0);
            self.bytes -= oldest.bytes();
        }
    }
}

impl Naming for StoreNames {
    fn functions(&self, tenant: &str, unnamed: &Unnamed<'_>) -> Vec<LateFunction> {
        let Unnamed { start, offset, address, is_stated, .. } = *unnamed;
        let place = Place { start, offset, address, is_stated };
        for row in self.store.names_of(tenant, unnamed.build_id) {
            let found = self.table(row.id).find(place);
            if !found.is_empty() {
                let late =
                    |it: symbols::names::Named| LateFunction { name: it.name, file: it.file };
                return found.into_iter().map(late).collect();
            }
        }
        Vec::new()
    }

    fn version(&self) -> u64 {
        self.store.names_version()
    }
}
