//! What there is: profile types, labels, series.

use super::Call;
use super::select::{self, Chosen, is_unknown, type_label, type_labels};
use crate::limits::{LABEL_VALUES_MAX, PYROSCOPE_GROUP_BY_MAX, PYROSCOPE_SERIES_MAX};
use crate::question::problem_of;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use ingest::{Principal, Problem};
use profile::ProfileTypeId;
use profile::labels::names::SERVICE;
use std::collections::BTreeSet;
use stdx::TimeRange;
use views::{Selection, SeriesQuery};
use wire::pyroscope as message;

/// Most selectors of one question.
const SELECTORS_MAX: usize = 16;

type LabelSet = Vec<(String, String)>;

/// Profile types with data.
pub(super) async fn profile_types(
    State(state): State<ApiState>,
    call: Call<message::ProfileTypesRequest>,
) -> Result<Response, Problem> {
    let range = select::range(&state, call.message.start, call.message.end)?;
    let types = select::selection(&call.principal, range, "")?.types(&state).await?;
    let profile_types = types.iter().map(profile_type).collect();
    Ok(call.answer(&message::ProfileTypesResponse { profile_types }))
}

fn profile_type(id: &ProfileTypeId) -> message::ProfileType {
    let part = |name: &str| type_label(id, name).unwrap_or_default();
    message::ProfileType {
        id: id.0.clone(),
        name: part("__name__"),
        sample_type: part("__type__"),
        sample_unit: part("__unit__"),
        period_type: part("__period_type__"),
        period_unit: part("__period_unit__"),
    }
}

/// Selections of which any may hold; everything where there is none.
fn any_of(
    principal: &Principal,
    range: TimeRange,
    selectors: &[String],
) -> Result<Vec<Chosen>, Problem> {
    if selectors.len() > SELECTORS_MAX {
        let detail = format!("{} matchers", selectors.len());
        return Err(Problem::bad_request(detail, format!("give at most {SELECTORS_MAX}")));
    }
    let everything = [String::new()];
    let selectors = if selectors.is_empty() { &everything } else { selectors };
    selectors.iter().map(|text| select::selection(principal, range, text)).collect()
}

/// Names of labels, with those that follow from profile types.
pub(super) async fn label_names(
    State(state): State<ApiState>,
    call: Call<message::LabelNamesRequest>,
) -> Result<Response, Problem> {
    let range = select::range(&state, call.message.start, call.message.end)?;
    let mut names = BTreeSet::new();
    for chosen in any_of(&call.principal, range, &call.message.matchers)? {
        let found = state.views.label_names(&chosen.selection).await;
        names.extend(found.map_err(|error| problem_of(&error))?);
    }
    if !names.is_empty() {
        names.extend(type_labels().map(str::to_owned));
    }
    Ok(call.answer(&message::NamesResponse { names: names.into_iter().collect() }))
}

/// Values of one label.
pub(super) async fn label_values(
    State(state): State<ApiState>,
    call: Call<message::LabelValuesRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let chosen = any_of(&call.principal, range, &asked.matchers)?;
    let names = values_of(&state, &chosen, &asked.name).await?;
    Ok(call.answer(&message::NamesResponse { names }))
}

/// Values of a label in any of several selections.
pub(super) async fn values_of(
    state: &ApiState,
    any: &[Chosen],
    name: &str,
) -> Result<Vec<String>, Problem> {
    let mut values = BTreeSet::new();
    for chosen in any {
        if type_labels().any(|label| label == name) {
            let types = chosen.types(state).await?;
            values.extend(types.iter().filter_map(|id| type_label(id, name)));
        } else if chosen.names_types() {
            let sets = label_sets(state, chosen, &[name.to_owned()]).await?;
            values.extend(sets.into_iter().flatten().map(|(_, value)| value));
        } else {
            let found = state.views.label_values(&chosen.selection, name).await;
            let found = found.map_err(|error| problem_of(&error))?;
            values.extend(found.into_iter().map(|one| one.value).filter(|one| !one.is_empty()));
        }
    }
    Ok(values.into_iter().take(LABEL_VALUES_MAX).collect())
}

