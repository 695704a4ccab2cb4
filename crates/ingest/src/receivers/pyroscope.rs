//! Pyroscope's `POST /ingest`: pprof and JFR (multipart or raw), folded text, lines, trees, tries
//! and speedscope's files.
//!
//! Contract: grafana/pyroscope, `pkg/ingester/pyroscope/ingest_handler.go`. The parameters `name`
//! (`app{key=value}`), `from`, `until`, `sampleRate`, `spyName`, `units`, `aggregationType` and
//! `format` are read; a value that cannot be read gets its default, as there.

mod name;
mod parts;
pub mod push;

use super::upload::Parameters;
use crate::attime::{self, Epoch};
use crate::decode;
use crate::normalise::{Context, runtime};
use crate::payload::{Receiver, Request as Kept};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::query::Query;
use crate::receipt::Receipt;
use axum::Json;
use axum::extract::{Request, State};
use bytes::Bytes;
use formats::{Decoded, Options, folded};
use http::{HeaderMap, header};
use parts::Parts;
use profile::labels::names;
use std::sync::Arc;
use stdx::{TimeRange, Timestamp};

/// Samples a second where the client names none.
const SAMPLE_RATE: i64 = 100;

/// What a body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Multipart with a profile file in one of its parts.
    Multipart(Parts),
    /// A profile file of its own.
    File,
    /// The same, whose names of functions hold their files and lines.
    NodeFile,
    /// Text: `stack value` or a stack a line.
    Text(folded::Shape),
    /// A binary tree of frames.
    Tree(folded::Shape),
    /// A binary tree of the beginnings of folded stacks.
    Trie(folded::Shape),
    /// A file of speedscope.
    Speedscope,
}

/// Takes one upload.
pub async fn receive(
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    let (parts, body) = request.into_parts();
    let now = ingest.clock.now();
    let (mut context, mut shape) =
        read_form(&parameters, &parts.headers, now).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let mut received = ingest.receive(&parts.headers, body).await?;
    let body = body_of(std::mem::take(&mut received.bytes), &mut shape, &mut context).await;
    received.bytes = body.map_err(|problem| ingest.count(problem))?;
    let decode = move |body: &[u8], options: &Options| shape.decode(body, options);
    let request = Kept::of(Receiver::Pyroscope, now, &parameters, &parts.headers);
    Ok(Json(ingest.store(&principal, received, (request, context), decode).await?))
}

impl Shape {
    /// Decodes what [`body_of`] found.
    pub(crate) fn decode(&self, body: &[u8], options: &Options) -> Decoded {
        match self {
            Self::Text(text) => folded::decode(body, text, options),
            Self::Tree(values) => formats::tree::decode(body, values, options),
            Self::Trie(values) => formats::trie::decode(body, values, options),
            Self::Speedscope => formats::speedscope::decode(body, options),
            Self::File => formats::decode(body, options),
            Self::NodeFile => with_plain_names(formats::decode(body, options)),
            Self::Multipart(parts) if !parts.labels.is_empty() => {
                formats::jfr::decode_labelled(body, &parts.labels, options)
            }
            Self::Multipart(parts) => {
                let family = parts.family.to_owned();
                let decoded = formats::decode(body, &Options { family, ..options.clone() });
                if parts.names_hold_places { with_plain_names(decoded) } else { decoded }
            }
        }
    }
}

/// With file and line out of the names of functions, where @pyroscope/nodejs put them.
fn with_plain_names(mut decoded: Decoded) -> Decoded {
    for decoded in &mut decoded.profiles {
        formats::node::split_names(&mut decoded.profile.tables);
    }
    decoded
}

/// What of a body holds the profile.
pub(crate) async fn body_of(
    body: Bytes,
    shape: &mut Shape,
    context: &mut Context,
) -> Result<Bytes, Problem> {
    match shape {
        Shape::Multipart(parts) => parts.profile(body, &mut context.notes).await,
        _ => Ok(body),
    }
}

/// What [`read_form`] reads.
pub(crate) const PARAMETERS: [&str; 7] =
    ["name", "format", "from", "until", "spyName", "sampleRate", "units"];

