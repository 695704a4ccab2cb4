//! Uploads that are kept as they came, and which profiles were made of them.

use crate::{Catalog, Error, SegmentRow, Uploads, insert, retire, ulid_of, uploads};
use rusqlite::{Transaction, params};
use stdx::{Timestamp, Ulid};

/// The schema of version 5.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE payloads (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        request TEXT NOT NULL,
        services TEXT NOT NULL,
        profiles INTEGER NOT NULL,
        t_min_ns INTEGER NOT NULL,
        t_max_ns INTEGER NOT NULL,
        received_at_ns INTEGER NOT NULL,
        is_settled INTEGER NOT NULL
    ) STRICT;
";

/// An upload that is kept; its file is named after its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadRow {
    /// Its id, which its profiles name.
    pub id: Ulid,
    /// Whose.
    pub tenant: String,
    /// SHA-256 of the body, in hex.
    pub sha256: String,
    /// Bytes of the body.
    pub bytes: u64,
    /// What came beside the body and is needed to read it again; opaque here.
    pub request: String,
    /// Services of its profiles.
    pub services: Vec<String>,
    /// How many profiles were made of it.
    pub profiles: u64,
    /// First time in them, nanoseconds since the epoch.
    pub t_min_ns: i64,
    /// Last time in them, inclusive.
    pub t_max_ns: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// Whether it is known that its profiles were acknowledged.
    pub is_settled: bool,
}

/// A text a line; no text holds a line's end.
fn lines(texts: &[String]) -> String {
    let plain = |text: &String| text.replace(char::is_control, " ");
    texts.iter().map(plain).collect::<Vec<_>>().join("\n")
}

impl Catalog {
    /// All payloads, oldest first.
    pub fn payloads(&self) -> Result<Vec<PayloadRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, tenant, sha256, bytes, request, services, profiles, t_min_ns, t_max_ns,
                 received_at_ns, is_settled
             FROM payloads ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(PayloadRow {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                tenant: row.get(1)?,
                sha256: row.get(2)?,
                bytes: row.get::<_, i64>(3)?.max(0).cast_unsigned(),
                request: row.get(4)?,
                services: row.get::<_, String>(5)?.lines().map(str::to_owned).collect(),
                profiles: row.get::<_, i64>(6)?.max(0).cast_unsigned(),
                t_min_ns: row.get(7)?,
                t_max_ns: row.get(8)?,
                received_at: Timestamp::from_nanos(row.get(9)?),
                is_settled: row.get(10)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds payloads; one that is there already is left alone.
    pub fn add_payloads(&self, rows: &[PayloadRow]) -> Result<(), Error> {
        self.change(|changes| {
            for row in rows {
                changes.execute(
                    "INSERT OR IGNORE INTO payloads
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                    params![
                        row.id.to_string(),
                        row.tenant,
                        row.sha256,
                        row.bytes.cast_signed(),
                        row.request,
                        lines(&row.services),
                        row.profiles.cast_signed(),
                        row.t_min_ns,
                        row.t_max_ns,
                        row.received_at.nanos(),
                        row.is_settled,
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// Says that the profiles of these were acknowledged.
    pub fn settle_payloads(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                let query = "UPDATE payloads SET is_settled = 1 WHERE id = ?1";
                changes.execute(query, [id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Forgets payloads.
    pub fn remove_payloads(&self, ids: &[Ulid]) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                changes.execute("DELETE FROM payloads WHERE id = ?1", [id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Puts `outputs` in the place of `inputs` because payloads were read again, and notes what was
    /// made of those. The same call again changes nothing.
    pub fn replace_reparsed(
        &self,
        inputs: &[Ulid],
        outputs: &[SegmentRow],
        payloads: &[PayloadRow],
        uploads: &Uploads,
    ) -> Result<(), Error> {
        self.change(|changes| {
            if let Some(output) = outputs.first() {
                let number = uploads::number_of(output.id);
                uploads::keep(changes, number, uploads, Timestamp::MIN)?;
            }
            insert(changes, outputs)?;
            retire(changes, inputs)?;
            payloads.iter().try_for_each(|row| update(changes, row))
        })
    }
}

fn update(changes: &Transaction<'_>, row: &PayloadRow) -> Result<(), rusqlite::Error> {
    let query = "UPDATE payloads SET services = ?2, profiles = ?3, t_min_ns = ?4, t_max_ns = ?5
         WHERE id = ?1";
    changes.execute(
        query,
        params![
            row.id.to_string(),
            lines(&row.services),
            row.profiles.cast_signed(),
            row.t_min_ns,
            row.t_max_ns
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128) -> PayloadRow {
        PayloadRow {
            id: Ulid::from(id),
            tenant: "t".to_owned(),
            sha256: "ab".repeat(32),
            bytes: 4,
            request: "{}".to_owned(),
            services: vec!["shop".to_owned(), "bank".to_owned()],
            profiles: 2,
            t_min_ns: 5,
            t_max_ns: 6,
            received_at: Timestamp::from_nanos(7),
            is_settled: false,
        }
    }

    #[test]
    fn payloads_come_settle_and_go() {
        let catalog = Catalog::open_in_memory().expect("opens");
        for _ in 0..2 {
            catalog.add_payloads(&[row(1), row(2)]).expect("adds");
            assert_eq!(catalog.payloads().expect("lists"), [row(1), row(2)]);
        }
        catalog.settle_payloads(&[row(2).id, row(9).id]).expect("settles");
        let settled = PayloadRow { is_settled: true, ..row(2) };
        assert_eq!(catalog.payloads().expect("lists"), [row(1), settled.clone()]);
        catalog.remove_payloads(&[row(1).id, row(9).id]).expect("removes");
        assert_eq!(catalog.payloads().expect("lists"), [settled]);
    }

    #[test]
    fn what_was_read_again_takes_the_place_of_what_was_there_in_one_step() {
        let catalog = Catalog::open_in_memory().expect("opens");
        let segment = |id: u128| SegmentRow {
            id: Ulid::from(id),
            content: crate::Content::Profiles,
            level: 0,
            tenant: "t".to_owned(),
            t_min_ns: 1,
            t_max_ns: 2,
            rows: 3,
            bytes: 4,
            created_at: Timestamp::from_nanos(5),
            range_index: vec![6],
        };
        catalog.commit_flush(&[segment(1)], 1).expect("commits");
        catalog.add_payloads(&[row(1)]).expect("adds");
        let read = PayloadRow { profiles: 9, t_max_ns: 8, ..row(1) };
        let keys = Uploads { newest: Timestamp::from_nanos(7), keys: vec![1, 2] };
        for _ in 0..2 {
            let outputs = [segment(2), segment(3)];
            catalog
                .replace_reparsed(&[segment(1).id], &outputs, std::slice::from_ref(&read), &keys)
                .expect("replaces");
            assert_eq!(catalog.live().expect("lists"), outputs);
            assert_eq!(catalog.uploads().expect("lists"), std::slice::from_ref(&keys));
            assert_eq!(catalog.payloads().expect("lists"), std::slice::from_ref(&read));
        }
    }
}
