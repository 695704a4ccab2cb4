//! Profiles in foreign formats.

use profile::Profile;

/// A profile as gzip pprof.
pub fn pprof(profile: &Profile) -> Vec<u8> {
    formats::pprof::encode_gzip(profile)
}
