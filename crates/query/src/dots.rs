//! Sums of single profiles, from metadata where it tells, and of the spans in them, from samples.

use crate::cells::Cell;
use crate::error;
use crate::plan::{Group, Sum};
use crate::predicate::RowSet;
use crate::scan::Scanner;
use crate::select::{Contributor, Found};
use futures::TryStreamExt;
use profile::KeyedMap;
use rustc_hash::FxHashMap;
use std::pin::pin;
use store::TableSet;
use views::{Dot, DotSpan, DotsOf, ViewError};

/// What each profile, or each span in one, holds.
pub(crate) async fn dots(
    found: &Found,
    of: DotsOf,
    scanner: &Scanner,
) -> Result<Vec<Dot>, ViewError> {
    let mut dots = match of {
        DotsOf::Profiles => profiles(found, scanner).await?,
        DotsOf::Spans => spans(found, scanner).await?,
    };
    dots.sort_unstable_by_key(Dot::key);
    Ok(dots)
}

async fn profiles(found: &Found, scanner: &Scanner) -> Result<Vec<Dot>, ViewError> {
    let mut sums = Sums::new(found, scanner);
    let mut unknown: Vec<&Contributor> = Vec::new();
    for contributor in &found.contributors {
        match found.whole_sum(contributor) {
            Some(value) if !found.is_filtered() => sums.add(contributor, None, value)?,
            _ => unknown.push(contributor),
        }
    }
    let jobs = found.kept_jobs(unknown, false);
    let sum = Sum::Value(found.profile_type.measure_index);
    let mut parts = pin!(scanner.each_part(jobs, Group::Profile, sum).await?);
    while let Some((part, cells)) = parts.try_next().await? {
        for cell in cells.iter() {
            sums.add_cell(part, cell, None)?;
        }
    }
    Ok(sums.finish())
}

async fn spans(found: &Found, scanner: &Scanner) -> Result<Vec<Dot>, ViewError> {
    let mut sums = Sums::new(found, scanner);
    let mut jobs = Vec::new();
    let mut spans: FxHashMap<usize, Vec<Option<DotSpan>>> = FxHashMap::default();
    for mut job in found.kept_jobs(&found.contributors, false) {
        let tables = job.part.tables(TableSet::Links).await.map_err(error::store)?;
        let of_links: Vec<_> = tables.links.rows().iter().map(DotSpan::of).collect();
        let named: Vec<bool> = of_links.iter().map(Option::is_some).collect();
        if !named.contains(&true) {
            continue;
        }
        job.predicate.rows.extend(RowSet::of("link", named, false));
        spans.insert(job.at, of_links);
        jobs.push(job);
    }
    let sum = Sum::Value(found.profile_type.measure_index);
    let mut parts = pin!(scanner.each_part(jobs, Group::ProfileColumn("link"), sum).await?);
    while let Some((part, cells)) = parts.try_next().await? {
        let Some(of_links) = spans.get(&part) else { continue };
        for cell in cells.iter() {
            let span = of_links.get(cell.key.1 as usize).copied().flatten();
            if span.is_some() {
                sums.add_cell(part, cell, span)?;
            }
        }
    }
    Ok(sums.finish())
}

/// Collects sums by profile and span.
struct Sums<'a> {
    found: &'a Found,
    dots_max: usize,
    /// Contributors by part and ordinal.
    index: FxHashMap<(usize, u32), &'a Contributor>,
    /// By the position of the profile's metadata, and the span's id.
    by_span: KeyedMap<(usize, u64), (Option<DotSpan>, i128)>,
}

impl<'a> Sums<'a> {
    fn new(found: &'a Found, scanner: &Scanner) -> Self {
        let index = found.contributors.iter().map(|one| ((one.part, one.ordinal), one)).collect();
        Self { found, dots_max: scanner.limits.dots_max, index, by_span: KeyedMap::default() }
    }

    /// Adds a sum of a profile, which is the first column of the group.
    fn add_cell(
        &mut self,
        part: usize,
        cell: Cell,
        span: Option<DotSpan>,
    ) -> Result<(), ViewError> {
        let Some(contributor) = self.index.get(&(part, cell.ordinal())) else { return Ok(()) };
        self.add(contributor, span, cell.value)
    }

    fn add(
        &mut self,
        contributor: &Contributor,
        span: Option<DotSpan>,
        value: i128,
    ) -> Result<(), ViewError> {
        let key = (contributor.info, span.map_or(0, |span| span.id));
        let sum = self.by_span.entry(key).or_default();
        sum.0 = sum.0.into_iter().chain(span).max_by_key(|span| span.trace);
        sum.1 = sum.1.saturating_add(value);
        if self.by_span.len() > self.dots_max {
            return Err(error::dots(self.dots_max));
        }
        Ok(())
    }

    fn finish(self) -> Vec<Dot> {
        let Self { found, by_span, .. } = self;
        let dot = |((info, _), (span, value)): ((usize, u64), _)| {
            Dot::new(&found.selected.infos[info], &found.range, span, value)
        };
        by_span.into_iter().map(dot).collect()
    }
}
