//! A service and kind of an hour when all of it is there: its own prefixes, its functions, and what
//! is kept of both.

use super::sums::{Part, Series, Sorted, Sums, add_all};
use super::tally::Tally;
use super::trie::{Trie, outermost, preorder};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::saturate;
use views::rollup::{
    FunctionCell, KindRollup, Prefix, PrefixCell, Rules, SeriesRollup, Values, add, add_weight,
};

/// Place of what there is not.
const NONE: u32 = u32::MAX;

/// What a series has of a function.
#[derive(Clone, Copy, Debug, Default)]
struct OfFunction {
    own: Values,
    total: Values,
    profiles: u64,
}

impl OfFunction {
    fn add(&mut self, more: &Self) {
        add(&mut self.own, &more.own);
        add(&mut self.total, &more.total);
        self.profiles += more.profiles;
    }
}

/// Sums of a service and kind. Frames are the hour's, prefixes are its own.
#[derive(Debug)]
pub(crate) struct Tree {
    series: Series,
    prefixes: Vec<Prefix>,
    /// By series.
    sums: Vec<Sums>,
    /// By series, then by frame.
    functions: Vec<Sorted<OfFunction>>,
    /// Weights of functions, all series together.
    function_weights: FxHashMap<u32, Values>,
}

impl Tree {
    /// The prefixes that the part has, of the hour's; `places` is as long as those, and all
    /// [`u32::MAX`] before and after. There are so many frames.
    pub(crate) fn new(part: Part, hour: &[Prefix], places: &mut Vec<u32>, frames: usize) -> Self {
        let Part { series, mut sums } = part;
        sums.resize_with(series.rows.len(), Sums::default);
        places.resize(hour.len(), NONE);
        places[0] = 0;
        let mut used = vec![0];
        for (prefix, _) in sums.iter().flat_map(|sums| &sums.profiles) {
            if std::mem::replace(&mut places[*prefix as usize], 0) == NONE {
                used.push(*prefix);
            }
        }
        used.sort_unstable();
        let mut prefixes = Vec::with_capacity(used.len());
        for (at, &prefix) in used.iter().enumerate() {
            places[prefix as usize] = at as u32;
            let Prefix { parent, frame } = hour[prefix as usize];
            prefixes.push(Prefix { parent: places[parent as usize], frame });
        }
        for sums in &mut sums {
            sums.profiles.iter_mut().for_each(|row| row.0 = places[row.0 as usize]);
            sums.own.iter_mut().for_each(|row| row.0 = places[row.0 as usize]);
        }
        for prefix in used {
            places[prefix as usize] = NONE;
        }
        let (functions, function_weights) = Default::default();
        let mut tree = Self { series, prefixes, sums, functions, function_weights };
        tree.add_functions(frames);
        tree
    }

    /// What each prefix weighs with its callees, all series together.
    fn weights(&self) -> Vec<Values> {
        let mut weights = vec![Values::default(); self.prefixes.len()];
        for (prefix, own) in self.sums.iter().flat_map(|sums| &sums.own) {
            add_weight(&mut weights[*prefix as usize], own);
        }
        for at in (1..weights.len()).rev() {
            let weight = weights[at];
            add(&mut weights[self.prefixes[at].parent as usize], &weight);
        }
        weights
    }

