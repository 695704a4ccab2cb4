//! Sums of an hour's profiles of one service and kind while they are collected.
//!
//! Frames are positions in a list that all trees of an hour share; the first is the one that stands
//! for what was pruned.

use profile::{KeyedMap, Labels};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use stdx::saturate;
use views::Frame;
use views::rollup::{
    FunctionCell, KindRollup, Prefix, PrefixCell, Rules, SeriesRollup, Values, add, add_weight,
    pruned_frame,
};

/// Frames of an hour.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) list: Vec<Arc<Frame>>,
    index: KeyedMap<Arc<Frame>, u32>,
}

impl Default for Frames {
    fn default() -> Self {
        let mut frames = Self { list: Vec::new(), index: KeyedMap::default() };
        frames.intern(&pruned_frame());
        frames
    }
}

impl Frames {
    pub(crate) fn intern(&mut self, frame: &Frame) -> u32 {
        if let Some(&at) = self.index.get(frame) {
            return at;
        }
        let at = self.list.len() as u32;
        let frame = Arc::new(frame.clone());
        self.list.push(Arc::clone(&frame));
        self.index.insert(frame, at);
        at
    }

    /// The frames by position.
    pub(crate) fn into_list(self) -> Vec<Frame> {
        drop(self.index);
        self.list.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}

/// What a series has of a function, and what that weighs.
#[derive(Clone, Copy, Debug, Default)]
struct OfFunction {
    own: Values,
    total: Values,
    profiles: u64,
}

/// Sums of one service and kind.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) series: Vec<SeriesRollup>,
    series_index: KeyedMap<Arc<Labels>, u32>,
    pub(crate) prefixes: Vec<Prefix>,
    children: FxHashMap<(u32, u32), u32>,
    /// By prefix and series.
    cells: FxHashMap<(u32, u32), (Values, u64)>,
    /// By frame and series.
    functions: FxHashMap<(u32, u32), OfFunction>,
    /// Weights of functions, all series together.
    function_weights: FxHashMap<u32, Values>,
}

impl Tree {
    /// One with the empty prefix.
    pub(crate) fn new() -> Self {
        Self {
            series: Vec::new(),
            series_index: KeyedMap::default(),
            prefixes: vec![Prefix::default()],
            children: FxHashMap::default(),
            cells: FxHashMap::default(),
            functions: FxHashMap::default(),
            function_weights: FxHashMap::default(),
        }
    }

    /// The position of a series.
    pub(crate) fn series(&mut self, labels: &Arc<Labels>) -> u32 {
        if let Some(&at) = self.series_index.get(labels) {
            return at;
        }
        let at = self.series.len() as u32;
        self.series.push(SeriesRollup { labels: Arc::clone(labels), ..SeriesRollup::default() });
        self.series_index.insert(Arc::clone(labels), at);
        at
    }

    /// The prefix of one frame more.
    pub(crate) fn child(&mut self, parent: u32, frame: u32) -> u32 {
        let prefixes = &mut self.prefixes;
        *self.children.entry((parent, frame)).or_insert_with(|| {
            prefixes.push(Prefix { parent, frame });
            prefixes.len() as u32 - 1
        })
    }

    /// Adds to the own values of a prefix and to the profiles that have it.
    pub(crate) fn add(&mut self, prefix: u32, series: u32, values: &Values, profiles: u64) {
        let (own, count) = self.cells.entry((prefix, series)).or_default();
        add(own, values);
        *count += profiles;
    }

    /// Counts profiles that have a function.
    pub(crate) fn count_function(&mut self, frame: u32, series: u32, profiles: u64) {
        self.functions.entry((frame, series)).or_default().profiles += profiles;
    }

    /// Number of prefixes by series.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// What each prefix weighs with its callees, all series together.
    fn weights(&self) -> Vec<Values> {
        let mut weights = vec![Values::default(); self.prefixes.len()];
        for ((prefix, _), (own, _)) in &self.cells {
            add_weight(&mut weights[*prefix as usize], own);
        }
        for at in (1..weights.len()).rev() {
            let weight = weights[at];
            add(&mut weights[self.prefixes[at].parent as usize], &weight);
        }
        weights
    }

