//! What Pyroscope's clients push: series of labels, each with profiles in files of their own.
//!
//! Contract: `push.v1.PushRequest` of grafana/pyroscope, in protobuf or in its JSON form. A profile
//! is pprof; raw, gzip and gzip within gzip occur. Page: `docs/formats/push.md`.

use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::{Budget, text};
use crate::limits::PUSH_PROFILES_MAX;
use crate::room::Room;
use std::borrow::Cow;
use wire::Message;
use wire::pyroscope::PushRequest;
use wire::scan::{Field, Value, fields};

/// The label that names what a profile is of, such as `process_cpu` or `mutex`.
const NAME: &[u8] = b"__name__";

/// Reads a request, compressed or not. The labels of a series stand in each of its profiles.
pub fn decode(bytes: &[u8], options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let plain = decompress(bytes, &options.limits, &mut issues);
    let plain = match protobuf(&plain) {
        Ok(plain) => plain,
        Err(error) => {
            issues.add(IssueKind::Damage, || format!("the request is no JSON message: {error}"));
            return Decoded::new(Vec::new(), issues);
        }
    };
    let mut push = Push {
        options,
        issues,
        budget: Budget::new(options.limits),
        room: Room::new(options, plain.len()),
        read: 0,
        profiles: Vec::new(),
    };
    let mut request = fields(&plain);
    for field in request.by_ref() {
        if let Field { number: 1, value: Value::Len(series) } = field {
            push.series(series);
        }
    }
    push.tell_damage(request.damage(), "the request");
    Decoded::new(push.profiles, push.issues)
}

/// JSON becomes protobuf, of which no message begins so.
fn protobuf(plain: &[u8]) -> Result<Cow<'_, [u8]>, serde_json::Error> {
    if plain.trim_ascii_start().first() != Some(&b'{') {
        return Ok(Cow::Borrowed(plain));
    }
    let request: PushRequest = serde_json::from_slice(plain)?;
    Ok(Cow::Owned(request.encode_to_vec()))
}

struct Push<'a> {
    options: &'a Options,
    issues: Issues,
    /// Pays for the labels, which each profile of a series takes over.
    budget: Budget,
    room: Room,
    read: usize,
    profiles: Vec<DecodedProfile>,
}

