//! Datadog's libraries: `POST /profiling/v1/input` as to their agent, `/api/v2/profile` and
//! `/v1/input` as to the service itself. What the agent answers beside is in [`agent`].
//!
//! Contract: the uploaders of dd-trace-go, dd-trace-java, dd-trace-js and libdatadog. A multipart
//! body holds an [`event`] (who, when, tags) and files, in any order, of any name, compressed in any
//! way. Files that hold profiles become profiles of the event's window and labels; `metrics.json`
//! becomes information of each, and readings of gauges with the first.

pub(crate) mod agent;
mod event;
mod parts;
pub(crate) mod traces;

use super::upload::Parameters;
use crate::decode;
use crate::limits::{
    BESIDE_BYTES_MAX, INFO_METRICS_MAX, INFO_TEXT_BYTES_MAX, ISSUE_BYTES_MAX, LABEL_VALUE_BYTES_MAX,
};
use crate::normalise::{Context, bounded};
use crate::notes::Notes;
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::{Ingest, weight};
use crate::principal::Principal;
use crate::problem::Problem;
use crate::receipt::Receipt;
use axum::Json;
use axum::extract::{Request, State};
use bytes::Bytes;
use event::Event;
use formats::{Decoded, Issue, IssueKind, Options};
use http::{HeaderMap, header};
use parts::{File, Parts};
use profile::RuntimeEvent;
use serde_json::Number;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// What their agent adds to an upload that it passes on.
pub(crate) const TAG_HEADERS: [&str; 2] = ["x-datadog-additional-tags", "x-datadog-container-tags"];

/// Value of the label `source`.
const SOURCE: &str = "ddtrace";

/// What is said of a profile that is no difference.
const CUMULATIVE: &str =
    "counts from the start of the process: leave DD_PROFILING_DELTA on to get its differences";

/// The profiles of one upload, and what all of them share.
#[derive(Debug)]
pub(crate) struct Upload {
    files: Vec<File>,
    info: Vec<(String, String)>,
    /// Readings of gauges.
    points: Vec<RuntimeEvent>,
    cpu_count: Option<u32>,
}

/// Takes one upload.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    let (parts, body) = request.into_parts();
    let now = ingest.clock.now();
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    boundary(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let mut received = ingest.receive(&parts.headers, body).await?;
    let beside = tag_headers(&parts.headers);
    let opened = open(std::mem::take(&mut received.bytes), &parts.headers, &beside).await;
    let (context, upload) = opened.map_err(|problem| ingest.count(problem))?;
    let request = Kept::of(Receiver::Datadog, now, &beside, &parts.headers);
    let decode = move |_: &[u8], options: &Options| upload.decode(options);
    Ok(Json(ingest.store(&principal, received, (request, context), decode).await?))
}

/// The tags of the headers that are kept with an upload.
fn tag_headers(headers: &HeaderMap) -> Parameters {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let found = TAG_HEADERS.iter().filter_map(|name| {
        Some(((*name).to_owned(), bounded(text(name)?, BESIDE_BYTES_MAX / TAG_HEADERS.len())))
    });
    found.collect()
}

fn boundary(headers: &HeaderMap) -> Result<String, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default();
    multer::parse_boundary(given).map_err(|_| {
        let shown = bounded(given, ISSUE_BYTES_MAX);
        let detail = format!("content type {shown:?} is not multipart/form-data with a boundary");
        let hint = "send what Datadog's libraries do; a profile file of its own goes to \
                    /api/v1/profiles?service_name=NAME";
        Problem::unsupported(detail, hint)
    })
}

/// Takes a body apart.
pub(crate) async fn open(
    body: Bytes,
    headers: &HeaderMap,
    beside: &[(String, String)],
) -> Result<(Context, Upload), Problem> {
    let Parts { event, fields, files } = parts::read(body, &boundary(headers)?).await?;
    let mut notes = Notes::default();
    let mut event = match event {
        Some(bytes) => Event::from_json(&bytes, &mut notes)?,
        None if fields.is_empty() => {
            let detail = "the multipart body has no part named `event`";
            let hint = "add the part event.json with start, end, family and tags_profiler";
            return Err(Problem::bad_request(detail, hint));
        }
        None => Event::from_fields(&fields),
    };
    for (_, tags) in beside {
        event.add_tags_of_agent(tags);
    }
    let mut info = event.info();
    let (mut kept, mut points) = (Vec::new(), Vec::new());
    let read_at = event.end.or(event.start).unwrap_or_default();
    for file in files {
        match file.content() {
            parts::Content::Profile => {
                if event.family == "go" && file.is_cumulative() {
                    notes.add(|| format!("part {:?} {CUMULATIVE}", file.name));
                }
                kept.push(file);
            }
            parts::Content::Metrics => {
                for (at, (name, number)) in file.metrics().into_iter().enumerate() {
                    points.extend(point(&name, &number, read_at));
                    if at < INFO_METRICS_MAX {
                        info.push((format!("metrics.{name}"), number.to_string()));
                    }
                }
            }
            parts::Content::Other => notes.add(|| format!("part {:?} is not used", file.name)),
        }
    }
    let labels = event.labels(SOURCE, &mut info, &mut notes);
    for (_, value) in &mut info {
        *value = bounded(value, INFO_TEXT_BYTES_MAX);
    }
    let window = event.start.map(|start| TimeRange::new(start, event.end.unwrap_or(start)));
    let client = match event.client() {
        client if client.is_empty() => decode::user_agent(headers),
        client => bounded(&client, LABEL_VALUE_BYTES_MAX),
    };
    let context = Context { source: SOURCE, labels, window, client, notes };
    Ok((context, Upload { files: kept, info, points, cpu_count: event.cpu_count }))
}

/// A number of `metrics.json`, which says no units; it is of the upload's window, at its end.
fn point(name: &str, number: &Number, read_at: Timestamp) -> Option<RuntimeEvent> {
    RuntimeEvent::point(name.into(), "".into(), read_at, number.as_f64()?)
}

impl Upload {
    /// Decodes one file after the other within the limits of one upload.
    pub(crate) fn decode(self, options: &Options) -> Decoded {
        let Self { files, info, mut points, cpu_count } = self;
        let mut options = options.clone();
        let room = options.limits.decompressed_bytes_max;
        let (mut all, mut held) = (Decoded::default(), 0);
        for file in files {
            let issue = |kind, text: &str| Issue {
                kind,
                count: 1,
                example: format!("part {:?}: {text}", file.name),
            };
            if held >= room {
                let text = "not read, those before it fill the memory of an upload";
                all.issues.push(issue(IssueKind::Limit, text));
                continue;
            }
            file.family().clone_into(&mut options.family);
            let decoded = formats::decode(&file.bytes, &options);
            let found = decoded.issues.into_iter();
            all.issues.extend(
                found.map(|one| Issue { count: one.count, ..issue(one.kind, &one.example) }),
            );
            for mut one in decoded.profiles {
                let profile = &mut one.profile;
                let samples_left = options.limits.samples_max.saturating_sub(profile.samples.len());
                options.limits.samples_max = samples_left;
                held += weight(profile);
                let part = ("part".to_owned(), file.name.clone());
                profile.metadata.info.splice(0..0, info.iter().cloned().chain([part]));
                profile.metadata.cpu_count = profile.metadata.cpu_count.or(cpu_count);
                // They are the upload's: with its first profile they come once.
                profile.events.append(&mut points);
                all.profiles.push(one);
            }
            options.limits.profiles_max = options.limits.profiles_max.saturating_sub(1);
        }
        all
    }
}

#[cfg(test)]
mod tests;
