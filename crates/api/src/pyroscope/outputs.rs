//! Flame graphs in further forms: Pyroscope's tree bytes, Graphviz, pprof.

use super::levels::name;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use stdx::TimeRange;
use views::FlameGraph;
use wire::pprof;

/// Most functions of a graph in Graphviz' language; beyond it no drawing is of use.
const DOT_FUNCTIONS_MAX: usize = 200;

fn name_of(graph: &FlameGraph, at: usize) -> &str {
    name(&graph.frames, graph.frame[at], graph.is_trimmed[at])
}

/// For each node its caller; the root has none.
fn callers(graph: &FlameGraph) -> Vec<Option<usize>> {
    let mut open: Vec<usize> = Vec::new();
    let mut callers = Vec::with_capacity(graph.len());
    for at in 0..graph.len() {
        open.truncate(usize::from(graph.depth[at]));
        callers.push(open.last().copied());
        open.push(at);
    }
    callers
}

fn varint(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Nodes in pre-order: length of the name, name, own value, number of children; the root has no
/// name.
pub(super) fn tree(graph: &FlameGraph) -> Vec<u8> {
    let mut children = vec![0_u64; graph.len()];
    for caller in callers(graph).into_iter().flatten() {
        children[caller] += 1;
    }
    let mut bytes = Vec::new();
    for (at, &children) in children.iter().enumerate() {
        let name = if at == 0 { "" } else { name_of(graph, at) };
        varint(name.len() as u64, &mut bytes);
        bytes.extend_from_slice(name.as_bytes());
        varint(u64::try_from(graph.own[at]).unwrap_or_default(), &mut bytes);
        varint(children, &mut bytes);
    }
    bytes
}

/// A text within quotes.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Functions and who calls whom, the largest functions only.
pub(super) fn dot(graph: &FlameGraph, unit: &str) -> String {
    let callers = callers(graph);
    let mut functions: HashMap<&str, (i64, i64)> = HashMap::new();
    let mut edges: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for at in 1..graph.len() {
        let (name, total) = (name_of(graph, at), graph.total[at]);
        let mut above = callers[at];
        let mut is_outermost = true;
        while let Some(caller) = above {
            is_outermost &= caller == 0 || name_of(graph, caller) != name;
            above = if is_outermost { callers[caller] } else { None };
        }
        let sums = functions.entry(name).or_default();
        sums.0 = sums.0.saturating_add(graph.own[at]);
        if is_outermost {
            sums.1 = sums.1.saturating_add(total);
        }
        if let Some(caller) = callers[at].filter(|caller| *caller != 0) {
            let edge = edges.entry((name_of(graph, caller), name)).or_default();
            *edge = edge.saturating_add(total);
        }
    }
    let mut shown: Vec<_> = functions.into_iter().collect();
    shown.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(b.0)));
    shown.truncate(DOT_FUNCTIONS_MAX);
    let places: HashMap<&str, usize> = shown.iter().zip(1..).map(|(one, at)| (one.0, at)).collect();
    let mut text = String::from("digraph profile {\n  node [shape=box];\n");
    for (name, (own, total)) in &shown {
        let at = places[name];
        let label = quoted(&format!("{name}: self {own}, total {total} {unit}"));
        let _ = writeln!(text, "  N{at} [label={label}];");
    }
    for ((caller, callee), total) in &edges {
        if let (Some(from), Some(to)) = (places.get(caller), places.get(callee)) {
            let _ = writeln!(text, "  N{from} -> N{to} [label=\"{total}\"];");
        }
    }
    text.push_str("}\n");
    text
}

#[derive(Default)]
struct Strings<'a> {
    rows: Vec<String>,
    index: HashMap<&'a str, i64>,
}

impl<'a> Strings<'a> {
    fn at(&mut self, text: &'a str) -> i64 {
        let rows = &mut self.rows;
        *self.index.entry(text).or_insert_with(|| {
            rows.push(text.to_owned());
            rows.len() as i64 - 1
        })
    }
}

/// Writes the frames of a graph into a profile, each once.
struct Writer<'a> {
    graph: &'a FlameGraph,
    profile: pprof::Profile,
    strings: Strings<'a>,
    /// By position in the graph's frames; the one after the last is what was left out.
    locations: Vec<u64>,
    mappings: HashMap<&'a str, u64>,
}

