//! Two selections side by side.

use crate::asked::{Asked, Narrowing, Reading};
use crate::limits::FLAME_NODES_DEFAULT;
use crate::question::{Scope, Values, parse_id, problem_of};
use crate::routes::flamegraph::{NodeTexts, Size, flags};
use crate::shapes::Meta;
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use stdx::TimeRange;
use utoipa::{IntoParams, ToSchema};
use views::{DiffGraph, Normalise, Selection, parse_matchers};

/// The side before. What is absent is as on the side after.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Before {
    /// Start of the time before, written like `from`.
    pub before_from: Option<String>,
    /// End of the time before, written like `to`.
    pub before_to: Option<String>,
    /// Label selector of the side before.
    pub before_match: Option<String>,
    /// The profile before.
    pub before_profile: Option<String>,
    /// `total` (when absent): nodes are weighed by their part of their own side's total, so that
    /// sides of different length compare; `none`: by their values.
    pub normalise: Option<String>,
}

/// A call tree of two sides as columns: one entry a node, in pre-order, the root first, siblings by
/// the larger of their two weights. Values are never scaled: divide by the side's total, or by the
/// length of its range, to compare. `name`, `library` and `file` are positions in `names`,
/// `libraries` and `files`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Diff {
    /// The side before.
    pub before: Meta,
    /// The side after.
    pub after: Meta,
    /// How nodes were weighed: `total` or `none`.
    pub normalise: &'static str,
    /// Distinct function names.
    pub names: Vec<String>,
    /// Distinct binaries.
    pub libraries: Vec<String>,
    /// Distinct source files.
    pub files: Vec<String>,
    /// Depth; the root has 0.
    pub depth: Vec<u16>,
    /// Function.
    pub name: Vec<u32>,
    /// Binary.
    pub library: Vec<u32>,
    /// Source file.
    pub file: Vec<u32>,
    /// Value before, with callees.
    pub total_before: Vec<i64>,
    /// Own value before.
    pub self_before: Vec<i64>,
    /// Value after, with callees.
    pub total_after: Vec<i64>,
    /// Own value after.
    pub self_after: Vec<i64>,
    /// Bit 0: stands for what was trimmed; bit 1: no name; bit 2: kernel.
    pub flags: Vec<u8>,
}

impl Before {
    /// The selection of the side before.
    fn selection(&self, after: &Selection, state: &ApiState) -> Result<Selection, Problem> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut before = after.clone();
        let profile = given(&self.before_profile);
        let (from, to) = (given(&self.before_from), given(&self.before_to));
        if from.is_some() || to.is_some() {
            let scope = Scope { from, to, matchers: None };
            before.range = scope.range(state.clock.now())?;
        } else if profile.is_some() {
            before.range = TimeRange::ALL;
        }
        if let Some(id) = profile {
            before.profile = Some(parse_id(&id)?);
        }
        if let Some(selector) = given(&self.before_match) {
            before.matchers = parse_matchers(&selector).map_err(|error| problem_of(&error))?;
        }
        Ok(before)
    }

    fn normalise(&self) -> Result<Normalise, Problem> {
        match self.normalise.as_deref() {
            None | Some("" | "total") => Ok(Normalise::Total),
            Some("none") => Ok(Normalise::None),
            Some(other) => {
                let detail = format!("normalise={other:?} is not known");
                Err(Problem::bad_request(detail, "write normalise=total or normalise=none"))
            }
        }
    }
}

/// Two selections side by side: before and after a deploy, or two versions.
#[utoipa::path(get, path = "/api/v1/diff", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Before, Size),
    responses((status = 200, description = "Both sides", body = Diff)))]
pub async fn diff(
    State(state): State<ApiState>,
    Asked(after): Asked,
    Query(sides): Query<Before>,
    Query(size): Query<Size>,
) -> Result<Json<Diff>, Problem> {
    let max_nodes = size.checked(FLAME_NODES_DEFAULT)?;
    let (before, normalise) = (sides.selection(&after, &state)?, sides.normalise()?);
    let graph = state.views.diff(&before, &after, normalise, max_nodes).await;
    let graph = graph.map_err(|error| problem_of(&error))?;
    Ok(Json(columns(&graph, before.range, after.range)))
}

fn columns(graph: &DiffGraph, before: TimeRange, after: TimeRange) -> Diff {
    let mut texts = NodeTexts::default();
    let mut diff = Diff {
        before: Meta::of(&graph.before, before, graph.len(), 0),
        after: Meta::of(&graph.after, after, graph.len(), 0),
        normalise: match graph.normalise {
            Normalise::Total => "total",
            Normalise::None => "none",
        },
        depth: graph.depth.clone(),
        total_before: graph.total_before.clone(),
        self_before: graph.own_before.clone(),
        total_after: graph.total_after.clone(),
        self_after: graph.own_after.clone(),
        ..Diff::default()
    };
    for at in 0..graph.len() {
        let is_trimmed = graph.is_trimmed[at];
        let frame = graph.frames.get(graph.frame[at] as usize);
        texts.push(frame, is_trimmed);
        diff.flags.push(flags(frame, is_trimmed));
    }
    ([diff.name, diff.library, diff.file], [diff.names, diff.libraries, diff.files]) =
        texts.finish();
    diff
}
