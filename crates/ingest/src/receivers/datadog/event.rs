//! `event.json` (version 4), and the form fields that older libraries send in its place.
//!
//! Nothing in it is required: what cannot be read is as if it were not there.

use crate::attime::rfc3339;
use crate::limits::{
    ENDPOINTS_MAX, EVENT_BYTES_MAX, INFO_TEXT_BYTES_MAX, LABELS_MAX, TAGS_BYTES_MAX, TAGS_MAX,
};
use crate::notes::Notes;
use crate::problem::Problem;
use profile::labels::names;
use serde_json::{Map, Value};
use stdx::Timestamp;

/// Who profiled what, when.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    /// Language of the library: `go`, `java`, `python`, `node`, …
    pub(super) family: String,
    pub(super) cpu_count: Option<u32>,
    tags: Vec<(String, String)>,
    info: Vec<(String, String)>,
}

/// The label that a tag becomes under another name.
const RENAMED: [(&str, &str); 2] = [("service", names::SERVICE), ("runtime-id", names::INSTANCE)];

/// Labels that are kept whatever else there is.
const FIRST: [&str; 6] =
    [names::SERVICE, names::ENV, names::VERSION, names::HOST, names::INSTANCE, names::RUNTIME];

/// Tags that change with each process or upload, or say nothing of a series. They are information of
/// the profile, as are those that begin with `_`.
const INFORMATION: [&str; 22] = [
    "agent_version",
    "format",
    "go_execution_traced",
    "language",
    "library_version",
    "number_of_cpu_cores",
    "pgo",
    "pid",
    "process_id",
    "profile_seq",
    "profiler_config",
    "profiler_version",
    "runtime_arch",
    "runtime_compiler",
    "runtime_engine",
    "runtime_os",
    "runtime_platform",
    "runtime_version",
    "snapshot",
    "tracer_version",
    "upload_seq",
    "vm_version",
];

impl Event {
    /// Of the part `event`.
    pub(super) fn from_json(bytes: &[u8], notes: &mut Notes) -> Result<Self, Problem> {
        let plain = formats::compress::plain(bytes, EVENT_BYTES_MAX).ok_or_else(|| {
            let detail =
                format!("the part `event` is damaged or larger than {EVENT_BYTES_MAX} bytes");
            Problem::bad_request(detail, "send event.json as Datadog's libraries do")
        })?;
        let value: Map<String, Value> = serde_json::from_slice(&plain).map_err(|error| {
            let detail = format!("the part `event` is no JSON object: {error}");
            Problem::bad_request(detail, "send event.json as Datadog's libraries do")
        })?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut event = Self { family: text("family").to_owned(), ..Self::default() };
        event.start = rfc3339(text("start"));
        event.end = rfc3339(text("end"));
        if event.start.is_none() {
            notes.add(|| {
                "the event has no start that can be read: the files' times are used".into()
            });
        }
        match value.get("tags_profiler") {
            Some(Value::String(tags)) => event.add_tags(tags),
            Some(Value::Array(tags)) => {
                tags.iter().filter_map(Value::as_str).for_each(|tag| event.add_tag(tag));
            }
            _ => {}
        }
        event.add_info("process_tags", text("process_tags"));
        event.add_endpoints(value.get("endpoint_counts").and_then(Value::as_object), notes);
        if let Some(about) = value.get("info").and_then(Value::as_object) {
            event.add_runtime(about);
        }
        Ok(event)
    }

    /// Of the fields of the older form: `tags[]` each, `recording-start`, `recording-end`.
    pub(super) fn from_fields(fields: &[(String, String)]) -> Self {
        let mut event = Self::default();
        for (name, text) in fields {
            match name.as_str() {
                "tags[]" => event.add_tag(text),
                "tags" | "tags_profiler" => event.add_tags(text),
                "recording-start" | "start" => event.start = rfc3339(text),
                "recording-end" | "end" => event.end = rfc3339(text),
                "family" => event.family.clone_from(text),
                "language" | "runtime" => {
                    event.add_tag(&format!("{name}:{text}"));
                }
                _ => {}
            }
        }
        if event.family.is_empty() {
            event.family = event.tag("language").unwrap_or_default().to_owned();
        }
        event
    }

    /// Tags of the agent that passed the upload on; the library's own win.
    pub(super) fn add_tags_of_agent(&mut self, tags: &str) {
        self.add_tags(&tags.replace("default_env:", "env:"));
    }

    fn add_tags(&mut self, tags: &str) {
        let end = (0..=tags.len().min(TAGS_BYTES_MAX)).rev().find(|at| tags.is_char_boundary(*at));
        tags[..end.unwrap_or(0)].split(',').for_each(|tag| self.add_tag(tag));
    }