    /// Adds up functions over the prefixes.
    fn add_functions(&mut self, frames: usize) {
        let outermost = outermost(&self.prefixes, frames);
        for (at, weight) in self.weights().iter().enumerate().filter(|(at, _)| outermost[*at]) {
            let frame = self.prefixes[at].frame;
            add(self.function_weights.entry(frame).or_default(), weight);
        }
        let mut totals = vec![Values::default(); self.prefixes.len()];
        let mut tally: Tally<OfFunction> = Tally::default();
        for sums in &mut self.sums {
            for (prefix, own) in &sums.own {
                totals[*prefix as usize] = *own;
                let frame = self.prefixes[*prefix as usize].frame;
                add(&mut tally.cell(frame).value.own, own);
            }
            for (prefix, _) in sums.profiles.iter().rev() {
                let total = std::mem::take(&mut totals[*prefix as usize]);
                if *prefix == 0 || total == Values::default() {
                    continue;
                }
                let Prefix { parent, frame } = self.prefixes[*prefix as usize];
                add(&mut totals[parent as usize], &total);
                if outermost[*prefix as usize] {
                    add(&mut tally.cell(frame).value.total, &total);
                }
            }
            for (frame, profiles) in std::mem::take(&mut sums.functions) {
                tally.cell(frame).value.profiles = profiles;
            }
            let functions = tally.drain().filter(|(frame, _)| *frame != 0);
            let mut functions: Sorted<_> = functions.map(|(at, cell)| (at, cell.value)).collect();
            functions.sort_unstable_by_key(|(frame, _)| *frame);
            self.functions.push(functions);
        }
    }

    /// Takes over what was made before, of other profiles; `id` gives its frames their positions here.
    pub(crate) fn merge(&mut self, other: &KindRollup, mut id: impl FnMut(u32) -> u32) {
        let series: Vec<u32> = other.series.iter().map(|row| self.series.merge(row)).collect();
        self.sums.resize_with(self.series.rows.len(), Sums::default);
        self.functions.resize_with(self.series.rows.len(), Vec::new);
        let mut trie = Trie::of(std::mem::take(&mut self.prefixes));
        let mut places = vec![0_u32; other.prefixes.len()];
        for (at, prefix) in other.prefixes.iter().enumerate().skip(1) {
            places[at] = trie.child(places[prefix.parent as usize], id(prefix.frame));
        }
        self.prefixes = trie.prefixes;
        let mut sums: Vec<Sums> = series.iter().map(|_| Sums::default()).collect();
        for cell in &other.cells {
            let (place, sums) = (places[cell.prefix as usize], &mut sums[cell.series as usize]);
            sums.profiles.push((place, cell.profiles));
            sums.own.push((place, cell.own));
        }
        let mut functions: Vec<Sorted<OfFunction>> = vec![Vec::new(); series.len()];
        for FunctionCell { frame, series, own, total, profiles } in &other.functions {
            let frame = id(*frame);
            let of = OfFunction { own: *own, total: *total, profiles: *profiles };
            functions[*series as usize].push((frame, of));
            add_weight(self.function_weights.entry(frame).or_default(), total);
        }
        for (at, (sums, functions)) in series.into_iter().zip(sums.into_iter().zip(functions)) {
            self.sums[at as usize].add(sums);
            add_all(&mut self.functions[at as usize], functions, OfFunction::add);
        }
    }

    /// What is kept of it.
    pub(crate) fn pruned(self, service: &str, kind: &str, rules: &Rules) -> KindRollup {
        let mut result = KindRollup::new(service, kind);
        result.frames = Arc::default();
        let rows = &self.series.rows;
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by(|a, b| rows[*a as usize].labels.cmp(&rows[*b as usize].labels));
        for &at in &order {
            let row = rows[at as usize].clone();
            result.series.push(SeriesRollup { totals: stored(&row.totals), ..row });
        }
        let weights = self.weights();
        let all = weights.first().copied().unwrap_or_default();
        self.prune_prefixes(&mut result, &weights, &order, rules);
        self.prune_functions(&mut result, &all, &order, rules);
        result
    }

