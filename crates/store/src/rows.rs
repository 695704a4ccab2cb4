//! Rows as the store holds them between a profile and a table.

use profile::{Labels, Metadata, VALUES_MAX};
use std::sync::Arc;
use stdx::{TimeRange, Timestamp, Ulid};
use views::KindTotals;

/// Ordinal that stands for "none" in a [`Row`].
pub(crate) const NONE: u32 = u32::MAX;

/// One event with the ordinals of its part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) ts_ms: i64,
    pub(crate) values: [i64; VALUES_MAX],
    pub(crate) kind: u32,
    pub(crate) series: u32,
    pub(crate) profile: u32,
    pub(crate) stack: u32,
    pub(crate) thread: u32,
    pub(crate) link: u32,
    pub(crate) attributes: u32,
    /// Nanoseconds below the millisecond; negative when not kept.
    pub(crate) rest_ns: i32,
    pub(crate) timed: bool,
}

/// Samples of one kind and series that follow each other in a segment, by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The kind's id.
    pub kind: Arc<str>,
    /// The series in the part.
    pub series: u32,
    /// Rows of the samples' file.
    pub rows: std::ops::Range<u64>,
}

/// What a profile holds of one kind within [`SLICE_MS`](crate::limits::SLICE_MS) of the clock: a chart
/// whose steps are made of whole slices needs no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its start, a multiple of [`SLICE_MS`](crate::limits::SLICE_MS).
    pub start_ms: i64,
    /// Exact sums of the kind's measures.
    pub totals: [i64; VALUES_MAX],
}

/// Slices of each of a profile's kinds, by time.
pub type Slices = Arc<[Box<[Slice]>]>;

/// One profile without its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRow {
    /// Position in its part: the value of the samples' column `profile`.
    pub ordinal: u32,
    /// Its id, given when it was appended.
    pub id: Ulid,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Its series in the part: the value of the samples' column `series`.
    pub series: u32,
    /// Labels of the series.
    pub labels: Arc<Labels>,
    /// The time it covers, within the years that can be stored.
    pub window: TimeRange,
    /// When it was appended.
    pub received_at: Timestamp,
    /// Number of samples.
    pub samples: u64,
    /// Totals by kind, in order of kind id; times are rounded down to milliseconds.
    pub kinds: Arc<[KindTotals]>,
    /// Those of each kind cut at the clock: none of a kind that is within one slice, nor where they
    /// would be many beside the samples. Empty when no kind has any.
    pub slices: Slices,
    /// What else is known.
    pub metadata: Arc<Metadata>,
}

impl ProfileRow {
    /// Whether a deletion hides it: the row keeps its place in its part and is nobody's.
    pub fn is_hidden(&self) -> bool {
        self.tenant.is_empty()
    }

    /// The slices of the kind at a position of `kinds`, by time; none where they are not kept.
    pub fn slices_of(&self, kind: usize) -> &[Slice] {
        self.slices.get(kind).map_or(&[], |slices| slices)
    }

    /// It with some of its kinds.
    pub(crate) fn with_kinds(self, kept: &[usize]) -> Self {
        if kept.len() == self.kinds.len() {
            return self;
        }
        let kinds: Arc<[KindTotals]> = kept.iter().map(|&at| self.kinds[at].clone()).collect();
        let slices = kept.iter().filter_map(|&at| self.slices.get(at).cloned()).collect();
        let samples = kinds.iter().map(|kind| kind.samples).sum();
        Self { samples, kinds, slices, ..self }
    }

    /// First and last time of anything in it, both inclusive, in nanoseconds.
    pub(crate) fn time_bounds(&self) -> (i64, i64) {
        let start = Timestamp::from_millis(self.window.start.millis()).nanos();
        let kinds = self.kinds.iter();
        let first = kinds.clone().map(|kind| kind.first.nanos()).min().unwrap_or(start);
        let last = kinds.map(|kind| kind.last.nanos()).max().unwrap_or(start);
        (first.min(start), last.max(self.window.end.nanos()))
    }

    /// Estimated bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let info = self.metadata.info.iter().map(|(k, v)| k.len() + v.len() + 48);
        let slices = self.slices.iter().map(|slices| 16 + size_of_val::<[Slice]>(slices));
        let kinds = self.kinds.len() * 120 + slices.sum::<usize>();
        440 + kinds + self.metadata.client.len() + info.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_with_some_of_its_kinds_keeps_their_slices() {
        let at = Timestamp::from_millis(0);
        let kind = |kind: &str, samples| KindTotals {
            kind: kind.into(),
            samples,
            totals: [0; VALUES_MAX],
            first: at,
            last: at,
        };
        let slice = |start_ms| Slice { start_ms, totals: [1; VALUES_MAX] };
        let row = ProfileRow {
            ordinal: 0,
            id: Ulid::nil(),
            tenant: "t".into(),
            series: 0,
            labels: Arc::default(),
            window: TimeRange::new(at, at),
            received_at: at,
            samples: 12,
            kinds: [kind("heap", 5), kind("stack", 7)].into(),
            slices: [Box::default(), Box::from([slice(0), slice(10_000)])].into(),
            metadata: Arc::default(),
        };
        let kept = row.clone().with_kinds(&[1]);
        assert_eq!((kept.samples, &*kept.kinds), (7, &row.kinds[1..]));
        assert_eq!(kept.slices_of(0), row.slices_of(1));
        assert_eq!(row.clone().with_kinds(&[0]).slices_of(0), []);
        assert_eq!(row.clone().with_kinds(&[0, 1]), row);
    }
}
