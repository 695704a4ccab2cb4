//! `/pyroscope/render`, `/pyroscope/render-diff` and `/pyroscope/label-values`: older than the
//! service, still what scripts and some pages of Grafana ask.

use super::select::{self, Chosen};
use super::{levels, names, outputs, stacks, timeline};
use crate::limits::{PYROSCOPE_STEP_MS_DEFAULT, STEPS_DEFAULT};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ingest::attime::{self, Epoch};
use ingest::{Principal, Problem, Query};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stdx::{TimeRange, Timestamp};
use views::{Selection, Series, SeriesQuery};
use wire::pyroscope::Level;

/// Parameters of one side.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Side {
    query: Option<String>,
    from: Option<String>,
    until: Option<String>,
    #[serde(alias = "max-nodes")]
    #[serde(rename = "maxNodes")]
    max_nodes: Option<i64>,
    #[serde(rename = "groupBy")]
    group_by: Option<String>,
    format: Option<String>,
}

/// Parameters of two sides.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Sides {
    #[serde(rename = "leftQuery")]
    left_query: Option<String>,
    #[serde(rename = "leftFrom")]
    left_from: Option<String>,
    #[serde(rename = "leftUntil")]
    left_until: Option<String>,
    #[serde(rename = "rightQuery")]
    right_query: Option<String>,
    #[serde(rename = "rightFrom")]
    right_from: Option<String>,
    #[serde(rename = "rightUntil")]
    right_until: Option<String>,
    #[serde(rename = "maxNodes", alias = "max-nodes")]
    max_nodes: Option<i64>,
}

/// Parameters of a question about a label.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    label: Option<String>,
    query: Option<String>,
    from: Option<String>,
    until: Option<String>,
}

type Text = Option<String>;

fn range(state: &ApiState, from: &Text, until: &Text) -> Result<TimeRange, Problem> {
    let now = state.clock.now();
    let time = |name: &str, text: &Text| match text.as_deref().filter(|text| !text.is_empty()) {
        None => Ok(0),
        Some(text) => {
            attime::parse(text, now, Epoch::Guess).map(Timestamp::millis).ok_or_else(|| {
                let detail = format!("{name}={text:?} is no time");
                Problem::bad_request(detail, "write an epoch time, now, or now-1h")
            })
        }
    };
    select::range(state, time("from", from)?, time("until", until)?)
}

/// `type{selector}`.
fn values(principal: &Principal, query: &Text, range: TimeRange) -> Result<Selection, Problem> {
    let query = query.as_deref().unwrap_or_default();
    let (profile_type, selector) = query.split_at(query.find('{').unwrap_or(query.len()));
    select::values(principal, range, profile_type.trim(), selector)
}

/// What values are and how they are to be shown.
fn metadata(selection: &Selection, format: &str) -> Value {
    let id = selection.profile_type.as_ref().map_or("", |id| id.0.as_str());
    let (units, rate) = match stacks::unit(id) {
        // So many samples a second are shown as time.
        "nanoseconds" => ("samples", 1_000_000_000),
        "bytes" => ("bytes", 100),
        _ => ("objects", 100),
    };
    let name = id.split(':').nth(1).unwrap_or_default();
    json!({ "format": format, "spyName": "", "sampleRate": rate, "units": units, "name": name })
}

fn rows(levels: &[Level]) -> Vec<&[i64]> {
    levels.iter().map(|level| level.values.as_slice()).collect()
}

fn chart(line: Option<&Series>, range: TimeRange, step_ms: i64) -> Value {
    let first = range.start.millis().div_euclid(step_ms) * step_ms;
    let count = (range.end.millis() - first + step_ms - 1).max(0) / step_ms;
    let mut samples = vec![0; usize::try_from(count).unwrap_or_default()];
    for &(at, value) in line.map(|line| line.points.as_slice()).unwrap_or_default() {
        let place = usize::try_from((at - first) / step_ms).ok();
        if let Some(slot) = place.and_then(|place| samples.get_mut(place)) {
            *slot = value;
        }
    }
    json!({
        "startTime": first / 1000, "samples": samples, "durationDelta": step_ms / 1000,
        "watermarks": {},
    })
}

/// A flame graph with its values over time.
pub(super) async fn render(
    State(state): State<ApiState>,
    principal: Principal,
    Query(side): Query<Side>,
) -> Result<Response, Problem> {
    let range = range(&state, &side.from, &side.until)?;
    let selection = values(&principal, &side.query, range)?;
    let graph = stacks::rendered(&state, &selection, select::nodes(side.max_nodes)).await?;
    if side.format.as_deref() == Some("dot") {
        let id = selection.profile_type.as_ref().map_or("", |id| id.0.as_str());
        return Ok(outputs::dot(&graph, stacks::unit(id)).into_response());
    }
    let flame = levels::single(&graph);
    let whole_seconds = range.nanos() / 1_000_000_000 / STEPS_DEFAULT * 1000;
    let step_ms = whole_seconds.max(PYROSCOPE_STEP_MS_DEFAULT);
    let query = SeriesQuery { step_ms, group_by: Vec::new() };
    let all = timeline::lines(&state, &selection, &query, None).await?;
    let mut groups = Map::new();
    if let Some(label) = side.group_by.filter(|label| !label.is_empty()) {
        let query = SeriesQuery { step_ms, group_by: vec![label.clone()] };
        for line in timeline::lines(&state, &selection, &query, None).await? {
            let value = line.labels.get(&label).unwrap_or_default().to_owned();
            groups.insert(value, chart(Some(&line), range, step_ms));
        }
    }
    Ok(Json(json!({
        "version": 1,
        "flamebearer": {
            "names": flame.names, "levels": rows(&flame.levels), "numTicks": flame.total,
            "maxSelf": flame.max_self,
        },
        "metadata": metadata(&selection, "single"),
        "timeline": chart(all.first(), range, step_ms),
        "groups": groups,
        "heatmap": null,
    }))
    .into_response())
}

/// Two flame graphs in one.
pub(super) async fn render_diff(
    State(state): State<ApiState>,
    principal: Principal,
    Query(sides): Query<Sides>,
) -> Result<Json<Value>, Problem> {
    let left = range(&state, &sides.left_from, &sides.left_until)?;
    let left = values(&principal, &sides.left_query, left)?;
    let right = range(&state, &sides.right_from, &sides.right_until)?;
    let right = values(&principal, &sides.right_query, right)?;
    let flame = stacks::difference(&state, &left, &right, select::nodes(sides.max_nodes)).await?;
    Ok(Json(json!({
        "version": 1,
        "flamebearer": {
            "names": flame.names, "levels": rows(&flame.levels), "numTicks": flame.total,
            "maxSelf": flame.max_self,
        },
        "metadata": metadata(&left, "double"),
        "leftTicks": flame.left_ticks,
        "rightTicks": flame.right_ticks,
    })))
}

/// Values of a label.
pub(super) async fn label_values(
    State(state): State<ApiState>,
    principal: Principal,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<String>>, Problem> {
    let Some(label) = asked.label.filter(|label| !label.is_empty()) else {
        let hint = "add label=service_name to the address";
        return Err(Problem::bad_request("the parameter `label` is missing", hint));
    };
    let range = range(&state, &asked.from, &asked.until)?;
    let query = asked.query.unwrap_or_default();
    let selector = query.find('{').map_or("", |at| &query[at..]);
    let chosen: Chosen = select::selection(&principal, range, selector)?;
    let values = names::values_of(&state, &[chosen], &label).await;
    values.map(Json)
}
