//! Flame graphs as files for other programs.

use super::{Flame, arrow_form};
use crate::csv;
use crate::limits::{EXPORT_TEXT_BYTES_MAX, FLAME_NODES_DEFAULT, FLAME_NODES_MAX};
use crate::svg::{self, Picture};
use ingest::Problem;
use profile::{
    FrameType, Function, KindIndex, Line, Location, LocationId, Mapping, Profile, Sample,
    SampleKind, StackTable, StringId, Tables, VALUES_MAX,
};
use serde::Deserialize;
use stdx::TimeRange;
use utoipa::IntoParams;
use views::{FlameGraph, Frame};

/// Form of the answer.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Export {
    /// As a file: `pprof` (gzip; lines are not told apart), `speedscope`, `folded`, `svg`, `csv`,
    /// `json` or `arrow`. JSON when absent, or Arrow where that is accepted. The first three and CSV
    /// have 1000000 nodes where `max_nodes` says nothing.
    pub format: Option<String>,
}

/// A form of a flame graph.
#[derive(Debug)]
pub(super) struct Form {
    name: &'static str,
    what: What,
    pub(super) media_type: &'static str,
    /// What the name of a file ends with.
    ending: &'static str,
    /// Nodes when the question names no number.
    pub(super) nodes_default: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Json,
    Arrow,
    Pprof,
    Speedscope,
    Folded,
    Svg,
    Csv,
}

const fn form(
    name: &'static str,
    what: What,
    media_type: &'static str,
    ending: &'static str,
    nodes_default: usize,
) -> Form {
    Form { name, what, media_type, ending, nodes_default }
}

const FORMS: [Form; 7] = [
    form("json", What::Json, "application/json", "json", FLAME_NODES_DEFAULT),
    form("arrow", What::Arrow, super::ARROW, "arrows", FLAME_NODES_DEFAULT),
    form("pprof", What::Pprof, "application/octet-stream", "pb.gz", FLAME_NODES_MAX),
    form("speedscope", What::Speedscope, "application/json", "speedscope.json", FLAME_NODES_MAX),
    form("folded", What::Folded, "text/plain; charset=utf-8", "folded.txt", FLAME_NODES_MAX),
    form("svg", What::Svg, "image/svg+xml", "svg", FLAME_NODES_DEFAULT),
    form("csv", What::Csv, "text/csv; charset=utf-8", "csv", FLAME_NODES_MAX),
];

impl Export {
    /// The form asked for, and whether as a file.
    pub(super) fn form(&self, accepts_arrow: bool) -> Result<(&'static Form, bool), Problem> {
        let Some(name) = self.format.as_deref().filter(|name| !name.is_empty()) else {
            return Ok((&FORMS[usize::from(accepts_arrow)], false));
        };
        let found = FORMS.iter().find(|form| form.name == name);
        let form = found.ok_or_else(|| {
            let names: Vec<&str> = FORMS.iter().map(|form| form.name).collect();
            let hint = format!("write one of {}", names.join(", "));
            Problem::bad_request(format!("format={name:?} is not known"), hint)
        })?;
        Ok((form, true))
    }
}

impl Form {
    /// What a browser is to do with it.
    pub(super) fn disposition(&self) -> String {
        format!("attachment; filename=\"flamegraph.{}\"", self.ending)
    }

    /// The bytes of a graph, of which `flame` holds the columns.
    pub(super) fn encode(
        &self,
        graph: &FlameGraph,
        flame: &Flame,
        range: TimeRange,
    ) -> Result<Vec<u8>, Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, form = self.name, "a flame graph was not encoded");
            Problem::internal("the flame graph could not be encoded")
        };
        check_size(graph, self.what)?;
        match self.what {
            What::Json => serde_json::to_vec(flame).map_err(|error| failed(&error)),
            What::Arrow => arrow_form::encode(flame).map_err(|error| failed(&error)),
            What::Svg => Ok(picture(flame).into_bytes()),
            What::Csv => Ok(table(flame).into_bytes()),
            What::Pprof | What::Speedscope | What::Folded => {
                let written = profile_of(graph, range);
                let (profile, measure) = written.ok_or_else(|| failed(&"it has no type"))?;
                let kind = KindIndex(0);
                Ok(match self.what {
                    What::Pprof => formats::pprof::encode_gzip(&profile),
                    What::Speedscope => {
                        let name = &flame.meta.profile_type.name;
                        formats::speedscope::encode(&profile, kind, measure, name)
                    }
                    _ => formats::folded::encode(&profile, kind, measure).into_bytes(),
                })
            }
        }
    }
}

