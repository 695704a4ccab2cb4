//! Questions about what runtimes tell: lists of events, and gauges over time.
//!
//! An event or reading belongs to a range by its start; ranges are half-open, to the nanosecond.
//! Events that agree in all but when they came are one that came more than once: lists have it once.

pub mod naive;

use crate::limits::{METRIC_POINTS_MAX, METRIC_STEP_MS_MIN};
use crate::{Matcher, Pattern, ViewError};
use profile::labels::names::SERVICE;
use profile::{Labels, RuntimeEvent};
use rustc_hash::{FxHashMap, FxHasher};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// A stored event or reading.
#[derive(Clone, Debug, PartialEq)]
pub struct EventInfo {
    /// Its series.
    pub labels: Arc<Labels>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The event.
    pub event: RuntimeEvent,
}

impl EventInfo {
    /// Its service.
    pub fn service(&self) -> &str {
        self.labels.get(SERVICE).unwrap_or("")
    }
}

/// Which events; readings of gauges are none.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Whose.
    pub tenant: String,
    /// Those that began then.
    pub range: TimeRange,
    /// Conditions on their labels; all must hold.
    pub matchers: Vec<Matcher>,
    /// Only of these categories; all where it is empty.
    pub categories: Vec<String>,
    /// What happened.
    pub name: Option<Pattern>,
    /// Only those that took as long, in nanoseconds.
    pub duration_nanos_min: i64,
}

impl EventFilter {
    /// All events of a tenant that began in a range.
    pub fn everything(tenant: impl Into<String>, range: TimeRange) -> Self {
        let (matchers, categories) = (Vec::new(), Vec::new());
        let tenant = tenant.into();
        Self { tenant, range, matchers, categories, name: None, duration_nanos_min: 0 }
    }

    /// Whether an event of a series that is meant is kept.
    pub fn keeps(&self, event: &RuntimeEvent) -> bool {
        event.reading.is_none()
            && self.range.contains(event.start)
            && event.duration_nanos >= self.duration_nanos_min
            && (self.categories.is_empty()
                || self.categories.iter().any(|wanted| **wanted == *event.category))
            && self.name.as_ref().is_none_or(|wanted| wanted.matches(&event.name))
    }
}

/// Which part of a list, which is newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventPage {
    /// Most events of it.
    pub limit: usize,
    /// Where it begins: after this place.
    pub after: Option<EventPlace>,
}

/// Where an event stands in a list: by its times, then by a hash of all else that is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPlace {
    start: Reverse<i64>,
    duration: Reverse<i64>,
    rest: u64,
}

impl EventPlace {
    /// The place of an event.
    pub fn of(info: &EventInfo) -> Self {
        let RuntimeEvent { category, name, start, duration_nanos, attributes, .. } = &info.event;
        let mut hasher = FxHasher::default();
        info.labels.iter().for_each(|label| label.hash(&mut hasher));
        (category, name, attributes).hash(&mut hasher);
        let (start, duration) = (Reverse(start.nanos()), Reverse(*duration_nanos));
        Self { start, duration, rest: hasher.finish() }
    }

    /// Reads what [`std::fmt::Display`] wrote.
    pub fn parse(text: &str) -> Result<Self, ViewError> {
        let place = (|| {
            let mut parts = text.split('.');
            let mut times = || parts.next()?.parse().ok().map(Reverse);
            let (start, duration) = (times()?, times()?);
            let rest = u64::from_str_radix(parts.next()?, 16).ok()?;
            parts.next().is_none().then_some(Self { start, duration, rest })
        })();
        place.ok_or_else(|| {
            let what = format!("the cursor {text:?} is none of ours: take next_cursor as it came");
            ViewError::Invalid(what)
        })
    }
}

impl std::fmt::Display for EventPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{:x}", self.start.0, self.duration.0, self.rest)
    }
}

/// A page of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventList {
    /// The events.
    pub events: Vec<EventInfo>,
    /// Where the next page begins; none at the end.
    pub next: Option<EventPlace>,
}

