//! Checking rollups: what the catalog says against the files, sums against sums.

use super::super::Inner;
use super::super::fsck::Checked;
use crate::Error;
use crate::rollup::Rollup;
use std::collections::BTreeSet;
use stdx::Ulid;
use views::rollup::{KindRollup, Values, add};

impl Inner {
    /// Looks at every rollup; one is in memory at a time.
    pub(in crate::store) fn check_rollups(&self, found: &mut Checked) -> Result<(), Error> {
        let live: Vec<_> = self.rolled().live.values().cloned().collect();
        let known: BTreeSet<Ulid> = live.iter().map(|rollup| rollup.row.id).collect();
        let listed: BTreeSet<Ulid> = self.catalog.rollups()?.iter().map(|row| row.id).collect();
        for id in known.symmetric_difference(&listed) {
            let what = "the catalog and the running store do not agree that it is live";
            found.note_rollup(*id, what);
        }
        for rollup in live {
            found.rollups += 1;
            if let Err(error) = look_at(found, &rollup, self) {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let what = format!("{error}{}", cause.unwrap_or_default());
                found.note_rollup(rollup.row.id, &what);
            }
        }
        Ok(())
    }
}

fn look_at(found: &mut Checked, rollup: &Rollup, inner: &Inner) -> Result<(), Error> {
    let id = rollup.row.id;
    for (table, bytes) in &rollup.contents.files {
        let path = rollup.path(table);
        let file = inner.layer.read(&path).map_err(Error::io(format!("read {path}")))?;
        found.files += 1;
        found.bytes += file.len() as u64;
        if file.len() as u64 != *bytes {
            let what = format!("{table} has {} bytes, the catalog says {bytes}", file.len());
            found.note_rollup(id, &what);
        }
    }
    let parts = rollup.read_all()?;
    let wrong = parts.iter().filter(|part| !adds_up(part)).count();
    if wrong > 0 {
        let what = format!("in {wrong} of its kinds the stacks do not add up to the totals");
        found.note_rollup(id, &what);
    }
    Ok(())
}

/// Whether own values of all prefixes are the series' totals. Sums at the end of their type may have
/// been cut there, and say nothing.
fn adds_up(part: &KindRollup) -> bool {
    let mut sums = vec![Values::default(); part.series.len()];
    for cell in &part.cells {
        add(&mut sums[cell.series as usize], &cell.own);
    }
    let is_cut = |value: &i128| *value >= i64::MAX.into() || *value <= i64::MIN.into();
    let values = part.cells.iter().flat_map(|cell| cell.own);
    let mut all = values.chain(part.series.iter().flat_map(|row| row.totals));
    all.any(|value| is_cut(&value))
        || part.series.iter().zip(&sums).all(|(row, sum)| row.totals == *sum)
}