/// Names are written anew for each node, or for each node of each stack.
fn check_size(graph: &FlameGraph, what: What) -> Result<(), Problem> {
    let frame = |at: usize| graph.frames.get(graph.frame[at] as usize);
    let bytes = match what {
        What::Json | What::Arrow => 0,
        What::Svg | What::Csv => (0..graph.len())
            .filter_map(frame)
            .fold(0, |sum: usize, one| sum + one.name.len() + one.library.len() + one.file.len()),
        What::Pprof | What::Speedscope | What::Folded => {
            let (mut sum, mut open) = (0_usize, Vec::new());
            for at in 0..graph.len() {
                open.truncate(usize::from(graph.depth[at]));
                let caller = open.last().copied().unwrap_or(0);
                let path = caller + frame(at).map_or(0, |frame| frame.name.len()) + 1;
                open.push(path);
                sum = sum.saturating_add(if graph.own[at] == 0 { 0 } else { path });
            }
            sum
        }
    };
    if bytes <= EXPORT_TEXT_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("{bytes} bytes of names, {EXPORT_TEXT_BYTES_MAX} are written");
    let title = "The answer would be too large";
    let (status, hint) = (http::StatusCode::UNPROCESSABLE_ENTITY, "ask for fewer with max_nodes");
    Err(Problem::new(status, "/problems/answer-too-large", title, detail, hint))
}

fn picture(flame: &Flame) -> String {
    svg::render(&Picture {
        title: &flame.meta.profile_type.name,
        unit: &flame.meta.unit,
        names: &flame.names,
        name: &flame.name,
        depth: &flame.depth,
        total: &flame.total,
    })
}

/// A row a node, in pre-order.
fn table(flame: &Flame) -> String {
    let mut text = String::from("depth,name,library,file,class,self,total\r\n");
    for at in 0..flame.depth.len() {
        csv::row(
            &mut text,
            &[
                &flame.depth[at].to_string(),
                &flame.names[flame.name[at] as usize],
                &flame.libraries[flame.library[at] as usize],
                &flame.files[flame.file[at] as usize],
                &flame.classes[flame.class[at] as usize],
                &flame.own[at].to_string(),
                &flame.total[at].to_string(),
            ],
        );
    }
    text
}

/// The graph as a profile of one kind, and which of the kind's values it holds; none where the graph
/// is of no type.
fn profile_of(graph: &FlameGraph, range: TimeRange) -> Option<(Profile, usize)> {
    let asked = graph.meta.profile_type.as_ref()?;
    let kind = SampleKind::from_id(&asked.kind)?;
    let mut profile = Profile { window: range, kinds: vec![kind], ..Profile::default() };
    let tables = &mut profile.tables;
    let locations: Vec<LocationId> =
        graph.frames.iter().map(|frame| location(tables, frame)).collect();
    let mut open = Vec::new();
    for at in 0..graph.len() {
        open.truncate(usize::from(graph.depth[at]));
        let stack = match (open.last(), locations.get(graph.frame[at] as usize)) {
            (Some(&caller), Some(&location)) => tables.stacks.intern(caller, location),
            (Some(&caller), None) => {
                let left_out = tables.named_location(super::TRIMMED);
                tables.stacks.intern(caller, left_out)
            }
            (None, _) => StackTable::ROOT,
        };
        open.push(stack);
        if graph.own[at] != 0 {
            let mut values = [0; VALUES_MAX];
            *values.get_mut(asked.measure_index)? = graph.own[at];
            profile.samples.push(Sample { stack, values, ..Sample::default() });
        }
    }
    Some((profile, asked.measure_index))
}

