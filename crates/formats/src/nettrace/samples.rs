//! Events that are samples.

use super::container::{Blocks, Header};
use super::events::Event as Raw;
use super::input::{Input, Text};
use super::kinds::provisional;
use super::survey::{State, Survey};
use super::table::{About, Event, What};
use super::threads::{Label, ThreadRow};
use crate::decoded::{IssueKind, Issues};
use crate::intern::Budget;
use crate::labels::{LabelText, LabelValue, SampleLabels};
use crate::limits::NETTRACE_THREADS_MAX;
use crate::told::{Telling, Told};
use profile::runtime::category;
use profile::{
    Attribute, AttributeValue, KeyedMap, Profile, Sample, StackId, StackTable, StringId, Thread,
    VALUES_MAX,
};
use std::borrow::Cow;
use stdx::Timestamp;

const SUSPENDED_FOR_COLLECTION: [u32; 2] = [1, 6];
/// Two samples of a thread that are further apart have a gap between them: samples were lost.
const GAP_INTERVALS: i64 = 50;
/// The mean number of bytes between two sampled allocations.
const ALLOCATION_DISTANCE_BYTES: f64 = 102_400.0;
/// What profilers of the whole system mean by a weight of 1 where they do not say otherwise.
const DEFAULT_INTERVAL_NANOS: i64 = 1_000_000;

const MODES: &[&str] = &["error", "external", "managed"];
const HEAPS: &[&str] = &["small objects", "large objects", "pinned objects"];
const LOCKS: &[&str] = &["managed", "native"];
const WAITS: &[&str] = &["unknown", "monitor"];
const COLLECTIONS: &[&str] = &["blocking", "background", "foreground"];
const COLLECTION_REASONS: &[&str] = &[
    "small allocation",
    "induced",
    "low memory",
    "empty",
    "large allocation",
    "out of space for small objects",
    "out of space for large objects",
    "induced, not forced",
    "internal",
    "induced, low memory",
    "induced, compacting",
    "low memory of the host",
    "full collection on demand",
    "low memory of the host, blocking",
];
const ADJUSTMENTS: &[&str] = &[
    "warm-up",
    "initializing",
    "random move",
    "climbing move",
    "change point",
    "stabilizing",
    "starvation",
    "thread timed out",
    "cooperative blocking",
];

/// What decoding makes.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) profile: Profile,
    pub(super) budget: Budget,
    pub(super) issues: Issues,
}

impl Out {
    pub(super) fn text(&mut self, text: Text<'_>) -> StringId {
        let limits = self.budget.limits;
        if !self.budget.work(text.len().min(limits.string_bytes_max), &mut self.issues) {
            return StringId::default();
        }
        let text = text.read(&limits, &mut self.issues);
        self.word(&text)
    }

    pub(super) fn word(&mut self, text: &str) -> StringId {
        self.budget.intern(&mut self.profile.tables, text, &mut self.issues)
    }
}

/// A start that waits for its end.
#[derive(Clone, Copy, Debug)]
struct Start {
    ticks: i64,
    reason: u32,
    stack: StackId,
}

/// Reads samples in the file's order.
#[derive(Debug)]
pub(super) struct Samples<'s, 'a> {
    pub(super) header: &'s Header,
    pub(super) survey: &'s Survey<'a>,
    pub(super) state: State<'a>,
    pub(super) known: super::decode::Known,
    pub(super) told: Told,
    /// By whether it is a pause, a lock or a wait, and the thread.
    started: KeyedMap<(u8, u64), Start>,
    /// When each thread was sampled last.
    sampled: KeyedMap<u64, i64>,
}

/// What an event says of itself.
#[derive(Debug, Default)]
struct Said<'a> {
    is_no_sample: bool,
    /// Where the thread was when it began, as the runtime gives waits' ends no stack.
    began: StackId,
    values: [i64; VALUES_MAX],
    attributes: Vec<(&'static str, Worth<'a>)>,
}

