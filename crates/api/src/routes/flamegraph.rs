//! Flame graphs as Arrow or JSON.

mod arrow_form;
mod export;

use crate::asked::{Asked, Narrowing, Reading};
use crate::limits::FLAME_NODES_MAX;
use crate::question::{Scope, Values, problem_of};
use crate::shapes::{Meta, Problem as ProblemShape};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use export::Export;
use http::{HeaderMap, HeaderValue, header};
use ingest::{Problem, Query};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use views::classify::{Class, Overrides};
use views::{FlameGraph, Frame};

/// Media type of the Arrow form.
pub const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Name of a node that stands for siblings that were left out.
const TRIMMED: &str = "(trimmed)";
/// Flag of a node that stands for siblings that were left out.
pub const FLAG_TRIMMED: u8 = 1;
/// Flag of a frame without a name.
pub const FLAG_UNSYMBOLIZED: u8 = 2;
/// Flag of a kernel frame.
pub const FLAG_KERNEL: u8 = 4;

/// Size of the answer.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Size {
    /// Most nodes: 8192 when absent (4096 for each half of a sandwich), at most 1000000.
    pub max_nodes: Option<usize>,
}

impl Size {
    /// The number of nodes.
    pub(crate) fn checked(&self, default: usize) -> Result<usize, Problem> {
        let max_nodes = self.max_nodes.unwrap_or(default);
        if max_nodes == 0 || max_nodes > FLAME_NODES_MAX {
            let detail = format!("max_nodes={max_nodes}");
            return Err(Problem::bad_request(detail, format!("give 1 to {FLAME_NODES_MAX}")));
        }
        Ok(max_nodes)
    }
}

/// A flame graph as columns: one entry a node, in pre-order, the root first. `name`, `library` and
/// `file` are positions in `names`, `libraries` and `files`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Flame {
    /// What it was made of.
    pub meta: Meta,
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
    /// Line; 0 where unknown.
    pub line: Vec<u32>,
    /// Value with callees.
    pub total: Vec<i64>,
    /// Own value.
    #[serde(rename = "self")]
    pub own: Vec<i64>,
    /// Whose code it is, a position in `classes`.
    pub class: Vec<u8>,
    /// Names of classes: `unknown`, `own`, `dependency`, `runtime`, `kernel`.
    pub classes: Vec<String>,
    /// Bit 0: stands for what was trimmed; bit 1: no name; bit 2: kernel.
    pub flags: Vec<u8>,
}

/// The merged flame graph of a selection, or a file of it.
#[utoipa::path(get, path = "/api/v1/flamegraph", tag = "profiles",
    params(Scope, Values, Narrowing, Reading, Size, Export),
    responses(
        (status = 200, description = "As JSON, as an Arrow stream when accepted, or as a file",
            content((Flame = "application/json"),
                (String = "application/vnd.apache.arrow.stream"),
                (String = "application/octet-stream"), (String = "text/plain"),
                (String = "image/svg+xml"), (String = "text/csv"))),
        (status = 404, description = "No such type", body = ProblemShape,
            content_type = "application/problem+json")))]
pub async fn flamegraph(
    State(state): State<ApiState>,
    Asked(selection): Asked,
    Query(size): Query<Size>,
    Query(export): Query<Export>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (form, is_file) = export.form(accepts_arrow(&headers))?;
    let max_nodes = size.checked(form.nodes_default)?;
    let graph = state.views.flamegraph(&selection, max_nodes).await;
    let graph = graph.map_err(|error| problem_of(&error))?;
    let range = selection.range;
    let classes = Arc::clone(&state.classes);
    let encode = move || -> Result<Vec<u8>, Problem> {
        let meta = Meta::of(&graph.meta, range, graph.len(), graph.trimmed);
        let mut flame = columns(&graph, meta);
        flame.override_classes(&graph, &classes);
        form.encode(&graph, &flame, range)
    };
    let encoded = tokio::task::spawn_blocking(encode).await;
    let bytes =
        encoded.map_err(|_| Problem::internal("the flame graph could not be encoded"))??;
    let mut response = ([(header::CONTENT_TYPE, form.media_type)], bytes).into_response();
    if is_file && let Ok(value) = HeaderValue::try_from(form.disposition()) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

impl Flame {
    /// Puts the user's rules over the classes that the table of rules gave, once a frame.
    fn override_classes(&mut self, graph: &FlameGraph, classes: &Overrides) {
        if classes.is_empty() {
            return;
        }
        let frames = graph.frames.iter().map(|frame| frame.class_with(classes) as u8);
        let frames: Vec<u8> = frames.collect();
        for (class, frame) in self.class.iter_mut().zip(&graph.frame) {
            *class = frames.get(*frame as usize).copied().unwrap_or(*class);
        }
    }
}

fn accepts_arrow(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with(ARROW))
}

