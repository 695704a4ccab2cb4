//! A profile and its samples.

use crate::kind::VALUES_MAX;
use crate::{
    AttributesId, KindIndex, Labels, LinkId, RuntimeEvent, SampleKind, StackId, StackTable, Tables,
    ThreadId,
};
use stdx::{TimeRange, Timestamp};

/// One observed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What the event was: an index into [`Profile::kinds`].
    pub kind: KindIndex,
    /// Where it happened.
    pub stack: StackId,
    /// The event's own time, when the client sent one.
    pub time: Option<Timestamp>,
    /// The thread, when known.
    pub thread: Option<ThreadId>,
    /// The span, when known.
    pub link: Option<LinkId>,
    /// Further attributes.
    pub attributes: Option<AttributesId>,
    /// A value for each measure of the kind; 0 where the event did not measure it.
    pub values: [i64; VALUES_MAX],
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            kind: KindIndex(0),
            stack: StackTable::ROOT,
            time: None,
            thread: None,
            link: None,
            attributes: None,
            values: [0; VALUES_MAX],
        }
    }
}

/// What is known about a profile beside its samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Sampling period in units of `period_unit`; 0 when unknown.
    pub period: i64,
    /// What the period counts, e.g. `cpu`.
    pub period_type: String,
    /// Unit of the period, e.g. `nanoseconds`.
    pub period_unit: String,
    /// CPUs of the machine it ran on.
    pub cpu_count: Option<u32>,
    /// CPU quota in cores, where a limit applies.
    pub cpu_quota: Option<f64>,
    /// Samples the collector lost.
    pub lost: u64,
    /// Samples whose stack does not reach its root.
    pub broken: u64,
    /// Frames without a name.
    pub unsymbolized: u64,
    /// Name and version of the client that sent it.
    pub client: String,
    /// Comments and runtime information, by key.
    pub info: Vec<(String, String)>,
}

/// One upload for one time window of one series.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The series.
    pub labels: Labels,
    /// The window it covers.
    pub window: TimeRange,
    /// What else is known.
    pub metadata: Metadata,
    /// Kinds of its samples.
    pub kinds: Vec<SampleKind>,
    /// What samples point to.
    pub tables: Tables,
    /// The observed events.
    pub samples: Vec<Sample>,
    /// What the runtime told beside: events and gauges. Stored apart from the samples.
    pub events: Vec<RuntimeEvent>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            labels: Labels::default(),
            window: TimeRange::new(Timestamp::default(), Timestamp::default()),
            metadata: Metadata::default(),
            kinds: Vec::new(),
            tables: Tables::default(),
            samples: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Profile {
    /// The index of `kind`, added if it is new.
    pub fn intern_kind(&mut self, kind: &SampleKind) -> KindIndex {
        let at = self.kinds.iter().position(|have| have == kind).unwrap_or_else(|| {
            self.kinds.push(kind.clone());
            self.kinds.len() - 1
        });
        KindIndex(at as u32)
    }

    /// Sums of each measure over the samples of a kind, saturating at the end.
    pub fn totals(&self, kind: KindIndex) -> [i64; VALUES_MAX] {
        let mut totals = [0_i128; VALUES_MAX];
        for sample in self.samples.iter().filter(|sample| sample.kind == kind) {
            for (total, value) in totals.iter_mut().zip(sample.values) {
                *total += i128::from(value);
            }
        }
        totals.map(stdx::saturate)
    }

    /// When a sample counts as having happened: its own time, else the window's start.
    pub fn time_of(&self, sample: &Sample) -> Timestamp {
        sample.time.unwrap_or(self.window.start)
    }
}