/// The value of an attribute.
#[derive(Debug)]
enum Worth<'a> {
    Text(Text<'a>),
    Word(&'static str),
    Number(i64),
}

impl<'s, 'a> Samples<'s, 'a> {
    pub(super) fn new(header: &'s Header, survey: &'s Survey<'a>) -> Self {
        let (state, known) = (State::default(), super::decode::Known::default());
        Self {
            header,
            survey,
            state,
            known,
            told: Told::default(),
            started: KeyedMap::default(),
            sampled: KeyedMap::default(),
        }
    }

    pub(super) fn read(&mut self, blocks: Blocks<'a>, out: &mut Out) {
        // What is wrong with blocks has been said.
        let mut said = Issues::default();
        for block in blocks {
            let events = self.state.take(&block, self.header, &mut said);
            if events.is_none() {
                self.known.forget(block.content);
            }
            for event in events.into_iter().flatten() {
                self.event(&event, out);
            }
        }
    }

    fn event(&mut self, event: &Raw<'a>, out: &mut Out) {
        let Some(kind) = self.state.types.get(event.kind) else { return };
        match kind.what {
            Some(What::Says(about)) => self.start(about, event, out),
            Some(What::Sample(kind)) => {
                let thread = self.state.thread(event, self.header);
                match self.said(kind, event, &thread) {
                    Some(said) if said.is_no_sample => {}
                    Some(said) => {
                        self.tell(kind, event, &said, out);
                        self.sample(kind, event, &thread, said, out);
                    }
                    None => out.issues.add(IssueKind::Damage, || {
                        format!("the event at {} ({kind:?}) is too short", event.at)
                    }),
                }
            }
            None => {}
        }
    }

    fn start(&mut self, about: About, event: &Raw<'a>, out: &mut Out) {
        let (which, reason) = match about {
            About::Suspend => (0, Input::new(event.payload).u32().unwrap_or(0)),
            About::ContentionStart => (1, 0),
            About::WaitStart => (2, Input::new(event.payload).u8().map_or(0, u32::from)),
            _ => return,
        };
        let key = (which, event.thread);
        if self.started.len() < NETTRACE_THREADS_MAX || self.started.contains_key(&key) {
            let stack = if about == About::Suspend {
                StackTable::ROOT
            } else {
                let process = self.state.thread(event, self.header).process;
                self.stack(event, process, out)
            };
            self.started.insert(key, Start { ticks: event.ticks, reason, stack });
        }
    }

    /// The thread's start of that sort, and nanoseconds since then.
    fn since_start(&mut self, which: u8, event: &Raw<'a>) -> Option<(i64, Start)> {
        let start = self.started.remove(&(which, event.thread))?;
        Some((self.since(Some(start.ticks), event), start))
    }

    fn since(&self, ticks: Option<i64>, event: &Raw<'a>) -> i64 {
        let ticks = ticks.map_or(0, |ticks| event.ticks.saturating_sub(ticks));
        self.header.nanos(ticks.max(0))
    }

    /// The time that a thread's sample stands for: since the one before, as the profiler takes longer
    /// than it is asked to. The first one, and one after a gap, stand for what it is asked to.
    fn since_sample(&mut self, event: &Raw<'a>) -> i64 {
        let interval = self.header.interval;
        let is_known = self.sampled.contains_key(&event.thread);
        if !is_known && self.sampled.len() >= NETTRACE_THREADS_MAX {
            return interval;
        }
        let Some(before) = self.sampled.insert(event.thread, event.ticks) else { return interval };
        let since = self.header.nanos(event.ticks.saturating_sub(before));
        let longest = interval.saturating_mul(GAP_INTERVALS);
        if (0..=longest).contains(&since) { since } else { interval }
    }

    /// What an event measured; nothing where it is damaged.
    fn said(&mut self, kind: Event, event: &Raw<'a>, thread: &ThreadRow<'_>) -> Option<Said<'a>> {
        let mut input = Input::new(event.payload);
        let mut said = Said::default();
        let values = &mut said.values;
        match kind {
            Event::ThreadSample => {
                *values = [0, 0, self.since_sample(event), 1];
                said.one_of("thread mode", MODES, input.u32()?);
            }
            Event::AllocationTick => said.tick(&mut input, self.header.pointer_bytes)?,
            Event::AllocationSampled => said.sampled(&mut input, self.header.pointer_bytes)?,
            Event::Exception => {
                values[0] = 1;
                // The first version says nothing.
                if let (Some(class), Some(message)) = (input.wide(), input.wide()) {
                    let texts = [("exception type", class), ("exception message", message)];
                    said.attributes.extend(texts.map(|(key, text)| (key, Worth::Text(text))));
                }
            }
            Event::Adjustment => {
                values[0] = 1;
                let _throughput = input.u64()?;
                let workers = i64::from(input.u32()?);
                said.one_of("reason", ADJUSTMENTS, input.u32()?);
                said.attributes.push(("worker threads", Worth::Number(workers)));
            }
            Event::Cpu => {
                let weight = input.varuint()?.min(i64::MAX as u64).cast_signed();
                let interval = self.header.interval;
                let interval = if interval > 0 { interval } else { DEFAULT_INTERVAL_NANOS };
                *values = [interval.saturating_mul(weight), weight, 0, 0];
                said.of_process(thread);
            }
            Event::Switch => {
                let ticks = input.varuint()?.min(i64::MAX as u64).cast_signed();
                values[0] = self.header.nanos(ticks);
                said.of_process(thread);
            }
            _ => self.ended(kind, event, thread, &mut said)?,
        }
        Some(said)
    }

    /// Events that end what others began.
    fn ended(
        &mut self,
        kind: Event,
        event: &Raw<'a>,
        thread: &ThreadRow<'_>,
        said: &mut Said<'a>,
    ) -> Option<()> {
        let mut input = Input::new(event.payload);
        match kind {
            Event::Contention => {
                let started = self.since_start(1, event);
                said.began = started.map_or(StackTable::ROOT, |(_, start)| start.stack);
                let since = started.map_or(0, |(nanos, _)| nanos);
                let flags = input.u8()?;
                let nanos = input.u16().and_then(|_| input.u64()).map(f64::from_bits);
                // Saturates, and what is no number is 0.
                said.values = [nanos.map_or(since, |nanos| nanos.round() as i64).max(0), 1, 0, 0];
                said.one_of("lock kind", LOCKS, u32::from(flags));
            }
            Event::Wait => {
                let started = self.since_start(2, event);
                said.began = started.map_or(StackTable::ROOT, |(_, start)| start.stack);
                said.values = [started.map_or(0, |(nanos, _)| nanos), 1, 0, 0];
                let source = started.map_or(0, |(_, start)| start.reason);
                said.one_of("wait source", WAITS, source);
            }
            Event::Dequeue => {
                let work = input.pointer(self.header.pointer_bytes)?;
                let queued = self.survey.queued_at(thread.process, work, event.ticks);
                said.values = [self.since(queued, event), 1, 0, 0];
            }
            Event::Collection => self.collection(said, input.u32()?, event, thread),
            _ => {
                let started = self.since_start(0, event);
                let for_collection =
                    started.filter(|(_, start)| SUSPENDED_FOR_COLLECTION.contains(&start.reason));
                said.is_no_sample = for_collection.is_none();
                said.values = [for_collection.map_or(0, |(nanos, _)| nanos), 1, 0, 0];
            }
        }
        Some(())
    }

    fn collection(
        &self,
        said: &mut Said<'a>,
        number: u32,
        event: &Raw<'a>,
        thread: &ThreadRow<'_>,
    ) {
        let start = self.survey.collections.get(&(thread.process, number));
        said.values = [self.since(start.map(|start| start.ticks), event), 1, 0, 0];
        if let Some(start) = start {
            let generation = Worth::Number(i64::from(start.generation));
            said.attributes.push(("gc generation", generation));
            said.one_of("gc reason", COLLECTION_REASONS, start.reason);
            said.one_of("gc type", COLLECTIONS, start.kind);
        }
    }

    /// Keeps collections and pauses beside the samples that they are, too.
    fn tell(&mut self, kind: Event, event: &Raw<'a>, said: &Said<'a>, out: &mut Out) {
        let name = match kind {
            Event::Collection => "GC",
            Event::Pause => "GCPause",
            _ => return,
        };
        let duration_nanos = said.values[0];
        let word = |(key, value): &(&'static str, Worth<'a>)| match value {
            Worth::Number(number) => Some((*key, number.to_string())),
            Worth::Word(word) => Some((*key, (*word).to_owned())),
            Worth::Text(_) => None,
        };
        let attributes: Vec<_> = said.attributes.iter().filter_map(word).collect();
        let telling = Telling {
            category: category::GC,
            name,
            start: self.header.time(event.ticks).saturating_sub(duration_nanos),
            duration_nanos,
            reading: None,
            attributes: &attributes,
        };
        self.told.add(&telling, &mut out.budget, &mut out.issues);
    }

    fn sample(
        &mut self,
        kind: Event,
        event: &Raw<'a>,
        thread: &ThreadRow<'a>,
        said: Said<'a>,
        out: &mut Out,
    ) {
        if !out.budget.sample(&mut out.issues) {
            return;
        }
        let mut sample =
            Sample { kind: provisional(kind), values: said.values, ..Sample::default() };
        let stack = self.stack(event, thread.process, out);
        sample.stack = if stack == StackTable::ROOT { said.began } else { stack };
        let mut labels = SampleLabels::default();
        for (key, value) in said.attributes {
            let value = match value {
                Worth::Number(number) => AttributeValue::Number(number, StringId::default()),
                Worth::Word(word) => AttributeValue::Text(out.word(word)),
                Worth::Text(text) => AttributeValue::Text(out.text(text)),
            };
            if value != AttributeValue::Text(StringId::default()) {
                labels.push(Attribute { key: out.word(key), value });
            }
        }
        self.listed(event.labels, &mut labels, out);
        let Out { profile, budget, issues } = &mut *out;
        labels.apply(&mut sample, &mut profile.tables, budget, issues);
        let time = self.header.time(event.ticks);
        sample.time = (time > 0).then(|| Timestamp::from_nanos(time));
        if thread.id != 0 {
            let name =
                if thread.name.len() > 0 { out.text(thread.name) } else { StringId::default() };
            let thread = Thread { id: thread.id.cast_signed(), name };
            sample.thread = Some(out.profile.tables.threads.intern(thread));
        }
        out.profile.samples.push(sample);
    }

    /// Labels that the event has by its list.
    fn listed(&self, list: u32, labels: &mut SampleLabels, out: &mut Out) {
        let (mut trace, mut span) = (0, 0);
        let max = out.budget.limits.labels_per_sample_max;
        for label in self.state.lists.get(list).take(max) {
            let (key, value) = match label {
                Label::Trace(id) => {
                    trace = id;
                    continue;
                }
                Label::Span(id) => {
                    span = id;
                    continue;
                }
                Label::Other => continue,
                Label::Text(key, value) => (key, Err(value)),
                Label::Number(key, number) => (key, Ok(number)),
            };
            let limits = out.budget.limits;
            let key = LabelText::new(key.read(&limits, &mut out.issues));
            let text = match &value {
                Ok(_) => Cow::Borrowed(""),
                Err(text) => text.read(&limits, &mut out.issues),
            };
            let text = LabelText::new(text);
            let value = match value {
                Ok(number) => LabelValue::Number(number, &text),
                Err(_) => LabelValue::Text(&text),
            };
            let Out { profile, budget, issues } = &mut *out;
            labels.add(&key, value, &mut profile.tables, budget, issues);
        }
        if (trace, span) != (0, 0) {
            labels.set_link(trace, span);
        }
    }
}

