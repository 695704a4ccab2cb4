//! What the numbers of fields mean in each of the published layouts.

/// A layout of `v1development`. They follow one another under one path and one package name; what
/// a message is written in has to be told from its fields (`tell`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// v1.4 and v1.5: each profile holds its own tables.
    V1_5,
    /// v1.7: one dictionary; a sample's stack is a range of its profile's locations.
    V1_7,
    /// v1.8: a table of stacks.
    V1_8,
    /// v1.9: as v1.8 but for the last fields of a profile.
    V1_9,
    /// v1.10 and v1.11: the fields of a sample have other numbers.
    V1_10,
}

/// A field of a `Profile` that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfilePart {
    SampleType,
    Start,
    Duration,
    PeriodType,
    Period,
    Attributes,
    /// Up to v1.7.
    Locations,
}

/// A field of a `Sample`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SamplePart {
    Stack,
    /// Up to v1.7: where the stack begins in its profile's locations, and how deep it is.
    First,
    Depth,
    Values,
    Attributes,
    Link,
    Times,
}

impl Layout {
    /// Whether stacks are ranges, and 0 is an index as others are.
    pub(super) fn is_old(self) -> bool {
        matches!(self, Self::V1_5 | Self::V1_7)
    }

    #[inline]
    pub(super) fn profile_part(self, number: u32) -> Option<ProfilePart> {
        use ProfilePart::{Attributes, Duration, Locations, Period, PeriodType, SampleType, Start};
        let part = match (self, number) {
            (_, 1) => SampleType,
            (Self::V1_5, 5) | (Self::V1_7, 3) => Locations,
            (Self::V1_5, 11) | (Self::V1_7, 4) => Start,
            (Self::V1_5, 12) | (Self::V1_7, 5) => Duration,
            (Self::V1_5, 13) | (Self::V1_7, 6) => PeriodType,
            (Self::V1_5, 14) | (Self::V1_7, 7) => Period,
            (Self::V1_5, 22) | (Self::V1_7, 14) => Attributes,
            (Self::V1_5 | Self::V1_7, _) => return None,
            (_, 3) => Start,
            (_, 4) => Duration,
            (_, 5) => PeriodType,
            (_, 6) => Period,
            (Self::V1_8, 12) | (Self::V1_9 | Self::V1_10, 11) => Attributes,
            _ => return None,
        };
        Some(part)
    }

    #[inline]
    pub(super) fn sample_part(self, number: u32) -> Option<SamplePart> {
        use SamplePart::{Attributes, Depth, First, Link, Stack, Times, Values};
        let parts = match self {
            Self::V1_10 => &[Stack, Attributes, Link, Values, Times][..],
            Self::V1_8 | Self::V1_9 => &[Stack, Values, Attributes, Link, Times][..],
            Self::V1_5 | Self::V1_7 => &[First, Depth, Values, Attributes, Link, Times][..],
        };
        parts.get((number as usize).wrapping_sub(1)).copied()
    }

    /// The field of a `Location` that refers to attributes.
    pub(super) fn location_attributes(self) -> u32 {
        if self.is_old() { 5 } else { 4 }
    }
}
