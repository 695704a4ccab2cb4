//! What exists: segments, of profiles, of spans or of events, and their state, in SQLite. Inserting a
//! segment's row is what commits it.
//!
//! The schema is versioned by the table `migrations`; an older catalog is brought up to date when
//! it is opened. Every transaction is durable when its call returns (`synchronous = FULL`).

mod faults;
mod keeping;
mod migrations;
mod names;
mod payloads;
mod rollups;
mod uploads;

pub use keeping::{Deletion, Dropped, Pin};
pub use names::NamesRow;
pub use payloads::PayloadRow;
pub use rollups::{OpenHour, RollupRow};
pub use uploads::Uploads;

use rusqlite::{Connection, ErrorCode, Transaction, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use stdx::{Timestamp, Ulid};

/// The catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite failed.
    #[error("sqlite failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by a newer version.
    #[error("the catalog has schema version {found}, this program knows {known}; update it")]
    TooNew {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
}

impl Error {
    /// Whether the disk has no room for the change; nothing was changed then.
    pub fn is_disk_full(&self) -> bool {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) = self else { return false };
        error.code == ErrorCode::DiskFull
    }
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Profiles and their samples.
    #[default]
    Profiles,
    /// Spans.
    Spans,
    /// Events and readings of runtimes.
    Events,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Profiles, Self::Spans, Self::Events];

    /// Its name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Spans => "spans",
            Self::Events => "events",
        }
    }

    /// The content of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|content| content.name() == name)
    }
}

/// A segment. Its range index is the store's own encoding and opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Its name.
    pub id: Ulid,
    /// What it holds.
    pub content: Content,
    /// How often its rows have been compacted; 0 is fresh from the memtable.
    pub level: u8,
    /// Whose it is.
    pub tenant: String,
    /// First time in it, nanoseconds since the epoch.
    pub t_min_ns: i64,
    /// Last time in it, inclusive.
    pub t_max_ns: i64,
    /// Rows of `samples`, or of `spans` or `events`.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// Services, kinds and files, as the store encodes them.
    pub range_index: Vec<u8>,
}

/// An open catalog.
#[derive(Debug)]
pub struct Catalog {
    connection: Mutex<Connection>,
}

