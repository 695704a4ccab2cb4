//! What is added up of a service and kind, series by series.

use profile::{KeyedMap, Labels};
use std::sync::Arc;
use views::rollup::{SeriesRollup, Values, add};

/// Things by place, each once and in order.
pub(crate) type Sorted<T> = Vec<(u32, T)>;

/// Adds rows that are in order, too. The sort finds two runs and merges them.
pub(crate) fn add_all<T>(
    to: &mut Sorted<T>,
    more: impl IntoIterator<Item = (u32, T)>,
    add: impl Fn(&mut T, &T),
) {
    to.extend(more);
    to.sort_by_key(|(place, _)| *place);
    to.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            add(&mut kept.1, &next.1);
        }
        is_same
    });
}

/// Sums of a series.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Profiles by prefix: of each prefix, and so of each that it begins with.
    pub(crate) profiles: Sorted<u64>,
    /// Values of stacks that end at a prefix, where they are not zero.
    pub(crate) own: Sorted<Values>,
    /// Profiles by frame.
    pub(crate) functions: Sorted<u64>,
}

impl Sums {
    pub(crate) fn add(&mut self, more: Self) {
        add_all(&mut self.profiles, more.profiles, |sum, count| *sum += count);
        add_all(&mut self.own, more.own, add);
        add_all(&mut self.functions, more.functions, |sum, count| *sum += count);
    }
}

/// The series of a service and kind.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) rows: Vec<SeriesRollup>,
    index: KeyedMap<Arc<Labels>, u32>,
}

impl Series {
    /// The position of one.
    pub(crate) fn of(&mut self, labels: &Arc<Labels>) -> u32 {
        if let Some(&at) = self.index.get(labels) {
            return at;
        }
        let at = self.rows.len() as u32;
        self.rows.push(SeriesRollup { labels: Arc::clone(labels), ..SeriesRollup::default() });
        self.index.insert(Arc::clone(labels), at);
        at
    }

    /// The position of one to which another is added.
    pub(crate) fn merge(&mut self, row: &SeriesRollup) -> u32 {
        let at = self.of(&row.labels);
        let series = &mut self.rows[at as usize];
        series.samples += row.samples;
        series.covered_ms += row.covered_ms;
        add(&mut series.totals, &row.totals);
        series.all.add(&row.all);
        series.continued.add(&row.continued);
        at
    }
}

/// What is added up of a service and kind; prefixes are the hour's.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) series: Series,
    /// By series.
    pub(crate) sums: Vec<Sums>,
}

impl Part {
    /// Adds to a series; gives how many prefixes it has more than before.
    pub(crate) fn add(&mut self, series: u32, more: Sums) -> usize {
        let at = series as usize;
        if at >= self.sums.len() {
            self.sums.resize_with(at + 1, Sums::default);
        }
        let before = self.sums[at].profiles.len();
        self.sums[at].add(more);
        self.sums[at].profiles.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_place_are_added_and_stay_in_order() {
        let mut rows = vec![(1, 10), (4, 40)];
        add_all(&mut rows, [(0, 1), (4, 2), (9, 3)], |sum, more| *sum += more);
        assert_eq!(rows, [(0, 1), (1, 10), (4, 42), (9, 3)]);
    }

    #[test]
    fn only_new_prefixes_are_counted_as_more() {
        let of = |places: [u32; 2]| Sums {
            profiles: places.map(|place| (place, 1)).to_vec(),
            ..Sums::default()
        };
        let mut part = Part::default();
        assert_eq!(part.add(3, of([0, 5])), 2);
        assert_eq!(part.add(3, of([0, 6])), 1);
        assert_eq!(part.sums[3].profiles, [(0, 2), (5, 1), (6, 1)]);
    }
}
