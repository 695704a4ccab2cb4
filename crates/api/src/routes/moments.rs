//! What happened when, from the samples' own times.

use crate::asked::{Asked, Narrowing, Reading};
use crate::limits::{
    HEAT_CELLS_MAX, HEAT_COLUMN_MS_DEFAULT, HEAT_ROWS_DEFAULT, POINTS_MAX, THREADS_DEFAULT,
    THREADS_MAX, TIMELINE_STEPS_MAX,
};
use crate::question::{Scope, Values, problem_of};
use crate::shapes::{Meta, Range};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use views::moments::ThreadLine;
use views::{HeatmapQuery, TimelineQuery};

/// Shape of a heat map.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Grid {
    /// Length of a column in milliseconds: 1000 when absent.
    pub column_ms: Option<i64>,
    /// Rows of a column, each a whole number of milliseconds: 50 when absent.
    pub rows: Option<i64>,
}

/// Samples by column of time and time within the column. Only samples with a time of their own.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Heatmap {
    /// What it was made of; total and samples are of timed samples.
    pub meta: Meta,
    /// Where samples lie.
    pub extent: Range,
    /// Length of a column in milliseconds.
    pub column_ms: i64,
    /// Rows of a column.
    pub rows: i64,
    /// Cells with samples: start of the column in epoch milliseconds, row from 0 (it begins with
    /// the column), number of samples, sum of their values.
    #[schema(value_type = Vec<Vec<i64>>)]
    pub cells: Vec<(i64, i64, u64, i64)>,
}

/// Shape of a timeline.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Steps {
    /// Length of a step in milliseconds; about 120 steps when absent.
    pub step_ms: Option<i64>,
    /// Most threads, those with the largest sums: 50 when absent.
    pub threads: Option<usize>,
}

/// What threads did when. Only samples with a time of their own. Threads of different processes
/// with the same id and name are one: select an instance to tell them apart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// What it was made of; total and samples are of timed samples.
    pub meta: Meta,
    /// Where samples lie.
    pub extent: Range,
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// The threads, the largest sum first.
    pub threads: Vec<Thread>,
    /// Threads left out.
    pub left_out: u64,
}

/// One thread.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Thread {
    /// Its id; absent for samples without a thread.
    pub id: Option<i64>,
    /// Its name.
    pub name: String,
    /// Its samples.
    pub samples: u64,
    /// Sum of their values.
    pub total: i64,
    /// Start of a step in epoch milliseconds, samples, sum of values; steps without samples are left
    /// out.
    #[schema(value_type = Vec<Vec<i64>>)]
    pub points: Vec<(i64, u64, i64)>,
}

/// Samples by time and time within the second (or another column).
#[utoipa::path(get, path = "/api/v1/heatmap", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Grid),
    responses((status = 200, description = "Cells", body = Heatmap)))]
pub async fn heatmap(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(grid): Query<Grid>,
) -> Result<Json<Heatmap>, Problem> {
    let query = HeatmapQuery {
        column_ms: grid.column_ms.unwrap_or(HEAT_COLUMN_MS_DEFAULT),
        rows: grid.rows.unwrap_or(HEAT_ROWS_DEFAULT),
        cells_max: HEAT_CELLS_MAX,
    };
    let found = state.views.heatmap(&selection, query).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let cells = found.cells.iter().map(|one| (one.column_ms, one.row, one.samples, one.value));
    Ok(Json(Heatmap {
        meta: Meta::of(&found.meta, selection.range, found.cells.len(), 0),
        extent: found.extent.into(),
        column_ms: found.column_ms,
        rows: found.rows,
        cells: cells.collect(),
    }))
}

/// Samples by thread and time.
#[utoipa::path(get, path = "/api/v1/timeline", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Steps),
    responses((status = 200, description = "Threads", body = Timeline)))]
pub async fn timeline(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(steps): Query<Steps>,
) -> Result<Json<Timeline>, Problem> {
    let query = TimelineQuery {
        step_ms: steps.step_ms,
        threads_max: steps.threads.unwrap_or(THREADS_DEFAULT).min(THREADS_MAX),
        steps_max: TIMELINE_STEPS_MAX,
    };
    let found = state.views.timeline(&selection, query).await;
    let mut found = found.map_err(|error| problem_of(&error))?;
    let all = found.threads.len();
    let mut points = 0;
    found.threads.retain(|line| {
        points += line.points.len();
        points <= POINTS_MAX
    });
    Ok(Json(Timeline {
        meta: Meta::of(&found.meta, selection.range, found.threads.len(), 0),
        extent: found.extent.into(),
        step_ms: found.step_ms,
        left_out: found.left_out + (all - found.threads.len()) as u64,
        threads: found.threads.into_iter().map(thread).collect(),
    }))
}

fn thread(line: ThreadLine) -> Thread {
    let (id, name) = line.thread.map_or((None, String::new()), |(id, name)| (Some(id), name));
    Thread { id, name, samples: line.samples, total: line.total, points: line.points }
}
