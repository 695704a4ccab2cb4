//! Folded stacks: a line is `root;caller;leaf 12`. Written by perf's and others' collapse scripts.
//!
//! Contract: <https://github.com/brendangregg/FlameGraph#2-fold-stacks>.

use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::rows::Rows;
use profile::{KeyedMap, KindIndex, LocationId, Profile, Sample};

/// What the values are, where the sender says it beside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sample type, e.g. `cpu`.
    pub sample_type: String,
    /// Unit, e.g. `nanoseconds`.
    pub unit: String,
    /// Every line is one event: the whole line is its stack.
    pub is_one_event_a_line: bool,
    /// Each value is multiplied by this, e.g. by the sampling period.
    pub factor: i64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            sample_type: "samples".to_owned(),
            unit: "count".to_owned(),
            is_one_event_a_line: false,
            factor: 1,
        }
    }
}

/// Reads folded text whose values count samples.
pub(crate) fn decode_default(bytes: &[u8], options: &Options) -> Decoded {
    decode(bytes, &Shape::default(), options)
}

/// Reads folded text. Lines without a value, and values that are no numbers, are issues; empty
/// lines and `#` comments are not.
pub fn decode(bytes: &[u8], shape: &Shape, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut profile = Profile::default();
    let types = vec![(shape.sample_type.clone(), shape.unit.clone())];
    let rows = Rows::new(types, ("", ""), options, &mut profile);
    let mut budget = Budget::new(options.limits);
    let mut names = KeyedMap::default();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Some((stack, value)) = split(line, shape, &mut issues) else { continue };
        let frames = stack.rsplit(|byte| *byte == b';').take(budget.frames_to_read());
        let mut leaf_first = Vec::new();
        for frame in frames.filter(|frame| !frame.is_empty()) {
            match location(frame, &mut names, &mut profile, &mut budget, options, &mut issues) {
                Some(location) => leaf_first.push(location),
                None => break,
            }
        }
        let stack = budget.stack(&mut profile.tables, &leaf_first, &mut issues);
        let sample = Sample { stack, ..Sample::default() };
        let value = value.saturating_mul(shape.factor);
        rows.push(&mut profile, &sample, &[value], &mut budget, &mut issues);
    }
    let is_empty = profile.samples.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![rows.finish(profile)] };
    Decoded::new(profiles, issues)
}

/// One measure of one kind as folded text, sorted by stack.
pub fn encode(profile: &Profile, kind: KindIndex, measure: usize) -> String {
    profile::folded::folded(profile, kind, measure)
}

fn split<'a>(line: &'a [u8], shape: &Shape, issues: &mut Issues) -> Option<(&'a [u8], i64)> {
    if shape.is_one_event_a_line {
        return Some((line, 1));
    }
    let Some(space) = line.iter().rposition(u8::is_ascii_whitespace) else {
        issues.add(IssueKind::Malformed, || "a line has no value after its stack".to_owned());
        return None;
    };
    let (stack, value) = (&line[..space], &line[space + 1..]);
    let value = std::str::from_utf8(value).ok().and_then(|text| {
        let fraction = || text.parse::<f64>().ok().filter(|value| value.is_finite());
        text.parse::<i64>().ok().or_else(|| fraction().map(|value| value.round() as i64))
    });
    if value.is_none() {
        issues.add(IssueKind::Malformed, || "a line's value is not a number".to_owned());
    }
    Some((stack.trim_ascii_end(), value?))
}

fn location<'a>(
    frame: &'a [u8],
    names: &mut KeyedMap<&'a [u8], LocationId>,
    profile: &mut Profile,
    budget: &mut Budget,
    options: &Options,
    issues: &mut Issues,
) -> Option<LocationId> {
    if let Some(&known) = names.get(frame) {
        return Some(known);
    }
    if !budget.location(issues) {
        return None;
    }
    let location = profile.tables.named_location(&text(frame, &options.limits, issues));
    names.insert(frame, location);
    Some(location)
}
