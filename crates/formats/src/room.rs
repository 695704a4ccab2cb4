//! What is left for further profiles of one request: all of them together may cost what one payload
//! may.

use crate::decoded::{Decoded, Options};
use crate::limits::PROFILE_WORK_BYTES_MIN;

/// What is left.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    samples: usize,
    request_bytes: usize,
}

impl Room {
    /// All of it, for a request of so many bytes.
    pub(crate) fn new(options: &Options, request_bytes: usize) -> Self {
        let limits = options.limits;
        Self { bytes: limits.decompressed_bytes_max, samples: limits.samples_max, request_bytes }
    }

    /// Sets the limits of the next profile, which has so many bytes of the request.
    pub(crate) fn limit(&self, options: &mut Options, bytes: usize) {
        let limits = &mut options.limits;
        limits.decompressed_bytes_max = self.bytes;
        limits.samples_max = self.samples;
        let share = bytes as f64 / self.request_bytes.max(1) as f64;
        let work = (limits.work_bytes_max as f64 * share) as usize;
        limits.work_bytes_max = work.max(PROFILE_WORK_BYTES_MIN).min(limits.work_bytes_max);
    }

    /// What a profile took.
    pub(crate) fn take(&mut self, plain_bytes: usize, decoded: &Decoded) {
        let samples: usize = decoded.profiles.iter().map(|one| one.profile.samples.len()).sum();
        self.bytes = self.bytes.saturating_sub(plain_bytes);
        self.samples = self.samples.saturating_sub(samples);
    }
}
