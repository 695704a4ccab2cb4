//! The parts of an upload: the event, form fields of the older form, files.

use crate::limits::{
    FIELD_BYTES_MAX, FIELDS_MAX, METRICS_BYTES_MAX, METRICS_MAX, PART_NAME_BYTES_MAX, PARTS_MAX,
};
use crate::normalise::bounded;
use crate::problem::Problem;
use bytes::Bytes;
use multer::Field;
use serde_json::{Number, Value};

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) event: Option<Bytes>,
    /// Name and text.
    pub(super) fields: Vec<(String, String)>,
    pub(super) files: Vec<File>,
}

/// A file, compressed as it came.
#[derive(Debug)]
pub(super) struct File {
    /// Its file name, or that of the part.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Profile,
    Metrics,
    Other,
}

/// Reads all parts, in whatever order they come.
pub(super) async fn read(body: Bytes, boundary: &str) -> Result<Parts, Problem> {
    let unreadable = |error: multer::Error| {
        let hint = "send multipart/form-data as Datadog's libraries do";
        Problem::bad_request(format!("the multipart body could not be read: {error}"), hint)
    };
    let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut found = multer::Multipart::new(stream, boundary);
    let mut parts = Parts::default();
    while let Some(part) = found.next_field().await.map_err(unreadable)? {
        if parts.files.len() >= PARTS_MAX || parts.fields.len() >= FIELDS_MAX {
            let detail = format!(
                "the multipart body has {PARTS_MAX} files or {FIELDS_MAX} fields and then more"
            );
            return Err(Problem::bad_request(detail, "send fewer parts"));
        }
        let (name, file) = names(&part);
        let bytes = part.bytes().await.map_err(unreadable)?;
        if parts.event.is_none() && (name == "event" || file == "event.json") {
            parts.event = Some(bytes);
            continue;
        }
        let text = std::str::from_utf8(&bytes).ok();
        let text = text.filter(|text| file.is_empty() && text.len() <= FIELD_BYTES_MAX);
        match text {
            Some(text) if !name.contains(".json") => parts.fields.push((name, text.to_owned())),
            _ => {
                let name = if file.is_empty() { name } else { file };
                parts.files.push(File { name, bytes });
            }
        }
    }
    Ok(parts)
}

/// Names of the part and of its file; empty where there is none.
fn names(part: &Field<'_>) -> (String, String) {
    let text = |text: Option<&str>| bounded(text.unwrap_or_default(), PART_NAME_BYTES_MAX);
    (text(part.name()), text(part.file_name()))
}

impl File {
    pub(super) fn content(&self) -> Content {
        let is_execution_trace = self.has_extension("trace");
        match self.name.as_str() {
            "metrics.json" => Content::Metrics,
            "code-provenance" => Content::Other,
            _ if self.has_extension("json") || is_execution_trace => Content::Other,
            _ => Content::Profile,
        }
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case(extension))
    }

    /// What tells Go's two contention profiles apart, whose sample types have the same names.
    pub(super) fn family(&self) -> &'static str {
        match self.name.strip_prefix("delta-").unwrap_or(&self.name) {
            "mutex.pprof" => "mutex",
            "block.pprof" => "block",
            _ => "",
        }
    }

    /// Whether it is a profile of Go that counts since the process began.
    pub(super) fn is_cumulative(&self) -> bool {
        matches!(self.name.as_str(), "heap.pprof" | "mutex.pprof" | "block.pprof")
    }

    /// Numbers of `metrics.json`, which is an object or a list of pairs.
    pub(super) fn metrics(&self) -> Vec<(String, Number)> {
        let plain = formats::compress::plain(&self.bytes, METRICS_BYTES_MAX).unwrap_or_default();
        let pairs: Vec<(String, Value)> = match serde_json::from_slice(&plain) {
            Ok(Value::Object(object)) => object.into_iter().collect(),
            Ok(Value::Array(pairs)) => pairs.iter().filter_map(pair).collect(),
            _ => Vec::new(),
        };
        let numbers = pairs.into_iter().filter_map(|(name, value)| match value {
            Value::Number(number) => Some((bounded(&name, PART_NAME_BYTES_MAX), number)),
            _ => None,
        });
        numbers.take(METRICS_MAX).collect()
    }
}

fn pair(pair: &Value) -> Option<(String, Value)> {
    match pair.as_array()?.as_slice() {
        [Value::String(name), value] => Some((name.clone(), value.clone())),
        _ => None,
    }
}
