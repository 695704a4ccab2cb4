//! Events that are samples.

use super::decode::{Chunk, Event, Out};
use super::header::Header;
use super::info::Info;
use super::kinds::provisional;
use super::layout::{Reader, SLOTS, Value};
use super::metadata::Unit;
use super::names::Names;
use super::table::{EVENTS, EVERYWHERE, EventEntry, Source, When};
use crate::decoded::IssueKind;
use crate::labels::SampleLabels;
use crate::limits::JFR_TYPES_OF_NAME_MAX;
use profile::{Attribute, AttributeValue, KeyedMap, Sample, StringId, VALUES_MAX};
use stdx::Timestamp;

/// Fields of all events, and their slots.
const COMMON: [&str; 8] = [
    "startTime",
    "eventThread",
    "sampledThread",
    "stackTrace",
    "spanId",
    "localRootSpanId",
    "state",
    "contextId",
];
const START: usize = 0;
const EVENT_THREAD: usize = 1;
const SAMPLED_THREAD: usize = 2;
const STACK: usize = 3;
const SPAN: usize = 4;
const ROOT_SPAN: usize = 5;
const STATE: usize = 6;
const CONTEXT: usize = 7;

/// How the events of one type are read.
#[derive(Debug)]
struct Plan {
    reader: Reader,
    always: Shape,
    by_wall_clock: Option<Shape>,
}

/// What an entry of the table makes of an event.
#[derive(Debug)]
struct Shape {
    entry: usize,
    sources: [Origin; VALUES_MAX],
    /// Slots and names.
    attributes: Vec<(usize, StringId)>,
}

/// A source whose fields are slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Nothing,
    One,
    Slot(usize),
    Product(usize, Option<usize>),
    Rate { interval: i64, count: Option<usize> },
}

/// Reads a chunk's samples. Returns when the last event was.
pub(super) fn read_samples(chunk: &Chunk<'_>, info: &Info, out: &mut Out) -> i64 {
    let plans = plans(chunk, info, out);
    let mut names = Names::new(chunk);
    let mut last = 0;
    for event in chunk.events() {
        if let Some(plan) = plans.get(&event.kind) {
            last = last.max(plan.sample(event, chunk, info, &mut names, out));
        }
    }
    last
}

fn plans(chunk: &Chunk<'_>, info: &Info, out: &mut Out) -> KeyedMap<u64, Plan> {
    let mut plans = KeyedMap::default();
    let execution = chunk.types.id_of("jdk.ExecutionSample");
    for (kind, name) in chunk.kinds() {
        let entries = || EVENTS.iter().enumerate().filter(|(_, entry)| entry.event == name);
        let Some((always, entry)) = entries().find(|(_, entry)| entry.when == When::Always) else {
            continue;
        };
        let alike = plans.values().filter(|plan: &&Plan| plan.always.entry == always);
        if alike.count() >= JFR_TYPES_OF_NAME_MAX {
            out.issues.add(IssueKind::Limit, || {
                format!("only {JFR_TYPES_OF_NAME_MAX} event types named {name} are read")
            });
            continue;
        }
        let wanted = wanted(entry);
        let class = chunk.types.find(kind);
        let Some(reader) = class.and_then(|class| Reader::new(&chunk.types, class, &wanted)) else {
            continue;
        };
        let intervals = (info.interval(kind), info.wall_interval(kind, execution));
        let by_wall_clock = entries().find(|(_, entry)| entry.when == When::WallClock);
        let mut shape = |at| Shape::new(at, &wanted, &reader, intervals, out);
        let (always, by_wall_clock) = (shape(always), by_wall_clock.map(|(at, _)| shape(at)));
        plans.insert(kind, Plan { reader, always, by_wall_clock });
    }
    plans
}

