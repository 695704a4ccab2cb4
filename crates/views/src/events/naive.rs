//! The specification of questions about what runtimes tell.

use super::{
    EventFilter, EventInfo, EventList, EventPage, EventPlace, Gauge, MetricPoint, MetricQuery,
    MetricSeries, too_many,
};
use crate::limits::METRIC_POINTS_MAX;
use crate::{Matcher, ViewError};
use std::collections::BTreeMap;

/// Events and readings of all tenants.
pub type Stored = Vec<(String, EventInfo)>;

fn of<'a>(
    all: &'a Stored,
    tenant: &'a str,
    matchers: &'a [Matcher],
) -> impl Iterator<Item = &'a EventInfo> {
    let is_meant = move |whose: &str, info: &EventInfo| {
        whose == tenant && matchers.iter().all(|matcher| matcher.matches(&info.labels))
    };
    let found = all.iter().filter(move |(whose, info)| is_meant(whose, info));
    found.map(|(_, info)| info)
}

/// A page of a list.
pub fn events(all: &Stored, filter: &EventFilter, page: EventPage) -> EventList {
    let found = of(all, &filter.tenant, &filter.matchers);
    let mut events: Vec<EventInfo> =
        found.filter(|info| filter.keeps(&info.event)).cloned().collect();
    events.sort_by_key(|info| (EventPlace::of(info), info.received_at));
    events.dedup_by_key(|info| EventPlace::of(info));
    events.retain(|info| page.after.is_none_or(|after| EventPlace::of(info) > after));
    let has_more = events.len() > page.limit;
    events.truncate(page.limit);
    let next = events.last().filter(|_| has_more).map(EventPlace::of);
    EventList { events, next }
}

/// Gauges over time.
pub fn metrics(all: &Stored, query: &MetricQuery) -> Result<Vec<MetricSeries>, ViewError> {
    let mut steps: BTreeMap<Gauge, BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    for info in of(all, &query.tenant, &query.matchers) {
        let Some(reading) = info.event.reading.as_ref().filter(|_| query.keeps(&info.event)) else {
            continue;
        };
        let gauge = steps.entry(Gauge::of(info, &reading.unit)).or_default();
        gauge.entry(query.step_of(info.event.start)).or_default().push(reading.value);
    }
    if steps.values().map(BTreeMap::len).sum::<usize>() > METRIC_POINTS_MAX {
        return Err(too_many());
    }
    let point = |(time_ms, mut values): (i64, Vec<f64>)| {
        values.sort_by(f64::total_cmp);
        MetricPoint {
            time_ms,
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min: values[0],
            max: values[values.len() - 1],
            readings: values.len() as u64,
        }
    };
    let series = |(gauge, steps): (Gauge, BTreeMap<i64, Vec<f64>>)| MetricSeries {
        gauge,
        points: steps.into_iter().map(point).collect(),
    };
    Ok(steps.into_iter().map(series).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::runtime::category::GC;
    use profile::{Labels, RuntimeEvent};
    use std::sync::Arc;
    use stdx::{TimeRange, Timestamp};

    fn stored(event: RuntimeEvent, received_at: i64) -> (String, EventInfo) {
        let labels: Labels = [("service_name", "shop")].into_iter().collect();
        let received_at = Timestamp::from_nanos(received_at);
        ("t".to_owned(), EventInfo { labels: Arc::new(labels), received_at, event })
    }

    fn pause(start: i64, duration_nanos: i64) -> RuntimeEvent {
        RuntimeEvent {
            category: GC.into(),
            name: "pause".into(),
            start: Timestamp::from_nanos(start),
            duration_nanos,
            reading: None,
            attributes: Vec::new(),
        }
    }

    fn point(name: &str, millis: i64, value: f64) -> RuntimeEvent {
        let time = Timestamp::from_millis(millis);
        RuntimeEvent::point(name.into(), "part".into(), time, value).expect("finite")
    }

    #[test]
    fn lists_are_newest_first_paged_and_have_an_event_once() {
        let all = vec![
            stored(pause(10, 5), 3),
            stored(pause(20, 1), 1),
            stored(pause(10, 5), 2),
            stored(pause(10, 6), 1),
            stored(point("cpu", 0, 0.5), 1),
        ];
        let filter = EventFilter::everything("t", TimeRange::ALL);
        let times = |list: &EventList| -> Vec<_> {
            let times = list.events.iter().map(|info| &info.event);
            times.map(|event| (event.start.nanos(), event.duration_nanos)).collect()
        };
        let first = events(&all, &filter, EventPage { limit: 2, after: None });
        assert_eq!(times(&first), [(20, 1), (10, 6)]);
        let cursor = first.next.expect("there is more").to_string();
        let after = Some(EventPlace::parse(&cursor).expect("its own text"));
        let second = events(&all, &filter, EventPage { limit: 2, after });
        assert_eq!((times(&second), second.next), (vec![(10, 5)], None));
        assert_eq!(second.events[0].received_at.nanos(), 2, "the first that came");
        for text in ["", "1.2", "1.2.g", "1.2.3.4"] {
            EventPlace::parse(text).expect_err("no cursor");
        }
    }

    #[test]
    fn readings_of_a_step_are_their_mean() {
        let all = vec![
            stored(point("cpu", 1_000, 0.5), 1),
            stored(point("cpu", 1_900, 0.25), 1),
            stored(point("cpu", 2_000, 1.0), 1),
            stored(point("heap", 2_000, 7.0), 1),
            stored(pause(1_000_000_000, 1), 1),
        ];
        let query = MetricQuery {
            tenant: "t".to_owned(),
            range: TimeRange::ALL,
            matchers: Vec::new(),
            names: vec!["cpu".to_owned()],
            step_ms: 1_000,
        };
        let found = metrics(&all, &query).expect("answers");
        let gauge = &found[0].gauge;
        assert_eq!((found.len(), &*gauge.name, &*gauge.unit), (1, "cpu", "part"));
        let points: Vec<_> = found[0].points.iter().map(|it| (it.time_ms, it.mean)).collect();
        assert_eq!(points, [(1_000, 0.375), (2_000, 1.0)]);
        let first = found[0].points[0];
        assert_eq!((first.min, first.max, first.readings), (0.25, 0.5, 2));
    }
}
