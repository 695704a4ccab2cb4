//! What becomes of which event: the one table.

pub use crate::kinds::Becomes;
use Source::{Count, Field, Nothing, One, Product, Rate};
use profile::runtime::category;

/// An event type and what its events are in the model.
#[derive(Debug)]
pub struct EventEntry {
    /// The type's name.
    pub event: &'static str,
    /// Which of its events.
    pub when: When,
    /// What they are.
    pub becomes: Becomes,
    /// What a file may tell by several event types, and how well this one tells it: 0 best. Where
    /// a file has a better one, this one's events keep a kind of their own, so that nothing is
    /// counted twice.
    pub told: Option<(&'static str, u8)>,
    /// Where each measure's value comes from, in the order of the measures.
    pub values: &'static [Source],
    /// Fields that are kept as attributes, and the attributes' names.
    pub attributes: &'static [(&'static str, &'static str)],
}

/// Which events of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every one.
    Always,
    /// Those sampled by the wall clock, which async-profiler's older versions write as
    /// `jdk.ExecutionSample`: its settings and the thread's state tell.
    WallClock,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The event does not measure it.
    Nothing,
    /// 1.
    One,
    /// A field; times in nanoseconds.
    Field(&'static str),
    /// A field that says how many samples or objects the event stands for; 1 without the field.
    Count(&'static str),
    /// The field, times the count of the second.
    Product(&'static str, &'static str),
    /// The sampling interval in nanoseconds, times the count of the field; once without the field.
    Rate(&'static str),
}

impl Source {
    /// Its name as the receipt of an upload shows it, after the event's.
    pub(super) fn name(self) -> String {
        match self {
            Nothing | One => String::new(),
            Field(field) | Count(field) => format!(".{field}"),
            Product(field, count) => format!(".{field}*{count}"),
            Rate(..) => ".time".to_owned(),
        }
    }
}

const STATE: (&str, &str) = ("state", "thread state");
const ALLOCATED: &[(&str, &str)] = &[("objectClass", "allocated class")];
const MONITOR: &[(&str, &str)] = &[("monitorClass", "monitor class")];
const PATH: &[(&str, &str)] = &[("path", "file path")];
const PEER: &[(&str, &str)] =
    &[("host", "peer host"), ("address", "peer address"), ("port", "peer port")];
const THROWN: &[(&str, &str)] =
    &[("thrownClass", "exception type"), ("message", "exception message")];

/// Attributes that any event may have.
pub const EVERYWHERE: &[(&str, &str)] = &[("_dd.trace.operation", "trace operation")];

const fn e(
    event: &'static str,
    becomes: Becomes,
    told: Option<(&'static str, u8)>,
    values: &'static [Source],
    attributes: &'static [(&'static str, &'static str)],
) -> EventEntry {
    EventEntry { event, when: When::Always, becomes, told, values, attributes }
}

const fn kind(id: &'static str) -> Becomes {
    Becomes::Kind(id)
}

/// Every event type that becomes samples.
pub const EVENTS: &[EventEntry] = &[
    e(
        "datadog.ExecutionSample",
        kind("stack"),
        Some(("cpu", 0)),
        &[Rate("weight"), Count("weight")],
        &[("mode", "thread mode")],
    ),
    e("jdk.CPUTimeSample", kind("stack"), Some(("cpu", 1)), &[Field("samplingPeriod"), One], &[]),
    e("jdk.ExecutionSample", kind("stack"), Some(("cpu", 2)), &[Rate(""), One], &[]),
    EventEntry {
        event: "jdk.ExecutionSample",
        when: When::WallClock,
        becomes: kind("stack"),
        told: Some(("wall", 2)),
        values: &[Nothing, Nothing, Rate(""), One],
        attributes: &[STATE],
    },
    e(
        "profiler.WallClockSample",
        kind("stack"),
        Some(("wall", 0)),
        &[Nothing, Nothing, Rate("samples"), Count("samples")],
        &[STATE],
    ),
    e(
        "datadog.MethodSample",
        kind("stack"),
        Some(("wall", 1)),
        &[Nothing, Nothing, Rate("weight"), Count("weight")],
        &[STATE, ("mode", "thread mode")],
    ),
    e("jdk.NativeMethodSample", kind("native_sample"), None, &[One], &[]),
    e(
        "datadog.ObjectSample",
        kind("heap"),
        Some(("allocations", 0)),
        &[Product("size", "weight"), Count("weight")],
        ALLOCATED,
    ),
    e(
        "jdk.ObjectAllocationSample",
        kind("heap"),
        Some(("allocations", 1)),
        &[Field("weight"), One],
        ALLOCATED,
    ),
    e(
        "jdk.ObjectAllocationInNewTLAB",
        kind("heap"),
        Some(("allocations", 2)),
        &[Field("tlabSize"), One],
        ALLOCATED,
    ),
    e(
        "jdk.ObjectAllocationOutsideTLAB",
        kind("heap"),
        Some(("allocations", 2)),
        &[Field("allocationSize"), One],
        ALLOCATED,
    ),
    e(
        "datadog.HeapLiveObject",
        kind("heap"),
        Some(("live", 0)),
        &[Nothing, Nothing, Product("size", "weight"), Count("weight")],
        ALLOCATED,
    ),
    e(
        "profiler.LiveObject",
        kind("heap"),
        Some(("live", 1)),
        &[Nothing, Nothing, Field("allocationSize"), One],
        ALLOCATED,
    ),
    e(
        "jdk.OldObjectSample",
        Becomes::Own(&[("old_objects", "count")]),
        None,
        &[One],
        &[("object", "allocated class")],
    ),
    e("jdk.JavaExceptionThrow", kind("exception"), Some(("exceptions", 0)), &[One], THROWN),
    e(
        "datadog.ExceptionSample",
        kind("exception"),
        Some(("exceptions", 1)),
        &[One],
        &[("type", "exception type"), ("message", "exception message")],
    ),
    e("jdk.JavaErrorThrow", kind("exception"), Some(("exceptions", 2)), &[One], THROWN),
    e("jdk.JavaMonitorEnter", kind("lock_acquire"), None, &[Field("duration"), One], MONITOR),
    e("profiler.NativeLock", kind("lock_acquire"), None, &[Field("duration"), One], &[]),
    e("jdk.JavaMonitorWait", kind("synchronization"), None, &[Field("duration"), One], MONITOR),
    e(
        "jdk.ThreadPark",
        kind("synchronization"),
        None,
        &[Field("duration"), One],
        &[("parkedClass", "parked class")],
    ),
    e(
        "jdk.ThreadSleep",
        Becomes::Own(&[("sleep", "nanoseconds"), ("sleeps", "count")]),
        None,
        &[Field("duration"), One],
        &[],
    ),
    e(
        "jdk.VirtualThreadPinned",
        Becomes::Own(&[("pinned", "nanoseconds"), ("pins", "count")]),
        None,
        &[Field("duration"), One],
        &[],
    ),
    e("jdk.FileRead", kind("file_io"), None, &[Field("duration"), Field("bytesRead")], PATH),
    e(
        "jdk.FileWrite",
        kind("file_io"),
        None,
        &[Nothing, Nothing, Field("duration"), Field("bytesWritten")],
        PATH,
    ),
    e("jdk.FileForce", kind("file_io"), None, &[Nothing, Nothing, Field("duration")], PATH),
    e("jdk.SocketRead", kind("socket_io"), None, &[Field("duration"), Field("bytesRead")], PEER),
    e(
        "jdk.SocketWrite",
        kind("socket_io"),
        None,
        &[Nothing, Nothing, Field("duration"), Field("bytesWritten")],
        PEER,
    ),
    e("profiler.Malloc", kind("native_memory"), Some(("malloc", 0)), &[Field("size"), One], &[]),
    e("profiler.Free", kind("native_memory"), None, &[Nothing, Nothing, One], &[]),
    e(
        "datadog.NativeMemoryAllocation",
        kind("native_memory"),
        Some(("malloc", 1)),
        &[Product("size", "weight"), Count("weight")],
        &[],
    ),
    e(
        "datadog.QueueTime",
        Becomes::Own(&[("queue_time", "nanoseconds"), ("queued", "count")]),
        None,
        &[Field("duration"), One],
        &[("task", "task class"), ("scheduler", "scheduler class"), ("queueType", "queue class")],
    ),
    e(
        "jdk.MethodTrace",
        Becomes::Own(&[("method_time", "nanoseconds"), ("calls", "count")]),
        None,
        &[Field("duration"), One],
        &[],
    ),
];

/// An event type whose events are kept beside samples.
#[derive(Debug)]
pub struct RuntimeEntry {
    /// The type's name.
    pub event: &'static str,
    /// What its events are.
    pub tells: Tells,
    /// Fields that are kept as attributes, and the attributes' names.
    pub attributes: &'static [(&'static str, &'static str)],
}

/// What an event tells.
#[derive(Clone, Copy, Debug)]
pub enum Tells {
    /// Something that happened, of that category.
    Event(&'static str),
    /// Readings: a field, the gauge's name and its unit.
    Readings(&'static [(&'static str, &'static str, &'static str)]),
}

impl RuntimeEntry {
    /// The fields it is read from: those of attributes, then those of readings.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        let gauges: &[_] = if let Tells::Readings(gauges) = self.tells { gauges } else { &[] };
        let attributes = self.attributes.iter().map(|(field, _)| *field);
        attributes.chain(gauges.iter().map(|(field, ..)| *field))
    }
}

const fn happens(
    event: &'static str,
    category: &'static str,
    attributes: &'static [(&'static str, &'static str)],
) -> RuntimeEntry {
    RuntimeEntry { event, tells: Tells::Event(category), attributes }
}

const fn reads(
    event: &'static str,
    gauges: &'static [(&'static str, &'static str, &'static str)],
    attributes: &'static [(&'static str, &'static str)],
) -> RuntimeEntry {
    RuntimeEntry { event, tells: Tells::Readings(gauges), attributes }
}