/// The fields of a type that are read.
fn wanted(entry: &'static EventEntry) -> Vec<&'static str> {
    let mut wanted = COMMON.to_vec();
    let sources = entry.values.iter().flat_map(|source| match *source {
        Source::Nothing | Source::One => [""; 2],
        Source::Field(field) | Source::Count(field) => [field, ""],
        Source::Product(field, count) => [field, count],
        Source::Rate(count) => [count, ""],
    });
    let attributes = entry.attributes.iter().chain(EVERYWHERE).map(|(field, _)| *field);
    for field in sources.chain(attributes) {
        if !field.is_empty() && !wanted.contains(&field) {
            wanted.push(field);
        }
    }
    debug_assert!(wanted.len() <= SLOTS, "{}", entry.event);
    wanted
}

impl Shape {
    fn new(
        at: usize,
        wanted: &[&str],
        reader: &Reader,
        (interval, wall_interval): (i64, i64),
        out: &mut Out,
    ) -> Self {
        let entry = &EVENTS[at];
        let slot = |field: &str| {
            let slot = wanted.iter().position(|name| *name == field)?;
            (slot < SLOTS && reader.has(slot)).then_some(slot)
        };
        let mut sources = [Origin::Nothing; VALUES_MAX];
        for (measure, (source, to)) in entry.values.iter().zip(&mut sources).enumerate() {
            *to = match *source {
                Source::Nothing => Origin::Nothing,
                Source::One => Origin::One,
                Source::Field(field) => slot(field).map_or(Origin::Nothing, Origin::Slot),
                Source::Count(field) => slot(field).map_or(Origin::One, Origin::Slot),
                Source::Product(field, count) => {
                    slot(field).map_or(Origin::Nothing, |field| Origin::Product(field, slot(count)))
                }
                Source::Rate(count) => {
                    // The registered kind of stacks has the wall clock's measures last.
                    let interval = if measure >= 2 { wall_interval } else { interval };
                    Origin::Rate { interval, count: slot(count) }
                }
            };
        }
        let attributes = entry.attributes.iter().chain(EVERYWHERE);
        let attributes = attributes.filter_map(|(field, name)| {
            let name = out.budget.intern(&mut out.profile.tables, name, &mut out.issues);
            Some((slot(field)?, name))
        });
        Self { entry: at, sources, attributes: attributes.collect() }
    }
}

impl Plan {
    /// Adds one event; returns when it was.
    fn sample<'a>(
        &self,
        mut event: Event<'a>,
        chunk: &Chunk<'a>,
        info: &Info,
        names: &mut Names<'_, 'a>,
        out: &mut Out,
    ) -> i64 {
        let (slots, is_whole) = self.reader.read(&mut event.body);
        if !is_whole {
            let name = EVENTS[self.always.entry].event;
            out.issues.add(IssueKind::Damage, || format!("a {name} at {} is damaged", event.at));
            return 0;
        }
        let time = number(slots[START]).map_or(0, |ticks| chunk.header.time(ticks));
        if !out.budget.sample(&mut out.issues) {
            return time;
        }
        let mut shape = &self.always;
        if let (Some(other), Value::Pooled(class, key)) = (&self.by_wall_clock, slots[STATE]) {
            let state = names.interned(class, key, out);
            if info.is_by_wall_clock(out.profile.tables.text(state)) {
                shape = other;
            }
        }
        let number = |slot: usize| amount(slots[slot], self.reader.unit(slot), &chunk.header);
        let values = shape.sources.map(|source| value(source, &number));
        let mut sample = Sample { kind: provisional(shape.entry), values, ..Sample::default() };
        if let Value::Pooled(_, key) = slots[STACK] {
            let (stack, is_truncated) = names.stack(key, out);
            sample.stack = stack;
            out.profile.metadata.broken += u64::from(is_truncated);
        }
        let mut labels = SampleLabels::default();
        labels.set_spans(id(slots[SPAN]), id(slots[ROOT_SPAN]));
        for &(slot, key) in &shape.attributes {
            let value = attribute(slots[slot], names, out);
            if let Some(value) = value {
                labels.push(Attribute { key, value });
            }
        }
        info.contexts.label(id(slots[CONTEXT]), &mut labels, out);
        let Out { profile, budget, issues } = out;
        labels.apply(&mut sample, &mut profile.tables, budget, issues);
        sample.time = (time > 0).then(|| Timestamp::from_nanos(time));
        let thread = [slots[SAMPLED_THREAD], slots[EVENT_THREAD]];
        sample.thread = thread.into_iter().find_map(|thread| match thread {
            Value::Pooled(class, key) => names.thread(class, key, out),
            _ => None,
        });
        out.profile.samples.push(sample);
        time
    }
}

/// A value as a number; times in nanoseconds.
pub(super) fn amount(value: Value<'_>, unit: Unit, header: &Header) -> Amount {
    match (value, unit) {
        (Value::Number(ticks), Unit::Ticks) => Amount::Int(header.nanos(ticks)),
        (Value::Number(number), Unit::Nanos(each)) => Amount::Int(number.saturating_mul(each)),
        (Value::Number(number), Unit::None) => Amount::Int(number),
        (Value::Fraction(fraction), _) => Amount::Fraction(fraction),
        _ => Amount::Int(0),
    }
}

/// A number of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    Int(i64),
    Fraction(f64),
}

impl Amount {
    pub(super) fn as_fraction(self) -> f64 {
        match self {
            Amount::Int(number) => number as f64,
            Amount::Fraction(fraction) => fraction,
        }
    }

    pub(super) fn rounded(self) -> i64 {
        match self {
            Amount::Int(number) => number,
            // Saturates, and what is no number is 0.
            Amount::Fraction(fraction) => fraction.round() as i64,
        }
    }

    fn times(self, count: Self) -> i64 {
        match (self, count) {
            (Amount::Int(a), Amount::Int(b)) => a.saturating_mul(b),
            (Amount::Int(a), Amount::Fraction(b)) => Amount::Fraction(a as f64 * b).rounded(),
            (Amount::Fraction(a), Amount::Int(b)) => Amount::Fraction(a * b as f64).rounded(),
            (Amount::Fraction(a), Amount::Fraction(b)) => Amount::Fraction(a * b).rounded(),
        }
    }
}

fn value(source: Origin, number: &impl Fn(usize) -> Amount) -> i64 {
    match source {
        Origin::Nothing => 0,
        Origin::One => 1,
        Origin::Slot(slot) => number(slot).rounded(),
        Origin::Product(slot, count) => {
            count.map_or(number(slot).rounded(), |count| number(slot).times(number(count)))
        }
        Origin::Rate { interval, count } => {
            Amount::Int(interval).times(count.map_or(Amount::Int(1), number))
        }
    }
}

fn number(value: Value<'_>) -> Option<i64> {
    if let Value::Number(number) = value { Some(number) } else { None }
}

fn id(value: Value<'_>) -> u64 {
    number(value).unwrap_or(0).cast_unsigned()
}

/// What is worth keeping of a value.
fn attribute<'a>(
    value: Value<'a>,
    names: &mut Names<'_, 'a>,
    out: &mut Out,
) -> Option<AttributeValue> {
    let text = match value {
        Value::None | Value::Fraction(_) => return None,
        Value::Number(number) => return Some(AttributeValue::Number(number, StringId::default())),
        Value::Pooled(class, key) => names.interned(class, key, out),
        Value::Text(_) => {
            let text = names.value_text(value, out);
            out.budget.intern(&mut out.profile.tables, &text, &mut out.issues)
        }
    };
    (text != StringId::default()).then_some(AttributeValue::Text(text))
}
