//! Merged stacks: flame graphs and their other forms, and differences.

use super::select::{self, is_unknown};
use super::{Call, levels, outputs};
use crate::question::problem_of;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use ingest::{Principal, Problem};
use views::{AnswerMeta, CallTree, FlameGraph, Normalise, Selection};
use wire::pyroscope::{self as message, ProfileFormat};

/// The merged graph of several selections of one type.
async fn graph(
    state: &ApiState,
    selections: &[Selection],
    max_nodes: usize,
) -> Result<FlameGraph, Problem> {
    if let [selection] = selections {
        return one(state, selection, max_nodes).await;
    }
    let mut tree = CallTree::default();
    for selection in selections {
        let graph = one(state, selection, crate::limits::FLAME_NODES_MAX).await?;
        add(&mut tree, &graph);
    }
    Ok(FlameGraph::of(&tree, max_nodes, AnswerMeta::default()))
}

fn add(tree: &mut CallTree, graph: &FlameGraph) {
    let frames: Vec<u32> = graph.frames.iter().map(|frame| tree.intern(frame)).collect();
    let mut open: Vec<u32> = Vec::new();
    for at in 0..graph.len() {
        open.truncate(usize::from(graph.depth[at]));
        let caller = open.last().copied();
        let frame = frames.get(graph.frame[at] as usize);
        let node = match (caller, frame) {
            (Some(caller), Some(&frame)) => tree.child(caller, frame),
            // What was left out stays with its caller.
            (caller, _) => caller.unwrap_or(CallTree::ROOT),
        };
        tree.add(node, graph.own[at].into());
        open.push(node);
    }
}

/// A type that nobody has is a graph without stacks, as there.
async fn one(
    state: &ApiState,
    selection: &Selection,
    max_nodes: usize,
) -> Result<FlameGraph, Problem> {
    match state.views.flamegraph(selection, max_nodes).await {
        Err(error) if is_unknown(&error) => {
            Ok(FlameGraph::of(&CallTree::default(), max_nodes, AnswerMeta::default()))
        }
        found => found.map_err(|error| problem_of(&error)),
    }
}

/// The unit of a profile type.
pub(super) fn unit(type_id: &str) -> &str {
    type_id.split(':').nth(2).unwrap_or_default()
}

/// What a question of one side selects.
fn side(
    state: &ApiState,
    principal: &Principal,
    asked: &message::SelectMergeStacktracesRequest,
) -> Result<Vec<Selection>, Problem> {
    let range = select::range(state, asked.start, asked.end)?;
    let mut selection =
        select::values(principal, range, &asked.profile_type_id, &asked.label_selector)?;
    select::call_site(&mut selection, asked.stack_trace_selector.as_ref())?;
    let (profiles, spans) = (&asked.profile_id_selector, &asked.span_selector);
    select::narrowed(&selection, profiles, spans, &asked.trace_id_selector)
}

/// Stacks of a selection in the form asked for.
pub(super) async fn merge_stacktraces(
    State(state): State<ApiState>,
    call: Call<message::SelectMergeStacktracesRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let selections = side(&state, &call.principal, asked)?;
    let graph = graph(&state, &selections, select::nodes(asked.max_nodes)).await?;
    let mut answer = message::SelectMergeStacktracesResponse::default();
    match ProfileFormat::try_from(asked.format) {
        Ok(ProfileFormat::Tree) => answer.tree = outputs::tree(&graph),
        Ok(ProfileFormat::Dot) => answer.dot = outputs::dot(&graph, unit(&asked.profile_type_id)),
        Ok(ProfileFormat::Pprof) => {
            let range = select::range(&state, asked.start, asked.end)?;
            let profile = outputs::pprof(&graph, &asked.profile_type_id, range);
            answer.pprof = Some(message::PprofProfile { profile: Some(profile) });
        }
        Ok(ProfileFormat::Unspecified | ProfileFormat::Flamegraph) => {
            answer.flamegraph = Some(levels::single(&graph));
        }
        Err(_) => {
            let detail = format!("format {} is not known", asked.format);
            return Err(Problem::bad_request(detail, "ask for 0 to 4"));
        }
    }
    Ok(call.answer(&answer))
}

/// Stacks of spans.
pub(super) async fn merge_span_profile(
    State(state): State<ApiState>,
    call: Call<message::SelectMergeSpanProfileRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let (profile_type, selector) = (&asked.profile_type_id, &asked.label_selector);
    let selection = select::values(&call.principal, range, profile_type, selector)?;
    let selections = select::narrowed(&selection, &[], &asked.span_selector, &[])?;
    let graph = graph(&state, &selections, select::nodes(asked.max_nodes)).await?;
    let is_tree = asked.format == ProfileFormat::Tree as i32;
    Ok(call.answer(&message::SelectMergeSpanProfileResponse {
        flamegraph: (!is_tree).then(|| levels::single(&graph)),
        tree: if is_tree { outputs::tree(&graph) } else { Vec::new() },
    }))
}

/// Stacks as pprof, for export.
pub(super) async fn merge_profile(
    State(state): State<ApiState>,
    call: Call<message::SelectMergeProfileRequest>,
) -> Result<Response, Problem> {
    let asked = &call.message;
    let range = select::range(&state, asked.start, asked.end)?;
    let (profile_type, selector) = (&asked.profile_type_id, &asked.label_selector);
    let mut selection = select::values(&call.principal, range, profile_type, selector)?;
    select::call_site(&mut selection, asked.stack_trace_selector.as_ref())?;
    let (profiles, traces) = (&asked.profile_id_selector, &asked.trace_id_selector);
    let selections = select::narrowed(&selection, profiles, &[], traces)?;
    let max_nodes = select::nodes(Some(asked.max_nodes.unwrap_or(0)));
    let graph = graph(&state, &selections, max_nodes).await?;
    Ok(call.answer(&outputs::pprof(&graph, profile_type, range)))
}

/// Two sides in one graph.
pub(super) async fn diff(
    State(state): State<ApiState>,
    call: Call<message::DiffRequest>,
) -> Result<Response, Problem> {
    let (Some(left), Some(right)) = (&call.message.left, &call.message.right) else {
        return Err(Problem::bad_request("a side is missing", "give left and right"));
    };
    let max_nodes = select::nodes(left.max_nodes.or(right.max_nodes));
    let mut sides = Vec::new();
    for asked in [left, right] {
        let mut selections = side(&state, &call.principal, asked)?;
        if selections.len() > 1 {
            let hint = "name at most one profile, span and trace";
            return Err(Problem::bad_request("a side of a difference has several ids", hint));
        }
        sides.append(&mut selections);
    }
    let flame = difference(&state, &sides[0], &sides[1], max_nodes).await?;
    Ok(call.answer(&message::DiffResponse { flamegraph: Some(flame) }))
}

pub(super) async fn difference(
    state: &ApiState,
    left: &Selection,
    right: &Selection,
    max_nodes: usize,
) -> Result<message::FlameGraphDiff, Problem> {
    let found = state.views.diff(left, right, Normalise::Total, max_nodes).await;
    Ok(levels::double(&found.map_err(|error| problem_of(&error))?))
}

/// The graph of one selection, for `/pyroscope/render`.
pub(super) async fn rendered(
    state: &ApiState,
    selection: &Selection,
    max_nodes: usize,
) -> Result<FlameGraph, Problem> {
    one(state, selection, max_nodes).await
}
