//! A table of rows: interning gives equal rows the same handle.

use crate::StringId;
use crate::handle::Handle;
use crate::index::{INDEX_BYTES, Index, hash_of};
use std::hash::Hash;
use std::marker::PhantomData;

/// Rows of type `T`, in order of first appearance, named by `H`; distinct unless equal ones were
/// pushed.
#[derive(Clone, Debug)]
pub struct Table<H, T> {
    rows: Vec<T>,
    /// The first `indexed` rows.
    index: Index,
    indexed: usize,
    handle: PhantomData<H>,
}

impl<H, T> Default for Table<H, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), index: Index::default(), indexed: 0, handle: PhantomData }
    }
}

impl<H: Handle, T: Eq + Hash> Table<H, T> {
    /// Adds a row without looking whether it is there: rows read back from a table are distinct, and
    /// those of a payload are made so by whoever takes them over. Tables that are only read need no
    /// index, so it is made when something is interned.
    pub fn push(&mut self, row: T) -> H {
        self.rows.push(row);
        H::from_index(self.rows.len() - 1)
    }

    /// Sets memory aside for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    fn index_rest(&mut self) {
        let rows = &self.rows;
        for (at, row) in rows.iter().enumerate().skip(self.indexed) {
            self.index.find_or_add(hash_of(row), at, |have| rows[have] == *row);
        }
        self.indexed = rows.len();
    }

    /// The handle of `row`, added if it is new.
    pub fn intern(&mut self, row: T) -> H {
        let hash = hash_of(&row);
        self.intern_made(hash, row, |have, row| have == row, |row| row)
    }

    /// The handle of what `row` makes, added if it is new.
    #[inline]
    fn intern_made<R>(
        &mut self,
        hash: u32,
        row: R,
        is_it: impl Fn(&T, &R) -> bool,
        make: impl FnOnce(R) -> T,
    ) -> H {
        if self.indexed < self.rows.len() {
            self.index_rest();
        }
        let rows = &self.rows;
        let at = self.index.find_or_add(hash, rows.len(), |have| is_it(&rows[have], &row));
        if at as usize == rows.len() {
            self.rows.push(make(row));
            self.indexed += 1;
        }
        H::from_index(at as usize)
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

    /// Bytes in memory, about, without what rows own beside themselves.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<T>() + self.indexed * INDEX_BYTES
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

impl<H: Handle, T: Clone + Eq + Hash> Table<H, Vec<T>> {
    /// [`Table::intern`] of a row that is copied where it is new.
    pub fn intern_slice(&mut self, row: &[T]) -> H {
        self.intern_made(hash_of(row), row, |have, row| have == row, <[T]>::to_vec)
    }
}

/// Distinct strings, each stored once; handle 0 is always the empty string.
#[derive(Clone, Debug)]
pub struct Strings {
    /// All of them one after the other.
    text: String,
    /// Where in `text` each ends.
    ends: Vec<usize>,
    hashes: Vec<u32>,
    index: Index,
}

impl Default for Strings {
    fn default() -> Self {
        let mut index = Index::default();
        let hash = hash_of("");
        index.find_or_add(hash, 0, |_| true);
        Self { text: String::new(), ends: vec![0], hashes: vec![hash], index }
    }
}

impl Strings {
    /// Sets memory aside for so many strings more.
    pub fn reserve(&mut self, strings: usize) {
        self.ends.reserve(strings);
        self.hashes.reserve(strings);
        self.index.reserve(strings);
    }

    /// The handle of `text`, added if it is new.
    pub fn intern(&mut self, text: &str) -> StringId {
        if text.is_empty() {
            return StringId::default();
        }
        self.intern_hashed(text, hash_of(text))
    }

    /// The handles of all strings of `others`, by their handles there; added where they are new.
    pub fn intern_all(&mut self, others: &Self) -> Vec<StringId> {
        let hashes = others.hashes.iter();
        others.iter().zip(hashes).map(|(text, &hash)| self.intern_hashed(text, hash)).collect()
    }

    fn intern_hashed(&mut self, text: &str, hash: u32) -> StringId {
        let (all, ends) = (&self.text, &self.ends);
        let at = self.index.find_or_add(hash, ends.len(), |have| slice(all, ends, have) == text);
        if at as usize == ends.len() {
            self.text.push_str(text);
            self.ends.push(self.text.len());
            self.hashes.push(hash);
        }
        StringId(at)
    }

    /// The handle of `text`, if it is there.
    pub fn find(&self, text: &str) -> Option<StringId> {
        let is_it = |have| slice(&self.text, &self.ends, have) == text;
        self.index.find(hash_of(text), is_it).map(StringId)
    }

    /// The text of `handle`; empty when it is not of this table.
    #[inline]
    pub fn get(&self, handle: StringId) -> &str {
        slice(&self.text, &self.ends, handle.index())
    }

    /// All strings in handle order, the empty one first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|at| slice(&self.text, &self.ends, at))
    }

    /// Number of strings, the empty one included.
    #[expect(clippy::len_without_is_empty, reason = "the empty string is always there")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all strings.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }
}

/// The string at a place; empty where there is none.
#[inline]
fn slice<'a>(text: &'a str, ends: &[usize], at: usize) -> &'a str {
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    ends.get(at).and_then(|&end| text.get(start..end)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkId;

    #[test]
    fn rows_that_were_pushed_are_found_when_something_is_interned() {
        let mut table: Table<LinkId, u64> = Table::default();
        assert_eq!((table.push(7), table.push(8)), (LinkId(0), LinkId(1)));
        assert_eq!((table.intern(8), table.intern(9)), (LinkId(1), LinkId(2)));
        assert_eq!((table.push(10), table.intern(10)), (LinkId(3), LinkId(3)));
        assert_eq!(table.rows(), [7, 8, 9, 10]);
    }
}
