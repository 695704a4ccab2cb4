//! Keys of the profiles that came lately, by which a retried upload is recognised after a restart.

use crate::{Catalog, Error};
use rusqlite::{Transaction, params};
use stdx::{Timestamp, Ulid};

/// Keys of the profiles of one flush, as the store encodes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// When the newest of them came.
    pub newest: Timestamp,
    /// The keys; opaque here.
    pub keys: Vec<u8>,
}

impl Catalog {
    /// Keys of earlier flushes, oldest first.
    pub fn uploads(&self) -> Result<Vec<Uploads>, Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare("SELECT newest_ns, keys FROM uploads ORDER BY newest_ns, wal")?;
        let rows = query.query_map([], |row| {
            Ok(Uploads { newest: Timestamp::from_nanos(row.get(0)?), keys: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Number under which keys are kept that came in no flush but with this segment.
pub(crate) fn number_of(segment: Ulid) -> u64 {
    // Logs are counted from one: none has this bit.
    u128::from(segment) as u64 | 1 << 63
}

/// Keeps the keys of the flush of log `wal` and forgets those that came before `oldest`.
pub(crate) fn keep(
    changes: &Transaction<'_>,
    wal: u64,
    uploads: &Uploads,
    oldest: Timestamp,
) -> Result<(), rusqlite::Error> {
    changes.execute("DELETE FROM uploads WHERE newest_ns < ?1", [oldest.nanos()])?;
    if uploads.keys.is_empty() {
        return Ok(());
    }
    changes.execute(
        "INSERT OR REPLACE INTO uploads VALUES (?1, ?2, ?3)",
        params![wal.cast_signed(), uploads.newest.nanos(), uploads.keys],
    )?;
    Ok(())
}
