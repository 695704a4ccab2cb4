//! Tables of functions.

use crate::limits::{TOP_ROWS_DEFAULT, TOP_ROWS_MAX};
use crate::question::{Scope, Values, problem_of};
use crate::shapes::Meta;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Principal, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use views::{TopQuery, TopSort};

/// How many functions, in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Rows {
    /// Most functions: 100 when absent.
    pub limit: Option<usize>,
    /// `self` (when absent) or `total`.
    pub sort: Option<String>,
}

/// A table of functions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Top {
    /// What it was made of.
    pub meta: Meta,
    /// In the order asked for.
    pub functions: Vec<Function>,
}

/// One function.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its binary.
    pub library: String,
    /// Its source file.
    pub file: String,
    /// Whose code it is: `own`, `dependency`, `runtime`, `kernel` or `unknown`.
    pub class: String,
    /// Its own value.
    #[serde(rename = "self")]
    pub own: i64,
    /// Its value with callees; recursion counts once.
    pub total: i64,
}

/// The functions with the largest values.
#[utoipa::path(get, path = "/api/v1/top", tag = "profiles", params(Scope, Values, Rows),
    responses((status = 200, description = "Functions", body = Top)))]
pub async fn top(
    State(state): State<ApiState>,
    principal: Principal,
    Query(scope): Query<Scope>,
    Query(values): Query<Values>,
    Query(rows): Query<Rows>,
) -> Result<Json<Top>, Problem> {
    let sort = match rows.sort.as_deref() {
        None | Some("" | "self") => TopSort::Own,
        Some("total") => TopSort::Total,
        Some(other) => {
            let detail = format!("sort={other:?} is not known");
            return Err(Problem::bad_request(detail, "write sort=self or sort=total"));
        }
    };
    let limit = rows.limit.unwrap_or(TOP_ROWS_DEFAULT).min(TOP_ROWS_MAX);
    let selection = values.narrow(scope.selection(&principal, state.clock.now())?, &scope)?;
    let table = state.views.top(&selection, TopQuery { limit, sort }).await;
    let table = table.map_err(|error| problem_of(&error))?;
    let functions = table.functions.iter().map(|row| Function {
        name: row.frame.name.to_string(),
        library: row.frame.library.to_string(),
        file: row.frame.file.to_string(),
        class: row.frame.class_with(&state.classes).name().to_owned(),
        own: row.own,
        total: row.total,
    });
    let meta = Meta::of(&table.meta, selection.range, table.functions.len(), 0);
    Ok(Json(Top { meta, functions: functions.collect() }))
}