impl Push<'_> {
    fn series(&mut self, series: &[u8]) {
        let mut labels: Vec<(&[u8], &[u8])> = Vec::new();
        let mut parts = fields(series);
        for field in parts.by_ref() {
            let Field { number: 1, value: Value::Len(pair) } = field else { continue };
            if labels.len() >= self.options.limits.labels_per_sample_max {
                let max = self.options.limits.labels_per_sample_max;
                let example = || format!("only the first {max} labels of a series are kept");
                self.issues.add(IssueKind::Limit, example);
                continue;
            }
            let part = |number| {
                let found = fields(pair).filter(|field| field.number == number).last();
                found.and_then(|field| field.value.bytes()).unwrap_or_default()
            };
            labels.push((part(1), part(2)));
        }
        self.tell_damage(parts.damage(), "a series");
        for field in fields(series) {
            let Field { number: 2, value: Value::Len(sample) } = field else { continue };
            for field in fields(sample) {
                if let Field { number: 1, value: Value::Len(profile) } = field {
                    self.profile(&labels, profile);
                }
            }
        }
    }

    fn profile(&mut self, labels: &[(&[u8], &[u8])], bytes: &[u8]) {
        if self.read >= PUSH_PROFILES_MAX {
            let example =
                || format!("only the first {PUSH_PROFILES_MAX} profiles of a request are read");
            return self.issues.add(IssueKind::Limit, example);
        }
        self.read += 1;
        let name = labels.iter().find(|(name, _)| *name == NAME).map(|(_, value)| *value);
        let mut options = self.options.clone();
        options.family =
            name.map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        self.room.limit(&mut options, bytes.len());
        let plain = decompress(bytes, &options.limits, &mut self.issues);
        let decoded = crate::decode(&plain, &options);
        self.room.take(plain.len(), &decoded);
        self.issues.take_over(decoded.issues);
        for mut decoded in decoded.profiles {
            self.label(labels, &mut decoded);
            self.profiles.push(decoded);
        }
    }

    fn label(&mut self, labels: &[(&[u8], &[u8])], decoded: &mut DecodedProfile) {
        for (name, value) in labels {
            if name.is_empty() || !self.budget.text(name.len() + value.len(), &mut self.issues) {
                continue;
            }
            let name = text(name, &self.options.limits, &mut self.issues);
            let value = text(value, &self.options.limits, &mut self.issues);
            decoded.profile.labels.set(name, value);
        }
    }

    fn tell_damage(&mut self, damage: Option<wire::scan::Damage>, what: &str) {
        if let Some(damage) = damage {
            self.issues.add(IssueKind::Damage, || format!("{what} is damaged: {damage}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use profile::folded::from_folded;
    use wire::pyroscope::{LabelPair, RawProfileSeries, RawSample};

    fn pprof(text: &str) -> Vec<u8> {
        let mut profile = from_folded(text);
        profile.kinds = vec![profile::SampleKind::from_id("stack").expect("registered")];
        crate::pprof::encode(&profile)
    }

    fn series(name: &str, profiles: Vec<Vec<u8>>) -> RawProfileSeries {
        let pair = |name: &str, value: &str| LabelPair { name: name.into(), value: value.into() };
        let samples = profiles.into_iter();
        RawProfileSeries {
            labels: vec![pair("__name__", name), pair("service_name", "shop")],
            samples: samples.map(|raw_profile| RawSample { raw_profile, id: "x".into() }).collect(),
        }
    }

    fn totals(decoded: &Decoded) -> Vec<(String, i64)> {
        let total = |one: &DecodedProfile| {
            let name = one.profile.labels.get("__name__").unwrap_or_default().to_owned();
            assert_eq!(one.profile.labels.get("service_name"), Some("shop"));
            (name, one.profile.totals(profile::KindIndex(0))[0])
        };
        decoded.profiles.iter().map(total).collect()
    }

    fn request() -> PushRequest {
        let twice = crate::compress::gzip(&crate::compress::gzip(&pprof("a;b 7\n")));
        let first = series("process_cpu", vec![pprof("a;b 3\nc 4\n"), twice]);
        PushRequest { series: vec![first, series("memory", vec![pprof("d 5\n")])] }
    }

    #[test]
    fn every_profile_is_read_however_it_is_packed_and_carries_its_labels() {
        let wanted = [("process_cpu", 7), ("process_cpu", 7), ("memory", 5)];
        let wanted = wanted.map(|(name, total)| (name.to_owned(), total));
        let proto = request().encode_to_vec();
        let json = serde_json::to_vec(&request()).expect("JSON");
        for body in [crate::compress::gzip(&proto), proto, json] {
            let decoded = decode(&body, &Options::default());
            assert_eq!(decoded.issues, []);
            assert_eq!(totals(&decoded), wanted);
        }
    }

    #[test]
    fn damage_costs_what_is_damaged() {
        let proto = request().encode_to_vec();
        let decoded = decode(&proto[..proto.len() - 3], &Options::default());
        assert_eq!(totals(&decoded).len(), 2);
        assert!(!decoded.issues.is_empty());
        let decoded = decode(b"{\"series\":", &Options::default());
        assert!(decoded.profiles.is_empty() && decoded.issues.len() == 1);
    }

    #[test]
    fn all_profiles_together_cost_no_more_than_one_payload() {
        let profiles = vec![crate::compress::gzip(&vec![b'a'; 100_000]); 50];
        let body = PushRequest { series: vec![series("x", profiles)] }.encode_to_vec();
        let limits = Limits { decompressed_bytes_max: 300_000, ..Limits::default() };
        let decoded = decode(&body, &Options { limits, ..Options::default() });
        assert!(decoded.issues.iter().any(|issue| issue.kind == IssueKind::Limit));
        let labels = vec![LabelPair { name: "n".into(), value: "v".repeat(50_000) }];
        let samples = vec![RawSample { raw_profile: pprof("a 1\n"), id: String::new() }; 100];
        let body = PushRequest { series: vec![RawProfileSeries { labels, samples }] };
        let limits = Limits { text_bytes_max: 1 << 20, ..Limits::default() };
        let decoded = decode(&body.encode_to_vec(), &Options { limits, ..Options::default() });
        let text: usize = decoded
            .profiles
            .iter()
            .map(|one| one.profile.labels.get("n").unwrap_or_default().len())
            .sum();
        assert!(decoded.profiles.len() == 100 && text <= 1 << 20, "{text}");
    }
}
