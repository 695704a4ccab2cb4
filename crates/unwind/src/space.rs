//! Which module lies where in one process.

use crate::module::{Bytes, Module};
use framehop::Unwinder as _;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub(crate) type Inner = framehop::x86_64::UnwinderX86_64<Bytes>;

/// The modules of one process, added as samples need them.
#[derive(Default)]
pub struct Space {
    pub(crate) inner: Inner,
    modules: BTreeMap<u64, (u64, bool)>,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("modules", &self.modules).finish_non_exhaustive()
    }
}

impl Space {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `module` at `range`, which maps the file from `offset` on. Returns whether it could:
    /// not when the file has no such part.
    pub fn add(&mut self, range: Range<u64>, offset: u64, module: &Arc<Module>) -> bool {
        let Some(base) =
            module.address_of(offset).and_then(|address| range.start.checked_sub(address))
        else {
            return false;
        };
        self.remove(range.start);
        let tables = module.has_tables();
        self.modules.insert(range.start, (range.end, tables));
        self.inner.add_module(framehop::Module::new(String::new(), range, base, module.sections()));
        true
    }

    /// Takes the module that starts at `start` out.
    pub fn remove(&mut self, start: u64) {
        if self.modules.remove(&start).is_some() {
            self.inner.remove_module(start);
        }
    }

    /// Whether a module with unwind tables covers `address`.
    pub(crate) fn has_tables(&self, address: u64) -> bool {
        self.modules
            .range(..=address)
            .next_back()
            .is_some_and(|(_, (end, tables))| address < *end && *tables)
    }
}
