//! Who calls a function, in which services, at what cost: one answer over everything selected.

use crate::calltree::{CallTree, Resolver};
use crate::frame::Frame;
use crate::{AnswerMeta, NamedTables, Pattern, gauge};
use profile::{KeyedMap, StackId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use stdx::saturate;

/// What is asked.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The function; a pattern that fits several takes them as one.
    pub function: Pattern,
    /// The label whose values are told apart.
    pub by: String,
    /// At most so many values of it.
    pub limit: usize,
    /// At most so many callers each.
    pub callers_max: usize,
}

/// What a function costs in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    /// Value of the label; empty where there is none.
    pub value: String,
    /// The function's own values.
    pub own: i64,
    /// With its callees, counted once a stack.
    pub total: i64,
    /// Its callers and what it cost them; no frame where it is outermost.
    pub callers: Vec<(Option<Frame>, i64)>,
    /// Callers beyond the limit.
    pub callers_left_out: u64,
}

/// All places, the most expensive first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// What it was made of; its total is what the function costs in all places.
    pub meta: AnswerMeta,
    /// The places.
    pub rows: Vec<UsageRow>,
    /// Places beyond the limit.
    pub left_out: u64,
}

/// Place, node, and the number of profiles of a level's series.
type Key = (u32, u32, Option<u64>);

/// Collects values by place and stack. Stacks are resolved once, however many places have them.
#[derive(Debug, Default)]
pub struct UsageSums {
    tree: CallTree,
    sums: FxHashMap<Key, i128>,
    places: Vec<String>,
    index: KeyedMap<String, u32>,
}

#[derive(Debug, Default)]
struct Costs {
    own: i128,
    total: i128,
    callers: BTreeMap<Option<u32>, i128>,
}

impl UsageSums {
    /// The handle of a value of the label.
    pub fn place(&mut self, value: &str) -> u32 {
        if let Some(&at) = self.index.get(value) {
            return at;
        }
        let at = self.places.len() as u32;
        self.places.push(value.to_owned());
        self.index.insert(value.to_owned(), at);
        at
    }

    /// Adds values by stack of one set of tables: each with its place and, for levels, the number
    /// of profiles of its series.
    pub fn add_stacks<'a>(
        &mut self,
        tables: impl Into<NamedTables<'a>>,
        values: impl IntoIterator<Item = (StackId, u32, Option<u64>, i128)>,
    ) {
        let mut resolver = Resolver::new(tables.into());
        for (stack, place, profiles, value) in values {
            let node = resolver.node(&mut self.tree, stack);
            let sum = self.sums.entry((place, node, profiles)).or_default();
            *sum = sum.saturating_add(value);
        }
    }

    /// The answer.
    pub fn finish(self, query: &UsageQuery, mut meta: AnswerMeta) -> Usage {
        let fits: Vec<bool> =
            self.tree.frames.iter().map(|frame| query.function.matches(&frame.name)).collect();
        let callers = outermost_callers(&self.tree, &fits);
        let mut costs: BTreeMap<u32, Costs> = BTreeMap::new();
        for ((place, node, profiles), sum) in &self.sums {
            let Some(caller) = callers[*node as usize] else { continue };
            let value = gauge::fixed_sum([(*profiles, *sum)]);
            let costs = costs.entry(*place).or_default();
            let add = |sum: &mut i128| *sum = sum.saturating_add(value);
            add(&mut costs.total);
            let frame = self.tree.nodes[caller as usize].frame;
            let frame = (caller != CallTree::ROOT).then_some(frame);
            add(costs.callers.entry(frame).or_default());
            if fits[self.tree.nodes[*node as usize].frame as usize] {
                add(&mut costs.own);
            }
        }
        let whole = costs.values().fold(0_i128, |sum, one| sum.saturating_add(one.total));
        meta.total = saturate(gauge::round(whole));
        let row = |(place, costs): (&u32, &Costs)| self.row(*place, costs, query.callers_max);
        let mut rows: Vec<UsageRow> = costs.iter().map(row).collect();
        rows.sort_unstable_by(|a, b| {
            (b.total, b.own).cmp(&(a.total, a.own)).then_with(|| a.value.cmp(&b.value))
        });
        let left_out = rows.len().saturating_sub(query.limit) as u64;
        rows.truncate(query.limit);
        Usage { meta, rows, left_out }
    }

    fn row(&self, place: u32, costs: &Costs, callers_max: usize) -> UsageRow {
        let whole = |fixed: i128| saturate(gauge::round(fixed));
        let frame = |at: &Option<u32>| at.map(|at| self.tree.frames[at as usize].clone());
        let callers = costs.callers.iter().map(|(at, value)| (frame(at), whole(*value)));
        let mut callers: Vec<_> = callers.collect();
        callers.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let callers_left_out = callers.len().saturating_sub(callers_max) as u64;
        callers.truncate(callers_max);
        UsageRow {
            value: self.places[place as usize].clone(),
            own: whole(costs.own),
            total: whole(costs.total),
            callers,
            callers_left_out,
        }
    }
}

/// For each node at or below a fitting frame, the node that called the outermost one.
fn outermost_callers(tree: &CallTree, fits: &[bool]) -> Vec<Option<u32>> {
    let mut callers: Vec<Option<u32>> = vec![None; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().skip(1) {
        let here = fits[node.frame as usize].then_some(node.parent);
        callers[at] = callers[node.parent as usize].or(here);
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::KindIndex;
    use profile::folded::from_folded;

    #[test]
    fn costs_are_told_apart_by_place_and_by_the_caller_of_the_outermost_call() {
        let profile = from_folded("m;f;x;f 1\nm;a;f 2\nf;x 4\nm;b 8\n");
        let mut sums = UsageSums::default();
        let (cart, shop) = (sums.place("cart"), sums.place("shop"));
        let values: Vec<_> = profile.by_stack(KindIndex(0), 0).into_iter().collect();
        for (place, factor) in [(cart, 1), (shop, 10)] {
            let values =
                values.iter().map(|(id, value)| (*id, place, None, factor * i128::from(*value)));
            sums.add_stacks(&profile.tables, values);
        }
        let function = Pattern::Literal("f".to_owned());
        let query =
            UsageQuery { function, by: "service_name".to_owned(), limit: 1, callers_max: 2 };
        let usage = sums.finish(&query, AnswerMeta::default());
        assert_eq!((usage.meta.total, usage.left_out), (77, 1));
        let row = &usage.rows[0];
        assert_eq!((row.value.as_str(), row.own, row.total), ("shop", 30, 70));
        let callers = row.callers.iter();
        let callers: Vec<_> = callers
            .map(|(frame, value)| (frame.as_ref().map(|f| f.name.to_string()), *value))
            .collect();
        assert_eq!(callers, [(None, 40), (Some("a".to_owned()), 20)]);
        assert_eq!(row.callers_left_out, 1);
    }
}
