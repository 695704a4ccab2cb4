//! What becomes of which event: the one table.

pub use crate::kinds::Becomes;
use Becomes::{Kind, Own};

/// The runtime's own events.
pub const RUNTIME: &str = "Microsoft-Windows-DotNETRuntime";
/// What the runtime tells of all there is, when a trace ends.
pub const RUNDOWN: &str = "Microsoft-Windows-DotNETRuntimeRundown";
const SAMPLER: &str = "Microsoft-DotNETCore-SampleProfiler";
const EVENT_PIPE: &str = "Microsoft-DotNETCore-EventPipe";
/// Profilers of the whole system that write nettrace.
const SYSTEM: &str = "Universal.System";
const MEASURED: &str = "Universal.Events";

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Becomes samples.
    Sample(Event),
    /// Is read for what it says about others.
    Says(About),
}

/// Events that become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table says what they are")]
pub enum Event {
    ThreadSample,
    AllocationSampled,
    AllocationTick,
    Exception,
    Contention,
    Wait,
    Dequeue,
    Adjustment,
    Collection,
    Pause,
    Cpu,
    Switch,
}

/// Events that say something about others, or about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table says what they are")]
pub enum About {
    Method,
    Module,
    ContentionStart,
    WaitStart,
    Enqueue,
    CollectionStart,
    Suspend,
    Runtime,
    Process,
    Mapping,
    Symbol,
}

/// How a type of events is told: by its provider, and its number or its name.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    provider: &'static str,
    number: u32,
    name: &'static str,
}

impl Key {
    const fn number(provider: &'static str, number: u32) -> Self {
        Self { provider, number, name: "" }
    }

    const fn name(provider: &'static str, name: &'static str) -> Self {
        Self { provider, number: 0, name }
    }

    fn is(&self, provider: &str, number: u32, name: &str) -> bool {
        let same = if self.name.is_empty() { self.number == number } else { self.name == name };
        self.provider == provider && same
    }

    fn shown(&self) -> String {
        if self.name.is_empty() {
            format!("{}/{}", self.provider, self.number)
        } else {
            format!("{}/{}", self.provider, self.name)
        }
    }
}

/// An event type and what its events are in the model.
#[derive(Debug)]
pub struct EventEntry {
    /// How it is told.
    pub key: Key,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub event: Event,
    /// What it becomes.
    pub becomes: Becomes,
    /// For each measure of the kind what it is called in receipts, behind the name, and where it
    /// comes from. The empty place is for what the event does not measure.
    pub values: &'static [(&'static str, &'static str)],
    /// Names of its attributes.
    pub attributes: &'static [&'static str],
}

const NOTHING: (&str, &str) = ("", "");
const ONE: (&str, &str) = ("", "1");

const fn e(
    key: Key,
    name: &'static str,
    event: Event,
    becomes: Becomes,
    values: &'static [(&'static str, &'static str)],
    attributes: &'static [&'static str],
) -> EventEntry {
    EventEntry { key, name, event, becomes, values, attributes }
}

/// Every event type that becomes samples.
pub const EVENTS: &[EventEntry] = &[
    e(
        Key::number(SAMPLER, 0),
        "ThreadSample",
        Event::ThreadSample,
        Kind("stack"),
        &[NOTHING, NOTHING, (".time", "the time since the thread's last one"), ONE],
        &["thread mode"],
    ),
    e(
        Key::number(RUNTIME, 303),
        "AllocationSampled",
        Event::AllocationSampled,
        Kind("heap"),
        &[(".bytes", "estimated of `ObjectSize`"), (".objects", "estimated of `ObjectSize`")],
        &["allocated class", "object heap"],
    ),
    e(
        Key::number(RUNTIME, 10),
        "AllocationTick",
        Event::AllocationTick,
        Kind("heap"),
        &[(".bytes", "`AllocationAmount64`, else `AllocationAmount`")],
        &["allocated class", "object heap"],
    ),
    e(
        Key::number(RUNTIME, 80),
        "ExceptionThrown",
        Event::Exception,
        Kind("exception"),
        &[ONE],
        &["exception type", "exception message"],
    ),
    e(
        Key::number(RUNTIME, 91),
        "ContentionStop",
        Event::Contention,
        Kind("lock_acquire"),
        &[(".duration", "`DurationNs`, else the time since the thread's ContentionStart"), ONE],
        &["lock kind"],
    ),
    e(
        Key::number(RUNTIME, 302),
        "WaitHandleWaitStop",
        Event::Wait,
        Kind("synchronization"),
        &[(".duration", "the time since the thread's WaitHandleWaitStart"), ONE],
        &["wait source"],
    ),
    e(
        Key::number(RUNTIME, 62),
        "ThreadPoolDequeue",
        Event::Dequeue,
        Own(&[("queue_time", "nanoseconds"), ("queued", "count")]),
        &[(".time", "the time since the same work's ThreadPoolEnqueue"), ONE],
        &[],
    ),
    e(
        Key::number(RUNTIME, 55),
        "ThreadPoolAdjustment",
        Event::Adjustment,
        Own(&[("thread_pool_adjustments", "count")]),
        &[ONE],
        &["reason", "worker threads"],
    ),
    e(
        Key::number(RUNTIME, 2),
        "GCEnd",
        Event::Collection,
        Own(&[("gc_time", "nanoseconds"), ("gcs", "count")]),
        &[(".time", "the time since its GCStart"), ONE],
        &["gc generation", "gc reason", "gc type"],
    ),
    e(
        Key::number(RUNTIME, 3),
        "GCRestartEEEnd",
        Event::Pause,
        Own(&[("gc_pause", "nanoseconds"), ("gc_pauses", "count")]),
        &[
            (".time", "the time since the thread's GCSuspendEEBegin, if that was for a collection"),
            ONE,
        ],
        &[],
    ),
    e(
        Key::name(MEASURED, "cpu"),
        "cpu",
        Event::Cpu,
        Kind("stack"),
        &[(".time", "interval × `Value`"), (".samples", "`Value`")],
        &["process"],
    ),
    e(
        Key::name(MEASURED, "cswitch"),
        "cswitch",
        Event::Switch,
        Kind("off_cpu"),
        &[(".time", "`Value`, in ticks")],
        &["process"],
    ),
];

