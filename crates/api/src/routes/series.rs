//! Charts over time.

use crate::asked::{Asked, Narrowing, Reading};
use crate::limits::{GROUP_BY_MAX, POINTS_MAX, SERIES_MAX, STEP_MS_MIN, STEPS_DEFAULT};
use crate::question::{Scope, Values, problem_of};
use crate::shapes::{Rollups, labels};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stdx::TimeRange;
use utoipa::{IntoParams, ToSchema};
use views::rollup::HOUR_MS;
use views::{Selection, SeriesQuery, SeriesSet};

/// How to cut time, and what to split by.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Cut {
    /// Length of a step in milliseconds; about 120 steps when absent.
    pub step_ms: Option<i64>,
    /// Labels to split by, comma-separated.
    pub group_by: Option<String>,
}

/// Lines of a chart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Chart {
    /// Unit of the values.
    pub unit: String,
    /// `sum` or `gauge`.
    pub aggregation: &'static str,
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// The lines, largest first.
    pub series: Vec<Line>,
    /// Lines left out because there are too many.
    pub left_out: u64,
    /// What part came from hourly rollups; absent where all is made of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollups: Option<Rollups>,
}

/// A line of a chart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Line {
    /// The group's labels.
    pub labels: BTreeMap<String, String>,
    /// Start of a step in epoch milliseconds, and its value.
    #[schema(value_type = Vec<Vec<i64>>)]
    pub points: Vec<(i64, Option<i64>)>,
}

impl Cut {
    /// The steps and groups for a selection.
    pub(crate) fn query(&self, selection: &Selection) -> Result<SeriesQuery, Problem> {
        let names = self.group_by.as_deref().unwrap_or_default().split(',').map(str::trim);
        let group_by: Vec<String> =
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if group_by.len() > GROUP_BY_MAX {
            let detail = format!("group_by names {} labels", group_by.len());
            return Err(Problem::bad_request(detail, format!("name at most {GROUP_BY_MAX}")));
        }
        let mut own_step = (selection.range.nanos() / 1_000_000 / STEPS_DEFAULT).max(1000);
        if own_step >= HOUR_MS {
            // Whole hours, so that rollups can answer.
            own_step = (own_step + HOUR_MS - 1) / HOUR_MS * HOUR_MS;
        }
        let step_ms = self.step_ms.unwrap_or(own_step).max(STEP_MS_MIN);
        let query = SeriesQuery { step_ms, group_by };
        query.check(&selection.range).map_err(|error| problem_of(&error))?;
        Ok(query)
    }
}

/// The selection with a range that can be cut into steps: one profile that was asked for without a
/// time is as long as its samples.
pub(crate) async fn bounded(state: &ApiState, selection: Selection) -> Result<Selection, Problem> {
    if selection.profile.is_none() || selection.range != TimeRange::ALL {
        return Ok(selection);
    }
    let found = state.views.profiles(&selection, 1, None).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let Some(info) = found.profiles.first() else { return Ok(selection) };
    let first = info.kinds.iter().map(|kind| kind.first).min().unwrap_or(info.window.start);
    let last = info.kinds.iter().map(|kind| kind.last).max().unwrap_or(info.window.end);
    let range = TimeRange::new(first, last.plus_nanos(1_000_000));
    Ok(Selection { range, ..selection })
}

/// Values over time.
#[utoipa::path(get, path = "/api/v1/series", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Cut),
    responses((status = 200, description = "Lines", body = Chart)))]
pub async fn series(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(cut): Query<Cut>,
) -> Result<Json<Chart>, Problem> {
    let selection = bounded(&state, selection).await?;
    let query = cut.query(&selection)?;
    let found = state.views.series(&selection, &query).await;
    Ok(Json(chart(found.map_err(|error| problem_of(&error))?)))
}

/// The largest lines, within the limits.
pub(crate) fn chart(found: SeriesSet) -> Chart {
    let mut lines = found.series;
    let weight = |points: &[(i64, i64)]| points.iter().map(|p| i128::from(p.1)).sum::<i128>();
    lines.sort_by_cached_key(|line| std::cmp::Reverse(weight(&line.points)));
    let all = lines.len();
    lines.truncate(SERIES_MAX);
    let mut points = 0;
    lines.retain(|line| {
        points += line.points.len();
        points <= POINTS_MAX
    });
    let measure = &found.profile_type.measure;
    Chart {
        unit: measure.unit.to_string(),
        aggregation: measure.aggregation.name(),
        step_ms: found.step_ms,
        left_out: (all - lines.len()) as u64,
        series: lines.iter().map(line).collect(),
        rollups: found.rollups.map(Rollups::from),
    }
}

fn line(found: &views::Series) -> Line {
    let points = found.points.iter().map(|&(at, value)| (at, Some(value)));
    Line { labels: labels(&found.labels), points: points.collect() }
}
