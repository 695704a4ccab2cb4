//! JFR: chunks written here, a recording of a known program, and everything damaged.

mod chunks;
mod contexts;
mod golden;
mod hostile;
pub(super) mod old;
mod runtime;
pub(super) mod writer;

use profile::{Profile, Sample};

/// A sample in words whose texts stand in plain quotes.
fn in_words(profile: &Profile, sample: &Sample) -> String {
    super::describe(profile, sample).replace('\\', "")
}
