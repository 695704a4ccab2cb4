//! Which rows of a file a predicate can have, from its runs, what metadata says of them and the
//! statistics of its pages.

use crate::predicate::Predicate;
use crate::sum_scan::File;
use datafusion_datasource_parquet::RowGroupAccess;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;

/// Rows of some row groups that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Ascending, apart from each other.
    rows: Vec<Range<u64>>,
    /// The rows of the row groups.
    within: Range<u64>,
}

impl Ranges {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows.
    pub(crate) fn count(&self) -> u64 {
        self.rows.iter().map(|rows| rows.end - rows.start).sum()
    }

    /// As the reader takes it, counted from the first of the row groups.
    pub(crate) fn selection(&self) -> RowSelection {
        let mut selectors = Vec::with_capacity(self.rows.len() * 2 + 1);
        let mut at = self.within.start;
        let count = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        for range in &self.rows {
            selectors.push(RowSelector::skip(count(at, range.start)));
            selectors.push(RowSelector::select(count(range.start, range.end)));
            at = range.end;
        }
        selectors.push(RowSelector::skip(count(at, self.within.end)));
        RowSelection::from(selectors)
    }

    fn part(&self, within: Range<u64>) -> Self {
        let rows = intersect(self.rows.iter().cloned(), std::iter::once(within.clone()));
        Self { rows, within }
    }
}

/// The rows of a file's row groups that `predicate` can have; all of them but for times and the
/// ordinals in `key`, which must be looked at. `None` when it asks for more than runs tell.
pub(crate) fn of(file: &File, predicate: &Predicate, key: &str) -> Option<Ranges> {
    let is_told = |column| ["series", key].contains(&column);
    let tells_more = predicate.ordinals.as_ref().is_some_and(|(column, _)| !is_told(*column));
    if tells_more || predicate.timed || !predicate.rows.is_empty() {
        return None;
    }
    candidates(file, predicate)
}

/// Of every row group of the file, which rows a plan has to look at.
pub(crate) fn access(file: &File, predicate: &Predicate) -> Vec<RowGroupAccess> {
    let candidates = candidates(file, predicate);
    let access = |group: usize| {
        if !file.row_groups.contains(&group) {
            return RowGroupAccess::Skip;
        }
        let Some(candidates) = &candidates else { return RowGroupAccess::Scan };
        let within = rows_of_groups(&file.metadata, &(group..group + 1));
        let part = candidates.part(within.clone());
        if part.is_empty() {
            RowGroupAccess::Skip
        } else if part.rows == [within] {
            RowGroupAccess::Scan
        } else {
            RowGroupAccess::Selection(part.selection())
        }
    };
    (0..file.metadata.num_row_groups()).map(access).collect()
}

/// How many rows of a file's row groups have to be looked at; without runs all of them.
pub(crate) fn count(file: &File, predicate: &Predicate) -> u64 {
    let all = || rows_of_groups(&file.metadata, &file.row_groups);
    candidates(file, predicate)
        .unwrap_or_else(|| Ranges { rows: vec![all()], within: all() })
        .count()
}

/// The rows that a predicate can have as far as runs and pages tell; `None` without runs.
fn candidates(file: &File, predicate: &Predicate) -> Option<Ranges> {
    let series = match &predicate.ordinals {
        Some(("series", ordinals)) => Some(ordinals),
        _ => None,
    };
    let within = rows_of_groups(&file.metadata, &file.row_groups);
    let is_wanted = |run: &&store::Run| {
        predicate.kind.as_ref().is_none_or(|kind| **kind == *run.kind)
            && predicate.series_range.is_none_or(|(a, b)| (a..=b).contains(&run.series))
            && series.is_none_or(|series| series.binary_search(&run.series).is_ok())
    };
    let wanted = file.runs.as_ref()?.iter().filter(is_wanted);
    let runs = wanted.flat_map(|run| predicate.bounds.rows(run));
    let mut rows = intersect(runs, std::iter::once(within.clone()));
    if predicate.from_ms.is_some() || predicate.until_ms.is_some() {
        let from = predicate.from_ms.unwrap_or(i64::MIN);
        let until = predicate.until_ms.unwrap_or(i64::MAX);
        if let Some(pages) = pages_within(&file.metadata, &file.row_groups, from, until) {
            rows = intersect(rows.into_iter(), pages.into_iter());
        }
    }
    Some(Ranges { rows, within })
}

fn rows_of_groups(metadata: &ParquetMetaData, groups: &Range<usize>) -> Range<u64> {
    let rows = |at: usize| metadata.row_groups().get(at).map_or(0, |g| g.num_rows().max(0) as u64);
    let first: u64 = (0..groups.start).map(rows).sum();
    first..first + groups.clone().map(rows).sum::<u64>()
}

/// Rows that are in both; each side ascends and is apart within itself. What touches is joined.
fn intersect(
    mut a: impl Iterator<Item = Range<u64>>,
    mut b: impl Iterator<Item = Range<u64>>,
) -> Vec<Range<u64>> {
    let mut both: Vec<Range<u64>> = Vec::new();
    let (mut left, mut right) = (a.next(), b.next());
    while let (Some(one), Some(other)) = (&left, &right) {
        let (start, end) = (one.start.max(other.start), one.end.min(other.end));
        if start < end {
            match both.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => both.push(start..end),
            }
        }
        if one.end <= other.end { left = a.next() } else { right = b.next() }
    }
    both
}

/// Rows of the pages that have a time in `from..until`; `None` when pages have no statistics.
fn pages_within(
    metadata: &ParquetMetaData,
    groups: &Range<usize>,
    from: i64,
    until: i64,
) -> Option<Vec<Range<u64>>> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.name() == "ts_ms")?;
    let mut found = Vec::new();
    let mut first = rows_of_groups(metadata, &(0..groups.start)).end;
    for group in groups.clone() {
        let rows = metadata.row_groups().get(group)?.num_rows().max(0) as u64;
        let ColumnIndexMetaData::INT64(index) = metadata.column_index()?.get(group)?.get(column)?
        else {
            return None;
        };
        let pages = metadata.offset_index()?.get(group)?.get(column)?.page_locations();
        for (at, page) in pages.iter().enumerate() {
            let next = pages.get(at + 1).map(|next| next.first_row_index.max(0) as u64);
            let (min, max) = (index.min_value(at)?, index.max_value(at)?);
            if *min < until && from <= *max {
                let start = first + page.first_row_index.max(0) as u64;
                found.push(start..first + next.unwrap_or(rows));
            }
        }
        first += rows;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_both_is_found_and_joined() {
        let rows = |of: &[(u64, u64)]| of.iter().map(|(a, b)| *a..*b).collect::<Vec<_>>();
        let a = rows(&[(0, 5), (5, 9), (12, 20), (30, 31)]);
        let b = rows(&[(3, 7), (7, 8), (10, 14), (15, 40)]);
        let both = intersect(a.into_iter(), b.into_iter());
        assert_eq!(both, rows(&[(3, 8), (12, 14), (15, 20), (30, 31)]));
        let ranges = Ranges { rows: both, within: 2..40 };
        let selected: Vec<(bool, usize)> =
            ranges.selection().iter().map(|part| (part.skip, part.row_count)).collect();
        let expected = [
            (true, 1),
            (false, 5),
            (true, 4),
            (false, 2),
            (true, 1),
            (false, 5),
            (true, 10),
            (false, 1),
            (true, 9),
        ];
        assert_eq!(selected, expected);
    }
}