/// Every event type that is kept beside samples.
pub const RUNTIME: &[RuntimeEntry] = &[
    happens(
        "jdk.GarbageCollection",
        category::GC,
        &[
            ("gcId", "gc id"),
            ("name", "collector"),
            ("cause", "gc cause"),
            ("sumOfPauses", "pauses ns"),
            ("longestPause", "longest pause ns"),
        ],
    ),
    happens("jdk.GCPhasePause", category::GC, &[("gcId", "gc id"), ("name", "phase")]),
    happens("jdk.SafepointBegin", category::SAFEPOINT, &[("safepointId", "safepoint id")]),
    happens("jdk.ExecuteVMOperation", category::SAFEPOINT, &[("operation", "operation")]),
    happens(
        "jdk.VirtualThreadPinned",
        category::THREAD,
        &[
            ("eventThread", "thread"),
            ("blockingOperation", "operation"),
            ("pinnedReason", "reason"),
        ],
    ),
    reads(
        "jdk.CPULoad",
        &[
            ("jvmUser", "jdk.CPULoad.jvmUser", "part"),
            ("jvmSystem", "jdk.CPULoad.jvmSystem", "part"),
            ("machineTotal", "jdk.CPULoad.machineTotal", "part"),
        ],
        &[],
    ),
    reads(
        "jdk.GCHeapSummary",
        &[("heapUsed", "jdk.GCHeapSummary.heapUsed", "bytes")],
        &[("when", "when")],
    ),
    reads("jdk.PhysicalMemory", &[("usedSize", "jdk.PhysicalMemory.usedSize", "bytes")], &[]),
    reads("jdk.ResidentSetSize", &[("size", "jdk.ResidentSetSize.size", "bytes")], &[]),
    reads(
        "jdk.JavaThreadStatistics",
        &[("activeCount", "jdk.JavaThreadStatistics.activeCount", "threads")],
        &[],
    ),
];

