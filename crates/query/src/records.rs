//! Questions about what stands beside profiles, spans and events: row groups that cannot hold an
//! answer are passed over by statistics and bloom filters.

mod file;

pub(crate) use file::{Columns, File, Wanted};

use crate::engine::Engine;
use crate::error;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use store::{Record, RecordPart, Records, Texts};
use views::{Matcher, MatcherOp, ViewError};

/// Where a row is: its part, row group, and row of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) part: usize,
    pub(crate) group: usize,
    pub(crate) number: usize,
}

/// What is asked of records.
pub(crate) struct Ask<'a, R> {
    pub(crate) wanted: Wanted<'a>,
    pub(crate) matchers: &'a [Matcher],
    pub(crate) columns: Columns,
    /// Whether a record of a series that is meant is in the answer.
    pub(crate) keeps: &'a (dyn Fn(&R) -> bool + Sync),
}

/// What takes the records that are found, with their places where they are in a file.
pub(crate) type Take<'a, R> = &'a mut (dyn FnMut(R, Option<Row>) -> Result<(), ViewError> + Send);

/// The one service that is asked for, where that is plain.
pub(crate) fn service_of(matchers: &[Matcher]) -> Option<&str> {
    matchers.iter().find_map(|matcher| match &matcher.op {
        MatcherOp::Equal(value) if matcher.name == profile::labels::names::SERVICE => {
            Some(value.as_str())
        }
        _ => None,
    })
}

/// Parts that may hold records of the service.
pub(crate) fn parts_of<R: Record>(
    mut parts: Vec<RecordPart<R>>,
    matchers: &[Matcher],
) -> Vec<RecordPart<R>> {
    parts.retain(|part| {
        let known = part.services().zip(service_of(matchers));
        known.is_none_or(|(have, wanted)| have.iter().any(|one| one == wanted))
    });
    parts
}

/// Remembers which series are meant.
struct Meant<'a> {
    matchers: &'a [Matcher],
    /// By the labels' address.
    known: FxHashMap<usize, bool>,
}

impl Meant<'_> {
    fn keeps<R: Record>(&mut self, record: &R) -> bool {
        let labels = record.base().labels;
        let matchers = self.matchers;
        let is_meant = || matchers.iter().all(|matcher| matcher.matches(labels));
        *self.known.entry(Arc::as_ptr(labels).addr()).or_insert_with(is_meant)
    }
}

impl Engine {
    /// Hands over the records that are asked for.
    pub(crate) async fn each_record<R: Record>(
        &self,
        parts: &[RecordPart<R>],
        ask: &Ask<'_, R>,
        take: Take<'_, R>,
    ) -> Result<(), ViewError> {
        let _permit = self.permits.acquire().await;
        let mut searched = 0_u64;
        for (at, part) in parts.iter().enumerate() {
            // Addresses of labels are those of one part.
            let mut meant = Meant { matchers: ask.matchers, known: FxHashMap::default() };
            let mut keeps = |row: &R| meant.keeps(row) && (ask.keeps)(row) && !part.is_hidden(row);
            let (path, size) = match part.records() {
                Records::Memory(groups) => {
                    for row in groups.iter().flat_map(|group| &group.rows).filter(|row| keeps(row))
                    {
                        take(row.clone(), None)?;
                    }
                    continue;
                }
                Records::Parquet { path, size } => (path, size),
            };
            let file = File::open(self.store.object_store(), path, size).await?;
            let series = part.series().await.map_err(error::store)?;
            for group in file.groups(&ask.wanted).await? {
                let mut texts = Texts::default();
                let mut batches = file.read(group, ask.columns, &[])?;
                let mut number = 0;
                while let Some(batch) = batches.next().await? {
                    searched += batch.num_rows() as u64;
                    if searched > self.settings.query_rows_max {
                        return Err(error::rows(self.settings.query_rows_max));
                    }
                    let rows = store::records::read::decode(&batch, &series, &mut texts);
                    for row in rows.map_err(error::store)? {
                        let place = Row { part: at, group, number };
                        number += 1;
                        if keeps(&row) {
                            take(row, Some(place))?;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }
}
