//! The schema's history: each entry brings a catalog from one version to the next.

use rusqlite::Connection;

use crate::Error;

/// Schema changes in order; the position plus one is the version. An entry that was released never
/// changes: stores in the field were made with it.
pub(crate) const MIGRATIONS: [&str; 7] = [
    "
    CREATE TABLE segments (
        id TEXT PRIMARY KEY,
        level INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        t_min_ns INTEGER NOT NULL,
        t_max_ns INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('live', 'retired')),
        created_at_ns INTEGER NOT NULL,
        range_index BLOB NOT NULL
    ) STRICT;
    CREATE INDEX segments_by_state ON segments (state, tenant, t_max_ns);
    CREATE TABLE wal (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), flushed INTEGER NOT NULL) STRICT;
    INSERT INTO wal VALUES (0, 0);
",
    "
    CREATE TABLE uploads (
        wal INTEGER PRIMARY KEY,
        newest_ns INTEGER NOT NULL,
        keys BLOB NOT NULL
    ) STRICT;
    CREATE TABLE deletions (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        selector TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        created_at_ns INTEGER NOT NULL,
        done_at_ns INTEGER,
        profiles INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE pins (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        service TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        created_at_ns INTEGER NOT NULL,
        UNIQUE (tenant, name)
    ) STRICT;
    CREATE TABLE drops (
        id INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        reason TEXT NOT NULL,
        profiles INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        t_min_ns INTEGER NOT NULL,
        t_max_ns INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE rollups (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        hour_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        is_sealed INTEGER NOT NULL,
        created_at_ns INTEGER NOT NULL,
        contents BLOB NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('live', 'retired'))
    ) STRICT;
    CREATE UNIQUE INDEX rollups_by_hour ON rollups (tenant, hour_ms) WHERE state = 'live';
    CREATE TABLE open_hours (
        tenant TEXT NOT NULL,
        hour_ms INTEGER NOT NULL,
        segment TEXT NOT NULL,
        PRIMARY KEY (tenant, hour_ms, segment)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rollup_state (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
        knows_hours INTEGER NOT NULL
    ) STRICT;
    INSERT INTO rollup_state VALUES (0, 0);
",
    crate::names::SCHEMA,
    crate::payloads::SCHEMA,
    "ALTER TABLE segments ADD COLUMN content TEXT NOT NULL DEFAULT 'profiles'",
    // `content` may be 'events': a program that does not know them is not to open the store.
    "",
];

/// Brings the catalog up to date, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let changes = connection.transaction()?;
    changes.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) STRICT",
    )?;
    let query = "SELECT coalesce(max(version), 0) FROM migrations";
    let found: i64 = changes.query_row(query, [], |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::TooNew { found, known });
    }
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        changes.execute_batch(migration)?;
        changes.execute("INSERT INTO migrations VALUES (?1)", [at as i64 + 1])?;
    }
    Ok(changes.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    #[test]
    fn a_catalog_of_any_earlier_version_is_brought_up_to_date_with_what_it_holds() {
        for version in 1..=MIGRATIONS.len() {
            let dir = tempfile::tempdir().expect("temporary directory");
            let path = dir.path().join("catalog.sqlite");
            let old = Connection::open(&path).expect("opens");
            let table = "CREATE TABLE migrations (version INTEGER PRIMARY KEY) STRICT";
            old.execute_batch(table).expect("creates");
            for (at, migration) in MIGRATIONS.iter().enumerate().take(version) {
                old.execute_batch(migration).expect("migrates");
                old.execute("INSERT INTO migrations VALUES (?1)", [at as i64 + 1]).expect("notes");
            }
            let row = "INSERT INTO segments (id, level, tenant, t_min_ns, t_max_ns, rows, bytes,
                state, created_at_ns, range_index) VALUES ('00000000000000000000000007', 0, 't', 1,
                2, 3, 4, 'live', 5, x'06'); UPDATE wal SET flushed = 9;";
            old.execute_batch(row).expect("inserts");
            drop(old);
            let catalog = Catalog::open(&path).expect("opens");
            let live = catalog.live().expect("lists");
            let contents: Vec<_> = live.iter().map(|row| row.content).collect();
            assert_eq!(contents, [crate::Content::Profiles], "version {version}");
            assert_eq!(catalog.wal_flushed().expect("reads"), 9);
            assert_eq!(catalog.pins().expect("lists").len(), 0);
            assert_eq!(catalog.uploads().expect("lists").len(), 0);
            assert_eq!(catalog.names().expect("lists").len(), 0);
            assert_eq!(catalog.rollups().expect("lists").len(), 0);
            assert_eq!(catalog.payloads().expect("lists").len(), 0);
            assert!(!catalog.knows_hours().expect("reads"), "its hours are still to be opened");
        }
    }
}
