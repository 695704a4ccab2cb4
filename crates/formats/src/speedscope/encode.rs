//! Writes files of speedscope.

use profile::folded::frame_names;
use profile::{KeyedMap, KindIndex, LocationId, Profile};
use serde::Serialize;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active: u32,
    shared: Shared<'a>,
    profiles: [Recording<'a>; 1],
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Frame<'a> {
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "is_unknown")]
    line: u32,
    #[serde(skip_serializing_if = "is_unknown")]
    col: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_unknown(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct Recording<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start_value: i64,
    #[serde(rename = "endValue")]
    end_value: i64,
    samples: Vec<Vec<u32>>,
    weights: Vec<i64>,
}

/// One measure of one kind: a recording of all stacks with a value above zero, in the order of the
/// tables.
pub fn encode(profile: &Profile, kind: KindIndex, measure: usize, name: &str) -> Vec<u8> {
    let mut frames = Frames { profile, rows: Vec::new(), index: KeyedMap::default() };
    let mut locations: Vec<Option<Box<[u32]>>> = vec![None; profile.tables.locations.len()];
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    let values = profile.by_stack(kind, measure).into_iter();
    for (stack, value) in values.filter(|(_, value)| *value > 0) {
        let mut leaf_first = Vec::new();
        for id in profile.tables.stacks.leaf_first(stack) {
            let Some(known) = locations.get_mut(id.0 as usize) else { continue };
            leaf_first.extend_from_slice(known.get_or_insert_with(|| frames.of(id)));
        }
        leaf_first.reverse();
        samples.push(leaf_first);
        weights.push(value);
    }
    let unit = profile.kinds.get(kind.0 as usize).and_then(|kind| kind.measures.get(measure));
    let recording = Recording {
        kind: "sampled",
        name,
        unit: match unit.map(|measure| measure.unit.as_ref()) {
            Some("nanoseconds") => "nanoseconds",
            Some("bytes") => "bytes",
            _ => "none",
        },
        start_value: 0,
        end_value: weights.iter().fold(0, |sum: i64, weight| sum.saturating_add(*weight)),
        samples,
        weights,
    };
    let file = File {
        schema: SCHEMA,
        exporter: "vesta",
        name,
        active: 0,
        shared: Shared { frames: frames.rows },
        profiles: [recording],
    };
    serde_json::to_vec(&file).expect("texts and numbers are always written")
}

struct Frames<'a> {
    profile: &'a Profile,
    rows: Vec<Frame<'a>>,
    index: KeyedMap<Frame<'a>, u32>,
}

impl Frames<'_> {
    /// The frames of a location, innermost first.
    fn of(&mut self, id: LocationId) -> Box<[u32]> {
        let tables = &self.profile.tables;
        let Some(location) = tables.locations.get(id) else { return Box::default() };
        let mut found = Vec::new();
        for (at, name) in frame_names(tables, location).into_iter().enumerate() {
            let line = location.lines.get(at).copied().unwrap_or_default();
            let function =
                tables.functions.get(line.function).filter(|_| at < location.lines.len());
            let file = function.map_or("", |function| tables.text(function.file));
            let frame = Frame { name, file, line: line.line, col: line.column };
            let next = self.rows.len() as u32;
            let place = *self.index.entry(frame.clone()).or_insert(next);
            if place == next {
                self.rows.push(frame);
            }
            found.push(place);
        }
        found.into()
    }
}
