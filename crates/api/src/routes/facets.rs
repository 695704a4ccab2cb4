//! All labels of a selection with their commonest values, in one answer.

use crate::limits::{FACET_VALUES_DEFAULT, FACET_VALUES_MAX};
use crate::question::{Scope, problem_of};
use crate::routes::overview::LabelValue;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Principal, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many values.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Most {
    /// Most values of a label: 20 when absent.
    pub values: Option<usize>,
}

/// Labels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Facets {
    /// By name.
    pub labels: Vec<Facet>,
}

/// A label.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Facet {
    /// Its name.
    pub name: String,
    /// Its values, those of most profiles first.
    pub values: Vec<LabelValue>,
    /// Number of its values, those not listed included.
    pub distinct: u64,
}

/// All labels with their commonest values.
#[utoipa::path(get, path = "/api/v1/facets", tag = "explore", params(Scope, Most),
    responses((status = 200, description = "Labels", body = Facets)))]
pub async fn facets(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(most): Query<Most>,
) -> Result<Json<Facets>, Problem> {
    let selection = scope.selection(&principal, state.clock.now())?;
    let values_max = most.values.unwrap_or(FACET_VALUES_DEFAULT).min(FACET_VALUES_MAX);
    let found = state.views.facets(&selection, values_max).await;
    let found = found.map_err(|error| problem_of(&error))?;
    let value = |one: views::LabelValue| LabelValue { value: one.value, profiles: one.profiles };
    let facet = |one: views::Facet| Facet {
        name: one.name,
        values: one.values.into_iter().map(value).collect(),
        distinct: one.distinct,
    };
    Ok(Json(Facets { labels: found.into_iter().map(facet).collect() }))
}
