//! How long profiles are kept: rules by tenant, service and kind, and pins.

use crate::limits::Options;
use crate::rows::ProfileRow;
use catalog::Pin;
use profile::labels::names::SERVICE;
use std::time::Duration;
use stdx::{TimeRange, Timestamp};

/// Keeps what it names for a time of its own. What is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// Whose profiles.
    pub tenant: Option<String>,
    /// Of which service.
    pub service: Option<String>,
    /// Of which kind, by its id, e.g. `heap`.
    pub kind: Option<String>,
    /// How long after its newest sample a profile is kept.
    pub keep: Duration,
}

impl RetentionRule {
    fn names(&self, tenant: &str, service: &str, kind: &str) -> bool {
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        is(&self.tenant, tenant) && is(&self.service, service) && is(&self.kind, kind)
    }

    /// A service says more than a kind, and that more than a tenant.
    fn weight(&self) -> u8 {
        let said = [self.tenant.is_some(), self.kind.is_some(), self.service.is_some()];
        said.iter().enumerate().map(|(at, said)| u8::from(*said) << at).sum()
    }
}

/// How long this is kept, in nanoseconds: the rule that says most wins, of equal ones the last.
pub(crate) fn keep_nanos(options: &Options, tenant: &str, service: &str, kind: &str) -> i64 {
    let rules = options.retention_rules.iter().filter(|rule| rule.names(tenant, service, kind));
    let keep = rules.max_by_key(|rule| rule.weight()).map_or(options.retention, |rule| rule.keep);
    i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a pin may hold something of these services and inclusive bounds.
pub(crate) fn may_pin(pin: &Pin, tenant: &str, services: &[String], bounds: (i64, i64)) -> bool {
    let is_its = pin.tenant == tenant && services.contains(&pin.service);
    is_its && crate::memtable::overlaps(bounds, pin.range)
}

/// Whether a pin holds the profile.
pub(crate) fn is_pinned(pins: &[Pin], row: &ProfileRow) -> bool {
    let service = row.labels.get(SERVICE).unwrap_or("");
    let holds = |pin: &Pin| {
        pin.tenant == *row.tenant
            && pin.service == service
            && crate::memtable::overlaps(row.time_bounds(), pin.range)
    };
    pins.iter().any(holds)
}

/// The newest time of a profile that counts for its age: a wrong clock must not keep it for ever.
pub(crate) fn newest(row: &ProfileRow) -> i64 {
    row.time_bounds().1.min(row.received_at.nanos())
}

/// A range that is not empty and lies within what can be stored.
pub(crate) fn is_useful(range: TimeRange) -> bool {
    range.start < range.end && range.end > Timestamp::from_nanos(crate::limits::TIME_NANOS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tenant: &str, service: &str, kind: &str, hours: u64) -> RetentionRule {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let keep = Duration::from_hours(hours);
        RetentionRule { tenant: some(tenant), service: some(service), kind: some(kind), keep }
    }

    #[test]
    fn the_rule_that_says_most_wins() {
        let retention_rules = vec![
            rule("", "shop", "", 2),
            rule("", "", "heap", 3),
            rule("big", "", "", 4),
            rule("big", "", "heap", 5),
            rule("", "shop", "heap", 6),
        ];
        let retention = Duration::from_hours(1);
        let options = Options { retention, retention_rules, ..Options::default() };
        let hours =
            |tenant, service, kind| keep_nanos(&options, tenant, service, kind) / 3_600_000_000_000;
        assert_eq!(hours("t", "other", "stack"), 1);
        assert_eq!(hours("t", "shop", "stack"), 2);
        assert_eq!(hours("t", "other", "heap"), 3);
        assert_eq!(hours("big", "other", "stack"), 4);
        assert_eq!(hours("big", "other", "heap"), 5);
        assert_eq!(hours("big", "shop", "heap"), 6);
        assert_eq!(hours("big", "shop", "stack"), 2, "a service says more than a tenant");
    }
}