/// Label sets with data.
pub(super) async fn series(
    State(state): State<ApiState>,
    call: Call<message::SeriesRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let mut sets = BTreeSet::new();
    for chosen in any_of(&call.principal, range, &asked.matchers)? {
        sets.extend(label_sets(&state, &chosen, &asked.label_names).await?);
    }
    let labels = |set: LabelSet| message::Labels { labels: set.into_iter().map(pair).collect() };
    let labels_set = sets.into_iter().take(PYROSCOPE_SERIES_MAX).map(labels).collect();
    Ok(call.answer(&message::SeriesResponse { labels_set }))
}

pub(super) fn pair((name, value): (String, String)) -> message::LabelPair {
    message::LabelPair { name, value }
}

/// The combinations of these labels that have data; of all labels where none is named.
async fn label_sets(
    state: &ApiState,
    chosen: &Chosen,
    names: &[String],
) -> Result<BTreeSet<LabelSet>, Problem> {
    let mut own: Vec<String> = names.to_vec();
    if names.is_empty() {
        let all = state.views.label_names(&chosen.selection).await;
        own = all.map_err(|error| problem_of(&error))?;
        own.truncate(PYROSCOPE_GROUP_BY_MAX);
        own.extend(type_labels().map(str::to_owned));
    }
    let of_type: Vec<String> =
        own.iter().filter(|name| type_labels().any(|label| label == *name)).cloned().collect();
    own.retain(|name| !of_type.contains(name));
    if own.len() > PYROSCOPE_GROUP_BY_MAX {
        let detail = format!("{} labels", own.len());
        return Err(Problem::bad_request(detail, format!("name at most {PYROSCOPE_GROUP_BY_MAX}")));
    }
    let mut sets = BTreeSet::new();
    let types = chosen.types(state).await?;
    if own.iter().all(|name| name == SERVICE) {
        return sets_of_services(state, chosen, &types, (&own, &of_type)).await;
    }
    for id in types {
        let selection = chosen.of_type(id.clone());
        for mut set in groups(state, &selection, &own).await? {
            set.extend(with_type(&id, &of_type));
            set.sort();
            sets.insert(set);
        }
    }
    Ok(sets)
}

fn with_type<'a>(
    id: &'a ProfileTypeId,
    names: &'a [String],
) -> impl Iterator<Item = (String, String)> + 'a {
    names.iter().filter_map(|name| Some((name.clone(), type_label(id, name)?)))
}

/// Services and their types are known without reading values.
async fn sets_of_services(
    state: &ApiState,
    chosen: &Chosen,
    types: &[ProfileTypeId],
    (own, of_type): (&[String], &[String]),
) -> Result<BTreeSet<LabelSet>, Problem> {
    let found = state.views.services(&chosen.selection, 1).await;
    let mut sets = BTreeSet::new();
    for service in found.map_err(|error| problem_of(&error))?.services {
        for id in service.types.iter().filter(|id| types.contains(id)) {
            let mut set: LabelSet = with_type(id, of_type).collect();
            set.extend(own.iter().map(|name| (name.clone(), service.service.clone())));
            set.sort();
            sets.insert(set);
        }
    }
    Ok(sets)
}

/// The groups with values of one type.
async fn groups(
    state: &ApiState,
    selection: &Selection,
    names: &[String],
) -> Result<Vec<LabelSet>, Problem> {
    let step_ms = (selection.range.nanos() / 1_000_000).max(1);
    let query = SeriesQuery { step_ms, group_by: names.to_vec() };
    let found = match state.views.series(selection, &query).await {
        Err(error) if is_unknown(&error) => return Ok(Vec::new()),
        found => found.map_err(|error| problem_of(&error))?,
    };
    let set = |one: &views::Series| {
        let labels = one.labels.iter().filter(|(_, value)| !value.is_empty());
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    Ok(found.series.iter().map(set).collect())
}
