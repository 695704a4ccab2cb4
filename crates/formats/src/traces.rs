//! Spans of tracers: OTLP traces as protobuf and as JSON; those of Datadog's libraries are read by
//! [`datadog`].
//!
//! Decoding is total, as that of profiles: what could be read, a list of issues, and how many spans
//! had to be left out. A span needs the ids of its trace and its own, and a time.
//!
//! | of a span | is kept as |
//! |---|---|
//! | ids, parent, name, kind, status and its message, times | themselves |
//! | `flags` | whether the parent is in another process, which makes it a request |
//! | `http.route`, `rpc.method`, `resource.name` | its resource, which its name is else |
//! | attributes | texts, up to [`crate::limits::SPAN_ATTRIBUTES_MAX`] |
//! | the event `exception` | the attributes `exception.type` and `exception.message` |
//! | other events, links, trace state, scope | not kept |
//! | attributes of the resource | labels of its batch |

pub mod datadog;

mod draft;
mod otlp;
mod otlp_json;

pub(crate) use otlp::key_value;
pub(crate) use otlp_json::key_value as json_key_value;

use crate::compress::decompress;
use crate::decoded::{Issue, IssueKind, Issues, Options};
use profile::SpanBatch;

/// Everything that could be read from a payload of spans.
#[derive(Clone, Debug, Default)]
pub struct DecodedSpans {
    /// A batch for each resource that has spans. Attributes of the resource stand unchanged in the
    /// labels.
    pub batches: Vec<SpanBatch>,
    /// Spans that were left out.
    pub rejected: u64,
    /// What could not be read, or had to be changed; one entry a kind.
    pub issues: Vec<Issue>,
}

/// How OTLP traces are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protobuf.
    Protobuf,
    /// Protobuf's JSON, with ids in hexadecimal digits.
    Json,
}

/// Reads an `ExportTraceServiceRequest` or `TracesData`, compressed or not.
pub fn decode(bytes: &[u8], form: Form, options: &Options) -> DecodedSpans {
    let mut issues = Issues::default();
    let body = decompress(bytes, &options.limits, &mut issues);
    let mut builder = draft::Builder::new(options, issues);
    match form {
        Form::Protobuf => otlp::read(&body, &mut builder),
        Form::Json => otlp_json::read(&body, &mut builder),
    }
    builder.finish()
}

/// Notes damage.
fn damaged(issues: &mut Issues, what: &str, why: &dyn std::fmt::Display) {
    issues.add(IssueKind::Damage, || format!("{what} is damaged: {why}"));
}
