//! The arithmetic of gauges: over a range, the mean over each series' profiles, then the sum over
//! series. Fixed point and whole sums, so that every engine gets the same answer whatever the order
//! and however finely it tells stacks apart.

use crate::calltree::Resolver;
use crate::{CallTree, NamedTables};
use profile::StackId;
use rustc_hash::FxHashMap;

/// Fractional bits of a mean.
const SHIFT: u32 = 20;

/// The mean of `sum` over `profiles` profiles, in fixed point. No profiles give 0.
pub fn mean(sum: i128, profiles: u64) -> i128 {
    if profiles == 0 { 0 } else { sum.saturating_mul(1 << SHIFT) / i128::from(profiles) }
}

/// A sum of means as a whole number, rounded to nearest.
pub fn round(fixed: i128) -> i128 {
    fixed.saturating_add(1 << (SHIFT - 1)) >> SHIFT
}

/// Sums as one number in fixed point: levels (with the number of profiles of their series) as their
/// means, other values as they are.
pub(crate) fn fixed_sum(sums: impl IntoIterator<Item = (Option<u64>, i128)>) -> i128 {
    let fixed = |(profiles, sum): (Option<u64>, i128)| mean(sum, profiles.unwrap_or(1));
    sums.into_iter().map(fixed).fold(0, i128::saturating_add)
}

/// A call tree of levels. Values are summed by node and by how many profiles their series has, and
/// only then divided: which stacks an engine has merged before does not show.
#[derive(Debug, Default)]
pub struct Levels {
    tree: CallTree,
    sums: FxHashMap<(u32, u64), i128>,
}

impl Levels {
    /// Adds values by stack of one set of tables, each with the number of profiles of its series.
    pub fn add_stacks<'a, V: Into<i128>>(
        &mut self,
        tables: impl Into<NamedTables<'a>>,
        values: impl IntoIterator<Item = (StackId, u64, V)>,
    ) {
        let mut resolver = Resolver::new(tables.into());
        for (stack, profiles, value) in values {
            let node = resolver.node(&mut self.tree, stack);
            let sum = self.sums.entry((node, profiles)).or_default();
            *sum = sum.saturating_add(value.into());
        }
    }

    /// The tree whose nodes [`Levels::add`] names.
    pub fn tree_mut(&mut self) -> &mut CallTree {
        &mut self.tree
    }

    /// Adds the sum of a node's own values over the profiles of a series.
    pub fn add(&mut self, node: u32, profiles: u64, value: i128) {
        let sum = self.sums.entry((node, profiles)).or_default();
        *sum = sum.saturating_add(value);
    }

    /// The tree in whole numbers. Each node gets what the levels up to it, in order of frames,
    /// round to beyond the ones before it: no part is off by one or more, no sum of callees differs
    /// from their caller's total, and the root is the whole, rounded once.
    pub fn finish(self) -> CallTree {
        let mut tree = self.tree;
        for ((node, profiles), sum) in self.sums {
            tree.add(node, mean(sum, profiles));
        }
        let mut children = tree.children_of();
        children.sort_by(|&a, &b| {
            let frame = |at: u32| &tree.frames[tree.nodes[at as usize].frame as usize];
            frame(a).cmp(frame(b))
        });
        let (mut exact, mut given) = (0_i128, 0_i128);
        let mut work = vec![CallTree::ROOT];
        while let Some(at) = work.pop() {
            let node = &mut tree.nodes[at as usize];
            exact = exact.saturating_add(node.own);
            node.own = round(exact).saturating_sub(given);
            given = round(exact);
            work.extend(children.of(at).iter().rev());
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnswerMeta, FlameGraph};
    use profile::folded::from_folded;

    #[test]
    fn one_profile_reads_exactly_and_thirds_add_up() {
        for value in [0, 1, -7, 123_456_789_012_345, i64::MAX, i64::MIN].map(i128::from) {
            assert_eq!(round(mean(value, 1)), value);
        }
        assert_eq!(round(mean(1, 3) + mean(1, 3) + mean(1, 3)), 1);
        assert_eq!(mean(5, 0), 0);
    }

    /// Levels of folded stacks, each value being the sum over so many profiles.
    fn levels(rows: &[(&str, u64)]) -> CallTree {
        let mut levels = Levels::default();
        for (text, profiles) in rows {
            let profile = from_folded(text);
            let values = profile.by_stack(profile::KindIndex(0), 0).into_iter();
            let values = values.map(|(stack, value)| (stack, *profiles, value));
            levels.add_stacks(&profile.tables, values);
        }
        levels.finish()
    }

    #[test]
    fn levels_are_means_by_series_and_sums_over_series() {
        // Three profiles with 10, 20 and 30 and one of another series with 5.
        let tree = levels(&[("main;a 60\n", 3), ("main;a 5\nmain;b 7\n", 1)]);
        let rows = tree.top(9, crate::TopSort::Own);
        let rows: Vec<_> = rows.iter().map(|row| (row.frame.name.as_ref(), row.own)).collect();
        assert_eq!(rows, [("a", 25), ("b", 7), ("main", 0)]);
    }

    #[test]
    fn small_levels_are_not_rounded_away_and_callees_never_exceed_their_caller() {
        let text: String = (0..1000).map(|at| format!("main;f{at:04} 1\n")).collect();
        let tree = levels(&[(&text, 4)]);
        assert_eq!(tree.total(), 250);
        let graph = FlameGraph::of(&tree, 10_000, AnswerMeta::default());
        let callees: i64 = (2..graph.len()).map(|at| graph.total[at]).sum();
        assert_eq!((graph.total[0], graph.total[1], callees), (250, 250, 250));
        assert!(graph.own.iter().all(|own| (0..=1).contains(own)));
    }

    #[test]
    fn a_stack_told_apart_by_address_gives_the_same_levels() {
        let whole = levels(&[("a;b 3\n", 2)]);
        let parts = levels(&[("a;b 1\n", 2), ("a;b 1\n", 2), ("a;b 1\n", 2)]);
        assert_eq!((whole.total(), parts.total()), (2, 2));
    }
}
