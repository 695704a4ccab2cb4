//! One function: who calls it, what it calls, where, at what cost, and since when.

use crate::asked::{Asked, Narrowing, Reading, function};
use crate::limits::{
    CALLERS_DEFAULT, CALLERS_MAX, SANDWICH_NODES_DEFAULT, USAGE_ROWS_DEFAULT, USAGE_ROWS_MAX,
};
use crate::question::{Scope, Values, problem_of};
use crate::routes::flamegraph::{Flame, Size, columns};
use crate::routes::series::{Chart, Cut, bounded, chart};
use crate::shapes::Meta;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use views::UsageQuery;

/// The function that the question is about.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct About {
    /// Its whole name, or a regular expression between slashes; functions that fit are taken as one.
    pub about: String,
}

/// Callers and callees of a function.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sandwich {
    /// Below each frame the ones that called it; the function stands below the root.
    pub callers: Flame,
    /// Below each frame the ones that it called; the function stands below the root.
    pub callees: Flame,
}

/// How many places and callers.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Places {
    /// Label whose values are told apart: `service_name` when absent.
    pub by: Option<String>,
    /// Most places: 50 when absent.
    pub limit: Option<usize>,
    /// Most callers each: 10 when absent.
    pub callers: Option<usize>,
}

/// Where a function is called, and at what cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// What it was made of; the total is of all places.
    pub meta: Meta,
    /// The places, the most expensive first.
    pub places: Vec<Place>,
    /// Places left out.
    pub left_out: u64,
}

/// One place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Place {
    /// Value of the label; empty where there is none.
    pub value: String,
    /// The function's own value.
    #[serde(rename = "self")]
    pub own: i64,
    /// Its value with callees, counted once a stack.
    pub total: i64,
    /// Who called it, the most expensive first.
    pub callers: Vec<Caller>,
    /// Callers left out.
    pub callers_left_out: u64,
}

/// A caller.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Caller {
    /// Its name; absent where the function is outermost.
    pub name: Option<String>,
    /// Its binary.
    pub library: String,
    /// Its source file.
    pub file: String,
    /// What the function cost when called from here.
    pub value: i64,
}

/// What one function costs over time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trend {
    /// Its own values.
    #[serde(rename = "self")]
    pub own: Chart,
    /// With its callees, counted once a stack.
    pub total: Chart,
}

/// Who calls a function, and what it calls.
#[utoipa::path(get, path = "/api/v1/sandwich", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, About, Size),
    responses((status = 200, description = "Callers and callees", body = Sandwich)))]
pub async fn sandwich(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(about): Query<About>,
    Query(size): Query<Size>,
) -> Result<Json<Sandwich>, Problem> {
    let (function, max_nodes) = (function(&about.about)?, size.checked(SANDWICH_NODES_DEFAULT)?);
    let found = state.views.sandwich(&selection, &function, max_nodes).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let flame = |graph: &views::FlameGraph| {
        let meta = Meta::of(&graph.meta, selection.range, graph.len(), graph.trimmed);
        columns(graph, meta)
    };
    Ok(Json(Sandwich { callers: flame(&found.callers), callees: flame(&found.callees) }))
}

/// Who calls a function, in which services, at what cost.
#[utoipa::path(get, path = "/api/v1/callers", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, About, Places),
    responses((status = 200, description = "Places", body = Usage)))]
pub async fn callers(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(about): Query<About>,
    Query(places): Query<Places>,
) -> Result<Json<Usage>, Problem> {
    let query = UsageQuery {
        function: function(&about.about)?,
        by: places.by.filter(|by| !by.is_empty()).unwrap_or_else(|| "service_name".to_owned()),
        limit: places.limit.unwrap_or(USAGE_ROWS_DEFAULT).min(USAGE_ROWS_MAX),
        callers_max: places.callers.unwrap_or(CALLERS_DEFAULT).min(CALLERS_MAX),
    };
    let found = state.views.usage(&selection, &query).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let meta = Meta::of(&found.meta, selection.range, found.rows.len(), 0);
    let places = found.rows.into_iter().map(place).collect();
    Ok(Json(Usage { meta, places, left_out: found.left_out }))
}

fn place(row: views::UsageRow) -> Place {
    let caller = |(frame, value): (Option<views::Frame>, i64)| {
        let text = |text: fn(&views::Frame) -> &str| {
            frame.as_ref().map(text).unwrap_or_default().to_owned()
        };
        let (library, file) = (text(|frame| &frame.library), text(|frame| &frame.file));
        let name = frame.as_ref().map(|frame| frame.name.to_string());
        Caller { name, library, file, value }
    };
    Place {
        value: row.value,
        own: row.own,
        total: row.total,
        callers: row.callers.into_iter().map(caller).collect(),
        callers_left_out: row.callers_left_out,
    }
}

/// What one function costs over time, itself and with its callees.
#[utoipa::path(get, path = "/api/v1/trend", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, About, Cut),
    responses((status = 200, description = "Two charts", body = Trend)))]
pub async fn trend(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(about): Query<About>,
    Query(cut): Query<Cut>,
) -> Result<Json<Trend>, Problem> {
    let function = function(&about.about)?;
    let selection = bounded(&state, selection).await?;
    let query = cut.query(&selection)?;
    let found = state.views.trend(&selection, &function, &query).await;
    let found = found.map_err(|error| problem_of(&error))?;
    Ok(Json(Trend { own: chart(found.own), total: chart(found.total) }))
}