pub(crate) fn read_form(
    parameters: &[(String, String)],
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(Context, Shape), Problem> {
    let get = |name: &str| {
        parameters.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    };
    let Some(named) = get("name").filter(|name| !name.is_empty()) else {
        let hint = "add ?name=my-service{key=value} to the address";
        return Err(Problem::bad_request("the parameter `name` is missing", hint));
    };
    let named = name::parse(named)?;
    let mut shape = shape(get("format").unwrap_or_default(), headers)?;
    let time = |name| attime::parse(get(name)?, now, Epoch::Guess);
    let until = time("until").unwrap_or(now);
    let window = match time("from") {
        Some(from) => Some(TimeRange::new(from, until)),
        None if get("until").is_some() => Some(TimeRange::new(until, until)),
        None => None,
    };
    let spy = get("spyName").filter(|spy| !spy.is_empty() && *spy != "unknown");
    let mut labels = named.labels;
    let mut service = named.app.as_str();
    if let Shape::Text(values) | Shape::Tree(values) | Shape::Trie(values) = &mut shape {
        let (app, suffix) = name::split_type(&named.app);
        service = app;
        describe_values(values, suffix, &get);
    }
    if !labels.iter().any(|(name, _)| name == names::SERVICE) {
        labels.push((names::SERVICE.to_owned(), service.to_owned()));
    }
    if let Some(language) = spy.and_then(runtime_of_spy) {
        labels.push((names::RUNTIME.to_owned(), language));
    }
    if spy == Some("nodespy") {
        match &mut shape {
            Shape::Multipart(parts) => parts.names_hold_places = true,
            Shape::File => shape = Shape::NodeFile,
            _ => {}
        }
    }
    let client = spy.map_or_else(|| decode::user_agent(headers), str::to_owned);
    Ok((Context { source: "pyroscope", labels, window, client, ..Context::default() }, shape))
}

/// What the values of text and trees are: the application's name and `units` say it; samples of CPU
/// or wall time become time through `sampleRate`.
fn describe_values<'a>(
    values: &mut folded::Shape,
    suffix: Option<&str>,
    get: &impl Fn(&str) -> Option<&'a str>,
) {
    const SECOND_NANOS: i64 = 1_000_000_000;
    let rate = get("sampleRate").and_then(|rate| rate.parse().ok());
    let rate: i64 = rate.filter(|rate| (1..=SECOND_NANOS).contains(rate)).unwrap_or(SAMPLE_RATE);
    let units = get("units").filter(|units| !units.is_empty()).unwrap_or("samples");
    let (sample_type, unit, factor) = match (suffix.unwrap_or("cpu"), units) {
        ("cpu" | "itimer", "samples") => ("cpu", "nanoseconds", SECOND_NANOS / rate),
        ("wall", "samples") => ("wall", "nanoseconds", SECOND_NANOS / rate),
        (own, "bytes") => (own, "bytes", 1),
        (own, "nanoseconds" | "lock_nanoseconds") => (own, "nanoseconds", 1),
        (own, _) if own.ends_with("_space") => (own, "bytes", 1),
        (own, _) if own.ends_with("_duration") => (own, "nanoseconds", 1),
        (own, _) => (own, "count", 1),
    };
    sample_type.clone_into(&mut values.sample_type);
    unit.clone_into(&mut values.unit);
    values.factor = factor;
}

/// The runtime behind a client's `spyName`; many names say nothing of one (`ebpfspy`).
fn runtime_of_spy(spy: &str) -> Option<String> {
    let known = ["gospy", "pyspy", "rbspy", "javaspy", "dotnetspy", "nodespy", "phpspy"];
    known.contains(&spy).then(|| runtime(spy))
}

