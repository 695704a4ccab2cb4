//! Source preference: two sources of one process are never added up by default.
//!
//! For each service, kind and instance the best source answers: in-process collectors before the
//! host-wide agent. A series without an `instance` label speaks for every instance of its service.

use crate::infos::ProfileInfo;
use profile::Labels;
use profile::labels::names;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rank of a source: the lowest answers.
fn rank(source: &str) -> u8 {
    match source {
        "upload" => 0,
        "ddtrace" => 1,
        "pyroscope" => 2,
        "otel" => 3,
        "agent" => 9,
        _ => 5,
    }
}

/// The source of a profile; profiles without one are uploads.
pub fn source_of(info: &ProfileInfo) -> &str {
    info.labels.get(names::SOURCE).unwrap_or("upload")
}

/// Whether a profile comes from a collector that sees every process of its host.
pub fn is_host_wide(info: &ProfileInfo) -> bool {
    source_of(info) == "agent"
}

/// For each profile, whether it takes part in an answer about `kind`. `wanted` picks one source by
/// name instead of the preferred one.
pub fn choose(infos: &[&ProfileInfo], kind: &str, wanted: Option<&str>) -> Vec<bool> {
    if let Some(wanted) = wanted {
        return infos.iter().map(|info| source_of(info) == wanted).collect();
    }
    let mut found: BTreeMap<(&str, &str), BTreeSet<(u8, &str)>> = BTreeMap::new();
    // It depends on labels alone, which most profiles share with others in memory.
    let mut seen: FxHashSet<*const Labels> = FxHashSet::default();
    let with_kind = infos.iter().filter(|info| info.kinds.iter().any(|have| *have.kind == *kind));
    for info in with_kind.filter(|info| seen.insert(Arc::as_ptr(&info.labels))) {
        let source = source_of(info);
        found.entry(place(info)).or_default().insert((rank(source), source));
    }
    let is_best = |info: &ProfileInfo| {
        let (service, instance) = place(info);
        let everywhere = found.get(&(service, ""));
        let here = found.get(&(service, instance));
        let best = everywhere.into_iter().chain(here).flatten().min();
        let rivals = instance.is_empty();
        let best = if rivals { best_of_service(&found, service) } else { best };
        best.is_some_and(|(_, source)| *source == source_of(info))
    };
    let mut known: FxHashMap<*const Labels, bool> = FxHashMap::default();
    let mut answer = |info: &ProfileInfo| {
        *known.entry(Arc::as_ptr(&info.labels)).or_insert_with(|| is_best(info))
    };
    infos.iter().map(|info| answer(info)).collect()
}

fn place(info: &ProfileInfo) -> (&str, &str) {
    let label = |name| info.labels.get(name).unwrap_or("");
    (label(names::SERVICE), label(names::INSTANCE))
}

/// The best source of a service for its series without an instance: they would add to every
/// instance, so they answer only where nothing better does anywhere.
fn best_of_service<'a>(
    found: &'a BTreeMap<(&'a str, &'a str), BTreeSet<(u8, &'a str)>>,
    service: &str,
) -> Option<&'a (u8, &'a str)> {
    found.iter().filter(|((have, _), _)| *have == service).flat_map(|(_, set)| set).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infos::tests::info;

    fn chosen(profiles: &[(&str, &str)], wanted: Option<&str>) -> Vec<bool> {
        let infos: Vec<_> = profiles
            .iter()
            .map(|(instance, source)| {
                info(&[("service_name", "a"), ("instance", instance), ("source", source)], "stack")
            })
            .collect();
        choose(&infos.iter().collect::<Vec<_>>(), "stack", wanted)
    }

    #[test]
    fn in_process_before_host_wide_per_instance() {
        let profiles = [("1", "agent"), ("1", "ddtrace"), ("2", "agent")];
        assert_eq!(chosen(&profiles, None), [false, true, true]);
        assert_eq!(chosen(&profiles, Some("agent")), [true, false, true]);
    }

    #[test]
    fn a_series_without_an_instance_speaks_for_all() {
        assert_eq!(chosen(&[("", "pyroscope"), ("2", "agent")], None), [true, false]);
        assert_eq!(chosen(&[("", "agent"), ("2", "agent")], None), [true, true]);
        assert_eq!(chosen(&[("", "agent"), ("2", "ddtrace")], None), [false, true]);
    }
}
