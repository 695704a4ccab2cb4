//! What decoding gives: profiles and issues.

use crate::limits::Limits;
use profile::{KindIndex, Profile, ProfileTypeId};
use std::collections::BTreeMap;
use std::fmt;

/// How to decode.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// First part of the profile type ids of sample types that no kind is registered for;
    /// `mutex` and `block` also tell Go's two contention profiles apart.
    pub family: String,
    /// What the payload may cost.
    pub limits: Limits,
}

/// Everything that could be read from a payload.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The profiles.
    pub profiles: Vec<DecodedProfile>,
    /// What could not be read, or had to be changed; one entry a kind.
    pub issues: Vec<Issue>,
    /// Records of another sort, which hold no profile.
    pub ignored: u64,
}

/// One profile of a payload. Attributes of its resource stand unchanged in its labels.
#[derive(Clone, Debug, Default)]
pub struct DecodedProfile {
    /// The profile. Its window is `[0, 0)` where the payload says nothing of time, and empty where
    /// it says no duration.
    pub profile: Profile,
    /// What each sample type of the payload became, in the payload's order.
    pub type_map: Vec<MappedType>,
}

/// What a sample type of the payload became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedType {
    /// The payload's name for it.
    pub sample_type: String,
    /// The payload's unit.
    pub unit: String,
    /// The profile type it is shown as.
    pub profile_type: ProfileTypeId,
    /// Its kind in the profile.
    pub kind: KindIndex,
    /// Its position in the values of a sample.
    pub measure: usize,
}

/// Something that could not be read, or had to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What sort of issue.
    pub kind: IssueKind,
    /// How often it occurred.
    pub count: u64,
    /// The first occurrence in words.
    pub example: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.example)?;
        if self.count > 1 {
            write!(f, " (and {} more like it)", self.count - 1)?;
        }
        Ok(())
    }
}

/// Sorts of issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssueKind {
    /// The format was not recognised: nothing was read.
    UnknownFormat,
    /// Compressed data is damaged or cut off.
    Compression,
    /// A message is damaged or cut off.
    Damage,
    /// A reference to something that is not there.
    Reference,
    /// A sample has more or fewer values than there are sample types.
    ValueCount,
    /// An id that occurs twice.
    DuplicateId,
    /// A limit was hit.
    Limit,
    /// Text that is not UTF-8.
    Text,
    /// A line or value that has no meaning.
    Malformed,
    /// Events of types that are not kept.
    NotKept,
    /// What is kept may be something else than what was meant.
    Uncertain,
}

/// Collects issues, bounded by the number of their kinds.
#[derive(Debug, Default)]
pub(crate) struct Issues(BTreeMap<IssueKind, Issue>);

impl Issues {
    pub(crate) fn add(&mut self, kind: IssueKind, example: impl FnOnce() -> String) {
        let issue =
            self.0.entry(kind).or_insert_with(|| Issue { kind, count: 0, example: example() });
        issue.count += 1;
    }

    /// Adds what was found in a part.
    pub(crate) fn take_over(&mut self, more: Vec<Issue>) {
        for issue in more {
            let count = issue.count;
            self.0.entry(issue.kind).and_modify(|have| have.count += count).or_insert(issue);
        }
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|issue| issue.count).sum()
    }

    pub(crate) fn into_vec(self) -> Vec<Issue> {
        self.0.into_values().collect()
    }
}

impl Decoded {
    pub(crate) fn new(profiles: Vec<DecodedProfile>, issues: Issues) -> Self {
        Self { profiles, issues: issues.into_vec(), ignored: 0 }
    }

    /// With what was wrong before it was decoded.
    pub(crate) fn after(self, mut before: Issues) -> Self {
        before.take_over(self.issues);
        Self { ignored: self.ignored, ..Self::new(self.profiles, before) }
    }
}
