//! Pruning and diff: smaller profiles, and what changed between two.

use crate::{KindIndex, LocationId, Profile, StackId, StackTable};
use rustc_hash::FxHashMap;

impl Profile {
    /// Cuts stacks above frames that `drop` names (pprof's `drop_frames`): a dropped frame and
    /// everything it called disappear, their values stay with the caller.
    pub fn prune(&mut self, drop: impl Fn(&Self, LocationId) -> bool) {
        let mut kept: Vec<StackId> = vec![StackTable::ROOT];
        let nodes: Vec<_> = self.tables.stacks.iter().collect();
        let mut dropped = vec![false; nodes.len() + 1];
        for (node, parent, location) in nodes {
            let (at, above) = (node.0 as usize, parent.0 as usize);
            dropped[at] = dropped[above] || drop(self, location);
            kept.push(if dropped[at] { kept[above] } else { node });
        }
        for sample in &mut self.samples {
            sample.stack = kept.get(sample.stack.0 as usize).copied().unwrap_or_default();
        }
    }

    /// Sums of one measure by stack, in stack order.
    pub fn by_stack(&self, kind: KindIndex, measure: usize) -> Vec<(StackId, i64)> {
        let mut sums: FxHashMap<StackId, i64> = FxHashMap::default();
        for sample in self.samples.iter().filter(|sample| sample.kind == kind) {
            let sum = sums.entry(sample.stack).or_default();
            *sum = sum.saturating_add(sample.values.get(measure).copied().unwrap_or(0));
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable();
        sums
    }
}

/// One stack's value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The stack, in the first profile's tables.
    pub stack: StackId,
    /// Its value in the first profile.
    pub before: i64,
    /// Its value in the second.
    pub after: i64,
}

/// Compares two profiles stack by stack. `before` takes over the stacks that only `after` has, so
/// that the handles of the answer are all its own.
pub fn diff(before: &mut Profile, after: &Profile, kind: &str, measure: usize) -> Vec<Difference> {
    let find = |profile: &Profile| {
        let at = profile.kinds.iter().position(|have| have.id == kind);
        at.map(|at| KindIndex(at as u32))
    };
    let mut sums: FxHashMap<StackId, (i64, i64)> = FxHashMap::default();
    for (stack, value) in find(before).map(|k| before.by_stack(k, measure)).unwrap_or_default() {
        let sum = &mut sums.entry(stack).or_default().0;
        *sum = sum.saturating_add(value);
    }
    let remap = before.tables.absorb(&after.tables);
    for (stack, value) in find(after).map(|k| after.by_stack(k, measure)).unwrap_or_default() {
        let sum = &mut sums.entry(remap.stack(stack)).or_default().1;
        *sum = sum.saturating_add(value);
    }
    let rows = sums.into_iter();
    let mut rows: Vec<_> =
        rows.map(|(stack, (before, after))| Difference { stack, before, after }).collect();
    rows.sort_unstable_by_key(|row| row.stack);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folded::{folded, from_folded};
    use expect_test::expect;

    #[test]
    fn a_dropped_frame_leaves_its_value_to_its_caller() {
        let mut profile = from_folded("a;b;c 1\na;b 2\nd 4\n");
        profile.prune(|profile, location| {
            let lines = &profile.tables.locations.get(location).expect("own location").lines;
            let function = profile.tables.functions.get(lines[0].function).expect("own function");
            profile.tables.text(function.name) == "b"
        });
        expect![[r"
            a 3
            d 4
        "]]
        .assert_eq(&folded(&profile, KindIndex(0), 0));
    }

    #[test]
    fn diff_names_new_gone_and_changed_stacks() {
        let mut before = from_folded("a;b 5\na;c 1\n");
        let rows =
            diff(&mut before, &from_folded("a;b 7\na;d 2\n"), "custom|folded|samples:count|:", 0);
        let values: Vec<_> = rows.iter().map(|row| (row.before, row.after)).collect();
        assert_eq!(values, [(5, 7), (1, 0), (0, 2)]);
    }
}
