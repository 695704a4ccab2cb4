//! Hourly rollups: what an hour's profiles of one service and kind come to, by function and by stack
//! prefix, small enough to be kept long after the samples are gone.
//!
//! [`naive`] is the specification; the store makes the same from its segments, which property tests
//! compare. A sample belongs to the hour of its own time, or of its profile's start where it has none.

pub mod naive;

use crate::{Frame, Quality};
use profile::{Labels, VALUES_MAX};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Length of an hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// Name of the frame that stands for callees too small to be kept.
pub const PRUNED: &str = "[pruned]";

/// Sums of a kind's measures.
pub type Values = [i128; VALUES_MAX];

/// What is kept of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A stack prefix is kept when it has at least one part in so many of some measure of its
    /// service and kind in the hour, all series together.
    pub prefix_share: u64,
    /// The same for functions.
    pub function_share: u64,
    /// Prefixes by series, and functions by series, of one service and kind. Where there would be
    /// more, shares are halved until there are not.
    pub cells_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { prefix_share: 1_000, function_share: 1_000, cells_max: 1 << 14 }
    }
}

impl Rules {
    /// Whether something of these weights is kept where all have `all`.
    pub fn keeps(share: u64, weights: &Values, all: &Values) -> bool {
        let large = |(weight, all): (&i128, &i128)| {
            *all > 0 && weight.saturating_mul(i128::from(share)) >= *all
        };
        weights.iter().zip(all).any(large)
    }
}

/// Adds values, saturating.
pub fn add(to: &mut Values, values: &Values) {
    for (sum, value) in to.iter_mut().zip(values) {
        *sum = sum.saturating_add(*value);
    }
}

/// Adds what values weigh, whatever their sign.
pub fn add_weight(to: &mut Values, values: &Values) {
    add(to, &values.map(i128::saturating_abs));
}

/// Profiles and what their collectors say of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of profiles.
    pub profiles: u64,
    /// Their quality, each whole.
    pub quality: Quality,
}

impl Counted {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.profiles += other.profiles;
        let (sum, more) = (&mut self.quality, &other.quality);
        sum.samples = sum.samples.saturating_add(more.samples);
        sum.lost = sum.lost.saturating_add(more.lost);
        sum.broken = sum.broken.saturating_add(more.broken);
        sum.unsymbolized = sum.unsymbolized.saturating_add(more.unsymbolized);
    }

    /// Takes others away that were added before.
    pub fn remove(&mut self, other: &Self) {
        self.profiles = self.profiles.saturating_sub(other.profiles);
        let (sum, less) = (&mut self.quality, &other.quality);
        sum.samples = sum.samples.saturating_sub(less.samples);
        sum.lost = sum.lost.saturating_sub(less.lost);
        sum.broken = sum.broken.saturating_sub(less.broken);
        sum.unsymbolized = sum.unsymbolized.saturating_sub(less.unsymbolized);
    }
}

/// A series in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesRollup {
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Samples of the kind in the hour.
    pub samples: u64,
    /// Their sums.
    pub totals: Values,
    /// Time that its profiles cover of the hour, each profile's added up, in milliseconds.
    pub covered_ms: u64,
    /// Profiles with samples of the kind in the hour.
    pub all: Counted,
    /// Of those, the ones that also have some in the hour before: they are counted once where both
    /// hours are asked for.
    pub continued: Counted,
}

/// A stack prefix: its caller's, and one frame more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Position of the caller's prefix, always an earlier one; the first is empty.
    pub parent: u32,
    /// Position of the frame.
    pub frame: u32,
}

/// What a series has at a stack prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixCell {
    /// Position of the prefix.
    pub prefix: u32,
    /// Position of the series.
    pub series: u32,
    /// Values of stacks that end here.
    pub own: Values,
    /// Profiles with a stack that begins like this. For what was pruned, the most of any of it.
    pub profiles: u64,
}

/// What a series has of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCell {
    /// Position of the frame.
    pub frame: u32,
    /// Position of the series.
    pub series: u32,
    /// Values of stacks that end in it.
    pub own: Values,
    /// Values of stacks that hold it, counted once each.
    pub total: Values,
    /// Profiles with a stack that holds it.
    pub profiles: u64,
}

/// An hour's profiles of one service and kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindRollup {
    /// The service; empty where the label is absent.
    pub service: String,
    /// The kind's id.
    pub kind: String,
    /// Its series, by labels.
    pub series: Vec<SeriesRollup>,
    /// Frames; the first is [`pruned_frame`]. Kinds of one hour share them.
    pub frames: Arc<Vec<Frame>>,
    /// Prefixes; the first is the empty one and its own parent.
    pub prefixes: Vec<Prefix>,
    /// By prefix and series.
    pub cells: Vec<PrefixCell>,
    /// By frame and series.
    pub functions: Vec<FunctionCell>,
}

/// The frame that stands for callees too small to be kept.
pub fn pruned_frame() -> Frame {
    Frame { name: PRUNED.into(), ..Frame::default() }
}

impl KindRollup {
    /// One without anything.
    pub fn new(service: &str, kind: &str) -> Self {
        Self {
            service: service.to_owned(),
            kind: kind.to_owned(),
            frames: Arc::new(vec![pruned_frame()]),
            prefixes: vec![Prefix::default()],
            ..Self::default()
        }
    }

    /// The same without positions, so that two can be compared.
    pub fn described(&self) -> Described {
        let labels = |series: u32| Labels::clone(&self.series[series as usize].labels);
        let mut paths: Vec<Vec<Frame>> = vec![Vec::new()];
        for prefix in self.prefixes.iter().skip(1) {
            let mut path = paths[prefix.parent as usize].clone();
            path.push(self.frames[prefix.frame as usize].clone());
            paths.push(path);
        }
        let prefix = |cell: &PrefixCell| {
            let path = paths[cell.prefix as usize].clone();
            ((path, labels(cell.series)), (cell.own, cell.profiles))
        };
        let function = |cell: &FunctionCell| {
            let frame = self.frames[cell.frame as usize].clone();
            ((frame, labels(cell.series)), (cell.own, cell.total, cell.profiles))
        };
        let series = self.series.iter().map(|row| (Labels::clone(&row.labels), row.clone()));
        Described {
            series: series.collect(),
            prefixes: self.cells.iter().map(prefix).collect(),
            functions: self.functions.iter().map(function).collect(),
        }
    }
}

/// A [`KindRollup`] written out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// Series by labels.
    pub series: BTreeMap<Labels, SeriesRollup>,
    /// Own values and profiles of each prefix, outermost frame first, and series.
    pub prefixes: BTreeMap<(Vec<Frame>, Labels), (Values, u64)>,
    /// Own values, totals and profiles of each function and series.
    pub functions: BTreeMap<(Frame, Labels), (Values, Values, u64)>,
}

/// What part of an answer came from rollups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollupUse {
    /// Hours answered from rollups.
    pub hours: u64,
    /// Start of the first of them, in epoch milliseconds.
    pub from_ms: i64,
    /// End of the last of them.
    pub to_ms: i64,
    /// Weight, in the answer's unit, of callees that were too small to be kept: it stands under
    /// [`PRUNED`].
    pub pruned: i64,
}
