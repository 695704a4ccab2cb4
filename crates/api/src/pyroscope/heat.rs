//! Heat maps: how many profiles, or spans in profiles, had which value, step by step.

use super::exemplars::{self, Largest};
use super::names::pair;
use super::timeline::step_ms;
use super::{Call, select};
use crate::limits::{
    POINTS_MAX, PYROSCOPE_GROUP_BY_MAX, PYROSCOPE_HEAT_ROWS, PYROSCOPE_HEAT_SLOTS_MAX,
};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use ingest::Problem;
use std::collections::BTreeMap;
use views::{Dot, DotsOf};
use wire::pyroscope::{self as message, HeatmapQueryType};

/// The labels that a dot is grouped by.
type Group<'a> = Vec<(&'a str, &'a str)>;

/// Dots by time and value; in each cell at most one exemplar.
pub(super) async fn select_heatmap(
    State(state): State<ApiState>,
    call: Call<message::SelectHeatmapRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let of = if asked.query_type == HeatmapQueryType::Span as i32 {
        DotsOf::Spans
    } else {
        DotsOf::Profiles
    };
    let exemplars_of = exemplars::asked(asked.exemplar_type)?;
    if asked.group_by.len() > PYROSCOPE_GROUP_BY_MAX {
        let detail = format!("group_by names {} labels", asked.group_by.len());
        return Err(Problem::bad_request(detail, format!("name at most {PYROSCOPE_GROUP_BY_MAX}")));
    }
    let range = select::range(&state, asked.start, asked.end)?;
    let step = step_ms(asked.step)?;
    let steps = range.nanos() / 1_000_000 / step;
    if steps > POINTS_MAX as i64 / PYROSCOPE_HEAT_ROWS as i64 {
        let detail = format!("{steps} steps are too many");
        return Err(Problem::bad_request(detail, "ask for a longer step"));
    }
    let (profile_type, selector) = (&asked.profile_type_id, &asked.label_selector);
    let selection = select::values(&call.principal, range, profile_type, selector)?;
    let dots = exemplars::dots(&state, &selection, of).await?;
    let others = match exemplars_of {
        Some(other) if other != of => exemplars::dots(&state, &selection, other).await?,
        _ => Vec::new(),
    };
    let examples = match exemplars_of {
        None => &[][..],
        Some(same) if same == of => &dots,
        Some(_) => &others,
    };
    let grid = Grid::of(&dots, range.start.millis(), step);
    let mut groups = groups(&grid, &dots, examples, &asked.group_by);
    groups.truncate(super::timeline::limit(asked.limit).unwrap_or(usize::MAX));
    check(&groups)?;
    let series = groups.into_iter().map(|group| series(&grid, group, &asked.group_by)).collect();
    Ok(call.answer(&message::SelectHeatmapResponse { series }))
}

/// Where dots are; all groups have the same rows.
struct Grid {
    start_ms: i64,
    step_ms: i64,
    /// The value at which row 0 begins.
    least: i64,
    /// Difference of the values at which rows begin.
    height: f64,
}

impl Grid {
    fn of(dots: &[Dot], start_ms: i64, step_ms: i64) -> Self {
        let least = dots.iter().map(|dot| dot.value).min().unwrap_or_default();
        let most = dots.iter().map(|dot| dot.value).max().unwrap_or_default();
        let height = (most as f64 - least as f64) / PYROSCOPE_HEAT_ROWS as f64;
        Self { start_ms, step_ms, least, height }
    }

    fn column(&self, dot: &Dot) -> i64 {
        (dot.at_ms - self.start_ms).max(0) / self.step_ms
    }

    /// Values beyond the rows are in the nearest.
    fn row(&self, dot: &Dot) -> usize {
        let above = dot.value as f64 - self.least as f64;
        let row = if self.height > 0.0 { above / self.height } else { 0.0 };
        (row as usize).min(PYROSCOPE_HEAT_ROWS - 1)
    }
}

/// A step of a group.
#[derive(Default)]
struct Column<'a> {
    /// Dots of each row.
    counts: [i32; PYROSCOPE_HEAT_ROWS],
    /// By row.
    exemplars: Largest<'a, usize>,
}

/// Labels and columns, by labels; examples stand where dots of their group and step do.
fn groups<'a>(
    grid: &Grid,
    dots: &'a [Dot],
    examples: &'a [Dot],
    group_by: &'a [String],
) -> Vec<(Group<'a>, BTreeMap<i64, Column<'a>>)> {
    let mut groups: BTreeMap<Group<'_>, BTreeMap<i64, Column<'_>>> = BTreeMap::new();
    for dot in dots {
        let columns = groups.entry(group(dot, group_by)).or_default();
        let count = &mut columns.entry(grid.column(dot)).or_default().counts[grid.row(dot)];
        *count = count.saturating_add(1);
    }
    for dot in examples {
        let columns = groups.get_mut(&group(dot, group_by));
        let column = columns.and_then(|columns| columns.get_mut(&grid.column(dot)));
        if let Some(column) = column {
            column.exemplars.offer(grid.row(dot), dot);
        }
    }
    groups.into_iter().collect()
}

