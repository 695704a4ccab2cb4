//! Which rows of a part take part: profiles picked by their metadata as a condition on columns.

use crate::bounds::{Bounds, Times};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, InListExpr, IsNullExpr, col, lit};
use datafusion_physical_expr::utils::conjunction;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stdx::TimeRange;
use store::ProfileRow;
use views::KindTotals;

/// A condition on rows; a row must fulfil all that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Predicate {
    /// Kind id.
    pub(crate) kind: Option<String>,
    /// Service; implied by the rest, lets whole pages be skipped.
    pub(crate) service: Option<String>,
    /// Smallest and largest series ordinal.
    pub(crate) series_range: Option<(u32, u32)>,
    /// Ordinals of `series`, or of `profile`.
    pub(crate) ordinals: Option<(&'static str, Vec<u32>)>,
    /// First millisecond.
    pub(crate) from_ms: Option<i64>,
    /// First millisecond after.
    pub(crate) until_ms: Option<i64>,
    /// Only samples with a time of their own.
    pub(crate) timed: bool,
    /// Further columns whose ordinals are in sets.
    pub(crate) rows: Vec<RowSet>,
    /// Rows of runs that cannot fulfil the rest.
    pub(crate) bounds: Arc<Bounds>,
}

/// Rows whose ordinal in a column is in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSet {
    column: &'static str,
    /// The ordinals that are kept or, if fewer, those that are not.
    ordinals: Arc<Vec<u32>>,
    is_complement: bool,
    /// Whether rows without an ordinal are kept.
    keeps_null: bool,
}

impl RowSet {
    /// The set of the ordinals that are kept; `None` where every row is.
    pub(crate) fn of(column: &'static str, keeps: Vec<bool>, keeps_null: bool) -> Option<Self> {
        let kept = keeps.iter().filter(|keeps| **keeps).count();
        if kept == keeps.len() && keeps_null {
            return None;
        }
        let is_complement = kept * 2 > keeps.len();
        let listed = keeps.iter().zip(0..).filter(|(keeps, _)| **keeps != is_complement);
        let ordinals = Arc::new(listed.map(|(_, at)| at).collect());
        Some(Self { column, ordinals, is_complement, keeps_null })
    }

    /// Whether no row is kept.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.ordinals.is_empty() && !self.is_complement && !self.keeps_null
    }

    fn expr(&self, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let column = col(self.column, schema)?;
        let list: ArrayRef = Arc::new(UInt32Array::from(self.ordinals.as_ref().clone()));
        let (is_complement, within) = (self.is_complement, Arc::clone(&column));
        let listed = InListExpr::try_new_from_array(within, list, is_complement, schema)?;
        let mut parts: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(listed)];
        if let (false, Some(first), Some(last)) =
            (is_complement, self.ordinals.first(), self.ordinals.last())
        {
            // Lets whole pages be skipped.
            parts.push(compare(self.column, Operator::GtEq, (*first).into(), schema)?);
            parts.push(compare(self.column, Operator::LtEq, (*last).into(), schema)?);
        }
        let kept = conjunction(parts);
        if !self.keeps_null {
            return Ok(kept);
        }
        let null: Arc<dyn PhysicalExpr> = Arc::new(IsNullExpr::new(column));
        Ok(Arc::new(BinaryExpr::new(kept, Operator::Or, null)))
    }
}

