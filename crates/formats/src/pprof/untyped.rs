//! What the samples of a payload are that names no sample types.

/// The label that says, in milliseconds, how often a stack is taken.
pub(crate) const PERIOD: &str = "source.event.period";
/// The label that says what a thread was doing.
pub(crate) const STATE: &str = "thread.state";
/// The state of a thread of Java that runs, or could.
const RUNNABLE: &str = "RUNNABLE";
/// The frame under which V8 counts that there was nothing to do.
const IDLE: &str = "(idle)";
const MILLI_NANOS: i64 = 1_000_000;

/// What the samples are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Untyped {
    /// Events, of which no more is known.
    #[default]
    Events,
    /// Allocations, whose value is their bytes.
    Allocations,
    /// Stacks of threads, one a period.
    Stacks(Running),
    /// The same of requests that are watched more closely, beside the former: values of one are
    /// not to be added to those of the other.
    Snapshots,
}

/// How it is known which threads used a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// It is not.
    Unknown,
    /// Java says a thread's state.
    ByState,
    /// V8 takes stacks of one thread, and says where that is idle.
    ByLeaf,
}

/// What a sample says of itself beside its stack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event {
    pub(super) period_millis: i64,
    pub(super) is_runnable: bool,
}

impl Untyped {
    /// The sample types to read them as.
    pub(super) fn types(self) -> Vec<(String, String)> {
        const WALL: [(&str, &str); 2] = [("wall", "nanoseconds"), ("wall-samples", "count")];
        let types = match self {
            Self::Events => vec![("samples", "count")],
            Self::Allocations => vec![("alloc_space", "bytes")],
            Self::Stacks(Running::Unknown) => WALL.to_vec(),
            Self::Stacks(_) => {
                let cpu = [("cpu", "nanoseconds"), ("cpu-samples", "count")];
                [WALL, cpu].concat()
            }
            Self::Snapshots => vec![("snapshot", "nanoseconds"), ("snapshot-samples", "count")],
        };
        types.into_iter().map(|(name, unit)| (name.to_owned(), unit.to_owned())).collect()
    }

    /// Values of a stack by type; `None` for what has values of its own.
    pub(super) fn values(self, event: Event, leaf: &str) -> Option<Vec<i64>> {
        let period = event.period_millis.max(0).saturating_mul(MILLI_NANOS);
        let is_running = match self {
            Self::Events | Self::Allocations => return None,
            Self::Snapshots | Self::Stacks(Running::Unknown) => return Some(vec![period, 1]),
            Self::Stacks(Running::ByState) => event.is_runnable,
            Self::Stacks(Running::ByLeaf) => leaf != IDLE,
        };
        let cpu = if is_running { [period, 1] } else { [0, 0] };
        Some([[period, 1], cpu].concat())
    }
}

impl Event {
    /// Takes a label of the sample.
    pub(super) fn take(&mut self, key: &str, text: &str, number: i64) {
        match key {
            PERIOD => self.period_millis = number,
            STATE => self.is_runnable = text == RUNNABLE,
            _ => {}
        }
    }
}
