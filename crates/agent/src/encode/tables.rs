//! Tables of symbols of files of code, sorted by address where they are asked about all the time.

use crate::limits::{MODULES_MAX, SORTED_AFTER_ASKED, SORTED_FUNCTIONS_MAX, SORTED_UNASKED_MAX};
use crate::modules::{Loaded, ModuleId};
use rustc_hash::FxHashMap;
use symbols::{ByAddress, Function};

/// Finds functions. Sorting a table takes ten times as long as going through it once, so only files
/// that were asked about several times are sorted, and they stay until nobody asks any more.
#[derive(Debug, Default)]
pub(crate) struct SymbolTables {
    /// How often each file was asked about.
    asked: FxHashMap<ModuleId, u32>,
    sorted: FxHashMap<ModuleId, Sorted>,
    /// Number of questions so far.
    now: u64,
}

#[derive(Debug)]
struct Sorted {
    /// None where a file has too many functions.
    table: Option<ByAddress>,
    /// The last question.
    asked_at: u64,
}

impl SymbolTables {
    /// The functions at `addresses`, as the file states them, in their order.
    pub(crate) fn functions(
        &mut self,
        loaded: &Loaded,
        addresses: &[u64],
    ) -> Vec<Option<Function>> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let give_back = || loaded.release_pages();
        let bytes = loaded.module.bytes();
        self.now += 1;
        self.sort_if_worth(loaded, &give_back);
        let sorted = self.sorted.get_mut(&loaded.id);
        match sorted.and_then(|sorted| {
            sorted.asked_at = self.now;
            sorted.table.as_ref()
        }) {
            Some(table) => table.functions(bytes, addresses, &give_back),
            None => symbols::functions(bytes, addresses, &give_back),
        }
    }

    fn sort_if_worth(&mut self, loaded: &Loaded, give_back: &dyn Fn()) {
        if self.asked.len() > MODULES_MAX {
            self.asked.clear();
        }
        let asked = self.asked.entry(loaded.id).or_default();
        *asked = asked.saturating_add(1);
        if *asked <= SORTED_AFTER_ASKED || self.sorted.contains_key(&loaded.id) {
            return;
        }
        let now = self.now;
        self.sorted.retain(|_, it| now - it.asked_at <= SORTED_UNASKED_MAX);
        let have: usize =
            self.sorted.values().filter_map(|it| Some(it.table.as_ref()?.len())).sum();
        let room = SORTED_FUNCTIONS_MAX.saturating_sub(have);
        // A file for which there is no room is asked about as often again before it is looked at.
        *asked = 0;
        if ByAddress::most(loaded.module.bytes()) <= room {
            let table = ByAddress::of(loaded.module.bytes(), give_back);
            self.sorted.insert(loaded.id, Sorted { table, asked_at: now });
        }
    }
}