    /// The first of each name counts.
    fn add_tag(&mut self, tag: &str) {
        let Some((name, value)) = tag.split_once(':') else { return };
        let (name, value) = (name.trim(), value.trim());
        let is_new = !name.is_empty() && !value.is_empty() && self.tag(name).is_none();
        if is_new && self.tags.len() < TAGS_MAX {
            self.tags.push((name.to_owned(), value.to_owned()));
        }
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    fn add_info(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.info.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Requests that ended within the window, by endpoint; the most frequent where there are many.
    fn add_endpoints(&mut self, counts: Option<&Map<String, Value>>, notes: &mut Notes) {
        let counts = counts.into_iter().flatten();
        let counts = counts.filter_map(|(name, count)| Some((name.as_str(), count.as_u64()?)));
        let mut counts: Vec<(&str, u64)> = counts.collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let all = counts.len();
        counts.truncate(ENDPOINTS_MAX);
        let mut text;
        loop {
            let map: Map<String, Value> =
                counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
            text = Value::Object(map).to_string();
            if text.len() <= INFO_TEXT_BYTES_MAX {
                break;
            }
            counts.truncate(counts.len() / 2);
        }
        if counts.len() < all {
            let kept = counts.len();
            notes.add(|| format!("{kept} of {all} endpoint counts are kept"));
        }
        if !counts.is_empty() {
            self.add_info("endpoint_counts", &text);
        }
    }

    /// `info`: one entry for each `section.name`, whole sections below that as JSON.
    fn add_runtime(&mut self, about: &Map<String, Value>) {
        let processors =
            about.get("runtime").and_then(|runtime| runtime.get("available_processors"));
        self.cpu_count = processors.and_then(Value::as_u64).and_then(|count| count.try_into().ok());
        for (section, values) in about {
            for (name, value) in values.as_object().into_iter().flatten() {
                let value = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                if value.len() <= INFO_TEXT_BYTES_MAX && self.info.len() < TAGS_MAX {
                    self.add_info(&format!("{section}.{name}"), &value);
                }
            }
        }
    }

    /// The library's name as it calls itself in its headers, and its version.
    pub(super) fn client(&self) -> String {
        let name = match self.family.as_str() {
            "python" => "dd-trace-py",
            "node" | "nodejs" | "javascript" => "dd-trace-js",
            "java" | "jvm" => "dd-trace-java",
            "go" => "dd-trace-go",
            "ruby" => "dd-trace-rb",
            "php" => "dd-trace-php",
            "dotnet" => "dd-trace-dotnet",
            other => other,
        };
        let version = self.tag("profiler_version").or(self.tag("library_version"));
        format!("{name} {}", version.unwrap_or_default()).trim().to_owned()
    }

    /// Everything that is information of the profiles.
    pub(super) fn info(&self) -> Vec<(String, String)> {
        let tags = self.tags.iter().filter(|(name, _)| is_information(name));
        let tags = tags.map(|(name, value)| (name.clone(), value.clone()));
        tags.chain(self.info.iter().cloned()).collect()
    }

    /// The labels; those that are too many become information.
    pub(super) fn labels(
        &self,
        source: &str,
        info: &mut Vec<(String, String)>,
        notes: &mut Notes,
    ) -> Vec<(String, String)> {
        // The first: a tag `source` says nothing of who collected the profile.
        let mut labels = vec![(names::SOURCE.to_owned(), source.to_owned())];
        if self.tag(names::RUNTIME).is_none() {
            let language = self.tag("language").unwrap_or(&self.family);
            labels.push((names::RUNTIME.to_owned(), language.to_owned()));
        }
        let tags = self.tags.iter().filter(|(name, _)| name != names::SOURCE);
        let mut tags: Vec<(&str, &str)> = tags
            .filter(|(name, _)| !is_information(name))
            .map(|(name, value)| {
                let renamed = RENAMED.iter().find(|(tag, _)| tag == name).map(|(_, label)| *label);
                (renamed.unwrap_or(name), value.as_str())
            })
            .collect();
        tags.sort_by_key(|(name, _)| !FIRST.contains(name));
        let room = LABELS_MAX - labels.len();
        if tags.len() > room {
            notes.add(|| format!("{} tags are no labels: there are too many", tags.len() - room));
        }
        for (at, (name, value)) in tags.into_iter().enumerate() {
            let to = if at < room { &mut labels } else { &mut *info };
            to.push((name.to_owned(), value.to_owned()));
        }
        labels
    }
}

fn is_information(tag: &str) -> bool {
    tag.starts_with('_') || INFORMATION.contains(&tag)
}
