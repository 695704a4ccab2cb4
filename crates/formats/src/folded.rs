//! Folded stacks: a line is `root;caller;leaf 12`. Written by perf's and others' collapse scripts.
//!
//! Contract: <https://github.com/brendangregg/FlameGraph#2-fold-stacks>.

use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::stacks::Stacks;
use profile::{KindIndex, Profile};

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
    let mut stacks = Stacks::new(shape, options, issues);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Some((stack, value)) = split(line, shape, &mut stacks.issues) else { continue };
        let frames = stack.rsplit(|byte| *byte == b';');
        let leaf_first = stacks.locations(frames.take(stacks.budget.frames_to_read()));
        stacks.push(&leaf_first, value);
    }
    stacks.finish()
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
