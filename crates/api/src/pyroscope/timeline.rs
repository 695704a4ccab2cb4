//! Values over time.

use super::names::pair;
use super::select::{self, is_unknown, type_label};
use super::{Call, exemplars};
use crate::limits::{
    POINTS_MAX, PYROSCOPE_GROUP_BY_MAX, PYROSCOPE_SERIES_MAX, PYROSCOPE_STEP_MS_DEFAULT,
    STEP_MS_MIN,
};
use crate::question::problem_of;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use ingest::Problem;
use std::cmp::Reverse;
use views::{Selection, Series, SeriesQuery};
use wire::pyroscope as message;

/// A step in seconds as whole milliseconds.
pub(super) fn step_ms(seconds: f64) -> Result<i64, Problem> {
    if !seconds.is_finite() || !(0.0..=1e9).contains(&seconds) {
        let detail = format!("step={seconds} is no step");
        return Err(Problem::bad_request(detail, "give a number of seconds"));
    }
    let millis = (seconds * 1000.0).round() as i64;
    Ok(if millis == 0 { PYROSCOPE_STEP_MS_DEFAULT } else { millis.max(STEP_MS_MIN) })
}

/// Lines of a selection, the largest first, at most `limit`.
pub(super) async fn lines(
    state: &ApiState,
    selection: &Selection,
    query: &SeriesQuery,
    limit: Option<usize>,
) -> Result<Vec<Series>, Problem> {
    if query.group_by.len() > PYROSCOPE_GROUP_BY_MAX {
        let detail = format!("group_by names {} labels", query.group_by.len());
        return Err(Problem::bad_request(detail, format!("name at most {PYROSCOPE_GROUP_BY_MAX}")));
    }
    query.check(&selection.range).map_err(|error| problem_of(&error))?;
    let found = match state.views.series(selection, query).await {
        Err(error) if is_unknown(&error) => return Ok(Vec::new()),
        found => found.map_err(|error| problem_of(&error))?,
    };
    let mut lines = found.series;
    let weight = |line: &Series| line.points.iter().map(|point| i128::from(point.1)).sum::<i128>();
    lines.sort_by_cached_key(|line| Reverse(weight(line)));
    lines.truncate(limit.unwrap_or(PYROSCOPE_SERIES_MAX).min(PYROSCOPE_SERIES_MAX));
    let mut points = 0;
    lines.retain(|line| {
        points += line.points.len();
        points <= POINTS_MAX
    });
    Ok(lines)
}

/// The most lines that a question asks for.
pub(super) fn limit(asked: Option<i64>) -> Option<usize> {
    asked.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok())
}

/// Lines of values: sums a step, mean levels for gauges, whatever aggregation is asked for. Beside a
/// point stands at most one exemplar.
pub(super) async fn select_series(
    State(state): State<ApiState>,
    call: Call<message::SelectSeriesRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let (profile_type, selector) = (&asked.profile_type_id, &asked.label_selector);
    let mut selection = select::values(&call.principal, range, profile_type, selector)?;
    select::call_site(&mut selection, asked.stack_trace_selector.as_ref())?;
    let Some(id) = selection.profile_type.clone() else {
        return Err(Problem::internal("a selection of values lost its type"));
    };
    let of_type = |name: &String| type_label(&id, name).map(|value| (name.clone(), value));
    let (types, group_by): (Vec<String>, Vec<String>) =
        asked.group_by.iter().cloned().partition(|name| of_type(name).is_some());
    let query = SeriesQuery { step_ms: step_ms(asked.step)?, group_by };
    let exemplars = exemplars::asked(asked.exemplar_type)?;
    let lines = lines(&state, &selection, &query, limit(asked.limit)).await?;
    let dots = match exemplars {
        Some(of) if !lines.is_empty() => exemplars::dots(&state, &selection, of).await?,
        _ => Vec::new(),
    };
    let mut largest = exemplars::beside(&lines, &query, &dots);
    exemplars::check(largest.len())?;
    let series = lines.into_iter().enumerate().map(|(at, line)| {
        let own = line.labels.iter().filter(|(_, value)| !value.is_empty());
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut labels: Vec<_> = own.chain(types.iter().filter_map(of_type)).collect();
        labels.sort();
        let point = |(place, (timestamp, value)): (usize, (i64, i64))| {
            let beside = largest.take(&(at, place));
            let beside = beside.map(|dot| exemplars::exemplar(dot, &query.group_by));
            let exemplars = beside.into_iter().collect();
            message::Point { value: value as f64, timestamp, exemplars }
        };
        let points = line.points.into_iter().enumerate().map(point).collect();
        message::Series { labels: labels.into_iter().map(pair).collect(), points }
    });
    let series = series.collect();
    Ok(call.answer(&message::SelectSeriesResponse { series }))
}