impl Predicate {
    /// The rows of `kind` within `range` of the `chosen` profiles (ascending ordinals) of a part.
    pub(crate) fn of(
        profiles: &[ProfileRow],
        chosen: &[u32],
        kind: &str,
        range: &TimeRange,
    ) -> Self {
        let mut predicate = Self::default();
        let has_others =
            profiles.iter().any(|row| row.kinds.iter().any(|have| *have.kind != *kind));
        predicate.kind = has_others.then(|| kind.to_owned());
        let have: Vec<_> =
            profiles.iter().filter_map(|row| Some((row, times(row, kind)?))).collect();
        // A profile outside of the range is left out by the time of its rows.
        let (inside, outside): (Vec<_>, Vec<_>) = have
            .iter()
            .partition(|(_, times)| times.first < range.end && range.start <= times.last);
        predicate.pick(inside.iter().map(|(row, _)| *row), chosen);
        let is_chosen = |row: &ProfileRow| chosen.binary_search(&row.ordinal).is_ok();
        let inside = inside.into_iter().filter(|(row, _)| is_chosen(row));
        let meant = || inside.clone().map(|(row, times)| (row.series, within(times, range)));
        if matches!(predicate.ordinals, Some(("profile", _))) {
            predicate.narrow(meant().map(|(_, times)| times));
        } else {
            predicate.cut(inside.clone().chain(outside).map(|(_, times)| times), range);
        }
        if predicate.from_ms.is_some() || predicate.until_ms.is_some() {
            let mut by_series: FxHashMap<u32, Vec<Times>> = FxHashMap::default();
            meant().for_each(|(series, times)| by_series.entry(series).or_default().push(times));
            let have = have.iter().map(|(row, times)| (row.series, *times));
            predicate.bounds = Arc::new(Bounds::of(kind, have, by_series));
        }
        predicate
    }

    /// Narrows to the ends of the range that cut through any of the samples.
    fn cut<'a>(&mut self, times: impl Iterator<Item = &'a KindTotals>, range: &TimeRange) {
        for times in times {
            if times.first < range.start {
                self.from_ms = Some(range.start.millis());
            }
            if times.last >= range.end {
                self.until_ms = Some(range.end.millis());
            }
        }
    }

    /// Narrows to the times of the profiles asked for, so that pages of others are skipped.
    fn narrow(&mut self, times: impl Iterator<Item = Times>) {
        let hull = times.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
        self.from_ms = hull.map(|(from, _)| from);
        self.until_ms = hull.map(|(_, until)| until);
    }

    /// Narrows to the chosen ones among profiles.
    fn pick<'a>(&mut self, profiles: impl Iterator<Item = &'a ProfileRow>, chosen: &[u32]) {
        let mut by_series: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        let mut services: BTreeSet<&str> = BTreeSet::new();
        let mut chosen_services: BTreeSet<&str> = BTreeSet::new();
        for row in profiles {
            let service = row.labels.get(profile::labels::names::SERVICE).unwrap_or("");
            let counts = by_series.entry(row.series).or_default();
            counts.0 += 1;
            services.insert(service);
            if chosen.binary_search(&row.ordinal).is_ok() {
                counts.1 += 1;
                chosen_services.insert(service);
            }
        }
        if by_series.values().all(|(all, chosen)| all == chosen) {
            return;
        }
        let used: Vec<u32> =
            by_series.iter().filter(|(_, (_, chosen))| *chosen > 0).map(|(at, _)| *at).collect();
        let (Some(&first), Some(&last)) = (used.first(), used.last()) else { return };
        self.series_range = Some((first, last));
        if services.len() > 1 && chosen_services.len() == 1 {
            self.service = chosen_services.first().map(|service| (*service).to_owned());
        }
        let whole_series = by_series.values().all(|(all, chosen)| *chosen == 0 || all == chosen);
        let is_gapless = by_series.range(first..=last).count() == used.len();
        if !whole_series {
            self.ordinals = Some(("profile", chosen.to_vec()));
        } else if !is_gapless {
            self.ordinals = Some(("series", used));
        }
    }

    /// What is left to look at in rows that runs have picked.
    pub(crate) fn beyond_runs(&self) -> Self {
        let ordinals = self.ordinals.clone().filter(|(column, _)| *column != "series");
        let bounds = Arc::default();
        Self { kind: None, service: None, series_range: None, ordinals, bounds, ..self.clone() }
    }

    /// Columns it reads.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        let mut columns = Vec::new();
        let mut add = |is_used: bool, name| {
            if is_used {
                columns.push(name);
            }
        };
        add(self.service.is_some(), "service");
        add(self.kind.is_some(), "kind");
        add(self.series_range.is_some(), "series");
        if let Some((name, _)) = &self.ordinals {
            add(true, name);
        }
        add(self.from_ms.is_some() || self.until_ms.is_some(), "ts_ms");
        add(self.timed, "timed");
        for set in &self.rows {
            add(true, set.column);
        }
        columns
    }

    /// The condition over a schema with its columns; `None` when every row fulfils it.
    pub(crate) fn expr(&self, schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let mut parts: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        for (name, wanted) in [("service", &self.service), ("kind", &self.kind)] {
            if let Some(wanted) = wanted {
                parts.push(compare(name, Operator::Eq, text(wanted), schema)?);
            }
        }
        if let Some((first, last)) = self.series_range {
            parts.push(compare("series", Operator::GtEq, first.into(), schema)?);
            parts.push(compare("series", Operator::LtEq, last.into(), schema)?);
        }
        if let Some((name, ordinals)) = &self.ordinals {
            let list: ArrayRef = Arc::new(UInt32Array::from(ordinals.clone()));
            let expr = InListExpr::try_new_from_array(col(name, schema)?, list, false, schema)?;
            parts.push(Arc::new(expr));
        }
        if let Some(from) = self.from_ms {
            parts.push(compare("ts_ms", Operator::GtEq, from.into(), schema)?);
        }
        if let Some(until) = self.until_ms {
            parts.push(compare("ts_ms", Operator::Lt, until.into(), schema)?);
        }
        if self.timed {
            parts.push(col("timed", schema)?);
        }
        for set in &self.rows {
            parts.push(set.expr(schema)?);
        }
        Ok((!parts.is_empty()).then(|| conjunction(parts)))
    }
}

