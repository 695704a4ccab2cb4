//! Heat maps: how many profiles had which value, step by step.

use super::Call;
use super::names::pair;
use super::select;
use super::timeline::step_ms;
use crate::limits::{
    POINTS_MAX, PROFILES_MAX, PYROSCOPE_GROUP_BY_MAX, PYROSCOPE_HEAT_PROFILES_MAX,
    PYROSCOPE_HEAT_ROWS,
};
use crate::question::problem_of;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use ingest::Problem;
use profile::{ProfileTypeId, SampleKind};
use std::collections::BTreeMap;
use views::{ProfileInfo, Selection};
use wire::pyroscope::{self as message, HeatmapQueryType};

/// Counts of each row, by the number of the column.
type Columns = BTreeMap<i64, Vec<i32>>;

/// A profile's place in the map.
struct Dot {
    labels: Vec<(String, String)>,
    at_ms: i64,
    value: i64,
}

/// Profiles by time and value. Values of spans are not kept apart and cannot be asked for.
pub(super) async fn select_heatmap(
    State(state): State<ApiState>,
    call: Call<message::SelectHeatmapRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    if asked.query_type == HeatmapQueryType::Span as i32 {
        let hint = "ask for HEATMAP_QUERY_TYPE_INDIVIDUAL";
        return Err(Problem::bad_request("heat maps of spans are not served", hint));
    }
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
    let dots = dots(&state, &selection, &asked.group_by).await?;
    let limit = super::timeline::limit(asked.limit).unwrap_or(usize::MAX);
    let series = map(dots, range.start.millis(), step).into_iter().take(limit).collect();
    Ok(call.answer(&message::SelectHeatmapResponse { series }))
}

async fn dots(
    state: &ApiState,
    selection: &Selection,
    group_by: &[String],
) -> Result<Vec<Dot>, Problem> {
    let mut dots = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = state.views.profiles(selection, PROFILES_MAX, cursor.as_deref()).await;
        let page = page.map_err(|error| problem_of(&error))?;
        for info in &page.profiles {
            let Some(value) = value_of(info, selection.profile_type.as_ref()) else { continue };
            let label = |name: &String| {
                let value = info.labels.get(name).filter(|value| !value.is_empty())?;
                Some((name.clone(), value.to_owned()))
            };
            let labels = group_by.iter().filter_map(label).collect();
            dots.push(Dot { labels, at_ms: info.window.start.millis(), value });
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(dots);
        }
        if dots.len() >= PYROSCOPE_HEAT_PROFILES_MAX {
            let detail = format!("more than {PYROSCOPE_HEAT_PROFILES_MAX} profiles are selected");
            return Err(Problem::bad_request(
                detail,
                "ask for a shorter range, or narrow the labels",
            ));
        }
    }
}

/// The value of a profile for a type.
fn value_of(info: &ProfileInfo, wanted: Option<&ProfileTypeId>) -> Option<i64> {
    info.kinds.iter().find_map(|kind| {
        let at = SampleKind::from_id(&kind.kind)?.measure_of(wanted?)?;
        (kind.samples > 0).then(|| kind.totals.get(at).copied()).flatten()
    })
}

/// Counts by group, step and row; all groups have the same rows.
fn map(dots: Vec<Dot>, start_ms: i64, step_ms: i64) -> Vec<message::HeatmapSeries> {
    let least = dots.iter().map(|dot| dot.value).min().unwrap_or_default();
    let most = dots.iter().map(|dot| dot.value).max().unwrap_or_default();
    let height = (most as f64 - least as f64) / PYROSCOPE_HEAT_ROWS as f64;
    let mut groups: BTreeMap<Vec<(String, String)>, Columns> = BTreeMap::new();
    for dot in dots {
        let column = (dot.at_ms - start_ms).max(0) / step_ms;
        let row = if height > 0.0 { (dot.value as f64 - least as f64) / height } else { 0.0 };
        let row = (row as usize).min(PYROSCOPE_HEAT_ROWS - 1);
        let columns = groups.entry(dot.labels).or_default();
        let counts = columns.entry(column).or_insert_with(|| vec![0; PYROSCOPE_HEAT_ROWS]);
        counts[row] = counts[row].saturating_add(1);
    }
    let y_min = |row: usize| least as f64 + height * row as f64;
    let slot = |(column, counts): (i64, Vec<i32>)| message::HeatmapSlot {
        // The right edge of the column.
        timestamp: start_ms + (column + 1) * step_ms,
        y_min: (0..PYROSCOPE_HEAT_ROWS).map(y_min).collect(),
        counts,
    };
    let series = groups.into_iter().map(|(labels, columns)| message::HeatmapSeries {
        labels: labels.into_iter().map(pair).collect(),
        slots: columns.into_iter().map(slot).collect(),
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_counted_by_step_and_value() {
        let dot = |at_ms, value| Dot { labels: Vec::new(), at_ms, value };
        let dots = vec![dot(1000, 0), dot(1999, 100), dot(2000, 100), dot(2500, 50)];
        let series = map(dots, 1000, 1000);
        assert_eq!(series.len(), 1);
        let slots = &series[0].slots;
        assert_eq!(slots.iter().map(|slot| slot.timestamp).collect::<Vec<_>>(), [2000, 3000]);
        let last = PYROSCOPE_HEAT_ROWS - 1;
        assert_eq!((slots[0].counts[0], slots[0].counts[last]), (1, 1));
        assert_eq!(slots[1].counts.iter().sum::<i32>(), 2);
        assert!(slots[0].y_min.is_sorted());
        assert_eq!(map(vec![dot(5, 7)], 0, 10)[0].slots[0].counts[0], 1);
    }
}
