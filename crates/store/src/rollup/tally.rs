//! What one series has, while its rows are read: by place, only of the places it touches.

/// A place's sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell<T> {
    pub(crate) value: T,
    /// Profiles that were counted.
    pub(crate) profiles: u64,
    /// The one that was counted last.
    last: Option<u32>,
}

impl<T> Cell<T> {
    /// Counts a profile, unless it was the one before; says whether it did.
    pub(crate) fn count(&mut self, profile: u32) -> bool {
        let is_new = self.last.replace(profile) != Some(profile);
        self.profiles += u64::from(is_new);
        is_new
    }
}

/// Cells by place.
#[derive(Debug)]
pub(crate) struct Tally<T> {
    /// By place, where its cell is, plus one.
    slots: Vec<u32>,
    cells: Vec<(u32, Cell<T>)>,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), cells: Vec::new() }
    }
}

impl<T: Default> Tally<T> {
    /// The cell of a place.
    pub(crate) fn cell(&mut self, place: u32) -> &mut Cell<T> {
        let at = place as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, 0);
        }
        if self.slots[at] == 0 {
            self.cells.push((place, Cell::default()));
            self.slots[at] = self.cells.len() as u32;
        }
        &mut self.cells[self.slots[at] as usize - 1].1
    }

    /// Takes all cells out, in the order in which they were touched first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, Cell<T>)> {
        let slots = &mut self.slots;
        self.cells.drain(..).inspect(|(place, _)| slots[*place as usize] = 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_counts_once_and_a_new_series_begins_with_nothing() {
        let mut tally: Tally<u64> = Tally::default();
        tally.cell(5).value += 2;
        let counted = [(5, 0), (5, 0), (3, 0), (5, 1)].map(|(at, of)| tally.cell(at).count(of));
        assert_eq!(counted, [true, false, true, true]);
        let all: Vec<_> = tally.drain().map(|(at, cell)| (at, cell.value, cell.profiles)).collect();
        assert_eq!(all, [(5, 2, 2), (3, 0, 1)]);
        assert!(tally.cell(5).count(1), "nothing is left of the one before");
    }
}
