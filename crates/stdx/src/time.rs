//! Points in time and half-open ranges, in nanoseconds since the Unix epoch.

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest representable time.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable time.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the epoch, saturating.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time moved by `nanos`, saturating.
    #[must_use]
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// A half-open range `[start, end)` of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// Everything that can be stored.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// The range `[start, end)`; empty when `end <= start`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether the two ranges share an instant.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// This range with both ends rounded down to whole milliseconds.
    #[must_use]
    pub const fn whole_millis(&self) -> Self {
        Self::new(
            Timestamp::from_millis(self.start.millis()),
            Timestamp::from_millis(self.end.millis()),
        )
    }

    /// Length in nanoseconds, never negative.
    pub fn nanos(&self) -> i64 {
        self.end.nanos().saturating_sub(self.start.nanos()).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let range = TimeRange::new(Timestamp::from_millis(1), Timestamp::from_millis(2));
        assert!(range.contains(Timestamp::from_millis(1)));
        assert!(!range.contains(Timestamp::from_millis(2)));
        assert_eq!(range.nanos(), 1_000_000);
        assert_eq!(TimeRange::new(range.end, range.start).nanos(), 0);
    }

    #[test]
    fn milliseconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_nanos(-1).millis(), -1);
        assert_eq!(Timestamp::from_nanos(1_999_999).millis(), 1);
    }
}
