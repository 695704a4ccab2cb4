//! What events say about the file, and about other events: settings, machine, endpoints.

use super::contexts::Contexts;
use super::decode::{Chunk, Event, Out};
use super::layout::{Reader, Value};
use super::metadata::Unit;
use super::names::Names;
use crate::decoded::Issues;
use crate::intern::Budget;
use crate::limits::{JFR_ENDPOINTS_MAX, JFR_TYPES_OF_NAME_MAX};
use profile::{Attribute, AttributeValue, AttributesId, KeyedMap, Profile, StringId};

/// The attribute of samples whose root span has a known endpoint.
const ENDPOINT: &str = "trace endpoint";

/// Gathered over all chunks, but for settings: those are a chunk's own.
#[derive(Debug, Default)]
pub(super) struct Info {
    /// Sampling intervals in nanoseconds, by event type.
    intervals: KeyedMap<u64, i64>,
    /// The interval of async-profiler's wall clock beside another engine; 0 without.
    wall_interval: i64,
    is_async_profiler: bool,
    engine: Engine,
    /// The interval of the first chunk that samples CPU time.
    cpu_interval: i64,
    cpu_count: Option<u32>,
    cpu_quota: Option<f64>,
    lost: u64,
    texts: Vec<(&'static str, String)>,
    /// By root span.
    endpoints: KeyedMap<u64, StringId>,
    /// What lies beside the file.
    pub(super) contexts: Contexts,
}

/// What makes async-profiler take execution samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Engine {
    /// The CPU time that passes.
    #[default]
    Cpu,
    Wall,
    /// A counter of the processor or the kernel: its interval is no time.
    Counter,
}

impl Engine {
    fn from_event(event: &str) -> Self {
        match event {
            "wall" => Self::Wall,
            "cpu" | "itimer" | "ctimer" | "cpu-clock" | "" => Self::Cpu,
            _ => Self::Counter,
        }
    }

    /// What the profiler takes where settings say 0.
    fn default_interval(self) -> i64 {
        match self {
            Self::Cpu => 10_000_000,
            Self::Wall => 50_000_000,
            Self::Counter => 0,
        }
    }
}

/// What an information event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Setting,
    Cpus,
    Container,
    Machine,
    System,
    Lost,
    Endpoint,
}

/// Event types and their fields.
const ABOUT: &[(&str, About, &[&str])] = &[
    ("jdk.ActiveSetting", About::Setting, &["id", "name", "value"]),
    ("jdk.CPUInformation", About::Cpus, &["hwThreads"]),
    ("jdk.ContainerConfiguration", About::Container, &["cpuQuota", "cpuSlicePeriod"]),
    ("jdk.JVMInformation", About::Machine, &["jvmName", "jvmVersion"]),
    ("jdk.OSInformation", About::System, &["osVersion"]),
    ("jdk.CPUTimeSamplesLost", About::Lost, &["lostSamples"]),
    ("datadog.Endpoint", About::Endpoint, &["localRootSpanId", "endpoint"]),
];

impl Info {
    pub(super) fn new(contexts: Contexts) -> Self {
        Self { contexts, ..Self::default() }
    }

    /// Takes in what a chunk says.
    pub(super) fn read(&mut self, chunk: &Chunk<'_>, out: &mut Out) {
        self.intervals.clear();
        self.wall_interval = 0;
        (self.is_async_profiler, self.engine) = (false, Engine::default());
        let mut readers: KeyedMap<u64, (About, Reader)> = KeyedMap::default();
        for (kind, name) in chunk.kinds() {
            let Some((_, about, fields)) = ABOUT.iter().find(|(event, ..)| *event == name) else {
                continue;
            };
            let alike = readers.values().filter(|(have, _)| have == about);
            if alike.count() >= JFR_TYPES_OF_NAME_MAX {
                continue;
            }
            let class = chunk.types.find(kind);
            let reader = class.and_then(|class| Reader::new(&chunk.types, class, fields));
            readers.extend(reader.map(|reader| (kind, (*about, reader))));
        }
        let mut names = Names::new(chunk);
        for event in chunk.events() {
            if let Some((about, reader)) = readers.get(&event.kind) {
                self.event(*about, reader, event, &mut names, out);
            }
        }
        if let Some(interval) = self.cpu_interval_of(chunk)
            && self.cpu_interval == 0
        {
            self.cpu_interval = interval;
        }
    }

