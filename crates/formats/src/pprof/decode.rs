//! Reads pprof.

use super::tables::{Raw, Resolved, damage, numbers};
use super::untyped::{Event, PERIOD, Untyped};
use crate::compress::decompress;
use crate::decoded::{Decoded, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::labels::{LabelText, LabelValue, SampleLabels};
use crate::rows::{Rows, unit_name};
use profile::{KeyedMap, LocationId, Profile, Sample, StackId};
use std::borrow::Cow;
use stdx::{TimeRange, Timestamp};
use wire::scan::{Value, fields};

/// Reads one pprof profile, compressed or not. Samples without any value and, where the payload
/// names no sample type, samples as such, count 1 each.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    decode_untyped(bytes, Untyped::Events, options)
}

/// The same; samples of a payload that names no sample type are what `untyped` says.
pub(crate) fn decode_untyped(bytes: &[u8], untyped: Untyped, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let raw = Raw::scan(&body, options, &mut issues);
    let mut profile = Profile::default();
    let mut budget = Budget::new(options.limits);
    let resolved = Resolved::new(&raw, &mut profile.tables, options, &mut budget, &mut issues);
    read_metadata(&raw, &mut profile, options, &mut issues);
    let mut types: Vec<(String, String)> = raw
        .sample_types
        .iter()
        .map(|message| value_type(message, &raw, options, &mut issues))
        .collect();
    let untyped = types.is_empty().then_some(untyped);
    types.extend(untyped.into_iter().flat_map(Untyped::types));
    let metadata = &profile.metadata;
    let (period_type, period_unit) = (metadata.period_type.clone(), metadata.period_unit.clone());
    let rows = Rows::new(types, (&period_type, &period_unit), options, &mut profile);
    let values = vec![0; rows.len()];
    let mut reader = Reader {
        raw: &raw,
        resolved,
        rows,
        options,
        budget,
        issues,
        untyped,
        event: Event::default(),
        stack: Vec::new(),
        stacks: KeyedMap::default(),
        texts: vec![None; raw.string_count()],
        no_text: LabelText::new(Cow::Borrowed("")),
        values,
        labels: SampleLabels::default(),
    };
    for field in fields(&body).filter(|field| field.number == 2) {
        if let Some(message) = field.value.bytes() {
            reader.sample(message, &mut profile);
        }
    }
    let Reader { rows, issues, .. } = reader;
    if profile.window.start == Timestamp::default() {
        profile.window = sampled_window(&profile);
    }
    let is_empty = profile.samples.is_empty() && raw.sample_types.is_empty();
    let profiles = if is_empty { Vec::new() } else { vec![rows.finish(profile)] };
    Decoded::new(profiles, issues)
}

struct Reader<'a> {
    raw: &'a Raw<'a>,
    resolved: Resolved,
    rows: Rows,
    options: &'a Options,
    budget: Budget,
    issues: Issues,
    untyped: Option<Untyped>,
    /// Of the sample that is read.
    event: Event,
    stack: Vec<LocationId>,
    /// Stacks by their bytes: many samples share one.
    stacks: KeyedMap<&'a [u8], StackId>,
    /// Texts of labels by index, once they were looked at.
    texts: Vec<Option<LabelText<'a>>>,
    /// What stands for an index without a text.
    no_text: LabelText<'a>,
    values: Vec<i64>,
    labels: SampleLabels,
}

