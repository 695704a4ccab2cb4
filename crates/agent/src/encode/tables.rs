//! Tables of symbols of files of code, sorted by address while they are asked about.

use crate::limits::SORTED_FUNCTIONS_MAX;
use crate::modules::{Loaded, ModuleId};
use rustc_hash::FxHashSet;
use symbols::{ByAddress, Function};

/// Finds functions; keeps the order of those files that it was asked about last.
#[derive(Debug, Default)]
pub(crate) struct SymbolTables {
    /// Files that were asked about once: most of them are never asked about again.
    asked: FxHashSet<ModuleId>,
    /// The one asked about last comes last.
    sorted: Vec<(ModuleId, ByAddress)>,
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
        let give_back = || loaded.release_while_reading();
        let bytes = loaded.module.bytes();
        if self.is_sorted(loaded, &give_back)
            && let Some((_, table)) = self.sorted.last()
        {
            return table.functions(bytes, addresses, &give_back);
        }
        symbols::functions(bytes, addresses, &give_back)
    }

    /// Puts the file's table last, if it is worth being sorted.
    fn is_sorted(&mut self, loaded: &Loaded, give_back: &dyn Fn()) -> bool {
        if let Some(at) = self.sorted.iter().position(|(id, _)| *id == loaded.id) {
            self.sorted[at..].rotate_left(1);
            return true;
        }
        if self.asked.insert(loaded.id) {
            return false;
        }
        let Some(table) = ByAddress::of(loaded.module.bytes(), give_back) else { return false };
        let most = SORTED_FUNCTIONS_MAX.saturating_sub(table.len());
        while self.sorted.iter().map(|(_, table)| table.len()).sum::<usize>() > most {
            self.sorted.remove(0);
        }
        self.sorted.push((loaded.id, table));
        true
    }
}