fn location(tables: &mut Tables, frame: &Frame) -> LocationId {
    let Tables { strings, functions, mappings, locations, .. } = tables;
    let (name, file) = (strings.intern(&frame.name), strings.intern(&frame.file));
    let system_name = strings.intern(&frame.origin.system_name);
    let function = functions.intern(Function { name, system_name, file, start_line: 0 });
    let path = &frame.origin.path;
    let path = strings.intern(if path.is_empty() { &frame.library } else { path });
    let build_id = strings.intern(&frame.origin.build_id);
    let mapping = Mapping { file: path, build_id, ..Mapping::default() };
    let mapping = (mapping.file != StringId::default()).then(|| mappings.intern(mapping));
    let frame_type = if frame.kernel { FrameType::Kernel } else { frame.origin.frame_type };
    let lines = [Line { function, ..Line::default() }].into_iter().collect();
    locations.intern(Location { mapping, lines, frame_type, ..Location::default() })
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::*;
    use crate::shapes::Meta;
    use crate::svg::tests::assert_well_formed;
    use profile::ProfileTypeId;
    use views::{AnswerMeta, CallTree, Selection, infos};

    const TEXT: &str = "<a>;\"b,c\" 3\n<a>;\"b,c\";=a 2\n<a>;d 7\ne 4\n";
    const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

    fn graph(text: &str, max_nodes: usize) -> FlameGraph {
        let mut selection = Selection::everything("default", TimeRange::ALL);
        selection.profile_type = Some(ProfileTypeId(CPU.to_owned()));
        let profile_type = Some(infos::resolve_type(&selection, []).unwrap());
        let profile = profile::folded::from_folded(text);
        let mut tree = CallTree::default();
        tree.add_stacks(&profile.tables, profile.by_stack(KindIndex(0), 0));
        FlameGraph::of(&tree, max_nodes, AnswerMeta { profile_type, ..AnswerMeta::default() })
    }

    fn written(name: &str, graph: &FlameGraph) -> Result<Vec<u8>, Problem> {
        let (form, is_file) = Export { format: Some(name.to_owned()) }.form(false)?;
        assert!(is_file && form.disposition().ends_with(&format!("{}\"", form.ending)));
        let meta = Meta::of(&graph.meta, TimeRange::ALL, graph.len(), graph.trimmed);
        form.encode(graph, &columns(graph, meta), TimeRange::ALL)
    }

    #[test]
    fn every_form_is_found_by_its_name_and_none_by_another() {
        let graph = graph(TEXT, 100);
        assert!(FORMS.iter().all(|form| !written(form.name, &graph).unwrap().is_empty()));
        assert!(written("tarot", &graph).unwrap_err().hint.contains("speedscope"));
        let default = Export::default();
        assert_eq!(default.form(false).unwrap().0.name, "json");
        assert_eq!(default.form(true).unwrap().0.name, "arrow");
        assert!(!default.form(true).unwrap().1);
    }

    #[test]
    fn profiles_read_back_with_equal_sums() {
        for (name, sample_type) in [("pprof", "cpu"), ("speedscope", "wall"), ("folded", "samples")]
        {
            let bytes = written(name, &graph(TEXT, 100)).unwrap();
            let decoded = formats::decode(&bytes, &formats::Options::default());
            assert_eq!(decoded.issues, [], "{name}");
            let one = &decoded.profiles[0];
            assert_eq!(
                (one.type_map.len(), one.type_map[0].sample_type.as_str()),
                (1, sample_type)
            );
            let (kind, measure) = (one.type_map[0].kind, one.type_map[0].measure);
            assert_eq!(formats::folded::encode(&one.profile, kind, measure), TEXT_SORTED, "{name}");
        }
    }

    const TEXT_SORTED: &str = "<a>;\"b,c\" 3\n<a>;\"b,c\";=a 2\n<a>;d 7\ne 4\n";

    #[test]
    fn what_is_left_out_stays_in_the_sum() {
        let bytes = written("folded", &graph(TEXT, 3)).unwrap();
        let lines = String::from_utf8(bytes).unwrap();
        let values = lines.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>());
        assert_eq!(values.sum::<Result<i64, _>>(), Ok(16));
        assert!(lines.contains("<a>;(trimmed) "), "{lines}");
    }

    #[test]
    fn pictures_are_xml_and_tables_are_quoted() {
        let svg = String::from_utf8(written("svg", &graph(TEXT, 100)).unwrap()).unwrap();
        assert_well_formed(&svg);
        assert!(svg.contains("<title>&lt;a&gt;: 12 ns (75.00 %)</title>"), "{svg}");
        let csv = String::from_utf8(written("csv", &graph(TEXT, 100)).unwrap()).unwrap();
        let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert_eq!(rows.len(), 1 + 6);
        assert_eq!(rows[0], "depth,name,library,file,class,self,total");
        assert!(rows.contains(&"2,\"\"\"b,c\"\"\",,,unknown,3,5"), "{rows:?}");
        assert!(rows.contains(&"3,'=a,,,unknown,2,2"), "{rows:?}");
    }

    #[test]
    fn names_of_deep_stacks_are_not_written_without_end() {
        let frames: Vec<String> = (0..1_000).map(|at| format!("{at:01000}")).collect();
        let lines: Vec<String> =
            (1..=1_000).map(|depth| format!("{} 1\n", frames[..depth].join(";"))).collect();
        let graph = graph(&lines.concat(), 10_000);
        for name in ["pprof", "speedscope", "folded"] {
            let problem = written(name, &graph).unwrap_err();
            assert_eq!(problem.status, http::StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        }
        assert!(written("csv", &graph).is_ok() && written("json", &graph).is_ok());
    }
}