impl<'a> Reader<'a> {
    fn sample(&mut self, message: &'a [u8], profile: &mut Profile) {
        let mut packed = None;
        let mut value_count = 0_usize;
        let mut label_count = 0_usize;
        self.stack.clear();
        self.values.fill(0);
        self.event = Event::default();
        let mut all = fields(message);
        for field in all.by_ref() {
            match field.number {
                1 => packed = self.frames(packed, field.value),
                2 => {
                    let mut numbers = field.value.varints();
                    for number in numbers.by_ref() {
                        if let Some(slot) = self.values.get_mut(value_count) {
                            *slot = number.cast_signed();
                        }
                        value_count += 1;
                    }
                    damage("a sample's values", numbers.damage(), &mut self.issues);
                }
                3 if label_count <= self.options.limits.labels_per_sample_max => {
                    label_count += 1;
                    if let Some(message) = field.value.bytes() {
                        self.label(message, profile);
                    }
                }
                _ => {}
            }
        }
        damage("a sample", all.damage(), &mut self.issues);
        let mut stack = None;
        if let Some(untyped @ (Untyped::Stacks(_) | Untyped::Snapshots)) = self.untyped {
            let known = self.stack(packed, profile);
            let leaf = leaf_name(profile, known);
            if let Some(values) = untyped.values(self.event, leaf) {
                self.values = values;
            }
            stack = Some(known);
        } else if self.untyped == Some(Untyped::Events) && value_count == 0 {
            self.values.fill(1);
        } else if value_count != self.rows.len() {
            let wanted = self.rows.len();
            self.issues.add(IssueKind::ValueCount, || {
                format!("a sample has {value_count} values, not {wanted}")
            });
        }
        if self.values.iter().all(|value| *value == 0) {
            return;
        }
        let stack = stack.unwrap_or_else(|| self.stack(packed, profile));
        let mut sample = Sample { stack, ..Sample::default() };
        self.labels.apply(&mut sample, &mut profile.tables, &mut self.budget, &mut self.issues);
        self.rows.push(profile, &sample, &self.values, &mut self.budget, &mut self.issues);
    }

    /// Reads a field of a sample's frames, unless it is the first and packed as writers send it: that
    /// is returned, and read when its bytes are not known yet.
    fn frames(&mut self, packed: Option<&'a [u8]>, more: Value<'a>) -> Option<&'a [u8]> {
        if let (None, Value::Len(bytes), []) = (packed, more, &*self.stack) {
            return Some(bytes);
        }
        if let Some(first) = packed {
            self.read_frames(Value::Len(first));
        }
        self.read_frames(more);
        None
    }

    fn read_frames(&mut self, value: Value<'a>) {
        let mut ids = value.varints();
        ids.by_ref().for_each(|id| self.frame(id));
        damage("a stack", ids.damage(), &mut self.issues);
    }

    fn stack(&mut self, packed: Option<&'a [u8]>, profile: &mut Profile) -> StackId {
        let Some(bytes) = packed else {
            return self.budget.stack(&mut profile.tables, &self.stack, &mut self.issues);
        };
        if let Some(known) = self.stacks.get(bytes) {
            return *known;
        }
        let issues = self.issues.total();
        self.read_frames(Value::Len(bytes));
        let stack = self.budget.stack(&mut profile.tables, &self.stack, &mut self.issues);
        // What is wrong with it is said each time.
        if self.issues.total() == issues {
            self.stacks.insert(bytes, stack);
        }
        stack
    }

    fn frame(&mut self, id: u64) {
        match self.resolved.locations.get(id) {
            // One frame more than is kept shows that the stack was longer.
            Some(_) if self.stack.len() >= self.budget.frames_to_read() => {}
            Some(location) => self.stack.push(location),
            None => self.issues.add(IssueKind::Reference, || {
                format!("a sample names location {id}, which is missing")
            }),
        }
    }

    fn label(&mut self, message: &[u8], profile: &mut Profile) {
        let (mut key, mut text, mut number, mut unit) = (None, None, None, None);
        let mut all = fields(message);
        for field in all.by_ref() {
            match (field.number, field.value.number()) {
                (1, Some(index)) => key = Some(index),
                (2, Some(index)) => text = Some(index).filter(|index| *index != 0),
                (3, Some(value)) => number = Some(value),
                (4, Some(index)) => unit = Some(index),
                _ => {}
            }
        }
        damage("a label", all.damage(), &mut self.issues);
        let key = self.read_text(key);
        let of_value = self.read_text(if text.is_some() { text } else { unit });
        let of_index = |at: usize| self.texts.get(at).and_then(Option::as_ref);
        let [key, of_value] = [key, of_value].map(|at| of_index(at).unwrap_or(&self.no_text));
        let value = match (text, number) {
            (Some(_), _) => LabelValue::Text(of_value),
            (None, Some(number)) => LabelValue::Number(number.cast_signed(), of_value),
            (None, None) => return,
        };
        if self.untyped.is_some_and(|untyped| untyped != Untyped::Events) {
            let key = key.text();
            match value {
                LabelValue::Text(text) => self.event.take(key, text.text(), 0),
                LabelValue::Number(number, _) => self.event.take(key, "", number),
            }
            if key == PERIOD {
                return;
            }
        }
        self.labels.add(key, value, &mut profile.tables, &mut self.budget, &mut self.issues);
    }

    /// Reads a text that a label refers to, and gives its index; there is none where that leads
    /// nowhere, or samples have referred to too much already.
    fn read_text(&mut self, index: Option<u64>) -> usize {
        let index = index.unwrap_or(0);
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if self.texts.get(at).is_none_or(Option::is_none) {
            self.read_text_first(index, at);
        }
        at
    }

    #[cold]
    fn read_text_first(&mut self, index: u64, at: usize) {
        let bytes = self.raw.string_bytes(index, &mut self.issues);
        let limits = &self.options.limits;
        let has_room = self.budget.work(bytes.len().min(limits.string_bytes_max), &mut self.issues);
        if let Some(slot) = self.texts.get_mut(at).filter(|_| has_room) {
            *slot = Some(LabelText::new(text(bytes, limits, &mut self.issues)));
        }
    }
}

