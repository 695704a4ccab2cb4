//! Traces of Datadog's libraries: `/v0.3/traces`, `/v0.4/traces`, `/v0.5/traces` and `/v0.7/traces`,
//! with PUT and POST.
//!
//! What is answered is what their agent answers: how many of the traces of each service it wants (all
//! of them), and to the oldest form `OK`.

use super::SOURCE;
use crate::decode;
use crate::limits::LABEL_VALUE_BYTES_MAX;
use crate::normalise::{Context, bounded};
use crate::pipeline::Ingest;
use crate::principal::Principal;
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use formats::traces::datadog::{Entries, Form, decode as read};
use http::{HeaderMap, header};
use profile::labels::names;
use serde_json::json;
use std::sync::Arc;

/// Versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V3,
    V4,
    V5,
    V7,
}

impl Version {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::V3, Self::V4, Self::V5, Self::V7];

    /// Where libraries send it to.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::V3 => "/v0.3/traces",
            Self::V4 => "/v0.4/traces",
            Self::V5 => "/v0.5/traces",
            Self::V7 => "/v0.7/traces",
        }
    }

    /// How a request of this content type is written. Only the older ones are JSON, too.
    fn form(self, headers: &HeaderMap) -> Result<Form, Problem> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let given = given.unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = matches!(essence.as_str(), "application/json" | "text/json");
        let is_msgpack = matches!(
            essence.as_str(),
            "" | "application/msgpack" | "application/x-msgpack" | "application/octet-stream"
        );
        match self {
            Self::V3 | Self::V4 if is_msgpack || is_json => Ok(Form::Maps),
            Self::V5 if is_msgpack => Ok(Form::Table),
            Self::V7 if is_msgpack => Ok(Form::Payload),
            _ => {
                let shown = bounded(given, LABEL_VALUE_BYTES_MAX);
                let detail = format!("content type {shown:?} on {}", self.path());
                Err(Problem::unsupported(detail, "send application/msgpack"))
            }
        }
    }
}

/// The route of a version.
pub(crate) fn route(version: Version) -> MethodRouter<Arc<Ingest>> {
    let take = move |state: State<Arc<Ingest>>, principal: Principal, request: Request| {
        receive(version, state, principal, request)
    };
    post(take).put(take)
}

async fn receive(
    version: Version,
    State(ingest): State<Arc<Ingest>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = version.form(&parts.headers).map_err(|problem| ingest.count(problem))?;
    decode::check_encoding(&parts.headers).map_err(|problem| ingest.count(problem))?;
    let received = ingest.receive(&parts.headers, body).await?;
    let (context, entries) = (context(&parts.headers), entries(&parts.headers));
    let receipt = ingest
        .store_spans(&principal, received, context, move |bytes, options| {
            read(bytes, form, entries, options)
        })
        .await?;
    if receipt.rejected > 0 || !receipt.issues.is_empty() {
        // The answer has no place for it.
        let (rejected, issues) = (receipt.rejected, receipt.issues.join("; "));
        tracing::debug!(path = version.path(), rejected, issues, "spans were left out");
    }
    Ok(match version {
        Version::V3 => "OK".into_response(),
        _ => Json(json!({ "rate_by_service": { "service:,env:": 1 } })).into_response(),
    })
}

/// What a library says of itself in headers.
fn context(headers: &HeaderMap) -> Context {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        bounded(value.unwrap_or_default().trim(), LABEL_VALUE_BYTES_MAX)
    };
    let language = text("datadog-meta-lang");
    let client = match text("datadog-meta-tracer-version") {
        version if version.is_empty() => decode::user_agent(headers),
        version => format!("ddtrace {language} {version}"),
    };
    let mut context = Context { source: SOURCE, client, ..Context::default() };
    context.labels.push((names::SOURCE.to_owned(), SOURCE.to_owned()));
    if !language.is_empty() {
        context.labels.push((names::RUNTIME.to_owned(), language));
    }
    context
}

/// Whether the library marks which spans are the first of their service: any text but a no says so.
fn entries(headers: &HeaderMap) -> Entries {
    let said = headers.get("datadog-client-computed-top-level");
    match said.map(http::HeaderValue::as_bytes) {
        None | Some(b"" | b"0" | b"f" | b"F" | b"false" | b"False" | b"FALSE" | b"no") => {
            Entries::Unmarked
        }
        Some(_) => Entries::Marked,
    }
}
