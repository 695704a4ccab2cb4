//! Tables of names that people uploaded for addresses without one.

use crate::{Catalog, Error, ulid_of};
use rusqlite::params;
use stdx::{Timestamp, Ulid};

/// The schema of version 4.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE names (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        build_ids TEXT NOT NULL,
        file TEXT NOT NULL,
        sources TEXT NOT NULL,
        functions INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        created_at_ns INTEGER NOT NULL,
        notes TEXT NOT NULL
    ) STRICT;
";

/// A table of names; its file is named after its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesRow {
    /// Its id.
    pub id: Ulid,
    /// Whose.
    pub tenant: String,
    /// By which profiles may know the binary; the first is the usual one.
    pub build_ids: Vec<String>,
    /// Name of the file that was uploaded.
    pub file: String,
    /// Where the names come from, best first.
    pub sources: Vec<String>,
    /// Number of functions.
    pub functions: u64,
    /// Bytes of the table's file.
    pub bytes: u64,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// A text a line; no text holds a line's end.
fn lines(texts: &[String]) -> String {
    let plain = |text: &String| text.replace(char::is_control, " ");
    texts.iter().map(plain).collect::<Vec<_>>().join("\n")
}

fn texts(lines: &str) -> Vec<String> {
    lines.lines().map(str::to_owned).collect()
}

impl Catalog {
    /// All tables of names, oldest first.
    pub fn names(&self) -> Result<Vec<NamesRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, tenant, build_ids, file, sources, functions, bytes, created_at_ns, notes
             FROM names ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(NamesRow {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                tenant: row.get(1)?,
                build_ids: texts(&row.get::<_, String>(2)?),
                file: row.get(3)?,
                sources: texts(&row.get::<_, String>(4)?),
                functions: row.get::<_, i64>(5)?.max(0).cast_unsigned(),
                bytes: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
                created_at: Timestamp::from_nanos(row.get(7)?),
                notes: texts(&row.get::<_, String>(8)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a table and forgets those that it takes the place of, or neither. The same call again
    /// changes nothing.
    pub fn add_names(&self, row: &NamesRow, replaced: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            changes.execute(
                "INSERT OR IGNORE INTO names VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    row.id.to_string(),
                    row.tenant,
                    lines(&row.build_ids),
                    row.file,
                    lines(&row.sources),
                    row.functions.cast_signed(),
                    row.bytes.cast_signed(),
                    row.created_at.nanos(),
                    lines(&row.notes),
                ],
            )?;
            for id in replaced {
                changes.execute("DELETE FROM names WHERE id = ?1", [id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Forgets tables.
    pub fn remove_names(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                changes.execute("DELETE FROM names WHERE id = ?1", [id.to_string()])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_names_come_and_go_whole() {
        let catalog = Catalog::open_in_memory().expect("opens");
        let row = |id: u128| NamesRow {
            id: Ulid::from(id),
            tenant: "t".to_owned(),
            build_ids: vec!["ab".to_owned(), "go/id".to_owned()],
            file: "a.debug".to_owned(),
            sources: vec!["dwarf".to_owned()],
            functions: 3,
            bytes: 4,
            created_at: Timestamp::from_nanos(5),
            notes: Vec::new(),
        };
        for _ in 0..2 {
            catalog.add_names(&row(1), &[]).expect("adds");
            assert_eq!(catalog.names().expect("lists"), [row(1)]);
        }
        catalog.add_names(&row(2), &[row(1).id]).expect("replaces");
        assert_eq!(catalog.names().expect("lists"), [row(2)]);
        catalog.remove_names(&[row(2).id, row(7).id]).expect("removes");
        assert_eq!(catalog.names().expect("lists"), []);
    }
}