    fn event<'a>(
        &mut self,
        about: About,
        reader: &Reader,
        mut event: Event<'a>,
        names: &mut Names<'_, 'a>,
        out: &mut Out,
    ) {
        let (slots, _) = reader.read(&mut event.body);
        let number = |slot: usize| match slots[slot] {
            Value::Number(number) => number,
            _ => 0,
        };
        let mut text = |slot: usize| names.value_text(slots[slot], out).into_owned();
        match about {
            About::Setting => {
                let (kind, name, value) = (number(0).cast_unsigned(), text(1), text(2));
                // Ids of no type may be as many as events.
                if names.chunk.name(kind).is_some() {
                    self.setting(kind, &name, &value);
                }
            }
            About::Cpus => {
                self.cpu_count = u32::try_from(number(0)).ok().filter(|count| *count > 0);
            }
            About::Container => {
                let same = reader.unit(0) == reader.unit(1) && reader.unit(0) != Unit::Ticks;
                if same && number(0) > 0 && number(1) > 0 {
                    self.cpu_quota = Some(number(0) as f64 / number(1) as f64);
                }
            }
            About::Machine => {
                self.text("jvm name", text(0));
                self.text("jvm version", text(1));
            }
            About::System => self.text("os version", text(0)),
            About::Lost => {
                self.lost = self.lost.saturating_add(u64::try_from(number(0)).unwrap_or(0));
            }
            About::Endpoint => {
                let endpoint = text(1);
                let is_new = !self.endpoints.contains_key(&number(0).cast_unsigned());
                if !endpoint.is_empty() && (!is_new || self.endpoints.len() < JFR_ENDPOINTS_MAX) {
                    let Out { profile, budget, issues } = out;
                    let id = budget.intern(&mut profile.tables, &endpoint, issues);
                    self.endpoints.insert(number(0).cast_unsigned(), id);
                }
            }
        }
    }

    fn text(&mut self, key: &'static str, text: String) {
        // The JDK's text about the system is a whole file of settings: its first line names it.
        let text = text.lines().next().unwrap_or_default().to_owned();
        if !text.is_empty() && self.texts.iter().all(|(have, _)| *have != key) {
            self.texts.push((key, text));
        }
    }

    fn setting(&mut self, kind: u64, name: &str, value: &str) {
        match name {
            // The JDK has periods with a unit, the others nanoseconds (or bytes, of allocations).
            "period" => drop(nanos_of(value).map(|nanos| self.intervals.insert(kind, nanos))),
            "interval" => {
                let nanos = value.parse().ok().filter(|nanos| *nanos > 0);
                nanos.map(|nanos| self.intervals.insert(kind, nanos));
            }
            "wall" => self.wall_interval = value.parse().unwrap_or(0).max(0),
            "engine" => self.is_async_profiler = true,
            "event" => {
                self.is_async_profiler = true;
                self.engine = Engine::from_event(value);
            }
            _ => {}
        }
    }

    fn cpu_interval_of(&self, chunk: &Chunk<'_>) -> Option<i64> {
        let is_cpu = |name: &str| matches!(name, "jdk.ExecutionSample" | "datadog.ExecutionSample");
        let kind = chunk.kinds().find(|(_, name)| is_cpu(name)).map(|(kind, _)| kind)?;
        Some(self.interval(kind)).filter(|nanos| *nanos > 0 && self.engine != Engine::Wall)
    }

    /// The sampling interval of a type of events in nanoseconds, 0 when it is not known.
    pub(super) fn interval(&self, kind: u64) -> i64 {
        match (self.intervals.get(&kind), self.engine) {
            (_, Engine::Counter) => 0,
            (Some(&nanos), _) => nanos,
            (None, engine) if self.is_async_profiler => engine.default_interval(),
            (None, _) => 0,
        }
    }

    /// The interval of the wall clock, where `execution` is the type whose settings hold it.
    pub(super) fn wall_interval(&self, kind: u64, execution: Option<u64>) -> i64 {
        let own = self.intervals.get(&kind).copied();
        let by_engine = execution.filter(|_| self.engine == Engine::Wall);
        let by_engine = by_engine.map(|kind| self.interval(kind));
        let known = [Some(self.wall_interval), own, by_engine].into_iter().flatten();
        known.into_iter().find(|nanos| *nanos > 0).unwrap_or(0)
    }

    /// Whether a `jdk.ExecutionSample` in that state was sampled by the wall clock: by
    /// async-profiler, before it had an event of its own for that.
    pub(super) fn is_by_wall_clock(&self, state: &str) -> bool {
        let is_beside_another = self.wall_interval > 0 && !matches!(state, "DEFAULT" | "");
        self.is_async_profiler && (self.engine == Engine::Wall || is_beside_another)
    }

    /// Writes what is known into the profile.
    pub(super) fn apply(self, profile: &mut Profile, budget: &mut Budget, issues: &mut Issues) {
        let metadata = &mut profile.metadata;
        metadata.cpu_count = self.cpu_count;
        metadata.cpu_quota = self.cpu_quota;
        metadata.lost = metadata.lost.saturating_add(self.lost);
        if self.cpu_interval > 0 {
            metadata.period = self.cpu_interval;
            "cpu".clone_into(&mut metadata.period_type);
            "nanoseconds".clone_into(&mut metadata.period_unit);
        }
        let texts = self.texts.into_iter();
        metadata.info.extend(texts.map(|(key, text)| (key.to_owned(), text)));
        if !self.endpoints.is_empty() {
            add_endpoints(&self.endpoints, profile, budget, issues);
        }
    }
}