/// Event types that are read for what they say about the file or about other events.
pub const INFORMATION: &[(&str, &str)] = &[
    ("jdk.ActiveSetting", "sampling intervals, and which profiler sampled"),
    ("jdk.CPUInformation", "the number of CPUs"),
    ("jdk.ContainerConfiguration", "the CPU quota"),
    ("jdk.JVMInformation", "name and version of the virtual machine (not its arguments)"),
    ("jdk.OSInformation", "version of the operating system"),
    ("jdk.CPUTimeSamplesLost", "how many samples were lost"),
    ("datadog.Endpoint", "the endpoint of a root span: attribute `trace endpoint` of its samples"),
];

/// The table as the documentation shows it, a row an entry.
pub fn in_markdown() -> Vec<String> {
    EVENTS.iter().map(row).collect()
}

/// The table of what is kept beside samples as the documentation shows it.
pub fn runtime_in_markdown() -> Vec<String> {
    let quoted = |(field, name): &(&str, &str)| format!("{name}: `{field}`");
    let row = |entry: &RuntimeEntry| {
        let becomes = match entry.tells {
            Tells::Event(category) => format!("an event of category {category}"),
            Tells::Readings(gauges) => {
                let gauges = gauges.iter().map(|(_, name, unit)| format!("`{name}` ({unit})"));
                gauges.collect::<Vec<_>>().join("; ")
            }
        };
        let attributes = entry.attributes.iter().map(quoted).collect::<Vec<_>>().join("; ");
        format!("| `{}` | {becomes} | {attributes} |", entry.event)
    };
    RUNTIME.iter().map(row).collect()
}

fn row(entry: &EventEntry) -> String {
    let (kind, measures) = entry.becomes.in_words();
    let values = measures.iter().zip(entry.values).filter_map(|(name, source)| {
        let from = match *source {
            Nothing => return None,
            One => "1".to_owned(),
            Field(field) | Count(field) => format!("`{field}`"),
            Product(field, count) => format!("`{field}` × `{count}`"),
            Rate("") => "interval".to_owned(),
            Rate(count) => format!("interval × `{count}`"),
        };
        Some(format!("{name}: {from}"))
    });
    let attributes = entry.attributes.iter().map(|(field, name)| format!("{name}: `{field}`"));
    let told = entry.told.map_or(String::new(), |(group, rank)| format!("{group} {rank}"));
    let when = if entry.when == When::WallClock { " by the wall clock" } else { "" };
    format!(
        "| `{}`{when} | {kind} | {} | {} | {told} |",
        entry.event,
        values.collect::<Vec<_>>().join("; "),
        attributes.collect::<Vec<_>>().join("; "),
    )
}
