//! What a process tells of itself beside samples: events of its runtime, such as a collection of
//! garbage, and gauges, such as the part of the CPU time it uses.
//!
//! Both are one row: a point of a gauge is an event without a duration that has a reading.

use std::sync::Arc;
use stdx::Timestamp;

/// Categories of events; each source maps its own to these.
pub mod category {
    /// Collections of garbage and their phases.
    pub const GC: &str = "gc";
    /// Stops of all threads for the runtime's own sake.
    pub const SAFEPOINT: &str = "safepoint";
    /// What threads had to wait for in the runtime.
    pub const THREAD: &str = "thread";
    /// Readings.
    pub const METRIC: &str = "metric";
}

/// Something that happened, or a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeEvent {
    /// What it is about: one of [`category`], most often.
    pub category: Arc<str>,
    /// What happened or was read, in the client's words.
    pub name: Arc<str>,
    /// When it began, or was read.
    pub start: Timestamp,
    /// How long it took, in nanoseconds; 0 where it has no length, never negative.
    pub duration_nanos: i64,
    /// What was read; none of what happened.
    pub reading: Option<Reading>,
    /// What else is said of it, by name, each name once.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

/// A value of a gauge.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The value; finite.
    pub value: f64,
    /// Its unit, e.g. `bytes`; `part` for parts of 1, empty where it is not said.
    pub unit: Arc<str>,
}

impl RuntimeEvent {
    /// A point of a gauge; `None` of what is no number.
    pub fn point(name: Arc<str>, unit: Arc<str>, time: Timestamp, value: f64) -> Option<Self> {
        value.is_finite().then(|| Self {
            category: category::METRIC.into(),
            name,
            start: time,
            duration_nanos: 0,
            reading: Some(Reading { value, unit }),
            attributes: Vec::new(),
        })
    }

    /// When it ended.
    pub fn end(&self) -> Timestamp {
        self.start.plus_nanos(self.duration_nanos)
    }

    /// Estimated bytes in memory; a name counts as shared, the values of attributes do not.
    pub fn estimated_bytes(&self) -> usize {
        let pair = size_of::<(Arc<str>, Arc<str>)>() + 16;
        let values = self.attributes.iter().map(|(_, value)| value.len() + pair);
        size_of::<Self>() + values.sum::<usize>()
    }
}

/// Estimated bytes of what came with one profile.
pub fn estimated_bytes(events: &[RuntimeEvent]) -> usize {
    events.iter().map(RuntimeEvent::estimated_bytes).sum()
}