/// The innermost function of a stack.
fn leaf_name(profile: &Profile, stack: StackId) -> &str {
    let tables = &profile.tables;
    let location = tables.stacks.leaf_first(stack).next();
    let line = location.and_then(|id| tables.locations.get(id)?.lines.first());
    let function = line.and_then(|line| tables.functions.get(line.function));
    function.map(|function| tables.text(function.name)).unwrap_or_default()
}

fn value_type(
    message: &[u8],
    raw: &Raw<'_>,
    options: &Options,
    issues: &mut Issues,
) -> (String, String) {
    let [_, name, unit] = numbers::<3>(message, "a sample type", issues);
    let mut string =
        |index: Option<u64>| raw.string(index.unwrap_or(0), options, issues).into_owned();
    (string(name), string(unit))
}

fn read_metadata(raw: &Raw<'_>, profile: &mut Profile, options: &Options, issues: &mut Issues) {
    let [_, _, _, _, _, _, _, drop, keep, time, duration, _, period, _, default_type, url] =
        raw.scalars;
    let start = Timestamp::from_nanos(time.cast_signed());
    let end = start.plus_nanos(duration.cast_signed().max(0));
    profile.window = TimeRange::new(start, end);
    let metadata = &mut profile.metadata;
    metadata.period = if raw.has_period { period.cast_signed() } else { 0 };
    if let Some(message) = raw.period_type {
        let (name, unit) = value_type(message, raw, options, issues);
        unit_name(&unit).clone_into(&mut metadata.period_unit);
        metadata.period_type = name;
    }
    let comments = raw.comments.iter().map(|&index| ("comment", index));
    let others = [
        ("drop_frames", drop),
        ("keep_frames", keep),
        ("default_sample_type", default_type),
        ("doc_url", url),
    ];
    for (key, index) in others.into_iter().chain(comments).filter(|(_, index)| *index != 0) {
        let text = raw.string(index, options, issues);
        if !text.is_empty() {
            metadata.info.push((key.to_owned(), text.into_owned()));
        }
    }
}

/// From the first to the last event, where the payload has no time of its own.
fn sampled_window(profile: &Profile) -> TimeRange {
    let times = || profile.samples.iter().filter_map(|sample| sample.time);
    let start = times().min().unwrap_or_default();
    let end = times().max().map_or(start, |last| last.plus_nanos(1));
    TimeRange::new(start, end)
}