/// Endpoints are known only when their span has ended, after its samples.
fn add_endpoints(
    endpoints: &KeyedMap<u64, StringId>,
    profile: &mut Profile,
    budget: &mut Budget,
    issues: &mut Issues,
) {
    let key = budget.intern(&mut profile.tables, ENDPOINT, issues);
    let tables = &mut profile.tables;
    let mut known: KeyedMap<(Option<AttributesId>, StringId), AttributesId> = KeyedMap::default();
    for sample in &mut profile.samples {
        let link = sample.link.and_then(|id| tables.links.get(id));
        let Some(&endpoint) = link.and_then(|link| endpoints.get(&link.root_span_id)) else {
            continue;
        };
        let before = sample.attributes;
        if let Some(&id) = known.get(&(before, endpoint)) {
            sample.attributes = Some(id);
            continue;
        }
        let set = before.and_then(|id| tables.attributes.get(id)).cloned();
        let mut set = set.unwrap_or_default();
        set.push(Attribute { key, value: AttributeValue::Text(endpoint) });
        set.sort_unstable();
        if !budget.labels(set.len(), issues) {
            return;
        }
        let id = tables.attributes.intern(set);
        known.insert((before, endpoint), id);
        sample.attributes = Some(id);
    }
}

/// `20 ms` in nanoseconds.
fn nanos_of(text: &str) -> Option<i64> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit).filter(|nanos| *nanos > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jfr::table::INFORMATION;

    #[test]
    fn what_is_read_is_what_the_table_says() {
        let read: Vec<_> = ABOUT.iter().map(|(event, ..)| *event).collect();
        let said: Vec<_> = INFORMATION.iter().map(|(event, _)| *event).collect();
        assert_eq!(read, said);
    }

    #[test]
    fn the_interval_of_a_counter_is_no_time() {
        let mut info = Info::default();
        info.setting(101, "interval", "1000000");
        assert_eq!(info.interval(101), 1_000_000);
        info.setting(107, "event", "cache-misses");
        assert_eq!(info.interval(101), 0);
        info.setting(107, "event", "cpu");
        info.setting(102, "interval", "0");
        assert_eq!(info.interval(102), 10_000_000, "the default");
    }

    #[test]
    fn periods_have_units() {
        assert_eq!(nanos_of("20 ms"), Some(20_000_000));
        assert_eq!(nanos_of("1 s"), Some(1_000_000_000));
        assert_eq!(nanos_of("everyChunk"), None);
        assert_eq!(nanos_of("0 ms"), None);
        assert_eq!(nanos_of("9223372036854775807 h"), None);
    }

    #[test]
    fn the_wall_clock_is_told_by_settings_and_state() {
        let mut info = Info::default();
        assert!(!info.is_by_wall_clock("RUNNABLE"), "the JDK's own");
        info.setting(101, "event", "cpu");
        info.setting(101, "interval", "10000000");
        assert_eq!(info.interval(101), 10_000_000);
        assert!(!info.is_by_wall_clock("RUNNABLE"));
        info.setting(101, "wall", "50000000");
        assert!(info.is_by_wall_clock("SLEEPING") && !info.is_by_wall_clock("DEFAULT"));
        assert_eq!(info.wall_interval(119, Some(101)), 50_000_000);
        let mut info = Info::default();
        info.setting(107, "event", "wall");
        assert_eq!(info.wall_interval(119, Some(101)), 50_000_000, "its default");
        info.setting(101, "interval", "7000000");
        assert!(info.is_by_wall_clock("DEFAULT"));
        assert_eq!(info.wall_interval(119, Some(101)), 7_000_000);
    }
}