fn group<'a>(dot: &'a Dot, group_by: &'a [String]) -> Group<'a> {
    let label = |name: &'a String| {
        let value = dot.labels.get(name).filter(|value| !value.is_empty())?;
        Some((name.as_str(), value))
    };
    group_by.iter().filter_map(label).collect()
}

/// Refuses more slots or exemplars than an answer may have.
fn check(groups: &[(Group<'_>, BTreeMap<i64, Column<'_>>)]) -> Result<(), Problem> {
    let columns = || groups.iter().flat_map(|(_, columns)| columns.values());
    if columns().count() > PYROSCOPE_HEAT_SLOTS_MAX {
        let limit = "PYROSCOPE_HEAT_SLOTS_MAX";
        return Err(exemplars::too_many("slots", PYROSCOPE_HEAT_SLOTS_MAX, limit));
    }
    exemplars::check(columns().map(|column| column.exemplars.len()).sum())
}

fn series(
    grid: &Grid,
    (labels, columns): (Group<'_>, BTreeMap<i64, Column<'_>>),
    group_by: &[String],
) -> message::HeatmapSeries {
    let y_min = |row: usize| grid.least as f64 + grid.height * row as f64;
    let slot = |(column, Column { counts, exemplars }): (i64, Column<'_>)| message::HeatmapSlot {
        // The right edge of the column.
        timestamp: grid.start_ms + (column + 1) * grid.step_ms,
        y_min: (0..PYROSCOPE_HEAT_ROWS).map(y_min).collect(),
        counts: counts.to_vec(),
        exemplars: exemplars.dots().map(|dot| exemplars::exemplar(dot, group_by)).collect(),
    };
    let owned = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    message::HeatmapSeries {
        labels: owned.map(pair).collect(),
        slots: columns.into_iter().map(slot).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use stdx::Ulid;

    fn dot(at_ms: i64, value: i64) -> Dot {
        let labels = Arc::new([("env", "test")].into_iter().collect());
        Dot { profile: Ulid::nil(), labels, at_ms, span: None, value }
    }

    fn map(dots: &[Dot], examples: &[Dot], start_ms: i64, step_ms: i64) -> message::HeatmapSeries {
        let grid = Grid::of(dots, start_ms, step_ms);
        let mut groups = groups(&grid, dots, examples, &[]);
        assert_eq!(groups.len(), 1);
        series(&grid, groups.remove(0), &[])
    }

    #[test]
    fn profiles_are_counted_by_step_and_value() {
        let dots = [dot(1000, 0), dot(1999, 100), dot(2000, 100), dot(2500, 50)];
        let slots = map(&dots, &[], 1000, 1000).slots;
        assert_eq!(slots.iter().map(|slot| slot.timestamp).collect::<Vec<_>>(), [2000, 3000]);
        let last = PYROSCOPE_HEAT_ROWS - 1;
        assert_eq!((slots[0].counts[0], slots[0].counts[last]), (1, 1));
        assert_eq!(slots[1].counts.iter().sum::<i32>(), 2);
        assert!(slots[0].y_min.is_sorted() && slots[0].exemplars.is_empty());
        assert_eq!(map(&[dot(5, 7)], &[], 0, 10).slots[0].counts[0], 1);
    }

    #[test]
    fn a_cell_has_its_largest_dot_as_exemplar() {
        let dots = [dot(10, 1), dot(11, 2), dot(12, 100), dot(21, 50)];
        let examples = [dot(10, 1), dot(11, 2), dot(12, 400), dot(39, 50)];
        let values = |slot: &message::HeatmapSlot| {
            slot.exemplars.iter().map(|one| one.value).collect::<Vec<_>>()
        };
        let slots = map(&dots, &dots, 10, 10).slots;
        assert_eq!(slots.iter().map(values).collect::<Vec<_>>(), [vec![2, 100], vec![50]]);
        let slots = map(&dots, &examples, 10, 10).slots;
        assert_eq!(slots.iter().map(values).collect::<Vec<_>>(), [vec![2, 400], vec![]]);
    }

    #[test]
    fn too_many_slots_are_refused_with_the_limits_name() {
        let dots: Vec<Dot> = (0..=PYROSCOPE_HEAT_SLOTS_MAX as i64).map(|at| dot(at, 1)).collect();
        let refuses = |dots: &[Dot]| check(&groups(&Grid::of(dots, 0, 1), dots, &[], &[]));
        assert!(refuses(&dots[1..]).is_ok());
        let text = format!("{:?}", refuses(&dots).expect_err("one too many"));
        assert!(text.contains("PYROSCOPE_HEAT_SLOTS_MAX"), "{text}");
    }
}