/// `format` says it, else the content type.
fn shape(format: &str, headers: &HeaderMap) -> Result<Shape, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = given.unwrap_or_default();
    let multipart = |part| Parts::of(content_type, part).map(Shape::Multipart);
    let values = |is_one_event_a_line| folded::Shape { is_one_event_a_line, ..Default::default() };
    let lower = content_type.to_ascii_lowercase();
    match format {
        "trie" => Ok(Shape::Trie(values(false))),
        "" if lower == "binary/octet-stream+trie" => Ok(Shape::Trie(values(false))),
        "tree" => Ok(Shape::Tree(values(false))),
        "" if lower == "binary/octet-stream+tree" => Ok(Shape::Tree(values(false))),
        "lines" => Ok(Shape::Text(values(true))),
        "jfr" => Ok(multipart(parts::RECORDING).unwrap_or(Shape::File)),
        "pprof" => Ok(multipart("profile").unwrap_or(Shape::File)),
        "speedscope" => Ok(Shape::Speedscope),
        _ => match multipart("profile") {
            Some(shape) => Ok(shape),
            None if lower.starts_with("multipart/") => Err(Problem::bad_request(
                format!("content type {content_type:?} names no boundary"),
                "send multipart/form-data with a boundary",
            )),
            None if format.is_empty() && lower.contains("octet-stream") => Ok(Shape::File),
            None => Ok(Shape::Text(values(false))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn the_form_of_a_body_follows_from_format_then_content_type() {
        let of = |format, content_type| shape(format, &headers(content_type));
        let form = "multipart/form-data; boundary=x";
        let parts = |part| Shape::Multipart(Parts::of(form, part).unwrap());
        assert_eq!(of("", form).unwrap(), parts("profile"));
        assert_eq!(of("pprof", form).unwrap(), parts("profile"));
        assert_eq!(of("jfr", form).unwrap(), parts("jfr"));
        assert_eq!(of("jfr", "").unwrap(), Shape::File);
        assert_eq!(of("pprof", "").unwrap(), Shape::File);
        let is_lines = |shape: Shape| match shape {
            Shape::Text(text) => text.is_one_event_a_line,
            other => panic!("{other:?} is no text"),
        };
        assert!(is_lines(of("lines", "text/plain").unwrap()));
        assert!(!is_lines(of("", "text/plain").unwrap()));
        for (format, content_type) in [("tree", ""), ("", "binary/octet-stream+tree")] {
            assert!(matches!(of(format, content_type).unwrap(), Shape::Tree(_)));
        }
        for (format, content_type) in [("trie", form), ("", "binary/octet-stream+trie")] {
            assert!(matches!(of(format, content_type).unwrap(), Shape::Trie(_)));
        }
        assert_eq!(of("", "binary/octet-stream").unwrap(), Shape::File);
        assert!(of("", "multipart/mixed").is_err());
    }

    #[test]
    fn a_request_becomes_labels_and_a_window() {
        let query = [
            ("name", "shop.cpu{env=prod,__session_id__=abc}"),
            ("from", "1700000000"),
            ("until", "1700000010"),
            ("spyName", "gospy"),
            ("sampleRate", "nonsense"),
        ];
        let query: Vec<_> = query.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let (context, shape) = read_form(&query, &headers("text/plain"), now).unwrap();
        let label = |name: &str| {
            context.labels.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(label("service_name"), Some("shop"));
        assert_eq!(label("env"), Some("prod"));
        assert_eq!(label("runtime"), Some("go"));
        assert_eq!(context.client, "gospy");
        assert_eq!(context.window.unwrap().nanos(), 10_000_000_000);
        let Shape::Text(text) = shape else { panic!("{shape:?} is no text") };
        assert_eq!((text.sample_type.as_str(), text.factor), ("cpu", 10_000_000));
        let mut of_node = query.clone();
        of_node[3].1 = "nodespy".to_owned();
        let (_, shape) = read_form(&of_node, &headers("application/octet-stream"), now).unwrap();
        assert_eq!(shape, Shape::NodeFile);
        let form = headers("multipart/form-data; boundary=x");
        let (_, shape) = read_form(&of_node, &form, now).unwrap();
        assert!(matches!(shape, Shape::Multipart(parts) if parts.names_hold_places));
        let (context, ..) =
            read_form(&query, &headers("multipart/form-data; boundary=x"), now).unwrap();
        assert!(context.labels.contains(&("service_name".to_owned(), "shop.cpu".to_owned())));
    }
}
