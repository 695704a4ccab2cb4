//! Uploads that are kept as they came: which are, and how a profile names the one it was made of.

use crate::limits::{TIME_NANOS_MAX, TIME_NANOS_MIN};
use bytes::Bytes;
use profile::labels::names::SERVICE;
use profile::{Metadata, Profile};
use std::collections::BTreeSet;
use std::time::Duration;
use stdx::{Timestamp, Ulid};

/// Name of the information by which a profile names its payload. What comes from outside under this
/// name is removed.
pub const PAYLOAD_INFO: &str = "vesta.payload";

/// Uploads with this in them are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadRule {
    /// Whose; everybody's when not said.
    pub tenant: Option<String>,
    /// Of which service; `*` stands for any text.
    pub service: String,
    /// How long after they came.
    pub keep: Duration,
    /// Bytes of all that this rule keeps; the oldest go first.
    pub bytes_max: u64,
}

impl PayloadRule {
    pub(crate) fn names(&self, tenant: &str, services: &[String]) -> bool {
        let is_its = self.tenant.as_deref().is_none_or(|wanted| wanted == tenant);
        is_its && services.iter().any(|service| fits(&self.service, service))
    }
}

/// Whether a text is of the form of a pattern in which `*` stands for any text. Takes time in
/// proportion to both lengths, whatever they hold.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// An upload as it came, to be kept beside its profiles.
#[derive(Clone, Debug)]
pub struct NewPayload {
    /// What came beside the body and is needed to read it again; the store does not look into it.
    pub request: String,
    /// The untouched body.
    pub body: Bytes,
    /// When it came.
    pub received_at: Timestamp,
}

/// Which payload a profile was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The payload.
    pub(crate) payload: Ulid,
    /// Which of its profiles, from 0.
    pub(crate) at: u32,
    /// A hash of the profile as it was read from it.
    pub(crate) digest: u128,
}

impl Origin {
    /// What a profile says.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        let (_, text) = metadata.info.iter().find(|(name, _)| name == PAYLOAD_INFO)?;
        let mut words = text.split(' ');
        let payload = Ulid::from_string(words.next()?).ok()?;
        let at = words.next()?.parse().ok()?;
        let digest = u128::from_str_radix(words.next()?, 16).ok()?;
        Some(Self { payload, at, digest })
    }

    /// Writes it into a profile.
    pub(crate) fn mark(self, metadata: &mut Metadata) {
        let text = format!("{} {} {:032x}", self.payload, self.at, self.digest);
        metadata.info.push((PAYLOAD_INFO.to_owned(), text));
    }
}

/// The payload that a profile was made of, as its information says; whether it is still kept, the
/// store knows.
pub fn payload_of(metadata: &Metadata) -> Option<Ulid> {
    Origin::of(metadata).map(|origin| origin.payload)
}

/// Removes what only the store may say.
pub fn unmark(metadata: &mut Metadata) {
    metadata.info.retain(|(name, _)| name != PAYLOAD_INFO);
}

/// The services of profiles, sorted.
pub(crate) fn services_of(profiles: &[Profile]) -> Vec<String> {
    let all = profiles.iter().map(|profile| profile.labels.get(SERVICE).unwrap_or(""));
    all.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// First and last time of anything in profiles, as the store keeps it: nanoseconds, rounded outwards.
pub(crate) fn bounds_of(profiles: &[Profile]) -> (i64, i64) {
    const MILLISECOND: i64 = 1_000_000;
    let times = profiles.iter().flat_map(|profile| {
        let window = [profile.window.start, profile.window.end];
        profile.samples.iter().filter_map(|sample| sample.time).chain(window)
    });
    let times = times.map(|time| time.nanos().clamp(TIME_NANOS_MIN, TIME_NANOS_MAX));
    let (first, last) =
        times.fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(time), last.max(time)));
    let first = first.div_euclid(MILLISECOND) * MILLISECOND;
    (first, last.saturating_add(MILLISECOND).max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_services() {
        for (pattern, text, is_meant) in [
            ("shop", "shop", true),
            ("shop", "shop-2", false),
            ("shop*", "shop-2", true),
            ("*", "", true),
            ("*-prod", "shop-prod", true),
            ("*-prod", "shop-prod-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "shop", false),
        ] {
            assert_eq!(fits(pattern, text), is_meant, "{pattern} {text}");
        }
        let (pattern, text) = ("a*".repeat(500) + "b", "a".repeat(100_000));
        assert!(!fits(&pattern, &text), "and takes no long time");
    }

    #[test]
    fn a_profile_names_its_payload_and_nobody_else_does_that() {
        let origin = Origin { payload: Ulid::from(7 << 40), at: 3, digest: 0xab };
        let mut metadata = Metadata::default();
        metadata.info.push((PAYLOAD_INFO.to_owned(), "made up".to_owned()));
        assert_eq!(Origin::of(&metadata), None);
        unmark(&mut metadata);
        origin.mark(&mut metadata);
        assert_eq!(Origin::of(&metadata), Some(origin));
        assert_eq!(payload_of(&metadata), Some(origin.payload));
    }
}
