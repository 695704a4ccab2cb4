//! What is hidden, what is kept for longer, and what was dropped.

use crate::{Catalog, Error, SegmentRow, insert, retire, ulid_of};
use rusqlite::{Row, Transaction, params};
use stdx::{TimeRange, Timestamp, Ulid};

/// Drops that are remembered; the oldest are forgotten.
const DROPS_MAX: u64 = 1000;

/// A deletion: profiles that it names are hidden at once and rewritten away soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its name.
    pub id: Ulid,
    /// Whose profiles.
    pub tenant: String,
    /// Which series, e.g. `{service_name="shop"}`.
    pub selector: String,
    /// Profiles with any time in this range.
    pub range: TimeRange,
    /// Profiles that came later are not meant.
    pub created_at: Timestamp,
    /// When the last file with any of it was replaced.
    pub done_at: Option<Timestamp>,
    /// Profiles that were removed.
    pub profiles: u64,
}

/// A time range of a service that retention does not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its id.
    pub id: Ulid,
    /// Whose.
    pub tenant: String,
    /// What people call it; unique in the tenant.
    pub name: String,
    /// The service.
    pub service: String,
    /// The range.
    pub range: TimeRange,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Something that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: String,
    /// Why: `age`, `budget` or `deletion`.
    pub reason: String,
    /// Number of profiles.
    pub profiles: u64,
    /// Bytes of files that became free.
    pub bytes: u64,
    /// First time in what was dropped, in nanoseconds.
    pub t_min_ns: i64,
    /// Last time in it.
    pub t_max_ns: i64,
}

fn range_of(row: &Row<'_>, at: usize) -> Result<TimeRange, rusqlite::Error> {
    let (start, end) = (row.get(at)?, row.get(at + 1)?);
    Ok(TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)))
}

fn count_of(row: &Row<'_>, at: usize) -> Result<u64, rusqlite::Error> {
    Ok(row.get::<_, i64>(at)?.max(0).cast_unsigned())
}

