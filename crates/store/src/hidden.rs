//! Deletions hide profiles at once: a part that may hold some of them shows their rows as nobody's.
//!
//! A hidden row keeps its place, so that ordinals stay right, but has no tenant (a real one has at
//! least one byte), and questions are always of one. The rest of it stays: who picks rows of samples
//! must know that this profile has some which are not picked.

use crate::memtable::overlaps;
use crate::records::Base;
use crate::{Error, ProfileRow};
use catalog::Deletion;
use profile::Labels;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};
use views::Matcher;

/// A deletion that is not done yet.
#[derive(Debug)]
pub(crate) struct Tombstone {
    pub(crate) id: Ulid,
    pub(crate) tenant: String,
    matchers: Vec<Matcher>,
    range: TimeRange,
    created_at: Timestamp,
}

impl Tombstone {
    pub(crate) fn new(row: &Deletion) -> Result<Self, Error> {
        let matchers = views::parse_matchers(&row.selector)
            .map_err(|error| Error::Invalid { what: error.to_string() })?;
        let (id, tenant) = (row.id, row.tenant.clone());
        Ok(Self { id, tenant, matchers, range: row.range, created_at: row.created_at })
    }

    /// Whether the labels are meant.
    pub(crate) fn names(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether labels that agree in the label `only` may be meant.
    pub(crate) fn may_name(&self, labels: &Labels, only: &str) -> bool {
        let mut matchers = self.matchers.iter().filter(|matcher| matcher.name == only);
        matchers.all(|matcher| matcher.matches(labels))
    }

    pub(crate) fn is_newer_than(&self, time: Timestamp) -> bool {
        self.created_at > time
    }

    /// Whether anything with these inclusive bounds may be meant.
    pub(crate) fn touches(&self, tenant: &str, bounds: (i64, i64)) -> bool {
        self.tenant == tenant && overlaps(bounds, self.range)
    }

    /// Whether one that came then, with these bounds, is meant, as far as times say.
    pub(crate) fn reaches(&self, received_at: Timestamp, bounds: (i64, i64)) -> bool {
        received_at <= self.created_at && overlaps(bounds, self.range)
    }
}

/// What comes after a deletion at `created_at_ns` is stamped with the next millisecond at least, so
/// that its id, which knows no more than that, tells the two apart.
pub(crate) fn floor_after(created_at_ns: i64) -> i64 {
    const MILLISECOND: i64 = 1_000_000;
    created_at_ns.div_euclid(MILLISECOND).saturating_add(1).saturating_mul(MILLISECOND)
}

/// The deletions that a part may be touched by.
#[derive(Clone, Debug)]
pub(crate) struct Hidden(Arc<[Arc<Tombstone>]>);

impl Hidden {
    /// `None` when none may touch it.
    pub(crate) fn of(
        tombstones: &[Arc<Tombstone>],
        tenant: &str,
        bounds: (i64, i64),
    ) -> Option<Self> {
        let touching = tombstones.iter().filter(|stone| stone.touches(tenant, bounds));
        let touching: Vec<_> = touching.cloned().collect();
        (!touching.is_empty()).then(|| Self(touching.into()))
    }

    /// The deletion that hides each profile, where one does.
    pub(crate) fn by_profile(&self, rows: &[ProfileRow]) -> Vec<Option<Ulid>> {
        let mut named: FxHashMap<(usize, u32), bool> = FxHashMap::default();
        let mut find = |row: &ProfileRow| {
            let bounds = row.time_bounds();
            let mut stones = self.0.iter().enumerate();
            stones.find_map(|(at, stone)| {
                let is_meant = stone.reaches(row.received_at, bounds)
                    && *named.entry((at, row.series)).or_insert_with(|| stone.names(&row.labels));
                is_meant.then_some(stone.id)
            })
        };
        rows.iter().map(&mut find).collect()
    }

    /// The deletion that hides a record, where one does.
    pub(crate) fn of_record(&self, base: Base<'_>) -> Option<Ulid> {
        let mut stones = self.0.iter();
        let found = stones.find(|stone| {
            stone.reaches(base.received_at, base.bounds()) && stone.names(base.labels)
        });
        found.map(|stone| stone.id)
    }

    /// The rows as queries may see them.
    pub(crate) fn mask(&self, rows: Arc<Vec<ProfileRow>>) -> Arc<Vec<ProfileRow>> {
        let hidden = self.by_profile(&rows);
        if hidden.iter().all(Option::is_none) {
            return rows;
        }
        let rows = rows.iter().zip(hidden);
        Arc::new(
            rows.map(|(row, by)| if by.is_some() { nobodys(row) } else { row.clone() }).collect(),
        )
    }
}

fn nobodys(row: &ProfileRow) -> ProfileRow {
    ProfileRow { tenant: "".into(), ..row.clone() }
}
