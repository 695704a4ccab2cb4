//! A table of distinct rows: interning gives equal rows the same handle.

use crate::handle::Handle;
use crate::hasher::KeyedMap;
use std::hash::Hash;
use std::marker::PhantomData;

/// Distinct rows of type `T`, in order of first appearance, named by `H`.
#[derive(Clone, Debug)]
pub struct Table<H, T> {
    rows: Vec<T>,
    /// The first `indexed` rows.
    index: KeyedMap<T, u32>,
    indexed: usize,
    handle: PhantomData<H>,
}

impl<H, T> Default for Table<H, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), index: KeyedMap::default(), indexed: 0, handle: PhantomData }
    }
}

impl<H: Handle, T: Clone + Eq + Hash> Table<H, T> {
    /// Adds a row that is known to be new, as one read back from a table of distinct rows is:
    /// tables that are only read need no index, so it is made when something is interned.
    pub fn push_distinct(&mut self, row: T) -> H {
        self.rows.push(row);
        H::from_index(self.rows.len() - 1)
    }

    fn index_rest(&mut self) {
        for (at, row) in self.rows.iter().enumerate().skip(self.indexed) {
            self.index.entry(row.clone()).or_insert(at as u32);
        }
        self.indexed = self.rows.len();
    }

    /// The handle of `row`, added if it is new.
    pub fn intern(&mut self, row: T) -> H {
        if self.indexed < self.rows.len() {
            self.index_rest();
        }
        if let Some(&at) = self.index.get(&row) {
            return H::from_index(at as usize);
        }
        let handle = H::from_index(self.rows.len());
        self.index.insert(row.clone(), handle.index() as u32);
        self.rows.push(row);
        self.indexed += 1;
        handle
    }

    /// The row of `handle`, if it belongs to this table.
    pub fn get(&self, handle: H) -> Option<&T> {
        self.rows.get(handle.index())
    }

    /// All rows, in handle order.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Handles and rows.
    pub fn iter(&self) -> impl Iterator<Item = (H, &T)> {
        self.rows.iter().enumerate().map(|(at, row)| (H::from_index(at), row))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Distinct strings, each stored once; handle 0 is always the empty string.
#[derive(Clone, Debug)]
pub struct Strings {
    rows: Vec<std::sync::Arc<str>>,
    index: KeyedMap<std::sync::Arc<str>, u32>,
}

impl Default for Strings {
    fn default() -> Self {
        let empty: std::sync::Arc<str> = "".into();
        let index = std::iter::once((std::sync::Arc::clone(&empty), 0)).collect();
        Self { rows: vec![empty], index }
    }
}

impl Strings {
    /// The handle of `text`, added if it is new.
    pub fn intern(&mut self, text: &str) -> crate::StringId {
        if let Some(&at) = self.index.get(text) {
            return crate::StringId(at);
        }
        let handle = crate::StringId::from_index(self.rows.len());
        let shared: std::sync::Arc<str> = text.into();
        self.index.insert(std::sync::Arc::clone(&shared), handle.0);
        self.rows.push(shared);
        handle
    }

    /// The text of `handle`; empty when it is not of this table.
    pub fn get(&self, handle: crate::StringId) -> &str {
        self.rows.get(handle.index()).map_or("", |text| text)
    }

    /// All strings in handle order, the empty one first.
    pub fn rows(&self) -> &[std::sync::Arc<str>] {
        &self.rows
    }

    /// Number of strings, the empty one included.
    #[expect(clippy::len_without_is_empty, reason = "the empty string is always there")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkId;

    #[test]
    fn rows_that_were_pushed_are_found_when_something_is_interned() {
        let mut table: Table<LinkId, u64> = Table::default();
        assert_eq!((table.push_distinct(7), table.push_distinct(8)), (LinkId(0), LinkId(1)));
        assert_eq!((table.intern(8), table.intern(9)), (LinkId(1), LinkId(2)));
        assert_eq!((table.push_distinct(10), table.intern(10)), (LinkId(3), LinkId(3)));
        assert_eq!(table.rows(), [7, 8, 9, 10]);
    }
}
