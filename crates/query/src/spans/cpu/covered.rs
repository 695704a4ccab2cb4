//! When profiles of a service and instance were taken.

use profile::labels::names::INSTANCE;
use std::collections::BTreeMap;
use stdx::Timestamp;
use views::{ProfileInfo, SpanInfo};

/// Windows of profiles, by service and instance; without one, the instance is empty.
#[derive(Debug, Default)]
pub(super) struct Covered {
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Default)]
struct Service {
    all: Windows,
    instances: BTreeMap<String, Windows>,
}

/// Times that do not touch each other, in order: each with its end.
#[derive(Debug, Default)]
struct Windows(Vec<(Timestamp, Timestamp)>);

impl Windows {
    /// Brings what was collected in order.
    fn unite(&mut self) {
        let mut all = std::mem::take(&mut self.0);
        all.sort_unstable();
        for (start, end) in all.into_iter().filter(|(start, end)| start < end) {
            match self.0.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => self.0.push((start, end)),
            }
        }
    }

    fn contain(&self, at: Timestamp) -> bool {
        let before = self.0.partition_point(|(start, _)| *start <= at);
        before.checked_sub(1).is_some_and(|last| at < self.0[last].1)
    }
}

impl Covered {
    /// Of linked profiles.
    pub(super) fn of<'a>(profiles: impl Iterator<Item = &'a ProfileInfo>) -> Self {
        let mut covered = Self::default();
        for info in profiles {
            let service = info.labels.get(super::SERVICE).unwrap_or("");
            let instance = info.labels.get(INSTANCE).unwrap_or("");
            let window = (info.window.start, info.window.end);
            let service = covered.services.entry(service.to_owned()).or_default();
            service.all.0.push(window);
            service.instances.entry(instance.to_owned()).or_default().0.push(window);
        }
        for service in covered.services.values_mut() {
            service.all.unite();
            service.instances.values_mut().for_each(Windows::unite);
        }
        covered
    }

    /// Whether a span began while a profile was taken that speaks for it.
    pub(super) fn covers(&self, info: &SpanInfo) -> bool {
        let Some(service) = self.services.get(info.service()) else { return false };
        let at = info.span.start;
        let Some(instance) = info.labels.get(INSTANCE) else { return service.all.contain(at) };
        let is_in = |instance| {
            let windows: Option<&Windows> = service.instances.get(instance);
            windows.is_some_and(|windows| windows.contain(at))
        };
        is_in("") || is_in(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_touch_are_one_and_their_ends_are_outside() {
        let at = Timestamp::from_nanos;
        let pairs = [(5, 9), (1, 3), (3, 4), (20, 20), (6, 7), (30, 2)];
        let mut windows = Windows(pairs.map(|(start, end)| (at(start), at(end))).to_vec());
        windows.unite();
        assert_eq!(windows.0, [(at(1), at(4)), (at(5), at(9))]);
        let inside: Vec<i64> = (0..40).filter(|nanos| windows.contain(at(*nanos))).collect();
        assert_eq!(inside, [1, 2, 3, 5, 6, 7, 8]);
    }
}
