//! Maps clients' sample types into kinds, by the registry.

use crate::kind::{SampleKind, VALUES_MAX};
use crate::kind_table::{KINDS, MeasureEntry, registered};

/// Where a client's sample type goes: a position in the kinds of [`TypeMap`] and in its measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Index into [`TypeMap::kinds`].
    pub kind: usize,
    /// Index into the kind's measures and a sample's values.
    pub measure: usize,
}

/// How the sample types of one payload map into kinds: one target a sample type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMap {
    /// The kinds that occur.
    pub kinds: Vec<SampleKind>,
    /// For each sample type, in the payload's order.
    pub targets: Vec<Target>,
}

/// Maps the sample types `(type, unit)` of a payload. `family` names the client's own types
/// (`custom` kinds) and, when it is `mutex` or `block`, tells Go's two contention profiles apart.
/// Types the table does not know, and a second type for a measure already taken, keep their own
/// name in kinds of their own: nothing is dropped.
pub fn map_types(types: &[(&str, &str)], period: (&str, &str), family: &str) -> TypeMap {
    let mut map = TypeMap { kinds: Vec::new(), targets: vec![NOWHERE; types.len()] };
    let mut own = Vec::new();
    for (at, &(name, unit)) in types.iter().enumerate() {
        let known = known_target(name, unit, types, period, family);
        let target = known.map(|(kind, measure)| Target { kind: map.intern(kind), measure });
        match target {
            Some(target) if !map.targets.contains(&target) => map.targets[at] = target,
            _ => own.push(at),
        }
    }
    for chunk in own.chunks(VALUES_MAX) {
        let listed: Vec<_> = chunk.iter().map(|&at| types[at]).collect();
        map.kinds.push(SampleKind::custom(family, &listed, period));
        for (measure, &at) in chunk.iter().enumerate() {
            map.targets[at] = Target { kind: map.kinds.len() - 1, measure };
        }
    }
    map
}

const NOWHERE: Target = Target { kind: usize::MAX, measure: usize::MAX };

impl TypeMap {
    fn intern(&mut self, id: &'static str) -> usize {
        let at = self.kinds.iter().position(|kind| kind.id == id);
        at.unwrap_or_else(|| {
            self.kinds.extend(registered(id));
            self.kinds.len() - 1
        })
    }
}

fn known_target(
    name: &str,
    unit: &str,
    types: &[(&str, &str)],
    period: (&str, &str),
    family: &str,
) -> Option<(&'static str, usize)> {
    if let Some(id) = ["mutex", "block"].into_iter().find(|id| *id == family) {
        return match (name, unit) {
            ("delay", "nanoseconds") => Some((id, 0)),
            ("contentions", "count") => Some((id, 1)),
            _ => None,
        };
    }
    // `samples/count`, `sample/count` in V8's words, says nothing by itself: it counts what comes
    // once a period, or what stands beside it.
    if matches!((name, unit), ("samples" | "sample", "count")) {
        let has =
            |wanted: &str| types.iter().any(|(name, _)| *name == wanted) || period.0 == wanted;
        return match (period.0 == "wall", has("cpu"), has("wall")) {
            (false, true, _) => Some(("stack", 1)),
            (true, ..) | (_, _, true) => Some(("stack", 3)),
            _ => None,
        };
    }
    let wanted = format!("{name}/{unit}");
    KINDS.iter().find_map(|kind| {
        let hit = |entry: &MeasureEntry| entry.sample_types.contains(&wanted.as_str());
        kind.measures.iter().position(hit).map(|at| (kind.id, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_event_share_a_kind() {
        let types = [
            ("cpu-time", "nanoseconds"),
            ("cpu-samples", "count"),
            ("wall-time", "nanoseconds"),
            ("wall-samples", "count"),
            ("alloc-space", "bytes"),
            ("strange", "widgets"),
        ];
        let map = map_types(&types, ("cpu", "nanoseconds"), "app");
        let ids: Vec<_> = map.kinds.iter().map(|kind| kind.id.to_string()).collect();
        assert_eq!(ids, ["stack", "heap", "custom|app|strange:widgets|cpu:nanoseconds"]);
        let at: Vec<_> = map.targets.iter().map(|t| (t.kind, t.measure)).collect();
        assert_eq!(at, [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)]);
    }

    #[test]
    fn samples_are_those_of_the_period_or_of_what_stands_beside_them() {
        let both = [("sample", "count"), ("wall", "nanoseconds"), ("cpu", "nanoseconds")];
        let at = |types: &[(&str, &str)], period: &str| {
            let map = map_types(types, (period, "nanoseconds"), "");
            (map.kinds[map.targets[0].kind].id.to_string(), map.targets[0].measure)
        };
        assert_eq!(at(&both, "wall"), ("stack".to_owned(), 3));
        assert_eq!(at(&both, "cpu"), ("stack".to_owned(), 1));
        assert_eq!(at(&both, ""), ("stack".to_owned(), 1));
        assert_eq!(at(&both[..2], ""), ("stack".to_owned(), 3));
        assert!(at(&both[..1], "").0.starts_with("custom|"));
        assert_eq!(at(&[("timeline", "nanoseconds")], "timeline").0, "runtime_event");
    }

    #[test]
    fn a_measure_is_taken_once_and_contention_needs_its_name() {
        let map = map_types(&[("cpu", "nanoseconds"), ("cpu-time", "nanoseconds")], ("", ""), "x");
        assert_eq!(map.targets[1], Target { kind: 1, measure: 0 });
        let types = [("contentions", "count"), ("delay", "nanoseconds")];
        assert_eq!(map_types(&types, ("", ""), "mutex").kinds[0].id, "mutex");
        assert!(map_types(&types, ("", ""), "app").kinds[0].id.starts_with("custom|app|"));
    }
}
