//! Hourly rollups and the hours that are open: those that something came to since they were rolled up.

use crate::{Catalog, Error, SegmentRow, Uploads, insert, ulid_of, uploads};
use rusqlite::{Transaction, params};
use stdx::{Timestamp, Ulid};

/// A rollup. Its contents are the store's own encoding and opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRow {
    /// Its name.
    pub id: Ulid,
    /// Whose.
    pub tenant: String,
    /// Start of the hour, in epoch milliseconds.
    pub hour_ms: i64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether samples of the hour were dropped since: it cannot be made anew, only added to.
    pub is_sealed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Services, kinds and files, as the store encodes them.
    pub contents: Vec<u8>,
}

/// Something came to an hour in a segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenHour {
    /// Whose.
    pub tenant: String,
    /// Start of the hour, in epoch milliseconds.
    pub hour_ms: i64,
    /// The segment.
    pub segment: Ulid,
}

fn open(changes: &Transaction<'_>, hours: &[OpenHour]) -> Result<(), rusqlite::Error> {
    let query = "INSERT OR IGNORE INTO open_hours VALUES (?1, ?2, ?3)";
    let mut query = changes.prepare(query)?;
    for hour in hours {
        query.execute(params![hour.tenant, hour.hour_ms, hour.segment.to_string()])?;
    }
    Ok(())
}