impl Catalog {
    /// Opens or creates the catalog at `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Self::prepare(connection)
    }

    /// A catalog that ends with the process, for tests.
    pub fn open_in_memory() -> Result<Self, Error> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, Error> {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -512)?;
        migrations::migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Live segments, oldest id first.
    pub fn live(&self) -> Result<Vec<SegmentRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, level, tenant, t_min_ns, t_max_ns, rows, bytes, created_at_ns, range_index,
                 content
             FROM segments WHERE state = 'live' ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(SegmentRow {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                level: row.get(1)?,
                tenant: row.get(2)?,
                t_min_ns: row.get(3)?,
                t_max_ns: row.get(4)?,
                rows: row.get::<_, i64>(5)?.max(0).cast_unsigned(),
                bytes: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
                created_at: Timestamp::from_nanos(row.get(7)?),
                range_index: row.get(8)?,
                content: content_of(&row.get::<_, String>(9)?)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Segments whose files wait for deletion.
    pub fn retired(&self) -> Result<Vec<Ulid>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT id FROM segments WHERE state = 'retired'")?;
        let rows = query.query_map([], |row| ulid_of(&row.get::<_, String>(0)?))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest log file whose profiles are all in segments; 0 when there is none.
    pub fn wal_flushed(&self) -> Result<u64, Error> {
        let flushed: i64 =
            self.lock().query_row("SELECT flushed FROM wal", [], |row| row.get(0))?;
        Ok(flushed.max(0).cast_unsigned())
    }

    /// Commits a flush: the segments are there and logs up to `wal_flushed` are not needed any
    /// more, or neither. After an error nobody knows which; the same call again settles it.
    pub fn commit_flush(&self, segments: &[SegmentRow], wal_flushed: u64) -> Result<(), Error> {
        self.commit_flush_of(segments, wal_flushed, &Uploads::default(), Timestamp::MIN)
    }

    /// As [`Self::commit_flush`], with the keys of the profiles in it; keys of flushes whose newest
    /// profile came before `oldest` are forgotten.
    pub fn commit_flush_of(
        &self,
        segments: &[SegmentRow],
        wal_flushed: u64,
        uploads: &Uploads,
        oldest: Timestamp,
    ) -> Result<(), Error> {
        self.commit_flush_with(segments, wal_flushed, uploads, oldest, &[])
    }

    /// Puts `outputs` in the place of `inputs`, which become retired. After an error nobody knows
    /// whether it happened; the same call again settles it.
    pub fn swap(&self, inputs: &[Ulid], outputs: &[SegmentRow]) -> Result<(), Error> {
        self.change(|changes| {
            insert(changes, outputs)?;
            retire(changes, inputs).map(drop)
        })
    }

    /// Retires segments without a replacement.
    pub fn retire(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| retire(changes, ids).map(drop))
    }

    /// Forgets segments whose files are gone.
    pub fn forget(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                changes.execute(
                    "DELETE FROM segments WHERE id = ?1 AND state = 'retired'",
                    [id.to_string()],
                )?;
            }
            Ok(())
        })
    }

    fn change(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), Error> {
        let mut connection = self.lock();
        let changes = connection.transaction()?;
        work(&changes)?;
        Ok(changes.commit()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic interrupted was rolled back when it was dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert(changes: &Transaction<'_>, segments: &[SegmentRow]) -> Result<(), rusqlite::Error> {
    for row in segments {
        if holds(changes, row)? {
            continue;
        }
        changes.execute(
            "INSERT INTO segments (id, level, tenant, t_min_ns, t_max_ns, rows, bytes, state,
                 created_at_ns, range_index, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'live', ?8, ?9, ?10)",
            params![
                row.id.to_string(),
                row.level,
                row.tenant,
                row.t_min_ns,
                row.t_max_ns,
                row.rows.cast_signed(),
                row.bytes.cast_signed(),
                row.created_at.nanos(),
                row.range_index,
                row.content.name(),
            ],
        )?;
    }
    Ok(())
}

/// Whether the very same segment is live already: its commit is being tried again.
fn holds(changes: &Transaction<'_>, row: &SegmentRow) -> Result<bool, rusqlite::Error> {
    changes.query_row(
        "SELECT count(*) > 0 FROM segments WHERE id = ?1 AND state = 'live' AND tenant = ?2
             AND rows = ?3 AND bytes = ?4 AND range_index = ?5 AND content = ?6",
        params![
            row.id.to_string(),
            row.tenant,
            row.rows.cast_signed(),
            row.bytes.cast_signed(),
            row.range_index,
            row.content.name()
        ],
        |row| row.get(0),
    )
}

/// Returns how many were live until now.
fn retire(changes: &Transaction<'_>, ids: &[Ulid]) -> Result<usize, rusqlite::Error> {
    let query = "UPDATE segments SET state = 'retired' WHERE id = ?1 AND state = 'live'";
    let retired = ids.iter().map(|id| changes.execute(query, [id.to_string()]));
    retired.sum()
}

fn content_of(text: &str) -> Result<Content, rusqlite::Error> {
    Content::from_name(text).ok_or_else(|| {
        let what = format!("a segment holds {text:?}, which is not known");
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(9, kind, what.into())
    })
}

fn ulid_of(text: &str) -> Result<Ulid, rusqlite::Error> {
    Ulid::from_string(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Text,
            error.to_string().into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128) -> SegmentRow {
        SegmentRow {
            id: Ulid::from(id),
            content: Content::Profiles,
            level: 0,
            tenant: "t".to_owned(),
            t_min_ns: 1,
            t_max_ns: 2,
            rows: 3,
            bytes: 4,
            created_at: Timestamp::from_nanos(5),
            range_index: vec![6],
        }
    }

    #[test]
    fn a_flush_and_a_swap_are_there_after_reopening() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).expect("opens");
        catalog.commit_flush(&[row(1), row(2)], 7).expect("commits");
        let spans = SegmentRow { content: Content::Spans, ..row(3) };
        catalog.swap(&[row(1).id], std::slice::from_ref(&spans)).expect("swaps");
        drop(catalog);

        let catalog = Catalog::open(&path).expect("opens again");
        assert_eq!(catalog.live().expect("lists"), [row(2), spans]);
        assert_eq!(catalog.retired().expect("lists"), [row(1).id]);
        assert_eq!(catalog.wal_flushed().expect("reads"), 7);
        catalog.forget(&[row(1).id, row(2).id]).expect("forgets");
        assert_eq!(catalog.retired().expect("lists"), []);
        assert_eq!(catalog.live().expect("lists").len(), 2, "a live segment is not forgotten");
    }

    #[test]
    fn half_a_swap_is_no_swap() {
        let catalog = Catalog::open_in_memory().expect("opens");
        catalog.commit_flush(&[row(1)], 0).expect("commits");
        let other = SegmentRow { rows: 9, ..row(2) };
        catalog.swap(&[row(1).id], &[row(2), other]).expect_err("one id for two segments");
        assert_eq!(catalog.live().expect("lists"), [row(1)]);
    }

    #[test]
    fn the_same_commit_again_changes_nothing() {
        let catalog = Catalog::open_in_memory().expect("opens");
        for _ in 0..2 {
            catalog.commit_flush(&[row(1), row(2)], 3).expect("commits");
            assert_eq!(catalog.live().expect("lists"), [row(1), row(2)]);
        }
        for _ in 0..2 {
            catalog.swap(&[row(1).id, row(2).id], &[row(3)]).expect("swaps");
            assert_eq!(catalog.live().expect("lists"), [row(3)]);
        }
        assert_eq!(catalog.wal_flushed().expect("reads"), 3);
    }

    #[test]
    fn a_full_disk_is_said_so_and_is_over_when_there_is_room() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let catalog = Catalog::open(&dir.path().join("catalog.sqlite")).expect("opens");
        catalog.commit_flush(&[row(1)], 1).expect("commits");
        catalog.limit_pages(1).expect("sets");
        let large = SegmentRow { range_index: vec![7; 90_000], ..row(2) };
        let error = catalog.commit_flush(std::slice::from_ref(&large), 2).expect_err("is full");
        assert!(error.is_disk_full(), "{error:?}");
        assert_eq!(catalog.live().expect("still answers"), [row(1)]);
        catalog.limit_pages(1 << 20).expect("sets");
        catalog.commit_flush(std::slice::from_ref(&large), 2).expect("commits");
        assert_eq!(catalog.live().expect("lists"), [row(1), large]);
    }

    #[test]
    fn a_file_that_another_program_holds_is_an_error_after_a_while_and_nothing_is_half_done() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).expect("opens");
        catalog.commit_flush(&[row(1)], 1).expect("commits");
        let other = Catalog::open(&path).expect("opens");
        let locked = other.while_locked(|| {
            let error = catalog.swap(&[row(1).id], &[row(2)]).expect_err("is held");
            assert!(!error.is_disk_full(), "{error:?}");
            assert_eq!(catalog.live().expect("still answers"), [row(1)]);
        });
        locked.expect("locks");
        catalog.swap(&[row(1).id], &[row(2)]).expect("is free again");
        assert_eq!(catalog.live().expect("lists"), [row(2)]);
    }

    /// A file of which the first `cut` bytes were written anew.
    fn cut(before: &[u8], after: &[u8], cut: usize) -> Vec<u8> {
        let mut found = after[..cut.min(after.len())].to_vec();
        found.extend_from_slice(before.get(found.len()..).unwrap_or_default());
        found
    }

    /// The segments that a catalog of these files knows; the flushed log must fit them.
    fn recovered(database: &[u8], log: &[u8]) -> usize {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("catalog.sqlite");
        std::fs::write(&path, database).expect("writes");
        std::fs::write(dir.path().join("catalog.sqlite-wal"), log).expect("writes");
        let catalog = Catalog::open(&path).expect("opens after the cut");
        let live = catalog.live().expect("lists").len();
        assert_eq!(catalog.wal_flushed().expect("reads"), live as u64, "one transaction");
        live
    }

    #[test]
    fn a_cut_at_any_byte_of_a_commit_or_a_checkpoint_is_before_or_after_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).expect("opens");
        let log_path = dir.path().join("catalog.sqlite-wal");
        let files = || [&path, &log_path].map(|path| std::fs::read(path).unwrap_or_default());
        // The log is moved into the database every few commits.
        let every_pages = catalog.lock().pragma_update(None, "wal_autocheckpoint", 24);
        every_pages.expect("sets");
        let mut rng = stdx::Rng::seeded(1);
        let (mut moves, mut restarts, mut undone) = (0, 0, 0);
        for done in 0..40_usize {
            let before = files();
            let large = SegmentRow { range_index: vec![7; 9_000], ..row(done as u128 + 1) };
            catalog.commit_flush(&[large], done as u64 + 1).expect("commits");
            let after = files();
            let was_moved = before[0] != after[0];
            moves += usize::from(was_moved);
            restarts += usize::from(!after[1].starts_with(&before[1]));
            assert_eq!(recovered(&before[0], &after[1]), done + 1, "synced is committed");
            let same = before[1].iter().zip(&after[1]).take_while(|(a, b)| a == b).count();
            for _ in 0..3 {
                let at = same + rng.below((after[1].len() - same) as u64) as usize;
                let live = recovered(&before[0], &cut(&before[1], &after[1], at));
                assert!(live == done || live == done + 1, "{live} of {done}");
                undone += usize::from(live == done);
            }
            if was_moved {
                let at = rng.below(after[0].len() as u64) as usize;
                let database = cut(&before[0], &after[0], at);
                assert_eq!(recovered(&database, &after[1]), done + 1, "in a checkpoint");
            }
        }
        let counts = (moves, restarts, undone);
        assert!(moves >= 2 && restarts >= 2 && undone > 20, "{counts:?}");
    }

    #[test]
    fn a_catalog_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("catalog.sqlite");
        drop(Catalog::open(&path).expect("opens"));
        let connection = Connection::open(&path).expect("opens");
        connection.execute("INSERT INTO migrations VALUES (99)", []).expect("inserts");
        drop(connection);
        assert!(matches!(Catalog::open(&path), Err(Error::TooNew { found: 99, .. })));
    }
}