impl<'a> Said<'a> {
    fn one_of(&mut self, key: &'static str, words: &'static [&'static str], at: u32) {
        let word = words.get(at as usize);
        let value = word.map_or(Worth::Number(i64::from(at)), |word| Worth::Word(word));
        self.attributes.push((key, value));
    }

    fn of_process(&mut self, thread: &ThreadRow<'_>) {
        if thread.process != 0 {
            let process = Worth::Number(thread.process.cast_signed());
            self.attributes.push(("process", process));
        }
    }

    /// Later versions have more behind what the first one has.
    fn tick(&mut self, input: &mut Input<'a>, pointer_bytes: usize) -> Option<()> {
        let (amount, heap) = (input.u32()?, input.u32()?);
        let exact = input.u16().and_then(|_| input.u64());
        let amount =
            exact.map_or(i64::from(amount), |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        self.values[0] = amount;
        self.allocated(heap, input.pointer(pointer_bytes).and_then(|_| input.wide()));
        Some(())
    }

    /// Each byte is sampled with the same probability, so a large object is likelier to be: an
    /// object stands for as many as it takes until one of its size is sampled.
    fn sampled(&mut self, input: &mut Input<'a>, pointer_bytes: usize) -> Option<()> {
        let (heap, _) = (input.u32()?, input.u16()?);
        let _type = input.pointer(pointer_bytes)?;
        let class = input.wide()?;
        let _address = input.pointer(pointer_bytes)?;
        let bytes = input.u64()? as f64;
        let probability = -(bytes * (-1.0 / ALLOCATION_DISTANCE_BYTES).ln_1p()).exp_m1();
        if probability > 0.0 {
            let objects = 1.0 / probability;
            self.values = [(bytes * objects).round() as i64, objects.round() as i64, 0, 0];
        }
        self.allocated(heap, Some(class));
        Some(())
    }

    fn allocated(&mut self, heap: u32, class: Option<Text<'a>>) {
        self.one_of("object heap", HEAPS, heap);
        self.attributes.extend(class.map(|class| ("allocated class", Worth::Text(class))));
    }
}
