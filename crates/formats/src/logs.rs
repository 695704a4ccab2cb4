//! Profiles that travel as OTLP logs, as Splunk's distributions of OpenTelemetry send them.
//!
//! Contract: `specification/semantic_conventions.md` of signalfx/gdi-specification, "Profiling
//! `ResourceLogs` Message". A record whose attribute `profiling.data.format` is
//! `pprof-gzip-base64` holds a pprof without sample types, each sample of which is an event. Other
//! records are logs: they are counted. Page: `docs/formats/splunk.md`.

mod record;

use crate::compress::decompress;
use crate::decoded::{Decoded, DecodedProfile, IssueKind, Issues, Options};
use crate::intern::Budget;
use crate::limits::{INFO_ENTRIES_MAX, LOG_PROFILES_MAX};
use crate::pprof::{Running, Untyped, decode_untyped};
use crate::room::Room;
use crate::traces::Form;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use record::Record;
use std::borrow::Cow;

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

const FORMAT: &str = "profiling.data.format";
const DATA: &str = "profiling.data.type";
const SOURCE: &str = "profiling.instrumentation.source";
const LANGUAGE: &str = "telemetry.sdk.language";
/// Information of a profile: what its record says of it.
const KEPT: [&str; 3] = [DATA, SOURCE, "profiling.data.total.frame.count"];
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an `ExportLogsServiceRequest` or `LogsData`, compressed or not. Attributes of a resource
/// stand in the labels of its profiles.
pub fn decode(bytes: &[u8], form: Form, options: &Options) -> Decoded {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut logs = Logs {
        options,
        issues,
        budget: Budget::new(options.limits),
        room: Room::new(options, body.len()),
        read: 0,
        profiles: Vec::new(),
        ignored: 0,
    };
    match form {
        Form::Protobuf => record::read_protobuf(&body, &mut logs),
        Form::Json => record::read_json(&body, &mut logs),
    }
    Decoded { ignored: logs.ignored, ..Decoded::new(logs.profiles, logs.issues) }
}

struct Logs<'o> {
    options: &'o Options,
    issues: Issues,
    /// Pays for the labels, which each profile of a resource takes over.
    budget: Budget,
    room: Room,
    read: usize,
    profiles: Vec<DecodedProfile>,
    ignored: u64,
}

impl Logs<'_> {
    fn record(&mut self, resource: &Pairs<'_>, record: &Record<'_>) {
        let Some(format) = record.attribute(FORMAT) else {
            self.ignored += 1;
            return;
        };
        if format != "pprof-gzip-base64" {
            self.ignored += 1;
            let format: String = format.chars().take(40).collect();
            return self.issues.add(IssueKind::NotKept, || {
                format!("profiles in the format {format:?} are not read: update the agent")
            });
        }
        let language = resource.iter().find(|(name, _)| name == LANGUAGE);
        let language = language.map(|(_, language)| &**language).unwrap_or_default();
        let Some(untyped) = meaning(record, language) else {
            self.ignored += 1;
            return self.issues.add(IssueKind::NotKept, || {
                format!("a profile is neither of cpu nor of allocation: see {DATA}")
            });
        };
        if self.read >= LOG_PROFILES_MAX {
            self.ignored += 1;
            return self.issues.add(IssueKind::Limit, || {
                format!("only the first {LOG_PROFILES_MAX} profiles of a request are read")
            });
        }
        self.read += 1;
        let Some(packed) = unpacked(&record.body) else {
            self.ignored += 1;
            return self
                .issues
                .add(IssueKind::Damage, || "the body of a profile is not base64".to_owned());
        };
        let mut options = self.options.clone();
        "splunk".clone_into(&mut options.family);
        self.room.limit(&mut options, record.body.len());
        let plain = decompress(&packed, &options.limits, &mut self.issues);
        let decoded = decode_untyped(&plain, untyped, &options);
        self.room.take(plain.len(), &decoded);
        self.issues.take_over(decoded.issues);
        for mut decoded in decoded.profiles {
            self.describe(resource, record, &mut decoded);
            self.profiles.push(decoded);
        }
    }

    fn describe(&mut self, resource: &Pairs<'_>, record: &Record<'_>, to: &mut DecodedProfile) {
        for (name, value) in resource.iter().take(INFO_ENTRIES_MAX) {
            if self.budget.text(name.len() + value.len(), &mut self.issues) {
                to.profile.labels.set(name.clone(), value.clone());
            }
        }
        for name in KEPT {
            let Some(value) = record.attribute(name) else { continue };
            if self.budget.text(name.len() + value.len(), &mut self.issues) {
                to.profile.metadata.info.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// What the samples of a record are; `None` where it says something unknown.
fn meaning(record: &Record<'_>, language: &str) -> Option<Untyped> {
    let is_snapshot = record.attribute(SOURCE) == Some("snapshot");
    Some(match (record.attribute(DATA)?, is_snapshot) {
        ("allocation", _) => Untyped::Allocations,
        ("cpu", true) => Untyped::Snapshots,
        ("cpu", false) => Untyped::Stacks(match language {
            "java" => Running::ByState,
            "node" | "nodejs" => Running::ByLeaf,
            // Stacks of all threads, whatever these do.
            _ => Running::Unknown,
        }),
        _ => return None,
    })
}

/// A body without base64, which none that is gzip has.
fn unpacked(body: &[u8]) -> Option<Cow<'_, [u8]>> {
    if body.starts_with(GZIP_MAGIC) {
        return Some(Cow::Borrowed(body));
    }
    BASE64.decode(body.trim_ascii()).ok().map(Cow::Owned)
}