/// Distinct texts and their positions.
#[derive(Default)]
struct Texts<'a> {
    rows: Vec<String>,
    index: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    fn at(&mut self, text: &'a str) -> u32 {
        let rows = &mut self.rows;
        *self.index.entry(text).or_insert_with(|| {
            rows.push(text.to_owned());
            (rows.len() - 1) as u32
        })
    }
}

/// Names, binaries and files of nodes: each text once, and its position for each node.
#[derive(Default)]
pub(crate) struct NodeTexts<'a> {
    texts: [Texts<'a>; 3],
    places: [Vec<u32>; 3],
}

impl<'a> NodeTexts<'a> {
    /// Adds a node; the root and what was left out have no frame.
    pub(crate) fn push(&mut self, frame: Option<&'a Frame>, is_trimmed: bool) {
        let nameless = if is_trimmed { TRIMMED } else { "total" };
        let texts: [&'a str; 3] =
            frame.map_or([nameless, "", ""], |one| [&one.name, &one.library, &one.file]);
        for ((places, known), text) in self.places.iter_mut().zip(&mut self.texts).zip(texts) {
            places.push(known.at(text));
        }
    }

    /// Positions, and the texts that they are positions of.
    pub(crate) fn finish(self) -> ([Vec<u32>; 3], [Vec<String>; 3]) {
        (self.places, self.texts.map(|texts| texts.rows))
    }
}

/// The graph as columns; only frames that it shows are in the dictionaries.
pub(crate) fn columns(graph: &FlameGraph, meta: Meta) -> Flame {
    let mut texts = NodeTexts::default();
    let mut flame = Flame {
        meta,
        depth: graph.depth.clone(),
        total: graph.total.clone(),
        own: graph.own.clone(),
        line: vec![0; graph.len()],
        classes: Class::ALL.map(|class| class.name().to_owned()).into(),
        ..Flame::default()
    };
    let mut known: Vec<Option<Class>> = vec![None; graph.frames.len()];
    for at in 0..graph.len() {
        let is_trimmed = graph.is_trimmed[at];
        let frame = graph.frames.get(graph.frame[at] as usize);
        let class = frame.zip(known.get_mut(graph.frame[at] as usize));
        let class = class.map(|(frame, known)| *known.get_or_insert_with(|| frame.class()));
        texts.push(frame, is_trimmed);
        flame.class.push(class.unwrap_or_default() as u8);
        flame.flags.push(flags(frame, is_trimmed));
    }
    ([flame.name, flame.library, flame.file], [flame.names, flame.libraries, flame.files]) =
        texts.finish();
    flame
}

pub(crate) fn flags(frame: Option<&Frame>, is_trimmed: bool) -> u8 {
    let trimmed = if is_trimmed { FLAG_TRIMMED } else { 0 };
    let Some(frame) = frame else { return trimmed };
    let unsymbolized = if frame.unsymbolized { FLAG_UNSYMBOLIZED } else { 0 };
    trimmed | unsymbolized | if frame.kernel { FLAG_KERNEL } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use views::classify::{Override, Part};

    #[test]
    fn columns_say_what_the_graph_says() {
        let frame = |name: &str, kernel| Frame { name: name.into(), kernel, ..Frame::default() };
        let graph = FlameGraph {
            frames: vec![frame("main", false), frame("read", true), frame("unused", false)],
            depth: vec![0, 1, 2, 2],
            frame: vec![u32::MAX, 0, 1, u32::MAX],
            total: vec![9, 9, 5, 3],
            own: vec![0, 1, 5, 3],
            is_trimmed: vec![false, false, false, true],
            trimmed: 3,
            ..FlameGraph::default()
        };
        let flame = columns(&graph, Meta::default());
        assert_eq!(flame.names, ["total", "main", "read", "(trimmed)"]);
        assert_eq!(flame.name, [0, 1, 2, 3]);
        assert_eq!(flame.flags, [0, 0, FLAG_KERNEL, FLAG_TRIMMED]);
        assert_eq!(flame.own, [0, 1, 5, 3]);
        let class = |flame: &Flame, at: usize| flame.classes[flame.class[at] as usize].clone();
        assert_eq!(class(&flame, 1), "unknown");
        let rule = Override::prefix(Part::Function, "ma", Class::Own).unwrap();
        let mut flame = flame;
        flame.override_classes(&graph, &Overrides::new(vec![rule]).unwrap());
        assert_eq!((class(&flame, 1), class(&flame, 2)), ("own".to_owned(), "runtime".to_owned()));
    }
}
