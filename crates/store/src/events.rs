//! What runtimes tell, events and readings of gauges: a [`Record`] beside profiles. In the log they
//! are part of the profile that they came with ([`codec`]), so that both are there or neither.
//! Format page: `docs/formats/events.md`.

pub(crate) mod codec;

use crate::Error;
use crate::codec::Entry;
use crate::records::file::texts;
use crate::records::read::{Column, absent};
use crate::records::{Base, Field, OwnBase, Record, Texts};
use arrow::array::{Array, Float64Array, RecordBatch};
use catalog::Content;
use parquet::file::properties::WriterPropertiesBuilder;
use profile::{Reading, RuntimeEvent};
use std::cmp::Ordering;
use std::sync::Arc;
use views::EventInfo;

/// Version of the format.
pub const EVENTS_VERSION: u32 = 1;
/// What rules of retention call events.
pub const EVENTS_KIND: &str = "events";
/// What rules of retention call readings.
pub const METRICS_KIND: &str = "metrics";

/// What came with a profile.
pub(crate) fn infos(entry: &Entry) -> Vec<EventInfo> {
    let labels = Arc::new(entry.profile.labels.clone());
    let info = |event: &RuntimeEvent| EventInfo {
        labels: Arc::clone(&labels),
        received_at: entry.received_at,
        event: event.clone(),
    };
    entry.profile.events.iter().map(info).collect()
}

/// The columns that only events have.
#[derive(Debug)]
pub struct Columns {
    category: Option<Column>,
    name: Option<Column>,
    unit: Option<Column>,
    value: Option<Float64Array>,
    empty: Arc<str>,
}

impl Record for EventInfo {
    const CONTENT: Content = Content::Events;
    const VERSION: u32 = EVENTS_VERSION;
    type Columns = Columns;

    fn base(&self) -> Base<'_> {
        Base {
            labels: &self.labels,
            received_at: self.received_at,
            start: self.event.start,
            duration_nanos: self.event.duration_nanos,
            attributes: &self.event.attributes,
        }
    }

    fn kind(&self) -> &'static str {
        if self.event.reading.is_some() { METRICS_KIND } else { EVENTS_KIND }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<RuntimeEvent>() + self.event.estimated_bytes()
    }

    /// Readings of one gauge stand together, in time: a question names few of many.
    fn order(&self, other: &Self) -> Ordering {
        let key = |info: &Self| (info.event.category.clone(), info.event.name.clone());
        let times = |info: &Self| (info.event.start, info.event.duration_nanos, info.received_at);
        key(self).cmp(&key(other)).then_with(|| times(self).cmp(&times(other)))
    }

    fn fields(rows: &[&Self]) -> Result<Vec<Field>, Error> {
        let events = || rows.iter().map(|info| &info.event);
        let readings = || events().map(|event| event.reading.as_ref());
        let values: Float64Array = readings().map(|it| it.map(|it| it.value)).collect();
        let units = readings().map(|it| it.map_or("", |it| &*it.unit));
        Ok(vec![
            ("category", texts(events().map(|event| &*event.category), false)?, false),
            ("name", texts(events().map(|event| &*event.name), false)?, false),
            ("value", Arc::new(values), true),
            ("unit", texts(units, true)?, true),
        ])
    }

    fn properties(to: WriterPropertiesBuilder, _rows: usize) -> WriterPropertiesBuilder {
        to
    }

    fn columns(batch: &RecordBatch, texts: &mut Texts) -> Result<Columns, Error> {
        let mut column = |name| Column::of(batch, name, texts);
        Ok(Columns {
            category: column("category")?,
            name: column("name")?,
            unit: column("unit")?,
            value: absent(batch, "value")?,
            empty: texts.share(""),
        })
    }

    fn of_row(columns: &Columns, row: usize, base: OwnBase) -> Self {
        let text = |column: &Option<Column>| {
            column.as_ref().and_then(|it| it.get(row)).unwrap_or(&columns.empty).clone()
        };
        let value = columns.value.as_ref().filter(|values| values.is_valid(row));
        let reading =
            value.map(|values| Reading { value: values.value(row), unit: text(&columns.unit) });
        let event = RuntimeEvent {
            category: text(&columns.category),
            name: text(&columns.name),
            start: base.start,
            duration_nanos: base.duration_nanos,
            reading,
            attributes: base.attributes,
        };
        Self { labels: base.labels, received_at: base.received_at, event }
    }
}