    /// Prefixes of which no caller is of the same frame, so that recursion counts once.
    fn outermost(&self, frames: usize) -> Vec<bool> {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.prefixes.len()];
        for (at, prefix) in self.prefixes.iter().enumerate().skip(1) {
            children[prefix.parent as usize].push(at as u32);
        }
        let mut on_path = vec![false; frames];
        let mut outermost = vec![false; self.prefixes.len()];
        let mut work: Vec<(u32, bool)> = children[0].iter().map(|&at| (at, true)).collect();
        while let Some((at, is_entering)) = work.pop() {
            let frame = self.prefixes[at as usize].frame as usize;
            let is_first = &mut outermost[at as usize];
            if !is_entering {
                if *is_first {
                    on_path[frame] = false;
                }
                continue;
            }
            *is_first = !std::mem::replace(&mut on_path[frame], true);
            work.push((at, false));
            work.extend(children[at as usize].iter().map(|&child| (child, true)));
        }
        outermost
    }

    /// Adds up functions over the prefixes; once, before others are merged in.
    pub(crate) fn add_functions(&mut self, frames: usize) {
        let outermost = self.outermost(frames);
        for (at, weight) in self.weights().iter().enumerate().filter(|(at, _)| outermost[*at]) {
            let frame = self.prefixes[at].frame;
            add(self.function_weights.entry(frame).or_default(), weight);
        }
        let mut keys: Vec<(u32, u32)> = self.cells.keys().copied().collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let mut totals: FxHashMap<(u32, u32), Values> = FxHashMap::default();
        for key in keys {
            let (prefix, series) = key;
            let own = self.cells.get(&key).map_or_else(Values::default, |cell| cell.0);
            let mut total = totals.remove(&key).unwrap_or_default();
            add(&mut total, &own);
            if prefix == 0 {
                continue;
            }
            let Prefix { parent, frame } = self.prefixes[prefix as usize];
            add(totals.entry((parent, series)).or_default(), &total);
            let of = self.functions.entry((frame, series)).or_default();
            add(&mut of.own, &own);
            if outermost[prefix as usize] {
                add(&mut of.total, &total);
            }
        }
    }

    /// Takes over what was made before, of other profiles; `id` gives its frames their positions here.
    pub(crate) fn merge(&mut self, other: &KindRollup, mut id: impl FnMut(u32) -> u32) {
        let series: Vec<u32> = other.series.iter().map(|row| self.merge_series(row)).collect();
        let mut places = vec![0_u32; other.prefixes.len()];
        for (at, prefix) in other.prefixes.iter().enumerate().skip(1) {
            places[at] = self.child(places[prefix.parent as usize], id(prefix.frame));
        }
        for cell in &other.cells {
            let key = (places[cell.prefix as usize], series[cell.series as usize]);
            let (own, profiles) = self.cells.entry(key).or_default();
            add(own, &cell.own);
            *profiles += cell.profiles;
        }
        for cell in &other.functions {
            let frame = id(cell.frame);
            let of = self.functions.entry((frame, series[cell.series as usize])).or_default();
            add(&mut of.own, &cell.own);
            add(&mut of.total, &cell.total);
            of.profiles += cell.profiles;
            add_weight(self.function_weights.entry(frame).or_default(), &cell.total);
        }
    }

    fn merge_series(&mut self, row: &SeriesRollup) -> u32 {
        let at = self.series(&row.labels);
        let series = &mut self.series[at as usize];
        series.samples += row.samples;
        series.covered_ms += row.covered_ms;
        add(&mut series.totals, &row.totals);
        series.all.add(&row.all);
        series.continued.add(&row.continued);
        at
    }

    /// What is kept of it; frames are still the hour's.
    pub(crate) fn pruned(self, service: &str, kind: &str, rules: &Rules) -> KindRollup {
        let mut result = KindRollup::new(service, kind);
        result.frames = Arc::default();
        let mut order: Vec<u32> = (0..self.series.len() as u32).collect();
        order.sort_by(|a, b| {
            let labels = |at: &u32| &self.series[*at as usize].labels;
            labels(a).cmp(labels(b))
        });
        let mut ranks = vec![0_u32; order.len()];
        for (rank, &at) in order.iter().enumerate() {
            ranks[at as usize] = rank as u32;
            let row = self.series[at as usize].clone();
            result.series.push(SeriesRollup { totals: stored(&row.totals), ..row });
        }
        let weights = self.weights();
        let all = weights.first().copied().unwrap_or_default();
        self.prune_prefixes(&mut result, &weights, &ranks, rules);
        self.prune_functions(&mut result, &all, &ranks, rules);
        result
    }

    fn prune_prefixes(
        &self,
        result: &mut KindRollup,
        weights: &[Values],
        ranks: &[u32],
        rules: &Rules,
    ) {
        let all = weights.first().copied().unwrap_or_default();
        let mut counts = vec![0_usize; self.prefixes.len()];
        for (prefix, _) in self.cells.keys() {
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
        // Where each goes: prefixes come after their callers.
        let mut tree = Self::new();
        let mut places = vec![0_u32; self.prefixes.len()];
        let mut is_rest = vec![false; self.prefixes.len()];
        for (at, prefix) in self.prefixes.iter().enumerate().skip(1) {
            let parent = prefix.parent as usize;
            let kept = is_kept(at, share);
            is_rest[at] = !kept;
            places[at] = match (kept, is_rest[parent]) {
                (true, _) => tree.child(places[parent], prefix.frame),
                (false, false) => tree.child(places[parent], 0),
                (false, true) => places[parent],
            };
        }
        for (&(prefix, series), (own, profiles)) in &self.cells {
            let key = (places[prefix as usize], ranks[series as usize]);
            let (sum, count) = tree.cells.entry(key).or_default();
            add(sum, own);
            *count = (*count).max(*profiles);
        }
        tree.write(result);
    }

    /// Writes prefixes in preorder, callees in order of their frames.
    fn write(self, result: &mut KindRollup) {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.prefixes.len()];
        for (at, prefix) in self.prefixes.iter().enumerate().skip(1) {
            children[prefix.parent as usize].push(at as u32);
        }
        let mut ranks = vec![0_u32; self.prefixes.len()];
        let mut work: Vec<u32> = std::mem::take(&mut children[0]);
        while let Some(at) = work.pop() {
            let Prefix { parent, frame } = self.prefixes[at as usize];
            ranks[at as usize] = result.prefixes.len() as u32;
            result.prefixes.push(Prefix { parent: ranks[parent as usize], frame });
            work.append(&mut children[at as usize]);
        }
        let cells = self.cells.into_iter();
        let cells = cells.map(|((prefix, series), (own, profiles))| {
            let prefix = ranks[prefix as usize];
            PrefixCell { prefix, series, own: stored(&own), profiles }
        });
        result.cells = cells.collect();
        result.cells.sort_unstable_by_key(|cell| (cell.prefix, cell.series));
    }

    fn prune_functions(self, result: &mut KindRollup, all: &Values, ranks: &[u32], rules: &Rules) {
        let weight = |frame: u32| self.function_weights.get(&frame).copied().unwrap_or_default();
        let is_kept = |frame: u32, share| frame != 0 && Rules::keeps(share, &weight(frame), all);
        let kept =
            |share| self.functions.keys().filter(|(frame, _)| is_kept(*frame, share)).count();
        let share = fitting(rules.function_share, rules.cells_max, kept);
        let functions = self.functions.iter().filter(|((frame, _), _)| is_kept(*frame, share));
        let functions = functions.map(|(&(frame, series), of)| FunctionCell {
            frame,
            series: ranks[series as usize],
            own: stored(&of.own),
            total: stored(&of.total),
            profiles: of.profiles,
        });
        result.functions = functions.collect();
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
