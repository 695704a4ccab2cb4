//! Captured uploads of Datadog's libraries: each is sent to the server's own port for them byte for
//! byte, and what the server then says of it is compared with the truth.
//!
//! An item holds the requests as they came (`requests/NNNN.head`, `.body`, and `.wire` where the body
//! was chunked) and for each profile part what other tools computed. Every request is sent a second
//! time without asking for a compressed answer: its receipt names the profiles of the first.

use super::check::{Checker, Scope};
use super::items::Item;
use super::jfr::{self, JfrFile};
use super::truth::{TypeTruth, type_truths};
use crate::http::{replay, without_header};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// What the request line of an upload begins with.
const UPLOAD: &[u8] = b"POST /profiling/v1/input ";
/// Labels and the tags that they are.
const LABELS: [(&str, &str); 5] = [
    ("service_name", "service"),
    ("env", "env"),
    ("version", "version"),
    ("host", "host"),
    ("instance", "runtime-id"),
];

/// A captured upload and its truth.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) name: String,
    head: Vec<u8>,
    /// As it went over the wire.
    body: Vec<u8>,
    event: Value,
    parts: Vec<Part>,
}

/// A part that holds a profile.
#[derive(Debug)]
enum Part {
    Pprof { name: String, types: Vec<TypeTruth> },
    Jfr(JfrFile),
}

/// The captured uploads of an item.
pub(crate) fn captures(item: &Item) -> anyhow::Result<Vec<Capture>> {
    let text = std::fs::read_to_string(item.dir.join("truth.json"))?;
    let truth: Value = serde_json::from_str(&text).context("truth.json is no JSON")?;
    let mut recordings = jfr::files_with_truth(item)?;
    let mut found = Vec::new();
    for upload in truth["profiles"].as_array().into_iter().flatten() {
        let Some(number) = upload["n"].as_u64() else { continue };
        let requests = item.dir.join("requests");
        let name = format!("{number:04}");
        let Ok(head) = std::fs::read(requests.join(format!("{name}.head"))) else { continue };
        if !head.starts_with(UPLOAD) {
            continue;
        }
        let listed = upload["parts"].as_array().map_or(&[][..], Vec::as_slice);
        let event = listed.iter().find_map(|part| part.get("event")).cloned().unwrap_or_default();
        let mut parts = Vec::new();
        for part in listed {
            let file = part["file"].as_str().unwrap_or_default().replacen('/', "_", 1);
            if let Some(types) = part["truth"].get("summary").and_then(type_truths) {
                let name = part["filename"].as_str().unwrap_or_default().to_owned();
                parts.push(Part::Pprof { name, types });
            } else if let Some(at) = recordings.iter().position(|one| one.name == file) {
                parts.push(Part::Jfr(recordings.remove(at)));
            }
        }
        let body = sent(&requests, &name)?;
        found.push(Capture { name: format!("requests/{name}"), head, body, event, parts });
    }
    Ok(found)
}

/// The body of a request as it went over the wire.
pub(super) fn sent(requests: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let wire = requests.join(format!("{name}.wire"));
    let body = requests.join(format!("{name}.body"));
    let path = if wire.is_file() { wire } else { body };
    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
}

impl Capture {
    /// What differs; empty when nothing does.
    pub(crate) fn check(&self, checker: &mut Checker, address: &str) -> Vec<String> {
        self.compare(checker, address).unwrap_or_else(|error| vec![format!("{error:#}")])
    }

    fn compare(&self, checker: &mut Checker, address: &str) -> anyhow::Result<Vec<String>> {
        checker.count_upload();
        let (status, _) = replay(address, &self.head, &self.body)?;
        ensure!(status == 200, "the upload is answered with {status}");
        let uncompressed = without_header(&self.head, "accept-encoding");
        let (status, receipt) = replay(address, &uncompressed, &self.body)?;
        ensure!(status == 200, "the repeated upload is answered with {status}");
        let receipt: Value = serde_json::from_slice(&receipt).context("the receipt is no JSON")?;
        let profiles = receipt["profiles"].as_array().context("the receipt lists no profiles")?;
        if profiles.len() != self.parts.len() {
            bail!("{} profiles stored, truth {}", profiles.len(), self.parts.len());
        }
        let mut problems = Vec::new();
        for (profile, part) in profiles.iter().zip(&self.parts) {
            if profile["duplicate"] != true {
                problems.push("the same upload is counted twice".to_owned());
            }
            problems.extend(self.compare_series(checker, profile)?);
            let id = profile["id"].as_str().context("a profile without its id")?;
            let one = serde_json::json!({ "profiles": [profile] });
            let scope = Scope::Profile(id.to_owned());
            match part {
                Part::Jfr(file) => problems.extend(file.compare(checker, &scope, &one)?),
                Part::Pprof { name, types } => {
                    let found = checker.compare_types(types, &scope, &one)?;
                    problems.extend(found.into_iter().map(|text| format!("{name}: {text}")));
                }
            }
        }
        Ok(problems)
    }

    /// Labels, window and endpoint counts.
    fn compare_series(&self, checker: &Checker, profile: &Value) -> anyhow::Result<Vec<String>> {
        let mut problems = Vec::new();
        let labels = &profile["labels"];
        let tags = self.event["tags_profiler"].as_str().unwrap_or_default();
        let tag = |name: &str| {
            tags.split(',').find_map(|tag| tag.split_once(':').filter(|(have, _)| *have == name))
        };
        for (label, name) in LABELS {
            let (have, wanted) = (labels[label].as_str(), tag(name).map(|(_, value)| value));
            if have != wanted {
                problems.push(format!("label {label} is {have:?}, tag {name} {wanted:?}"));
            }
        }
        if labels["source"] != "ddtrace" {
            problems.push(format!("label source is {}", labels["source"]));
        }
        let id = profile["id"].as_str().context("a profile without its id")?;
        let detail = checker.detail(id)?;
        let counts = detail["info"]["endpoint_counts"].as_str().unwrap_or("null");
        let counts: Value = serde_json::from_str(counts).context("endpoint_counts is no JSON")?;
        if counts != self.event["endpoint_counts"] {
            problems.push(format!("endpoint counts are {counts}"));
        }
        for (edge, key) in [("start", "start_ms"), ("end", "end_ms")] {
            let millis = profile[key].as_i64().context("a profile without its window")?;
            let wanted = self.event[edge].as_str().unwrap_or_default();
            if !is_same_second(wanted, millis) {
                problems.push(format!("the {edge} is {millis} ms, the event's {wanted}"));
            }
        }
        Ok(problems)
    }
}

/// Whether a time of RFC 3339 in UTC has the minutes, seconds and milliseconds of a time in
/// milliseconds since the epoch.
fn is_same_second(text: &str, millis: i64) -> bool {
    let Some((_, time)) = text.trim_end_matches('Z').split_once('T') else { return false };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let in_hour = millis.rem_euclid(86_400_000);
    let (seconds, millis) = (in_hour / 1000, in_hour % 1000);
    let wanted = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    clock == wanted && format!("{fraction:0<3}")[..3] == format!("{millis:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_events_are_compared_to_the_millisecond() {
        let millis = 1_795_188_647_491;
        assert!(is_same_second("2026-11-20T15:30:47.491437807Z", millis));
        assert!(!is_same_second("2026-11-20T15:30:47.492Z", millis));
        assert!(is_same_second("2026-11-20T15:30:47Z", millis - 491));
        assert!(!is_same_second("", millis));
    }
}
