//! What a file tells of its runtime beside samples, within the limits of a payload.

use crate::decoded::{IssueKind, Issues};
use crate::intern::Budget;
use crate::limits::{RUNTIME_EVENTS_MAX, RUNTIME_TEXT_BYTES_MAX};
use profile::hasher::BuildKeyed;
use profile::runtime::category;
use profile::{Reading, RuntimeEvent};
use std::collections::HashSet;
use std::sync::Arc;
use stdx::Timestamp;

/// Events as they are found. Their texts are shared.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<RuntimeEvent>,
    texts: HashSet<Arc<str>, BuildKeyed>,
}

/// An event to be kept.
pub(crate) struct Telling<'a> {
    pub(crate) category: &'a str,
    pub(crate) name: &'a str,
    /// Nanoseconds since the epoch.
    pub(crate) start: i64,
    pub(crate) duration_nanos: i64,
    /// The value and its unit.
    pub(crate) reading: Option<(f64, &'a str)>,
    pub(crate) attributes: &'a [(&'a str, String)],
}

impl Told {
    /// Keeps an event. What has an impossible time, or a reading that is no number, is none.
    pub(crate) fn add(&mut self, event: &Telling<'_>, budget: &mut Budget, issues: &mut Issues) {
        let is_number = event.reading.is_none_or(|(value, _)| value.is_finite());
        if event.start <= 0 || !is_number {
            return;
        }
        if self.events.len() >= RUNTIME_EVENTS_MAX {
            issues.add(IssueKind::Limit, || {
                format!("only the first {RUNTIME_EVENTS_MAX} events of the runtime are kept")
            });
            return;
        }
        let event = self.event(event, budget, issues);
        self.events.extend(event);
    }

    /// `None` where there is no room for its texts.
    fn event(
        &mut self,
        event: &Telling<'_>,
        budget: &mut Budget,
        issues: &mut Issues,
    ) -> Option<RuntimeEvent> {
        let mut text = |text: &str| self.share(text, budget, issues);
        let (category, name) = (text(event.category)?, text(event.name)?);
        let reading = match event.reading {
            Some((value, unit)) => Some(Reading { value, unit: text(unit)? }),
            None => None,
        };
        let mut attributes = Vec::with_capacity(event.attributes.len());
        for (name, value) in event.attributes.iter().filter(|(_, value)| !value.is_empty()) {
            attributes.push((text(name)?, text(value)?));
        }
        Some(RuntimeEvent {
            category,
            name,
            start: Timestamp::from_nanos(event.start),
            duration_nanos: event.duration_nanos.max(0),
            reading,
            attributes,
        })
    }

    fn share(&mut self, text: &str, budget: &mut Budget, issues: &mut Issues) -> Option<Arc<str>> {
        let text = &text[..text.floor_char_boundary(RUNTIME_TEXT_BYTES_MAX)];
        if let Some(known) = self.texts.get(text) {
            return Some(Arc::clone(known));
        }
        if !budget.text(text.len(), issues) {
            return None;
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        Some(new)
    }
}

impl<'a> Telling<'a> {
    /// A reading of a gauge.
    pub(crate) fn reading(name: &'a str, start: i64, reading: (f64, &'a str)) -> Self {
        let (category, reading) = (category::METRIC, Some(reading));
        Self { category, name, start, duration_nanos: 0, reading, attributes: &[] }
    }
}