/// What a profile has of a kind, if it has any.
fn times<'a>(row: &'a ProfileRow, kind: &str) -> Option<&'a KindTotals> {
    row.kinds.iter().find(|have| *have.kind == *kind)
}

/// When a profile has samples within a range.
fn within(times: &KindTotals, range: &TimeRange) -> Times {
    let first_after = times.last.millis().saturating_add(1);
    (times.first.max(range.start).millis(), first_after.min(range.end.millis()))
}

fn compare(
    name: &str,
    op: Operator,
    value: ScalarValue,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    Ok(Arc::new(BinaryExpr::new(col(name, schema)?, op, lit(value))))
}

fn text(value: &str) -> ScalarValue {
    let value = Box::new(ScalarValue::Utf8(Some(value.to_owned())));
    ScalarValue::Dictionary(Box::new(DataType::Int32), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Labels, Metadata, VALUES_MAX};
    use stdx::{Timestamp, Ulid};

    fn profile(ordinal: u32, (first, last): (i64, i64)) -> ProfileRow {
        let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(last));
        let kind =
            KindTotals { kind: "wall".into(), samples: 2, totals: [1; VALUES_MAX], first, last };
        ProfileRow {
            ordinal,
            id: Ulid::from_parts(1, ordinal.into()),
            tenant: "default".into(),
            series: 0,
            labels: Arc::new(Labels::new()),
            window: TimeRange::new(first, last),
            received_at: last,
            samples: 2,
            kinds: Arc::new([kind]),
            slices: Arc::default(),
            metadata: Arc::new(Metadata::default()),
        }
    }

    #[test]
    fn some_profiles_of_a_series_are_looked_for_where_they_are() {
        let profiles = [(0, 9), (10, 19), (20, 29), (30, 39)];
        let profiles: Vec<_> = (0..).zip(profiles).map(|(at, times)| profile(at, times)).collect();
        let range = TimeRange::new(Timestamp::from_millis(5), Timestamp::from_millis(35));
        let of = |chosen: &[u32]| Predicate::of(&profiles, chosen, "wall", &range);
        let times = |chosen: &[u32]| (of(chosen).from_ms, of(chosen).until_ms);
        assert_eq!(of(&[0, 1, 2, 3]).ordinals, None);
        assert_eq!(times(&[0, 1, 2, 3]), (Some(5), Some(35)));
        assert_eq!(of(&[1, 2]).ordinals, Some(("profile", vec![1, 2])));
        assert_eq!(times(&[1, 2]), (Some(10), Some(30)));
        assert_eq!(times(&[0]), (Some(5), Some(10)), "the first only until it ends");
        assert_eq!(times(&[3]), (Some(30), Some(35)));
    }
}