impl<'a> Writer<'a> {
    fn value_type(&mut self, name: Option<&'a str>, unit: Option<&'a str>) -> pprof::ValueType {
        let name = self.strings.at(name.unwrap_or_default());
        pprof::ValueType { r#type: name, unit: self.strings.at(unit.unwrap_or_default()) }
    }

    fn location(&mut self, at: usize) -> u64 {
        let graph = self.graph;
        let frame = graph.frames.get(graph.frame[at] as usize);
        let place = frame.map_or(graph.frames.len(), |_| graph.frame[at] as usize);
        if self.locations[place] != 0 {
            return self.locations[place];
        }
        let id = self.profile.function.len() as u64 + 1;
        let mapping_id = frame.map_or(0, |frame| {
            let path = &frame.origin.path;
            self.mapping(if path.is_empty() { &frame.library } else { path })
        });
        let name = self.strings.at(name_of(graph, at));
        let filename = self.strings.at(frame.map_or("", |frame| &frame.file));
        let function = pprof::Function { id, name, system_name: name, filename, start_line: 0 };
        self.profile.function.push(function);
        let line = vec![pprof::Line { function_id: id, ..pprof::Line::default() }];
        let location = pprof::Location { id, mapping_id, line, ..pprof::Location::default() };
        self.profile.location.push(location);
        self.locations[place] = id;
        id
    }

    /// A binary; 0 where none is known.
    fn mapping(&mut self, path: &'a str) -> u64 {
        if path.is_empty() {
            return 0;
        }
        if let Some(known) = self.mappings.get(path) {
            return *known;
        }
        let id = self.mappings.len() as u64 + 1;
        self.mappings.insert(path, id);
        let filename = self.strings.at(path);
        let mapping = pprof::Mapping { id, filename, has_functions: true, ..Default::default() };
        self.profile.mapping.push(mapping);
        id
    }
}

/// The merged stacks with functions, files and binaries; lines are not told apart.
pub(super) fn pprof<'a>(
    graph: &'a FlameGraph,
    type_id: &'a str,
    range: TimeRange,
) -> pprof::Profile {
    let mut writer = Writer {
        graph,
        profile: pprof::Profile {
            time_nanos: range.start.nanos(),
            duration_nanos: range.nanos(),
            ..pprof::Profile::default()
        },
        strings: Strings::default(),
        locations: vec![0; graph.frames.len() + 1],
        mappings: HashMap::new(),
    };
    writer.strings.at("");
    let mut parts = type_id.splitn(5, ':').skip(1);
    let sample_type = writer.value_type(parts.next(), parts.next());
    writer.profile.sample_type = vec![sample_type];
    writer.profile.period_type = Some(writer.value_type(parts.next(), parts.next()));
    let callers = callers(graph);
    for at in (0..graph.len()).filter(|at| graph.own[*at] != 0) {
        let mut location_id = Vec::new();
        let mut node = Some(at);
        while let Some(here) = node.filter(|here| *here != 0) {
            location_id.push(writer.location(here));
            node = callers[here];
        }
        let value = vec![graph.own[at]];
        writer.profile.sample.push(pprof::Sample { location_id, value, label: Vec::new() });
    }
    writer.profile.string_table = writer.strings.rows;
    writer.profile
}

#[cfg(test)]
mod tests {
    use super::super::levels::tests::tree as call_tree;
    use super::*;
    use views::AnswerMeta;
    use wire::Message;

    const TEXT: &str = "a;b 3\na;b;a 2\na;d 7\ne 4\n";

    fn graph() -> FlameGraph {
        FlameGraph::of(&call_tree(TEXT), 100, AnswerMeta::default())
    }

    fn folded(decoded: &formats::Decoded) -> String {
        assert_eq!(decoded.issues, []);
        formats::folded::encode(&decoded.profiles[0].profile, profile::KindIndex(0), 0)
    }

    #[test]
    fn tree_bytes_read_back() {
        let shape = formats::folded::Shape::default();
        let decoded = formats::tree::decode(&tree(&graph()), &shape, &formats::Options::default());
        assert_eq!(folded(&decoded), "a;b 3\na;b;a 2\na;d 7\ne 4\n");
    }

    #[test]
    fn pprof_reads_back() {
        let id = "x:weight:count:p:count";
        let written = pprof(&graph(), id, TimeRange::ALL).encode_to_vec();
        let decoded = formats::pprof::decode(&written, &formats::Options::default());
        assert_eq!(folded(&decoded), "a;b 3\na;b;a 2\na;d 7\ne 4\n");
        assert_eq!(decoded.profiles[0].type_map[0].sample_type, "weight");
    }

    #[test]
    fn graphviz_counts_recursion_once_and_quotes_names() {
        let text = dot(&graph(), "ns");
        assert!(text.contains("label=\"a: self 2, total 12 ns\""), "{text}");
        let graph = FlameGraph::of(&call_tree("a\"\\b 1\n"), 100, AnswerMeta::default());
        assert!(dot(&graph, "ns").contains(r#"label="a\"\\b: self 1"#));
    }
}
