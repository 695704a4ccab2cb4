//! Ways to make SQLite fail as it does on a full disk or beside another program, for tests of those
//! who use the catalog.

use crate::{Catalog, Error};
use rusqlite::TransactionBehavior;

impl Catalog {
    /// Lets the file grow to so many pages, as a full disk would; less than it has is what it has.
    /// For tests.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        let connection = self.lock();
        Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
    }

    /// Does something while no other connection can write, as when a tool of SQLite's has the file
    /// open. For tests.
    pub fn while_locked<T>(&self, work: impl FnOnce() -> T) -> Result<T, Error> {
        let mut connection = self.lock();
        let held = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work();
        held.rollback()?;
        Ok(done)
    }
}