impl Catalog {
    /// All deletions that are remembered, oldest first.
    pub fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, tenant, selector, start_ns, end_ns, created_at_ns, done_at_ns, profiles
             FROM deletions ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(Deletion {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                tenant: row.get(1)?,
                selector: row.get(2)?,
                range: range_of(row, 3)?,
                created_at: Timestamp::from_nanos(row.get(5)?),
                done_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_nanos),
                profiles: count_of(row, 7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Remembers a deletion; the same call again changes nothing.
    pub fn add_deletion(&self, row: &Deletion) -> Result<(), Error> {
        self.change(|changes| {
            changes.execute(
                "INSERT OR IGNORE INTO deletions VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, 0)",
                params![
                    row.id.to_string(),
                    row.tenant,
                    row.selector,
                    row.range.start.nanos(),
                    row.range.end.nanos(),
                    row.created_at.nanos(),
                ],
            )?;
            Ok(())
        })
    }

    /// Says that nothing of these deletions is left, and forgets those done before `oldest`.
    pub fn finish_deletions(
        &self,
        ids: &[Ulid],
        now: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), Error> {
        self.change(|changes| {
            for id in ids {
                changes.execute(
                    "UPDATE deletions SET done_at_ns = ?2 WHERE id = ?1 AND done_at_ns IS NULL",
                    params![id.to_string(), now.nanos()],
                )?;
            }
            changes.execute("DELETE FROM deletions WHERE done_at_ns < ?1", [oldest.nanos()])?;
            Ok(())
        })
    }

    /// Pins, oldest first.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT id, tenant, name, service, start_ns, end_ns, created_at_ns FROM pins ORDER BY id",
        )?;
        let rows = query.query_map([], |row| {
            Ok(Pin {
                id: ulid_of(&row.get::<_, String>(0)?)?,
                tenant: row.get(1)?,
                name: row.get(2)?,
                service: row.get(3)?,
                range: range_of(row, 4)?,
                created_at: Timestamp::from_nanos(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a pin. `false` when the tenant has another of this name; the same pin again is fine.
    pub fn add_pin(&self, pin: &Pin) -> Result<bool, Error> {
        let mut is_there = false;
        self.change(|changes| {
            changes.execute(
                "INSERT OR IGNORE INTO pins VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    pin.id.to_string(),
                    pin.tenant,
                    pin.name,
                    pin.service,
                    pin.range.start.nanos(),
                    pin.range.end.nanos(),
                    pin.created_at.nanos(),
                ],
            )?;
            is_there = changes.query_row(
                "SELECT count(*) > 0 FROM pins WHERE id = ?1",
                [pin.id.to_string()],
                |row| row.get(0),
            )?;
            Ok(())
        })?;
        Ok(is_there)
    }

    /// Removes a tenant's pin by its name; `false` when there is none.
    pub fn remove_pin(&self, tenant: &str, name: &str) -> Result<bool, Error> {
        let mut removed = 0;
        self.change(|changes| {
            let query = "DELETE FROM pins WHERE tenant = ?1 AND name = ?2";
            removed = changes.execute(query, [tenant, name])?;
            Ok(())
        })?;
        Ok(removed > 0)
    }

    /// Puts `outputs` in the place of `inputs` and notes what is gone with that, and for which
    /// deletions how many profiles. After an error nobody knows whether it happened.
    pub fn replace(
        &self,
        inputs: &[Ulid],
        outputs: &[SegmentRow],
        drops: &[Dropped],
        deleted: &[(Ulid, u64)],
    ) -> Result<(), Error> {
        self.change(|changes| {
            insert(changes, outputs)?;
            // The same call again must not count a second time.
            if retire(changes, inputs)? == 0 {
                return Ok(());
            }
            for (id, profiles) in deleted {
                changes.execute(
                    "UPDATE deletions SET profiles = profiles + ?2 WHERE id = ?1",
                    params![id.to_string(), profiles.cast_signed()],
                )?;
            }
            note(changes, drops)
        })
    }

    /// What was dropped lately, newest first.
    pub fn drops(&self) -> Result<Vec<Dropped>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT at_ns, tenant, reason, profiles, bytes, t_min_ns, t_max_ns
             FROM drops ORDER BY id DESC",
        )?;
        let rows = query.query_map([], |row| {
            Ok(Dropped {
                at: Timestamp::from_nanos(row.get(0)?),
                tenant: row.get(1)?,
                reason: row.get(2)?,
                profiles: count_of(row, 3)?,
                bytes: count_of(row, 4)?,
                t_min_ns: row.get(5)?,
                t_max_ns: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn note(changes: &Transaction<'_>, drops: &[Dropped]) -> Result<(), rusqlite::Error> {
    for row in drops {
        changes.execute(
            "INSERT INTO drops (at_ns, tenant, reason, profiles, bytes, t_min_ns, t_max_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                row.at.nanos(),
                row.tenant,
                row.reason,
                row.profiles.cast_signed(),
                row.bytes.cast_signed(),
                row.t_min_ns,
                row.t_max_ns,
            ],
        )?;
    }
    let query = "DELETE FROM drops WHERE id <= (SELECT coalesce(max(id), 0) FROM drops) - ?1";
    changes.execute(query, [DROPS_MAX.cast_signed()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(id: u128, name: &str) -> Pin {
        Pin {
            id: Ulid::from(id),
            tenant: "t".to_owned(),
            name: name.to_owned(),
            service: "shop".to_owned(),
            range: TimeRange::new(Timestamp::from_nanos(1), Timestamp::from_nanos(9)),
            created_at: Timestamp::from_nanos(3),
        }
    }

    #[test]
    fn a_pins_name_is_its_own_within_the_tenant() {
        let catalog = Catalog::open_in_memory().expect("opens");
        assert!(catalog.add_pin(&pin(1, "a")).expect("adds"));
        assert!(catalog.add_pin(&pin(1, "a")).expect("again"), "a commit in doubt is repeated");
        assert!(!catalog.add_pin(&pin(2, "a")).expect("refuses"));
        let other = Pin { tenant: "u".to_owned(), ..pin(3, "a") };
        assert!(catalog.add_pin(&other).expect("adds"));
        assert!(catalog.remove_pin("t", "a").expect("removes"));
        assert!(!catalog.remove_pin("t", "a").expect("nothing left"));
        assert_eq!(catalog.pins().expect("lists"), [other]);
    }

    #[test]
    fn a_replacement_that_is_repeated_counts_once() {
        let catalog = Catalog::open_in_memory().expect("opens");
        let segment = SegmentRow {
            id: Ulid::from(1),
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
        catalog.commit_flush(std::slice::from_ref(&segment), 1).expect("commits");
        let deletion = Deletion {
            id: Ulid::from(7),
            tenant: "t".to_owned(),
            selector: String::new(),
            range: TimeRange::ALL,
            created_at: Timestamp::from_nanos(8),
            done_at: None,
            profiles: 0,
        };
        catalog.add_deletion(&deletion).expect("adds");
        let dropped = Dropped {
            at: Timestamp::from_nanos(9),
            tenant: "t".to_owned(),
            reason: "deletion".to_owned(),
            profiles: 2,
            bytes: 4,
            t_min_ns: 1,
            t_max_ns: 2,
        };
        for _ in 0..2 {
            let (drops, deleted) = (std::slice::from_ref(&dropped), [(deletion.id, 2)]);
            catalog.replace(&[segment.id], &[], drops, &deleted).expect("replaces");
            assert_eq!(catalog.drops().expect("lists"), std::slice::from_ref(&dropped));
            assert_eq!(catalog.deletions().expect("lists")[0].profiles, 2);
        }
        let now = Timestamp::from_nanos(20);
        catalog.finish_deletions(&[deletion.id], now, Timestamp::MIN).expect("finishes");
        assert_eq!(catalog.deletions().expect("lists")[0].done_at, Some(now));
        catalog.finish_deletions(&[], now, Timestamp::from_nanos(21)).expect("forgets");
        assert!(catalog.deletions().expect("lists").is_empty());
    }

    #[test]
    fn the_list_of_drops_is_bounded() {
        let catalog = Catalog::open_in_memory().expect("opens");
        let row = |at: u64| Dropped {
            at: Timestamp::from_nanos(at.cast_signed()),
            tenant: "t".to_owned(),
            reason: "age".to_owned(),
            profiles: 1,
            bytes: 1,
            t_min_ns: 0,
            t_max_ns: 0,
        };
        let rows: Vec<Dropped> = (0..DROPS_MAX + 10).map(row).collect();
        catalog.change(|changes| note(changes, &rows)).expect("notes");
        let found = catalog.drops().expect("lists");
        assert_eq!(found.len() as u64, DROPS_MAX);
        assert_eq!(found[0].at, row(DROPS_MAX + 9).at, "newest first");
    }
}