impl Catalog {
    /// Live rollups, by tenant and hour.
    pub fn rollups(&self) -> Result<Vec<RollupRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, tenant, hour_ms, bytes, is_sealed, created_at_ns, contents FROM rollups
             WHERE state = 'live' ORDER BY tenant, hour_ms",
        )?;
        let rows = query.query_map([], |row| {
            Ok(RollupRow {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                tenant: row.get(1)?,
                hour_ms: row.get(2)?,
                bytes: row.get::<_, i64>(3)?.max(0).cast_unsigned(),
                is_sealed: row.get(4)?,
                created_at: Timestamp::from_nanos(row.get(5)?),
                contents: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rollups whose files wait for deletion.
    pub fn retired_rollups(&self) -> Result<Vec<Ulid>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT id FROM rollups WHERE state = 'retired'")?;
        let rows = query.query_map([], |row| ulid_of(&row.get::<_, String>(0)?))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Hours that something came to since they were rolled up.
    pub fn open_hours(&self) -> Result<Vec<OpenHour>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT tenant, hour_ms, segment FROM open_hours")?;
        let rows = query.query_map([], |row| {
            let segment = ulid_of(&row.get::<_, String>(2)?)?;
            Ok(OpenHour { tenant: row.get(0)?, hour_ms: row.get(1)?, segment })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Opens hours; the same call again changes nothing.
    pub fn open_more_hours(&self, hours: &[OpenHour]) -> Result<(), Error> {
        self.change(|changes| open(changes, hours))
    }

    /// Whether the hours of all segments were opened once; a store that was made before there were
    /// rollups has not done that.
    pub fn knows_hours(&self) -> Result<bool, Error> {
        let query = "SELECT knows_hours FROM rollup_state";
        Ok(self.lock().query_row(query, [], |row| row.get(0))?)
    }

    /// Opens hours and says whether all segments are among them.
    pub fn set_knows_hours(&self, hours: &[OpenHour], knows: bool) -> Result<(), Error> {
        self.change(|changes| {
            open(changes, hours)?;
            changes.execute("UPDATE rollup_state SET knows_hours = ?1", [knows])?;
            Ok(())
        })
    }

    /// As [`Catalog::commit_flush_of`], and opens hours.
    pub fn commit_flush_with(
        &self,
        segments: &[SegmentRow],
        wal_flushed: u64,
        uploads: &Uploads,
        oldest: Timestamp,
        hours: &[OpenHour],
    ) -> Result<(), Error> {
        self.change(|changes| {
            uploads::keep(changes, wal_flushed, uploads, oldest)?;
            insert(changes, segments)?;
            open(changes, hours)?;
            let query = "UPDATE wal SET flushed = max(flushed, ?1)";
            changes.execute(query, [wal_flushed.cast_signed()])?;
            Ok(())
        })
    }

    /// Puts a rollup, or nothing, in the place of the hour's, and closes the hour for these
    /// segments. After an error nobody knows whether it happened; the same call again settles it.
    pub fn commit_rollup(
        &self,
        (tenant, hour_ms): (&str, i64),
        rollup: Option<&RollupRow>,
        closed: &[Ulid],
    ) -> Result<(), Error> {
        self.change(|changes| {
            let id = rollup.map_or_else(String::new, |row| row.id.to_string());
            changes.execute(
                "UPDATE rollups SET state = 'retired'
                 WHERE tenant = ?1 AND hour_ms = ?2 AND state = 'live' AND id <> ?3",
                params![tenant, hour_ms, id],
            )?;
            if let Some(row) = rollup {
                put(changes, row)?;
            }
            let query =
                "DELETE FROM open_hours WHERE tenant = ?1 AND hour_ms = ?2 AND segment = ?3";
            for segment in closed {
                changes.execute(query, params![tenant, hour_ms, segment.to_string()])?;
            }
            Ok(())
        })
    }

    /// Adds what a restore brings; rollups of hours that have one are left out.
    pub fn commit_restore(
        &self,
        segments: &[SegmentRow],
        rollups: &[RollupRow],
        hours: &[OpenHour],
    ) -> Result<(), Error> {
        self.change(|changes| {
            insert(changes, segments)?;
            rollups.iter().try_for_each(|row| put(changes, row))?;
            open(changes, hours)
        })
    }

    /// Says that samples of these hours are being dropped.
    pub fn seal_rollups(&self, tenant: &str, first_ms: i64, last_ms: i64) -> Result<(), Error> {
        self.change(|changes| {
            changes.execute(
                "UPDATE rollups SET is_sealed = 1
                 WHERE tenant = ?1 AND hour_ms BETWEEN ?2 AND ?3 AND state = 'live'",
                params![tenant, first_ms, last_ms],
            )?;
            Ok(())
        })
    }

    /// Retires rollups that are too old.
    pub fn retire_rollups(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                let query = "UPDATE rollups SET state = 'retired' WHERE id = ?1";
                changes.execute(query, [id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Forgets rollups whose files are gone.
    pub fn forget_rollups(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                let query = "DELETE FROM rollups WHERE id = ?1 AND state = 'retired'";
                changes.execute(query, [id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Closes hours that are too old to be rolled up.
    pub fn close_hours_before(&self, hour_ms: i64) -> Result<(), Error> {
        self.change(|changes| {
            changes.execute("DELETE FROM open_hours WHERE hour_ms < ?1", [hour_ms])?;
            Ok(())
        })
    }
}

fn put(changes: &Transaction<'_>, row: &RollupRow) -> Result<(), rusqlite::Error> {
    changes.execute(
        "INSERT OR IGNORE INTO rollups
             (id, tenant, hour_ms, bytes, is_sealed, created_at_ns, contents, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'live')",
        params![
            row.id.to_string(),
            row.tenant,
            row.hour_ms,
            row.bytes.cast_signed(),
            row.is_sealed,
            row.created_at.nanos(),
            row.contents,
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128, hour_ms: i64) -> RollupRow {
        RollupRow {
            id: Ulid::from(id),
            tenant: "t".to_owned(),
            hour_ms,
            bytes: 4,
            is_sealed: false,
            created_at: Timestamp::from_nanos(5),
            contents: vec![6],
        }
    }

    #[test]
    fn a_rollup_takes_the_place_of_its_hours_and_closes_it_once() {
        let catalog = Catalog::open_in_memory().expect("opens");
        let hour = |segment| OpenHour { tenant: "t".to_owned(), hour_ms: 7, segment };
        let (first, second) = (Ulid::from(1), Ulid::from(2));
        for _ in 0..2 {
            catalog.open_more_hours(&[hour(first), hour(second)]).expect("opens");
        }
        for _ in 0..2 {
            catalog.commit_rollup(("t", 7), Some(&row(3, 7)), &[first]).expect("commits");
            assert_eq!(catalog.rollups().expect("lists"), [row(3, 7)]);
            assert_eq!(catalog.open_hours().expect("lists"), [hour(second)]);
        }
        catalog.commit_rollup(("t", 8), Some(&row(9, 8)), &[]).expect("commits");
        catalog.seal_rollups("t", 7, 7).expect("seals");
        let sealed: Vec<bool> =
            catalog.rollups().expect("lists").iter().map(|row| row.is_sealed).collect();
        assert_eq!(sealed, [true, false]);
        catalog.commit_rollup(("t", 7), Some(&row(4, 7)), &[second]).expect("commits");
        assert_eq!(catalog.retired_rollups().expect("lists"), [Ulid::from(3)]);
        catalog.commit_rollup(("t", 7), None, &[]).expect("commits");
        catalog.forget_rollups(&[Ulid::from(3), Ulid::from(9)]).expect("forgets");
        assert_eq!(catalog.rollups().expect("lists"), [row(9, 8)], "a live one is not forgotten");
        assert!(catalog.open_hours().expect("lists").is_empty());
    }

    #[test]
    fn a_restore_leaves_hours_alone_that_have_a_rollup() {
        let catalog = Catalog::open_in_memory().expect("opens");
        catalog.commit_rollup(("t", 7), Some(&row(3, 7)), &[]).expect("commits");
        catalog.commit_restore(&[], &[row(4, 7), row(5, 8)], &[]).expect("commits");
        assert_eq!(catalog.rollups().expect("lists"), [row(3, 7), row(5, 8)]);
    }
}
