//! Nettrace: files written here in all forms, and everything damaged.

mod forms;
mod hostile;
mod meaning;
pub(super) mod writer;

use crate::{DecodedProfile, IssueKind, Options, decode};

/// The one profile of a file of which nothing is wrong but what is not kept.
fn read(bytes: &[u8]) -> DecodedProfile {
    let mut decoded = decode(bytes, &Options::default());
    decoded.issues.retain(|issue| issue.kind != IssueKind::NotKept);
    super::single(decoded)
}

/// Every sample in words whose texts stand in plain quotes.
fn in_words(decoded: &DecodedProfile) -> Vec<String> {
    let profile = &decoded.profile;
    let samples = profile.samples.iter();
    samples.map(|sample| super::describe(profile, sample).replace('\\', "")).collect()
}
