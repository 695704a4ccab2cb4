//! Questions about what runtimes tell.

use crate::engine::Engine;
use crate::records::{Ask, Columns, Wanted, parts_of, service_of};
use std::collections::BTreeMap;
use stdx::TimeRange;
use views::events::{EventPlace, MetricSums};
use views::{
    EventFilter, EventInfo, EventList, EventPage, Matcher, MetricQuery, MetricSeries, ViewError,
};

/// What is wanted of the file of events.
fn wanted<'a>(
    range: TimeRange,
    duration_nanos_min: i64,
    matchers: &'a [Matcher],
    (column, texts): (&'static str, &'a [String]),
) -> Wanted<'a> {
    let service = service_of(matchers).map(|service| ("service", vec![service]));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let texts = (!texts.is_empty()).then_some((column, texts));
    let texts = service.into_iter().chain(texts).collect();
    Wanted { range, duration_nanos_min, trace: None, texts }
}

impl Engine {
    pub(crate) async fn event_list(
        &self,
        filter: &EventFilter,
        page: EventPage,
    ) -> Result<EventList, ViewError> {
        let EventFilter { range, matchers, categories, duration_nanos_min, .. } = filter;
        let parts = parts_of(self.store.event_parts(&filter.tenant, *range), matchers);
        let ask = Ask {
            wanted: wanted(*range, *duration_nanos_min, matchers, ("category", categories)),
            matchers,
            columns: Columns::All,
            keeps: &|info: &EventInfo| filter.keeps(&info.event),
        };
        let mut first: BTreeMap<EventPlace, EventInfo> = BTreeMap::new();
        let mut take = |info: EventInfo, _| {
            let place = EventPlace::of(&info);
            if page.after.is_some_and(|after| place <= after) {
                return Ok(());
            }
            let known = first.get(&place);
            if known.is_none_or(|known| info.received_at < known.received_at) {
                first.insert(place, info);
            }
            // One more says whether there is a next page.
            if first.len() > page.limit.saturating_add(1) {
                first.pop_last();
            }
            Ok(())
        };
        self.each_record(&parts, &ask, &mut take).await?;
        let has_more = first.len() > page.limit;
        if has_more {
            first.pop_last();
        }
        let next = first.last_key_value().filter(|_| has_more).map(|(place, _)| *place);
        Ok(EventList { events: first.into_values().collect(), next })
    }

    pub(crate) async fn metric_series(
        &self,
        query: &MetricQuery,
    ) -> Result<Vec<MetricSeries>, ViewError> {
        let MetricQuery { range, matchers, names, .. } = query;
        let parts = parts_of(self.store.event_parts(&query.tenant, *range), matchers);
        let ask = Ask {
            wanted: wanted(*range, 0, matchers, ("name", names)),
            matchers,
            columns: Columns::All,
            keeps: &|info: &EventInfo| query.keeps(&info.event),
        };
        let mut sums = MetricSums::new(query);
        self.each_record(&parts, &ask, &mut |info, _| sums.add(&info)).await?;
        Ok(sums.finish())
    }
}
