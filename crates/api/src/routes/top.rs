//! Tables of functions.

use crate::asked::{Asked, Narrowing, Reading};
use crate::csv;
use crate::limits::{TOP_ROWS_DEFAULT, TOP_ROWS_MAX};
use crate::question::{Scope, Values, problem_of};
use crate::shapes::Meta;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use views::{GroupBy, GroupQuery, Selection, TopQuery, TopSort};

/// How many rows, of what, in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Rows {
    /// Most rows: 100 when absent.
    pub limit: Option<usize>,
    /// `self` (when absent) or `total`.
    pub sort: Option<String>,
    /// `function` (when absent), or groups: `name`, `file`, `library`, `package`, `thread`, or
    /// `attribute:KEY` for an attribute of samples, such as the class of allocated objects.
    pub by: Option<String>,
    /// `csv` for a file; JSON when absent.
    pub format: Option<String>,
}

impl Rows {
    fn sort(&self) -> Result<TopSort, Problem> {
        match self.sort.as_deref() {
            None | Some("" | "self") => Ok(TopSort::Own),
            Some("total") => Ok(TopSort::Total),
            Some(other) => {
                let detail = format!("sort={other:?} is not known");
                Err(Problem::bad_request(detail, "write sort=self or sort=total"))
            }
        }
    }

    fn is_csv(&self) -> Result<bool, Problem> {
        match self.format.as_deref() {
            None | Some("" | "json") => Ok(false),
            Some("csv") => Ok(true),
            Some(other) => {
                let detail = format!("format={other:?} is not known");
                Err(Problem::bad_request(detail, "write format=json or format=csv"))
            }
        }
    }

    /// What rows are; `None` for functions.
    fn by(&self) -> Result<Option<GroupBy>, Problem> {
        let by = self.by.as_deref().unwrap_or_default();
        if let Some(key) = by.strip_prefix("attribute:").filter(|key| !key.is_empty()) {
            return Ok(Some(GroupBy::Attribute(key.to_owned())));
        }
        match by {
            "" | "function" => Ok(None),
            "name" => Ok(Some(GroupBy::Function)),
            "file" => Ok(Some(GroupBy::File)),
            "library" => Ok(Some(GroupBy::Library)),
            "package" => Ok(Some(GroupBy::Package)),
            "thread" => Ok(Some(GroupBy::Thread)),
            other => {
                let hint = "write by=function, name, file, library, package, thread or \
                    attribute:KEY";
                Err(Problem::bad_request(format!("by={other:?} is not known"), hint))
            }
        }
    }
}

/// A table of functions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Top {
    /// What it was made of.
    pub meta: Meta,
    /// In the order asked for; empty where groups were asked for.
    pub functions: Vec<Function>,
    /// Groups in the order asked for; empty where functions were asked for.
    pub groups: Vec<GroupOf>,
    /// Groups left out.
    pub left_out: u64,
}

/// One group. Groups of threads and attributes have one value, in both.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupOf {
    /// What it is of; empty where that is not known.
    pub key: String,
    /// Values of its functions alone.
    #[serde(rename = "self")]
    pub own: i64,
    /// Values of its functions with callees, counted once a stack.
    pub total: i64,
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

impl Top {
    /// As a file: a row a function or group.
    fn into_csv(self) -> Response {
        let mut text = String::new();
        let mut row = |cells: &[&str]| csv::row(&mut text, cells);
        if self.groups.is_empty() {
            row(&["name", "library", "file", "class", "self", "total"]);
        } else {
            row(&["key", "self", "total"]);
        }
        for one in &self.functions {
            let values = (one.own.to_string(), one.total.to_string());
            row(&[&one.name, &one.library, &one.file, &one.class, &values.0, &values.1]);
        }
        for one in &self.groups {
            row(&[&one.key, &one.own.to_string(), &one.total.to_string()]);
        }
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"top.csv\""),
        ];
        (headers, text).into_response()
    }
}

/// The functions, or groups of them, with the largest values.
#[utoipa::path(get, path = "/api/v1/top", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Rows),
    responses(
        (status = 200, description = "Functions or groups, or a file of them",
            content((Top = "application/json"), (String = "text/csv")))))]
pub async fn top(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(rows): Query<Rows>,
) -> Result<Response, Problem> {
    let is_csv = rows.is_csv()?;
    let table = table(&state, &selection, &rows).await?;
    Ok(if is_csv { table.into_csv() } else { Json(table).into_response() })
}

async fn table(state: &ApiState, selection: &Selection, rows: &Rows) -> Result<Top, Problem> {
    let sort = rows.sort()?;
    let limit = rows.limit.unwrap_or(TOP_ROWS_DEFAULT).min(TOP_ROWS_MAX);
    if let Some(by) = rows.by()? {
        let query = GroupQuery { by, limit, sort };
        let table = state.views.groups(selection, &query).await;
        let table = table.map_err(|error| problem_of(&error))?;
        let meta = Meta::of(&table.meta, selection.range, table.rows.len(), 0);
        let groups = table.rows.into_iter();
        let groups = groups.map(|row| GroupOf { key: row.key, own: row.own, total: row.total });
        let (groups, left_out) = (groups.collect(), table.left_out);
        return Ok(Top { meta, functions: Vec::new(), groups, left_out });
    }
    let table = state.views.top(selection, TopQuery { limit, sort }).await;
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
    Ok(Top { meta, functions: functions.collect(), groups: Vec::new(), left_out: 0 })
}