    fn prune_prefixes(
        &self,
        result: &mut KindRollup,
        weights: &[Values],
        order: &[u32],
        rules: &Rules,
    ) {
        let all = weights.first().copied().unwrap_or_default();
        let mut counts = vec![0_usize; self.prefixes.len()];
        for (prefix, _) in self.sums.iter().flat_map(|sums| &sums.profiles) {
            counts[*prefix as usize] += 1;
        }
        let is_kept = |at: usize, share| {
            let is_rest = self.prefixes[at].frame == 0;
            at == 0 || (!is_rest && Rules::keeps(share, &weights[at], &all))
        };
        let kept = |share| {
            let kept = (0..counts.len()).filter(|at| is_kept(*at, share));
            kept.map(|at| counts[at]).sum()
        };
        let share = fitting(rules.prefix_share, rules.cells_max, kept);
        let (prefixes, places) = self.places(|at| is_kept(at, share));
        let (prefixes, ranks) = preorder(&prefixes);
        result.prefixes = prefixes;
        let mut tally: Tally<(Values, u64)> = Tally::default();
        for (series, &at) in order.iter().enumerate() {
            let sums = &self.sums[at as usize];
            for (prefix, profiles) in &sums.profiles {
                let (_, most) = &mut tally.cell(places[*prefix as usize]).value;
                *most = (*most).max(*profiles);
            }
            for (prefix, own) in &sums.own {
                add(&mut tally.cell(places[*prefix as usize]).value.0, own);
            }
            result.cells.extend(tally.drain().map(|(place, cell)| PrefixCell {
                prefix: ranks[place as usize],
                series: series as u32,
                own: stored(&cell.value.0),
                profiles: cell.value.1,
            }));
        }
        result.cells.sort_unstable_by_key(|cell| (cell.prefix, cell.series));
    }

    /// The prefixes that are kept, with one for what is not below each that needs it; and where each
    /// goes.
    fn places(&self, is_kept: impl Fn(usize) -> bool) -> (Vec<Prefix>, Vec<u32>) {
        let mut kept = vec![Prefix::default()];
        // Of each that is kept, the one for the rest below it, which is its own.
        let mut rests = vec![NONE];
        let mut places = vec![0_u32; self.prefixes.len()];
        // Prefixes come after their callers.
        for (at, &Prefix { parent, frame }) in self.prefixes.iter().enumerate().skip(1) {
            let caller = places[parent as usize];
            let place = kept.len() as u32;
            places[at] = if is_kept(at) {
                kept.push(Prefix { parent: caller, frame });
                rests.push(NONE);
                place
            } else if rests[caller as usize] == NONE {
                rests[caller as usize] = place;
                kept.push(Prefix { parent: caller, frame: 0 });
                rests.push(place);
                place
            } else {
                rests[caller as usize]
            };
        }
        (kept, places)
    }

    fn prune_functions(&self, result: &mut KindRollup, all: &Values, order: &[u32], rules: &Rules) {
        let weight = |frame: u32| self.function_weights.get(&frame).copied().unwrap_or_default();
        let is_kept = |frame: u32, share| frame != 0 && Rules::keeps(share, &weight(frame), all);
        let frames = || self.functions.iter().flatten().map(|(frame, _)| *frame);
        let kept = |share| frames().filter(|frame| is_kept(*frame, share)).count();
        let share = fitting(rules.function_share, rules.cells_max, kept);
        for (series, &at) in order.iter().enumerate() {
            let functions = self.functions[at as usize].iter();
            let functions = functions.filter(|(frame, _)| is_kept(*frame, share));
            result.functions.extend(functions.map(|(frame, of)| FunctionCell {
                frame: *frame,
                series: series as u32,
                own: stored(&of.own),
                total: stored(&of.total),
                profiles: of.profiles,
            }));
        }
        result.functions.sort_unstable_by_key(|cell| (cell.frame, cell.series));
    }
}

/// As files hold it.
fn stored(values: &Values) -> Values {
    values.map(|value| saturate(value).into())
}

/// The largest of `share`, half of it and so on for which there are at most `most`.
fn fitting(share: u64, most: usize, kept: impl Fn(u64) -> usize) -> u64 {
    let mut share = share;
    while share > 0 && kept(share) > most {
        share /= 2;
    }
    share
}
