//! What is known of the data and of the server.

use super::{Call, select};
use crate::question::problem_of;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use ingest::Problem;
use serde_json::{Value, json};
use stdx::{TimeRange, Timestamp};
use views::Selection;
use wire::pyroscope as message;

/// How exactly the time of the oldest profile is found, in milliseconds.
const OLDEST_WITHIN_MS: i64 = 60_000;
/// What a sample takes in a segment, for estimates.
const SAMPLE_BYTES: u64 = 8;

/// The newest profile in a range.
async fn newest(state: &ApiState, selection: &Selection) -> Result<Option<i64>, Problem> {
    let found = state.views.profiles(selection, 1, None).await;
    let found = found.map_err(|error| problem_of(&error))?;
    Ok(found.profiles.first().map(|info| info.window.start.millis()))
}

/// Whether there is data, and of which time.
pub(super) async fn profile_stats(
    State(state): State<ApiState>,
    call: Call<message::GetProfileStatsRequest>,
) -> Result<Response, Problem> {
    let all = TimeRange::new(Timestamp::from_millis(0), TimeRange::ALL.end);
    let mut selection = Selection::everything(call.principal.tenant.clone(), all);
    let Some(newest_profile_time) = newest(&state, &selection).await? else {
        return Ok(call.answer(&message::GetProfileStatsResponse::default()));
    };
    // There is none before `none`, and one at `oldest`.
    let (mut none, mut oldest) = (0, newest_profile_time);
    while oldest - none > OLDEST_WITHIN_MS {
        let middle = none + (oldest - none) / 2;
        selection.range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(middle));
        match newest(&state, &selection).await? {
            Some(found) => oldest = found.min(middle),
            None => none = middle,
        }
    }
    Ok(call.answer(&message::GetProfileStatsResponse {
        data_ingested: true,
        oldest_profile_time: oldest,
        newest_profile_time,
    }))
}

/// What a query would read; bytes are estimates.
pub(super) async fn analyze_query(
    State(state): State<ApiState>,
    call: Call<message::AnalyzeQueryRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let selector = asked.query.find('{').map_or("", |at| &asked.query[at..]);
    let chosen = select::selection(&call.principal, range, selector)?;
    let found = state.views.services(&chosen.selection, 1).await;
    let services = found.map_err(|error| problem_of(&error))?.services;
    let samples: u64 = services.iter().map(|one| one.quality.samples).sum();
    let series: u64 = services.iter().map(|one| one.instances).sum();
    let bytes = samples.saturating_mul(SAMPLE_BYTES);
    let scope = message::QueryScope {
        component_type: "Store".to_owned(),
        component_count: 1,
        series_count: series,
        sample_count: samples,
        profile_bytes: bytes,
        ..message::QueryScope::default()
    };
    Ok(call.answer(&message::AnalyzeQueryResponse {
        query_scopes: vec![scope],
        query_impact: Some(message::QueryImpact {
            total_bytes_in_time_range: bytes,
            total_queried_series: series,
            deduplication_needed: false,
        }),
    }))
}

/// The server's version in Prometheus' form.
pub(super) async fn build_info(State(state): State<ApiState>) -> Json<Value> {
    let (version, build) = (&state.info.version, &state.info.build);
    Json(json!({
        "status": "success",
        "data": {
            "version": version, "revision": build, "branch": "",
            "buildUser": "", "buildDate": "", "goVersion": "",
        },
    }))
}