/// Event types that are read for what they say about the file or about other events.
pub const INFORMATION: &[(Key, &str, About, &str)] = &[
    (Key::number(RUNTIME, 143), "MethodLoadVerbose", About::Method, "names of methods by address"),
    (
        Key::number(RUNTIME, 144),
        "MethodUnloadVerbose",
        About::Method,
        "names of methods by address",
    ),
    (
        Key::number(RUNDOWN, 143),
        "MethodDCStartVerbose",
        About::Method,
        "names of methods by address",
    ),
    (Key::number(RUNDOWN, 144), "MethodDCEndVerbose", About::Method, "names of methods by address"),
    (Key::number(RUNTIME, 152), "ModuleLoad", About::Module, "files of methods"),
    (Key::number(RUNTIME, 153), "ModuleUnload", About::Module, "files of methods"),
    (Key::number(RUNDOWN, 153), "ModuleDCStart", About::Module, "files of methods"),
    (Key::number(RUNDOWN, 154), "ModuleDCEnd", About::Module, "files of methods"),
    (Key::number(RUNTIME, 81), "ContentionStart", About::ContentionStart, "when a wait began"),
    (Key::number(RUNTIME, 301), "WaitHandleWaitStart", About::WaitStart, "when a wait began"),
    (Key::number(RUNTIME, 61), "ThreadPoolEnqueue", About::Enqueue, "when work was queued"),
    (Key::number(RUNTIME, 1), "GCStart", About::CollectionStart, "when and why a collection began"),
    (Key::number(RUNTIME, 9), "GCSuspendEEBegin", About::Suspend, "when and why a pause began"),
    (Key::number(RUNTIME, 187), "RuntimeInformationStart", About::Runtime, "the runtime's version"),
    (
        Key::number(RUNDOWN, 187),
        "RuntimeInformationDCStart",
        About::Runtime,
        "the runtime's version",
    ),
    (
        Key::number(EVENT_PIPE, 1),
        "ProcessInfo",
        About::Process,
        "operating system and architecture (not the command line)",
    ),
    (Key::name(SYSTEM, "ProcessMapping"), "ProcessMapping", About::Mapping, "mapped files"),
    (Key::name(SYSTEM, "ProcessSymbol"), "ProcessSymbol", About::Symbol, "names by address"),
];

/// What a type of events is; nothing where its events are not read.
pub(super) fn find(provider: &str, number: u32, name: &str) -> Option<What> {
    let is = |key: &Key| key.is(provider, number, name);
    let sample = EVENTS.iter().find(|entry| is(&entry.key));
    let sample = sample.map(|entry| What::Sample(entry.event));
    sample.or_else(|| {
        let entry = INFORMATION.iter().find(|(key, ..)| is(key));
        entry.map(|(_, _, about, _)| What::Says(*about))
    })
}

/// Where names of types are missing, or differ with who writes them.
pub(super) fn is_of_runtime(provider: &str) -> bool {
    provider.starts_with(RUNTIME) || provider == SAMPLER
}

/// The tables as the documentation shows them, a row an entry.
pub fn in_markdown() -> Vec<String> {
    let rows = EVENTS.iter().map(row);
    let information = INFORMATION
        .iter()
        .map(|(key, name, _, what)| format!("| {name} (`{}`) | {what} |", key.shown()));
    rows.chain(information).collect()
}

fn row(entry: &EventEntry) -> String {
    let (kind, measures) = entry.becomes.in_words();
    let values = measures.iter().zip(entry.values).filter(|(_, (_, from))| !from.is_empty());
    let values: Vec<_> = values.map(|(name, (_, from))| format!("{name}: {from}")).collect();
    format!(
        "| {} (`{}`) | {kind} | {} | {} |",
        entry.name,
        entry.key.shown(),
        values.join("; "),
        entry.attributes.join(", "),
    )
}
