//! The registry of sample kinds, and the sample types of clients that are their measures.

use crate::kind::{Aggregation, Measure, SampleKind};
pub use crate::type_map::{Target, TypeMap, map_types};
use Aggregation::{Gauge, Sum};
use std::borrow::Cow;

/// A registered kind.
#[derive(Debug)]
pub struct KindEntry {
    /// Stable id.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// What the event is and how it is collected.
    pub description: &'static str,
    /// Languages whose clients send it; empty means all.
    pub languages: &'static [&'static str],
    /// Its measures.
    pub measures: &'static [MeasureEntry],
}

/// A measure of a registered kind.
#[derive(Debug)]
pub struct MeasureEntry {
    /// Name for people.
    pub name: &'static str,
    /// Profile type id.
    pub type_id: &'static str,
    /// How values combine.
    pub aggregation: Aggregation,
    /// What is measured.
    pub description: &'static str,
    /// Clients' sample types that are this measure, as `type/unit`.
    pub sample_types: &'static [&'static str],
}

const fn m(
    name: &'static str,
    type_id: &'static str,
    aggregation: Aggregation,
    sample_types: &'static [&'static str],
    description: &'static str,
) -> MeasureEntry {
    MeasureEntry { name, type_id, aggregation, description, sample_types }
}

/// Every registered kind.
pub const KINDS: &[KindEntry] = &[
    KindEntry {
        id: "stack",
        name: "Stack sample",
        description: "A thread's stack at a sampling instant",
        languages: &[],
        measures: &[
            m(
                "CPU time",
                "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
                Sum,
                &["cpu/nanoseconds", "cpu-time/nanoseconds"],
                "Time spent running on a CPU, estimated from samples",
            ),
            m(
                "CPU samples",
                "process_cpu:samples:count:cpu:nanoseconds",
                Sum,
                &["samples/count", "cpu-samples/count"],
                "Number of samples taken while running on a CPU",
            ),
            m(
                "Wall time",
                "wall:wall:nanoseconds:wall:nanoseconds",
                Sum,
                &["wall/nanoseconds", "wall-time/nanoseconds"],
                "Elapsed time, running or waiting, estimated from samples",
            ),
            m(
                "Wall samples",
                "wall:samples:count:wall:nanoseconds",
                Sum,
                &["wall-samples/count"],
                "Number of samples taken by the wall clock",
            ),
        ],
    },
    KindEntry {
        id: "off_cpu",
        name: "Off-CPU",
        description: "A thread that waited, at the point where it left the CPU",
        languages: &[],
        measures: &[m(
            "Off-CPU time",
            "off_cpu:off_cpu:nanoseconds::",
            Sum,
            &["off_cpu/nanoseconds"],
            "Time between leaving a CPU and running again",
        )],
    },
    KindEntry {
        id: "native_sample",
        name: "Stack sample in native code",
        description: "A thread's stack at a sampling instant, in native code that Java called",
        languages: &["java"],
        measures: &[m(
            "Wall samples in native code",
            "wall:native_samples:count::",
            Sum,
            &[],
            "Samples of threads in native code, running or waiting",
        )],
    },
    KindEntry {
        id: "heap",
        name: "Heap",
        description: "Allocated and live memory, sampled by the allocator",
        languages: &["go", "python", "java", "dotnet", "nodejs", "native"],
        measures: &[
            m(
                "Allocated memory",
                "memory:alloc_space:bytes:space:bytes",
                Sum,
                &["alloc_space/bytes", "alloc-space/bytes"],
                "Bytes allocated",
            ),
            m(
                "Allocations",
                "memory:alloc_objects:count:space:bytes",
                Sum,
                &["alloc_objects/count", "alloc-samples/count"],
                "Objects allocated",
            ),
            m(
                "Heap live size",
                "memory:inuse_space:bytes:space:bytes",
                Gauge,
                &["inuse_space/bytes", "heap-space/bytes", "heap-live-size/bytes"],
                "Bytes allocated and not yet freed",
            ),
            m(
                "Heap live objects",
                "memory:inuse_objects:count:space:bytes",
                Gauge,
                &["inuse_objects/count", "heap-live-samples/count"],
                "Objects allocated and not yet freed",
            ),
        ],
    },
    KindEntry {
        id: "native_memory",
        name: "Native memory",
        description: "Memory that native code allocates and frees",
        languages: &["java", "native"],
        measures: &[
            m(
                "Native memory allocated",
                "native_memory:malloc_space:bytes::",
                Sum,
                &[],
                "Bytes that malloc and its like gave",
            ),
            m(
                "Native allocations",
                "native_memory:malloc_objects:count::",
                Sum,
                &[],
                "Calls of malloc and its like",
            ),
            m("Native frees", "native_memory:free_objects:count::", Sum, &[], "Calls of free"),
        ],
    },
    KindEntry {
        id: "exception",
        name: "Exceptions",
        description: "A thrown exception",
        languages: &["python", "java", "dotnet"],
        measures: &[m(
            "Thrown exceptions",
            "exceptions:exceptions:count::",
            Sum,
            &["exception-samples/count", "exceptions/count"],
            "Exceptions thrown",
        )],
    },
    KindEntry {
        id: "lock_acquire",
        name: "Lock acquire",
        description: "A lock that was taken",
        languages: &["python", "java", "dotnet"],
        measures: &[
            m(
                "Lock wait time",
                "lock:acquire_wait:nanoseconds::",
                Sum,
                &["lock-acquire-wait/nanoseconds"],
                "Time spent waiting to take a lock",
            ),
            m(
                "Lock acquires",
                "lock:acquires:count::",
                Sum,
                &["lock-acquire/count"],
                "Locks taken",
            ),
        ],
    },
    KindEntry {
        id: "lock_release",
        name: "Lock release",
        description: "A lock that was released",
        languages: &["python", "java"],
        measures: &[
            m(
                "Locked time",
                "lock:release_hold:nanoseconds::",
                Sum,
                &["lock-release-hold/nanoseconds"],
                "Time a lock was held",
            ),
            m(
                "Lock releases",
                "lock:releases:count::",
                Sum,
                &["lock-release/count"],
                "Locks released",
            ),
        ],
    },
    KindEntry {
        id: "synchronization",
        name: "Synchronization",
        description: "A thread that waited for another one: parked, or in Object.wait",
        languages: &["java", "dotnet"],
        measures: &[
            m(
                "Synchronization",
                "synchronization:wait:nanoseconds::",
                Sum,
                &[],
                "Time spent waiting for other threads",
            ),
            m(
                "Synchronization waits",
                "synchronization:waits:count::",
                Sum,
                &[],
                "Times a thread waited for another one",
            ),
        ],
    },
    KindEntry {
        id: "mutex",
        name: "Mutex",
        description: "Contended mutexes, at the point of unlock",
        languages: &["go"],
        measures: &[
            m(
                "Mutex delay",
                "mutex:delay:nanoseconds:contentions:count",
                Sum,
                &[],
                "Time others waited for a mutex",
            ),
            m(
                "Mutex contentions",
                "mutex:contentions:count:contentions:count",
                Sum,
                &[],
                "Times a mutex was contended",
            ),
        ],
    },
    KindEntry {
        id: "block",
        name: "Block",
        description: "Goroutines that waited on synchronization",
        languages: &["go"],
        measures: &[
            m(
                "Block delay",
                "block:delay:nanoseconds:contentions:count",
                Sum,
                &[],
                "Time spent blocked",
            ),
            m(
                "Block contentions",
                "block:contentions:count:contentions:count",
                Sum,
                &[],
                "Times a goroutine blocked",
            ),
        ],
    },
    KindEntry {
        id: "goroutine",
        name: "Goroutines",
        description: "Stacks of all goroutines at one instant",
        languages: &["go"],
        measures: &[m(
            "Goroutines",
            "goroutines:goroutine:count:goroutine:count",
            Gauge,
            &["goroutine/count", "goroutines/count"],
            "Goroutines that exist",
        )],
    },
    KindEntry {
        id: "runtime_event",
        name: "Runtime events",
        description: "What a runtime did aside from running code; the attribute `event` says what",
        languages: &["nodejs", "dotnet"],
        measures: &[m(
            "Runtime event time",
            "runtime_events:timeline:nanoseconds:timeline:nanoseconds",
            Sum,
            &["timeline/nanoseconds"],
            "How long garbage collections, name look-ups, connections, file operations and the like \
             took",
        )],
    },
    KindEntry {
        id: "file_io",
        name: "File I/O",
        description: "Reads and writes of files",
        languages: &["java", "php"],
        measures: &[
            m(
                "File read time",
                "file_io:read_time:nanoseconds::",
                Sum,
                &["file-io-read-time/nanoseconds"],
                "Time spent reading files",
            ),
            m(
                "File read bytes",
                "file_io:read_size:bytes::",
                Sum,
                &["file-io-read-size/bytes"],
                "Bytes read from files",
            ),
            m(
                "File write time",
                "file_io:write_time:nanoseconds::",
                Sum,
                &["file-io-write-time/nanoseconds"],
                "Time spent writing files",
            ),
            m(
                "File write bytes",
                "file_io:write_size:bytes::",
                Sum,
                &["file-io-write-size/bytes"],
                "Bytes written to files",
            ),
        ],
    },
    KindEntry {
        id: "socket_io",
        name: "Socket I/O",
        description: "Reads and writes of sockets",
        languages: &["java", "php"],
        measures: &[
            m(
                "Socket read time",
                "socket_io:read_time:nanoseconds::",
                Sum,
                &["socket-read-time/nanoseconds"],
                "Time spent reading sockets",
            ),
            m(
                "Socket read bytes",
                "socket_io:read_size:bytes::",
                Sum,
                &["socket-read-size/bytes"],
                "Bytes read from sockets",
            ),
            m(
                "Socket write time",
                "socket_io:write_time:nanoseconds::",
                Sum,
                &["socket-write-time/nanoseconds"],
                "Time spent writing sockets",
            ),
            m(
                "Socket write bytes",
                "socket_io:write_size:bytes::",
                Sum,
                &["socket-write-size/bytes"],
                "Bytes written to sockets",
            ),
        ],
    },
];

/// The registered kind with this id.
pub fn registered(id: &str) -> Option<SampleKind> {
    let entry = KINDS.iter().find(|entry| entry.id == id)?;
    let measures = entry.measures.iter().map(measure).collect();
    Some(SampleKind { id: Cow::Borrowed(entry.id), measures })
}

fn measure(entry: &'static MeasureEntry) -> Measure {
    let mut parts = entry.type_id.split(':').map(Cow::Borrowed);
    let mut next = || parts.next().unwrap_or_default();
    let (family, sample_type, unit) = (next(), next(), next());
    Measure {
        family,
        name: Cow::Borrowed(entry.name),
        sample_type,
        unit,
        period_type: next(),
        period_unit: next(),
        aggregation: entry.aggregation,
        description: Cow::Borrowed(entry.description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VALUES_MAX;

    #[test]
    fn every_entry_is_well_formed_and_unique() {
        let mut ids = Vec::new();
        for kind in KINDS {
            assert!((1..=VALUES_MAX).contains(&kind.measures.len()), "{}", kind.id);
            for entry in kind.measures {
                assert_eq!(entry.type_id.split(':').count(), 5, "{}", entry.type_id);
                ids.push(entry.type_id);
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