/// Which gauges, and how they are shown.
#[derive(Clone, Debug)]
pub struct MetricQuery {
    /// Whose.
    pub tenant: String,
    /// Readings of that time.
    pub range: TimeRange,
    /// Conditions on their labels; all must hold.
    pub matchers: Vec<Matcher>,
    /// Their names; all where there are none.
    pub names: Vec<String>,
    /// Readings of a gauge in one step are one point. Steps begin at multiples of it since the epoch.
    pub step_ms: i64,
}

impl MetricQuery {
    /// Whether a reading of a series that is meant is kept.
    pub fn keeps(&self, event: &RuntimeEvent) -> bool {
        event.reading.is_some()
            && self.range.contains(event.start)
            && (self.names.is_empty() || self.names.iter().any(|wanted| **wanted == *event.name))
    }

    /// When the step of a time begins, in milliseconds.
    fn step_of(&self, time: Timestamp) -> i64 {
        let step = self.step_ms.max(METRIC_STEP_MS_MIN);
        time.millis().div_euclid(step).saturating_mul(step)
    }
}

/// What names a gauge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gauge {
    /// Its series.
    pub labels: Arc<Labels>,
    /// Its name.
    pub name: Arc<str>,
    /// Its unit; empty where it is not said.
    pub unit: Arc<str>,
    /// What else tells it from others.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl Gauge {
    /// The gauge that was read.
    fn of(info: &EventInfo, unit: &Arc<str>) -> Self {
        Self {
            labels: Arc::clone(&info.labels),
            name: Arc::clone(&info.event.name),
            unit: Arc::clone(unit),
            attributes: info.event.attributes.clone(),
        }
    }
}

/// A gauge over time.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSeries {
    /// The gauge.
    pub gauge: Gauge,
    /// In time; steps without a reading are absent.
    pub points: Vec<MetricPoint>,
}

/// What was read in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricPoint {
    /// When the step begins, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The mean of what was read.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many readings these are of.
    pub readings: u64,
}

/// Adds readings up.
#[derive(Debug)]
pub struct MetricSums<'a> {
    query: &'a MetricQuery,
    /// By step.
    gauges: FxHashMap<Gauge, BTreeMap<i64, Level>>,
    points: usize,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    sum: f64,
    min: f64,
    max: f64,
    readings: u64,
}

impl<'a> MetricSums<'a> {
    /// Nothing yet.
    pub fn new(query: &'a MetricQuery) -> Self {
        Self { query, gauges: FxHashMap::default(), points: 0 }
    }

    /// Adds a reading that the question means; nothing where it is none.
    pub fn add(&mut self, info: &EventInfo) -> Result<(), ViewError> {
        let Some(reading) = &info.event.reading else { return Ok(()) };
        let value = reading.value;
        let sums = self.gauges.entry(Gauge::of(info, &reading.unit)).or_default();
        let step = self.query.step_of(info.event.start);
        if let Some(sum) = sums.get_mut(&step) {
            sum.sum += value;
            (sum.min, sum.max) = (sum.min.min(value), sum.max.max(value));
            sum.readings += 1;
            return Ok(());
        }
        self.points += 1;
        if self.points > METRIC_POINTS_MAX {
            return Err(too_many());
        }
        sums.insert(step, Level { sum: value, min: value, max: value, readings: 1 });
        Ok(())
    }

    /// The gauges in order.
    pub fn finish(self) -> Vec<MetricSeries> {
        let point = |(time_ms, sum): (i64, Level)| MetricPoint {
            time_ms,
            mean: sum.sum / sum.readings as f64,
            min: sum.min,
            max: sum.max,
            readings: sum.readings,
        };
        let mut gauges: Vec<MetricSeries> = self
            .gauges
            .into_iter()
            .map(|(gauge, sums)| {
                let points = sums.into_iter().map(point).collect();
                MetricSeries { gauge, points }
            })
            .collect();
        gauges.sort_by(|a, b| a.gauge.cmp(&b.gauge));
        gauges
    }
}

fn too_many() -> ViewError {
    let what = format!(
        "there are more than {METRIC_POINTS_MAX} points: name a service or gauges, or a longer step"
    );
    ViewError::TooLarge(what)
}
